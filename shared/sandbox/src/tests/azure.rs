use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::{ARM, SUBSCRIPTION, arm, arm_request, at, http, outcome, seeded, send};

const ACCOUNT: &str = "Microsoft.Storage/storageAccounts/shopinvoices0001";
const SERVER: &str = "Microsoft.Sql/servers/shop-sql-01";
const VAULT: &str = "Microsoft.KeyVault/vaults/shop-kv";

fn props(properties: Value) -> Value {
    json!({"properties": properties})
}

#[test]
fn what_is_wrong_with_a_call_is_said_in_arms_codes() {
    let sandbox = seeded();
    let arm_line = |line: &str, account: &str| {
        let request = http(Cloud::Azure, account, line, None);
        outcome(&send(&sandbox, &request).unwrap())
    };
    let host = "GET management.azure.com";
    let versioned = |path: &str| format!("{host}{path}?api-version=2023-05-01");
    assert_eq!(arm_line(&format!("{host}{ARM}/{ACCOUNT}"), SUBSCRIPTION), "400 MissingApiVersionParameter");
    assert_eq!(arm_line(&format!("{host}{ARM}/{ACCOUNT}?api-version=latest"), SUBSCRIPTION), "400 InvalidApiVersionParameter");
    assert_eq!(arm_line(&versioned(&format!("{ARM}/{ACCOUNT}")), "00000000-0000-4000-8000-00000000ffff"), "404 SubscriptionNotFound");
    let other = ARM.replace("0001/", "ffff/");
    assert_eq!(arm_line(&versioned(&format!("{other}/{ACCOUNT}")), SUBSCRIPTION), "404 SubscriptionNotFound");
    assert_eq!(arm_line(&versioned(&format!("{other}/{ACCOUNT}")), ""), "404 SubscriptionNotFound");
    let group = ARM.replace("rg-shop", "rg-nobody");
    assert_eq!(arm_line(&versioned(&format!("{group}/{ACCOUNT}")), SUBSCRIPTION), "404 ResourceGroupNotFound");
    assert_eq!(arm_line(&versioned("/providers/nobody"), SUBSCRIPTION), "404 InvalidRequestUri");
    for (line, expected) in [
        ("GET Microsoft.Storage/storageAccounts/nobody", "404 ResourceNotFound"),
        ("GET Microsoft.Sql/servers/nobody", "404 ResourceNotFound"),
        ("GET Microsoft.Sql/servers/nobody/firewallRules", "404 ParentResourceNotFound"),
        ("GET Microsoft.Sql/servers/nobody/firewallRules/office", "404 ParentResourceNotFound"),
        ("GET Microsoft.Sql/servers/shop-sql-01/firewallRules/nobody", "404 ResourceNotFound"),
        ("GET Microsoft.Network/networkSecurityGroups/nobody/securityRules", "404 ParentResourceNotFound"),
        ("GET Microsoft.Network/networkSecurityGroups/shop-nsg/securityRules/nobody", "404 NotFound"),
        ("GET Microsoft.Web/sites/shop", "404 InvalidResourceType"),
        ("PATCH Microsoft.KeyVault/vaults/shop-kv", "400 InvalidRequestContent"),
        ("POST Microsoft.KeyVault/vaults/shop-kv", "405 MethodNotAllowed"),
        ("DELETE Microsoft.KeyVault/vaults/nobody", "204 -"),
    ] {
        let answer = arm(&sandbox, line, None);
        assert_eq!(outcome(&answer), expected, "{line}");
        if answer.status >= 400 {
            assert_eq!(at(&answer.body, "/error/code"), expected.split_once(' ').unwrap().1);
        }
    }
}

#[test]
fn a_misspelt_or_mistyped_property_is_refused_and_changes_nothing() {
    let sandbox = seeded();
    for (path, body, part) in [
        (ACCOUNT, json!({"properties": {"allowBlobPublicAcces": false}}), "`properties.allowBlobPublicAcces`"),
        (ACCOUNT, json!({"properties": {"allowBlobPublicAccess": "false"}}), "true or false"),
        (ACCOUNT, json!({"properties": {"minimumTlsVersion": "TLSv1.2"}}), "TLS1_2"),
        (ACCOUNT, json!({"properties": {"networkAcls": {"ipRules": []}}}), "`properties.networkAcls.defaultAction` is required"),
        (SERVER, json!({"properties": {"minimalTlsVersion": 1.2}}), "`properties.minimalTlsVersion`"),
        (SERVER, json!({"allowBlobPublicAccess": false}), "`allowBlobPublicAccess`"),
        (VAULT, json!({"properties": {"purgeProtection": true}}), "`properties.purgeProtection`"),
        ("Microsoft.Network/networkSecurityGroups/shop-nsg", json!({"properties": {}}), "`properties`"),
    ] {
        let before = arm(&sandbox, &format!("GET {path}"), None).body;
        let answer = arm(&sandbox, &format!("PATCH {path}"), Some(body.clone()));
        assert_eq!(outcome(&answer), "400 InvalidRequestContent", "{body}");
        assert!(answer.fault.unwrap().message.contains(part), "{body}");
        assert_eq!(arm(&sandbox, &format!("GET {path}"), None).body, before);
    }
}

#[test]
fn a_storage_patch_merges_properties_one_level_deep() {
    let sandbox = seeded();
    let acls = json!({"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.7", "action": "Allow"}]});
    let answer = arm(&sandbox, &format!("PATCH {ACCOUNT}"), Some(props(json!({"allowBlobPublicAccess": false, "networkAcls": acls}))));
    assert_eq!(answer.status, 200);
    let account = arm(&sandbox, &format!("GET {}", ACCOUNT.to_uppercase()), None).body;
    assert_eq!(account, answer.body, "at once, whatever the case of the id");
    assert_eq!(at(&account, "/properties/allowBlobPublicAccess"), false);
    assert_eq!(at(&account, "/properties/supportsHttpsTrafficOnly"), false, "what the PATCH does not name stays");
    assert_eq!(at(&account, "/properties/networkAcls"), &acls, "an object is replaced whole");
    assert_eq!(at(&account, "/name"), "shopinvoices0001");
    let nulled = arm(&sandbox, &format!("PATCH {ACCOUNT}"), Some(props(json!({"minimumTlsVersion": null}))));
    assert_eq!(at(&nulled.body, "/properties/minimumTlsVersion"), "TLS1_0", "null is as if left out");
}

#[test]
fn a_storage_account_can_be_created_listed_and_deleted() {
    let sandbox = seeded();
    let line = "Microsoft.Storage/storageAccounts/shopnew0001";
    let body =
        json!({"sku": {"name": "Premium_LRS"}, "kind": "StorageV2", "location": "northeurope", "properties": {"isSftpEnabled": true}});
    assert_eq!(arm(&sandbox, &format!("PUT {line}"), Some(body.clone())).status, 202);
    let seen: Vec<String> = (0..2).map(|_| outcome(&arm(&sandbox, &format!("PUT {line}"), Some(body.clone())))).collect();
    assert_eq!(seen, ["409 StorageAccountOperationInProgress", "409 StorageAccountOperationInProgress"]);
    let made = arm(&sandbox, &format!("PUT {line}"), Some(body));
    assert_eq!((made.status, at(&made.body, "/sku/tier"), at(&made.body, "/location")), (200, &json!("Premium"), &json!("northeurope")));
    assert_eq!(outcome(&arm(&sandbox, &format!("PUT {line}2"), Some(json!({"location": "x"})))), "400 InvalidRequestContent");
    let names = |sandbox: &super::Sandbox| {
        let listed = arm(sandbox, "GET Microsoft.Storage/storageAccounts", None).body;
        listed["value"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&sandbox), ["shopinvoices0001", "shopnew0001"]);
    assert_eq!(arm(&sandbox, &format!("DELETE {line}"), None).status, 200);
    assert_eq!(arm(&sandbox, &format!("DELETE {line}"), None).status, 204);
    assert_eq!(names(&sandbox), ["shopinvoices0001"]);
}

#[test]
fn keys_are_listed_and_a_new_one_is_dated_now() {
    let sandbox = seeded();
    let before = arm(&sandbox, &format!("POST {ACCOUNT}/listKeys"), None).body;
    let answer = arm(&sandbox, &format!("POST {ACCOUNT}/regenerateKey"), Some(json!({"keyName": "key2"})));
    assert_eq!(at(&answer.body, "/keys/0"), at(&before, "/keys/0"));
    assert_eq!(at(&answer.body, "/keys/1/creationTime"), "2026-11-20T08:00:00.000Z");
    assert_eq!(outcome(&arm(&sandbox, "POST Microsoft.Storage/storageAccounts/nobody/listKeys", None)), "404 ParentResourceNotFound");
}

#[test]
fn a_sql_server_patch_is_accepted_now_and_seen_after_two_reads() {
    let sandbox = seeded();
    let answer = arm(&sandbox, &format!("PATCH {SERVER}"), Some(props(json!({"minimalTlsVersion": "1.2"}))));
    assert_eq!((answer.status, &answer.body), (202, &Value::Null));
    let poll = answer.headers["azure-asyncoperation"].strip_prefix("https://").unwrap().to_owned();
    assert!(answer.headers["location"].contains("/Microsoft.Sql/locations/westeurope/serverOperationResults/"));
    let seen: Vec<String> = (0..3)
        .map(|_| arm(&sandbox, &format!("GET {SERVER}"), None).body["properties"]["minimalTlsVersion"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen, ["1.0", "1.0", "1.2"]);
    let polled = send(&sandbox, &http(Cloud::Azure, SUBSCRIPTION, &format!("GET {poll}"), None)).unwrap();
    assert_eq!(polled.body["status"], "Succeeded");
}

#[test]
fn polling_brings_an_operation_to_its_end() {
    let sandbox = seeded();
    let answer = arm(&sandbox, &format!("PATCH {SERVER}"), Some(props(json!({"publicNetworkAccess": "Disabled"}))));
    let request = |name: &str| {
        let url = answer.headers[name].strip_prefix("https://").unwrap().to_owned();
        http(Cloud::Azure, SUBSCRIPTION, &format!("GET {url}"), None)
    };
    let (status, result) = (request("azure-asyncoperation"), request("location"));
    assert_eq!(send(&sandbox, &status).unwrap().body["status"], "InProgress");
    assert_eq!(send(&sandbox, &result).unwrap().status, 202);
    assert_eq!(send(&sandbox, &status).unwrap().body["status"], "Succeeded");
    let server = send(&sandbox, &result).unwrap();
    assert_eq!(at(&server.body, "/properties/publicNetworkAccess"), "Disabled");
}

#[test]
fn a_busy_sql_server_refuses_until_it_is_done() {
    let sandbox = seeded();
    let body = || Some(props(json!({"minimalTlsVersion": "1.2"})));
    let seen: Vec<String> = (0..4).map(|_| outcome(&arm(&sandbox, &format!("PATCH {SERVER}"), body()))).collect();
    assert_eq!(seen, ["202 -", "409 ConflictingServerOperation", "409 ConflictingServerOperation", "202 -"]);
}

#[test]
fn firewall_rules_are_listed_written_and_removed_at_once() {
    let sandbox = seeded();
    let names = || {
        let listed = arm(&sandbox, &format!("GET {SERVER}/firewallRules"), None).body;
        listed["value"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["AllowAll", "AllowAllWindowsAzureIps", "office"]);
    let rule = arm(&sandbox, &format!("GET {SERVER}/firewallRules/AllowAll"), None).body;
    assert_eq!(arm(&sandbox, &format!("DELETE {SERVER}/firewallRules/AllowAll"), None).status, 200);
    assert_eq!(arm(&sandbox, &format!("DELETE {SERVER}/firewallRules/AllowAll"), None).status, 204);
    assert_eq!(names(), ["AllowAllWindowsAzureIps", "office"]);
    let body = || Some(props(rule["properties"].clone()));
    assert_eq!(arm(&sandbox, &format!("PUT {SERVER}/firewallRules/AllowAll"), body()).status, 201);
    assert_eq!(arm(&sandbox, &format!("PUT {SERVER}/firewallRules/AllowAll"), body()).status, 200);
    assert_eq!(arm(&sandbox, &format!("GET {SERVER}/firewallRules/AllowAll"), None).body, rule);
    for (start, end, expected) in
        [("10.0.0.9", "10.0.0.1", "400 FirewallRuleInvalidRange"), ("10.0.0.0/8", "10.0.0.1", "400 InvalidIpAddress")]
    {
        let range = Some(props(json!({"startIpAddress": start, "endIpAddress": end})));
        assert_eq!(outcome(&arm(&sandbox, &format!("PUT {SERVER}/firewallRules/x"), range)), expected);
    }
}

#[test]
fn purge_protection_goes_on_and_never_off() {
    let sandbox = seeded();
    let patch = |on: bool| arm(&sandbox, &format!("PATCH {VAULT}"), Some(props(json!({"enablePurgeProtection": on}))));
    assert_eq!(outcome(&patch(false)), "400 BadRequest");
    assert_eq!(at(&patch(true).body, "/properties/enablePurgeProtection"), true);
    let refused = patch(false);
    assert_eq!(outcome(&refused), "400 BadRequest");
    assert!(refused.fault.unwrap().message.contains("irreversible"));
    assert_eq!(at(&arm(&sandbox, &format!("GET {VAULT}"), None).body, "/properties/enablePurgeProtection"), true);
    let soft = arm(&sandbox, &format!("PATCH {VAULT}"), Some(props(json!({"enableSoftDelete": false}))));
    assert_eq!(outcome(&soft), "400 BadRequest");
}

#[test]
fn a_resource_group_is_there_because_something_is_in_it() {
    let sandbox = seeded();
    let group = |name: &str| {
        let line = format!("GET management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}?api-version=2021-04-01");
        send(&sandbox, &http(Cloud::Azure, SUBSCRIPTION, &line, None)).unwrap()
    };
    assert_eq!(at(&group("rg-shop").body, "/properties/provisioningState"), "Succeeded");
    assert_eq!(outcome(&group("rg-nobody")), "404 ResourceGroupNotFound");
}

#[test]
fn names_may_be_percent_encoded() {
    let sandbox = seeded();
    let request = arm_request("GET Microsoft.Sql/servers/shop%2Dsql%2D01/firewallRules/office", None);
    assert_eq!(send(&sandbox, &request).unwrap().status, 200);
}
