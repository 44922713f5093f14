//! The end of a containment: when its time is over, and nobody needs it any more.

use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::{Plan, Snapshot, undo};
use stanch_core::port::Filter;
use stanch_core::remediation::{Approval, ApprovalKind, Remediation};
use stanch_core::state::{Event, State};

use crate::apply::new_run;
use crate::ask::Confirmation;
use crate::case::{Case, Entry};
use crate::observe::Live;
use crate::plan::Planned;
use crate::{Engine, EngineError, Next};

/// How much longer a containment holds whose plan names no time, milliseconds.
const HOUR_MS: u64 = 3_600_000;

impl Engine {
    /// A containment's time is over: the source is asked again, and so are those of other alerts that hold the same resource;
    /// only when none of them reports its alert any more is the resource released.
    pub(crate) async fn release_step(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(run) = case.remediation.fix.clone() else { return self.watch(case).await };
        let needed = match self.still_needed(&case.remediation).await {
            Ok(needed) => needed,
            Err(error) => return case.again_later(self, &error).await,
        };
        let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
        let live = match self.observe(fix, &target, &run.plan.params, case.remediation.correlation).await {
            Ok(Live::State(snapshot)) => snapshot,
            Ok(Live::Gone) => return case.stuck(self, "the contained resource is gone".into()).await,
            Err(error) => return case.again_later(self, &error).await,
        };
        let held = run.left.as_ref().is_some_and(|left| run.plan.projection(left) == run.plan.projection(&live));
        match needed {
            Some(why) if held => self.prolong(case, run.plan.expires_after_ms, &why).await,
            Some(why) => case.stuck(self, format!("{why}, but somebody changed the contained resource")).await,
            None if held => self.release(case, undo(fix, &run.plan, &all(&run.plan), &live, &run.given())?).await,
            // Another alert's case, or a person, has let it go already: nothing is left to write.
            None if is_let_go(&run.plan, &live) => self.release(case, undo(fix, &run.plan, &[], &live, &run.given())?).await,
            None => case.stuck(self, "somebody changed the contained resource; it is not released by itself".into()).await,
        }
    }

    /// An alert whose resource was contained already when it came: nothing of it is to be released, but while it stands the
    /// resource must stay contained.
    async fn watch(&self, case: &mut Case) -> Result<Next, EngineError> {
        match self.confirm(&case.remediation).await {
            Ok(Confirmation::Confirmed) => {}
            Ok(Confirmation::Unclear(why)) => return case.again_later(self, &cannot_be_asked(&why)).await,
            Ok(Confirmation::Denied(why)) => {
                case.advance(Event::ClosedAtSource, why.clone())?;
                case.record(self, None, Entry::new(ActivityStatus::Other, "Closed", why));
                return case.commit(self, Next::Idle).await;
            }
            Err(error) => return case.again_later(self, &error).await,
        }
        match self.plan_case(&case.remediation).await {
            Ok(Planned::Compliant(fix)) => self.prolong(case, fix.expires_after_ms, "the source still reports the alert").await,
            Ok(_) => {
                let why = "the resource is no longer contained, and the source still reports the alert";
                case.advance(Event::Replan, why)?;
                case.record(self, None, Entry::new(ActivityStatus::Other, "Moved", why));
                case.commit(self, Next::Now).await
            }
            Err(error) => case.again_later(self, &error).await,
        }
    }

    /// Why a resource must stay contained, if it must. Whether it must has to be found out: what no source tells is an error.
    async fn still_needed(&self, remediation: &Remediation) -> Result<Option<String>, EngineError> {
        let mut unclear = match self.confirm(remediation).await? {
            Confirmation::Confirmed => return Ok(Some("the source still reports the alert".into())),
            Confirmation::Unclear(why) => Some(why),
            Confirmation::Denied(_) => None,
        };
        let filter = Filter { state: Some("contained".into()), cloud: Some(remediation.resource.cloud), limit: None };
        for row in self.ports.store.list(&filter).await? {
            if row.id == remediation.id {
                continue;
            }
            let Some(other) = self.ports.store.load(row.id).await? else { continue };
            let same = other.resource.identity() == remediation.resource.identity();
            if !same || !matches!(other.state, State::Contained { .. }) {
                continue;
            }
            match self.confirm(&other).await? {
                Confirmation::Confirmed => {
                    return Ok(Some(format!("remediation {} holds the same resource, and its source still reports the alert", other.id)));
                }
                Confirmation::Unclear(why) => unclear = Some(why),
                Confirmation::Denied(_) => {}
            }
        }
        unclear.map_or(Ok(None), |why| Err(cannot_be_asked(&why)))
    }

    async fn prolong(&self, case: &mut Case, longer_ms: Option<u64>, why: &str) -> Result<Next, EngineError> {
        let why = format!("kept contained: {why}");
        case.remediation.note.clone_from(&why);
        case.remediation.tries = 0;
        let plan = case.remediation.fix.as_ref().map(|run| run.plan.clone());
        case.record(self, plan.as_ref(), Entry::new(ActivityStatus::Other, "Kept", why));
        case.notify(self, "A containment was prolonged");
        let longer = i64::try_from(longer_ms.unwrap_or(HOUR_MS)).unwrap_or(i64::MAX);
        case.commit(self, Next::At(self.now().saturating_add(longer))).await
    }

    async fn release(&self, case: &mut Case, plan: Plan) -> Result<Next, EngineError> {
        let hash = plan.hash();
        let approval = Approval { plan_hash: hash.clone(), by: "engine:expiry".into(), at: self.now(), how: ApprovalKind::ByRule };
        case.record(self, Some(&plan), Entry::new(ActivityStatus::Other, "Planned", "releases the containment, whose time is over"));
        case.remediation.undo = Some(new_run(plan, hash, self.now(), Some(approval)));
        case.advance(Event::UndoAllowed, "the containment's time is over and the source no longer reports the alert")?;
        case.commit(self, Next::Now).await
    }
}

/// Nothing is released on that: the permission that lacks may be given meanwhile, else a person is called.
fn cannot_be_asked(why: &str) -> EngineError {
    EngineError::Refused(format!("whether the alert stands cannot be found out: {why}"))
}

fn all(plan: &Plan) -> Vec<usize> {
    (0..plan.changes.len()).collect()
}

/// Whether everything a plan set has its value of before.
fn is_let_go(plan: &Plan, live: &Snapshot) -> bool {
    plan.projection(live) == plan.observed
}
