//! Microsoft.KeyVault/vaults: creation takes two reads and shows in the vault's own state, other writes take effect at once; purge protection and soft delete can be turned on and never off.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, envelope, operation, patched, refuse};
use crate::shape::Shape::{self, Any, Bool, Int, List, Object, OneOf, ReadOnly, Text, Texts};
use crate::world::{Answer, Stop, set, text};

/// Reads after a creation that still show RegisteringDns.
const READS: u32 = 2;

const SKU: Shape = Object(&[("family*", OneOf(&["A"])), ("name*", OneOf(&["standard", "premium"]))]);
const NETWORK: Shape = Object(&[
    ("bypass", OneOf(&["AzureServices", "None"])),
    ("defaultAction", OneOf(&["Allow", "Deny"])),
    ("ipRules", List(&Object(&[("value*", Text)]))),
    ("virtualNetworkRules", List(&Object(&[("id*", Text), ("ignoreMissingVnetServiceEndpoint", Bool)]))),
]);
const PROPERTIES: Shape = Object(&[
    ("accessPolicies", Any),
    ("createMode", OneOf(&["default", "recover"])),
    ("enablePurgeProtection", Bool),
    ("enableRbacAuthorization", Bool),
    ("enableSoftDelete", Bool),
    ("enabledForDeployment", Bool),
    ("enabledForDiskEncryption", Bool),
    ("enabledForTemplateDeployment", Bool),
    ("networkAcls", NETWORK),
    ("publicNetworkAccess", OneOf(&["Enabled", "Disabled", "enabled", "disabled"])),
    ("sku", SKU),
    ("softDeleteRetentionInDays", Int),
    ("tenantId", Text),
    ("hsmPoolResourceId", ReadOnly),
    ("privateEndpointConnections", ReadOnly),
    ("provisioningState", ReadOnly),
    ("vaultUri", ReadOnly),
]);
const PATCH: Shape = Object(&[("properties", PROPERTIES), ("tags", Texts)]);
const PUT: Shape = Object(&[
    ("id", ReadOnly),
    ("name", ReadOnly),
    ("systemData", ReadOnly),
    ("type", ReadOnly),
    ("location*", Text),
    ("properties*", PROPERTIES),
    ("tags", Texts),
]);

pub(super) fn answer(mut call: Call<'_>) -> Answer {
    match (call.http.method, call.path.is_collection()) {
        (Method::Get, true) => call.collection(),
        (Method::Get, false) => call.read().map(ApiResponse::ok),
        (Method::Patch, false) => {
            let body = call.body(PATCH)?;
            operation::idle(&mut call, "ConflictError")?;
            let vault = call.read()?;
            store(&mut call, vault, &body)
        }
        (Method::Put, false) => {
            let body = call.body(PUT)?;
            operation::idle(&mut call, "ConflictError")?;
            let id = call.id();
            if let Some(vault) = call.world.read(Cloud::Azure, &id) {
                return store(&mut call, vault, &body);
            }
            let vault = new(&id, call.name(), &body);
            never_off(&vault, &body)?;
            let later = patched(vault, &body);
            let mut registering = later.clone();
            if let Some(properties) = registering.get_mut("properties") {
                set(properties, "provisioningState", "RegisteringDns");
            }
            call.world.write_later(Cloud::Azure, &id, registering.clone(), later, READS);
            Ok(ApiResponse { status: 201, ..ApiResponse::ok(registering) })
        }
        (Method::Delete, false) => Ok(call.delete(200)),
        _ => call.not_allowed(),
    }
}

fn store(call: &mut Call<'_>, vault: Value, body: &Value) -> Answer {
    never_off(&vault, body)?;
    let vault = patched(vault, body);
    let id = call.id();
    call.world.write(Cloud::Azure, &id, vault.clone());
    Ok(ApiResponse::ok(vault))
}

/// `false` is refused for purge protection whatever it was, and for soft delete where it is on.
fn never_off(vault: &Value, body: &Value) -> Result<(), Stop> {
    let off = |member: &str| body.pointer(&format!("/properties/{member}")) == Some(&Value::Bool(false));
    let is_on = |member: &str| vault.pointer(&format!("/properties/{member}")) == Some(&Value::Bool(true));
    if off("enablePurgeProtection") {
        let message = "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an \
                       irreversible action.";
        return Err(refuse(400, "BadRequest", message));
    }
    if off("enableSoftDelete") && is_on("enableSoftDelete") {
        let message = "The property \"enableSoftDelete\" can be set to false only for creating new vault. Enabling the 'soft delete' \
                       functionality is an irreversible action.";
        return Err(refuse(400, "BadRequest", message));
    }
    Ok(())
}

fn new(id: &str, name: &str, body: &Value) -> Value {
    let mut vault = envelope(id, "Microsoft.KeyVault/vaults", name);
    set(&mut vault, "location", text(body, "location"));
    set(
        &mut vault,
        "properties",
        json!({
            "accessPolicies": [],
            "enableSoftDelete": true,
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
            "softDeleteRetentionInDays": 90,
            "vaultUri": format!("https://{name}.vault.azure.net/"),
        }),
    );
    vault
}
