//! AWS KMS: rotation of a key. Keys are kept with their metadata and `{KeyRotationEnabled, RotationPeriodInDays?}`.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{Call, Operation, Output, refuse};
use crate::shape::Shape::{self, Int, List, Object, Text};
use crate::world::{Stop, set, text, unset};

const NAMED: Shape = Object(&[("KeyId*", Text)]);
const DAY: i64 = 86_400;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "kms.DescribeKey",
        input: Object(&[("KeyId*", Text), ("GrantTokens", List(&Text))]),
        run: |call| key(call).map(|(_, key)| json!({"KeyMetadata": key.get("KeyMetadata")})),
    },
    Operation { name: "kms.GetKeyRotationStatus", input: NAMED, run: status },
    Operation {
        name: "kms.EnableKeyRotation",
        input: Object(&[("KeyId*", Text), ("RotationPeriodInDays", Int)]),
        run: |call| rotate(call, true),
    },
    Operation { name: "kms.DisableKeyRotation", input: NAMED, run: |call| rotate(call, false) },
];

fn status(call: &mut Call<'_>) -> Output {
    let (arn, key) = key(call)?;
    let enabled = key.get("KeyRotationEnabled") == Some(&Value::Bool(true));
    let mut status = json!({"KeyRotationEnabled": enabled, "KeyId": arn});
    if enabled {
        let days = key.get("RotationPeriodInDays").and_then(Value::as_i64).unwrap_or(365);
        let from = key.get("RotationEnabledAt").and_then(Value::as_i64).unwrap_or_default();
        set(&mut status, "RotationPeriodInDays", days);
        set(&mut status, "NextRotationDate", from + days * DAY);
    }
    Ok(status)
}

fn rotate(call: &mut Call<'_>, on: bool) -> Output {
    let (arn, mut key) = key(call)?;
    let metadata = key.get("KeyMetadata").cloned().unwrap_or_default();
    match text(&metadata, "KeyState") {
        "Enabled" => {}
        "Disabled" => return Err(refuse(400, "DisabledException", &format!("{arn} is disabled."))),
        state => return Err(refuse(400, "KMSInvalidStateException", &format!("{arn} is {state}."))),
    }
    let turns = text(&metadata, "KeySpec") == "SYMMETRIC_DEFAULT" && text(&metadata, "Origin") == "AWS_KMS";
    if !turns || text(&metadata, "KeyManager") != "CUSTOMER" {
        return Err(refuse(400, "UnsupportedOperationException", &format!("{arn} cannot be rotated automatically.")));
    }
    let days = call.input.get("RotationPeriodInDays").and_then(Value::as_i64);
    if days.is_some_and(|days| !(90..=2560).contains(&days)) {
        return Err(refuse(400, "ValidationException", "`RotationPeriodInDays` must be between 90 and 2560"));
    }
    set(&mut key, "KeyRotationEnabled", on);
    if on {
        let kept = key.get("RotationPeriodInDays").and_then(Value::as_i64);
        set(&mut key, "RotationPeriodInDays", days.or(kept).unwrap_or(365));
        set(&mut key, "RotationEnabledAt", call.world.now / 1000);
    } else {
        unset(&mut key, "RotationEnabledAt");
    }
    call.write(&arn, key);
    Ok(Value::Null)
}

/// A key by id, ARN or alias.
fn key(call: &mut Call<'_>) -> Result<(String, Value), Stop> {
    let asked = call.text("KeyId").to_owned();
    let missing = || refuse(400, "NotFoundException", &format!("Key '{asked}' does not exist"));
    let mut arn = if asked.starts_with("arn:") { asked.clone() } else { call.arn("kms", &format!("key/{asked}")) };
    if let Some(alias) = asked.rsplit_once("alias/").map(|(_, name)| format!("alias/{name}")) {
        let prefix = call.arn("kms", "key/");
        let keys = call.world.list(Cloud::Aws, &prefix);
        arn = keys.into_iter().find(|(_, k)| text(k, "AliasName") == alias).map(|(arn, _)| arn).ok_or_else(missing)?;
    }
    let here = call.arn("kms", "");
    if !arn.starts_with(&here) {
        return Err(missing());
    }
    let key = call.read(&arn).ok_or_else(missing)?;
    Ok((arn, key))
}
