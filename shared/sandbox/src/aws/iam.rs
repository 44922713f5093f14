//! AWS IAM: the password policy of an account.

use serde_json::{Value, json};

use super::{Call, Operation, Output, refuse};
use crate::shape::Shape::{self, Bool, Int, Object};
use crate::world::{Stop, merge_members, set, unset};

const MEMBER: &str = "PasswordPolicy";
const NONE: Shape = Object(&[]);
const UPDATE: Shape = Object(&[
    ("MinimumPasswordLength", Int),
    ("RequireSymbols", Bool),
    ("RequireNumbers", Bool),
    ("RequireUppercaseCharacters", Bool),
    ("RequireLowercaseCharacters", Bool),
    ("AllowUsersToChangePassword", Bool),
    ("MaxPasswordAge", Int),
    ("PasswordReusePrevention", Int),
    ("HardExpiry", Bool),
]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "iam.GetAccountPasswordPolicy", input: NONE, run: get },
    Operation { name: "iam.UpdateAccountPasswordPolicy", input: UPDATE, run: update },
    Operation { name: "iam.DeleteAccountPasswordPolicy", input: NONE, run: delete },
];

fn get(call: &mut Call<'_>) -> Output {
    let (_, settings) = call.account_settings();
    Ok(json!({MEMBER: settings.get(MEMBER).ok_or_else(|| missing(call))?}))
}

/// The whole policy is replaced: what the request leaves out goes back to its default.
fn update(call: &mut Call<'_>) -> Output {
    check(call, "MinimumPasswordLength", 6..=128)?;
    check(call, "MaxPasswordAge", 1..=1095)?;
    check(call, "PasswordReusePrevention", 1..=24)?;
    let mut policy = json!({
        "MinimumPasswordLength": 6,
        "RequireSymbols": false,
        "RequireNumbers": false,
        "RequireUppercaseCharacters": false,
        "RequireLowercaseCharacters": false,
        "AllowUsersToChangePassword": false,
        "ExpirePasswords": call.input.contains_key("MaxPasswordAge"),
        "HardExpiry": false,
    });
    merge_members(&mut policy, &Value::Object(call.input.clone()));
    let (id, mut settings) = call.account_settings();
    set(&mut settings, MEMBER, policy);
    call.write(&id, settings);
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Output {
    let (id, mut settings) = call.account_settings();
    if settings.get(MEMBER).is_none() {
        return Err(missing(call));
    }
    unset(&mut settings, MEMBER);
    call.write(&id, settings);
    Ok(Value::Null)
}

fn missing(call: &Call<'_>) -> Stop {
    refuse(404, "NoSuchEntity", &format!("The Password Policy with domain name {} cannot be found.", call.account))
}

fn check(call: &Call<'_>, member: &str, range: std::ops::RangeInclusive<i64>) -> Result<(), Stop> {
    match call.input.get(member).and_then(Value::as_i64) {
        Some(value) if !range.contains(&value) => {
            let message = format!("{member} must be between {} and {}, not {value}", range.start(), range.end());
            Err(refuse(400, "ValidationError", &message))
        }
        _ => Ok(()),
    }
}
