//! The one write that moves a remediation.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use stanch_core::chain::{self, ChainHead};
use stanch_core::port::{Commit, StoreError};
use stanch_core::remediation::RemediationId;

use crate::row;
use crate::seal::{Seal, Sealed};
use crate::sqlite::Stop;

/// Writes everything a commit holds; the caller's transaction makes it all or nothing.
pub(crate) fn write(tx: &Transaction<'_>, seal: &Seal, commit: &Commit) -> Result<(), Stop> {
    for (digest, text) in &commit.bodies {
        tx.prepare_cached("INSERT OR IGNORE INTO body (digest, text) VALUES (?1, ?2)")?.execute(params![digest, text])?;
    }
    write_remediation(tx, commit)?;
    write_log(tx, commit)?;
    write_outbox(tx, commit)?;
    write_sealed(tx, seal, commit)
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

fn write_remediation(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Stop> {
    let case = &commit.remediation;
    let (id, key) = (case.id.to_string(), case.key.as_str());
    let body = row::json(|| format!("remediation {id}"), case)?;
    let standing = row::json(|| format!("state of remediation {id}"), &case.state)?;
    let sql = if commit.expected_version == 0 {
        "INSERT INTO remediation (id, key, version, state, standing, cloud, account, severity, resource, title, fix, updated, next_at, body, format)
            VALUES (?1, ?2, ?3 + 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE remediation SET version = ?3 + 1, state = ?4, standing = ?5, cloud = ?6, account = ?7, severity = ?8, resource = ?9,
            title = ?10, fix = ?11, updated = max(updated, ?12), next_at = ?13, body = ?14, format = ?15 WHERE id = ?1 AND key = ?2 AND version = ?3"
    };
    let written = tx.prepare_cached(sql)?.execute(params![
        id,
        key,
        commit.expected_version as i64,
        case.state.name(),
        standing,
        case.resource.cloud.as_str(),
        case.account().unwrap_or_default(),
        case.finding.severity.id(),
        case.resource.uid,
        case.finding.title,
        case.fix.as_ref().map(|run| run.plan.fix.as_str()),
        commit.at,
        commit.next_at,
        body,
        case.format,
    ])?;
    if written == 1 {
        return Ok(());
    }
    let key_taken = commit.expected_version == 0 && stored_body(tx, case.id)?.is_none();
    Err(Stop::Store(StoreError::Conflict { id: if key_taken { key.to_owned() } else { id } }))
}

/// Appends entries that follow the stored end; the head in the remediation must be where they end.
fn write_log(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Stop> {
    let id = commit.remediation.id;
    let mut head = stored_head(tx, id)?;
    for entry in &commit.log {
        let (follows, next) = chain::append(id, &head, entry.body.clone());
        if follows != *entry {
            return Err(Stop::Store(StoreError::Conflict { id: id.to_string() }));
        }
        tx.prepare_cached("INSERT INTO log (remediation, sequence, hash, body) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            id.to_string(),
            entry.sequence as i64,
            entry.hash,
            entry.body
        ])?;
        head = next;
    }
    if head == commit.remediation.chain { Ok(()) } else { Err(Stop::Store(StoreError::Conflict { id: id.to_string() })) }
}

fn write_outbox(tx: &Transaction<'_>, commit: &Commit) -> Result<(), Stop> {
    for item in &commit.outbox {
        let message = row::json(|| format!("outbox item {}", item.id), &item.message)?;
        tx.prepare_cached("INSERT INTO outbox (id, remediation, message, lane) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            item.id.to_string(),
            commit.remediation.id.to_string(),
            message,
            item.message.lane()
        ])?;
    }
    Ok(())
}

fn write_sealed(tx: &Transaction<'_>, seal: &Seal, commit: &Commit) -> Result<(), Stop> {
    let id = commit.remediation.id;
    for (reference, value) in &commit.sealed {
        let first = !tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM sealed)")?.query_row([], |r| r.get::<_, bool>(0))?;
        let plain = row::json(|| format!("sealed value `{reference}` of {id}"), value)?;
        let Sealed { nonce, ciphertext } = seal.seal(id, reference, plain.as_bytes(), first)?;
        tx.prepare_cached("INSERT OR REPLACE INTO sealed (remediation, reference, nonce, ciphertext) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.to_string(), reference, nonce, ciphertext])?;
    }
    Ok(())
}
