//! Records for auditors: every stored entry, and one summary of each remediation, as OCSF Remediation Activities.
//!
//! An entry carries the text that was hashed, byte for byte, in `raw_data`, and its place in the chain in `unmapped.stanch`, so
//! that the export alone lets anybody compute the chain (`core::chain` has the formula) and compare it with a checkpoint. The
//! summary is made at export and is part of no chain: the plans it holds are vouched for by the hashes that the entries name.

use serde_json::{Map, Value, json};

use super::{ActivityCall, ActivityKind, ActivityStatus, RemediationActivity};
use crate::chain::ChainEntry;
use crate::finding::Millis;
use crate::fix::Activity;
use crate::plan::{Plan, PlanKind};
use crate::remediation::{Remediation, RemediationId, Run};
use crate::state::{Resolution, State};

/// An entry of a record as it was stored, with `raw_data` and `unmapped.stanch` added. An entry that is no JSON object (only one
/// that somebody else wrote) becomes an object of these two.
pub fn exported_entry(id: RemediationId, entry: &ChainEntry) -> Value {
    let mut event: Map<String, Value> = serde_json::from_str(&entry.body).unwrap_or_default();
    event.insert("raw_data".to_owned(), Value::String(entry.body.clone()));
    add(&mut event, json!({"kind": "entry", "remediation": id, "sequence": entry.sequence, "hash": entry.hash}));
    Value::Object(event)
}

/// A remediation as it stands: the plans in full, who approved each and how, before and after, every call with the provider's
/// request id. `updated` is when it was committed last, milliseconds since the epoch. Sensitive values are digests, as stored.
pub fn exported_case(case: &Remediation, updated: Millis) -> Result<Value, serde_json::Error> {
    let runs: Vec<&Run> = case.fix.iter().chain(&case.undo).collect();
    let present = case.run();
    let (status, word) = status(case.state);
    let activity = RemediationActivity {
        kind: present.map_or(ActivityKind::Harden, |run| ActivityKind::of(&run.plan)),
        status,
        status_detail: Some(word.to_owned()),
        command_uid: case.id.to_string(),
        event_uid: Some(format!("{}/case/{}", case.id, case.version)),
        correlation_uid: Some(case.id.to_string()),
        finding_uids: case.reporters.iter().map(|reporter| reporter.uid.clone()).collect(),
        time: updated,
        start_time: runs.iter().flat_map(|run| &run.attempts).map(|attempt| attempt.intended_at).min(),
        end_time: runs.iter().flat_map(|run| &run.attempts).filter_map(|attempt| Some(attempt.result.as_ref()?.at)).max(),
        severity: case.finding.severity,
        cloud: case.resource.cloud,
        account: case.resource.account.clone().or_else(|| case.finding.account.clone()),
        region: case.resource.region.as_ref().map(ToString::to_string),
        resource_uids: vec![case.resource.uid.to_string()],
        message: Some(if case.note.is_empty() { case.state.to_string() } else { format!("{}: {}", case.state, case.note) }),
        remediation: present.map(|run| run.plan.title.clone()),
        calls: runs.iter().flat_map(|run| calls(run)).collect(),
        actor: present.and_then(|run| Some(run.approval.as_ref()?.by.clone())),
        plan_hash: present.map(|run| run.hash.clone()),
        fix: present.map(|run| run.plan.fix.clone()),
        before: present.map(|run| Value::Object(run.plan.observed.clone())),
        after: present.and_then(|run| Some(Value::Object(run.plan.projection(run.left.as_ref()?)))),
    };
    let mut event = match serde_json::to_value(&activity)? {
        Value::Object(event) => event,
        _ => Map::new(),
    };
    let stanch = json!({
        "kind": "case",
        "remediation": case.id,
        "key": case.key,
        "state": case.state,
        "times": case.times,
        "chain": case.chain,
        "approvals": runs.iter().filter_map(|run| run.approval.as_ref()).collect::<Vec<_>>(),
        "fix": case.fix,
        "undo": case.undo,
    });
    add(&mut event, stanch);
    Ok(Value::Object(event))
}

impl ActivityKind {
    /// What carrying out a plan is.
    pub fn of(plan: &Plan) -> Self {
        match (&plan.kind, plan.activity) {
            (PlanKind::Undo(_), _) | (_, Activity::Restore) => ActivityKind::Restore,
            (_, Activity::Harden) => ActivityKind::Harden,
            (_, Activity::Isolate) => ActivityKind::Isolate,
            (_, Activity::Evict) => ActivityKind::Evict,
            (_, Activity::Preserve) => ActivityKind::Preserve,
        }
    }
}

fn status(state: State) -> (ActivityStatus, &'static str) {
    let status = match state {
        State::Resolved { how: Resolution::Gone } => ActivityStatus::DoesNotExist,
        State::Resolved { .. } | State::RolledBack | State::Contained { .. } => ActivityStatus::Success,
        State::StillReported => ActivityStatus::Partial,
        State::Failed => ActivityStatus::Failure,
        State::Stuck => ActivityStatus::Error,
        _ => ActivityStatus::Other,
    };
    (status, state.name())
}

/// Every send of every change, in order.
fn calls(run: &Run) -> impl Iterator<Item = ActivityCall> {
    run.attempts.iter().filter_map(|attempt| {
        let request = &run.plan.changes.get(attempt.change)?.request;
        let result = attempt.result.as_ref();
        let fault = result.and_then(|result| result.fault.as_ref());
        Some(ActivityCall {
            operation: request.name(),
            service: Some(request.cloud.to_string()),
            request_uid: result.and_then(|result| result.request_id.clone()),
            response_code: result.and_then(|result| result.status),
            response_error: fault.map(|fault| fault.code.clone()),
            response_message: fault.map(|fault| fault.message.clone()),
        })
    })
}

/// Puts our own part under `unmapped.stanch`, beside what is there.
fn add(event: &mut Map<String, Value>, stanch: Value) {
    match event.entry("unmapped").or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(unmapped) => drop(unmapped.insert("stanch".to_owned(), stanch)),
        other => *other = json!({"stanch": stanch}),
    }
}
