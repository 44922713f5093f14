//! Microsoft.Network/networkSecurityGroups and their rules. A group and its rules share one etag, which every write of either
//! changes. Writes show at once; `provisioningState` is Updating for two more reads.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, envelope, operation, refuse, with_headers};
use crate::shape::Shape::{self, Any, Bool, Int, List, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, Stop, World, set, text};

const KIND: &str = "Microsoft.Network/networkSecurityGroups";
/// Reads after a write that still show Updating.
const READS: u32 = 2;

const RULE_PROPERTIES: Shape = Object(&[
    ("access*", OneOf(&["Allow", "Deny"])),
    ("description", Text),
    ("destinationAddressPrefix", Text),
    ("destinationAddressPrefixes", List(&Text)),
    ("destinationApplicationSecurityGroups", Any),
    ("destinationPortRange", Text),
    ("destinationPortRanges", List(&Text)),
    ("direction*", OneOf(&["Inbound", "Outbound"])),
    ("priority*", Int),
    ("protocol*", OneOf(&["Tcp", "Udp", "Icmp", "Esp", "Ah", "*", "TCP", "UDP", "ICMP"])),
    ("sourceAddressPrefix", Text),
    ("sourceAddressPrefixes", List(&Text)),
    ("sourceApplicationSecurityGroups", Any),
    ("sourcePortRange", Text),
    ("sourcePortRanges", List(&Text)),
    ("provisioningState", ReadOnly),
]);
const RULE: Shape = Object(&[("etag", ReadOnly), ("id", ReadOnly), ("name", Text), ("type", ReadOnly), ("properties*", RULE_PROPERTIES)]);
const GROUP: Shape = Object(&[
    ("etag", ReadOnly),
    ("id", ReadOnly),
    ("name", ReadOnly),
    ("type", ReadOnly),
    ("location*", Text),
    ("tags", Texts),
    (
        "properties",
        Object(&[
            ("flushConnection", Bool),
            ("securityRules", List(&RULE)),
            ("defaultSecurityRules", ReadOnly),
            ("flowLogs", ReadOnly),
            ("networkInterfaces", ReadOnly),
            ("provisioningState", ReadOnly),
            ("resourceGuid", ReadOnly),
            ("subnets", ReadOnly),
        ]),
    ),
]);
const TAGS: Shape = Object(&[("tags", Texts)]);

/// Name, description, priority, access, direction, source and destination of the rules every group has.
const DEFAULTS: &[(&str, &str, u32, &str, &str, &str, &str)] = &[
    ("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", 65000, "Allow", "Inbound", "VirtualNetwork", "VirtualNetwork"),
    (
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        65001,
        "Allow",
        "Inbound",
        "AzureLoadBalancer",
        "*",
    ),
    ("DenyAllInBound", "Deny all inbound traffic", 65500, "Deny", "Inbound", "*", "*"),
    (
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        65000,
        "Allow",
        "Outbound",
        "VirtualNetwork",
        "VirtualNetwork",
    ),
    ("AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", 65001, "Allow", "Outbound", "*", "Internet"),
    ("DenyAllOutBound", "Deny all outbound traffic", 65500, "Deny", "Outbound", "*", "*"),
];

/// Gives a value a new etag, if it carries one.
pub(crate) fn new_etag(world: &mut World, value: &mut Value) {
    if value.get("etag").is_some() {
        let number = world.next();
        set(value, "etag", format!("W/\"{number:08x}-0000-4000-8000-0000000000e7\""));
    }
}

/// Changes the etag of the group a changed or removed rule belongs to.
pub(crate) fn touched(world: &mut World, id: &str) {
    let Some((group, _)) = id.rsplit_once('/').and_then(|(rules, _)| rules.rsplit_once('/')) else { return };
    if let Some(mut value) = world.settled(Cloud::Azure, group) {
        new_etag(world, &mut value);
        world.write(Cloud::Azure, group, value);
    }
}

pub(super) fn group(mut call: Call<'_>) -> Answer {
    let id = call.id();
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => {
            let listed = call.collection()?;
            let ids: Vec<String> =
                listed.body.get("value").and_then(Value::as_array).into_iter().flatten().map(|v| text(v, "id").to_owned()).collect();
            let groups: Vec<Value> = ids.iter().filter_map(|id| read_group(call.world, id)).collect();
            Ok(ApiResponse::ok(json!({"value": groups})))
        }
        (Method::Get, false) => read_group(call.world, &id).map(with_etag).ok_or_else(|| call.missing()),
        (Method::Patch, false) => {
            let body = call.body(TAGS)?;
            let mut group = call.read()?;
            set(&mut group, "tags", body.get("tags").cloned().unwrap_or_else(|| json!({})));
            new_etag(call.world, &mut group);
            call.world.write(Cloud::Azure, &id, group);
            read_group(call.world, &id).map(with_etag).ok_or_else(|| call.missing())
        }
        (Method::Put, false) => put_group(call),
        (Method::Delete, false) => {
            check_match(&call, &id)?;
            Ok(operation::delete(&mut call))
        }
        _ => call.not_allowed(),
    }
}

pub(super) fn rule(mut call: Call<'_>) -> Answer {
    call.parent()?;
    let id = call.id();
    let parent = call.path.parent().unwrap_or_default();
    let location = call.world.peek(Cloud::Azure, &parent).map(|v| text(v, "location").to_owned()).unwrap_or_default();
    let missing = || refuse(404, "NotFound", &format!("Resource {id} not found."));
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => {
            let group = read_group(call.world, &parent).ok_or_else(missing)?;
            Ok(ApiResponse::ok(json!({"value": group.pointer("/properties/securityRules")})))
        }
        (Method::Get, false) => read_rule(call.world, &id, &parent).map(with_etag).ok_or_else(missing),
        (Method::Put, false) => {
            let body = call.body(RULE)?;
            check_match(&call, &parent)?;
            let properties = body.get("properties").cloned().unwrap_or_default();
            check_rule(call.world, &parent, &id, &properties)?;
            let status = if call.world.peek(Cloud::Azure, &id).is_some() { 200 } else { 201 };
            write_rule(call.world, &id, call.path.names.last().map(String::as_str).unwrap_or_default(), properties);
            updating(call.world, &parent);
            let rule = show_rule(call.world, &id, &parent).ok_or_else(missing)?;
            let response = ApiResponse { status, ..with_etag(rule) };
            Ok(operation::started(&mut call, &location, response))
        }
        (Method::Delete, false) => {
            check_match(&call, &parent)?;
            let response = call.delete(202);
            if response.status == 204 {
                return Ok(response);
            }
            updating(call.world, &parent);
            Ok(operation::started(&mut call, &location, response))
        }
        _ => call.not_allowed(),
    }
}

fn put_group(mut call: Call<'_>) -> Answer {
    let body = call.body(GROUP)?;
    let id = call.id();
    check_match(&call, &id)?;
    let rules = body.pointer("/properties/securityRules").and_then(Value::as_array).cloned().unwrap_or_default();
    check_rules(&rules)?;
    let existing = call.world.settled(Cloud::Azure, &id);
    let number = call.world.next();
    let guid = existing.as_ref().and_then(|v| v.pointer("/properties/resourceGuid").cloned());
    let guid = guid.unwrap_or_else(|| format!("{number:08x}-0000-4000-8000-0000000000d1").into());
    let location = text(&body, "location").to_owned();
    let tags = body.get("tags").cloned().unwrap_or_else(|| json!({}));
    let value = stored(&id, call.name(), &location, tags, guid);
    // A PUT replaces: rules it does not name are gone.
    call.world.remove(Cloud::Azure, &id);
    call.world.write(Cloud::Azure, &id, value);
    for rule in &rules {
        let name = text(rule, "name");
        write_rule(call.world, &format!("{id}/securityRules/{name}"), name, rule.get("properties").cloned().unwrap_or_default());
    }
    updating(call.world, &id);
    let group = show_group(call.world, &id).ok_or_else(|| call.missing())?;
    let status = if existing.is_some() { 200 } else { 201 };
    let response = ApiResponse { status, ..with_etag(group) };
    Ok(operation::started(&mut call, &location, response))
}

/// A group as it is kept: without its rules, which are kept by themselves.
pub(crate) fn stored(id: &str, name: &str, location: &str, tags: Value, guid: Value) -> Value {
    let mut group = envelope(id, KIND, name);
    set(&mut group, "location", location);
    set(&mut group, "tags", tags);
    set(&mut group, "etag", "W/\"00000000-0000-4000-8000-0000000000e7\"");
    set(&mut group, "properties", json!({"provisioningState": "Succeeded", "resourceGuid": guid}));
    group
}

/// A rule as it is kept: its etag is the group's.
pub(crate) fn stored_rule(id: &str, name: &str, mut properties: Value) -> Value {
    let mut rule = envelope(id, &format!("{KIND}/securityRules"), name);
    set(&mut properties, "provisioningState", "Succeeded");
    set(&mut rule, "properties", properties);
    rule
}

fn write_rule(world: &mut World, id: &str, name: &str, properties: Value) {
    let later = stored_rule(id, name, properties);
    world.write_later(Cloud::Azure, id, with_state(&later, "Updating"), later, READS);
}

/// A write of a group or a rule in it: a new etag, and Updating for a while.
fn updating(world: &mut World, id: &str) {
    if let Some(mut later) = world.settled(Cloud::Azure, id) {
        new_etag(world, &mut later);
        world.write_later(Cloud::Azure, id, with_state(&later, "Updating"), later, READS);
    }
}

fn with_state(value: &Value, state: &str) -> Value {
    let mut value = value.clone();
    if let Some(properties) = value.get_mut("properties") {
        set(properties, "provisioningState", state);
    }
    value
}

/// A read of the whole group: what is pending in it comes one read nearer.
fn read_group(world: &mut World, id: &str) -> Option<Value> {
    for rule in rule_ids(world, id) {
        world.read(Cloud::Azure, &rule);
    }
    world.read(Cloud::Azure, id)?;
    show_group(world, id)
}

fn read_rule(world: &mut World, id: &str, parent: &str) -> Option<Value> {
    world.read(Cloud::Azure, parent)?;
    world.read(Cloud::Azure, id)?;
    show_rule(world, id, parent)
}

fn show_group(world: &World, id: &str) -> Option<Value> {
    let mut group = world.peek(Cloud::Azure, id)?.clone();
    let rules: Vec<Value> = rule_ids(world, id).iter().filter_map(|rule| show_rule(world, rule, id)).collect();
    let etag = text(&group, "etag").to_owned();
    if let Some(properties) = group.get_mut("properties") {
        set(properties, "securityRules", rules);
        set(properties, "defaultSecurityRules", defaults(id, &etag));
    }
    Some(group)
}

fn show_rule(world: &World, id: &str, parent: &str) -> Option<Value> {
    let mut rule = world.peek(Cloud::Azure, id)?.clone();
    set(&mut rule, "etag", text(world.peek(Cloud::Azure, parent)?, "etag"));
    Some(rule)
}

fn rule_ids(world: &World, group: &str) -> Vec<String> {
    let prefix = format!("{}/securityrules/", group.to_ascii_lowercase());
    world.list(Cloud::Azure, &prefix).into_iter().map(|(id, _)| id).collect()
}

fn defaults(group: &str, etag: &str) -> Value {
    let rule = |(name, description, priority, access, direction, source, destination): &(&str, &str, u32, &str, &str, &str, &str)| {
        json!({
            "id": format!("{group}/defaultSecurityRules/{name}"),
            "name": name,
            "type": format!("{KIND}/defaultSecurityRules"),
            "etag": etag,
            "properties": {
                "provisioningState": "Succeeded",
                "description": description,
                "protocol": "*",
                "sourcePortRange": "*",
                "destinationPortRange": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "access": access,
                "priority": priority,
                "direction": direction,
            },
        })
    };
    DEFAULTS.iter().map(rule).collect()
}

fn with_etag(value: Value) -> ApiResponse {
    let etag = text(&value, "etag").to_owned();
    with_headers(ApiResponse::ok(value), [("etag", etag)])
}

/// `If-Match` against the etag of the group.
fn check_match(call: &Call<'_>, group: &str) -> Result<(), Stop> {
    let Some(wanted) = call.http.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("if-match")).map(|(_, v)| v.trim()) else {
        return Ok(());
    };
    let etag = call.world.peek(Cloud::Azure, group).map(|v| text(v, "etag")).unwrap_or_default();
    if (wanted == "*" && !etag.is_empty()) || wanted == etag {
        return Ok(());
    }
    let message = "The resource was changed since the etag of If-Match was read: the precondition is not met.";
    Err(refuse(412, "PreconditionFailed", message))
}

fn check_rule(world: &World, group: &str, id: &str, properties: &Value) -> Result<(), Stop> {
    check_properties(properties)?;
    let others = rule_ids(world, group).into_iter().filter(|other| !other.eq_ignore_ascii_case(id));
    let others: Vec<Value> = others.filter_map(|other| world.settled(Cloud::Azure, &other)).collect();
    check_priority(properties, others.iter())
}

fn check_rules(rules: &[Value]) -> Result<(), Stop> {
    for (at, rule) in rules.iter().enumerate() {
        if text(rule, "name").is_empty() {
            return Err(refuse(400, "InvalidRequestFormat", "Each security rule needs a name."));
        }
        let properties = rule.get("properties").unwrap_or(&Value::Null);
        check_properties(properties)?;
        check_priority(properties, rules.iter().take(at))?;
    }
    Ok(())
}

fn check_properties(properties: &Value) -> Result<(), Stop> {
    let priority = properties.get("priority").and_then(Value::as_i64).unwrap_or_default();
    if !(100..=4096).contains(&priority) {
        let message = format!("Security rule has invalid priority {priority}: it must be between 100 and 4096.");
        return Err(refuse(400, "SecurityRuleInvalidPriority", &message));
    }
    for (one, many, groups) in [
        ("sourceAddressPrefix", "sourceAddressPrefixes", "sourceApplicationSecurityGroups"),
        ("destinationAddressPrefix", "destinationAddressPrefixes", "destinationApplicationSecurityGroups"),
        ("destinationPortRange", "destinationPortRanges", ""),
        ("sourcePortRange", "sourcePortRanges", ""),
    ] {
        let lists = |name: &str| properties.get(name).and_then(Value::as_array).is_some_and(|l| !l.is_empty());
        if text(properties, one).is_empty() && !lists(many) && !lists(groups) {
            let message = format!("Security rule must specify {one} or {many}.");
            return Err(refuse(400, "SecurityRuleParameterMissing", &message));
        }
    }
    Ok(())
}

fn check_priority<'v>(properties: &Value, others: impl Iterator<Item = &'v Value>) -> Result<(), Stop> {
    let place = |p: &Value| (p.get("priority").and_then(Value::as_i64), text(p, "direction").to_owned());
    for other in others {
        if other.get("properties").map(place) == Some(place(properties)) {
            let message = format!("Security rule has the priority and direction of rule {}.", text(other, "name"));
            return Err(refuse(400, "SecurityRuleConflict", &message));
        }
    }
    Ok(())
}
