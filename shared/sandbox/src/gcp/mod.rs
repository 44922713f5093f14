//! Google APIs: what is common to Cloud Storage, Compute Engine and Cloud SQL.

mod compute;
mod sqladmin;
mod storage;

use serde_json::{Value, json};
use stanch_core::api::{ApiFault, ApiResponse, HttpCall};

use crate::shape::{Null, Shape};
use crate::world::{Answer, Stop, World, set, text};

/// A failed call, in the form of the Google APIs; `reason` is what tells faults of one status apart.
pub(crate) fn error(status: u16, reason: &str, message: &str) -> ApiResponse {
    ApiResponse {
        status,
        body: json!({"error": {"code": status, "message": message, "errors": [{"domain": "global", "message": message, "reason": reason}]}}),
        fault: Some(ApiFault { code: reason.to_owned(), message: message.to_owned() }),
        ..ApiResponse::default()
    }
}

/// Plays one call.
pub(crate) fn answer(world: &mut World, http: &HttpCall) -> Answer {
    let segments: Vec<&str> = http.path.trim_matches('/').split('/').collect();
    match (http.host.as_str(), segments.as_slice()) {
        ("storage.googleapis.com", ["storage", "v1", "b", bucket]) => storage::bucket(world, http, bucket),
        ("storage.googleapis.com", ["storage", "v1", "b", bucket, "iam"]) => storage::policy(world, http, bucket),
        ("compute.googleapis.com", ["compute", "v1", "projects", project, "global", "firewalls", firewall]) => {
            compute::firewall(world, http, project, firewall)
        }
        // The links of operations name the older host.
        ("compute.googleapis.com" | "www.googleapis.com", ["compute", "v1", "projects", project, "global", "operations", name, ..]) => {
            compute::operation(world, project, name)
        }
        ("sqladmin.googleapis.com", ["v1" | "sql", .., "projects", project, "instances", instance]) => {
            sqladmin::instance(world, http, project, instance)
        }
        ("sqladmin.googleapis.com", ["v1" | "sql", .., "projects", _, "operations", name]) => sqladmin::operation(world, name),
        (host, _) => Err(Stop::NotSimulated(format!("the sandbox does not play {host}{}", http.path))),
    }
}

/// New concurrency tokens for a value that was changed: the etag of a policy, etag and generation of a bucket, the version of
/// an instance's settings.
pub(crate) fn new_tokens(world: &mut World, value: &mut Value) {
    let number = world.next();
    let bump = |text: &str| text.parse::<u64>().map(|n| (n + 1).to_string());
    if value.get("etag").is_some() {
        set(value, "etag", format!("Bw{number:06X}"));
    }
    if let Ok(next) = bump(text(value, "metageneration")) {
        set(value, "metageneration", next);
        set(value, "updated", world.now_text());
    }
    if let Some(settings) = value.get_mut("settings")
        && let Ok(next) = bump(text(settings, "settingsVersion"))
    {
        set(settings, "settingsVersion", next);
    }
}

fn refuse(status: u16, reason: &str, message: &str) -> Stop {
    error(status, reason, message).into()
}

/// The body, checked against what the call takes. Nulls stay: in a PATCH they remove.
fn body(http: &HttpCall, shape: Shape) -> Result<Value, Stop> {
    let body = http.body.as_ref().ok_or_else(|| refuse(400, "required", "Required: a body."))?;
    match shape.problem(body, "", Null::Absent) {
        Some(problem) => Err(refuse(400, "invalid", &format!("Invalid JSON payload received: {problem}."))),
        None => Ok(body.clone()),
    }
}

fn not_simulated(http: &HttpCall) -> Stop {
    Stop::NotSimulated(format!("the sandbox does not play {} {}{}", http.method.as_str(), http.host, http.path))
}
