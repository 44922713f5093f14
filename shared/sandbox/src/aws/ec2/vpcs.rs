//! Virtual private clouds: those that security groups stand in.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{groups, passes};
use crate::aws::{Call, Output, refuse, texts};
use crate::world::text;

/// VPCs by filter or id. All of them carry IPv4 only.
pub(super) fn describe(call: &mut Call<'_>) -> Output {
    let mut ids: Vec<String> =
        groups::all(call).iter().filter_map(|arn| call.world.peek(Cloud::Aws, arn)).map(|g| text(g, "VpcId").to_owned()).collect();
    ids.sort();
    ids.dedup();
    let asked: Vec<String> = texts(call.input.get("VpcIds")).into_iter().map(str::to_owned).collect();
    if let Some(id) = asked.iter().find(|id| !ids.contains(id)) {
        return Err(refuse(400, "InvalidVpcID.NotFound", &format!("The vpc ID '{id}' does not exist")));
    }
    let mut shown = Vec::new();
    for id in ids.into_iter().filter(|id| asked.is_empty() || asked.contains(id)) {
        let vpc = json!({
            "VpcId": id, "State": "available", "CidrBlock": "10.0.0.0/16", "OwnerId": call.account, "InstanceTenancy": "default",
            "IsDefault": false, "Tags": [], "Ipv6CidrBlockAssociationSet": [],
        });
        let member = |vpc: &Value, name: &str| (name == "vpc-id").then(|| vec![text(vpc, "VpcId").to_owned()]);
        if passes(call, &vpc, member)? {
            shown.push(vpc);
        }
    }
    Ok(json!({"Vpcs": shown}))
}
