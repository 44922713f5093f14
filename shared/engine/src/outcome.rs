//! What became of a write: its answer, the operation it started, or, when no answer came, what a fresh read shows.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::{ApiFault, ApiRequest, ApiResponse};
use stanch_core::fix::{Repeat, is_listed};
use stanch_core::ocsf::{ActivityCall, ActivityStatus};
use stanch_core::operation::{self, Pending, Progress};
use stanch_core::plan::{self, Bindings, Change, FindCall, Snapshot, bind, found};
use stanch_core::port::{ApiError, Kind, StoreError};
use stanch_core::remediation::{Attempt, AttemptResult, Outcome, Remediation, Run};

use crate::apply::{client_token, current, current_mut, looks_in_vain, tells_by_itself};
use crate::case::{Case, Entry};
use crate::observe::Live;
use crate::{Engine, EngineError, Next};

/// How often the result of a write is stored again after others committed in between.
const RESULT_TRIES: usize = 8;

/// The least time between two looks for what a lost write made, milliseconds.
const LEAST_BETWEEN_LOOKS_MS: i64 = 60_000;

/// A write that was sent.
pub(crate) struct Sent<'s> {
    /// Index of the change.
    pub(crate) index: usize,
    /// Number of the send.
    pub(crate) number: u32,
    /// What was sent.
    pub(crate) request: &'s ApiRequest,
}

impl Engine {
    /// Stores what an answer, or its absence, means. A report that came in meanwhile must not cost the result: it is stored on
    /// top of that.
    pub(crate) async fn conclude(
        &self,
        case: &mut Case,
        sent: &Sent<'_>,
        answer: Result<ApiResponse, ApiError>,
    ) -> Result<Next, EngineError> {
        for _ in 0..RESULT_TRIES {
            match self.conclude_once(case, sent, &answer).await {
                Err(EngineError::Store(StoreError::Conflict { .. })) => *case = Case::load(self, case.remediation.id).await?,
                other => return other,
            }
            let still_open = current(&case.remediation)
                .and_then(|run| run.attempt(sent.index))
                .is_some_and(|a| a.number == sent.number && a.result.is_none() && a.operation.is_none());
            if !still_open {
                return Ok(Next::Idle);
            }
        }
        Err(StoreError::Conflict { id: case.remediation.id.to_string() }.into())
    }

    async fn conclude_once(&self, case: &mut Case, sent: &Sent<'_>, answer: &Result<ApiResponse, ApiError>) -> Result<Next, EngineError> {
        let now = self.now();
        let (index, request) = (sent.index, sent.request);
        let Some(run) = current(&case.remediation).cloned() else { return Ok(Next::Idle) };
        let Some(change) = run.plan.changes.get(index) else { return Ok(Next::Idle) };
        match answer {
            Ok(response) if response.fault.is_none() || is_already_so(change, response) => {
                self.taken(case, &run, change, sent, response).await
            }
            // The provider may have done it before it failed: only a read can tell.
            Ok(response) if response.status >= 500 => {
                self.leave_open(case, format!("{} answered {}", request.name(), response.status)).await
            }
            Ok(response) if response.is_retryable() => {
                let why = format!("{} answered {} {}", request.name(), response.status, response.code().unwrap_or_default());
                let result = answered(now, Outcome::NotApplied, response);
                set_result(&mut case.remediation, index, result.clone());
                if case.remediation.tries + 1 >= crate::MAX_TRIES {
                    return self.change_failed(case, index, result, why).await;
                }
                case.remediation.tries += 1;
                case.remediation.note = format!("will try again: {why}");
                let wait = response.retry_after_ms(now).unwrap_or_else(|| Engine::back_off(case.remediation.tries));
                case.commit(self, Next::At(now + wait)).await
            }
            Ok(response) => {
                let fault = response.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message)).unwrap_or_default();
                let why = format!("{} was refused with {} {fault}", request.name(), response.status);
                self.change_failed(case, index, answered(now, Outcome::Refused, response), why).await
            }
            Err(ApiError::NotSent { call, reason, retry: true }) => {
                set_result(&mut case.remediation, index, settled(now, Outcome::NotApplied));
                let error = EngineError::Api(ApiError::NotSent { call: call.clone(), reason: reason.clone(), retry: true });
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

    /// The provider took the write: it is done, or an operation has begun that will do it.
    async fn taken(
        &self,
        case: &mut Case,
        run: &Run,
        change: &Change,
        sent: &Sent<'_>,
        response: &ApiResponse,
    ) -> Result<Next, EngineError> {
        let now = self.now();
        let what = format!("change {}: {}", sent.index + 1, change.title);
        let given = match gives(change, response) {
            Ok(given) => given,
            // It was done, by this send or an earlier one, and what it made must be looked for.
            Err(why) if change.find.is_some() => return self.leave_open(case, why).await,
            Err(why) => return case.stuck(self, format!("change {} was applied, but {why}", sent.index + 1)).await,
        };
        let started = response.fault.is_none().then(|| operation::started(sent.request, response, now)).flatten();
        let result = AttemptResult { given, ..answered(now, Outcome::Applied, response) };
        let (status, detail, message) = match &started {
            None => (ActivityStatus::Success, "Applied", format!("applied {what}")),
            Some(_) => (ActivityStatus::Other, "Accepted", format!("the provider works on {what}")),
        };
        let mut entry = Entry::new(status, detail, message);
        entry.call = Some(call_of(sent.request, response));
        case.record(self, Some(&run.plan), entry);
        case.remediation.tries = 0;
        if let Some(pending) = started {
            let at = pending.next_at;
            case.remediation.note = "the provider works on it".into();
            set_operation(&mut case.remediation, sent.index, Some(pending), Some(result));
            return case.commit(self, Next::At(at)).await;
        }
        set_result(&mut case.remediation, sent.index, result);
        case.commit(self, Next::Now).await
    }

    /// Asks how far an operation is.
    pub(crate) async fn poll(&self, case: &mut Case, run: &Run, index: usize, pending: &Pending) -> Result<Next, EngineError> {
        let now = self.now();
        if now < pending.next_at {
            return case.keep_until(self, pending.next_at).await;
        }
        let progress = match self.read(&pending.poll, case.remediation.correlation).await {
            Ok(response) => operation::progress(pending, &response, now),
            // Not asking costs nothing but time: the operation goes on by itself.
            Err(EngineError::Throttled { until, .. }) => Progress::Running(Box::new(Pending { next_at: until, ..pending.clone() })),
            Err(EngineError::Store(error)) => return Err(error.into()),
            Err(_) => Progress::Running(Box::new(Pending { next_at: now + 30_000, polls: pending.polls + 1, ..pending.clone() })),
        };
        match progress {
            Progress::Running(next) => {
                let at = next.next_at;
                set_operation(&mut case.remediation, index, Some(*next), None);
                case.commit(self, Next::At(at)).await
            }
            Progress::Done => {
                let message = format!("the provider has ended its work on change {}", index + 1);
                case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Applied", message));
                let done = run.attempt(index).and_then(|a| a.accepted.clone());
                let result = done.map_or_else(|| settled(now, Outcome::Applied), |done| AttemptResult { at: now, ..done });
                set_operation(&mut case.remediation, index, None, None);
                set_result(&mut case.remediation, index, result);
                case.commit(self, Next::Now).await
            }
            // Nobody can say how it ended: the live state must.
            Progress::Failed { code, message } if code == operation::UNKNOWN => {
                set_operation(&mut case.remediation, index, None, None);
                case.remediation.note = format!("{message}; a read will tell");
                case.commit(self, Next::Now).await
            }
            Progress::Failed { code, message } => self.operation_failed(case, run, index, ApiFault { code, message }).await,
        }
    }

    /// An operation ended badly. Whether it did part of its work, a read must tell.
    async fn operation_failed(&self, case: &mut Case, run: &Run, index: usize, fault: ApiFault) -> Result<Next, EngineError> {
        let why = format!("the provider's operation failed: {}: {}", fault.code, fault.message);
        let snapshot = match self.read_for(&case.remediation, run).await {
            Ok(Live::State(snapshot)) => snapshot,
            Ok(Live::Gone) => return self.found_gone(case).await,
            Err(error) => return case.again_later(self, &error).await,
        };
        set_operation(&mut case.remediation, index, None, None);
        let result = AttemptResult { fault: Some(fault), ..settled(self.now(), Outcome::Refused) };
        let sets = run.plan.changes.get(index).is_some_and(|c| !c.sets.is_empty());
        if sets && run.plan.is_before(index, &snapshot) {
            return self.change_failed(case, index, result, why).await;
        }
        if sets && run.plan.is_after(index, &snapshot) {
            case.record(
                self,
                Some(&run.plan),
                Entry::new(ActivityStatus::Success, "Applied by observation", format!("{why}; a read shows it done")),
            );
            set_result(&mut case.remediation, index, settled(self.now(), Outcome::AppliedByObservation));
            return case.commit(self, Next::Now).await;
        }
        case.stuck(self, format!("{why}; the live state is neither as before nor as intended")).await
    }

    /// The outcome is unknown: nobody touches it before the lease and the provider's settle time are over; then a read tells.
    async fn leave_open(&self, case: &mut Case, why: String) -> Result<Next, EngineError> {
        let Some(run) = current(&case.remediation) else { return Ok(Next::Idle) };
        let lease = run.attempts.last().map_or(self.now(), |a| a.lease_until);
        let at = lease + self.settle(&run.plan);
        case.remediation.note = format!("outcome unknown, a read will tell: {why}");
        case.commit(self, Next::At(at)).await
    }

    /// A send without a known outcome, after its lease and the settle time.
    pub(crate) async fn resolve_unknown(&self, case: &mut Case, run: &Run, index: usize, snapshot: &Snapshot) -> Result<Next, EngineError> {
        let now = self.now();
        let Some(change) = run.plan.changes.get(index) else { return Ok(Next::Idle) };
        let (fix, target) = self.subject(&case.remediation, &run.plan.fix)?;
        if !fix.is_settled(&target, &run.plan.params, snapshot)? && case.remediation.tries < crate::MAX_TRIES {
            case.remediation.tries += 1;
            let at = now + Engine::back_off(case.remediation.tries);
            return case.commit(self, Next::At(at)).await;
        }
        let mut looked = false;
        if let Some(find) = &change.find {
            match self.look(case, run, index, find, snapshot).await {
                Ok(Some(given)) => {
                    let message = format!("change {} took effect, and what it made was found: {}", index + 1, change.title);
                    case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Applied by observation", message));
                    let result = AttemptResult { given, ..settled(now, Outcome::AppliedByObservation) };
                    set_result(&mut case.remediation, index, result);
                    return case.commit(self, Next::Now).await;
                }
                Ok(None) => looked = true,
                Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
                Err(error) => return case.stuck(self, looks_in_vain(index, &error)).await,
            }
        }
        if tells_by_itself(change) && run.plan.is_after(index, snapshot) {
            let message = format!("change {} took effect, as a fresh read shows: {}", index + 1, change.title);
            case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Success, "Applied by observation", message));
            set_result(&mut case.remediation, index, settled(now, Outcome::AppliedByObservation));
            return case.commit(self, Next::Now).await;
        }
        let before = run.plan.is_before(index, snapshot);
        if before && looked && change.repeat == Repeat::Never {
            // Lists lag. What is not the same twice as once is sent again only when it was not there twice, a settle time apart.
            let apart = self.settle(&run.plan).max(LEAST_BETWEEN_LOOKS_MS);
            match run.attempt(index).and_then(|a| a.looked_at) {
                None => {
                    let mut attempts = current_mut(&mut case.remediation).into_iter().flat_map(|r| r.attempts.iter_mut().rev());
                    if let Some(attempt) = attempts.find(|a| a.change == index) {
                        attempt.looked_at = Some(now);
                    }
                    case.remediation.note =
                        "what the write should have made was not found; looking once more before it is sent again".into();
                    return case.commit(self, Next::At(now + apart)).await;
                }
                // A report that came meanwhile has it looked at early.
                Some(first) if now < first + apart => return case.keep_until(self, first + apart).await,
                Some(_) => {}
            }
        }
        if before && (looked || change.repeat != Repeat::Never) {
            let message = format!("change {} did not take effect, as a fresh read shows", index + 1);
            case.record(self, Some(&run.plan), Entry::new(ActivityStatus::Other, "Not applied", message));
            set_result(&mut case.remediation, index, settled(now, Outcome::NotSeen));
            return case.commit(self, Next::Now).await;
        }
        let why = format!("change {} was sent, no answer came, and a fresh read does not tell whether it took effect", index + 1);
        case.stuck(self, why).await
    }

    /// Looks for what a change made; `None`: nothing is there.
    pub(crate) async fn look(
        &self,
        case: &Case,
        run: &Run,
        index: usize,
        find: &FindCall,
        snapshot: &Snapshot,
    ) -> Result<Option<BTreeMap<String, Value>>, EngineError> {
        let token = client_token(&case.remediation, run, index);
        let sealed = self.unseal(case.remediation.id, &find.late).await?;
        let given = run.given();
        let request = bind(&find.request, &find.late, Bindings { snapshot, given: &given, client_token: &token, sealed: &sealed })?;
        let response = self.read(&request, case.remediation.correlation).await?;
        if response.is_retryable() {
            let reason = format!("answered {} {}", response.status, response.code().unwrap_or_default());
            return Err(ApiError::NotSent { call: request.name(), reason, retry: true }.into());
        }
        found(find, &response).map_err(|e| EngineError::Refused(e.to_string()))
    }
}

pub(crate) fn set_result(remediation: &mut Remediation, index: usize, result: AttemptResult) {
    note_effect(remediation, &result);
    if let Some(run) = current_mut(remediation)
        && let Some(attempt) = run.attempts.iter_mut().rev().find(|a| a.change == index)
    {
        attempt.result = Some(result);
    }
}

fn note_effect(remediation: &mut Remediation, result: &AttemptResult) {
    if result.outcome.is_applied() {
        remediation.times.written = remediation.times.written.max(Some(result.at));
    }
}

/// Notes the operation a change waits for, and what its answer said already.
fn set_operation(remediation: &mut Remediation, index: usize, pending: Option<Pending>, accepted: Option<AttemptResult>) {
    if let Some(run) = current_mut(remediation)
        && let Some(attempt) = run.attempts.iter_mut().rev().find(|a| a.change == index)
    {
        attempt.operation = pending;
        attempt.accepted = accepted.or(attempt.accepted.take());
    }
}

/// Whether a fault is one of those that mean it is already so: a code, or a status written as a number.
fn is_already_so(change: &Change, response: &ApiResponse) -> bool {
    response.fault.as_ref().is_some_and(|fault| is_listed(&change.ok, fault, response.status))
}

/// A result without a send: number 0 says so.
pub(crate) fn push_result(remediation: &mut Remediation, index: usize, number: u32, result: AttemptResult) {
    note_effect(remediation, &result);
    if let Some(run) = current_mut(remediation) {
        run.attempts.push(Attempt {
            change: index,
            number,
            intended_at: result.at,
            lease_until: result.at,
            client_token: None,
            operation: None,
            accepted: None,
            looked_at: None,
            result: Some(result),
        });
    }
}

pub(crate) fn settled(at: i64, outcome: Outcome) -> AttemptResult {
    AttemptResult { at, outcome, status: None, request_id: None, fault: None, given: BTreeMap::new() }
}

pub(crate) fn answered(at: i64, outcome: Outcome, response: &ApiResponse) -> AttemptResult {
    AttemptResult {
        at,
        outcome,
        status: Some(response.status),
        request_id: response.request_id.clone(),
        fault: response.fault.clone(),
        given: BTreeMap::new(),
    }
}

/// What a change gives, by its answer; an error names what the answer lacks.
fn gives(change: &Change, response: &ApiResponse) -> Result<BTreeMap<String, Value>, String> {
    let given = plan::results(&change.gives, response).map_err(|e| e.to_string())?;
    match given.iter().find(|(_, value)| value.is_null()) {
        Some((name, _)) => Err(format!("the answer does not give `{name}`")),
        None => Ok(given),
    }
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
