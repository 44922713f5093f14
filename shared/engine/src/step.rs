//! One step of one remediation.

use stanch_core::port::StoreError;
use stanch_core::remediation::RemediationId;
use stanch_core::state::{Event, State};
use tracing::Instrument;

use crate::case::{Case, Next};
use crate::{Engine, EngineError, telemetry};

impl Engine {
    /// Takes a remediation one step further. Repeating it is harmless.
    pub async fn step(&self, id: RemediationId) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        let span = telemetry::step_span(&case.remediation);
        self.step_case(&mut case).instrument(span).await
    }

    async fn step_case(&self, case: &mut Case) -> Result<Next, EngineError> {
        match case.state() {
            State::Open => self.plan_step(case).await,
            State::Applying | State::Undoing => self.apply_step(case).await,
            State::Verifying => self.verify_step(case).await,
            State::Contained { until } if until <= self.now() => self.release_step(case).await,
            State::Deferred { until } if until <= self.now() => {
                case.advance(Event::Replan, "the time it was put off to has come")?;
                case.commit(self, Next::Now).await
            }
            State::Contained { until } | State::Deferred { until } => Ok(Next::At(until)),
            _ => Ok(Next::Idle),
        }
    }

    /// Steps until there is nothing to do at once. A remediation that another worker holds is left to that worker.
    pub async fn run(&self, id: RemediationId) -> Result<Next, EngineError> {
        loop {
            match self.step(id).await {
                Ok(Next::Now) => {}
                Err(EngineError::Store(StoreError::Conflict { .. })) => return Ok(Next::Idle),
                other => return other,
            }
        }
    }

    /// Takes every remediation that is due one run further, then sends what waits in the outbox. Takes no input: a timer and a
    /// nudge do the same. Gives how many remediations moved.
    pub async fn reconcile(&self, limit: usize) -> Result<usize, EngineError> {
        let due = self.ports.store.due(self.now(), limit).await?;
        let count = due.len();
        let waited = if due.is_empty() { 0 } else { self.queue_age().await? };
        for id in due {
            if let Err(error) = self.run(id).await {
                telemetry::step_failed(self.meter(), id, &error);
                self.put_off(id, &error).await?;
            }
        }
        self.send_outbox(limit).await?;
        telemetry::reconciled(self.meter(), count, waited);
        Ok(count)
    }

    /// A step that failed outside its own handling must not come back at once for ever.
    async fn put_off(&self, id: RemediationId, error: &EngineError) -> Result<(), EngineError> {
        let mut case = match Case::load(self, id).await {
            Ok(case) => case,
            Err(EngineError::Store(StoreError::Unreadable { .. })) => return Ok(()),
            Err(other) => return Err(other),
        };
        match case.again_later(self, error).await {
            Ok(_) | Err(EngineError::Store(StoreError::Conflict { .. })) => Ok(()),
            Err(other) => Err(other),
        }
    }
}
