//! What could not be taken: kept whole, shown to people, tried again or dropped by them, never by itself.

use serde_json::json;
use stanch_core::normalize::Normalized;
use stanch_core::port::{Parked, ParkedKind};

use crate::trigger::{Receipt, retake};
use crate::work::MAX_DELIVERIES;
use crate::{Engine, EngineError, Handled, telemetry};

impl Engine {
    /// Parks an event that cannot be read.
    pub(crate) async fn park_event(&self, origin: &str, event: &str, why: &str) -> Result<(), EngineError> {
        let parked = Parked::new(ParkedKind::Event, origin, why, event, self.now());
        telemetry::parked(self.meter(), parked.kind, origin, why);
        Ok(self.ports.store.park(parked).await?)
    }

    /// Takes something parked through the same intake again; `id` may be shortened to its first characters. Only when all of it
    /// was taken is it no longer parked.
    pub async fn retry_parked(&self, id: &str, normalize: impl for<'a> Fn(&'a str) -> Normalized<'a>) -> Result<Receipt, EngineError> {
        let parked = self.find_parked(id).await?;
        let receipt = match parked.kind {
            ParkedKind::Event => retake(self, &parked.body, normalize).await?,
            // Parking it again is one more time of the same entry.
            ParkedKind::Message => match self.message(&parked.body, MAX_DELIVERIES).await? {
                Handled::Parked => {
                    let why = self.find_parked(&parked.id).await?.why;
                    return Err(EngineError::Refused(format!("it still cannot be followed: {why}")));
                }
                Handled::Ran | Handled::Stale | Handled::PutOff => Receipt::default(),
            },
        };
        if let [first, ..] = receipt.refused.as_slice() {
            return Err(EngineError::Refused(format!("it still cannot be taken: {first}")));
        }
        self.ports.store.unpark(&parked.id).await?;
        tracing::info!(parked = parked.id, origin = parked.origin, "parked item taken");
        Ok(receipt)
    }

    /// Drops something parked. Who and why stay on record under `dropped/<id>`.
    pub async fn drop_parked(&self, id: &str, by: &str, why: &str) -> Result<(), EngineError> {
        let parked = self.find_parked(id).await?;
        let name = format!("dropped/{}", parked.id);
        let told = json!({"by": by, "why": why, "at": self.now(), "origin": parked.origin, "parked": parked.why}).to_string();
        let before = self.ports.store.value(&name).await?;
        self.ports.store.set_value(&name, before.as_deref(), Some(&told)).await?;
        self.ports.store.unpark(&parked.id).await?;
        tracing::warn!(parked = parked.id, origin = parked.origin, by, why, "parked item dropped");
        Ok(())
    }

    async fn find_parked(&self, id: &str) -> Result<Parked, EngineError> {
        let all = self.ports.store.parked(usize::MAX).await?;
        let mut found = all.into_iter().filter(|parked| id.len() >= 6 && parked.id.starts_with(id));
        match (found.next(), found.next()) {
            (Some(parked), None) => Ok(parked),
            (None, _) => Err(EngineError::Refused(format!("nothing is parked under `{id}`\nhint: give at least six characters of an id"))),
            (Some(_), Some(_)) => Err(EngineError::Refused(format!("`{id}` is the beginning of several ids; give more of it"))),
        }
    }
}
