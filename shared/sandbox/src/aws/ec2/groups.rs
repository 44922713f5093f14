//! Security groups, kept with their rules as `DescribeSecurityGroupRules` shows them.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{given_tags, group, passes};
use crate::aws::{Call, Output, refuse, texts};
use crate::world::{object, set, text};

pub(super) fn describe(call: &mut Call<'_>) -> Output {
    let asked: Vec<String> = texts(call.input.get("GroupIds")).into_iter().map(str::to_owned).collect();
    let mut arns = Vec::new();
    for id in &asked {
        arns.push(group(call, id)?.0);
    }
    if asked.is_empty() {
        arns = all(call);
    }
    let mut groups = Vec::new();
    for arn in arns {
        let Some(group) = call.world.peek(Cloud::Aws, &arn).cloned() else { continue };
        let member = |group: &Value, name: &str| {
            let member = match name {
                "group-id" => "GroupId",
                "group-name" => "GroupName",
                "vpc-id" => "VpcId",
                "owner-id" => "OwnerId",
                _ => return None,
            };
            Some(vec![text(group, member).to_owned()])
        };
        if passes(call, &group, member)? {
            groups.push(shown(&group));
        }
    }
    Ok(json!({"SecurityGroups": groups}))
}

pub(super) fn create(call: &mut Call<'_>) -> Output {
    let (name, vpc) = (call.text("GroupName").to_owned(), call.text("VpcId").to_owned());
    if vpc.is_empty() {
        return Err(refuse(400, "VPCIdNotSpecified", "No default VPC for this user"));
    }
    let groups: Vec<Value> = all(call).iter().filter_map(|arn| call.world.peek(Cloud::Aws, arn).cloned()).collect();
    if !groups.iter().any(|g| text(g, "VpcId") == vpc) {
        return Err(refuse(400, "InvalidVpcID.NotFound", &format!("The vpc ID '{vpc}' does not exist")));
    }
    if groups.iter().any(|g| text(g, "VpcId") == vpc && text(g, "GroupName") == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(refuse(400, "InvalidGroup.Duplicate", &message));
    }
    let id = call.new_id("sg");
    let arn = call.arn("ec2", &format!("security-group/{id}"));
    let tags = given_tags(call);
    let rule = super::rules::new(call, &id, true, &json!({"IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "CidrIpv4": "0.0.0.0/0"}));
    let group = json!({
        "GroupId": id,
        "GroupName": name,
        "Description": call.text("Description"),
        "OwnerId": call.account,
        "VpcId": vpc,
        "SecurityGroupArn": arn,
        "Tags": tags,
        "Rules": [rule],
    });
    call.write(&arn, group);
    Ok(json!({"GroupId": id, "Tags": tags, "SecurityGroupArn": arn}))
}

pub(super) fn delete(call: &mut Call<'_>) -> Output {
    let id = call.text("GroupId").to_owned();
    let (arn, held) = group(call, &id)?;
    if text(&held, "GroupName") == "default" {
        return Err(refuse(400, "CannotDelete", &format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user")));
    }
    let instances = call.arn("ec2", "instance/");
    let uses = |instance: &Value| super::instances::groups(instance).contains(&id);
    let in_use = call.world.list(Cloud::Aws, &instances).iter().any(|(_, i)| uses(i));
    let refers = |group: &Value| {
        let rules = group.get("Rules").and_then(Value::as_array).into_iter().flatten();
        text(group, "GroupId") != id && rules.filter_map(|r| r.get("ReferencedGroupInfo")).any(|info| text(info, "GroupId") == id)
    };
    let referred = all(call).iter().filter_map(|arn| call.world.peek(Cloud::Aws, arn)).any(refers);
    if in_use || referred {
        return Err(refuse(400, "DependencyViolation", &format!("resource {id} has a dependent object")));
    }
    call.world.remove(Cloud::Aws, &arn);
    Ok(json!({"Return": true, "GroupId": id}))
}

/// ARNs of every group of the account in the region.
pub(super) fn all(call: &Call<'_>) -> Vec<String> {
    let prefix = call.arn("ec2", "security-group/");
    call.world.list(Cloud::Aws, &prefix).into_iter().map(|(arn, _)| arn).collect()
}

/// A group as `DescribeSecurityGroups` shows it: rules of one protocol and port range are one permission.
fn shown(group: &Value) -> Value {
    let mut shown = object(
        ["GroupId", "GroupName", "Description", "OwnerId", "VpcId", "SecurityGroupArn", "Tags"]
            .map(|name| (name, group.get(name).cloned())),
    );
    for (member, egress) in [("IpPermissions", false), ("IpPermissionsEgress", true)] {
        let rules = group.get("Rules").and_then(Value::as_array).into_iter().flatten();
        let mut permissions: Vec<Value> = Vec::new();
        for rule in rules.filter(|r| r.get("IsEgress") == Some(&Value::Bool(egress))) {
            let all = text(rule, "IpProtocol") == "-1";
            let port = |name: &str| rule.get(name).filter(|_| !all).cloned();
            let head = |p: &Value| (p.get("IpProtocol").cloned(), p.get("FromPort").cloned(), p.get("ToPort").cloned());
            let wanted = (rule.get("IpProtocol").cloned(), port("FromPort"), port("ToPort"));
            let at = permissions.iter().position(|p| head(p) == wanted).unwrap_or_else(|| {
                let mut permission = object([("IpProtocol", wanted.0), ("FromPort", wanted.1), ("ToPort", wanted.2)]);
                for list in ["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"] {
                    set(&mut permission, list, json!([]));
                }
                permissions.push(permission);
                permissions.len() - 1
            });
            let (list, peer) = peer(rule);
            if let Some(Value::Array(list)) = permissions.get_mut(at).and_then(|p| p.get_mut(list)) {
                list.push(peer);
            }
        }
        set(&mut shown, member, permissions);
    }
    shown
}

fn peer(rule: &Value) -> (&'static str, Value) {
    let description = ("Description", rule.get("Description").cloned());
    let info = rule.get("ReferencedGroupInfo");
    match (rule.get("CidrIpv4"), rule.get("CidrIpv6"), rule.get("PrefixListId")) {
        (Some(cidr), ..) => ("IpRanges", object([("CidrIp", Some(cidr.clone())), description])),
        (_, Some(cidr), _) => ("Ipv6Ranges", object([("CidrIpv6", Some(cidr.clone())), description])),
        (_, _, Some(list)) => ("PrefixListIds", object([("PrefixListId", Some(list.clone())), description])),
        _ => {
            let of = |name: &str| info.and_then(|i| i.get(name)).cloned();
            ("UserIdGroupPairs", object([("GroupId", of("GroupId")), ("UserId", of("UserId")), description]))
        }
    }
}
