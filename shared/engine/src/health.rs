//! How the whole stands: what a health check and a scrape ask.

use stanch_core::finding::Millis;

use crate::telemetry::made_at;
use crate::{Engine, EngineError};

/// How many rows are looked at for a count or an age.
const LOOK: usize = 64;
/// A message put off waits a day at most; a year ahead sees every one.
const YEAR_MS: i64 = 366 * 86_400_000;

/// How the whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the kill switch lets writes pass.
    pub writes_allowed: bool,
    /// How long the remediation that is due longest has waited past its time, milliseconds, to the second.
    pub queue_age_ms: Millis,
    /// Age of the oldest message that is not sent, milliseconds.
    pub outbox_age_ms: Millis,
    /// Deliveries that wait for a person; counted to 64.
    pub parked: usize,
    /// Rules that are loaded.
    pub rules: usize,
}

impl Engine {
    /// Reads how the whole stands. An error means that the store cannot be used.
    pub async fn health(&self) -> Result<Health, EngineError> {
        let store = &self.ports.store;
        let writes_allowed = store.writes_allowed().await?;
        let now = self.now();
        let waiting = store.outbox(now + YEAR_MS, LOOK).await?;
        let oldest = waiting.iter().filter_map(|(_, item)| made_at(item.id)).min();
        Ok(Health {
            writes_allowed,
            queue_age_ms: self.queue_age().await?,
            outbox_age_ms: oldest.map_or(0, |made| (now - made).max(0)),
            parked: store.parked(LOOK).await?.len(),
            rules: self.rules.len(),
        })
    }

    /// How long the remediation that is due longest has waited, to the second: the store is asked what was due at earlier and
    /// earlier times. One question when nothing waits.
    pub(crate) async fn queue_age(&self) -> Result<Millis, EngineError> {
        let now = self.now();
        let was_due = async |ago: Millis| self.ports.store.due(now - ago, 1).await.map(|due| !due.is_empty());
        let (mut waited, mut not) = (0, 1_000);
        while not < YEAR_MS && was_due(not).await? {
            (waited, not) = (not, not * 2);
        }
        while not - waited > 1_000 {
            let middle = waited + (not - waited) / 2;
            if was_due(middle).await? {
                waited = middle;
            } else {
                not = middle;
            }
        }
        Ok(waited)
    }
}
