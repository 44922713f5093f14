//! Compute Engine firewall rules, by name or number. A PATCH answers an operation; the change shows after one read.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;

use super::{body, not_simulated, refuse};
use crate::shape::Shape::{self, Any, Bool, Int, List, Object, OneOf, ReadOnly, Text};
use crate::world::{Answer, FAILED, Stop, World, merge_patch, set, text};

const API: &str = "https://www.googleapis.com/compute/v1";
/// Reads after a write that still show the old rule.
const READS: u32 = 1;

const PROTOCOLS: Shape = List(&Object(&[("IPProtocol*", Text), ("ports", List(&Text))]));
const FIREWALL: Shape = Object(&[
    ("allowed", PROTOCOLS),
    ("denied", PROTOCOLS),
    ("description", Text),
    ("destinationRanges", List(&Text)),
    ("direction", OneOf(&["INGRESS", "EGRESS"])),
    ("disabled", Bool),
    ("logConfig", Object(&[("enable", Bool), ("metadata", OneOf(&["EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA"]))])),
    ("name", Text),
    ("network", Text),
    ("params", Any),
    ("priority", Int),
    ("sourceRanges", List(&Text)),
    ("sourceServiceAccounts", List(&Text)),
    ("sourceTags", List(&Text)),
    ("targetServiceAccounts", List(&Text)),
    ("targetTags", List(&Text)),
    ("creationTimestamp", ReadOnly),
    ("id", ReadOnly),
    ("kind", ReadOnly),
    ("selfLink", ReadOnly),
]);
/// What cannot change after creation.
const FIXED: &[&str] = &["direction", "name", "network"];

pub(super) fn firewall(world: &mut World, http: &HttpCall, project: &str, firewall: &str) -> Answer {
    let prefix = format!("//compute.googleapis.com/projects/{project}/global/firewalls/");
    let listed = world.list(Cloud::Gcp, &prefix);
    let id = listed.into_iter().find(|(id, v)| text(v, "name") == firewall || id.strip_prefix(&prefix) == Some(firewall)).map(|(id, _)| id);
    let missing = || refuse(404, "notFound", &format!("The resource 'projects/{project}/global/firewalls/{firewall}' was not found"));
    let id = id.ok_or_else(missing)?;
    match http.method {
        Method::Get => world.read(Cloud::Gcp, &id).map(ApiResponse::ok).ok_or_else(missing),
        Method::Patch => {
            let mut patch = body(http, FIREWALL)?;
            if let Some(operation) = repeated(world, http) {
                return Ok(ApiResponse::ok(operation));
            }
            let held = world.settled(Cloud::Gcp, &id).ok_or_else(missing)?;
            check(&held, &patch)?;
            if let Value::Object(patch) = &mut patch {
                patch.retain(|name, _| !matches!(name.as_str(), "creationTimestamp" | "id" | "kind" | "selfLink"));
            }
            let mut later = held.clone();
            merge_patch(&mut later, &patch);
            world.write_later(Cloud::Gcp, &id, held.clone(), later, READS);
            Ok(ApiResponse::ok(start(world, http, project, &id, &held)))
        }
        _ => Err(not_simulated(http)),
    }
}

/// An operation; asking about it, or waiting for it, counts as a read of the rule.
pub(super) fn operation(world: &mut World, project: &str, name: &str) -> Answer {
    let Some(operation) = world.operations.get(name).cloned() else {
        let message = format!("The resource 'projects/{project}/global/operations/{name}' was not found");
        return Err(refuse(404, "notFound", &message));
    };
    world.read(Cloud::Gcp, &operation.target);
    let mut body = operation.body;
    if !world.is_pending(Cloud::Gcp, &operation.target) {
        set(&mut body, "status", "DONE");
        set(&mut body, "progress", 100);
        set(&mut body, "endTime", world.now_text());
        if operation.fails {
            set(&mut body, "error", json!({"errors": [{"code": FAILED.0, "message": FAILED.1}]}));
            set(&mut body, "httpErrorStatusCode", 409);
            set(&mut body, "httpErrorMessage", "CONFLICT");
        }
    }
    Ok(ApiResponse::ok(body))
}

fn start(world: &mut World, http: &HttpCall, project: &str, id: &str, firewall: &Value) -> Value {
    let number = 7_000_000_000_000_000_000 + world.next();
    let now = world.now_text();
    let name = format!("operation-{number}");
    let mut body = json!({
        "kind": "compute#operation",
        "id": number.to_string(),
        "name": name,
        "operationType": "patch",
        "targetLink": text(firewall, "selfLink"),
        "targetId": text(firewall, "id"),
        "status": "RUNNING",
        "user": "stanch@shop-prod-1.iam.gserviceaccount.com",
        "progress": 0,
        "insertTime": now,
        "startTime": now,
        "selfLink": format!("{API}/projects/{project}/global/operations/{name}"),
    });
    if let Some(request) = http.query.get("requestId") {
        set(&mut body, "clientOperationId", request.as_str());
    }
    world.start(name, id, body.clone());
    body
}

/// The operation a request id has started already: the same request twice is the same as once.
fn repeated(world: &World, http: &HttpCall) -> Option<Value> {
    let request = http.query.get("requestId")?;
    world.operations.values().map(|o| &o.body).find(|body| text(body, "clientOperationId") == request).cloned()
}

fn check(held: &Value, patch: &Value) -> Result<(), Stop> {
    let changed = FIXED.iter().find(|name| patch.get(**name).is_some_and(|v| !v.is_null() && Some(v) != held.get(**name)));
    match changed {
        Some(name) => Err(refuse(400, "invalid", &format!("Invalid value for field 'resource.{name}': it cannot be changed."))),
        None => Ok(()),
    }
}
