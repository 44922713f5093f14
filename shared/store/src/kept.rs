//! What is kept beside remediations: named values, what was parked, ends of records, and what is removed in time.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use stanch_core::chain::ChainHead;
use stanch_core::finding::Millis;
use stanch_core::port::{Parked, ParkedKind};
use stanch_core::remediation::RemediationId;

/// Named values share the table of settings, under a prefix of their own.
fn key(name: &str) -> String {
    format!("value/{name}")
}

/// A named value.
pub(crate) fn value(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?.query_row([key(name)], |r| r.get(0)).optional()
}

/// Sets a named value if it is still the expected one.
pub(crate) fn set_value(tx: &Transaction<'_>, name: &str, expected: Option<&str>, new: Option<&str>) -> rusqlite::Result<bool> {
    if value(tx, name)?.as_deref() != expected {
        return Ok(false);
    }
    match new {
        Some(new) => tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)", params![key(name), new])?,
        None => tx.execute("DELETE FROM setting WHERE name = ?1", [key(name)])?,
    };
    Ok(true)
}

/// Parks something, or counts that it came again.
pub(crate) fn park(tx: &Transaction<'_>, parked: &Parked) -> rusqlite::Result<()> {
    let sql = "INSERT INTO parked (id, kind, origin, why, body, at, times) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
        ON CONFLICT (id) DO UPDATE SET why = ?4, at = ?6, times = times + 1";
    tx.execute(sql, params![parked.id, word(parked.kind), parked.origin, parked.why, parked.body, parked.at]).map(drop)
}

/// What is parked, oldest first.
pub(crate) fn parked(connection: &Connection, limit: i64) -> rusqlite::Result<Vec<Parked>> {
    let sql = "SELECT id, kind, origin, why, body, at, times FROM parked ORDER BY at, id LIMIT ?1";
    let read = |r: &rusqlite::Row<'_>| {
        let kind = if r.get::<_, String>(1)? == word(ParkedKind::Message) { ParkedKind::Message } else { ParkedKind::Event };
        Ok(Parked { id: r.get(0)?, kind, origin: r.get(2)?, why: r.get(3)?, body: r.get(4)?, at: r.get(5)?, times: r.get(6)? })
    };
    connection.prepare_cached(sql)?.query_map([limit], read)?.collect()
}

fn word(kind: ParkedKind) -> &'static str {
    match kind {
        ParkedKind::Event => "event",
        ParkedKind::Message => "message",
    }
}

/// Ends of records by id. They are read from the log itself, not from what the remediation says.
pub(crate) fn heads(
    connection: &Connection,
    after: Option<RemediationId>,
    limit: i64,
) -> rusqlite::Result<Vec<(String, ChainHead, Millis)>> {
    let sql = "SELECT r.id, l.sequence, l.hash, r.updated FROM remediation AS r
        LEFT JOIN log AS l ON l.remediation = r.id AND l.sequence = (SELECT max(sequence) FROM log WHERE remediation = r.id)
        WHERE r.id > ?1 ORDER BY r.id LIMIT ?2";
    let after = after.map_or_else(String::new, |id| id.to_string());
    let read = |r: &rusqlite::Row<'_>| {
        let length = r.get::<_, Option<i64>>(1)?.unwrap_or(0).unsigned_abs();
        Ok((r.get(0)?, ChainHead { length, hash: r.get::<_, Option<String>>(2)?.unwrap_or_default() }, r.get(3)?))
    };
    connection.prepare_cached(sql)?.query_map(params![after, limit], read)?.collect()
}

/// Removes what nobody needs any more.
pub(crate) fn prune(tx: &Transaction<'_>, before: Millis) -> rusqlite::Result<u64> {
    let mut gone = tx.execute("DELETE FROM cap WHERE window < ?1", [before])?;
    gone +=
        tx.execute("DELETE FROM outbox WHERE sent = 1 AND (SELECT updated FROM remediation WHERE id = outbox.remediation) < ?1", [before])?;
    Ok(gone as u64)
}
