//! Amazon S3 Control: the public access block of an account.

use serde_json::Value;

use super::{Call, Operation, refuse, s3};
use crate::shape::Shape::{Object, Text};
use crate::world::{Stop, unset};

const NAMED: crate::shape::Shape = Object(&[("AccountId", Text)]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "s3control.GetPublicAccessBlock",
        input: NAMED,
        run: |call| own_account(call).and_then(|(_, settings)| s3::get_block(&settings)),
    },
    Operation {
        name: "s3control.PutPublicAccessBlock",
        input: Object(&[("AccountId", Text), ("PublicAccessBlockConfiguration*", s3::BLOCK)]),
        run: |call| {
            let (id, mut settings) = own_account(call)?;
            s3::put_block(call.input, &mut settings);
            call.write(&id, settings);
            Ok(Value::Null)
        },
    },
    Operation {
        name: "s3control.DeletePublicAccessBlock",
        input: NAMED,
        run: |call| {
            let (id, mut settings) = own_account(call)?;
            unset(&mut settings, "PublicAccessBlockConfiguration");
            call.write(&id, settings);
            Ok(Value::Null)
        },
    },
];

/// The account of the credentials: the client fills `AccountId` in when the request leaves it out.
fn own_account(call: &mut Call<'_>) -> Result<(String, Value), Stop> {
    let asked = call.text("AccountId");
    if !asked.is_empty() && asked != call.account {
        return Err(refuse(403, "AccessDenied", "Access Denied"));
    }
    Ok(call.account_settings())
}
