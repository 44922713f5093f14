//! Long-running operations: the URLs a 202 gives, and what polling them shows. A poll counts as a read of the resource.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, HOST, refuse};
use crate::world::{Answer, FAILED, Stop, set, text, time_text};

/// Whether a lower-case type is that of an operation.
pub(super) fn is_one(kind: &str) -> bool {
    matches!(
        kind,
        "microsoft.network/locations/operations"
            | "microsoft.network/locations/operationresults"
            | "microsoft.sql/locations/serverazureasyncoperation"
            | "microsoft.sql/locations/serveroperationresults"
            | "microsoft.storage/locations/asyncoperations"
    )
}

/// Deletes the resource of a call as an accepted operation in its own location; one that is not there is deleted without.
pub(super) fn delete(call: &mut Call<'_>) -> ApiResponse {
    let id = call.id();
    let location = call.world.peek(Cloud::Azure, &id).map(|v| text(v, "location").to_owned());
    let response = call.delete(202);
    match location {
        Some(location) => started(call, &location, response),
        None => response,
    }
}

/// Refuses a write while another is under way. Being refused takes time too, so that trying again comes through.
pub(super) fn idle(call: &mut Call<'_>, code: &str) -> Result<(), Stop> {
    let id = call.id();
    if call.world.is_pending(Cloud::Azure, &id) {
        call.world.read(Cloud::Azure, &id);
    }
    if call.world.is_pending(Cloud::Azure, &id) {
        let message = format!("An operation is currently in progress for the resource '{}'.", call.name());
        return Err(refuse(409, code, &message));
    }
    Ok(())
}

/// Adds the headers under which the rest of the work can be followed.
pub(super) fn started(call: &mut Call<'_>, location: &str, response: ApiResponse) -> ApiResponse {
    let (status, result) = match call.path.kind().split('/').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "microsoft.sql" => {
            (Some("Microsoft.Sql/locations/{}/serverAzureAsyncOperation"), "Microsoft.Sql/locations/{}/serverOperationResults")
        }
        "microsoft.storage" => (None, "Microsoft.Storage/locations/{}/asyncoperations"),
        _ => (Some("Microsoft.Network/locations/{}/operations"), "Microsoft.Network/locations/{}/operationResults"),
    };
    let name = format!("{:08x}-0000-4000-8000-00000000face", call.world.next());
    let version = call.http.query.values().next().cloned().unwrap_or_default();
    let subscription = &call.path.subscription;
    let url = |kind: &str| {
        let kind = kind.replace("{}", location);
        format!("https://{HOST}/subscriptions/{subscription}/providers/{kind}/{name}?api-version={version}")
    };
    let mut response = response;
    let mut header = |name: &str, value: String| drop(response.headers.insert(name.to_owned(), value));
    if let Some(status) = status {
        header("azure-asyncoperation", url(status));
    }
    header("location", url(result));
    header("retry-after", "1".to_owned());
    let target = call.id();
    call.world.start(name, &target, Value::Null);
    response
}

/// Answers a poll.
pub(super) fn answer(call: Call<'_>) -> Answer {
    if call.http.method != Method::Get {
        return call.not_allowed();
    }
    let name = call.name().to_owned();
    let Some(operation) = call.world.operations.get(&name).cloned() else {
        return Err(refuse(404, "OperationNotFound", &format!("The operation '{name}' was not found.")));
    };
    let value = call.world.read(Cloud::Azure, &operation.target);
    let running = call.world.is_pending(Cloud::Azure, &operation.target);
    let kind = call.path.kind().to_ascii_lowercase();
    let results = kind.ends_with("results") || kind.ends_with("/asyncoperations");
    match (results, running, value) {
        (true, true, _) => Ok(ApiResponse { status: 202, ..ApiResponse::default() }),
        (true, false, _) if operation.fails => Err(refuse(409, FAILED.0, FAILED.1)),
        (true, false, Some(value)) => Ok(ApiResponse::ok(value)),
        (true, false, None) => Ok(ApiResponse { status: 204, ..ApiResponse::default() }),
        (false, running, _) => {
            let mut body = json!({"status": if running { "InProgress" } else { "Succeeded" }});
            if operation.fails && !running {
                body = json!({"status": "Failed", "error": {"code": FAILED.0, "message": FAILED.1}});
            }
            if is_sql(&call) {
                set(&mut body, "name", name);
                set(&mut body, "startTime", time_text(operation.started));
            }
            Ok(ApiResponse::ok(body))
        }
    }
}

fn is_sql(call: &Call<'_>) -> bool {
    call.path.kind().to_ascii_lowercase().starts_with("microsoft.sql/")
}
