//! What Security Command Center holds of an organization, folder or project, a page at a time.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Millis, Source};
use stanch_core::port::{ApiError, CloudApi, Kind, Listed, Scope, SourceError};

use crate::normalize::normalize;
use crate::payload::{is_owner, is_plain};
use crate::sign::GcpApi;

const HOST: &str = "securitycenter.googleapis.com";
/// Rows a page. The API gives up to 1,000, but an answer is read up to 8 MiB, and findings of attack paths are long.
const ROWS: &str = "200";
const TIMEOUT_MS: u64 = 30_000;

/// One page of the active findings of all sources, by name, so that one that changes meanwhile keeps its place. A scope without
/// a region means the location `global`, where all findings are unless data residency is switched on.
pub(super) async fn page(api: &GcpApi, scope: &Scope, since: Option<Millis>, token: Option<&str>) -> Result<Listed, SourceError> {
    let failed =
        |reason: String, retry: bool| SourceError { action: "list", finding: scope.to_string(), source_name: scope.source, reason, retry };
    if scope.source != Source::Scc {
        return Err(failed("it is not of Security Command Center".to_owned(), false));
    }
    let location = scope.region.as_deref().unwrap_or("global");
    if !is_owner(&scope.account) || !is_plain(location) {
        let reason = format!("`{}` in `{location}` is no scope; expected organizations/…, folders/… or projects/…", scope.account);
        return Err(failed(reason, false));
    }
    // The time goes in as a number, which the filter language takes as milliseconds since the epoch.
    let changed = since.map(|since| format!(" AND event_time >= {since}")).unwrap_or_default();
    let mut query = BTreeMap::from([
        ("filter".to_owned(), format!("state=\"ACTIVE\"{changed}")),
        ("orderBy".to_owned(), "name".to_owned()),
        ("pageSize".to_owned(), ROWS.to_owned()),
    ]);
    query.extend(token.map(|token| ("pageToken".to_owned(), token.to_owned())));
    let path = format!("/v2/{}/sources/-/locations/{location}/findings", scope.account);
    let http = HttpCall { method: Method::Get, host: HOST.to_owned(), path, query, headers: BTreeMap::new(), body: None };
    let request = ApiRequest::new(Cloud::Gcp, scope.account.as_str(), ApiCall::Http(http));
    let answer = api.call(&request, TIMEOUT_MS).await;
    let answer = answer.map_err(|error: ApiError| failed(error.to_string(), error.kind() == Kind::Retry))?;
    if answer.fault.is_some() {
        return Err(failed(refusal(&answer, scope), answer.is_retryable()));
    }
    // An empty list is left out of the answer.
    let rows = match (answer.body.get("listFindingsResults"), &answer.body) {
        (Some(Value::Array(rows)), _) => rows.as_slice(),
        (None, Value::Object(_)) => &[],
        _ => return Err(failed("the answer holds no list of findings".to_owned(), false)),
    };
    let next = answer.body.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    let mut listed = Listed { next: next.map(str::to_owned), ..Listed::default() };
    for row in rows {
        let row = row.to_string();
        listed.take(&row, normalize(&row));
    }
    Ok(listed)
}

fn refusal(answer: &ApiResponse, scope: &Scope) -> String {
    let hint = if matches!(answer.status, 401 | 403) && !answer.is_throttled() {
        let role = "roles/securitycenter.findingsViewer";
        format!("\nhint: give stanch's identity securitycenter.findings.list ({role}) on {}", scope.account)
    } else {
        String::new()
    };
    let (code, message) = answer.fault.as_ref().map_or(("", ""), |fault| (&fault.code, &fault.message));
    format!("{} {code}: {message}{hint}", answer.status)
}
