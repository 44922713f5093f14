//! Instances, kept as `DescribeInstances` shows them.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{group, passes};
use crate::aws::{Call, Output, refuse, texts};
use crate::world::{Stop, merge_members, set, text};

/// Reads after a change of the metadata options that still show `pending`.
const READS: u32 = 1;

pub(super) fn describe(call: &mut Call<'_>) -> Output {
    let asked: Vec<String> = texts(call.input.get("InstanceIds")).into_iter().map(str::to_owned).collect();
    let mut arns = Vec::new();
    for id in &asked {
        arns.push(find(call, id)?);
    }
    if asked.is_empty() {
        let prefix = call.arn("ec2", "instance/");
        arns = call.world.list(Cloud::Aws, &prefix).into_iter().map(|(arn, _)| arn).collect();
    }
    let mut reservations = Vec::new();
    for arn in arns {
        let Some(instance) = call.read(&arn) else { continue };
        let member = |instance: &Value, name: &str| match name {
            "instance-id" => Some(vec![text(instance, "InstanceId").to_owned()]),
            "vpc-id" => Some(vec![text(instance, "VpcId").to_owned()]),
            "instance.group-id" => Some(groups(instance)),
            _ => None,
        };
        if passes(call, &instance, member)? {
            let id = text(&instance, "InstanceId").replacen("i-", "r-", 1);
            reservations.push(json!({"ReservationId": id, "OwnerId": call.account, "Groups": [], "Instances": [instance]}));
        }
    }
    Ok(json!({"Reservations": reservations}))
}

pub(super) fn modify_attribute(call: &mut Call<'_>) -> Output {
    let arn = find(call, call.text("InstanceId").to_owned().as_str())?;
    let mut instance = call.world.settled(Cloud::Aws, &arn).unwrap_or_default();
    if call.input.contains_key("Groups") && call.input.contains_key("SourceDestCheck") {
        let message = "Only one attribute can be modified at a time";
        return Err(refuse(400, "InvalidParameterCombination", message));
    }
    if let Some(check) = call.input.get("SourceDestCheck").and_then(|c| c.get("Value")) {
        set(&mut instance, "SourceDestCheck", check.clone());
    }
    if call.input.contains_key("Groups") {
        let ids: Vec<String> = texts(call.input.get("Groups")).into_iter().map(str::to_owned).collect();
        if ids.is_empty() {
            return Err(refuse(400, "InvalidParameterValue", "An instance must have at least one security group"));
        }
        let mut named = Vec::new();
        for id in &ids {
            let (_, held) = group(call, id)?;
            if text(&held, "VpcId") != text(&instance, "VpcId") {
                let message = format!("The security group '{id}' does not belong to the VPC of the instance");
                return Err(refuse(400, "InvalidGroup.NotFound", &message));
            }
            named.push(json!({"GroupId": id, "GroupName": text(&held, "GroupName")}));
        }
        if let Some(Value::Array(interfaces)) = instance.get_mut("NetworkInterfaces")
            && let Some(primary) = interfaces.first_mut()
        {
            set(primary, "Groups", named.clone());
        }
        set(&mut instance, "SecurityGroups", named);
    }
    call.write(&arn, instance);
    Ok(Value::Null)
}

pub(super) fn modify_metadata(call: &mut Call<'_>) -> Output {
    let id = call.text("InstanceId").to_owned();
    let arn = find(call, &id)?;
    let mut later = call.world.settled(Cloud::Aws, &arn).unwrap_or_default();
    let mut options = later.get("MetadataOptions").cloned().unwrap_or_else(|| json!({}));
    let given: serde_json::Map<String, Value> =
        call.input.iter().filter(|(name, _)| *name != "InstanceId" && *name != "DryRun").map(|(n, v)| (n.clone(), v.clone())).collect();
    if given.get("HttpPutResponseHopLimit").and_then(Value::as_i64).is_some_and(|hops| !(1..=64).contains(&hops)) {
        return Err(refuse(400, "InvalidParameterValue", "HttpPutResponseHopLimit must be between 1 and 64"));
    }
    merge_members(&mut options, &Value::Object(given));
    set(&mut options, "State", "applied");
    set(&mut later, "MetadataOptions", options.clone());
    set(&mut options, "State", "pending");
    let mut now = later.clone();
    set(&mut now, "MetadataOptions", options.clone());
    call.world.write_later(Cloud::Aws, &arn, now, later, READS);
    Ok(json!({"InstanceId": id, "InstanceMetadataOptions": options}))
}

/// Ids of the groups an instance has.
pub(super) fn groups(instance: &Value) -> Vec<String> {
    let groups = instance.get("SecurityGroups").and_then(Value::as_array).into_iter().flatten();
    groups.map(|g| text(g, "GroupId").to_owned()).collect()
}

/// The ARN of an instance that exists.
fn find(call: &Call<'_>, id: &str) -> Result<String, Stop> {
    if !id.starts_with("i-") {
        return Err(refuse(400, "InvalidInstanceID.Malformed", &format!("Invalid id: \"{id}\"")));
    }
    let arn = call.arn("ec2", &format!("instance/{id}"));
    match call.world.peek(Cloud::Aws, &arn) {
        Some(_) => Ok(arn),
        None => Err(refuse(400, "InvalidInstanceID.NotFound", &format!("The instance ID '{id}' does not exist"))),
    }
}
