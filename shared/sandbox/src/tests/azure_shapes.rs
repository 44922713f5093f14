//! Answers have the members Microsoft's descriptions require, with the types they give.

use serde_json::Value;

use super::{arm, seeded};

fn check(line: &str, members: &[(&str, &str)]) {
    let answer = arm(&seeded(), line, None);
    assert_eq!(answer.status, 200, "{line}");
    for (pointer, kind) in members {
        let value = answer.body.pointer(pointer).unwrap_or(&Value::Null);
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        assert_eq!(found, *kind, "{line}: {pointer} is {value}");
    }
}

const RESOURCE: &[(&str, &str)] = &[("/id", "text"), ("/name", "text"), ("/type", "text")];

#[test]
fn each_type_has_what_its_description_requires() {
    for (line, members) in [
        (
            "GET Microsoft.Storage/storageAccounts/shopinvoices0001",
            &[
                ("/location", "text"),
                ("/sku/name", "text"),
                ("/kind", "text"),
                ("/tags", "object"),
                ("/properties/provisioningState", "text"),
                ("/properties/allowBlobPublicAccess", "bool"),
                ("/properties/networkAcls/defaultAction", "text"),
                ("/properties/primaryEndpoints/blob", "text"),
            ] as &[_],
        ),
        (
            "GET Microsoft.Sql/servers/shop-sql-01",
            &[("/location", "text"), ("/kind", "text"), ("/properties/state", "text"), ("/properties/minimalTlsVersion", "text")],
        ),
        (
            "GET Microsoft.Sql/servers/shop-sql-01/firewallRules/office",
            &[("/properties/startIpAddress", "text"), ("/properties/endIpAddress", "text")],
        ),
        (
            "GET Microsoft.KeyVault/vaults/shop-kv",
            &[
                ("/location", "text"),
                ("/properties/tenantId", "text"),
                ("/properties/sku/family", "text"),
                ("/properties/sku/name", "text"),
                ("/properties/provisioningState", "text"),
                ("/properties/vaultUri", "text"),
                ("/properties/softDeleteRetentionInDays", "number"),
            ],
        ),
        (
            "GET Microsoft.Network/networkSecurityGroups/shop-nsg",
            &[
                ("/location", "text"),
                ("/etag", "text"),
                ("/properties/provisioningState", "text"),
                ("/properties/resourceGuid", "text"),
                ("/properties/securityRules/1/properties/priority", "number"),
                ("/properties/defaultSecurityRules/5/properties/access", "text"),
            ],
        ),
        (
            "GET Microsoft.Network/networkSecurityGroups/shop-nsg/securityRules/AllowSSHFromAnywhere",
            &[
                ("/etag", "text"),
                ("/properties/protocol", "text"),
                ("/properties/access", "text"),
                ("/properties/direction", "text"),
                ("/properties/priority", "number"),
                ("/properties/provisioningState", "text"),
            ],
        ),
    ] {
        check(line, RESOURCE);
        check(line, members);
    }
}

#[test]
fn each_type_can_be_listed() {
    for line in [
        "GET Microsoft.Storage/storageAccounts",
        "GET Microsoft.Sql/servers",
        "GET Microsoft.Sql/servers/shop-sql-01/firewallRules",
        "GET Microsoft.KeyVault/vaults",
        "GET Microsoft.Network/networkSecurityGroups",
        "GET Microsoft.Network/networkSecurityGroups/shop-nsg/securityRules",
    ] {
        check(line, &[("/value/0/id", "text"), ("/value/0/name", "text"), ("/value/0/type", "text"), ("/value/0/properties", "object")]);
    }
}
