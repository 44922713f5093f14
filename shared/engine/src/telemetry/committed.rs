//! What a commit changed, told once it is stored: by comparing the remediation with what it was when it was loaded.

use stanch_core::finding::Millis;
use stanch_core::guard::Verdict;
use stanch_core::port::Meter;
use stanch_core::remediation::{Remediation, Run};
use stanch_core::state::State;

use super::{approved, change_concluded, decided, ended, plan_made, refused, remediation_ended, tell, undone, verified};

/// What a remediation was like when it was loaded, or at its last commit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    /// Absent for a remediation that is not stored yet.
    state: Option<State>,
    verified: Option<Millis>,
    fix: RunBefore,
    undo: RunBefore,
}

#[derive(Clone, Copy, Debug, Default)]
struct RunBefore {
    planned: Option<Millis>,
    approved: bool,
    results: usize,
}

impl Before {
    /// Of a remediation as it is stored.
    pub(crate) fn of(r: &Remediation) -> Self {
        Before {
            state: Some(r.state),
            verified: r.times.verified,
            fix: RunBefore::of(r.fix.as_ref()),
            undo: RunBefore::of(r.undo.as_ref()),
        }
    }
}

impl RunBefore {
    fn of(run: Option<&Run>) -> Self {
        run.map_or_else(RunBefore::default, |run| RunBefore {
            planned: Some(run.planned_at),
            approved: run.approval.is_some(),
            results: run.attempts.iter().filter(|a| a.result.is_some()).count(),
        })
    }
}

/// Tells what a commit changed. To be called once it is stored.
pub(crate) fn committed(meter: &dyn Meter, before: Before, r: &Remediation) {
    let moved = before.state != Some(r.state);
    // Decided when it was opened, and again when it came back or was reopened after an end.
    if let Some(decision) = &r.decision
        && before.state.is_none_or(|state| moved && r.state == State::Open && ended(state).is_some())
    {
        decided(meter, r, decision);
    }
    run_committed(meter, before.fix, r, r.fix.as_ref());
    run_committed(meter, before.undo, r, r.undo.as_ref());
    if let Some(at) = r.times.verified
        && before.state == Some(State::Verifying)
        && before.verified != r.times.verified
    {
        verified(meter, r, at);
    }
    if moved {
        match r.state {
            State::RolledBack => undone(meter, r),
            State::Refused => refused(meter, r, gate(before, r)),
            _ => {}
        }
        remediation_ended(meter, r);
    }
    tell!(debug, r, state = r.state.name(), version = r.version, "remediation committed");
}

fn run_committed(meter: &dyn Meter, before: RunBefore, r: &Remediation, run: Option<&Run>) {
    let Some(run) = run else { return };
    let same = before.planned == Some(run.planned_at);
    if !same {
        plan_made(meter, r, run);
    }
    if let Some(approval) = run.approval.as_ref().filter(|_| !(same && before.approved)) {
        approved(meter, r, run, approval.how);
    }
    // Results come in the order of the sends: those that were there before are the first ones.
    let known = if same { before.results } else { 0 };
    for (attempt, result) in run.attempts.iter().filter_map(|a| Some((a, a.result.as_ref()?))).skip(known) {
        change_concluded(meter, r, run, attempt, result);
    }
}

/// The gate that refused: the first guard that did; while applying, the cap; else there is no fix.
fn gate(before: Before, r: &Remediation) -> &str {
    let guard = r.run().and_then(|run| run.guard.as_ref());
    let check = guard.and_then(|g| g.checks.iter().find(|c| c.verdict == Verdict::Refuse));
    match check {
        Some(check) => check.guard.as_str(),
        None if before.state == Some(State::Applying) => "cap",
        None => "fix",
    }
}
