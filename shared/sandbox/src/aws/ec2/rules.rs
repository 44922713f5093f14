//! Rules of security groups: one for each protocol, port range and peer, as EC2 counts them.

use serde_json::{Value, json};

use super::{group, groups, passes};
use crate::aws::{Call, Output, refuse, texts};
use crate::world::{Stop, object, set, text, unset};
use stanch_core::cloud::Cloud;

/// Rules by filter or id. A filter on a group that does not exist gives an empty list, as in EC2.
pub(super) fn describe(call: &mut Call<'_>) -> Output {
    let asked: Vec<String> = texts(call.input.get("SecurityGroupRuleIds")).into_iter().map(str::to_owned).collect();
    let arns = groups::all(call);
    let held = arns.iter().filter_map(|arn| call.world.peek(Cloud::Aws, arn)).flat_map(rules_of).collect::<Vec<_>>();
    if let Some(id) = asked.iter().find(|id| !held.iter().any(|r| text(r, "SecurityGroupRuleId") == **id)) {
        return Err(unknown_rule(id));
    }
    let mut shown = Vec::new();
    for rule in held {
        let member = |rule: &Value, name: &str| match name {
            "group-id" => Some(vec![text(rule, "GroupId").to_owned()]),
            "security-group-rule-id" => Some(vec![text(rule, "SecurityGroupRuleId").to_owned()]),
            _ => None,
        };
        let wanted = asked.is_empty() || asked.iter().any(|id| id == text(&rule, "SecurityGroupRuleId"));
        if wanted && passes(call, &rule, member)? {
            shown.push(rule);
        }
    }
    Ok(json!({"SecurityGroupRules": shown}))
}

/// Adds rules, all or none.
pub(super) fn authorize(call: &mut Call<'_>, egress: bool) -> Output {
    let id = call.text("GroupId").to_owned();
    let (arn, mut held) = group(call, &id)?;
    let mut rules = rules_of(&held);
    let mut added = Vec::new();
    for wanted in permissions(call)? {
        if let Some(peer) = wanted.get("ReferencedGroupInfo") {
            group(call, text(peer, "GroupId"))?;
        }
        if rules.iter().any(|r| is_egress(r) == egress && same(r, &wanted)) {
            let message = format!("the specified rule \"peer: {}, {}, ALLOW\" already exists", peer(&wanted), ports(&wanted));
            return Err(refuse(400, "InvalidPermission.Duplicate", &message));
        }
        let rule = new(call, &id, egress, &wanted);
        rules.push(rule.clone());
        added.push(rule);
    }
    set(&mut held, "Rules", rules);
    call.write(&arn, held);
    Ok(json!({"Return": true, "SecurityGroupRules": added}))
}

/// Takes rules away, all or none: one that does not exist fails the call.
pub(super) fn revoke(call: &mut Call<'_>, egress: bool) -> Output {
    let id = call.text("GroupId").to_owned();
    let (arn, mut held) = group(call, &id)?;
    let mut rules = rules_of(&held);
    let mut revoked = Vec::new();
    let mut take = |found: &dyn Fn(&Value) -> bool| {
        let at = rules.iter().position(|r| is_egress(r) == egress && found(r))?;
        revoked.push(rules.remove(at));
        Some(())
    };
    let ids = texts(call.input.get("SecurityGroupRuleIds"));
    for id in &ids {
        take(&|rule| text(rule, "SecurityGroupRuleId") == *id).ok_or_else(|| unknown_rule(id))?;
    }
    if ids.is_empty() {
        for wanted in permissions(call)? {
            take(&|rule| same(rule, &wanted))
                .ok_or_else(|| refuse(400, "InvalidPermission.NotFound", "The specified rule does not exist in this security group."))?;
        }
    }
    set(&mut held, "Rules", rules);
    let revoked: Vec<Value> = revoked.into_iter().map(without_details).collect();
    call.write(&arn, held);
    Ok(json!({"Return": true, "RevokedSecurityGroupRules": revoked}))
}

/// A rule of a group, with an id of its own.
pub(super) fn new(call: &mut Call<'_>, group: &str, egress: bool, wanted: &Value) -> Value {
    let id = call.new_id("sgr");
    let mut rule = json!({
        "SecurityGroupRuleId": id,
        "GroupId": group,
        "GroupOwnerId": call.account,
        "IsEgress": egress,
        "Tags": [],
        "SecurityGroupRuleArn": call.arn("ec2", &format!("security-group-rule/{id}")),
    });
    crate::world::merge_members(&mut rule, wanted);
    rule
}

fn rules_of(group: &Value) -> Vec<Value> {
    group.get("Rules").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_egress(rule: &Value) -> bool {
    rule.get("IsEgress") == Some(&Value::Bool(true))
}

/// Protocol, ports and peer are what makes a rule; a description is not.
fn same(a: &Value, b: &Value) -> bool {
    let group = |r: &Value| r.get("ReferencedGroupInfo").map(|i| text(i, "GroupId").to_owned());
    ["IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId"].iter().all(|name| a.get(*name) == b.get(*name))
        && group(a) == group(b)
}

/// The single rules that a request's permissions stand for.
fn permissions(call: &Call<'_>) -> Result<Vec<Value>, Stop> {
    let mut given: Vec<Value> = call.input.get("IpPermissions").and_then(Value::as_array).cloned().unwrap_or_default();
    if call.input.contains_key("CidrIp") {
        let of = |name: &'static str| (name, call.input.get(name).cloned());
        let mut permission = object([of("IpProtocol"), of("FromPort"), of("ToPort")]);
        set(&mut permission, "IpRanges", json!([{"CidrIp": call.text("CidrIp")}]));
        given.push(permission);
    }
    let mut rules = Vec::new();
    for permission in &given {
        let head = head(permission)?;
        let mut add = |list: &str, from: &str, to: &str| -> Result<(), Stop> {
            for item in permission.get(list).and_then(Value::as_array).into_iter().flatten() {
                let mut rule = head.clone();
                let peer = text(item, from);
                match to {
                    "ReferencedGroupInfo" => set(&mut rule, to, json!({"GroupId": peer, "UserId": call.account})),
                    "PrefixListId" => set(&mut rule, to, peer),
                    _ => set(&mut rule, to, cidr(peer, to == "CidrIpv6")?),
                }
                if let Some(description) = item.get("Description") {
                    set(&mut rule, "Description", description.clone());
                }
                rules.push(rule);
            }
            Ok(())
        };
        add("IpRanges", "CidrIp", "CidrIpv4")?;
        add("Ipv6Ranges", "CidrIpv6", "CidrIpv6")?;
        add("PrefixListIds", "PrefixListId", "PrefixListId")?;
        add("UserIdGroupPairs", "GroupId", "ReferencedGroupInfo")?;
    }
    if rules.is_empty() {
        return Err(refuse(400, "MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided."));
    }
    Ok(rules)
}

/// Protocol and ports in one spelling: names for the common protocols, -1 to -1 where there are no ports.
fn head(permission: &Value) -> Result<Value, Stop> {
    let protocol = match text(permission, "IpProtocol") {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "all" => "-1",
        "" => return Err(refuse(400, "MissingParameter", "The request must contain the parameter ipProtocol")),
        other => other,
    };
    let port = |name: &str| permission.get(name).and_then(Value::as_i64);
    let (from, to) = match (protocol, port("FromPort"), port("ToPort")) {
        ("tcp" | "udp", Some(from), Some(to)) if (0..=65535).contains(&from) && from <= to && to <= 65535 => (from, to),
        ("tcp" | "udp", _, _) => {
            let message = "The request must contain valid FromPort and ToPort for tcp and udp";
            return Err(refuse(400, "InvalidParameterValue", message));
        }
        ("icmp" | "icmpv6", from, to) => (from.unwrap_or(-1), to.unwrap_or(-1)),
        _ => (-1, -1),
    };
    Ok(json!({"IpProtocol": protocol, "FromPort": from, "ToPort": to}))
}

fn cidr(text: &str, v6: bool) -> Result<String, Stop> {
    let wrong = || refuse(400, "InvalidParameterValue", &format!("CIDR block {text} is malformed"));
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    let fits = if v6 {
        address.parse::<std::net::Ipv6Addr>().is_ok() && bits <= 128
    } else {
        address.parse::<std::net::Ipv4Addr>().is_ok() && bits <= 32
    };
    if fits { Ok(text.to_ascii_lowercase()) } else { Err(wrong()) }
}

fn unknown_rule(id: &str) -> Stop {
    refuse(400, "InvalidSecurityGroupRuleId.NotFound", &format!("The security group rule ID '{id}' does not exist"))
}

/// A revoked rule as the answer shows it.
fn without_details(mut rule: Value) -> Value {
    let referenced = rule.get("ReferencedGroupInfo").map(|i| text(i, "GroupId").to_owned());
    for name in ["GroupOwnerId", "SecurityGroupRuleArn", "Tags", "ReferencedGroupInfo"] {
        unset(&mut rule, name);
    }
    if let Some(group) = referenced {
        set(&mut rule, "ReferencedGroupId", group);
    }
    rule
}

fn peer(rule: &Value) -> String {
    let direct = ["CidrIpv4", "CidrIpv6", "PrefixListId"].iter().map(|name| text(rule, name)).find(|t| !t.is_empty());
    let group = rule.get("ReferencedGroupInfo").map(|i| text(i, "GroupId"));
    direct.or(group).unwrap_or_default().to_owned()
}

fn ports(rule: &Value) -> String {
    let port = |name: &str| rule.get(name).and_then(Value::as_i64).unwrap_or(-1);
    format!("{}, from port: {}, to port: {}", text(rule, "IpProtocol").to_uppercase(), port("FromPort"), port("ToPort"))
}
