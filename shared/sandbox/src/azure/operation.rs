//! Long-running operations: the URLs a 202 gives, and what polling them shows. A poll counts as a read of the resource.

use serde_json::{Value, json};
use stanch_core::api::{ApiResponse, Method};
use stanch_core::cloud::Cloud;

use super::{Call, HOST, refuse, with_headers};
use crate::world::{Answer, Operation, set, text, time_text};

/// Whether a lower-case type is that of an operation.
pub(super) fn is_one(kind: &str) -> bool {
    matches!(
        kind,
        "microsoft.network/locations/operations"
            | "microsoft.network/locations/operationresults"
            | "microsoft.sql/locations/serverazureasyncoperation"
            | "microsoft.sql/locations/serveroperationresults"
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

/// Adds the headers under which the rest of the work can be followed.
pub(super) fn started(call: &mut Call<'_>, location: &str, response: ApiResponse) -> ApiResponse {
    let (status, result) = if is_sql(call) {
        ("Microsoft.Sql/locations/{}/serverAzureAsyncOperation", "Microsoft.Sql/locations/{}/serverOperationResults")
    } else {
        ("Microsoft.Network/locations/{}/operations", "Microsoft.Network/locations/{}/operationResults")
    };
    let name = format!("{:08x}-0000-4000-8000-00000000face", call.world.next());
    let version = call.http.query.values().next().cloned().unwrap_or_default();
    let subscription = &call.path.subscription;
    let url = |kind: &str| {
        let kind = kind.replace("{}", location);
        format!("https://{HOST}/subscriptions/{subscription}/providers/{kind}/{name}?api-version={version}")
    };
    let headers = [("azure-asyncoperation", url(status)), ("location", url(result)), ("retry-after", "1".to_owned())];
    let operation = Operation { target: call.id(), body: Value::Null, started: call.world.now };
    call.world.operations.insert(name, operation);
    let mut kept = response.headers.clone();
    let mut response = with_headers(response, headers);
    kept.append(&mut response.headers);
    response.headers = kept;
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
    let results = call.path.kind().to_ascii_lowercase().ends_with("results");
    match (results, running, value) {
        (true, true, _) => Ok(ApiResponse { status: 202, ..ApiResponse::default() }),
        (true, false, Some(value)) => Ok(ApiResponse::ok(value)),
        (true, false, None) => Ok(ApiResponse { status: 204, ..ApiResponse::default() }),
        (false, running, _) => {
            let mut body = json!({"status": if running { "InProgress" } else { "Succeeded" }});
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
