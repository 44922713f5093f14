//! Azure Policy as a source: asking how a resource stands against one policy.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::Method;
use stanch_core::port::{SourceAnswer, SourceError};

use crate::normalize::normalize_policy;
use crate::normalize::policy::SEPARATOR;
use crate::source::{Ask, DefenderSource, MAX_PAGES, encoded, found, held};

/// The newest version that is no preview (<https://learn.microsoft.com/rest/api/policy/policy-states>).
const VERSION: &str = "2019-10-01";
/// A resource has one row for each policy assigned above it, some hundreds at most; a page holds up to 1,000.
const ROWS: &str = "1000";

impl DefenderSource {
    /// The latest states of the resource are read whole: a filter compares the ids' letter case, which differs between the
    /// shapes, and a state that was not found would count as gone.
    pub(crate) async fn fetch_state(&self, ask: &Ask<'_>) -> Result<SourceAnswer, SourceError> {
        let id = ask.reference.id.as_ref();
        let resource = id.split_once(SEPARATOR).and_then(|(resource, _)| encoded(resource));
        let resource = resource.ok_or_else(|| ask.failed("its id names no resource, assignment and policy".to_owned(), false))?;
        let mut path = format!("{resource}/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults");
        let mut query = BTreeMap::from([("api-version", VERSION), ("$top", ROWS)].map(|(name, value)| (name.to_owned(), value.to_owned())));
        for _ in 0..MAX_PAGES {
            let answer = self.request(ask, Method::Post, path, query).await?;
            let Some(body) = held(ask, &answer)? else { return Ok(SourceAnswer::Absent) };
            let rows = body.get("value").and_then(Value::as_array);
            let rows = rows.ok_or_else(|| ask.failed("the answer holds no list of states".to_owned(), false))?;
            for row in rows {
                let text = row.to_string();
                let is_asked = |reading: stanch_core::normalize::Reading<'_>| reading.findings.iter().any(|finding| finding.uid == id);
                if normalize_policy(&text).is_ok_and(is_asked) {
                    return found(ask, row, normalize_policy, |_| true);
                }
            }
            let Some(link) = body.get("@odata.nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()) else {
                return Ok(SourceAnswer::Absent);
            };
            (path, query) =
                self.next_page(link).ok_or_else(|| ask.failed(format!("page link `{link}` does not lead to {}", self.host), false))?;
        }
        Err(ask.failed(format!("it is not among the first {MAX_PAGES} pages of states"), false))
    }
}
