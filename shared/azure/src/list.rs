//! What Defender holds on a whole subscription, through Azure Resource Graph: one query a page.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Millis, Source};
use stanch_core::normalize::Normalized;
use stanch_core::port::{ApiError, Kind, Listed, Scope, SourceError};

use crate::normalize::{normalize_alert, normalize_compliance, normalize_recommendation};
use crate::source::{DefenderSource, TIMEOUT_MS};

const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources";
const VERSION: &str = "2022-10-01";
/// Rows a page. Resource Graph gives up to 1,000, but an answer is read up to 8 MiB, and alerts with their entities are long.
const ROWS: u32 = 200;

/// One kind of rows in the table `securityresources`.
struct Kept {
    /// Resource type, lower case as the table has it.
    kind: &'static str,
    /// Condition: the source still reports it. Names inside `properties` are case-sensitive here, and alerts came in two casings.
    open: &'static str,
    /// When the row last changed, where it says so: then rows that were closed since are listed too.
    changed: Option<&'static str>,
    read: fn(&str) -> Normalized<'_>,
}

fn kept(source: Source) -> Option<Kept> {
    Some(match source {
        Source::DefenderAssessment => Kept {
            kind: "microsoft.security/assessments",
            open: "tostring(properties.status.code) =~ 'Unhealthy'",
            changed: Some("properties.status.statusChangeDate"),
            read: normalize_recommendation,
        },
        Source::DefenderSubAssessment => Kept {
            kind: "microsoft.security/assessments/subassessments",
            open: "tostring(properties.status.code) =~ 'Unhealthy'",
            changed: Some("properties.timeGenerated"),
            read: normalize_recommendation,
        },
        Source::DefenderCompliance => Kept {
            kind: "microsoft.security/regulatorycompliancestandards/regulatorycompliancecontrols/regulatorycomplianceassessments",
            open: "tostring(properties.state) =~ 'Failed'",
            changed: None,
            read: normalize_compliance,
        },
        Source::DefenderAlert => Kept {
            kind: "microsoft.security/locations/alerts",
            open: "coalesce(tostring(properties.Status), tostring(properties.status)) in~ ('Active', 'InProgress')",
            changed: None,
            read: normalize_alert,
        },
        Source::DefenderXdr
        | Source::AzurePolicy
        | Source::SecurityHub
        | Source::SecurityHubV2
        | Source::Scc
        | Source::Prowler
        | Source::Ocsf => return None,
    })
}

impl Kept {
    /// The query. Pages follow each other only when the rows are ordered, and have a token only when `id` is among the columns.
    fn query(&self, since: Option<Millis>) -> String {
        let Kept { kind, open, .. } = self;
        let at = since.and_then(|since| jiff::Timestamp::from_millisecond(since).ok());
        let changed = match (self.changed, at) {
            (Some(changed), Some(at)) => format!(" or todatetime({changed}) >= datetime({at})"),
            _ => String::new(),
        };
        format!("securityresources | where type =~ '{kind}' | where {open}{changed} | project id, name, type, properties | order by id asc")
    }
}

impl DefenderSource {
    pub(crate) async fn page(&self, scope: &Scope, since: Option<Millis>, token: Option<&str>) -> Result<Listed, SourceError> {
        let failed = |reason: String, retry: bool| SourceError {
            action: "list",
            finding: scope.to_string(),
            source_name: scope.source,
            reason,
            retry,
        };
        let kept = kept(scope.source).ok_or_else(|| failed("it does not come from Defender for Cloud".to_owned(), false))?;
        if scope.account.is_empty() {
            // Without a subscription, Resource Graph would answer for all it can see.
            return Err(failed("the scope names no subscription".to_owned(), false));
        }
        let mut options = json!({"$top": ROWS, "resultFormat": "objectArray"});
        if let (Some(token), Some(options)) = (token, options.as_object_mut()) {
            options.insert("$skipToken".to_owned(), token.into());
        }
        let http = HttpCall {
            method: Method::Post,
            host: self.host.clone(),
            path: GRAPH.to_owned(),
            query: BTreeMap::from([("api-version".to_owned(), VERSION.to_owned())]),
            headers: BTreeMap::new(),
            body: Some(json!({"subscriptions": [scope.account], "query": kept.query(since), "options": options})),
        };
        let request = ApiRequest::new(Cloud::Azure, scope.account.as_str(), ApiCall::Http(http));
        let answer = self.api.call(&request, TIMEOUT_MS).await;
        let answer = answer.map_err(|error: ApiError| failed(error.to_string(), error.kind() == Kind::Retry))?;
        if answer.fault.is_some() {
            return Err(failed(refusal(&answer), answer.is_retryable()));
        }
        let rows = answer.body.get("data").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| failed("the answer of Resource Graph holds no list of rows".to_owned(), false))?;
        let mut listed = Listed { next: next(&answer.body), ..Listed::default() };
        if listed.next.is_none() && is_cut(&answer.body) {
            return Err(failed("Resource Graph left rows out and gave no token for the next page".to_owned(), false));
        }
        for row in rows {
            let row = row.to_string();
            listed.take(&row, (kept.read)(&row));
        }
        Ok(listed)
    }
}

fn refusal(answer: &ApiResponse) -> String {
    let hint = if matches!(answer.status, 401 | 403) {
        "\nhint: give stanch's identity Microsoft.ResourceGraph/resources/read and the role Reader on the subscription"
    } else {
        ""
    };
    let (code, message) = answer.fault.as_ref().map_or(("", ""), |fault| (&fault.code, &fault.message));
    format!("{} {code}: {message}{hint}", answer.status)
}

fn next(body: &Value) -> Option<String> {
    body.get("$skipToken").and_then(Value::as_str).filter(|token| !token.is_empty()).map(str::to_owned)
}

/// `resultTruncated` is a text in the published description.
fn is_cut(body: &Value) -> bool {
    body.get("resultTruncated").is_some_and(|cut| cut.as_str() == Some("true") || cut.as_bool() == Some(true))
}
