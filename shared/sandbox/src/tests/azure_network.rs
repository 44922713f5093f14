use serde_json::{Value, json};
use stanch_core::api::{ApiCall, ApiResponse};
use stanch_core::cloud::Cloud;

use super::{ARM, SUBSCRIPTION, arm, arm_request, at, http, outcome, seeded, send};
use crate::Sandbox;

const GROUP: &str = "Microsoft.Network/networkSecurityGroups/shop-nsg";

fn rule_path(name: &str) -> String {
    format!("{GROUP}/securityRules/{name}")
}

fn get(sandbox: &Sandbox, path: &str) -> ApiResponse {
    arm(sandbox, &format!("GET {path}"), None)
}

fn put(sandbox: &Sandbox, path: &str, etag: &str, body: Value) -> ApiResponse {
    let mut request = arm_request(&format!("PUT {path}"), Some(body));
    if let ApiCall::Http(http) = &mut request.call {
        http.headers.insert("If-Match".to_owned(), etag.to_owned());
    }
    send(sandbox, &request).unwrap()
}

fn rule(priority: u32, source: &str) -> Value {
    json!({"properties": {
        "protocol": "Tcp", "sourcePortRange": "*", "destinationPortRange": "22", "sourceAddressPrefix": source,
        "destinationAddressPrefix": "*", "access": "Allow", "priority": priority, "direction": "Inbound",
    }})
}

#[test]
fn a_group_shows_its_rules_and_the_defaults_under_one_etag() {
    let sandbox = seeded();
    let answer = get(&sandbox, GROUP);
    let group = &answer.body;
    let names: Vec<&str> = at(group, "/properties/securityRules").as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["AllowSSHFromAnywhere", "AllowSSHFromOffice"]);
    assert_eq!(at(group, "/properties/defaultSecurityRules").as_array().unwrap().len(), 6);
    assert_eq!(answer.headers["etag"], group["etag"].as_str().unwrap());
    let one = get(&sandbox, &rule_path("AllowSSHFromAnywhere"));
    assert_eq!((one.headers["etag"].as_str(), &one.body["etag"]), (group["etag"].as_str().unwrap(), &group["etag"]));
    assert_eq!(&one.body, at(group, "/properties/securityRules/0"));
    let listed = get(&sandbox, &format!("{GROUP}/securityRules")).body;
    assert_eq!(&listed["value"], at(group, "/properties/securityRules"));
}

#[test]
fn if_match_guards_a_rule_and_every_write_changes_the_etag() {
    let sandbox = seeded();
    let path = rule_path("AllowSSHFromAnywhere");
    let etag = get(&sandbox, &path).body["etag"].as_str().unwrap().to_owned();
    // Another rule of the group is written in between.
    let other = arm(&sandbox, &format!("PUT {}", rule_path("AllowWeb")), Some(rule(300, "10.1.0.0/16")));
    assert_eq!(other.status, 201);
    let stale = put(&sandbox, &path, &etag, rule(100, "10.0.0.0/8"));
    assert_eq!(outcome(&stale), "412 PreconditionFailed");
    let fresh = get(&sandbox, &path).body["etag"].as_str().unwrap().to_owned();
    assert_ne!(fresh, etag);
    let answer = put(&sandbox, &path, &fresh, rule(100, "10.0.0.0/8"));
    assert_eq!(answer.status, 200);
    assert_ne!(answer.headers["etag"], fresh);
    assert_eq!(put(&sandbox, &path, "*", rule(100, "10.0.0.0/8")).status, 200);
    assert_eq!(put(&sandbox, &rule_path("New"), "*", rule(400, "10.0.0.0/8")).status, 201);
}

#[test]
fn a_rule_shows_at_once_as_updating_and_settles_after_two_reads() {
    let sandbox = seeded();
    let path = rule_path("AllowSSHFromAnywhere");
    let answer = arm(&sandbox, &format!("PUT {path}"), Some(rule(100, "10.0.0.0/8")));
    assert_eq!(at(&answer.body, "/properties/provisioningState"), "Updating");
    assert!(answer.headers["azure-asyncoperation"].contains("/Microsoft.Network/locations/westeurope/operations/"));
    let seen: Vec<(String, String)> = (0..3)
        .map(|_| get(&sandbox, &path).body)
        .map(|r| (at(&r, "/properties/provisioningState").to_string(), at(&r, "/properties/sourceAddressPrefix").to_string()))
        .collect();
    let state = |state: &str| (format!("\"{state}\""), "\"10.0.0.0/8\"".to_owned());
    assert_eq!(seen, [state("Updating"), state("Updating"), state("Succeeded")]);
    assert_eq!(at(&get(&sandbox, GROUP).body, "/properties/provisioningState"), "Succeeded");
    let url = answer.headers["azure-asyncoperation"].strip_prefix("https://").unwrap();
    let polled = send(&sandbox, &http(Cloud::Azure, SUBSCRIPTION, &format!("GET {url}"), None)).unwrap();
    assert_eq!(polled.body, json!({"status": "Succeeded"}));
}

#[test]
fn a_rule_must_be_whole_and_must_not_collide() {
    let sandbox = seeded();
    let with = |change: fn(&mut Value)| {
        let mut body = rule(200, "10.0.0.0/8");
        change(&mut body["properties"]);
        outcome(&arm(&sandbox, &format!("PUT {}", rule_path("New")), Some(body)))
    };
    assert_eq!(with(|p| p["priority"] = json!(99)), "400 SecurityRuleInvalidPriority");
    assert_eq!(with(|p| p["priority"] = json!(110)), "400 SecurityRuleConflict");
    assert_eq!(with(|p| drop(p.as_object_mut().unwrap().remove("sourceAddressPrefix"))), "400 SecurityRuleParameterMissing");
    assert_eq!(with(|p| drop(p.as_object_mut().unwrap().remove("access"))), "400 InvalidRequestContent");
    assert_eq!(with(|p| p["acces"] = json!("Deny")), "400 InvalidRequestContent");
    assert_eq!(with(|p| p["direction"] = json!("Outbound")), "201 -");
}

#[test]
fn a_removed_rule_is_gone_and_the_group_has_a_new_etag() {
    let sandbox = seeded();
    let path = rule_path("AllowSSHFromAnywhere");
    let before = get(&sandbox, GROUP).body["etag"].clone();
    let answer = arm(&sandbox, &format!("DELETE {path}"), None);
    assert_eq!(answer.status, 202);
    assert!(answer.headers.contains_key("location"));
    assert_eq!(outcome(&get(&sandbox, &path)), "404 NotFound");
    assert_eq!(arm(&sandbox, &format!("DELETE {path}"), None).status, 204);
    assert_ne!(get(&sandbox, GROUP).body["etag"], before);
}

#[test]
fn a_group_put_replaces_the_rules_it_does_not_name() {
    let sandbox = seeded();
    let mut body = get(&sandbox, GROUP).body;
    let etag = body["etag"].as_str().unwrap().to_owned();
    body["properties"]["securityRules"].as_array_mut().unwrap().remove(0);
    let answer = put(&sandbox, GROUP, &etag, body.clone());
    assert_eq!((answer.status, at(&answer.body, "/properties/provisioningState")), (200, &json!("Updating")));
    assert_eq!(at(&answer.body, "/properties/securityRules").as_array().unwrap().len(), 1);
    assert_eq!(outcome(&put(&sandbox, GROUP, &etag, body)), "412 PreconditionFailed");
    assert_eq!(outcome(&get(&sandbox, &rule_path("AllowSSHFromAnywhere"))), "404 NotFound");

    let fresh = "Microsoft.Network/networkSecurityGroups/quarantine";
    let made = arm(&sandbox, &format!("PUT {fresh}"), Some(json!({"location": "westeurope"})));
    assert_eq!((made.status, at(&made.body, "/properties/securityRules")), (201, &json!([])));
    assert_eq!(arm(&sandbox, &format!("DELETE {fresh}"), None).status, 202);
    assert_eq!(outcome(&get(&sandbox, fresh)), "404 ResourceNotFound");
}

#[test]
fn an_edit_behind_the_back_changes_the_groups_etag() {
    let sandbox = seeded();
    let path = rule_path("AllowSSHFromOffice");
    let etag = get(&sandbox, &path).body["etag"].as_str().unwrap().to_owned();
    sandbox.edit(Cloud::Azure, &format!("{ARM}/{path}"), |r| r["properties"]["sourceAddressPrefix"] = json!("10.2.0.0/16")).unwrap();
    assert_eq!(outcome(&put(&sandbox, &path, &etag, rule(110, "10.0.0.0/8"))), "412 PreconditionFailed");
    let tags = arm(&sandbox, &format!("PATCH {GROUP}"), Some(json!({"tags": {"a": "b"}})));
    assert_eq!((tags.status, &tags.body["tags"]), (200, &json!({"a": "b"})));
}
