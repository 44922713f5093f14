//! Azure Resource Manager: what is common to every provider. Ids and types ignore case; answers keep the case of creation.

mod keyvault;
mod network;
mod operation;
mod path;
mod sql;
mod storage;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stanch_core::api::{ApiFault, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;

pub(crate) use network::{new_etag, stored as security_group, stored_rule as security_rule, touched};
pub(crate) use storage::account as storage_account;

use crate::shape::{Null, Shape};
use crate::world::{Answer, Stop, World, merge_members, set, text};
use path::ArmPath;

const HOST: &str = "management.azure.com";

/// A call to one resource, collection or action.
struct Call<'a> {
    world: &'a mut World,
    http: &'a HttpCall,
    path: ArmPath,
}

/// A failed call, in the form of Azure Resource Manager.
pub(crate) fn error(status: u16, code: &str, message: &str) -> ApiResponse {
    ApiResponse {
        status,
        body: json!({"error": {"code": code, "message": message}}),
        fault: Some(ApiFault { code: code.to_owned(), message: message.to_owned() }),
        ..ApiResponse::default()
    }
}

/// Plays one call.
pub(crate) fn answer(world: &mut World, request: &ApiRequest, http: &HttpCall) -> Answer {
    if http.host != HOST {
        return Err(Stop::NotSimulated(format!("the sandbox plays {HOST} only, not {}", http.host)));
    }
    let path =
        ArmPath::parse(&http.path).ok_or_else(|| refuse(404, "InvalidRequestUri", "the path is none of Azure Resource Manager's"))?;
    check_version(http)?;
    let subscription = &path.subscription;
    let prefix = format!("/subscriptions/{}/", subscription.to_ascii_lowercase());
    let other = !request.account.is_empty() && !request.account.eq_ignore_ascii_case(subscription);
    if other || world.list(Cloud::Azure, &prefix).is_empty() {
        return Err(refuse(404, "SubscriptionNotFound", &format!("The subscription '{subscription}' could not be found.")));
    }
    if let Some(group) = &path.group
        && world.list(Cloud::Azure, &format!("{prefix}resourcegroups/{}/", group.to_ascii_lowercase())).is_empty()
    {
        return Err(refuse(404, "ResourceGroupNotFound", &format!("Resource group '{group}' could not be found.")));
    }
    let kind = path.kind();
    let call = Call { world, http, path };
    match kind.to_ascii_lowercase().as_str() {
        "" => group(&call),
        "microsoft.storage/storageaccounts" => storage::answer(call),
        "microsoft.storage/storageaccounts/listkeys" => storage::keys(call, false),
        "microsoft.storage/storageaccounts/regeneratekey" => storage::keys(call, true),
        "microsoft.sql/servers" => sql::server(call),
        "microsoft.sql/servers/firewallrules" => sql::firewall_rule(call),
        "microsoft.keyvault/vaults" => keyvault::answer(call),
        "microsoft.network/networksecuritygroups" => network::group(call),
        "microsoft.network/networksecuritygroups/securityrules" => network::rule(call),
        kind if operation::is_one(kind) => operation::answer(call),
        _ => Err(refuse(404, "InvalidResourceType", &format!("The resource type '{kind}' could not be found."))),
    }
}

impl Call<'_> {
    fn id(&self) -> String {
        self.path.id.clone()
    }

    fn name(&self) -> &str {
        self.path.names.last().map(String::as_str).unwrap_or_default()
    }

    /// The resource, or the 404 of what is missing: itself, or the parent it would be in.
    fn read(&mut self) -> Result<Value, Stop> {
        self.parent()?;
        let id = self.id();
        self.world.read(Cloud::Azure, &id).ok_or_else(|| self.missing())
    }

    /// Refuses a call below a resource that is not there.
    fn parent(&self) -> Result<(), Stop> {
        match self.path.parent() {
            Some(parent) if self.world.peek(Cloud::Azure, &parent).is_none() => {
                let name = parent.rsplit('/').next().unwrap_or_default().to_owned();
                let message = format!("Can not perform requested operation on nested resource. Parent resource '{name}' not found.");
                Err(refuse(404, "ParentResourceNotFound", &message))
            }
            _ => Ok(()),
        }
    }

    fn missing(&self) -> Stop {
        let group = self.path.group.as_deref().unwrap_or_default();
        let resource = format!("{}/{}", self.path.kind(), self.name());
        refuse(404, "ResourceNotFound", &format!("The Resource '{resource}' under resource group '{group}' was not found."))
    }

    /// The body, checked against what the call takes, without read-only members and nulls.
    fn body(&self, shape: Shape) -> Result<Value, Stop> {
        let Some(body) = &self.http.body else {
            return Err(refuse(400, "InvalidRequestContent", "The request content was invalid: a body is required."));
        };
        match shape.problem(body, "", Null::Absent) {
            Some(problem) => Err(refuse(400, "InvalidRequestContent", &format!("The request content was invalid: {problem}."))),
            None => Ok(shape.writable(body)),
        }
    }

    /// Every resource of the call's type under its path: the list of a resource group, a subscription or a parent.
    fn collection(&mut self) -> Answer {
        self.parent()?;
        let kind = self.path.kind();
        let prefix = format!("{}/", self.path.scope().to_ascii_lowercase());
        let listed = self.world.list(Cloud::Azure, &prefix);
        let value: Vec<Value> =
            listed.into_iter().filter(|(_, v)| text(v, "type").eq_ignore_ascii_case(&kind)).map(|(_, v)| v.clone()).collect();
        Ok(ApiResponse::ok(json!({"value": value})))
    }

    /// 204 for what was not there, else the status for what now is not.
    fn delete(&mut self, status: u16) -> ApiResponse {
        let id = self.id();
        let existed = self.world.remove(Cloud::Azure, &id);
        ApiResponse { status: if existed { status } else { 204 }, ..ApiResponse::default() }
    }

    fn not_allowed(&self) -> Answer {
        let message = format!("The requested resource does not support http method '{}'.", self.http.method.as_str());
        Err(refuse(405, "MethodNotAllowed", &message))
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Stop {
    error(status, code, message).into()
}

/// Changes a resource the way every provider here does it: tags, sku, identity and each property are replaced whole.
fn patched(mut value: Value, body: &Value) -> Value {
    let mut properties = value.get("properties").cloned().unwrap_or_else(|| json!({}));
    merge_members(&mut properties, body.get("properties").unwrap_or(&Value::Null));
    merge_members(&mut value, body);
    set(&mut value, "properties", properties);
    value
}

fn with_headers<const N: usize>(mut response: ApiResponse, headers: [(&str, String); N]) -> ApiResponse {
    response.headers = BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value)));
    response
}

/// The members that every tracked resource's GET shows and a PUT may repeat.
fn envelope(id: &str, kind: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "type": kind})
}

fn check_version(http: &HttpCall) -> Result<(), Stop> {
    let Some(version) = http.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version")).map(|(_, v)| v.as_str()) else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(refuse(400, "MissingApiVersionParameter", message));
    };
    let date = version.trim_end_matches("-preview");
    let dated =
        date.len() == 10 && date.bytes().enumerate().all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    if dated { Ok(()) } else { Err(refuse(400, "InvalidApiVersionParameter", &format!("The api-version '{version}' is invalid."))) }
}

/// A resource group: it is there because something in it is.
fn group(call: &Call<'_>) -> Answer {
    let (Method::Get, Some(group)) = (call.http.method, &call.path.group) else {
        return call.not_allowed();
    };
    let prefix = format!("{}/", call.path.id.to_ascii_lowercase());
    let location = call.world.list(Cloud::Azure, &prefix).first().map(|(_, v)| text(v, "location").to_owned()).unwrap_or_default();
    Ok(ApiResponse::ok(json!({
        "id": call.path.id,
        "name": group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": location,
        "properties": {"provisioningState": "Succeeded"},
    })))
}
