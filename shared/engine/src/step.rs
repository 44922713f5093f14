//! One step of one remediation.

use stanch_core::port::StoreError;
use stanch_core::remediation::{RemediationId, SecondLook};
use stanch_core::state::{Event, State};
use tracing::Instrument;

use crate::case::{Case, Next, describe};
use crate::due::is_overdue;
use crate::second::second_look;
use crate::{Engine, EngineError, MAX_TRIES, telemetry};

/// How far a remediation was taken.
pub(crate) struct Driven {
    /// What comes next.
    pub(crate) next: Next,
    /// The version at which the last step only said when to come back, and committed nothing: a due time in the past stands on.
    pub(crate) standing: Option<u64>,
}

impl Engine {
    /// Takes a remediation one step further. Repeating it is harmless.
    pub async fn step(&self, id: RemediationId) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        let span = telemetry::step_span(&case.remediation);
        self.step_case(&mut case).instrument(span).await
    }

    async fn step_case(&self, case: &mut Case) -> Result<Next, EngineError> {
        let now = self.now();
        if is_overdue(&case.remediation, now) {
            return self.tell_overdue(case).await;
        }
        match case.state() {
            State::Open => self.plan_step(case).await,
            State::Applying | State::Undoing => self.apply_step(case).await,
            State::Verifying => self.verify_step(case).await,
            State::Contained { until } if until <= now => self.release_step(case).await,
            State::Deferred { until } if until <= now => {
                case.advance(Event::Replan, "the time it was put off to has come")?;
                case.commit(self, Next::Now).await
            }
            State::Contained { until } | State::Deferred { until } => Ok(Next::At(until)),
            State::Resolved { .. } | State::StillReported if second_look(&case.remediation).is_some_and(|at| at <= now) => {
                self.look_again(case).await
            }
            _ => Ok(Next::Idle),
        }
    }

    /// Steps until there is nothing to do at once. A remediation that another worker holds is left to that worker.
    pub async fn run(&self, id: RemediationId) -> Result<Next, EngineError> {
        self.drive(id).await.map(|driven| driven.next)
    }

    pub(crate) async fn drive(&self, id: RemediationId) -> Result<Driven, EngineError> {
        loop {
            let mut case = Case::load(self, id).await?;
            let before = case.remediation.version;
            let span = telemetry::step_span(&case.remediation);
            match self.step_case(&mut case).instrument(span).await {
                Ok(Next::Now) => {}
                Ok(next) => return Ok(Driven { next, standing: (case.remediation.version == before).then_some(before) }),
                Err(EngineError::Store(StoreError::Conflict { .. })) => return Ok(Driven { next: Next::Idle, standing: None }),
                Err(other) => return Err(other),
            }
        }
    }

    /// Takes a due time that led to nothing away, or moves it to when the step wants to come back.
    pub(crate) async fn set_aside(&self, id: RemediationId, version: u64, next: Next) -> Result<(), EngineError> {
        let mut case = Case::load(self, id).await?;
        if case.remediation.version != version {
            return Ok(());
        }
        done_unless_faster(case.commit(self, next).await)
    }

    /// A step that failed outside its own handling must not come back at once for ever. After too many tries a person is
    /// called, where the state allows it.
    pub(crate) async fn put_off(&self, id: RemediationId, error: &EngineError) -> Result<(), EngineError> {
        let mut case = Case::load(self, id).await?;
        let state = case.state();
        if state != State::Open && !state.is_moving() && second_look(&case.remediation).is_none() {
            // It rests: what failed was only the answer to its last commit, and its note still says why it rests.
            return done_unless_faster(case.commit(self, Next::Idle).await);
        }
        case.remediation.tries = case.remediation.tries.saturating_add(1);
        let (tries, why) = (case.remediation.tries, describe(error));
        if tries >= MAX_TRIES && stanch_core::state::advance(case.state(), Event::Unclear).is_ok() {
            return done_unless_faster(case.stuck(self, format!("gave up after {tries} tries: {why}")).await);
        }
        let at = self.now() + Engine::back_off(tries);
        if let (Some(look), Some(of)) = (second_look(&case.remediation), case.remediation.times.verified) {
            let looks = case.remediation.second.map_or(0, |second| second.looks);
            case.remediation.second = Some(SecondLook { of, at: look.max(at), looks });
        } else {
            case.remediation.note = format!("will try again: {why}");
        }
        done_unless_faster(case.commit(self, Next::At(at)).await)
    }
}

/// Another worker that was faster has done what was wanted.
fn done_unless_faster(committed: Result<Next, EngineError>) -> Result<(), EngineError> {
    match committed {
        Ok(_) | Err(EngineError::Store(StoreError::Conflict { .. })) => Ok(()),
        Err(other) => Err(other),
    }
}
