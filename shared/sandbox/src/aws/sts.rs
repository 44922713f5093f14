//! AWS STS.

use serde_json::json;

use super::Operation;
use crate::shape::Shape::Object;

pub(super) const OPERATIONS: &[Operation] = &[Operation {
    name: "sts.GetCallerIdentity",
    input: Object(&[]),
    run: |call| {
        let account = call.account;
        let arn = format!("arn:aws:sts::{account}:assumed-role/stanch/sandbox");
        Ok(json!({"UserId": "AROASANDBOX0000000000:sandbox", "Account": account, "Arn": arn}))
    },
}];
