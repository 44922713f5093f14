//! The timer's round. It takes no input: all it needs is in the store, so that what an event, a message or a crash lost is
//! found here.

use std::collections::BTreeSet;
use std::future::Future;

use stanch_core::port::StoreError;
use stanch_core::remediation::RemediationId;

use crate::panic::caught;
use crate::{Engine, EngineError, telemetry};

/// Rows that can neither be taken on nor put off and are passed over in one round.
const MOST_IMMOVABLE: usize = 1_000;
/// Parked things counted.
const MOST_PARKED: usize = 100;
/// Sent messages, large bodies and used-up caps are kept so long after they were last needed, milliseconds: 90 days.
const KEEP_MS: i64 = 90 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// What one round did.
#[derive(Debug, Default)]
pub struct Round {
    /// Due remediations that were taken on. As many as the limit: more may wait.
    pub ran: usize,
    /// Events taken in that waited for the store.
    pub drained: usize,
    /// Messages sent to sources and channels.
    pub sent: usize,
    /// Findings listed by sweeps.
    pub swept: usize,
    /// Faults of the backlog that a changed rule took up.
    pub taken_up: usize,
    /// Rows removed because nobody needs them any more.
    pub pruned: u64,
    /// Events and messages that wait for a person, at most 100.
    pub parked: usize,
    /// Parts that failed, by name. The others were done.
    pub failed: Vec<(&'static str, EngineError)>,
}

impl Round {
    async fn part<T: Default>(&mut self, name: &'static str, part: impl Future<Output = Result<T, EngineError>>) -> T {
        caught(part).await.unwrap_or_else(|error| {
            tracing::error!(part = name, %error, "part of a round failed");
            self.failed.push((name, error));
            T::default()
        })
    }
}

impl Engine {
    /// One round: takes in what waited for the store, runs at most `limit` remediations that are due (stuck steps, lost messages,
    /// expiring containment, second looks, due dates), sends the outbox, sweeps the scopes that are due, decides the backlog
    /// again when the rules were changed. Each part is bounded; one that fails does not stop the others.
    pub async fn reconcile(&self, limit: usize) -> Round {
        let mut round = Round::default();
        let waited = self.queue_age().await.unwrap_or(0);
        round.drained = round.part("spill", self.drain(limit)).await;
        round.ran = round.part("due", self.run_due(limit)).await;
        round.sent = round.part("outbox", self.send_outbox(limit)).await;
        round.swept = round.part("sweep", self.sweep()).await;
        round.taken_up = round.part("backlog", self.decide_backlog()).await;
        round.pruned = round.part("prune", self.prune()).await;
        round.part("checkpoint", async { self.checkpoint_if_due().await.map(drop) }).await;
        let parked = async { Ok(self.ports.store.parked(MOST_PARKED).await?.len()) };
        round.parked = round.part("parked", parked).await;
        telemetry::reconciled(self.meter(), round.ran, waited);
        round
    }

    /// Runs what is due, oldest first. Rows that fail are put off; those that cannot even be put off are passed over, so that
    /// neither ever keeps the later ones waiting.
    async fn run_due(&self, limit: usize) -> Result<usize, EngineError> {
        let now = self.now();
        let mut seen = BTreeSet::new();
        let (mut ran, mut immovable) = (0, 0);
        while ran < limit && immovable < MOST_IMMOVABLE {
            let due = self.ports.store.due(now, limit + immovable).await?;
            let fresh: Vec<RemediationId> = due.into_iter().filter(|id| !seen.contains(id)).take(limit - ran).collect();
            if fresh.is_empty() {
                break;
            }
            for id in fresh {
                seen.insert(id);
                if self.take_on(id).await? { ran += 1 } else { immovable += 1 }
            }
        }
        Ok(ran)
    }

    /// Runs one due remediation. `false`: it stays due. An error means that the store cannot be used.
    async fn take_on(&self, id: RemediationId) -> Result<bool, EngineError> {
        let failed = match caught(self.drive(id)).await {
            Ok(driven) => match driven.standing {
                Some(version) => caught(self.set_aside(id, version, driven.next)).await.err(),
                None => None,
            },
            Err(error) => Some(error),
        };
        let Some(error) = failed else { return Ok(true) };
        if let EngineError::Store(StoreError::Unavailable { .. }) = error {
            return Err(error);
        }
        telemetry::step_failed(self.meter(), id, &error);
        match caught(self.put_off(id, &error)).await {
            Ok(()) => Ok(true),
            Err(unavailable @ EngineError::Store(StoreError::Unavailable { .. })) => Err(unavailable),
            Err(error) => {
                self.show_unreadable(id, &error).await?;
                Ok(false)
            }
        }
    }

    /// Removes what nobody needs any more, once a day.
    async fn prune(&self) -> Result<u64, EngineError> {
        let store = &self.ports.store;
        let now = self.now();
        let last = store.value("prune").await?;
        if last.as_deref().and_then(|at| at.parse::<i64>().ok()).is_some_and(|at| now - at < DAY_MS) {
            return Ok(0);
        }
        if !store.set_value("prune", last.as_deref(), Some(&now.to_string())).await? {
            return Ok(0);
        }
        Ok(store.prune(now - KEEP_MS).await?)
    }
}
