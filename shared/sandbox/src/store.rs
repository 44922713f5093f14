//! A store in memory that keeps the promises of the port: for simulations and tests, where a file would only cost time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use stanch_core::chain::{self, ChainEntry, ChainHead};
use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId, RemediationKey};
use stanch_core::state::State;
use uuid::Uuid;

/// Keeps everything until it is dropped. What is stored has gone through its JSON form, as in every other store.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    keys: BTreeMap<RemediationKey, RemediationId>,
    cases: BTreeMap<RemediationId, Row>,
    outbox: Vec<Queued>,
    caps: BTreeMap<(String, Millis), u32>,
    holds: BTreeMap<(String, ResourceUid), Hold>,
    /// Text and the last commit that brought it.
    bodies: BTreeMap<(RemediationId, String), (String, Millis)>,
    values: BTreeMap<String, String>,
    parked: BTreeMap<String, Parked>,
    writes_off: bool,
}

struct Row {
    remediation: Remediation,
    updated: Millis,
    next_at: Option<Millis>,
    log: Vec<ChainEntry>,
    sealed: BTreeMap<String, Value>,
}

/// A message of the outbox and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// The remediation that sends it.
    pub remediation: RemediationId,
    /// The message.
    pub item: OutboxItem,
    /// Whether it was marked as sent.
    pub sent: bool,
    /// Not before then, milliseconds since the epoch.
    pub due_at: Millis,
    /// Why it was put off last.
    pub reason: Option<String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// Every remediation by id, with its next due time.
    pub fn cases(&self) -> Vec<(Remediation, Option<Millis>)> {
        self.lock().cases.values().map(|row| (row.remediation.clone(), row.next_at)).collect()
    }

    /// Looks at one remediation in place.
    pub fn peek<T>(&self, id: RemediationId, look: impl FnOnce(&Remediation) -> T) -> Option<T> {
        self.lock().cases.get(&id).map(|row| look(&row.remediation))
    }

    /// The earliest due time of all.
    pub fn next_due(&self) -> Option<Millis> {
        self.lock().cases.values().filter_map(|row| row.next_at).min()
    }

    /// Every message ever put into the outbox, in order.
    pub fn messages(&self) -> Vec<Queued> {
        self.lock().outbox.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn commit(&mut self, commit: Commit) -> Result<u64, StoreError> {
        let Commit { mut remediation, at, expected_version, log, outbox, next_at, sealed, bodies } = commit;
        let id = remediation.id;
        let conflict = |what: String| Err(StoreError::Conflict { id: what });
        let row = self.cases.get(&id);
        match row {
            None if expected_version != 0 => return conflict(id.to_string()),
            Some(row) if row.remediation.version != expected_version || row.remediation.key != remediation.key => {
                return conflict(id.to_string());
            }
            None if self.keys.contains_key(&remediation.key) => return conflict(remediation.key.as_str().to_owned()),
            _ => {}
        }
        let mut head = row.map(|row| end(&row.log)).unwrap_or_default();
        for entry in &log {
            let (follows, next) = chain::append(id, &head, entry.body.clone());
            if follows != *entry {
                return conflict(id.to_string());
            }
            head = next;
        }
        if head != remediation.chain {
            return conflict(id.to_string());
        }
        remediation.version = expected_version + 1;
        let stored = through_json(&remediation)?;
        for (digest, text) in bodies {
            let kept = self.bodies.entry((id, digest)).or_insert((text, at));
            kept.1 = kept.1.max(at);
        }
        for item in outbox {
            self.outbox.push(Queued { remediation: id, item, sent: false, due_at: Millis::MIN, reason: None });
        }
        self.keys.insert(remediation.key, id);
        let row = self.cases.entry(id).or_insert_with(|| Row {
            remediation: stored.clone(),
            updated: at,
            next_at: None,
            log: Vec::new(),
            sealed: BTreeMap::new(),
        });
        row.remediation = stored;
        row.updated = row.updated.max(at);
        row.next_at = next_at;
        row.log.extend(log);
        row.sealed.extend(sealed);
        Ok(expected_version + 1)
    }

    fn due(&self, now: Millis, limit: usize) -> Vec<RemediationId> {
        let is_ours = |row: &Row| row.remediation.format <= REMEDIATION_FORMAT;
        let mut due: Vec<(Millis, RemediationId)> = self
            .cases
            .iter()
            .filter(|(_, row)| is_ours(row))
            .filter_map(|(id, row)| Some((row.next_at.filter(|at| *at <= now)?, *id)))
            .collect();
        due.sort_unstable();
        due.into_iter().take(limit).map(|(_, id)| id).collect()
    }

    fn reserve(&mut self, caps: &[Cap]) -> bool {
        let mut taken = self.caps.clone();
        for cap in caps {
            let slots = taken.entry((cap.name.clone(), cap.window)).or_insert(0);
            if *slots >= cap.limit {
                return false;
            }
            *slots += 1;
        }
        self.caps = taken;
        true
    }

    fn due_messages(&self, now: Millis, limit: usize) -> Vec<(RemediationId, OutboxItem)> {
        let mut lanes = BTreeSet::new();
        let waiting = self.outbox.iter().filter(|m| !m.sent);
        let oldest = waiting.filter(|m| lanes.insert((m.remediation, m.item.message.lane())));
        oldest.filter(|m| m.due_at <= now).take(limit).map(|m| (m.remediation, m.item.clone())).collect()
    }

    fn prune(&mut self, before: Millis) -> u64 {
        let size = |inner: &Inner| inner.caps.len() + inner.outbox.len() + inner.bodies.len();
        let full = size(self);
        let Inner { cases, caps, outbox, bodies, .. } = self;
        caps.retain(|(_, window), _| *window >= before);
        outbox.retain(|m| !m.sent || cases.get(&m.remediation).is_some_and(|row| row.updated >= before));
        let needed = |row: &Row| !is_at_rest(row) || row.updated >= before;
        bodies.retain(|(id, _), (_, at)| *at >= before || cases.get(id).is_some_and(needed));
        (full - size(self)) as u64
    }
}

/// Whether nothing is left to do about a case and nobody is waited for.
fn is_at_rest(row: &Row) -> bool {
    let ended = matches!(
        row.remediation.state,
        State::Resolved { .. } | State::RolledBack | State::Exempt | State::Rejected | State::Refused | State::Failed
    );
    ended && row.next_at.is_none()
}

fn end(log: &[ChainEntry]) -> ChainHead {
    log.last().map(|last| ChainHead { length: last.sequence, hash: last.hash.clone() }).unwrap_or_default()
}

fn through_json(remediation: &Remediation) -> Result<Remediation, StoreError> {
    let text = serde_json::to_string(remediation).map_err(|e| StoreError::Unavailable { reason: e.to_string() })?;
    serde_json::from_str(&text)
        .map_err(|e| StoreError::Unreadable { what: format!("remediation {}", remediation.id), reason: e.to_string() })
}

fn summary(row: &Row) -> Summary {
    let r = &row.remediation;
    Summary {
        id: r.id,
        state: r.state,
        severity: r.finding.severity,
        cloud: r.resource.cloud,
        account: r.account().unwrap_or_default().to_owned(),
        resource: r.resource.uid.to_string(),
        title: r.finding.title.to_string(),
        fix: r.fix.as_ref().map(|run| run.plan.fix.clone()),
        updated: row.updated,
    }
}

impl Store for MemoryStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(async move { Ok(self.lock().keys.get(key).copied()) })
    }

    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        Box::pin(async move {
            let found = self.lock().cases.get(&id).map(|row| row.remediation.clone());
            match found {
                Some(newer) if newer.format > REMEDIATION_FORMAT => Err(StoreError::Unreadable {
                    what: format!("remediation {id}"),
                    reason: format!("it has format {}; a newer stanch takes it", newer.format),
                }),
                found => Ok(found),
            }
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.lock().commit(commit) })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        Box::pin(async move {
            let inner = self.lock();
            let wanted = inner.cases.values().rev().filter(|row| {
                let r = &row.remediation;
                filter.state.as_deref().is_none_or(|state| state == r.state.name()) && filter.cloud.is_none_or(|c| c == r.resource.cloud)
            });
            Ok(wanted.take(filter.limit.unwrap_or(usize::MAX)).map(summary).collect())
        })
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        Box::pin(async move { Ok(self.lock().due(now, limit)) })
    }

    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        Box::pin(async move { Ok(self.lock().cases.get(&id).map(|row| row.log.clone()).unwrap_or_default()) })
    }

    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.lock().reserve(caps)) })
    }

    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(async move { Ok(self.lock().caps.get(&(cap.name.clone(), cap.window)).copied().unwrap_or(0)) })
    }

    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(!self.lock().writes_off) })
    }

    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().writes_off = !allowed;
            Ok(())
        })
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        Box::pin(async move { Ok(self.lock().cases.get(&id).and_then(|row| row.sealed.get(reference)).cloned()) })
    }

    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { Ok(self.lock().bodies.get(&(id, digest.to_owned())).map(|(text, _)| text.clone())) })
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(async move { Ok(self.lock().due_messages(now, limit)) })
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(message) = self.lock().outbox.iter_mut().find(|m| m.item.id == item) {
                message.sent = true;
                message.reason = None;
            }
            Ok(())
        })
    }

    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut inner = self.lock();
            let free = inner.outbox.iter_mut().find(|m| m.item.id == item && !m.sent && m.due_at <= now);
            Ok(free.map(|message| message.due_at = until).is_some())
        })
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(message) = self.lock().outbox.iter_mut().find(|m| m.item.id == item && !m.sent) {
                message.due_at = at;
                message.reason = Some(reason.to_owned());
            }
            Ok(())
        })
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().holds.insert((hold.fix.clone(), hold.resource.clone()), hold);
            Ok(())
        })
    }

    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        Box::pin(async move { Ok(self.lock().holds.get(&(fix.to_owned(), resource.clone())).cloned()) })
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { Ok(self.lock().values.get(name).cloned()) })
    }

    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let values = &mut self.lock().values;
            if values.get(name).map(String::as_str) != expected {
                return Ok(false);
            }
            match new {
                Some(new) => drop(values.insert(name.to_owned(), new.to_owned())),
                None => drop(values.remove(name)),
            }
            Ok(true)
        })
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let all = &mut self.lock().parked;
            let times = all.get(&parked.id).map_or(0, |known| known.times) + 1;
            all.insert(parked.id.clone(), Parked { times, ..parked });
            Ok(())
        })
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        Box::pin(async move {
            let mut all: Vec<Parked> = self.lock().parked.values().cloned().collect();
            all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            all.truncate(limit);
            Ok(all)
        })
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.lock().parked.remove(id).is_some()) })
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        Box::pin(async move {
            let inner = self.lock();
            let rows = inner.cases.iter().filter(|(id, _)| after.is_none_or(|after| **id > after)).take(limit);
            Ok(rows.map(|(id, row)| Head { id: *id, chain: end(&row.log), updated: row.updated }).collect())
        })
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.lock().prune(before)) })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("cases", &self.lock().cases.len()).finish_non_exhaustive()
    }
}
