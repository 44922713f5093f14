//! The one write that moves a remediation.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use stanch_core::chain::{self, ChainEntry, ChainHead};
use stanch_core::finding::Millis;
use stanch_core::port::{Commit, StoreError};
use stanch_core::remediation::RemediationId;

use crate::body;
use crate::outbox;
use crate::row;
use crate::seal::{Seal, Sealed};
use crate::writer::Stop;

/// A commit with its columns made out, so that the writer has nothing left to do but write.
pub(crate) struct Prepared {
    id: RemediationId,
    id_text: String,
    key: String,
    key_digest: Vec<u8>,
    expected_version: u64,
    format: u32,
    state: &'static str,
    standing: String,
    cloud: &'static str,
    account: String,
    severity: u8,
    resource: String,
    title: String,
    fix: Option<String>,
    at: Millis,
    next_at: Option<Millis>,
    body: String,
    chain: ChainHead,
    log: Vec<ChainEntry>,
    outbox: Vec<outbox::Prepared>,
    sealed: Vec<(String, Value)>,
    bodies: Vec<body::Prepared>,
}

impl Prepared {
    /// Makes the columns of a commit.
    pub(crate) fn new(mut commit: Commit) -> Result<Self, StoreError> {
        commit.remediation.version = commit.expected_version + 1;
        let case = &commit.remediation;
        let id_text = case.id.to_string();
        Ok(Prepared {
            key_digest: row::key_digest(case.key.as_str()),
            expected_version: commit.expected_version,
            format: case.format,
            state: case.state.name(),
            standing: row::json(|| format!("state of remediation {id_text}"), &case.state)?,
            cloud: case.resource.cloud.as_str(),
            account: case.account().unwrap_or_default().to_owned(),
            severity: case.finding.severity.id(),
            resource: case.resource.uid.to_string(),
            title: case.finding.title.to_string(),
            fix: case.fix.as_ref().map(|run| run.plan.fix.clone()),
            at: commit.at,
            next_at: commit.next_at,
            body: row::json(|| format!("remediation {id_text}"), case)?,
            outbox: commit.outbox.iter().map(outbox::Prepared::new).collect::<Result<_, _>>()?,
            sealed: commit.sealed.into_iter().collect(),
            bodies: commit.bodies.into_iter().map(body::Prepared::new).collect(),
            log: commit.log,
            id: case.id,
            key: case.key.as_str().to_owned(),
            chain: commit.remediation.chain,
            id_text,
        })
    }

    /// Writes everything; the caller's transaction makes it all or nothing. Gives the new version.
    pub(crate) fn write(&self, connection: &Connection, seal: &Seal) -> Result<u64, Stop> {
        self.write_remediation(connection)?;
        self.write_bodies(connection, connection.last_insert_rowid())?;
        self.write_log(connection)?;
        for item in &self.outbox {
            outbox::insert(connection, &self.id_text, item)?;
        }
        self.write_sealed(connection, seal)?;
        Ok(self.expected_version + 1)
    }

    fn conflict(&self) -> Stop {
        Stop::Store(StoreError::Conflict { id: self.id_text.clone() })
    }

    fn write_remediation(&self, connection: &Connection) -> Result<(), Stop> {
        let written = if self.expected_version == 0 { self.insert(connection)? } else { self.update(connection)? };
        if written == 1 {
            return Ok(());
        }
        if self.expected_version == 0 && stored_body(connection, self.id)?.is_none() {
            return Err(Stop::Store(StoreError::Conflict { id: self.key.clone() }));
        }
        Err(self.conflict())
    }

    fn insert(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO remediation (id, key, key_digest, version, format, state, standing, cloud, account, severity, resource, title, fix,
            updated, next_at, body) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING";
        connection.prepare_cached(sql)?.execute(params![
            self.id_text,
            self.key,
            self.key_digest,
            self.format,
            self.state,
            self.standing,
            self.cloud,
            self.account,
            self.severity,
            self.resource,
            self.title,
            self.fix,
            self.at,
            self.next_at,
            self.body,
        ])
    }

    /// What the key is made of stays as it was inserted.
    fn update(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql =
            "UPDATE remediation SET version = ?3 + 1, format = ?4, state = ?5, standing = ?6, account = ?7, severity = ?8, title = ?9,
            fix = ?10, updated = max(updated, ?11), next_at = ?12, body = ?13 WHERE id = ?1 AND key = ?2 AND version = ?3";
        connection.prepare_cached(sql)?.execute(params![
            self.id_text,
            self.key,
            self.expected_version as i64,
            self.format,
            self.state,
            self.standing,
            self.account,
            self.severity,
            self.title,
            self.fix,
            self.at,
            self.next_at,
            self.body,
        ])
    }

    /// Keeps large bodies. `inserted` is the remediation's number if it is new.
    fn write_bodies(&self, connection: &Connection, inserted: i64) -> rusqlite::Result<()> {
        let (Some(first), rest) = (self.bodies.first(), self.bodies.get(1..).unwrap_or_default()) else { return Ok(()) };
        let number = if self.expected_version == 0 {
            first.insert_first(connection, inserted, self.at)?;
            inserted
        } else {
            let number = body::number(connection, &self.id_text)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            first.insert(connection, number, self.at)?;
            number
        };
        rest.iter().try_for_each(|body| body.insert(connection, number, self.at))
    }

    /// Appends entries that follow the stored end; the head in the remediation must be where they end.
    fn write_log(&self, connection: &Connection) -> Result<(), Stop> {
        // What is new has no record yet; one that outlived its remediation is in the way of the first entry.
        let mut head = if self.expected_version == 0 { ChainHead::default() } else { stored_head(connection, self.id)? };
        for entry in &self.log {
            let (follows, next) = chain::append(self.id, &head, entry.body.clone());
            if follows != *entry {
                return Err(self.conflict());
            }
            let sql = "INSERT INTO log (remediation, sequence, hash, body) VALUES (?1, ?2, ?3, ?4)";
            connection.prepare_cached(sql)?.execute(params![self.id_text, entry.sequence as i64, entry.hash, entry.body])?;
            head = next;
        }
        if head == self.chain { Ok(()) } else { Err(self.conflict()) }
    }

    fn write_sealed(&self, connection: &Connection, seal: &Seal) -> Result<(), Stop> {
        for (reference, value) in &self.sealed {
            let first = !connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM sealed)")?.query_row([], |r| r.get::<_, bool>(0))?;
            let plain = row::json(|| format!("sealed value `{reference}` of {}", self.id), value)?;
            let Sealed { nonce, ciphertext } = seal.seal(self.id, reference, plain.as_bytes(), first)?;
            let sql = "INSERT OR REPLACE INTO sealed (remediation, reference, nonce, ciphertext) VALUES (?1, ?2, ?3, ?4)";
            connection.prepare_cached(sql)?.execute(params![self.id_text, reference, nonce, ciphertext])?;
        }
        Ok(())
    }
}

/// A remediation's row as JSON.
pub(crate) fn stored_body(connection: &Connection, id: RemediationId) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT body FROM remediation WHERE id = ?1")?.query_row([id.to_string()], |r| r.get(0)).optional()
}

/// Where a remediation's record ends.
pub(crate) fn stored_head(connection: &Connection, id: RemediationId) -> rusqlite::Result<ChainHead> {
    let sql = "SELECT sequence, hash FROM log WHERE remediation = ?1 ORDER BY sequence DESC LIMIT 1";
    let read = |r: &rusqlite::Row<'_>| Ok(ChainHead { length: r.get::<_, i64>(0)?.unsigned_abs(), hash: r.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], read).optional()?.unwrap_or_default())
}
