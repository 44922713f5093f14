//! Snapshots of volumes. A volume is there as long as an instance has it; a new snapshot is `pending` for one more read of it.
//! `CreateSnapshot` takes no client token: called twice it makes two.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{given_tags, passes};
use crate::aws::{Call, Output, refuse, texts};
use crate::world::{Stop, set, text};

/// Reads after the creation that still show `pending`.
const READS: u32 = 1;

pub(super) fn describe(call: &mut Call<'_>) -> Output {
    let asked: Vec<String> = texts(call.input.get("SnapshotIds")).into_iter().map(str::to_owned).collect();
    let mut arns = Vec::new();
    for id in &asked {
        arns.push(find(call, id)?);
    }
    if asked.is_empty() {
        let prefix = call.arn("ec2", "snapshot/");
        arns = call.world.list(Cloud::Aws, &prefix).into_iter().map(|(arn, _)| arn).collect();
    }
    let owners = texts(call.input.get("OwnerIds"));
    if owners.iter().any(|owner| *owner != "self" && *owner != call.account) {
        return Err(Stop::NotSimulated("the sandbox plays snapshots of the account's own only".to_owned()));
    }
    let mut snapshots = Vec::new();
    for arn in arns {
        let Some(snapshot) = call.world.peek(Cloud::Aws, &arn).cloned() else { continue };
        let member = |snapshot: &Value, name: &str| {
            let member = match name {
                "snapshot-id" => "SnapshotId",
                "volume-id" => "VolumeId",
                "status" => "State",
                "owner-id" => "OwnerId",
                "description" => "Description",
                _ => return None,
            };
            Some(vec![text(snapshot, member).to_owned()])
        };
        if passes(call, &snapshot, member)? {
            snapshots.extend(call.read(&arn));
        }
    }
    Ok(json!({"Snapshots": snapshots}))
}

pub(super) fn create(call: &mut Call<'_>) -> Output {
    let volume = call.text("VolumeId").to_owned();
    if !volume.starts_with("vol-") {
        return Err(refuse(400, "InvalidParameterValue", &format!("Value ({volume}) for parameter volumeId is invalid.")));
    }
    let instances = call.arn("ec2", "instance/");
    if !call.world.list(Cloud::Aws, &instances).iter().any(|(_, instance)| volumes(instance).contains(&volume.as_str())) {
        return Err(refuse(400, "InvalidVolume.NotFound", &format!("The volume '{volume}' does not exist.")));
    }
    let id = call.new_id("snap");
    let arn = call.arn("ec2", &format!("snapshot/{id}"));
    let snapshot = json!({
        "SnapshotId": id,
        "VolumeId": volume,
        "VolumeSize": 8,
        "State": "pending",
        "Progress": "",
        "StartTime": call.world.now_text(),
        "OwnerId": call.account,
        "Description": call.text("Description"),
        "Encrypted": false,
        "Tags": given_tags(call),
    });
    let mut later = snapshot.clone();
    set(&mut later, "State", "completed");
    set(&mut later, "Progress", "100%");
    call.world.write_later(Cloud::Aws, &arn, snapshot.clone(), later, READS);
    Ok(snapshot)
}

pub(super) fn delete(call: &mut Call<'_>) -> Output {
    let arn = find(call, call.text("SnapshotId").to_owned().as_str())?;
    call.world.remove(Cloud::Aws, &arn);
    Ok(Value::Null)
}

/// Ids of the volumes an instance has.
fn volumes(instance: &Value) -> Vec<&str> {
    let devices = instance.get("BlockDeviceMappings").and_then(Value::as_array).into_iter().flatten();
    devices.filter_map(|d| d.pointer("/Ebs/VolumeId")?.as_str()).collect()
}

/// The ARN of a snapshot that exists. Kept with the account, unlike EC2's own.
fn find(call: &Call<'_>, id: &str) -> Result<String, Stop> {
    let arn = call.arn("ec2", &format!("snapshot/{id}"));
    match call.world.peek(Cloud::Aws, &arn) {
        Some(_) => Ok(arn),
        None => Err(refuse(400, "InvalidSnapshot.NotFound", &format!("The snapshot '{id}' does not exist."))),
    }
}
