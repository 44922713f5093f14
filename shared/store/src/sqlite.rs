//! The store in one SQLite file.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::Value;
use stanch_core::chain::ChainEntry;
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId, RemediationKey};
use uuid::Uuid;

use crate::audit::{self, AuditReport};
use crate::checkpoints::Checkpoints;
use crate::commit;
use crate::folder::{self, Place};
use crate::kept;
use crate::row::{self, Listed};
use crate::schema;
use crate::seal::{Seal, Sealed};

/// Keeps everything in `stanch.db` of a data folder. Operations are short and run on the caller; several processes may use
/// one folder at once.
pub struct SqliteStore {
    connection: Mutex<Connection>,
    seal: Seal,
    place: Place,
}

impl SqliteStore {
    /// Opens the store in `folder`, which is created (for its owner alone) when it is missing. Fails with `Unavailable` when
    /// the folder cannot be written or holds a database of a newer stanch.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let connection = folder::open(folder, schema::migrate)?;
        Ok(SqliteStore { connection: Mutex::new(connection), seal: Seal::in_folder(folder), place: Place::Folder(folder.to_owned()) })
    }

    /// Opens the store in `folder` for reading alone: a copy on a medium that takes no writes as well as the folder of a running
    /// server. What writes fails with `Unavailable`.
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        let connection = folder::open_read_only(folder, schema::refuse_newer)?;
        Ok(SqliteStore { connection: Mutex::new(connection), seal: Seal::in_folder(folder), place: Place::Folder(folder.to_owned()) })
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let fault = |e| Place::Memory.fault("open a database", e);
        let mut connection = Connection::open_in_memory().map_err(fault)?;
        folder::configure(&connection).map_err(fault)?;
        schema::migrate(&mut connection, &Place::Memory)?;
        Ok(SqliteStore { connection: Mutex::new(connection), seal: Seal::in_memory()?, place: Place::Memory })
    }

    /// Checks every record against its hash chain, and that no record outlived its remediation. Faults are in the report; an
    /// error means that the store could not be read.
    pub fn verify_all(&self) -> Result<AuditReport, StoreError> {
        audit::audit(&mut self.connection(), &self.place, None)
    }

    /// The same, and that every record goes on from where the checkpoints saw it end.
    pub fn verify_against(&self, checkpoints: &Checkpoints) -> Result<AuditReport, StoreError> {
        audit::audit(&mut self.connection(), &self.place, Some(checkpoints))
    }

    /// The connection. A panic elsewhere rolled its transaction back, so a poisoned lock guards nothing broken.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one short read.
    fn read<T>(&self, what: &str, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        run(&self.connection()).map_err(|e| self.place.fault(what, e))
    }

    /// Runs one write transaction, all or nothing. It takes the write lock first: nothing read in it can be outdated.
    fn write<T>(&self, what: &str, run: impl FnOnce(&Transaction<'_>) -> Result<T, Stop>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let all = || -> Result<T, Stop> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = run(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        all().map_err(|stop| match stop {
            Stop::Store(error) => error,
            Stop::Sql(error) => self.place.fault(what, error),
        })
    }

    fn write_commit(&self, mut commit: Commit) -> Result<u64, StoreError> {
        commit.remediation.version = commit.expected_version + 1;
        match self.write("write a remediation", |tx| commit::write(tx, &self.seal, &commit)) {
            Ok(()) => Ok(commit.remediation.version),
            // A record that was tampered with takes no entry ever; to call that a conflict would mean to try for ever.
            Err(conflict @ StoreError::Conflict { .. }) => Err(self.tampered(commit.remediation.id)?.unwrap_or(conflict)),
            Err(other) => Err(other),
        }
    }

    fn tampered(&self, id: RemediationId) -> Result<Option<StoreError>, StoreError> {
        let (body, head) = self.read("read a record", |c| Ok((commit::stored_body(c, id)?, commit::stored_head(c, id)?)))?;
        let Some(body) = body else { return Ok(None) };
        let said = row::remediation(id, &body)?.chain;
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

    fn read_outbox(&self, now: Millis, limit: usize) -> Result<Vec<(RemediationId, OutboxItem)>, StoreError> {
        let sql = "SELECT remediation, id, message FROM outbox AS item WHERE sent = 0 AND due_at <= ?1
            AND position = (SELECT min(position) FROM outbox WHERE sent = 0 AND remediation = item.remediation AND lane = item.lane)
            ORDER BY position LIMIT ?2";
        let rows: Vec<(String, String, String)> = self.read("read the outbox", |c| {
            c.prepare_cached(sql)?.query_map(params![now, most(limit)], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })?;
        let item = |(remediation, item, message): (String, String, String)| {
            let what = || format!("outbox item {item}");
            let id = Uuid::parse_str(&item).map_err(|e| row::unreadable(what(), e))?;
            let message = serde_json::from_str(&message).map_err(|e| row::unreadable(what(), e))?;
            Ok((row::id(&remediation)?, OutboxItem { id, message }))
        };
        rows.into_iter().map(item).collect()
    }
}

impl Store for SqliteStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT id FROM remediation WHERE key = ?1";
            let found: Option<String> =
                self.read("find a remediation", |c| c.prepare_cached(sql)?.query_row([key.as_str()], |r| r.get(0)).optional())?;
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
        Box::pin(async move { self.write_commit(commit) })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT {} FROM remediation WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR cloud = ?2) ORDER BY id DESC LIMIT ?3",
                row::LISTED
            );
            let values = params![filter.state, filter.cloud.map(Cloud::as_str), filter.limit.map_or(i64::MAX, most)];
            let rows: Vec<Listed> =
                self.read("list remediations", |c| c.prepare_cached(&sql)?.query_map(values, Listed::read)?.collect())?;
            rows.into_iter().map(Listed::summary).collect()
        })
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        Box::pin(async move {
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
        Box::pin(async move { take_slots(&mut self.connection(), caps).map_err(|e| self.place.fault("reserve a cap slot", e)) })
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
            self.write("turn the kill switch", |tx| Ok(tx.execute(sql, [value]).map(drop)?))
        })
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        Box::pin(async move { self.read_sealed(id, reference) })
    }

    fn body<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let sql = "SELECT text FROM body WHERE digest = ?1";
            self.read("read a body", |c| c.prepare_cached(sql)?.query_row([digest], |r| r.get(0)).optional())
        })
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(async move { self.read_outbox(now, limit) })
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let sql = "UPDATE outbox SET sent = 1, last_error = NULL WHERE id = ?1";
            self.write("mark a message as sent", |tx| Ok(tx.prepare_cached(sql)?.execute([item.to_string()]).map(drop)?))
        })
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let sql = "UPDATE outbox SET due_at = ?2, tries = tries + 1, last_error = ?3 WHERE id = ?1 AND sent = 0";
            self.write("put a message off", |tx| Ok(tx.prepare_cached(sql)?.execute(params![item.to_string(), at, reason]).map(drop)?))
        })
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let sql = "INSERT OR REPLACE INTO hold (fix, resource, body) VALUES (?1, ?2, ?3)";
            let body = row::json(|| format!("hold on `{}`", hold.fix), &hold)?;
            self.write("place a hold", |tx| Ok(tx.execute(sql, params![hold.fix, hold.resource.as_str(), body]).map(drop)?))
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
        Box::pin(async move { self.write("set a value", |tx| Ok(kept::set_value(tx, name, expected, new)?)) })
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write("park", |tx| Ok(kept::park(tx, &parked)?)) })
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        Box::pin(async move { self.read("read what is parked", |c| kept::parked(c, most(limit))) })
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(
            async move { self.write("take out of what is parked", |tx| Ok(tx.execute("DELETE FROM parked WHERE id = ?1", [id])? == 1)) },
        )
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        Box::pin(async move {
            let rows = self.read("read the ends of records", |c| kept::heads(c, after, most(limit)))?;
            rows.into_iter().map(|(id, chain, updated)| Ok(Head { id: row::id(&id)?, chain, updated })).collect()
        })
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.write("remove what is not needed any more", |tx| Ok(kept::prune(tx, before)?)) })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why a transaction is not committed.
pub(crate) enum Stop {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// We did.
    Store(StoreError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Sql(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Store(error)
    }
}

fn take_slots(connection: &mut Connection, caps: &[Cap]) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO cap (name, window, taken) SELECT ?1, ?2, 1 WHERE ?3 > 0
        ON CONFLICT (name, window) DO UPDATE SET taken = taken + 1 WHERE taken < ?3";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for cap in caps {
        if transaction.prepare_cached(sql)?.execute(params![cap.name, cap.window, cap.limit])? != 1 {
            // Dropping the transaction takes back what the other caps gave.
            return Ok(false);
        }
    }
    transaction.commit()?;
    Ok(true)
}

/// `LIMIT` takes a signed number.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
