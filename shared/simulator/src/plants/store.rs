//! Bugs in how the store is used.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use stanch_core::chain::{self, ChainEntry};
use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};
use stanch_core::state::State;
use uuid::Uuid;

use super::Plant;
use crate::world::World;

/// The store with a bug in front.
pub(crate) struct Planted {
    world: Arc<World>,
    plant: Plant,
    inner: Arc<dyn Store>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    unsaved: Option<Commit>,
    switch: Option<bool>,
}

impl Planted {
    pub(crate) fn new(world: &Arc<World>, plant: Plant, inner: Arc<dyn Store>) -> Self {
        Planted { world: world.clone(), plant, inner, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves what was acknowledged before, now that something else is asked.
    async fn save(&self) {
        let unsaved = self.memory().unsaved.take();
        if let Some(commit) = unsaved {
            let _ = self.inner.commit(commit).await;
        }
    }

    async fn planted(&self, mut commit: Commit) -> Result<u64, StoreError> {
        let version = commit.expected_version + 1;
        match self.plant {
            Plant::AckBeforeSave if commit.expected_version == 0 => {
                self.memory().unsaved = Some(commit);
                return Ok(version);
            }
            Plant::IgnoreVersion if commit.expected_version > 0 => {
                let id = commit.remediation.id;
                if let Some((stored, head)) = self.world.store.peek(id, |r| (r.version, r.chain.clone())) {
                    commit.expected_version = stored;
                    commit.remediation.version = stored;
                    let mut head = head;
                    for entry in &mut commit.log {
                        let (again, next) = chain::append(id, &head, entry.body.clone());
                        (*entry, head) = (again, next);
                    }
                    commit.remediation.chain = head;
                }
            }
            Plant::DropOutbox => commit.outbox.clear(),
            Plant::SkipIntent => {
                let runs = [&commit.remediation.fix, &commit.remediation.undo];
                if runs.into_iter().flatten().any(|run| run.attempts.last().is_some_and(|a| a.result.is_none())) {
                    return Ok(version);
                }
            }
            Plant::LoseExpiry if matches!(commit.remediation.state, State::Contained { .. }) => commit.next_at = None,
            Plant::LoseDue => commit.next_at = None,
            _ => {}
        }
        self.inner.commit(commit).await
    }
}

impl Store for Planted {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(async move {
            self.save().await;
            self.inner.find(key).await
        })
    }

    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        Box::pin(async move {
            self.save().await;
            self.inner.load(id).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.planted(commit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        self.inner.list(filter)
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        self.inner.due(now, limit)
    }

    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        self.inner.record(id)
    }

    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        if self.plant == Plant::CapAfterWrite {
            self.world.with(|w| w.late_caps = caps.to_vec());
            return Box::pin(std::future::ready(Ok(true)));
        }
        self.inner.reserve(caps)
    }

    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.inner.reserved(cap)
    }

    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let known = self.memory().switch;
            match (self.plant, known) {
                (Plant::RememberSwitch, Some(known)) => Ok(known),
                (Plant::SwitchUnreadable, _) => Ok(self.inner.writes_allowed().await.unwrap_or(true)),
                _ => {
                    let allowed = self.inner.writes_allowed().await?;
                    self.memory().switch = Some(allowed);
                    Ok(allowed)
                }
            }
        })
    }

    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.allow_writes(allowed)
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        self.inner.unseal(id, reference)
    }

    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.inner.body(id, digest)
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(async move {
            match self.plant {
                Plant::ShuffleOutbox => {
                    let mut waiting: Vec<_> = self.world.store.messages().into_iter().filter(|m| !m.sent && m.due_at <= now).collect();
                    waiting.reverse();
                    Ok(waiting.into_iter().take(limit).map(|m| (m.remediation, m.item)).collect())
                }
                Plant::SentBeforeSending => {
                    let due = self.inner.outbox(now, limit).await?;
                    for (_, item) in &due {
                        self.inner.sent(item.id).await?;
                    }
                    Ok(due)
                }
                _ => self.inner.outbox(now, limit).await,
            }
        })
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.sent(item)
    }

    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.inner.claim(item, now, until)
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.unsent(item, at, reason)
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.hold(hold)
    }

    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        self.inner.held(fix, resource)
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.inner.value(name)
    }

    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.set_value(name, expected, new)
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.park(parked)
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        self.inner.parked(limit)
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.unpark(id)
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        self.inner.heads(after, limit)
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.prune(before)
    }
}
