//! Microsoft.Storage/storageAccounts: creation is accepted and takes two reads, other writes take effect at once.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, envelope, operation, patched, refuse};
use crate::shape::Shape::{self, Any, Bool, Int, List, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, merge_members, set, text};

/// Reads after a creation that still show Creating.
const READS: u32 = 2;

const BUSY: &str = "StorageAccountOperationInProgress";
const KIND: &str = "Microsoft.Storage/storageAccounts";
const SKUS: Shape = OneOf(&[
    "Standard_LRS",
    "Standard_GRS",
    "Standard_RAGRS",
    "Standard_ZRS",
    "Premium_LRS",
    "Premium_ZRS",
    "Standard_GZRS",
    "Standard_RAGZRS",
]);
const SKU: Shape = Object(&[("name*", SKUS), ("tier", ReadOnly)]);
const IDENTITY: Shape = Object(&[("type*", Text), ("userAssignedIdentities", Any), ("principalId", ReadOnly), ("tenantId", ReadOnly)]);
const NETWORK: Shape = Object(&[
    ("bypass", Text),
    ("defaultAction*", OneOf(&["Allow", "Deny"])),
    ("ipRules", List(&Object(&[("value*", Text), ("action", OneOf(&["Allow"]))]))),
    ("virtualNetworkRules", List(&Object(&[("id*", Text), ("action", OneOf(&["Allow"])), ("state", ReadOnly)]))),
    ("resourceAccessRules", List(&Object(&[("tenantId", Text), ("resourceId", Text)]))),
]);
const SWITCH: Shape = OneOf(&["Enabled", "Disabled", "SecuredByPerimeter"]);
const PROPERTIES: Shape = Object(&[
    ("accessTier", OneOf(&["Hot", "Cool", "Premium", "Cold"])),
    ("allowBlobPublicAccess", Bool),
    ("allowCrossTenantReplication", Bool),
    ("allowSharedKeyAccess", Bool),
    ("allowedCopyScope", OneOf(&["PrivateLink", "AAD"])),
    ("defaultToOAuthAuthentication", Bool),
    ("encryption", Any),
    ("isLocalUserEnabled", Bool),
    ("isSftpEnabled", Bool),
    ("keyPolicy", Object(&[("keyExpirationPeriodInDays*", Int)])),
    ("minimumTlsVersion", OneOf(&["TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"])),
    ("networkAcls", NETWORK),
    ("publicNetworkAccess", SWITCH),
    ("sasPolicy", Object(&[("sasExpirationPeriod*", Text), ("expirationAction*", OneOf(&["Log", "Block"]))])),
    ("supportsHttpsTrafficOnly", Bool),
    // What a GET shows and a PUT may repeat.
    ("creationTime", ReadOnly),
    ("keyCreationTime", ReadOnly),
    ("primaryEndpoints", ReadOnly),
    ("primaryLocation", ReadOnly),
    ("privateEndpointConnections", ReadOnly),
    ("provisioningState", ReadOnly),
    ("statusOfPrimary", ReadOnly),
]);
const PATCH: Shape = Object(&[("identity", IDENTITY), ("kind", Text), ("properties", PROPERTIES), ("sku", SKU), ("tags", Texts)]);
const PUT: Shape = Object(&[
    ("id", ReadOnly),
    ("name", ReadOnly),
    ("type", ReadOnly),
    ("identity", IDENTITY),
    ("kind*", Text),
    ("location*", Text),
    ("properties", PROPERTIES),
    ("sku*", SKU),
    ("tags", Texts),
]);
const REGENERATE: Shape = Object(&[("keyName*", OneOf(&["key1", "key2"]))]);

/// A storage account as Azure creates it where the request says nothing else.
pub(crate) fn account(id: &str, name: &str, location: &str, created: &str) -> Value {
    let mut account = envelope(id, KIND, name);
    let endpoint = |service: &str| format!("https://{name}.{service}.core.windows.net/");
    set(&mut account, "location", location);
    set(&mut account, "kind", "StorageV2");
    set(&mut account, "sku", json!({"name": "Standard_LRS", "tier": "Standard"}));
    set(&mut account, "tags", json!({}));
    set(
        &mut account,
        "properties",
        json!({
            "provisioningState": "Succeeded",
            "creationTime": created,
            "keyCreationTime": {"key1": created, "key2": created},
            "primaryEndpoints": {
                "blob": endpoint("blob"),
                "dfs": endpoint("dfs"),
                "file": endpoint("file"),
                "queue": endpoint("queue"),
                "table": endpoint("table"),
            },
            "primaryLocation": location,
            "statusOfPrimary": "available",
            "privateEndpointConnections": [],
            "accessTier": "Hot",
            "allowBlobPublicAccess": false,
            "allowCrossTenantReplication": false,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": true,
            "encryption": {
                "keySource": "Microsoft.Storage",
                "services": {
                    "blob": {"enabled": true, "keyType": "Account", "lastEnabledTime": created},
                    "file": {"enabled": true, "keyType": "Account", "lastEnabledTime": created},
                },
            },
            "networkAcls": {
                "bypass": "AzureServices",
                "defaultAction": "Allow",
                "ipRules": [],
                "resourceAccessRules": [],
                "virtualNetworkRules": [],
            },
        }),
    );
    account
}

pub(super) fn answer(mut call: Call<'_>) -> Answer {
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => call.collection(),
        (Method::Get, false) => call.read().map(ApiResponse::ok),
        (Method::Patch, false) => {
            let body = call.body(PATCH)?;
            operation::idle(&mut call, BUSY)?;
            let account = call.read()?;
            Ok(ApiResponse::ok(store(&mut call, account, &body)))
        }
        (Method::Put, false) => {
            let body = call.body(PUT)?;
            operation::idle(&mut call, BUSY)?;
            let id = call.id();
            let now = call.world.now_text();
            if let Some(existing) = call.world.read(Cloud::Azure, &id) {
                return Ok(ApiResponse::ok(store(&mut call, existing, &body)));
            }
            let later = stored(account(&id, call.name(), text(&body, "location"), &now), &body);
            let mut creating = later.clone();
            if let Some(properties) = creating.get_mut("properties") {
                set(properties, "provisioningState", "Creating");
            }
            call.world.write_later(Cloud::Azure, &id, creating, later, READS);
            Ok(operation::started(&mut call, text(&body, "location"), ApiResponse { status: 202, ..ApiResponse::default() }))
        }
        (Method::Delete, false) => Ok(call.delete(200)),
        _ => call.not_allowed(),
    }
}

/// The POST actions of an account: `listKeys` and `regenerateKey`.
pub(super) fn keys(call: Call<'_>, regenerate: bool) -> Answer {
    if call.http.method != Method::Post {
        return call.not_allowed();
    }
    call.parent()?;
    let id = call.path.parent().unwrap_or_default();
    let mut account = call.world.read(Cloud::Azure, &id).ok_or_else(|| refuse(404, "ResourceNotFound", "the account is gone"))?;
    let now = call.world.now_text();
    if regenerate {
        let body = call.body(REGENERATE)?;
        if let Some(created) = account.pointer_mut("/properties/keyCreationTime") {
            set(created, text(&body, "keyName"), now);
        }
        call.world.write(Cloud::Azure, &id, account.clone());
    }
    let key = |name: &str| {
        let created = account.pointer(&format!("/properties/keyCreationTime/{name}")).cloned().unwrap_or_default();
        json!({"keyName": name, "creationTime": created, "permissions": "Full", "value": "c2FuZGJveA=="})
    };
    Ok(ApiResponse::ok(json!({"keys": [key("key1"), key("key2")]})))
}

fn store(call: &mut Call<'_>, account: Value, body: &Value) -> Value {
    let account = stored(account, body);
    let id = call.id();
    call.world.write(Cloud::Azure, &id, account.clone());
    account
}

fn stored(account: Value, body: &Value) -> Value {
    let mut account = patched(account, body);
    if let Some(sku) = account.get_mut("sku") {
        let tier = if text(sku, "name").starts_with("Premium") { "Premium" } else { "Standard" };
        merge_members(sku, &json!({"tier": tier}));
    }
    account
}
