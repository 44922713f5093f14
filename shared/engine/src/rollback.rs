//! A change that was refused for good, and the way back from it.

use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::undo;
use stanch_core::port::Kind;
use stanch_core::remediation::{Approval, ApprovalKind, AttemptResult};
use stanch_core::state::{Event, State};

use crate::apply::{current, latest_effect, new_run};
use crate::case::{Case, Entry, describe};
use crate::observe::Live;
use crate::outcome::{push_result, set_result};
use crate::{Engine, EngineError, Next};

impl Engine {
    /// A change was refused for good. What was done before it is put back.
    pub(crate) async fn change_failed(
        &self,
        case: &mut Case,
        index: usize,
        result: AttemptResult,
        why: String,
    ) -> Result<Next, EngineError> {
        let precondition = matches!(result.status, Some(409 | 412));
        match current(&case.remediation).and_then(|r| r.attempt(index)).map(|a| a.result.is_none()) {
            Some(true) => set_result(&mut case.remediation, index, result),
            Some(false) => {}
            None => push_result(&mut case.remediation, index, 1, result),
        }
        let plan = current(&case.remediation).map(|r| r.plan.clone());
        let mut entry = Entry::new(ActivityStatus::Failure, "Failed", why.clone());
        entry.detail = if precondition { "Precondition failed" } else { "Failed" };
        case.record(self, plan.as_ref(), entry);
        if case.state() == State::Undoing {
            return case.stuck(self, format!("the undo failed: {why}")).await;
        }
        let applied = current(&case.remediation).is_some_and(|r| (0..r.plan.changes.len()).any(|i| r.is_applied(i)));
        if applied {
            case.advance(Event::ChangeFailed, format!("{why}; putting back what was done before it"))?;
            case.remediation.undo = None;
            return case.commit(self, Next::Now).await;
        }
        if precondition {
            case.advance(Event::Replan, format!("{why}; planning again"))?;
            case.remediation.fix = None;
            return case.commit(self, Next::Now).await;
        }
        case.advance(Event::NothingApplied, why)?;
        case.notify(self, "A fix failed; nothing was changed");
        case.commit(self, Next::Idle).await
    }

    /// After a failed change: the plan that puts back those before it. It needs no approval of its own, the fix's covers it.
    pub(crate) async fn plan_rollback(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(run) = case.remediation.fix.clone() else { return case.stuck(self, "there is nothing to put back".into()).await };
        // The way back is planned on what a read shows: it must show what was written.
        let shows = latest_effect(&run).map(|at| at + self.lag(&run.plan.fix));
        if let Some(until) = shows.filter(|until| self.now() < *until) {
            return case.keep_until(self, until).await;
        }
        let live = match self.read_for(&case.remediation, &run).await {
            Ok(Live::State(snapshot)) => snapshot,
            Ok(Live::Gone) => return self.found_gone(case).await,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        let applied: Vec<usize> = (0..run.plan.changes.len()).filter(|i| run.is_applied(*i)).collect();
        let fix = self.ports.fixes.fix(&run.plan.fix)?;
        match undo(fix, &run.plan, &applied, &live, &run.given()) {
            Ok(plan) => {
                let hash = plan.hash();
                let approval =
                    Approval { plan_hash: hash.clone(), by: "engine:rollback".into(), at: self.now(), how: ApprovalKind::ByRule };
                case.record(self, Some(&plan), Entry::new(ActivityStatus::Other, "Planned", "puts back the changes before the failed one"));
                case.remediation.undo = Some(new_run(plan, hash, self.now(), Some(approval)));
                case.commit(self, Next::Now).await
            }
            Err(error) => case.stuck(self, format!("cannot be put back: {}", EngineError::from(error))).await,
        }
    }
}
