use serde_json::{Value, json};

use super::{at, google, outcome, seeded};
use crate::Sandbox;

const BUCKET: &str = "storage.googleapis.com/storage/v1/b/shop-exports";
const FIREWALL: &str = "compute.googleapis.com/compute/v1/projects/shop-prod-1/global/firewalls/allow-ssh-all";
const INSTANCE: &str = "sqladmin.googleapis.com/v1/projects/shop-prod-1/instances/shop-orders";

fn call(sandbox: &Sandbox, verb: &str, url: &str, body: Value) -> super::ApiResponse {
    google(sandbox, &format!("{verb} {url}"), (!body.is_null()).then_some(body))
}

fn get(sandbox: &Sandbox, url: &str) -> Value {
    let answer = call(sandbox, "GET", url, Value::Null);
    assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    answer.body
}

#[test]
fn missing_things_and_wrong_members_are_refused_as_google_does() {
    let sandbox = seeded();
    for (verb, url, body, expected) in [
        ("GET", "storage.googleapis.com/storage/v1/b/nobody", Value::Null, "404 notFound"),
        ("GET", "storage.googleapis.com/storage/v1/b/nobody/iam", Value::Null, "404 notFound"),
        ("GET", "compute.googleapis.com/compute/v1/projects/shop-prod-1/global/firewalls/nobody", Value::Null, "404 notFound"),
        ("GET", "compute.googleapis.com/compute/v1/projects/other/global/firewalls/allow-ssh-all", Value::Null, "404 notFound"),
        ("GET", "sqladmin.googleapis.com/v1/projects/shop-prod-1/instances/nobody", Value::Null, "404 instanceDoesNotExist"),
        ("GET", "sqladmin.googleapis.com/v1/projects/shop-prod-1/operations/nobody", Value::Null, "404 notFound"),
        ("GET", "compute.googleapis.com/compute/v1/projects/shop-prod-1/global/operations/nobody", Value::Null, "404 notFound"),
        ("PATCH", BUCKET, json!({"iamConfig": {}}), "400 invalid"),
        ("PATCH", BUCKET, json!({"iamConfiguration": {"publicAccessPrevention": "on"}}), "400 invalid"),
        ("PATCH", BUCKET, Value::Null, "400 required"),
        ("PUT", &format!("{BUCKET}/iam"), json!({"bindings": [{"role": "r"}]}), "400 invalid"),
        ("PATCH", FIREWALL, json!({"disabled": "yes"}), "400 invalid"),
        ("PATCH", FIREWALL, json!({"direction": "EGRESS"}), "400 invalid"),
        ("PATCH", INSTANCE, json!({"settings": {"ipConfiguration": {"sslMode": "ON"}}}), "400 invalid"),
    ] {
        let answer = call(&sandbox, verb, url, body.clone());
        assert_eq!(outcome(&answer), expected, "{verb} {url} {body}");
        assert_eq!(at(&answer.body, "/error/errors/0/reason"), expected.split_once(' ').unwrap().1);
    }
}

#[test]
fn a_bucket_patch_merges_and_its_generation_is_a_lock() {
    let sandbox = seeded();
    let before = get(&sandbox, BUCKET);
    assert_eq!(before["metageneration"], "3");
    let enforce = json!({"iamConfiguration": {"publicAccessPrevention": "enforced"}});
    let stale = call(&sandbox, "PATCH", &format!("{BUCKET}?ifMetagenerationMatch=2"), enforce.clone());
    assert_eq!(outcome(&stale), "412 conditionNotMet");
    let answer = call(&sandbox, "PATCH", &format!("{BUCKET}?ifMetagenerationMatch=3"), enforce);
    assert_eq!(answer.status, 200);
    let after = get(&sandbox, BUCKET);
    assert_eq!(after["metageneration"], "4");
    assert_ne!(after["etag"], before["etag"]);
    assert_eq!(at(&after, "/iamConfiguration/publicAccessPrevention"), "enforced");
    assert_eq!(at(&after, "/iamConfiguration/uniformBucketLevelAccess/enabled"), true, "what the PATCH does not name stays");
    call(&sandbox, "PATCH", BUCKET, json!({"labels": {"team": null, "a": "b"}}));
    assert_eq!(get(&sandbox, BUCKET)["labels"], json!({"a": "b"}), "null removes");
}

#[test]
fn a_policy_is_replaced_whole_under_its_etag() {
    let sandbox = seeded();
    let url = format!("{BUCKET}/iam");
    let policy = get(&sandbox, &format!("{url}?optionsRequestedPolicyVersion=3"));
    let mut closed = policy.clone();
    closed["bindings"][0]["members"].as_array_mut().unwrap().retain(|m| m != "allUsers");
    closed["bindings"].as_array_mut().unwrap().push(json!({"role": "roles/storage.objectUser", "members": []}));
    let answer = call(&sandbox, "PUT", &url, closed.clone());
    assert_eq!(answer.status, 200);
    let after = get(&sandbox, &url);
    assert_eq!(after["bindings"].as_array().unwrap().len(), 2, "a binding without members is not kept");
    assert_eq!(at(&after, "/bindings/0/members"), &json!(["serviceAccount:reports@shop-prod-1.iam.gserviceaccount.com"]));
    assert_ne!(after["etag"], policy["etag"]);
    assert_eq!(outcome(&call(&sandbox, "PUT", &url, closed)), "412 conditionNotMet", "the old etag is spent");
}

#[test]
fn prevention_of_public_access_refuses_public_members() {
    let sandbox = seeded();
    call(&sandbox, "PATCH", BUCKET, json!({"iamConfiguration": {"publicAccessPrevention": "enforced"}}));
    let policy = json!({"bindings": [{"role": "roles/storage.objectViewer", "members": ["allAuthenticatedUsers"]}]});
    assert_eq!(outcome(&call(&sandbox, "PUT", &format!("{BUCKET}/iam"), policy)), "412 conditionNotMet");
}

#[test]
fn conditions_are_hidden_from_who_does_not_ask_for_version_3() {
    let sandbox = seeded();
    let url = format!("{BUCKET}/iam");
    let condition = json!({"title": "until", "expression": "request.time < timestamp('2027-01-01T00:00:00Z')"});
    let binding = json!({"role": "roles/storage.objectViewer", "members": ["user:a@example.com"], "condition": condition});
    call(&sandbox, "PUT", &url, json!({"version": 3, "bindings": [binding]}));
    let plain = get(&sandbox, &url);
    assert_eq!((&plain["version"], plain["bindings"][0].get("condition")), (&json!(1), None));
    assert!(plain["bindings"][0]["role"].as_str().unwrap().contains("_withcond_"));
    let full = get(&sandbox, &format!("{url}?optionsRequestedPolicyVersion=3"));
    assert_eq!((&full["version"], &full["bindings"][0]["condition"]), (&json!(3), &condition));
}

#[test]
fn a_firewall_answers_to_name_and_number_and_changes_after_one_read() {
    let sandbox = seeded();
    let numbered = FIREWALL.replace("allow-ssh-all", "4455667788990011223");
    assert_eq!(get(&sandbox, FIREWALL), get(&sandbox, &numbered));
    let operation = call(&sandbox, "PATCH", &numbered, json!({"sourceRanges": ["10.0.0.0/8"]})).body;
    assert_eq!((&operation["status"], &operation["targetId"]), (&json!("RUNNING"), &json!("4455667788990011223")));
    assert_eq!(get(&sandbox, FIREWALL)["sourceRanges"], json!(["0.0.0.0/0", "10.0.0.0/8"]));
    let after = get(&sandbox, FIREWALL);
    assert_eq!((&after["sourceRanges"], &after["disabled"]), (&json!(["10.0.0.0/8"]), &json!(false)), "lists are replaced, the rest stays");
    let name = operation["name"].as_str().unwrap();
    let polled = get(&sandbox, &format!("compute.googleapis.com/compute/v1/projects/shop-prod-1/global/operations/{name}"));
    assert_eq!((&polled["status"], &polled["progress"]), (&json!("DONE"), &json!(100)));
}

#[test]
fn the_same_request_id_is_one_change() {
    let sandbox = seeded();
    let url = format!("{FIREWALL}?requestId=11111111-2222-4333-8444-555555555555");
    let first = call(&sandbox, "PATCH", &url, json!({"disabled": true})).body;
    assert_eq!(call(&sandbox, "PATCH", &url, json!({"disabled": true})).body, first);
    let other = call(&sandbox, "PATCH", FIREWALL, json!({"disabled": true})).body;
    assert_ne!(other["name"], first["name"]);
}

#[test]
fn a_sql_instance_takes_one_change_at_a_time_and_shows_it_after_two_reads() {
    let sandbox = seeded();
    let patch = |version: Value| json!({"settings": {"settingsVersion": version, "ipConfiguration": {"sslMode": "ENCRYPTED_ONLY"}}});
    assert_eq!(outcome(&call(&sandbox, "PATCH", INSTANCE, patch(json!("6")))), "412 staleData");
    let operation = call(&sandbox, "PATCH", INSTANCE, patch(json!("7"))).body;
    assert_eq!((&operation["status"], &operation["operationType"]), (&json!("PENDING"), &json!("UPDATE")));
    let modes: Vec<(String, String)> = (0..3)
        .map(|_| get(&sandbox, INSTANCE))
        .map(|i| (at(&i, "/settings/ipConfiguration/sslMode").to_string(), at(&i, "/settings/settingsVersion").to_string()))
        .collect();
    let old = ("\"ALLOW_UNENCRYPTED_AND_ENCRYPTED\"".to_owned(), "\"7\"".to_owned());
    assert_eq!(modes, [old.clone(), old, ("\"ENCRYPTED_ONLY\"".to_owned(), "\"8\"".to_owned())]);
    let after = get(&sandbox, INSTANCE);
    assert_eq!(at(&after, "/settings/ipConfiguration/ipv4Enabled"), true, "what the PATCH does not name stays");
    let name = operation["name"].as_str().unwrap();
    let polled = get(&sandbox, &format!("sqladmin.googleapis.com/v1/projects/shop-prod-1/operations/{name}"));
    assert_eq!(polled["status"], "DONE");
    assert_eq!(call(&sandbox, "PATCH", INSTANCE, patch(json!(8))).status, 200, "a number is taken for the version too");
}

#[test]
fn a_busy_sql_instance_refuses_until_it_is_done() {
    let sandbox = seeded();
    let patch = || json!({"settings": {"deletionProtectionEnabled": true}});
    call(&sandbox, "PATCH", INSTANCE, patch());
    let seen: Vec<String> = (0..3).map(|_| outcome(&call(&sandbox, "PATCH", INSTANCE, patch()))).collect();
    assert_eq!(seen, ["409 operationInProgress", "409 operationInProgress", "200 -"]);
}
