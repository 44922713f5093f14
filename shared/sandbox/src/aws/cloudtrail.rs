//! AWS CloudTrail: trails, kept as `GetTrail` shows them.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{Call, Operation, Output, refuse, texts};
use crate::shape::Shape::{self, Bool, List, Object, Text};
use crate::world::{Stop, set, text, unset};

const UPDATE: Shape = Object(&[
    ("Name*", Text),
    ("CloudWatchLogsLogGroupArn", Text),
    ("CloudWatchLogsRoleArn", Text),
    ("EnableLogFileValidation", Bool),
    ("IncludeGlobalServiceEvents", Bool),
    ("IsMultiRegionTrail", Bool),
    ("KmsKeyId", Text),
    ("S3BucketName", Text),
    ("S3KeyPrefix", Text),
]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "cloudtrail.GetTrail",
        input: Object(&[("Name*", Text)]),
        run: |call| {
            let name = call.text("Name").to_owned();
            trail(call, &name).map(|(_, trail)| json!({"Trail": trail}))
        },
    },
    Operation {
        name: "cloudtrail.DescribeTrails",
        input: Object(&[("trailNameList", List(&Text)), ("includeShadowTrails", Bool)]),
        run: |call| Ok(describe(call)),
    },
    Operation { name: "cloudtrail.UpdateTrail", input: UPDATE, run: update },
];

/// Trails of the region, and the shadows that multi-region trails of other regions throw here unless they are not wanted.
fn describe(call: &mut Call<'_>) -> Value {
    let wanted = texts(call.input.get("trailNameList"));
    let shadows = call.input.get("includeShadowTrails") != Some(&Value::Bool(false));
    let listed = call.world.list(Cloud::Aws, "arn:aws:cloudtrail:");
    let trails: Vec<Value> = listed
        .into_iter()
        .filter(|(arn, trail)| {
            let local = text(trail, "HomeRegion") == call.region();
            let shadow = shadows && trail.get("IsMultiRegionTrail") == Some(&Value::Bool(true));
            let named = wanted.is_empty() || wanted.contains(&arn.as_str()) || wanted.contains(&text(trail, "Name"));
            arn.contains(&format!(":{}:", call.account)) && (local || shadow) && named
        })
        .map(|(_, trail)| trail.clone())
        .collect();
    json!({"trailList": trails})
}

fn update(call: &mut Call<'_>) -> Output {
    let name = call.text("Name").to_owned();
    let (arn, mut trail) = trail(call, &name)?;
    if text(&trail, "HomeRegion") != call.region() {
        let message = format!("The home region of trail {name} is {}: it can be changed there only.", text(&trail, "HomeRegion"));
        return Err(refuse(400, "InvalidHomeRegionException", &message));
    }
    for (member, value) in call.input.iter().filter(|(member, _)| *member != "Name") {
        let shown = if member == "EnableLogFileValidation" { "LogFileValidationEnabled" } else { member };
        if value.as_str() == Some("") {
            unset(&mut trail, shown);
        } else {
            set(&mut trail, shown, value.clone());
        }
    }
    call.write(&arn, trail.clone());
    unset(&mut trail, "HasCustomEventSelectors");
    unset(&mut trail, "HasInsightSelectors");
    unset(&mut trail, "HomeRegion");
    Ok(trail)
}

/// A trail by name in this region, or by ARN: a multi-region trail is seen everywhere, its name only at home.
fn trail(call: &mut Call<'_>, name: &str) -> Result<(String, Value), Stop> {
    let arn = if name.starts_with("arn:") { name.to_owned() } else { call.arn("cloudtrail", &format!("trail/{name}")) };
    let ours = arn.contains(&format!(":{}:trail/", call.account));
    match call.read(&arn).filter(|_| ours) {
        Some(trail) => Ok((arn, trail)),
        None => Err(refuse(400, "TrailNotFoundException", &format!("Unknown trail: {arn} for the user: {}", call.account))),
    }
}
