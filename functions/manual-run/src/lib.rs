//! A person asks: show a plan, open a remediation, plan one again. A request without an authenticated person may ask, never
//! apply: approving goes through a door that knows who asks.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use stanch_core::finding::Finding;
use stanch_core::normalize::Normalized;
use stanch_core::remediation::RemediationId;
use stanch_engine::trigger::Invocation;
use stanch_engine::{Engine, EngineError, PreviewOutcome};

/// The folder's name, as the host calls it.
pub const NAME: &str = "manual-run";
/// The trigger's binding in `function.json`.
pub const BINDING: &str = "req";

enum Request<'a> {
    /// Show what would be done about a finding; writes nothing.
    Plan { finding: &'a RawValue },
    /// Open a remediation for a finding.
    Open { finding: &'a RawValue },
    /// Plan a remediation that ended without a fix again.
    Retry { remediation: RemediationId },
}

/// Answers one request. `normalize` reads any payload stanch knows.
pub async fn handle(
    engine: &Engine,
    invocation: &Invocation,
    normalize: impl for<'a> Fn(&'a str) -> Normalized<'a>,
) -> Result<Value, EngineError> {
    let events = invocation.events(BINDING)?;
    let [body] = events.as_slice() else {
        return Err(EngineError::Invocation(format!("expected one request, found {}", events.len())));
    };
    match request(body)? {
        Request::Plan { finding } => {
            let shown: Vec<Value> = engine.preview(findings(finding, normalize)?).await.into_iter().map(preview).collect();
            Ok(json!({ "plans": shown }))
        }
        Request::Open { finding } => Ok(json!({ "taken": engine.ingest(findings(finding, normalize)?).await? })),
        Request::Retry { remediation } => {
            engine.reopen(remediation, NAME).await?;
            Ok(json!({ "remediation": remediation, "state": "open" }))
        }
    }
}

/// The findings in what a person sent: all of it is findings, or it is an error that says what is not.
fn findings<'a>(text: &'a RawValue, normalize: impl Fn(&'a str) -> Normalized<'a>) -> Result<Vec<Finding<'a>>, EngineError> {
    let reading = normalize(text.get())?;
    if let Some(fault) = reading.faults.into_iter().next() {
        return Err(fault.into());
    }
    match reading.passed_over.first() {
        Some(rule) => Err(EngineError::Invocation(rule.to_string())),
        None => Ok(reading.findings),
    }
}

fn request(body: &str) -> Result<Request<'_>, EngineError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form<'a> {
        #[serde(rename = "do")]
        verb: String,
        #[serde(borrow, default)]
        finding: Option<&'a RawValue>,
        #[serde(default)]
        remediation: Option<RemediationId>,
    }
    let wrong = |why: String| {
        EngineError::Invocation(format!(
            "{why}; expected {{\"do\": \"plan\" or \"open\", \"finding\": …}} or {{\"do\": \"retry\", \"remediation\": id}}"
        ))
    };
    let form: Form<'_> = serde_json::from_str(body).map_err(|e| wrong(e.to_string()))?;
    match (form.verb.as_str(), form.finding, form.remediation) {
        ("plan", Some(finding), None) => Ok(Request::Plan { finding }),
        ("open", Some(finding), None) => Ok(Request::Open { finding }),
        ("retry", None, Some(remediation)) => Ok(Request::Retry { remediation }),
        (verb, ..) => Err(wrong(format!("`do: {verb}` with these fields is no request"))),
    }
}

fn preview(preview: stanch_engine::Preview) -> Value {
    let outcome = match preview.outcome {
        PreviewOutcome::Plan { plan, hash, guard } => json!({"plan": plan, "hash": hash, "guard": guard, "verdict": guard.verdict()}),
        PreviewOutcome::Gone => json!({"gone": true}),
        PreviewOutcome::Compliant => json!({"compliant": true}),
        PreviewOutcome::Recorded(why) => json!({"recorded": why}),
        PreviewOutcome::NoFix(why) => json!({"no_fix": why}),
        PreviewOutcome::Failed(error) => json!({"failed": error.to_string()}),
    };
    json!({"finding": preview.title, "resource": preview.resource, "decision": preview.decision, "outcome": outcome})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_what_is_none_says_what_one_is() {
        assert!(matches!(request(r#"{"do":"plan","finding":{"a":1}}"#), Ok(Request::Plan { finding }) if finding.get() == r#"{"a":1}"#));
        assert!(matches!(request(r#"{"do":"retry","remediation":"00000000-0000-0000-0000-000000000001"}"#), Ok(Request::Retry { .. })));
        for wrong in [r#"{"do":"apply","finding":{}}"#, r#"{"do":"plan"}"#, "[]", r#"{"do":"plan","finding":{},"force":true}"#] {
            let error = request(wrong).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains("expected {\"do\""), "{wrong}: {error}");
        }
    }
}
