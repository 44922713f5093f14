//! Proof: a fresh read, never the answer of a write.

use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::Snapshot;
use stanch_core::port::{Hold, Kind, WriteBack};
use stanch_core::remediation::ApprovalKind;
use stanch_core::state::Event;

use crate::case::{Case, Entry, describe, told};
use crate::observe::Live;
use crate::{Engine, EngineError, Next};

/// How long a person's undo holds the fix off the resource, milliseconds: 30 days.
const HOLD_MS: i64 = 30 * 86_400_000;

impl Engine {
    /// The step of a remediation whose changes are written.
    pub(crate) async fn verify_step(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(run) = case.remediation.fix.clone() else { return case.stuck(self, "there is no plan to verify".into()).await };
        // A read that still shows how it was before another run proves nothing about this one.
        if let Some(until) = self.others_unsettled(&case.remediation, &run) {
            return case.keep_until(self, until).await;
        }
        let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
        let snapshot = match self.observe(fix, &target, &run.plan.params, case.remediation.correlation).await {
            Ok(Live::State(snapshot)) => snapshot,
            Ok(Live::Gone) => return self.found_gone(case).await,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        let params = &run.plan.params;
        let settled = fix.is_settled(&target, params, &snapshot)?;
        if !(settled && run.plan.is_done(&snapshot) && fix.is_proved(&target, params, &snapshot)?) {
            return self.not_yet(case, fix.settle_ms, "the fix").await;
        }
        let now = self.now();
        let mut entry = Entry::new(ActivityStatus::Success, "Verified", format!("a fresh read proves fix {}", fix.name));
        entry.before = Some(run.plan.observed.clone().into());
        entry.after = Some(run.plan.projection(&snapshot).into());
        case.record(self, Some(&run.plan), entry);
        case.remediation.times.verified = Some(now);
        if let Some(run) = &mut case.remediation.fix {
            run.left = Some(Snapshot { values: snapshot.values.clone(), at: snapshot.at, ..Snapshot::default() });
        }
        let plan = crate::plan::short(&run.hash);
        if let Some(life) = run.plan.expires_after_ms {
            let until = now.saturating_add(i64::try_from(life).unwrap_or(i64::MAX));
            case.advance(Event::ProvedUntil(until), "contained; released by itself when the alert is closed at its source")?;
            case.write_back(self, WriteBack::InProgress, &format!("stanch: contained by {} (plan {plan})", fix.name));
            case.notify(self, "A resource is contained");
            return case.commit(self, Next::At(until)).await;
        }
        case.advance(Event::Proved, "a fresh read proves it")?;
        let (did, title) =
            if run.plan.activity.closes_finding() { ("fixed by", "Fixed and proven") } else { ("evidence kept by", "Evidence is kept") };
        let note = format!("stanch: {did} {} (plan {plan}), proven by a fresh read", fix.name);
        case.write_back(self, told(run.plan.activity), &note);
        case.notify(self, title);
        case.commit(self, Next::Idle).await
    }

    /// The changes of an undo are written: prove that everything is as it was.
    pub(crate) async fn verify_undo(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(run) = case.remediation.undo.clone() else { return case.stuck(self, "there is no undo to verify".into()).await };
        // A read that still shows how it was before another run proves nothing about this one.
        if let Some(until) = self.others_unsettled(&case.remediation, &run) {
            return case.keep_until(self, until).await;
        }
        let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
        let snapshot = match self.observe(fix, &target, &run.plan.params, case.remediation.correlation).await {
            Ok(Live::State(snapshot)) => snapshot,
            Ok(Live::Gone) => return self.found_gone(case).await,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        if !(fix.is_settled(&target, &run.plan.params, &snapshot)? && run.plan.is_done(&snapshot)) {
            return self.not_yet(case, fix.settle_ms, "the undo").await;
        }
        let mut entry = Entry::new(ActivityStatus::Success, "Undone", format!("a fresh read proves that fix {} is put back", fix.name));
        entry.before = Some(run.plan.observed.clone().into());
        entry.after = Some(run.plan.projection(&snapshot).into());
        let by = run.approval.as_ref().map(|a| a.by.clone()).unwrap_or_default();
        entry.actor = Some(&by);
        case.record(self, Some(&run.plan), entry);
        if let Some(run) = &mut case.remediation.undo {
            run.left = Some(Snapshot { values: snapshot.values.clone(), at: snapshot.at, ..Snapshot::default() });
        }
        if run.approval.as_ref().is_some_and(|a| a.how != ApprovalKind::ByRule) {
            let hold = Hold {
                fix: run.plan.fix.clone(),
                resource: run.plan.resource.clone(),
                reason: "it was put back by a person".into(),
                by: by.clone(),
                until: self.now() + HOLD_MS,
            };
            self.ports.store.hold(hold).await?;
        }
        case.advance(Event::UndoProved, format!("put back by {by}; a fresh read proves it"))?;
        case.write_back(self, WriteBack::Reopened, "stanch: the fix was put back");
        case.notify(self, "Put back");
        case.commit(self, Next::Idle).await
    }

    /// Not proven yet: read again soon, up to the fix's settle time after the last write; then call a person.
    async fn not_yet(&self, case: &mut Case, settle_ms: u64, what: &str) -> Result<Next, EngineError> {
        case.remediation.tries += 1;
        let started = match case.remediation.run() {
            Some(run) => run.attempts.iter().filter_map(|a| a.result.as_ref()).map(|r| r.at).max().unwrap_or(run.planned_at),
            None => self.now(),
        };
        let deadline = started.saturating_add(i64::try_from(settle_ms).unwrap_or(i64::MAX));
        if self.now() >= deadline {
            let why = format!("{what} was written, but a fresh read does not show it after {} s", settle_ms / 1000);
            let plan = case.remediation.run().map(|r| r.plan.clone());
            case.advance(Event::NotProved, why.clone())?;
            case.record(self, plan.as_ref(), Entry::new(ActivityStatus::Partial, "Not proven", why));
            case.notify(self, "A person is needed: written but not proven");
            return case.commit(self, Next::Idle).await;
        }
        let wait = (1_000_i64 << case.remediation.tries.min(5)).min(30_000);
        let at = (self.now() + wait).min(deadline);
        case.commit(self, Next::At(at)).await
    }
}
