//! Removes what nobody needs any more, in small pieces: each piece is one write of its own, so that others come in between.

use rusqlite::{Connection, OptionalExtension, params};
use stanch_core::finding::Millis;

/// Rows one piece looks at.
const PIECE: i64 = 256;
/// Pieces of one kind that one call does.
const PIECES: usize = 64;

/// The states in which nothing of a case is needed any more but its record; equal to `State::is_at_rest`.
pub(crate) const AT_REST: &str = "'resolved', 'rolled-back', 'exempt', 'rejected', 'refused', 'failed'";

/// What is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Cap windows.
    Caps,
    /// Sent messages.
    Outbox,
    /// Large bodies.
    Bodies,
}

impl Part {
    /// Every piece of work of one call.
    pub(crate) fn all() -> impl Iterator<Item = (Part, usize)> {
        [Part::Caps, Part::Outbox, Part::Bodies].into_iter().map(|part| (part, PIECES))
    }

    /// Does one piece. Gives how many rows went, and whether more is left to look at.
    pub(crate) fn piece(self, connection: &Connection, before: Millis) -> rusqlite::Result<(u64, bool)> {
        match self {
            Part::Caps => {
                let sql = "DELETE FROM cap WHERE rowid IN (SELECT rowid FROM cap WHERE window < ?1 LIMIT ?2)";
                let gone = connection.prepare_cached(sql)?.execute([before, PIECE])?;
                Ok((gone as u64, gone as i64 == PIECE))
            }
            Part::Outbox => {
                let sql = "DELETE FROM outbox WHERE position > ?1 AND position <= ?2 AND sent = 1
                    AND (SELECT updated FROM remediation WHERE id = outbox.remediation) < ?3";
                round(connection, "outbox", "position", |from, to| connection.prepare_cached(sql)?.execute([from, to, before]))
            }
            Part::Bodies => round(connection, "body", "place", |from, to| bodies(connection, from, to, before)),
        }
    }
}

/// A body goes once it is old and its case has been at rest for as long.
fn bodies(connection: &Connection, from: i64, to: i64, before: Millis) -> rusqlite::Result<usize> {
    let sql = format!(
        "DELETE FROM body WHERE place > ?1 AND place <= ?2 AND at < ?3 AND NOT EXISTS (SELECT 1 FROM remediation AS r
            WHERE r.number = body.remediation AND (r.state NOT IN ({AT_REST}) OR r.next_at IS NOT NULL OR r.updated >= ?3))"
    );
    connection.prepare_cached(&sql)?.execute([from, to, before])
}

/// Looks at the next rows of a table after those the last piece looked at, and begins again after the last one: what has to
/// stay is not looked at in every call.
fn round(
    connection: &Connection,
    table: &str,
    number: &str,
    remove: impl FnOnce(i64, i64) -> rusqlite::Result<usize>,
) -> rusqlite::Result<(u64, bool)> {
    let name = format!("prune/{table}");
    let from: Option<String> =
        connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?.query_row([&name], |r| r.get(0)).optional()?;
    let from: i64 = from.and_then(|text| text.parse().ok()).unwrap_or(0);
    let sql = format!("SELECT max(n), count(*) FROM (SELECT {number} AS n FROM {table} WHERE {number} > ?1 ORDER BY n LIMIT ?2)");
    let (to, seen): (Option<i64>, i64) = connection.prepare_cached(&sql)?.query_row([from, PIECE], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let gone = match to {
        Some(to) => remove(from, to)?,
        None => 0,
    };
    let more = seen == PIECE;
    let next = to.filter(|_| more).unwrap_or(0);
    if next != from {
        let sql = "INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)";
        connection.prepare_cached(sql)?.execute(params![name, next.to_string()])?;
    }
    Ok((gone as u64, more))
}
