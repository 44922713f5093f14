//! The real store, made to fail where a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use stanch_core::chain::{ChainEntry, ChainHead};
use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};
use stanch_store::SqliteStore;
use uuid::Uuid;

use crate::world::turn_to;

pub(crate) struct FaultyStore {
    real: Arc<SqliteStore>,
    /// Every call fails.
    down: AtomicBool,
    /// Calls that failed for that.
    refused: AtomicUsize,
    /// These rows cannot be read.
    unreadable: Mutex<BTreeSet<RemediationId>>,
    /// These rows are held by somebody else.
    locked: Mutex<BTreeSet<RemediationId>>,
    /// This call fails.
    failing: Mutex<Option<&'static str>>,
    /// What somebody made of the ends of records.
    tampered: Mutex<BTreeMap<RemediationId, Option<ChainHead>>>,
    /// How long the next claim takes, milliseconds.
    slow_claim: AtomicI64,
}

impl FaultyStore {
    pub(crate) fn new(real: Arc<SqliteStore>) -> Self {
        FaultyStore {
            real,
            down: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            unreadable: Mutex::default(),
            locked: Mutex::default(),
            failing: Mutex::default(),
            tampered: Mutex::default(),
            slow_claim: AtomicI64::new(0),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// How many calls failed because it is down.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn break_row(&self, id: RemediationId) {
        self.unreadable.lock().expect("a lock").insert(id);
    }

    pub(crate) fn mend_row(&self, id: RemediationId) {
        self.unreadable.lock().expect("a lock").remove(&id);
    }

    pub(crate) fn lock_row(&self, id: RemediationId) {
        self.locked.lock().expect("a lock").insert(id);
    }

    pub(crate) fn unlock_row(&self, id: RemediationId) {
        self.locked.lock().expect("a lock").remove(&id);
    }

    pub(crate) fn fail(&self, call: &'static str) {
        *self.failing.lock().expect("a lock") = Some(call);
    }

    fn fails(&self, call: &str) -> bool {
        *self.failing.lock().expect("a lock") == Some(call)
    }

    /// From now on a record ends there, or is gone with its remediation.
    pub(crate) fn tamper(&self, id: RemediationId, end: Option<ChainHead>) {
        self.tampered.lock().expect("a lock").insert(id, end);
    }

    pub(crate) fn slow_claim(&self, ms: Millis) {
        self.slow_claim.store(ms, Ordering::Relaxed);
    }

    fn via<'a, T: Send + 'a>(&self, call: BoxFuture<'a, Result<T, StoreError>>) -> BoxFuture<'a, Result<T, StoreError>> {
        if self.down.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return unavailable("switched off by the test");
        }
        call
    }
}

fn unavailable<'a, T: Send + 'a>(reason: &str) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(Err(StoreError::Unavailable { reason: reason.to_owned() })))
}

impl Store for FaultyStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        self.via(self.real.find(key))
    }
    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        if self.locked.lock().expect("a lock").contains(&id) {
            return unavailable("locked by the test");
        }
        if self.unreadable.lock().expect("a lock").contains(&id) {
            let broken = StoreError::Unreadable { what: format!("remediation {id}"), reason: "broken by the test".into() };
            return self.via(Box::pin(std::future::ready(Err(broken))));
        }
        self.via(self.real.load(id))
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        if self.fails("commit") {
            return unavailable("failing for the test");
        }
        if self.fails("conflict") {
            let faster = StoreError::Conflict { id: commit.remediation.id.to_string() };
            return Box::pin(std::future::ready(Err(faster)));
        }
        self.via(self.real.commit(commit))
    }
    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        self.via(self.real.list(filter))
    }
    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        self.via(self.real.due(now, limit))
    }
    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        self.via(self.real.record(id))
    }
    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.via(self.real.reserve(caps))
    }
    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.via(self.real.reserved(cap))
    }
    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.via(self.real.writes_allowed())
    }
    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        self.via(self.real.allow_writes(allowed))
    }
    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        self.via(self.real.unseal(id, reference))
    }
    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.via(self.real.body(id, digest))
    }
    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        if self.fails("outbox") {
            return unavailable("failing for the test");
        }
        self.via(self.real.outbox(now, limit))
    }
    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        self.via(self.real.sent(item))
    }
    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        turn_to(crate::world::now() + self.slow_claim.swap(0, Ordering::Relaxed));
        self.via(self.real.claim(item, now, until))
    }
    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.via(self.real.unsent(item, at, reason))
    }
    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        self.via(self.real.hold(hold))
    }
    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        self.via(self.real.held(fix, resource))
    }
    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.via(self.real.value(name))
    }
    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.via(self.real.set_value(name, expected, new))
    }
    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        self.via(self.real.park(parked))
    }
    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        self.via(self.real.parked(limit))
    }
    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.via(self.real.unpark(id))
    }
    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        if self.fails("heads") {
            return unavailable("failing for the test");
        }
        let tampered = self.tampered.lock().expect("a lock").clone();
        self.via(Box::pin(async move {
            let heads = self.real.heads(after, limit).await?;
            let as_shown = |head: Head| match tampered.get(&head.id) {
                None => Some(head),
                Some(end) => end.clone().map(|chain| Head { chain, ..head }),
            };
            Ok(heads.into_iter().filter_map(as_shown).collect())
        }))
    }
    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.via(self.real.prune(before))
    }
}
