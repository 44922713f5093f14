//! Writing: one change at a time, the intent stored before, the result after. Decides nothing; the plan says it all.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::digest::sha256_hex;
use stanch_core::expr::{Dialect, Expr, Scope};
use stanch_core::fix::{Fix, Repeat};
use stanch_core::ocsf::{ActivityCall, ActivityStatus};
use stanch_core::plan::{Bindings, Change, Outcome as Planning, Plan, PlanKind, Snapshot, bind, plan, undo};
use stanch_core::port::{ApiError, Kind, WriteBack};
use stanch_core::remediation::{Approval, ApprovalKind, Attempt, AttemptResult, Outcome, Remediation, Run};
use stanch_core::state::{Event, State};

use crate::case::{Case, Entry, describe, told};
use crate::observe::Live;
use crate::{CALL_TIMEOUT_MS, Engine, EngineError, LEASE_MARGIN_MS, Next};

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
        let live = match self.read_for(&case.remediation, &run).await {
            Ok(live) => live,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        let Live::State(snapshot) = live else {
            return self.found_gone(case).await;
        };
        if let Some(open) = run.attempt(index).filter(|a| a.result.is_none()) {
            return self.resolve_unknown(case, &run, index, open.clone(), &snapshot).await;
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
    async fn read_for(&self, remediation: &Remediation, run: &Run) -> Result<Live, EngineError> {
        let (fix, target) = self.subject(remediation, &run.plan.fix)?;
        if fix.digest != run.plan.fix_digest {
            return Err(EngineError::Refused(format!("fix `{}` was changed since the plan was made", fix.name)));
        }
        self.observe(fix, &target, &run.plan.params).await
    }

    /// The state must be the one that was planned on. Before the first write of a fix everything is planned again and the
    /// hashes compared; later, and for an undo, the values this plan speaks about are compared.
    async fn refuse_if_moved(&self, case: &mut Case, run: &Run, index: usize, snapshot: &Snapshot) -> Result<Option<Next>, EngineError> {
        // A send that a first read did not show may still show at the next: then it was ours.
        if seen_late(run, index) && run.plan.is_after(index, snapshot) {
            push_result(&mut case.remediation, index, 0, settled(self.now(), Outcome::AppliedByObservation));
            return case.commit(self, Next::Now).await.map(Some);
        }
        let untouched = (0..run.plan.changes.len()).all(|i| !run.is_applied(i));
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
        if run.plan.is_after(index, snapshot) && !run.plan.changes.get(index).is_none_or(|c| c.sets.is_empty()) {
            let result = settled(self.now(), Outcome::AppliedByObservation);
            push_result(&mut case.remediation, index, 0, result);
            return case.commit(self, Next::Now).await.map(Some);
        }
        let why = format!(
            "somebody changed the resource: planned on {}, expected now {}, found {}",
            Value::Object(run.plan.observed.clone()),
            Value::Object(expected),
            Value::Object(live)
        );
        case.stuck(self, why).await.map(Some)
    }

    /// The kill switch and the caps, before every write. What cannot be read means no.
    async fn hold_the_pen(&self, case: &mut Case, run: &Run) -> Result<Option<Next>, EngineError> {
        if !matches!(self.ports.store.writes_allowed().await, Ok(true)) {
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
        let token = sha256_hex(format!("{}/{}/{index}", case.remediation.id, run.hash).as_bytes());
        let sealed = self.unseal(case.remediation.id, &change.late).await?;
        let given = run.given();
        let bindings = Bindings { snapshot, given: &given, client_token: token.get(..32).unwrap_or(&token), sealed: &sealed };
        let request = match bind(&change.request, &change.late, bindings) {
            Ok(request) => request,
            Err(error) => return self.change_failed(case, index, settled(self.now(), Outcome::Refused), error.to_string()).await,
        };
        let now = self.now();
        let number = run.attempt(index).map_or(0, |a| a.number) + 1;
        if let Some(run) = current_mut(&mut case.remediation) {
            run.attempts.push(Attempt {
                change: index,
                number,
                intended_at: now,
                lease_until: now + CALL_TIMEOUT_MS as i64 + LEASE_MARGIN_MS,
                client_token: Some(token.get(..32).unwrap_or(&token).to_owned()),
                operation: None,
                result: None,
            });
        }
        let intent = format!("intends change {}: {}", index + 1, change.title);
        case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Other, "Intended", intent));
        let wait = Next::At(now + CALL_TIMEOUT_MS as i64 + LEASE_MARGIN_MS + self.settle(&run.plan));
        case.commit(self, wait).await?;
        let answer = self.ports.clouds.call(&request, CALL_TIMEOUT_MS).await;
        self.conclude(case, run, index, change, &request, answer).await
    }

    /// What an answer, or its absence, means.
    async fn conclude(
        &self,
        case: &mut Case,
        run: &Run,
        index: usize,
        change: &Change,
        request: &ApiRequest,
        answer: Result<ApiResponse, ApiError>,
    ) -> Result<Next, EngineError> {
        let now = self.now();
        match answer {
            Ok(response) if response.fault.is_none() || is_already_so(change, &response) => {
                let given = match gives(change, &response) {
                    Ok(given) => given,
                    Err(why) => return case.stuck(self, format!("change {} was applied, but {why}", index + 1)).await,
                };
                let result = AttemptResult { given, ..answered(now, Outcome::Applied, &response) };
                let mut entry = Entry::new(ActivityStatus::Success, "Applied", format!("applied change {}: {}", index + 1, change.title));
                entry.call = Some(call_of(request, &response));
                case.record(self, Some(&run.plan), entry);
                set_result(&mut case.remediation, index, result);
                case.remediation.tries = 0;
                case.commit(self, Next::Now).await
            }
            // The provider may have done it before it failed: only a read can tell.
            Ok(response) if response.status >= 500 => {
                self.leave_open(case, format!("{} answered {}", request.name(), response.status)).await
            }
            Ok(response) if response.is_retryable() => {
                let wait = response.retry_after().map_or(Engine::back_off(case.remediation.tries + 1), |s| s as i64 * 1000);
                set_result(&mut case.remediation, index, answered(now, Outcome::NotApplied, &response));
                case.remediation.tries += 1;
                let why = format!("{} answered {} {}", request.name(), response.status, response.code().unwrap_or_default());
                if case.remediation.tries >= crate::MAX_TRIES {
                    return self.change_failed(case, index, answered(now, Outcome::NotApplied, &response), why).await;
                }
                case.remediation.note = format!("will try again: {why}");
                case.commit(self, Next::At(now + wait)).await
            }
            Ok(response) => {
                let fault = response.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message)).unwrap_or_default();
                let why = format!("{} was refused with {} {fault}", request.name(), response.status);
                self.change_failed(case, index, answered(now, Outcome::Refused, &response), why).await
            }
            Err(error @ ApiError::NotSent { retry: true, .. }) => {
                set_result(&mut case.remediation, index, settled(now, Outcome::NotApplied));
                let error = EngineError::from(error);
                if case.remediation.tries + 1 >= crate::MAX_TRIES {
                    return self.change_failed(case, index, settled(now, Outcome::NotApplied), error.to_string()).await;
                }
                case.again_later(self, &error).await
            }
            Err(error @ ApiError::NotSent { .. }) => {
                self.change_failed(case, index, settled(now, Outcome::Refused), error.to_string()).await
            }
            Err(error @ ApiError::Unknown { .. }) => self.leave_open(case, error.to_string()).await,
        }
    }

    /// The outcome is unknown: nobody touches it before the lease and the provider's settle time are over; then a read tells.
    async fn leave_open(&self, case: &mut Case, why: String) -> Result<Next, EngineError> {
        let Some(run) = current(&case.remediation) else { return Ok(Next::Idle) };
        let lease = run.attempts.last().map_or(self.now(), |a| a.lease_until);
        let at = lease + self.settle(&run.plan);
        case.remediation.note = format!("outcome unknown, a read will tell: {why}");
        case.commit(self, Next::At(at)).await
    }

    /// A send without a known outcome, after its lease.
    async fn resolve_unknown(
        &self,
        case: &mut Case,
        run: &Run,
        index: usize,
        open: Attempt,
        snapshot: &Snapshot,
    ) -> Result<Next, EngineError> {
        let ready = open.lease_until + self.settle(&run.plan);
        if self.now() < ready {
            return Ok(Next::At(ready));
        }
        let now = self.now();
        let Some(change) = run.plan.changes.get(index) else { return Ok(Next::Idle) };
        let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
        if !fix.is_settled(&target, &run.plan.params, snapshot)? && case.remediation.tries < crate::MAX_TRIES {
            case.remediation.tries += 1;
            let at = now + Engine::back_off(case.remediation.tries);
            return case.commit(self, Next::At(at)).await;
        }
        if !change.sets.is_empty() && run.plan.is_after(index, snapshot) && change.gives.is_empty() {
            let message = format!("change {} took effect, as a fresh read shows: {}", index + 1, change.title);
            case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Applied by observation", message));
            set_result(&mut case.remediation, index, settled(now, Outcome::AppliedByObservation));
            return case.commit(self, Next::Now).await;
        }
        if run.plan.is_before(index, snapshot) && change.repeat != Repeat::Never {
            let message = format!("change {} did not take effect, as a fresh read shows", index + 1);
            case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Other, "Not applied", message));
            set_result(&mut case.remediation, index, settled(now, Outcome::NotSeen));
            return case.commit(self, Next::Now).await;
        }
        let why = format!("change {} was sent, no answer came, and a fresh read does not tell whether it took effect", index + 1);
        case.stuck(self, why).await
    }

    /// A change was refused for good. What was done before it is put back.
    async fn change_failed(&self, case: &mut Case, index: usize, result: AttemptResult, why: String) -> Result<Next, EngineError> {
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
    async fn plan_rollback(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(run) = case.remediation.fix.clone() else { return case.stuck(self, "there is nothing to put back".into()).await };
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
fn current(remediation: &Remediation) -> Option<&Run> {
    if remediation.state == State::Undoing { remediation.undo.as_ref() } else { remediation.fix.as_ref() }
}

fn current_mut(remediation: &mut Remediation) -> Option<&mut Run> {
    if remediation.state == State::Undoing { remediation.undo.as_mut() } else { remediation.fix.as_mut() }
}

fn set_result(remediation: &mut Remediation, index: usize, result: AttemptResult) {
    if let Some(run) = current_mut(remediation)
        && let Some(attempt) = run.attempts.iter_mut().rev().find(|a| a.change == index)
    {
        attempt.result = Some(result);
    }
}

/// Whether a fault is one of those that mean it is already so: a code, or a status written as a number.
fn is_already_so(change: &Change, response: &ApiResponse) -> bool {
    change.ok.iter().any(|ok| response.code() == Some(ok.as_str()) || ok.parse() == Ok(response.status))
}

/// Whether the latest word on a change is that a read did not show it.
fn seen_late(run: &Run, index: usize) -> bool {
    run.attempt(index).and_then(|a| a.result.as_ref()).is_some_and(|r| r.outcome == Outcome::NotSeen)
}

/// A result without a send: number 0 says so.
fn push_result(remediation: &mut Remediation, index: usize, number: u32, result: AttemptResult) {
    if let Some(run) = current_mut(remediation) {
        run.attempts.push(Attempt {
            change: index,
            number,
            intended_at: result.at,
            lease_until: result.at,
            client_token: None,
            operation: None,
            result: Some(result),
        });
    }
}

fn settled(at: i64, outcome: Outcome) -> AttemptResult {
    AttemptResult { at, outcome, status: None, request_id: None, fault: None, given: BTreeMap::new() }
}

fn answered(at: i64, outcome: Outcome, response: &ApiResponse) -> AttemptResult {
    AttemptResult {
        at,
        outcome,
        status: Some(response.status),
        request_id: response.request_id.clone(),
        fault: response.fault.clone(),
        given: BTreeMap::new(),
    }
}

fn gives(change: &Change, response: &ApiResponse) -> Result<BTreeMap<String, Value>, String> {
    let dialect = Dialect::fix(["response".to_owned(), "header".to_owned()]);
    let headers: Value =
        response.headers.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<serde_json::Map<_, _>>().into();
    let mut given = BTreeMap::new();
    for (name, source) in &change.gives {
        let scope = Scope::new().json("response", &response.body).json("header", &headers);
        let value = Expr::compile(source, &dialect).and_then(|e| e.eval(&scope)).map_err(|e| e.to_string())?;
        if value.is_null() {
            return Err(format!("the answer does not give `{name}`"));
        }
        given.insert(name.clone(), value);
    }
    Ok(given)
}

fn call_of(request: &ApiRequest, response: &ApiResponse) -> ActivityCall {
    ActivityCall {
        operation: request.name(),
        service: Some(request.cloud.to_string()),
        request_uid: response.request_id.clone(),
        response_code: Some(response.status),
        response_error: response.fault.as_ref().map(|f| f.code.clone()),
        response_message: None,
    }
}
