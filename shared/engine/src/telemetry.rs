//! Everything worth telling: one function per event. Each writes a log line of constant text, past tense, and counts.
//!
//! Levels: `error` only if a person must act, `warn` for what was recovered, `info` for what happened to a remediation, a
//! refusing gate included. Labels of metrics are bounded: cloud, source, outcome; never an id, an account or a name somebody
//! chose. Most of what happens to a remediation is told by one call after its commit (`committed`), so that a commit that lost
//! against another worker's tells nothing.

mod calls;
mod committed;
mod metrics;

use stanch_core::cloud::Cloud;
use stanch_core::decide::Decision;
use stanch_core::finding::{Finding, Millis, Source};
use stanch_core::guard::{GuardReport, Verdict};
use stanch_core::plan::PlanKind;
use stanch_core::port::{Kind, Meter, OutboxItem, OutboxMessage, ParkedKind};
use stanch_core::remediation::{ApprovalKind, Attempt, AttemptResult, Outcome, Remediation, RemediationId, Run};
use stanch_core::rule::Mode;
use stanch_core::state::{Resolution, State};
use tracing::Span;
use tracing::field::display;
use uuid::Uuid;

pub(crate) use calls::Calls;
pub(crate) use committed::{Before, committed};
pub use metrics::{METRICS, Metric, MetricKind};
pub use metrics::{OUTBOX_AGE, PARKED_NOW, QUEUE_AGE, RECONCILES, STORE_REACHABLE, SWEEPS, WRITES_ALLOWED};

use crate::{EngineError, Intake, Taken};

/// Writes a log line with what every line about a remediation carries, and `$field`s of its own.
macro_rules! tell {
    ($level:ident, $r:expr, $($field:tt)*) => {
        tracing::$level!(
            remediation = %$r.id,
            finding = %$r.finding.uid,
            resource = %$r.resource.uid,
            rule = $r.decision.as_ref().and_then(|d| d.rule.as_deref()),
            correlation = $r.correlation.map(display),
            $($field)*
        )
    };
}
pub(crate) use tell;

/// The span of one delivered event: whatever is logged in it carries its correlation id. It has no parent, so that a trace is
/// what one event caused.
pub fn event_span(function: &str, correlation: Uuid) -> Span {
    // Spans are at `error` so that a filter for warnings keeps them: a warning needs its correlation id most.
    tracing::error_span!(parent: None, "event", function, correlation = %correlation)
}

/// The span of one step of a remediation, or of a person's command on it.
pub fn step_span(r: &Remediation) -> Span {
    tracing::error_span!(parent: None, "step", remediation = %r.id, state = r.state.name(), correlation = r.correlation.map(display))
}

/// One finding on one resource was taken in.
pub fn finding_received(meter: &dyn Meter, finding: &Finding<'_>, intake: &Intake) {
    let outcome = match intake.taken {
        Taken::Opened => "opened",
        Taken::Known => "known",
        Taken::Recurred => "recurred",
        Taken::Closed => "closed",
        Taken::NotOpen => "not-open",
        Taken::NoResource => "no-resource",
    };
    let labels = [("cloud", finding.cloud.as_str()), ("source", finding.source.as_str()), ("outcome", outcome)];
    meter.count(metrics::FINDINGS.name, &labels, 1);
    let remediation = intake.remediation.map(display);
    // A heartbeat of a known fault comes every few hours for every finding: not news.
    if matches!(intake.taken, Taken::Opened | Taken::Recurred | Taken::Closed) {
        tracing::info!(remediation, finding = intake.finding, resource = intake.resource, outcome, "finding received");
    } else {
        tracing::debug!(remediation, finding = intake.finding, resource = intake.resource, outcome, "finding received");
    }
}

/// A delivered event was taken in whole.
pub fn event_taken(meter: &dyn Meter) {
    meter.count(metrics::EVENTS.name, &[("outcome", "taken")], 1);
}

/// A delivered event is no finding by its nature.
pub fn event_ignored(meter: &dyn Meter, rule: &str, why: &str) {
    meter.count(metrics::EVENTS.name, &[("outcome", "ignored")], 1);
    tracing::debug!(rule, why, "event ignored");
}

/// A delivered event could not be read. `digest` is its SHA-256.
pub fn event_refused(meter: &dyn Meter, digest: &str, bytes: usize, why: &str) {
    meter.count(metrics::EVENTS.name, &[("outcome", "refused")], 1);
    tracing::error!(digest, bytes, why, "event refused");
}

/// The rules decided on a finding.
pub fn decided(meter: &dyn Meter, r: &Remediation, decision: &Decision) {
    let mode = mode(decision.mode);
    meter.count(metrics::DECISIONS.name, &[("mode", mode)], 1);
    tell!(info, r, mode, "remediation decided");
}

/// A plan was made, and the guards asked.
pub fn plan_made(meter: &dyn Meter, r: &Remediation, run: &Run) {
    let verdict = match run.guard.as_ref().map(GuardReport::verdict) {
        // A roll-back's plan is covered by the approval of its fix.
        None | Some(Verdict::Pass) => "pass",
        Some(Verdict::Ask) => "ask",
        Some(Verdict::Refuse) => "refuse",
    };
    let kind = kind(run);
    meter.count(metrics::PLANS.name, &[("cloud", cloud(r)), ("kind", kind), ("verdict", verdict)], 1);
    tell!(info, r, fix = run.plan.fix, plan = run.hash, kind, verdict, "plan made");
}

/// A plan was approved.
pub fn approved(meter: &dyn Meter, r: &Remediation, run: &Run, how: ApprovalKind) {
    let by = match how {
        ApprovalKind::ByRule => "rule",
        ApprovalKind::ByPerson => "person",
        ApprovalKind::SelfApproved => "self",
    };
    meter.count(metrics::APPROVALS.name, &[("by", by)], 1);
    tell!(info, r, fix = run.plan.fix, plan = run.hash, by, "plan approved");
}

/// The outcome of one sent change became known.
pub fn change_concluded(meter: &dyn Meter, r: &Remediation, run: &Run, attempt: &Attempt, result: &AttemptResult) {
    let outcome = match result.outcome {
        Outcome::Applied => "applied",
        Outcome::AppliedByObservation => "applied-by-observation",
        Outcome::Refused => "refused",
        Outcome::NotApplied => "not-applied",
        Outcome::NotSeen => "not-seen",
    };
    meter.count(metrics::CHANGES.name, &[("cloud", cloud(r)), ("kind", kind(run)), ("outcome", outcome)], 1);
    let (fix, change, number) = (run.plan.fix.as_str(), attempt.change + 1, attempt.number);
    let (status, request_id) = (result.status, result.request_id.as_deref());
    if result.outcome.is_applied() {
        tell!(info, r, fix, change, attempt = number, outcome, status, request_id, "change applied");
    } else {
        let code = result.fault.as_ref().map(|f| f.code.as_str());
        tell!(warn, r, fix, change, attempt = number, outcome, status, code, request_id, "change not applied");
    }
}

/// A fresh read proved a fix.
pub fn verified(meter: &dyn Meter, r: &Remediation, at: Millis) {
    meter.count(metrics::VERIFIED.name, &[("cloud", cloud(r))], 1);
    if let Some(received) = r.times.received {
        meter.time(metrics::TIME_TO_REMEDIATE.name, &[("cloud", cloud(r))], seconds(at - received));
    }
    tell!(info, r, fix = r.run().map(|run| run.plan.fix.as_str()), "fix verified");
}

/// A fresh read proved that a fix is put back.
pub fn undone(meter: &dyn Meter, r: &Remediation) {
    let by_rule = r.undo.as_ref().and_then(|run| run.approval.as_ref()).is_some_and(|a| a.how == ApprovalKind::ByRule);
    let by = if by_rule { "engine" } else { "person" };
    meter.count(metrics::UNDONE.name, &[("cloud", cloud(r)), ("by", by)], 1);
    tell!(info, r, fix = r.run().map(|run| run.plan.fix.as_str()), by, "fix undone");
}

/// A gate said no.
pub fn refused(meter: &dyn Meter, r: &Remediation, gate: &str) {
    meter.count(metrics::REFUSED.name, &[("gate", gate)], 1);
    tell!(info, r, gate, why = r.note, "remediation refused");
}

/// A gate had a write wait: the kill switch.
pub fn write_held(meter: &dyn Meter, r: &Remediation, gate: &'static str) {
    meter.count(metrics::HELD.name, &[("gate", gate)], 1);
    tell!(info, r, gate, "write held");
}

/// A remediation came to an end of its own, or to a person.
pub fn remediation_ended(meter: &dyn Meter, r: &Remediation) {
    let Some(outcome) = ended(r.state) else { return };
    meter.count(metrics::ENDED.name, &[("cloud", cloud(r)), ("outcome", outcome)], 1);
    let fix = r.run().map(|run| run.plan.fix.as_str());
    match r.state {
        State::Stuck => tell!(error, r, fix, why = r.note, "remediation got stuck"),
        State::Failed => tell!(warn, r, fix, why = r.note, "remediation failed"),
        _ => tell!(info, r, fix, outcome, "remediation ended"),
    }
}

/// A step failed and is tried again.
pub fn step_failed(meter: &dyn Meter, id: RemediationId, error: &EngineError) {
    let broken = error.kind() == Kind::Broken;
    meter.count(metrics::STEPS_FAILED.name, &[("kind", if broken { "broken" } else { "retry" })], 1);
    if broken {
        tracing::error!(remediation = %id, %error, "step failed");
    } else {
        tracing::warn!(remediation = %id, %error, "step failed");
    }
}

/// A nudge could not be sent. The due time is stored: the timer finds it.
pub fn nudge_lost(meter: &dyn Meter, r: &Remediation, error: &dyn std::fmt::Display) {
    meter.count(metrics::NUDGES_LOST.name, &[], 1);
    tell!(warn, r, %error, "nudge lost");
}

/// A message of the outbox was sent at `now`.
pub fn message_sent(meter: &dyn Meter, id: RemediationId, item: &OutboxItem, now: Millis) {
    let lane = lane(item);
    meter.count(metrics::MESSAGES.name, &[("lane", lane), ("outcome", "sent")], 1);
    if let Some(made) = made_at(item.id) {
        meter.time(metrics::MESSAGE_WAIT.name, &[("lane", lane)], seconds(now - made));
    }
    tracing::info!(remediation = %id, message = %item.id, lane = item.message.lane(), "message sent");
}

/// A message of the outbox could not be sent. `retry`: trying again soon can help.
pub fn message_put_off(meter: &dyn Meter, id: RemediationId, item: &OutboxItem, retry: bool, reason: &str) {
    let outcome = if retry { "put-off" } else { "not-taken" };
    meter.count(metrics::MESSAGES.name, &[("lane", lane(item)), ("outcome", outcome)], 1);
    if retry {
        tracing::warn!(remediation = %id, message = %item.id, lane = item.message.lane(), reason, "message put off");
    } else {
        tracing::error!(remediation = %id, message = %item.id, lane = item.message.lane(), reason, "message not taken");
    }
}

/// Something that could not be taken was put aside for a person.
pub fn parked(meter: &dyn Meter, kind: ParkedKind, origin: &str, why: &str) {
    let kind = match kind {
        ParkedKind::Event => "event",
        ParkedKind::Message => "message",
    };
    meter.count(metrics::PARKED.name, &[("kind", kind)], 1);
    tracing::error!(kind, origin, why, "delivery parked");
}

/// Events were kept in a file because the store was out of reach.
pub fn spilled(meter: &dyn Meter, events: u64, why: &str) {
    meter.count(metrics::SPILLED.name, &[("outcome", "spilled")], events);
    tracing::warn!(events, why, "events spilled");
}

/// Spilled events were taken in after all.
pub fn recovered(meter: &dyn Meter, events: u64) {
    meter.count(metrics::SPILLED.name, &[("outcome", "recovered")], events);
    tracing::info!(events, "spilled events recovered");
}

/// A provider asked us to slow down; told for every call by [`Calls`]. `quota` is what it counts by; only the cloud becomes a
/// label.
fn throttled(meter: &dyn Meter, cloud: Cloud, quota: &str, wait_ms: Option<u64>) {
    meter.count(metrics::THROTTLES.name, &[("cloud", cloud.as_str())], 1);
    tracing::warn!(quota, wait_ms, "cloud throttled");
}

/// A sweep listed a source's findings. `listed` were read, `missed` of them had never arrived.
pub fn swept(meter: &dyn Meter, source: Source, scope: &dyn std::fmt::Display, listed: u64, missed: u64) {
    let source = source.as_str();
    meter.count(SWEEPS.name, &[("source", source), ("outcome", "done")], 1);
    meter.count(metrics::SWEPT_FINDINGS.name, &[("source", source), ("outcome", "listed")], listed);
    meter.count(metrics::SWEPT_FINDINGS.name, &[("source", source), ("outcome", "missed")], missed);
    tracing::info!(%scope, listed, missed, "source swept");
}

/// A sweep of a source failed; the next one begins where it stopped.
pub fn sweep_failed(meter: &dyn Meter, source: Source, scope: &dyn std::fmt::Display, error: &dyn std::fmt::Display) {
    meter.count(SWEEPS.name, &[("source", source.as_str()), ("outcome", "failed")], 1);
    tracing::warn!(%scope, %error, "sweep failed");
}

/// A round of due remediations ended; the one that was due longest had waited `waited_ms`.
pub fn reconciled(meter: &dyn Meter, ran: usize, waited_ms: Millis) {
    meter.count(RECONCILES.name, &[], 1);
    if ran > 0 {
        meter.time(metrics::QUEUE_WAIT.name, &[], seconds(waited_ms));
        tracing::debug!(ran, waited_ms, "round reconciled");
    }
}

/// When a message was made: its id is a UUIDv7. `None` for another id.
pub(crate) fn made_at(id: Uuid) -> Option<Millis> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some(i64::try_from(seconds).ok()? * 1000 + i64::from(nanos / 1_000_000))
}

/// Milliseconds as seconds; clocks that disagree give no negative time.
fn seconds(ms: Millis) -> f64 {
    ms.max(0) as f64 / 1000.0
}

fn cloud(r: &Remediation) -> &'static str {
    r.resource.cloud.as_str()
}

fn kind(run: &Run) -> &'static str {
    match run.plan.kind {
        PlanKind::Fix => "fix",
        PlanKind::Undo(_) => "undo",
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Record => "record",
        Mode::Plan => "plan",
        Mode::Approve => "approve",
        Mode::Auto => "auto",
    }
}

fn lane(item: &OutboxItem) -> &'static str {
    match item.message {
        OutboxMessage::WriteBack { .. } => "source",
        OutboxMessage::Notice { .. } => "channel",
    }
}

/// The end a state is, if it is one.
fn ended(state: State) -> Option<&'static str> {
    Some(match state {
        State::Resolved { how: Resolution::Fixed } => "fixed",
        State::Resolved { how: Resolution::Gone } => "gone",
        State::Resolved { how: Resolution::Compliant } => "compliant",
        State::Resolved { how: Resolution::ByOthers } => "by-others",
        State::RolledBack | State::Exempt | State::Rejected | State::Refused | State::Failed | State::Stuck => state.name(),
        _ => return None,
    })
}
