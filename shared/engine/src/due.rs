//! When a remediation is looked at next: its own step's time, its due date, the second clock of verification.

use stanch_core::finding::Millis;
use stanch_core::ocsf::ActivityStatus;
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::Mode;
use stanch_core::state::State;

use crate::case::{Case, Entry};
use crate::command::answered;
use crate::second::second_look;
use crate::{Engine, EngineError, Next};

const HOUR_MS: i64 = 3_600_000;

/// The time a commit stores: the earliest of what the step wants (`own`), an untold due date, and the second look. Computed
/// from the remediation at every commit, so that no step can lose the others' times.
pub(crate) fn next_at(remediation: &Remediation, own: Option<Millis>) -> Option<Millis> {
    [own, untold(remediation), second_look(remediation)].into_iter().flatten().min()
}

/// What a remediation waits for when nothing new happens to it. Something that is added to it (a report, a date, a line of its
/// record) must not disturb that.
pub(crate) fn resting(remediation: &Remediation) -> Next {
    match remediation.state {
        State::Contained { until } | State::Deferred { until } => Next::At(until),
        State::Open if remediation.decision.as_ref().is_some_and(|d| d.mode != Mode::Record) => Next::Now,
        State::Applying | State::Undoing => in_flight(remediation).map_or(Next::Now, Next::At),
        state if state.is_moving() => Next::Now,
        _ => Next::Idle,
    }
}

/// Until when nobody touches a write that is under way.
fn in_flight(remediation: &Remediation) -> Option<Millis> {
    let run = if remediation.state == State::Undoing { remediation.undo.as_ref() } else { remediation.fix.as_ref() };
    let open = run?.attempts.last().filter(|attempt| attempt.result.is_none())?;
    Some(open.operation.as_ref().map_or(open.lease_until, |operation| operation.next_at))
}

/// A due date whose passing people must still be told of.
fn untold(remediation: &Remediation) -> Option<Millis> {
    let over = matches!(remediation.state, State::Resolved { .. } | State::RolledBack | State::Exempt | State::Rejected);
    let due = remediation.request.due.filter(|due| remediation.request.overdue_told != Some(*due));
    due.filter(|_| !over && !remediation.backlog)
}

/// Whether a due date has passed untold.
pub(crate) fn is_overdue(remediation: &Remediation, now: Millis) -> bool {
    untold(remediation).is_some_and(|due| due <= now)
}

impl Engine {
    /// Agrees on a due date (milliseconds since the epoch), or on none. When it passes and the case has not ended, people are
    /// told once; another date is another promise.
    pub async fn set_due(&self, id: RemediationId, due: Option<Millis>, by: &str) -> Result<(), EngineError> {
        answered!(self.set_due_once(id, due, by))
    }

    async fn set_due_once(&self, id: RemediationId, due: Option<Millis>, by: &str) -> Result<(), EngineError> {
        let mut case = Case::load(self, id).await?;
        case.correlate(self);
        case.remediation.request.due = due;
        let message = due.map_or_else(|| format!("{by} took the due date away"), |at| format!("{by} set the due date {at} (ms)"));
        let mut entry = Entry::new(ActivityStatus::Other, "Due", message);
        entry.actor = Some(by);
        case.record(self, None, entry);
        let next = resting(&case.remediation);
        case.commit(self, next).await.map(drop)
    }

    /// Tells that the due date has passed, and remembers that it did.
    pub(crate) async fn tell_overdue(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(due) = case.remediation.request.due else { return Ok(Next::Idle) };
        case.remediation.request.overdue_told = Some(due);
        let state = case.state();
        let message = format!("the due date passed {} h ago and the case is `{state}`", (self.now() - due) / HOUR_MS);
        case.record(self, None, Entry::new(ActivityStatus::Other, "Overdue", message));
        case.notify(self, "A remediation is overdue");
        let next = resting(&case.remediation);
        case.commit(self, next).await
    }
}
