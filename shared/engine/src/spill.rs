//! Events that come while the store cannot be used: put aside durably, taken in when it is back.

use std::sync::Arc;

use stanch_core::normalize::Normalized;
use stanch_core::port::{Spill, StoreError};

use crate::trigger::{Receipt, take_event};
use crate::{Engine, EngineError, telemetry};

/// Reads an event as the function of that name does: name, event.
pub type Reader = for<'a> fn(&str, &'a str) -> Normalized<'a>;

/// Where events are put aside, and how they are read later.
#[derive(Clone)]
pub(crate) struct Spilling {
    pub(crate) spill: Arc<dyn Spill>,
    read: Reader,
}

impl Engine {
    /// Puts events aside in `spill` while the store cannot be used. Without it such an event is refused, so that its sender
    /// tries again.
    #[must_use]
    pub fn with_spill(mut self, spill: Arc<dyn Spill>, read: Reader) -> Self {
        self.spilling = Some(Spilling { spill, read });
        self
    }

    /// Puts an event aside, because of `error`. Gives that error back where there is nowhere to put it, and with the reason why
    /// where that fails too.
    pub(crate) fn put_aside(&self, origin: &str, event: &str, error: EngineError) -> Result<(), EngineError> {
        let Some(spilling) = &self.spilling else { return Err(error) };
        match (spilling.spill.keep(origin, event), &error) {
            (Ok(()), _) => {}
            (Err(StoreError::Unavailable { reason: spill }), EngineError::Store(StoreError::Unavailable { reason: store })) => {
                return Err(StoreError::Unavailable { reason: format!("{store}; nor can the event be kept beside it: {spill}") }.into());
            }
            (Err(other), _) => return Err(other.into()),
        }
        telemetry::spilled(self.meter(), 1, &error.to_string());
        Ok(())
    }

    /// Takes in what was put aside. What cannot be read is parked then, as it would have been at once.
    pub(crate) async fn drain(&self, limit: usize) -> Result<usize, EngineError> {
        let Some(spilling) = &self.spilling else { return Ok(0) };
        let mut drained = 0;
        for spilled in spilling.spill.take(limit)? {
            let mut receipt = Receipt::default();
            let correlation = (self.ports.new_id)();
            let read = spilling.read;
            take_event(self, &spilled.origin, &spilled.body, &|event| read(&spilled.origin, event), correlation, &mut receipt).await?;
            spilling.spill.done(&spilled.id)?;
            drained += 1;
            telemetry::recovered(self.meter(), 1);
        }
        Ok(drained)
    }
}

/// Whether the store cannot be used at all now.
pub(crate) fn is_unavailable(error: &EngineError) -> bool {
    matches!(error, EngineError::Store(StoreError::Unavailable { .. }))
}
