//! The store in one SQLite file.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde_json::Value;
use stanch_core::chain::ChainEntry;
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId, RemediationKey};
use uuid::Uuid;

use crate::audit::{self, AuditReport};
use crate::body;
use crate::checkpoints::Checkpoints;
use crate::commit::{self, Prepared};
use crate::folder::{self, Place};
use crate::kept;
use crate::outbox;
use crate::prune::Part;
use crate::row::{self, Listed};
use crate::schema;
use crate::seal::{Seal, Sealed};
use crate::writer::{Stop, Writer};

/// Keeps everything in `stanch.db` of a data folder; several processes may use one folder at once. Writes that arrive together
/// share one transaction (at most 64, gathered for at most 2 ms) and one fsync, on a thread of the store's own. Reads are short,
/// run on the caller and never wait for a write; they see every write that has returned.
pub struct SqliteStore {
    reader: Mutex<Connection>,
    /// Absent for a store in memory, which has one connection: there is no fsync to share.
    writer: Option<Writer>,
    seal: Arc<Seal>,
    place: Place,
    /// Whether it was said that a newer stanch must run.
    told_of_newer: AtomicBool,
}

impl SqliteStore {
    /// Opens the store in `folder`, which is created (for its owner alone) when it is missing. Fails with `Unavailable` when
    /// the folder cannot be written or holds a database of a newer stanch.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let reader = Mutex::new(folder::open(folder, schema::migrate)?);
        let writer = Some(Writer::new(folder.to_owned()));
        Ok(SqliteStore {
            reader,
            writer,
            seal: Arc::new(Seal::in_folder(folder)),
            place: Place::Folder(folder.to_owned()),
            told_of_newer: AtomicBool::new(false),
        })
    }

    /// Opens the store in `folder` for reading alone: a copy on a medium that takes no writes as well as the folder of a running
    /// server. What writes fails with `Unavailable`.
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        let connection = folder::open_read_only(folder, schema::refuse_newer)?;
        Ok(SqliteStore {
            reader: Mutex::new(connection),
            writer: None,
            seal: Arc::new(Seal::in_folder(folder)),
            place: Place::Folder(folder.to_owned()),
            told_of_newer: AtomicBool::new(false),
        })
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut connection = folder::reopen(&Place::Memory).map_err(|e| Place::Memory.fault("open a database", &e))?;
        schema::migrate(&mut connection, &Place::Memory)?;
        Ok(SqliteStore {
            reader: Mutex::new(connection),
            writer: None,
            seal: Arc::new(Seal::in_memory()?),
            place: Place::Memory,
            told_of_newer: AtomicBool::new(false),
        })
    }

    /// Checks every record against its hash chain, and that no record outlived its remediation. Faults are in the report; an
    /// error means that the store could not be read.
    pub fn verify_all(&self) -> Result<AuditReport, StoreError> {
        self.audit(None)
    }

    /// The same, and that every record goes on from where the checkpoints saw it end.
    pub fn verify_against(&self, checkpoints: &Checkpoints) -> Result<AuditReport, StoreError> {
        self.audit(Some(checkpoints))
    }

    fn audit(&self, checkpoints: Option<&Checkpoints>) -> Result<AuditReport, StoreError> {
        match (&self.place, &self.writer) {
            // Long, so it has a connection of its own: other reads go on.
            (Place::Folder(_), Some(_)) => {
                let mut own = folder::reopen(&self.place).map_err(|e| self.place.fault("read the records", &e))?;
                audit::audit(&mut own, &self.place, checkpoints)
            }
            _ => audit::audit(&mut self.reader(), &self.place, checkpoints),
        }
    }

    /// The connection that reads. A panic elsewhere rolled its transaction back, so a poisoned lock guards nothing broken.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one short read.
    fn read<T>(&self, what: &str, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        run(&self.reader()).map_err(|e| self.place.fault(what, &e))
    }

    /// Runs one write, all or nothing.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        run: impl Fn(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, StoreError> {
        if let Some(writer) = &self.writer {
            return writer.write(what, run).await;
        }
        let mut connection = self.reader();
        let mut all = || -> Result<T, Stop> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = run(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        all().map_err(|stop| stop.told(&self.place, what))
    }

    async fn write_commit(&self, commit: Commit) -> Result<u64, StoreError> {
        let id = commit.remediation.id;
        let (prepared, seal) = (Prepared::new(commit)?, Arc::clone(&self.seal));
        match self.write("write a remediation", move |c| prepared.write(c, &seal)).await {
            // A record that was tampered with takes no entry ever; to call that a conflict would mean to try for ever.
            Err(conflict @ StoreError::Conflict { .. }) => Err(self.tampered(id)?.unwrap_or(conflict)),
            other => other,
        }
    }

    fn tampered(&self, id: RemediationId) -> Result<Option<StoreError>, StoreError> {
        let view = |c: &Connection| {
            let view = c.unchecked_transaction()?;
            Ok((commit::stored_body(&view, id)?, commit::stored_head(&view, id)?))
        };
        let (body, head) = self.read("read a record", view)?;
        let Some(body) = body else { return Ok(None) };
        let said = row::standing(id, &body)?.chain;
        let reason = format!("it ends with entry {}, which is not the end the remediation names (entry {})", head.length, said.length);
        Ok((said != head).then(|| row::unreadable(format!("record of remediation {id}"), reason)))
    }

    fn read_sealed(&self, id: RemediationId, reference: &str) -> Result<Option<Value>, StoreError> {
        let sql = "SELECT nonce, ciphertext FROM sealed WHERE remediation = ?1 AND reference = ?2";
        let sealed = self.read("read a sealed value", |c| {
            let read = |r: &rusqlite::Row<'_>| Ok(Sealed { nonce: r.get(0)?, ciphertext: r.get(1)? });
            c.prepare_cached(sql)?.query_row(params![id.to_string(), reference], read).optional()
        })?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.seal.open(id, reference, &sealed)?;
        // The parser's error could quote the value.
        let unreadable = |_| row::unreadable(format!("sealed value `{reference}` of {id}"), "expected JSON");
        serde_json::from_slice(&plain).map(Some).map_err(unreadable)
    }

    /// Rows that only a newer stanch can take on: said once, so that somebody sees that it must run.
    fn tell_of_newer(&self, now: Millis) -> Result<(), StoreError> {
        if self.told_of_newer.load(Ordering::Relaxed) {
            return Ok(());
        }
        // A bounded look: with many due rows the newer ones come into it once the others are done.
        let sql =
            "SELECT count(*) FROM (SELECT format FROM remediation WHERE next_at <= ?1 ORDER BY next_at, id LIMIT 1000) WHERE format > ?2";
        let newer: i64 =
            self.read("read what is due", |c| c.prepare_cached(sql)?.query_row(params![now, REMEDIATION_FORMAT], |r| r.get(0)))?;
        if newer > 0 && !self.told_of_newer.swap(true, Ordering::Relaxed) {
            tracing::warn!(remediations = newer, place = %self.place, "due remediations were written by a newer stanch; they are left to it");
        }
        Ok(())
    }

    async fn remove_old(&self, before: Millis) -> Result<u64, StoreError> {
        let mut gone = 0;
        for (part, pieces) in Part::all() {
            for _ in 0..pieces {
                let piece = self.write("remove what is not needed any more", move |c| Ok(part.piece(c, before)?));
                let (removed, more) = piece.await?;
                gone += removed;
                if !more {
                    break;
                }
            }
        }
        Ok(gone)
    }
}

impl Store for SqliteStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT id FROM remediation WHERE key_digest = ?1 AND key = ?2";
            let found: Option<String> = self.read("find a remediation", |c| {
                let digest = row::key_digest(key.as_str());
                c.prepare_cached(sql)?.query_row(params![digest, key.as_str()], |r| r.get(0)).optional()
            })?;
            found.map(|text| row::id(&text)).transpose()
        })
    }

    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        Box::pin(async move {
            let body = self.read("load a remediation", |c| commit::stored_body(c, id))?;
            body.map(|text| row::remediation(id, &text)).transpose()
        })
    }

    /// The key of a remediation never changes: a commit with another one conflicts. A value sealed under a reference that is
    /// taken replaces it.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write_commit(commit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        Box::pin(async move {
            // One statement for each shape, so that each can go by an index.
            let wanted = match (&filter.state, filter.cloud) {
                (None, None) => "?1 IS NULL AND ?2 IS NULL",
                (Some(_), None) => "state = ?1 AND ?2 IS NULL",
                (None, Some(_)) => "?1 IS NULL AND cloud = ?2",
                (Some(_), Some(_)) => "state = ?1 AND +cloud = ?2",
            };
            let sql = format!("SELECT {} FROM remediation WHERE {wanted} ORDER BY id DESC LIMIT ?3", row::LISTED);
            let values = params![filter.state, filter.cloud.map(Cloud::as_str), filter.limit.map_or(i64::MAX, most)];
            let rows: Vec<Listed> =
                self.read("list remediations", |c| c.prepare_cached(&sql)?.query_map(values, Listed::read)?.collect())?;
            rows.into_iter().filter_map(|row| row.summary().transpose()).collect()
        })
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        Box::pin(async move {
            self.tell_of_newer(now)?;
            let sql = "SELECT id FROM remediation WHERE next_at <= ?1 AND format <= ?3 ORDER BY next_at, id LIMIT ?2";
            let ids: Vec<String> = self.read("read what is due", |c| {
                c.prepare_cached(sql)?.query_map(params![now, most(limit), REMEDIATION_FORMAT], |r| r.get(0))?.collect()
            })?;
            ids.iter().map(|text| row::id(text)).collect()
        })
    }

    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        Box::pin(async move { self.read("read a record", |c| audit::entries(c, id)) })
    }

    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let caps = caps.to_vec();
            self.write("reserve a cap slot", move |c| Ok(kept::take_slots(c, &caps)?)).await
        })
    }

    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT taken FROM cap WHERE name = ?1 AND window = ?2";
            let taken =
                self.read("read a cap", |c| c.prepare_cached(sql)?.query_row(params![cap.name, cap.window], |r| r.get(0)).optional())?;
            Ok(taken.unwrap_or(0))
        })
    }

    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT value FROM setting WHERE name = 'writes'";
            let value: Option<String> =
                self.read("read the kill switch", |c| c.prepare_cached(sql)?.query_row([], |r| r.get(0)).optional())?;
            match value.as_deref() {
                None | Some("on") => Ok(true),
                Some("off") => Ok(false),
                Some(other) => Err(row::unreadable("setting `writes`".to_owned(), format_args!("expected on or off, found `{other}`"))),
            }
        })
    }

    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let sql = "INSERT OR REPLACE INTO setting (name, value) VALUES ('writes', ?1)";
            let value = if allowed { "on" } else { "off" };
            self.write("turn the kill switch", move |c| Ok(c.execute(sql, [value]).map(drop)?)).await
        })
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        Box::pin(async move { self.read_sealed(id, reference) })
    }

    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { self.read("read a body", |c| body::read(c, id, digest)) })
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(async move {
            let rows = self.read("read the outbox", |c| outbox::due(c, now, most(limit)))?;
            rows.into_iter().map(outbox::item).collect()
        })
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write("mark a message as sent", move |c| Ok(outbox::sent(c, item)?)))
    }

    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.write("claim a message", move |c| Ok(outbox::claim(c, item, now, until)?)))
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let reason = reason.to_owned();
        Box::pin(self.write("put a message off", move |c| Ok(outbox::put_off(c, item, at, &reason)?)))
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let sql = "INSERT OR REPLACE INTO hold (fix, resource, body) VALUES (?1, ?2, ?3)";
            let body = row::json(|| format!("hold on `{}`", hold.fix), &hold)?;
            self.write("place a hold", move |c| Ok(c.execute(sql, params![hold.fix, hold.resource.as_str(), body]).map(drop)?)).await
        })
    }

    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT body FROM hold WHERE fix = ?1 AND resource = ?2";
            let body: Option<String> =
                self.read("read a hold", |c| c.prepare_cached(sql)?.query_row(params![fix, resource.as_str()], |r| r.get(0)).optional())?;
            let unreadable = |e| row::unreadable(format!("hold of `{fix}` on `{resource}`"), e);
            body.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
        })
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { self.read("read a value", |c| kept::value(c, name)) })
    }

    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (name, expected, new) = (name.to_owned(), expected.map(str::to_owned), new.map(str::to_owned));
        Box::pin(self.write("set a value", move |c| Ok(kept::set_value(c, &name, expected.as_deref(), new.as_deref())?)))
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write("park", move |c| Ok(kept::park(c, &parked)?)))
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        Box::pin(async move { self.read("read what is parked", |c| kept::parked(c, most(limit))) })
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let id = id.to_owned();
        Box::pin(self.write("take out of what is parked", move |c| Ok(c.execute("DELETE FROM parked WHERE id = ?1", [&id])? == 1)))
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        Box::pin(async move {
            let rows = self.read("read the ends of records", |c| kept::heads(c, after, most(limit)))?;
            rows.into_iter().map(|(id, chain, updated)| Ok(Head { id: row::id(&id)?, chain, updated })).collect()
        })
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.remove_old(before))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("place", &self.place).finish_non_exhaustive()
    }
}

/// `LIMIT` takes a signed number.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
