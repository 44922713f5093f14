//! What is kept beside remediations: named values, cap slots, what was parked, and the ends of records.

use rusqlite::{Connection, OptionalExtension, params};
use stanch_core::chain::ChainHead;
use stanch_core::finding::Millis;
use stanch_core::port::{Cap, Parked, ParkedKind};
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
pub(crate) fn set_value(connection: &Connection, name: &str, expected: Option<&str>, new: Option<&str>) -> rusqlite::Result<bool> {
    if value(connection, name)?.as_deref() != expected {
        return Ok(false);
    }
    match new {
        Some(new) => {
            let sql = "INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute(params![key(name), new])?
        }
        None => connection.prepare_cached("DELETE FROM setting WHERE name = ?1")?.execute([key(name)])?,
    };
    Ok(true)
}

/// Takes one slot of each cap, all or none.
pub(crate) fn take_slots(connection: &Connection, caps: &[Cap]) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO cap (name, window, taken) SELECT ?1, ?2, 1 WHERE ?3 > 0
        ON CONFLICT (name, window) DO UPDATE SET taken = taken + 1 WHERE taken < ?3";
    for (taken, cap) in caps.iter().enumerate() {
        if connection.prepare_cached(sql)?.execute(params![cap.name, cap.window, cap.limit])? == 1 {
            continue;
        }
        // Nobody has seen them: the transaction is not over.
        let back = "UPDATE cap SET taken = taken - 1 WHERE name = ?1 AND window = ?2";
        for cap in caps.iter().take(taken) {
            connection.prepare_cached(back)?.execute(params![cap.name, cap.window])?;
        }
        return Ok(false);
    }
    Ok(true)
}

/// Parks something, or counts that it came again.
pub(crate) fn park(connection: &Connection, parked: &Parked) -> rusqlite::Result<()> {
    let sql = "INSERT INTO parked (id, kind, origin, why, body, at, times) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
        ON CONFLICT (id) DO UPDATE SET why = ?4, at = ?6, times = times + 1";
    let row = params![parked.id, word(parked.kind), parked.origin, parked.why, parked.body, parked.at];
    connection.prepare_cached(sql)?.execute(row).map(drop)
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

pub(crate) const HEADS: &str = "SELECT r.id, l.sequence, l.hash, r.updated FROM remediation AS r
    LEFT JOIN log AS l ON l.remediation = r.id AND l.sequence = (SELECT max(sequence) FROM log WHERE remediation = r.id)
    WHERE r.id > ?1 ORDER BY r.id LIMIT ?2";

/// Ends of records by id. They are read from the log itself, not from what the remediation says.
pub(crate) fn heads(
    connection: &Connection,
    after: Option<RemediationId>,
    limit: i64,
) -> rusqlite::Result<Vec<(String, ChainHead, Millis)>> {
    let after = after.map_or_else(String::new, |id| id.to_string());
    let read = |r: &rusqlite::Row<'_>| {
        let length = r.get::<_, Option<i64>>(1)?.unwrap_or(0).unsigned_abs();
        Ok((r.get(0)?, ChainHead { length, hash: r.get::<_, Option<String>>(2)?.unwrap_or_default() }, r.get(3)?))
    };
    connection.prepare_cached(HEADS)?.query_map(params![after, limit], read)?.collect()
}
