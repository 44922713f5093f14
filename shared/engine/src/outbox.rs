//! What waits to be told to the outside: sent at least once, in order per remediation and lane. A lane (one channel, one
//! source) that is down costs one try a round and delays only itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stanch_core::finding::Millis;
use stanch_core::ocsf::ActivityStatus;
use stanch_core::port::{OutboxItem, OutboxMessage, StoreError};
use stanch_core::remediation::RemediationId;

use crate::case::{Case, Entry};
use crate::due::resting;
use crate::panic::caught;
use crate::{Engine, EngineError, telemetry};

const MINUTE_MS: i64 = 60_000;
/// The longest a lane that is down is left alone, milliseconds.
const MOST_WAIT_MS: i64 = 30 * MINUTE_MS;
/// How long a message that was refused waits before each further try, milliseconds: what it lacks may be set right meanwhile.
const REFUSED_WAITS: [i64; 2] = [10 * MINUTE_MS, 6 * 60 * MINUTE_MS];
/// Items looked at in one call, as a multiple of its limit: those of a lane that is down are put off unread.
const LOOKS: usize = 10;

/// How long a claimed item is left to its sender, milliseconds: longer than any send may take, and as long again.
const CLAIM_MS: i64 = 120_000;

/// How a lane stands, kept in the store so that all workers spare it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Nothing is sent to it before then.
    until: Millis,
    /// Failures in a row.
    failures: u32,
}

/// What came of one try.
enum Tried {
    Sent,
    /// The lane is down; why.
    Down(String),
    /// It will not take this message; why.
    Refused(String),
}

impl Engine {
    /// Sends what is due. Gives how many were sent.
    pub async fn send_outbox(&self, limit: usize) -> Result<usize, EngineError> {
        let mut lanes: BTreeMap<String, (Option<String>, Lane)> = BTreeMap::new();
        let (mut sent, mut looked) = (0, 0);
        while looked < limit.saturating_mul(LOOKS) {
            let due = self.ports.store.outbox(self.now(), limit).await?;
            if due.is_empty() {
                break;
            }
            for (id, item) in due {
                looked += 1;
                let name = item.message.lane();
                if !lanes.contains_key(&name) {
                    lanes.insert(name.clone(), self.lane(&name).await?);
                }
                let Some((stored, lane)) = lanes.get_mut(&name) else { continue };
                if lane.until > self.now() {
                    self.ports.store.unsent(item.id, lane.until, "its channel or source did not answer").await?;
                    continue;
                }
                // Another worker may send it, or have sent it and what follows: old news must not come after new.
                let claimed_at = self.now();
                if !self.ports.store.claim(item.id, claimed_at, claimed_at + CLAIM_MS).await? {
                    continue;
                }
                if self.now() - claimed_at > CLAIM_MS / 2 {
                    // Too little is left of the claim to send under it: it runs out, and the next round takes the item.
                    continue;
                }
                let told = self.as_it_stands(id, &item.message).await?;
                let item = OutboxItem { message: told.unwrap_or(item.message), ..item };
                match self.tried(&item).await {
                    Tried::Sent => {
                        self.ports.store.sent(item.id).await?;
                        telemetry::message_sent(self.meter(), id, &item, self.now());
                        sent += 1;
                        if stored.is_some() {
                            *lane = Lane::default();
                            self.set_lane(&name, stored, None).await?;
                        }
                    }
                    Tried::Down(why) => {
                        let wait = (MINUTE_MS << lane.failures.min(6)).min(MOST_WAIT_MS);
                        *lane = Lane { until: self.now() + wait, failures: lane.failures.saturating_add(1) };
                        telemetry::message_put_off(self.meter(), id, &item, true, &why);
                        let text = serde_json::to_string(lane).unwrap_or_default();
                        self.set_lane(&name, stored, Some(text)).await?;
                        self.ports.store.unsent(item.id, lane.until, &why).await?;
                    }
                    Tried::Refused(why) => self.refused(id, &item, &name, &why).await?,
                }
            }
        }
        Ok(sent)
    }

    async fn tried(&self, item: &OutboxItem) -> Tried {
        let send = async {
            Ok(match &item.message {
                OutboxMessage::WriteBack { source, source_ref, status, note } => {
                    self.ports.sources.write_back(*source, source_ref, *status, note).await.map_err(|e| (e.retry, e.to_string()))
                }
                OutboxMessage::Notice { channel, notice } => {
                    self.ports.notifier.send(channel, item.id, notice, self.now()).await.map_err(|e| (e.retry, e.to_string()))
                }
            })
        };
        match caught(send).await {
            Ok(Ok(())) => Tried::Sent,
            Ok(Err((true, why))) => Tried::Down(why),
            Ok(Err((false, why))) => Tried::Refused(why),
            Err(error) => Tried::Refused(error.to_string()),
        }
    }

    /// A message that will not be taken as it is gets some more tries, far apart. Then it is recorded as not delivered, so that
    /// what follows it on its lane goes on.
    async fn refused(&self, id: RemediationId, item: &OutboxItem, lane: &str, why: &str) -> Result<(), EngineError> {
        let store = &self.ports.store;
        let name = format!("refused/{}", item.id);
        let stored = store.value(&name).await?;
        let tries = stored.as_deref().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        if let Some(wait) = REFUSED_WAITS.get(tries) {
            telemetry::message_put_off(self.meter(), id, item, true, why);
            store.set_value(&name, stored.as_deref(), Some(&(tries + 1).to_string())).await?;
            return Ok(store.unsent(item.id, self.now() + wait, why).await?);
        }
        telemetry::message_put_off(self.meter(), id, item, false, why);
        self.record_undelivered(id, lane, why).await?;
        store.sent(item.id).await?;
        store.set_value(&name, stored.as_deref(), None).await?;
        Ok(())
    }

    async fn record_undelivered(&self, id: RemediationId, lane: &str, why: &str) -> Result<(), EngineError> {
        for _ in 0..5 {
            let mut case = match Case::load(self, id).await {
                Ok(case) => case,
                // A row that cannot be read must not hold the lane.
                Err(EngineError::Unknown(_) | EngineError::Store(StoreError::Unreadable { .. })) => return Ok(()),
                Err(error) => return Err(error),
            };
            let message = format!("not delivered to {lane}: {why}");
            case.record(self, None, Entry::new(ActivityStatus::Failure, "Not delivered", message));
            let next = resting(&case.remediation);
            match case.commit(self, next).await {
                Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                other => return other.map(drop),
            }
        }
        Err(StoreError::Conflict { id: id.to_string() }.into())
    }

    async fn lane(&self, name: &str) -> Result<(Option<String>, Lane), EngineError> {
        let stored = self.ports.store.value(&format!("lane/{name}")).await?;
        let lane = stored.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok((stored, lane))
    }

    /// Two workers may learn at once that a lane is down: whoever is later leaves what the other wrote.
    async fn set_lane(&self, name: &str, stored: &mut Option<String>, new: Option<String>) -> Result<(), EngineError> {
        self.ports.store.set_value(&format!("lane/{name}"), stored.as_deref(), new.as_deref()).await?;
        *stored = new;
        Ok(())
    }
}
