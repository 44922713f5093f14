//! Writing: one change at a time, the intent stored before, the result after. Decides nothing; the plan says it all.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::ApiRequest;
use stanch_core::digest::sha256_hex;
use stanch_core::fix::Fix;
use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::{Bindings, Change, Outcome as Planning, Plan, PlanKind, Snapshot, bind, plan};
use stanch_core::port::{ApiError, Kind, WriteBack};
use stanch_core::remediation::{Approval, Attempt, AttemptResult, Outcome, Remediation, Run};
use stanch_core::state::{Event, State};

use crate::case::{Case, Entry, describe, told};
use crate::observe::Live;
use crate::outcome::{Sent, push_result, settled};
use crate::{CALL_TIMEOUT_MS, Engine, EngineError, LEASE_MARGIN_MS, Next, telemetry};

/// A call that has less time than this before its lease ends is not sent, milliseconds.
const SHORTEST_CALL_MS: i64 = 2_000;
/// The longest a provider's reads are taken to lag behind a write it has answered, milliseconds.
const MOST_LAG_MS: i64 = 30_000;
/// How long a read that does not show a write is put down to that lag before a person is called, milliseconds.
const PATIENCE_MS: i64 = 120_000;

impl Engine {
    /// The step of a remediation whose changes (or whose undo's changes) are being written.
    pub(crate) async fn apply_step(&self, case: &mut Case) -> Result<Next, EngineError> {
        if case.state() == State::Undoing && case.remediation.undo.is_none() {
            return self.plan_rollback(case).await;
        }
        let Some(run) = current(&case.remediation).cloned() else {
            return case.stuck(self, "there is no plan to apply".into()).await;
        };
        if run.approval.as_ref().is_none_or(|a| a.plan_hash != run.hash) || run.plan.hash() != run.hash {
            return case.stuck(self, "the plan is not the one that was approved".into()).await;
        }
        let Some(index) = (0..run.plan.changes.len()).find(|i| !run.is_applied(*i)) else {
            return self.all_applied(case).await;
        };
        let open = run.attempt(index).filter(|a| a.result.is_none()).cloned();
        if let Some(open) = &open {
            if let Some(pending) = &open.operation {
                return self.poll(case, &run, index, pending).await;
            }
            let ready = open.lease_until + self.settle(&run.plan);
            if self.now() < ready {
                return case.keep_until(self, ready).await;
            }
        }
        let live = match self.read_for(&case.remediation, &run).await {
            Ok(live) => live,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        let Live::State(snapshot) = live else {
            return self.found_gone(case).await;
        };
        if open.is_some() {
            return self.resolve_unknown(case, &run, index, &snapshot).await;
        }
        if let Some(next) = self.refuse_if_moved(case, &run, index, &snapshot).await? {
            return Ok(next);
        }
        if let Some(next) = self.hold_the_pen(case, &run).await? {
            return Ok(next);
        }
        self.write(case, &run, index, &snapshot).await
    }

    /// Reads what the run's fix reads. The undo of a fix reads the same.
    pub(crate) async fn read_for(&self, remediation: &Remediation, run: &Run) -> Result<Live, EngineError> {
        let (fix, target) = self.subject(remediation, &run.plan.fix)?;
        if fix.digest != run.plan.fix_digest {
            return Err(EngineError::Refused(format!("fix `{}` was changed since the plan was made", fix.name)));
        }
        self.observe(fix, &target, &run.plan.params, remediation.correlation).await
    }

    /// The state must be the one that was planned on. Before the first write of a fix everything is planned again and the
    /// hashes compared; later, and for an undo, the values this plan speaks about are compared.
    async fn refuse_if_moved(&self, case: &mut Case, run: &Run, index: usize, snapshot: &Snapshot) -> Result<Option<Next>, EngineError> {
        if seen_late(run, index)
            && let Some(next) = self.take_late_sight(case, run, index, snapshot).await?
        {
            return Ok(Some(next));
        }
        let untouched = (0..run.plan.changes.len()).all(|i| !run.is_applied(i));
        if let Some(until) = self.others_unsettled(&case.remediation, run)
            && snapshot_is_old(run, index, untouched, snapshot)
        {
            case.remediation.note = "a read may still show how it was before; looking again".into();
            return case.keep_until(self, until).await.map(Some);
        }
        if run.plan.kind == PlanKind::Fix && untouched {
            let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
            return match plan(fix, &target, &run.plan.params, snapshot) {
                Ok(Planning::Plan(again)) if again.hash() == run.hash => Ok(None),
                Ok(Planning::Compliant) => {
                    case.advance(Event::FoundCompliant, "the live state became right by itself; nothing was written")?;
                    case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Compliant", "right before the first write"));
                    case.write_back(
                        self,
                        told(run.plan.activity),
                        "stanch: a fresh read shows the resource compliant; nothing was written",
                    );
                    case.commit(self, Next::Idle).await.map(Some)
                }
                Ok(Planning::Plan(_)) | Err(_) => {
                    let why = "the live state is not the one the plan was made on; planning again";
                    case.advance(Event::Replan, why)?;
                    case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Other, "Moved", why));
                    case.remediation.fix = None;
                    case.commit(self, Next::Now).await.map(Some)
                }
            };
        }
        let expected = run.plan.expected(index);
        let live = run.plan.projection(snapshot);
        let matches = if untouched { live == expected } else { run.plan.is_before(index, snapshot) };
        if matches {
            return Ok(None);
        }
        if run.plan.changes.get(index).is_some_and(tells_by_itself) && run.plan.is_after(index, snapshot) {
            return self.applied_by_observation(case, run, index, BTreeMap::new()).await.map(Some);
        }
        // Reads lag: what was written a moment ago may not show yet. Only after the settle time is it somebody else's doing.
        if let Some(at) = self.unsettled(run) {
            case.remediation.note = "a read does not show yet what was written; looking again".into();
            let wait = (self.now() - at).clamp(2_000, 30_000);
            return case.commit(self, Next::At(self.now() + wait)).await.map(Some);
        }
        let why = format!(
            "somebody changed the resource: planned on {}, expected now {}, found {}",
            Value::Object(run.plan.observed.clone()),
            Value::Object(expected),
            Value::Object(live)
        );
        case.stuck(self, why).await.map(Some)
    }

    /// When the latest change of a run took effect, while that may still not show everywhere.
    pub(crate) fn unsettled(&self, run: &Run) -> Option<i64> {
        latest_effect(run).filter(|at| self.now() < at + self.settle(&run.plan).min(PATIENCE_MS))
    }

    /// Until when a read may still show how the resource was before another run of the same case: an undo right after its fix
    /// would look as if it were done already.
    pub(crate) fn others_unsettled(&self, remediation: &Remediation, run: &Run) -> Option<i64> {
        let others = [remediation.fix.as_ref(), remediation.undo.as_ref(), remediation.earlier.last()];
        let others = others.into_iter().flatten().filter(|other| other.hash != run.hash);
        others.filter_map(|other| Some(latest_effect(other)? + self.lag(&other.plan.fix))).max().filter(|until| self.now() < *until)
    }

    /// How long a read may show what was before a write, milliseconds. A fix that names a longer time gives it to the provider's
    /// own work, not to reads.
    pub(crate) fn lag(&self, fix: &str) -> i64 {
        self.ports.fixes.fix(fix).map_or(MOST_LAG_MS, |fix: &Fix| i64::try_from(fix.settle_ms).unwrap_or(MOST_LAG_MS).min(MOST_LAG_MS))
    }

    /// A send that was not seen may still show at the next look: then it was ours. `None`: it still does not show.
    async fn take_late_sight(&self, case: &mut Case, run: &Run, index: usize, snapshot: &Snapshot) -> Result<Option<Next>, EngineError> {
        let Some(change) = run.plan.changes.get(index) else { return Ok(None) };
        let given = match &change.find {
            Some(find) => match self.look(case, run, index, find, snapshot).await {
                Ok(given) => given,
                Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await.map(Some),
                Err(error) => return case.stuck(self, looks_in_vain(index, &error)).await.map(Some),
            },
            None => (tells_by_itself(change) && run.plan.is_after(index, snapshot)).then(BTreeMap::new),
        };
        match given {
            Some(given) => self.applied_by_observation(case, run, index, given).await.map(Some),
            None => Ok(None),
        }
    }

    /// A fresh look shows a change done that was not known to be; `given` is what it made.
    async fn applied_by_observation(
        &self,
        case: &mut Case,
        run: &Run,
        index: usize,
        given: BTreeMap<String, Value>,
    ) -> Result<Next, EngineError> {
        let title = run.plan.changes.get(index).map_or("", |change| change.title.as_str());
        let message = format!("change {} is done, as a fresh read shows: {title}", index + 1);
        case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Applied by observation", message));
        push_result(&mut case.remediation, index, 0, AttemptResult { given, ..settled(self.now(), Outcome::AppliedByObservation) });
        case.commit(self, Next::Now).await
    }

    /// The kill switch and the caps, before every write. What cannot be read means no.
    async fn hold_the_pen(&self, case: &mut Case, run: &Run) -> Result<Option<Next>, EngineError> {
        if !matches!(self.ports.store.writes_allowed().await, Ok(true)) {
            telemetry::write_held(self.meter(), &case.remediation, "kill-switch");
            case.remediation.note = "the kill switch is on or cannot be read: waiting, nothing is written".into();
            let at = self.now() + 60_000;
            return case.commit(self, Next::At(at)).await.map(Some);
        }
        if run.reserved || run.plan.kind != PlanKind::Fix {
            return Ok(None);
        }
        let Some(decision) = case.remediation.decision.clone() else {
            return case.refuse(self, "nothing was decided".into()).await.map(Some);
        };
        let caps = self.caps(&decision, &case.remediation);
        if !self.ports.store.reserve(&caps).await? {
            return case.refuse(self, "the rule's cap for this hour is used up".into()).await.map(Some);
        }
        if let Some(run) = current_mut(&mut case.remediation) {
            run.reserved = true;
        }
        Ok(None)
    }

    /// Stores the intent, sends, stores the result.
    async fn write(&self, case: &mut Case, run: &Run, index: usize, snapshot: &Snapshot) -> Result<Next, EngineError> {
        let Some(change) = run.plan.changes.get(index) else { return Ok(Next::Idle) };
        let token = client_token(&case.remediation, run, index);
        let sealed = self.unseal(case.remediation.id, &change.late).await?;
        let given = run.given();
        let bindings = Bindings { snapshot, given: &given, client_token: &token, sealed: &sealed };
        let request = match bind(&change.request, &change.late, bindings) {
            Ok(request) => ApiRequest { correlation: case.remediation.correlation, ..request },
            Err(error) => return self.change_failed(case, index, settled(self.now(), Outcome::Refused), error.to_string()).await,
        };
        if let Err(error) = self.may_call(&request).await {
            return case.again_later(self, &error).await;
        }
        let now = self.now();
        let lease_until = now + CALL_TIMEOUT_MS as i64 + LEASE_MARGIN_MS;
        let number = run.attempt(index).map_or(0, |a| a.number) + 1;
        if let Some(run) = current_mut(&mut case.remediation) {
            run.attempts.push(Attempt {
                change: index,
                number,
                intended_at: now,
                lease_until,
                client_token: Some(token),
                operation: None,
                accepted: None,
                looked_at: None,
                result: None,
            });
        }
        let intent = format!("intends change {}: {}", index + 1, change.title);
        case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Other, "Intended", intent));
        case.commit(self, Next::At(lease_until + self.settle(&run.plan))).await?;
        // The store may have taken long over the intent. Others look for the outcome once the lease is over, so the call must
        // have ended by then; what is too late to be sent is not sent.
        let left = lease_until - LEASE_MARGIN_MS / 2 - self.now();
        let answer = if left < SHORTEST_CALL_MS {
            let reason = format!("the intent took {} s to store; its lease is nearly over", (self.now() - now) / 1000);
            Err(ApiError::NotSent { call: request.name(), reason, retry: true })
        } else {
            self.ports.clouds.call(&request, CALL_TIMEOUT_MS.min(left.unsigned_abs())).await
        };
        if let Ok(response) = &answer
            && let Err(error) = self.heed(&request, response).await
        {
            tracing::warn!(remediation = %case.remediation.id, %error, "throttling not told to other workers");
        }
        self.conclude(case, &Sent { index, number, request: &request }, answer).await
    }

    async fn all_applied(&self, case: &mut Case) -> Result<Next, EngineError> {
        if case.state() == State::Undoing {
            return self.verify_undo(case).await;
        }
        case.remediation.times.applied = Some(self.now());
        case.advance(Event::ChangesApplied, "every change is written; a fresh read must prove it")?;
        case.commit(self, Next::Now).await
    }

    pub(crate) async fn found_gone(&self, case: &mut Case) -> Result<Next, EngineError> {
        case.advance(Event::FoundGone, "the resource is gone")?;
        case.record(self, None, Entry::new(ActivityStatus::DoesNotExist, "Gone", "the resource is gone"));
        case.write_back(self, WriteBack::Fixed, "stanch: the resource is gone");
        case.commit(self, Next::Idle).await
    }

    /// How long the provider may take to show what was written, milliseconds.
    pub(crate) fn settle(&self, plan: &Plan) -> i64 {
        self.ports.fixes.fix(&plan.fix).map_or(60_000, |fix: &Fix| i64::try_from(fix.settle_ms).unwrap_or(60_000))
    }
}

/// A run that has just been planned.
pub(crate) fn new_run(plan: Plan, hash: String, now: i64, approval: Option<Approval>) -> Run {
    Run { plan, hash, planned_at: now, guard: None, approval, attempts: Vec::new(), reserved: false, left: None }
}

/// The run that is being written: the undo while undoing, else the fix.
pub(crate) fn current(remediation: &Remediation) -> Option<&Run> {
    if remediation.state == State::Undoing { remediation.undo.as_ref() } else { remediation.fix.as_ref() }
}

pub(crate) fn current_mut(remediation: &mut Remediation) -> Option<&mut Run> {
    if remediation.state == State::Undoing { remediation.undo.as_mut() } else { remediation.fix.as_mut() }
}

/// Whether the live state alone tells that a change is done: it sets something, and gives nothing that later ones need.
pub(crate) fn tells_by_itself(change: &Change) -> bool {
    !change.sets.is_empty() && change.gives.is_empty()
}

/// Why a person is called when what a change made cannot be looked for.
pub(crate) fn looks_in_vain(index: usize, error: &EngineError) -> String {
    format!("what change {} made cannot be looked for: {error}", index + 1)
}

/// Whether the latest word on a change is that a read did not show it.
fn seen_late(run: &Run, index: usize) -> bool {
    run.attempt(index).and_then(|a| a.result.as_ref()).is_some_and(|r| r.outcome == Outcome::NotSeen)
}

/// Whether a read does not show what the next change starts from: it may be from before another run of the same case.
fn snapshot_is_old(run: &Run, index: usize, untouched: bool, snapshot: &Snapshot) -> bool {
    if untouched { run.plan.projection(snapshot) != run.plan.expected(index) } else { !run.plan.is_before(index, snapshot) }
}

/// When the latest change of a run took effect.
pub(crate) fn latest_effect(run: &Run) -> Option<i64> {
    run.attempts.iter().filter_map(|a| a.result.as_ref()).filter(|r| r.outcome.is_applied()).map(|r| r.at).max()
}

/// The same at every retry of a change, and no other change's: 32 hex digits.
pub(crate) fn client_token(remediation: &Remediation, run: &Run, index: usize) -> String {
    let digest = sha256_hex(format!("{}/{}/{index}", remediation.id, run.hash).as_bytes());
    digest.get(..32).unwrap_or(&digest).to_owned()
}
