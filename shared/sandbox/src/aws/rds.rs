//! Amazon RDS instances. A change is accepted, the instance is `modifying`, and the new values show after two reads.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{Call, Operation, Output, refuse};
use crate::shape::Shape::{self, Bool, Int, List, Object, Text};
use crate::world::{Stop, set, text};

/// Reads after a change that still show the old values.
const READS: u32 = 2;

const MODIFY: Shape = Object(&[
    ("DBInstanceIdentifier*", Text),
    ("ApplyImmediately", Bool),
    ("AutoMinorVersionUpgrade", Bool),
    ("BackupRetentionPeriod", Int),
    ("CopyTagsToSnapshot", Bool),
    ("DeletionProtection", Bool),
    ("EnableIAMDatabaseAuthentication", Bool),
    ("MultiAZ", Bool),
    ("PubliclyAccessible", Bool),
]);
/// Members that wait for the maintenance window unless `ApplyImmediately` is true.
const DEFERRED: &[&str] = &["BackupRetentionPeriod", "EnableIAMDatabaseAuthentication", "MultiAZ"];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "rds.DescribeDBInstances",
        input: Object(&[("DBInstanceIdentifier", Text), ("MaxRecords", Int), ("Marker", Text), ("Filters", List(&Object(&[])))]),
        run: describe,
    },
    Operation { name: "rds.ModifyDBInstance", input: MODIFY, run: modify },
];

fn describe(call: &mut Call<'_>) -> Output {
    if !call.text("DBInstanceIdentifier").is_empty() {
        let (_, instance) = instance(call)?;
        return Ok(json!({"DBInstances": [instance]}));
    }
    let prefix = call.arn("rds", "db:");
    let arns: Vec<String> = call.world.list(Cloud::Aws, &prefix).into_iter().map(|(arn, _)| arn).collect();
    let instances: Vec<Value> = arns.iter().filter_map(|arn| call.read(arn)).collect();
    Ok(json!({"DBInstances": instances}))
}

fn modify(call: &mut Call<'_>) -> Output {
    let (arn, _) = instance(call)?;
    if call.world.is_pending(Cloud::Aws, &arn) {
        let message = format!("Database instance {} is not in available state.", call.text("DBInstanceIdentifier"));
        return Err(refuse(400, "InvalidDBInstanceState", &message));
    }
    let held = call.world.settled(Cloud::Aws, &arn).unwrap_or_default();
    let at_once = call.input.get("ApplyImmediately") == Some(&Value::Bool(true));
    let mut later = held.clone();
    for (name, value) in call.input.iter().filter(|(n, _)| !matches!(n.as_str(), "DBInstanceIdentifier" | "ApplyImmediately")) {
        let shown = if name == "EnableIAMDatabaseAuthentication" { "IAMDatabaseAuthenticationEnabled" } else { name };
        if held.get(shown) == Some(value) {
            continue;
        }
        if at_once || !DEFERRED.contains(&name.as_str()) {
            set(&mut later, shown, value.clone());
        } else if let Some(pending) = later.get_mut("PendingModifiedValues") {
            set(pending, shown, value.clone());
        }
    }
    if later == held {
        return Ok(json!({"DBInstance": held}));
    }
    let mut now = held;
    set(&mut now, "DBInstanceStatus", "modifying");
    call.world.write_later(Cloud::Aws, &arn, now.clone(), later, READS);
    Ok(json!({"DBInstance": now}))
}

/// An instance by identifier, in any case, or by ARN.
fn instance(call: &mut Call<'_>) -> Result<(String, Value), Stop> {
    let asked = call.text("DBInstanceIdentifier").to_owned();
    let arn = if asked.starts_with("arn:") { asked.clone() } else { call.arn("rds", &format!("db:{}", asked.to_ascii_lowercase())) };
    let here = arn.starts_with(&call.arn("rds", "db:"));
    match call.read(&arn).filter(|_| here) {
        Some(instance) if !text(&instance, "DBInstanceIdentifier").is_empty() => Ok((arn, instance)),
        _ => Err(refuse(404, "DBInstanceNotFound", &format!("DBInstance {asked} not found."))),
    }
}
