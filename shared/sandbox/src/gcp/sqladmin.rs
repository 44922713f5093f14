//! Cloud SQL instances: one write at a time, visible after two reads, guarded by the version of the settings.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;

use super::{body, not_simulated, refuse};
use crate::shape::Shape::{self, Any, Bool, List, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, FAILED, World, merge_patch, set, time_text};

/// Reads after a write that still show the old instance.
const READS: u32 = 2;

const NETWORK: Shape = Object(&[("expirationTime", Text), ("kind", ReadOnly), ("name", Text), ("value*", Text)]);
const IP: Shape = Object(&[
    ("allocatedIpRange", Text),
    ("authorizedNetworks", List(&NETWORK)),
    ("enablePrivatePathForGoogleCloudServices", Bool),
    ("ipv4Enabled", Bool),
    ("privateNetwork", Text),
    ("requireSsl", Bool),
    ("serverCaMode", Text),
    ("sslMode", OneOf(&["ALLOW_UNENCRYPTED_AND_ENCRYPTED", "ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"])),
]);
const SETTINGS: Shape = Object(&[
    ("activationPolicy", OneOf(&["ALWAYS", "NEVER", "ON_DEMAND"])),
    ("availabilityType", OneOf(&["ZONAL", "REGIONAL"])),
    ("backupConfiguration", Any),
    ("connectorEnforcement", OneOf(&["NOT_REQUIRED", "REQUIRED"])),
    ("databaseFlags", List(&Object(&[("name*", Text), ("value", Text)]))),
    ("deletionProtectionEnabled", Bool),
    ("insightsConfig", Any),
    ("ipConfiguration", IP),
    ("kind", ReadOnly),
    ("maintenanceWindow", Any),
    ("passwordValidationPolicy", Any),
    // A number in 64 bits: text in JSON, and taken as a number too.
    ("settingsVersion", Any),
    ("storageAutoResize", Bool),
    ("userLabels", Texts),
]);
const INSTANCE: Shape = Object(&[("kind", ReadOnly), ("name", ReadOnly), ("project", ReadOnly), ("settings*", SETTINGS)]);

pub(super) fn instance(world: &mut World, http: &HttpCall, project: &str, name: &str) -> Answer {
    let id = format!("//cloudsql.googleapis.com/projects/{project}/instances/{name}");
    let missing = || refuse(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.");
    if world.peek(Cloud::Gcp, &id).is_none() {
        return Err(missing());
    }
    match http.method {
        Method::Get => world.read(Cloud::Gcp, &id).map(ApiResponse::ok).ok_or_else(missing),
        Method::Patch => {
            let patch = body(http, INSTANCE)?;
            // Being refused takes time too, so that trying again comes through.
            if world.is_pending(Cloud::Gcp, &id) {
                world.read(Cloud::Gcp, &id);
            }
            if world.is_pending(Cloud::Gcp, &id) {
                let message = "Operation failed because another operation was already in progress.";
                return Err(refuse(409, "operationInProgress", message));
            }
            let held = world.settled(Cloud::Gcp, &id).ok_or_else(missing)?;
            let version = held.pointer("/settings/settingsVersion").and_then(Value::as_str).unwrap_or_default();
            let stale = match patch.pointer("/settings/settingsVersion") {
                Some(Value::String(given)) => given != version,
                Some(Value::Number(given)) => given.to_string() != version,
                _ => false,
            };
            if stale {
                return Err(refuse(412, "staleData", "Condition does not match."));
            }
            let mut later = held.clone();
            if let Some(settings) = later.get_mut("settings") {
                let mut changes = patch.get("settings").cloned().unwrap_or_default();
                set(&mut changes, "settingsVersion", version);
                merge_patch(settings, &changes);
            }
            super::new_tokens(world, &mut later);
            world.write_later(Cloud::Gcp, &id, held, later, READS);
            Ok(ApiResponse::ok(start(world, project, name, &id)))
        }
        _ => Err(not_simulated(http)),
    }
}

/// An operation; asking about it counts as a read of the instance.
pub(super) fn operation(world: &mut World, name: &str) -> Answer {
    let Some(operation) = world.operations.get(name).cloned() else {
        return Err(refuse(404, "notFound", "The Cloud SQL operation does not exist."));
    };
    world.read(Cloud::Gcp, &operation.target);
    let mut body = operation.body;
    set(&mut body, "startTime", time_text(operation.started));
    if world.is_pending(Cloud::Gcp, &operation.target) {
        set(&mut body, "status", "RUNNING");
    } else {
        set(&mut body, "status", "DONE");
        set(&mut body, "endTime", world.now_text());
        if operation.fails {
            let error = json!({"kind": "sql#operationError", "code": FAILED.0, "message": FAILED.1});
            set(&mut body, "error", json!({"kind": "sql#operationErrors", "errors": [error]}));
        }
    }
    Ok(ApiResponse::ok(body))
}

fn start(world: &mut World, project: &str, instance: &str, id: &str) -> Value {
    const API: &str = "https://sqladmin.googleapis.com/sql/v1beta4";
    let name = format!("{:08x}-0000-4000-8000-00000000cafe", world.next());
    let body = json!({
        "kind": "sql#operation",
        "name": name,
        "operationType": "UPDATE",
        "status": "PENDING",
        "targetId": instance,
        "targetProject": project,
        "targetLink": format!("{API}/projects/{project}/instances/{instance}"),
        "selfLink": format!("{API}/projects/{project}/operations/{name}"),
        "insertTime": world.now_text(),
        "user": "stanch@shop-prod-1.iam.gserviceaccount.com",
    });
    world.start(name, id, body.clone());
    body
}
