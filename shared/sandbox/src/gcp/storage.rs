//! Cloud Storage buckets and their IAM policies: writes take effect at once.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;

use super::{body, not_simulated, refuse};
use crate::shape::Shape::{self, Any, Bool, Int, List, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, Stop, World, merge_patch, set, text};

const SWITCH: Shape = Object(&[("enabled", Bool), ("lockedTime", ReadOnly)]);
const BUCKET: Shape = Object(&[
    ("cors", Any),
    ("defaultEventBasedHold", Bool),
    ("encryption", Any),
    (
        "iamConfiguration",
        Object(&[
            ("publicAccessPrevention", OneOf(&["enforced", "inherited"])),
            ("uniformBucketLevelAccess", SWITCH),
            ("bucketPolicyOnly", SWITCH),
        ]),
    ),
    ("labels", Texts),
    ("lifecycle", Any),
    ("logging", Object(&[("logBucket", Text), ("logObjectPrefix", Text)])),
    ("retentionPolicy", Any),
    ("softDeletePolicy", Any),
    ("storageClass", Text),
    ("versioning", Object(&[("enabled", Bool)])),
    ("website", Any),
    ("etag", ReadOnly),
    ("id", ReadOnly),
    ("kind", ReadOnly),
    ("location", ReadOnly),
    ("metageneration", ReadOnly),
    ("name", ReadOnly),
    ("projectNumber", ReadOnly),
    ("selfLink", ReadOnly),
]);
const CONDITION: Shape = Object(&[("description", Text), ("expression", Text), ("location", Text), ("title", Text)]);
const BINDING: Shape = Object(&[("condition", CONDITION), ("members*", List(&Text)), ("role*", Text)]);
const POLICY: Shape =
    Object(&[("bindings", List(&BINDING)), ("etag", Text), ("kind", ReadOnly), ("resourceId", ReadOnly), ("version", Int)]);

const PUBLIC: &[&str] = &["allUsers", "allAuthenticatedUsers"];

pub(super) fn bucket(world: &mut World, http: &HttpCall, name: &str) -> Answer {
    let id = format!("//storage.googleapis.com/{name}");
    let mut bucket = world.read(Cloud::Gcp, &id).ok_or_else(missing)?;
    check_generation(http, &bucket)?;
    match http.method {
        Method::Get => Ok(ApiResponse::ok(bucket)),
        Method::Patch => {
            let patch = body(http, BUCKET)?;
            merge_patch(&mut bucket, &changes(patch));
            super::new_tokens(world, &mut bucket);
            world.write(Cloud::Gcp, &id, bucket.clone());
            Ok(ApiResponse::ok(bucket))
        }
        _ => Err(not_simulated(http)),
    }
}

pub(super) fn policy(world: &mut World, http: &HttpCall, name: &str) -> Answer {
    let bucket_id = format!("//storage.googleapis.com/{name}");
    let bucket = world.peek(Cloud::Gcp, &bucket_id).ok_or_else(missing)?;
    let prevented = bucket.pointer("/iamConfiguration/publicAccessPrevention") == Some(&Value::from("enforced"));
    let id = format!("{bucket_id}/iam");
    let held = world.read(Cloud::Gcp, &id);
    let held = held.unwrap_or_else(|| json!({"kind": "storage#policy", "etag": "CAE=", "version": 1, "bindings": []}));
    match http.method {
        Method::Get => Ok(ApiResponse::ok(shown(held, http))),
        Method::Put => {
            let given = body(http, POLICY)?;
            let etag = text(&given, "etag");
            if !etag.is_empty() && etag != text(&held, "etag") {
                return Err(refuse(412, "conditionNotMet", "The policy was changed since it was read: its etag does not match."));
            }
            if prevented && is_public(&given) {
                let message = "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is \
                               enforced.";
                return Err(refuse(412, "conditionNotMet", message));
            }
            let mut policy = json!({"kind": "storage#policy", "resourceId": format!("projects/_/buckets/{name}"), "etag": ""});
            set(&mut policy, "version", given.get("version").cloned().unwrap_or_else(|| 1.into()));
            set(&mut policy, "bindings", bindings(&given));
            super::new_tokens(world, &mut policy);
            world.write(Cloud::Gcp, &id, policy.clone());
            Ok(ApiResponse::ok(policy))
        }
        _ => Err(not_simulated(http)),
    }
}

fn missing() -> Stop {
    refuse(404, "notFound", "The specified bucket does not exist.")
}

fn check_generation(http: &HttpCall, bucket: &Value) -> Result<(), Stop> {
    match http.query.get("ifMetagenerationMatch") {
        Some(wanted) if wanted != text(bucket, "metageneration") => {
            Err(refuse(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."))
        }
        _ => Ok(()),
    }
}

/// What a PATCH changes: its writable members, with the nulls that remove.
fn changes(mut patch: Value) -> Value {
    if let Value::Object(patch) = &mut patch {
        for name in ["etag", "id", "kind", "location", "metageneration", "name", "projectNumber", "selfLink"] {
            patch.remove(name);
        }
    }
    patch
}

/// Without version 3 in the request, conditions are hidden and their roles get a suffix that makes them useless for a PUT.
fn shown(mut policy: Value, http: &HttpCall) -> Value {
    let asked = http.query.get("optionsRequestedPolicyVersion").is_some_and(|v| v == "3");
    let Some(Value::Array(bindings)) = policy.get_mut("bindings") else { return policy };
    let mut hidden = false;
    for binding in bindings.iter_mut().filter(|b| !asked && b.get("condition").is_some()) {
        let role = format!("{}_withcond_0123456789abcdef0123", text(binding, "role"));
        *binding = json!({"role": role, "members": binding.get("members")});
        hidden = true;
    }
    if hidden {
        set(&mut policy, "version", 1);
    }
    policy
}

fn bindings(given: &Value) -> Value {
    let Some(Value::Array(bindings)) = given.get("bindings") else { return json!([]) };
    let non_empty = bindings.iter().filter(|b| b.get("members").and_then(Value::as_array).is_some_and(|m| !m.is_empty()));
    non_empty
        .map(|b| match b.get("condition").filter(|c| !c.is_null()) {
            Some(condition) => json!({"role": b.get("role"), "members": b.get("members"), "condition": condition}),
            None => json!({"role": b.get("role"), "members": b.get("members")}),
        })
        .collect()
}

fn is_public(policy: &Value) -> bool {
    let bindings = policy.get("bindings").and_then(Value::as_array).into_iter().flatten();
    let mut members = bindings.filter_map(|b| b.get("members")?.as_array()).flatten();
    members.any(|m| m.as_str().is_some_and(|m| PUBLIC.contains(&m)))
}
