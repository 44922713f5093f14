//! Following a remediation until it rests.

use std::time::Duration;

use stanch_core::finding::Millis;
use stanch_core::plan::PlanKind;
use stanch_core::port::{Store, StoreError};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::Mode;
use stanch_core::state::State;
use stanch_engine::{Engine, EngineError, Next};

use super::failure::{Code, Failure};
use super::output::{Output, print, print_json};
use super::show::Page;
use crate::wiring::now;

/// Outbox items sent in one go.
pub(crate) const OUTBOX: usize = 100;

/// How often another worker's progress is looked at, milliseconds.
const LOOK_MS: i64 = 200;

/// Says each new state once.
struct Progress {
    out: Output,
    shown: Option<State>,
}

impl Progress {
    fn say(&mut self, case: &Remediation) {
        if self.shown != Some(case.state) {
            self.out.note(&format!("{}  {}: {}", case.id, case.state, case.note));
            self.shown = Some(case.state);
        }
    }
}

/// Takes a remediation on, here, until it rests or `deadline` (milliseconds since the epoch) has come.
pub(crate) async fn drive(engine: &Engine, id: RemediationId, deadline: Millis, out: Output) -> Result<Remediation, Failure> {
    let mut progress = Progress { out, shown: None };
    loop {
        let next = match engine.step(id).await {
            // Another worker was faster: see what it made of it.
            Err(EngineError::Store(StoreError::Conflict { .. })) => Next::At(now() + LOOK_MS),
            other => other?,
        };
        let case = engine.load(id).await?;
        progress.say(&case);
        let moving = match case.state {
            State::Applying | State::Verifying | State::Undoing => true,
            State::Open => next != Next::Idle,
            _ => false,
        };
        let at = match next {
            Next::Now => now(),
            Next::At(at) => at,
            Next::Idle => now() + LOOK_MS,
        };
        if !moving || at > deadline {
            return Ok(case);
        }
        sleep_until(at).await;
    }
}

/// Watches a remediation that a running server takes on.
pub(crate) async fn watch(store: &dyn Store, id: RemediationId, deadline: Millis, out: Output) -> Result<Remediation, Failure> {
    let mut progress = Progress { out, shown: None };
    loop {
        let case = store.load(id).await?.ok_or(EngineError::Unknown(id))?;
        progress.say(&case);
        let moving = match case.state {
            State::Applying | State::Verifying | State::Undoing => true,
            State::Open => case.decision.as_ref().is_some_and(|d| d.mode != Mode::Record),
            _ => false,
        };
        if !moving || now() + LOOK_MS > deadline {
            return Ok(case);
        }
        sleep_until(now() + LOOK_MS).await;
    }
}

/// When to stop waiting.
pub(crate) fn deadline(wait: Duration) -> Millis {
    now().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// What a remediation's rest means to somebody who wanted it fixed: the exit code and why, unless it is well.
pub(crate) fn unfixed(case: &Remediation) -> Option<(Code, String)> {
    let id = case.id;
    let said = |code, text: &str| Some((code, format!("remediation {id} {text}: {}", case.note)));
    match case.state {
        State::Resolved { .. } | State::Contained { .. } | State::StillReported => None,
        State::Planned | State::AwaitingApproval => said(Code::Refused, "waits for approval"),
        State::Open if case.tries > 0 => said(Code::Outside, "could not be planned yet"),
        State::Open => said(Code::Refused, "is only recorded"),
        State::Deferred { .. } => said(Code::Refused, "was put off"),
        State::Exempt => said(Code::Refused, "is exempt"),
        State::Rejected => said(Code::Refused, "was rejected"),
        State::Refused => said(Code::Refused, "was refused"),
        State::RolledBack => said(Code::Refused, "was put back"),
        State::Applying | State::Verifying | State::Undoing => said(Code::Outside, &format!("is still {}", case.state)),
        State::Failed => said(Code::Outside, "failed; nothing of it remains"),
        State::Stuck => said(Code::Outside, "is stuck, a person is needed"),
    }
}

/// The same to somebody who wanted it put back.
pub(crate) fn not_put_back(case: &Remediation) -> Option<(Code, String)> {
    match case.state {
        State::RolledBack => None,
        State::Undoing | State::Stuck => unfixed(case),
        state => Some((Code::Refused, format!("remediation {} is `{state}`, not put back: {}", case.id, case.note))),
    }
}

/// The same to somebody who wanted it looked at again: a plan that waits is what they wanted.
pub(crate) fn not_reopened(case: &Remediation) -> Option<(Code, String)> {
    match case.state {
        State::Planned | State::AwaitingApproval => None,
        State::Open if case.tries == 0 => None,
        _ => unfixed(case),
    }
}

/// The next step for a person, by where a remediation rests. `again` names the data folder (see [`Context::data_again`]).
///
/// [`Context::data_again`]: super::context::Context::data_again
pub(crate) fn next_step(case: &Remediation, again: &str) -> Option<String> {
    let id = case.id;
    match case.state {
        State::Planned | State::AwaitingApproval => {
            let hash = case.fix.as_ref().map(|run| run.hash.as_str()).unwrap_or_default();
            Some(format!("stanch approve {id} --plan {hash}{again}"))
        }
        State::Rejected | State::Refused | State::Failed | State::RolledBack | State::Exempt => {
            Some(format!("`stanch reopen {id}{again}` has it planned again"))
        }
        State::Stuck => Some(format!(
            "`stanch remediations show {id}{again}` tells what happened; then `stanch undo {id}{again}` or `stanch reopen {id}{again}`"
        )),
        State::Applying | State::Verifying | State::Undoing => {
            Some(format!("nothing is lost: `stanch up{again}` goes on with it; `stanch remediations show {id}{again}` tells how far it is"))
        }
        _ => None,
    }
}

/// Shows where remediations rest, with the plan of each that waits.
pub(crate) fn show(out: Output, cases: &[Remediation]) -> Result<(), Failure> {
    if out.json {
        return cases.iter().try_for_each(print_json);
    }
    let mut page = Page::new(out.colour);
    for case in cases {
        page.gap();
        page.case_head(case);
        if let Some(run) =
            case.fix.as_ref().filter(|r| matches!(case.state, State::Planned | State::AwaitingApproval) && r.plan.kind == PlanKind::Fix)
        {
            page.gap();
            page.plan(&run.plan, &run.hash, run.guard.as_ref());
        }
    }
    print(&page.finish())
}

async fn sleep_until(at: Millis) {
    let wait = u64::try_from(at - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}
