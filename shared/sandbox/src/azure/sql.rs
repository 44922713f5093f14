//! Microsoft.Sql/servers and their firewall rules. A server's writes are accepted and take effect after two reads; rules are
//! written at once.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, envelope, operation, patched, refuse};
use crate::shape::Shape::{self, Any, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, Stop, set, text, unset};

/// Reads after a write that still show the old server.
const READS: u32 = 2;
const BUSY: &str = "ConflictingServerOperation";

const SWITCH: Shape = OneOf(&["Enabled", "Disabled", "SecuredByPerimeter"]);
const PROPERTIES: Shape = Object(&[
    ("administratorLogin", Text),
    ("administratorLoginPassword", Text),
    ("administrators", Any),
    ("federatedClientId", Text),
    ("keyId", Text),
    ("minimalTlsVersion", OneOf(&["None", "1.0", "1.1", "1.2", "1.3"])),
    ("primaryUserAssignedIdentityId", Text),
    ("publicNetworkAccess", SWITCH),
    ("restrictOutboundNetworkAccess", OneOf(&["Enabled", "Disabled"])),
    ("version", Text),
    ("fullyQualifiedDomainName", ReadOnly),
    ("privateEndpointConnections", ReadOnly),
    ("state", ReadOnly),
    ("workspaceFeature", ReadOnly),
]);
const PATCH: Shape = Object(&[("identity", Any), ("properties", PROPERTIES), ("tags", Texts)]);
const PUT: Shape = Object(&[
    ("id", ReadOnly),
    ("kind", ReadOnly),
    ("name", ReadOnly),
    ("type", ReadOnly),
    ("identity", Any),
    ("location*", Text),
    ("properties", PROPERTIES),
    ("tags", Texts),
]);
const RULE: Shape = Object(&[
    ("id", ReadOnly),
    ("name", Text),
    ("type", ReadOnly),
    ("properties*", Object(&[("startIpAddress*", Text), ("endIpAddress*", Text)])),
]);

pub(super) fn server(mut call: Call<'_>) -> Answer {
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => call.collection(),
        (Method::Get, false) => call.read().map(ApiResponse::ok),
        (Method::Patch, false) => {
            let body = call.body(PATCH)?;
            operation::idle(&mut call, BUSY)?;
            let server = call.read()?;
            Ok(change(&mut call, server, &body))
        }
        (Method::Put, false) => {
            let body = call.body(PUT)?;
            operation::idle(&mut call, BUSY)?;
            let id = call.id();
            if let Some(server) = call.world.read(Cloud::Azure, &id) {
                return Ok(change(&mut call, server, &body));
            }
            let server = patched(new(&id, call.name(), text(&body, "location")), &body);
            call.world.write(Cloud::Azure, &id, without_password(server));
            Ok(accepted(&mut call, text(&body, "location")))
        }
        (Method::Delete, false) => Ok(operation::delete(&mut call)),
        _ => call.not_allowed(),
    }
}

pub(super) fn firewall_rule(mut call: Call<'_>) -> Answer {
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => call.collection(),
        (Method::Get, false) => {
            let name = call.name().to_owned();
            let missing = format!("The requested resource of type 'Microsoft.Sql/servers/firewallRules' with name '{name}' was not found.");
            call.parent()?;
            let id = call.id();
            call.world.read(Cloud::Azure, &id).map(ApiResponse::ok).ok_or_else(|| refuse(404, "ResourceNotFound", &missing))
        }
        (Method::Put, false) => {
            let body = call.body(RULE)?;
            call.parent()?;
            let properties = body.get("properties").cloned().unwrap_or_default();
            check_range(&properties)?;
            let id = call.id();
            let mut rule = envelope(&id, "Microsoft.Sql/servers/firewallRules", call.name());
            set(&mut rule, "properties", properties);
            let status = if call.world.peek(Cloud::Azure, &id).is_some() { 200 } else { 201 };
            call.world.write(Cloud::Azure, &id, rule.clone());
            Ok(ApiResponse { status, ..ApiResponse::ok(rule) })
        }
        (Method::Delete, false) => {
            call.parent()?;
            Ok(call.delete(200))
        }
        _ => call.not_allowed(),
    }
}

fn change(call: &mut Call<'_>, server: Value, body: &Value) -> ApiResponse {
    let id = call.id();
    let location = text(&server, "location").to_owned();
    let later = without_password(patched(server.clone(), body));
    call.world.write_later(Cloud::Azure, &id, server, later, READS);
    accepted(call, &location)
}

fn accepted(call: &mut Call<'_>, location: &str) -> ApiResponse {
    operation::started(call, location, ApiResponse { status: 202, ..ApiResponse::default() })
}

fn new(id: &str, name: &str, location: &str) -> Value {
    let mut server = envelope(id, "Microsoft.Sql/servers", name);
    set(&mut server, "kind", "v12.0");
    set(&mut server, "location", location);
    set(
        &mut server,
        "properties",
        json!({
            "version": "12.0",
            "state": "Ready",
            "fullyQualifiedDomainName": format!("{name}.database.windows.net"),
            "privateEndpointConnections": [],
            "minimalTlsVersion": "1.2",
            "publicNetworkAccess": "Enabled",
            "restrictOutboundNetworkAccess": "Disabled",
        }),
    );
    server
}

fn without_password(mut server: Value) -> Value {
    if let Some(properties) = server.get_mut("properties") {
        unset(properties, "administratorLoginPassword");
    }
    server
}

fn check_range(properties: &Value) -> Result<(), Stop> {
    let address = |member: &str| text(properties, member).parse::<std::net::Ipv4Addr>();
    match (address("startIpAddress"), address("endIpAddress")) {
        (Ok(start), Ok(end)) if start <= end => Ok(()),
        (Ok(_), Ok(_)) => Err(refuse(400, "FirewallRuleInvalidRange", "The end IP address must not be smaller than the start IP address.")),
        _ => Err(refuse(400, "InvalidIpAddress", "Start and end of a firewall rule must be IPv4 addresses.")),
    }
}
