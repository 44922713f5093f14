//! The store: every call may be interrupted, refused, or answered by nobody.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use stanch_core::chain::ChainEntry;
use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};
use uuid::Uuid;

use crate::faults::Fault;
use crate::invariants::live;
use crate::world::{ActorId, World};

/// The store in the hands of one actor.
pub(crate) struct SimStore {
    world: Arc<World>,
    actor: ActorId,
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable { reason: reason.to_owned() }
}

impl SimStore {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId) -> Self {
        SimStore { world: world.clone(), actor }
    }

    /// A read: somebody else may go on before it.
    async fn read<T>(&self, op: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.world.point(self.actor, Fault::CrashAtRead, || format!("at store.{op}")).await;
        if self.world.fault(self.actor, Fault::StoreUnavailable, || format!("store.{op}")) {
            return Err(unavailable("connection reset"));
        }
        work.await
    }

    /// A write: the actor may die before it or after it, and the answer may be lost.
    async fn write<T>(&self, op: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.world.point(self.actor, Fault::CrashBeforeStore, || format!("before store.{op}")).await;
        if self.world.fault(self.actor, Fault::StoreUnavailable, || format!("store.{op}")) {
            return Err(unavailable("connection reset"));
        }
        let result = work.await;
        self.world.point(self.actor, Fault::CrashAfterStore, || format!("after store.{op}")).await;
        if result.is_ok() && self.world.fault(self.actor, Fault::StoreAnswerLost, || format!("store.{op} was done")) {
            return Err(unavailable("no answer within the time allowed"));
        }
        result
    }

    /// Nobody can come between the commit and what is written down about it.
    async fn commit_and_note(&self, commit: Commit) -> Result<u64, StoreError> {
        let id = commit.remediation.id;
        let before = self.world.store.peek(id, Clone::clone);
        let (after, outbox, next_at) = (commit.remediation.clone(), commit.outbox.clone(), commit.next_at);
        let result = self.world.store.commit(commit).await;
        match &result {
            Ok(_) => live::committed(&self.world, self.actor, before.as_ref(), &after, outbox, next_at),
            Err(StoreError::Conflict { .. }) => live::conflicted(&self.world, self.actor, before.as_ref(), &after),
            Err(_) => {}
        }
        result
    }
}

impl Store for SimStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(self.read("find", self.world.store.find(key)))
    }

    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        Box::pin(async move {
            let loaded = self.read("load", self.world.store.load(id)).await?;
            if let Some(r) = &loaded {
                live::loaded(&self.world, self.actor, id, r.version);
            }
            Ok(loaded)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write("commit", self.commit_and_note(commit)))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        Box::pin(self.read("list", self.world.store.list(filter)))
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        Box::pin(self.read("due", self.world.store.due(now, limit)))
    }

    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        Box::pin(self.read("record", self.world.store.record(id)))
    }

    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let taken = self.write("reserve", self.world.store.reserve(caps)).await?;
            live::reserved(&self.world, self.actor, caps, taken);
            Ok(taken)
        })
    }

    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(self.read("reserved", self.world.store.reserved(cap)))
    }

    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let allowed = self.read("writes_allowed", self.world.store.writes_allowed()).await;
            self.world.with(|w| w.actor(self.actor, |a| a.may_write = matches!(allowed, Ok(true))));
            allowed
        })
    }

    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write("allow_writes", self.world.store.allow_writes(allowed)))
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        Box::pin(self.read("unseal", self.world.store.unseal(id, reference)))
    }

    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.read("body", self.world.store.body(id, digest)))
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(self.read("outbox", self.world.store.outbox(now, limit)))
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            live::marked_sent(&self.world, item);
            self.write("sent", self.world.store.sent(item)).await
        })
    }

    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.write("claim", self.world.store.claim(item, now, until)))
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write("unsent", self.world.store.unsent(item, at, reason)))
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write("hold", self.world.store.hold(hold)))
    }

    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        Box::pin(self.read("held", self.world.store.held(fix, resource)))
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.read("value", self.world.store.value(name)))
    }

    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write("set_value", self.world.store.set_value(name, expected, new)))
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write("park", self.world.store.park(parked)))
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        Box::pin(self.read("parked", self.world.store.parked(limit)))
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write("unpark", self.world.store.unpark(id)))
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        Box::pin(self.read("heads", self.world.store.heads(after, limit)))
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write("prune", self.world.store.prune(before)))
    }
}
