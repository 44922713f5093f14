//! Large bodies: each belongs to one remediation and lies at a place of its own, the remediation's number followed by which of
//! its bodies it is. Numbers grow, so bodies are appended, and the table needs no index beside itself.

use rusqlite::{Connection, OptionalExtension, params};
use stanch_core::finding::Millis;
use stanch_core::remediation::RemediationId;

use crate::row;

/// How many bodies a remediation has room for, as a power of two; one more takes the place of the last. `remediation` of the
/// table `body` is made with it.
const ROOM: u32 = 20;

/// A body with its columns made out.
pub(crate) struct Prepared {
    digest: Vec<u8>,
    text: String,
}

impl Prepared {
    pub(crate) fn new((digest, text): (String, String)) -> Self {
        Prepared { digest: row::digest(&digest), text }
    }

    /// Keeps the first body of the remediation that was just inserted.
    pub(crate) fn insert_first(&self, connection: &Connection, remediation: i64, at: Millis) -> rusqlite::Result<()> {
        // A body that outlived its remediation is in nobody's way.
        let sql = "INSERT OR REPLACE INTO body (place, digest, at, text) VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(sql)?.execute(params![places(remediation).0, self.digest, at, self.text]).map(drop)
    }

    /// Keeps a body of a remediation that may have it already.
    pub(crate) fn insert(&self, connection: &Connection, remediation: i64, at: Millis) -> rusqlite::Result<()> {
        let (first, last) = places(remediation);
        let sql = "UPDATE body SET at = max(at, ?4) WHERE place BETWEEN ?1 AND ?2 AND digest = ?3";
        if connection.prepare_cached(sql)?.execute(params![first, last, self.digest, at])? > 0 {
            return Ok(());
        }
        let sql = "INSERT OR REPLACE INTO body (place, digest, at, text)
            SELECT coalesce(min(max(place) + 1, ?2), ?1), ?3, ?4, ?5 FROM body WHERE place BETWEEN ?1 AND ?2";
        connection.prepare_cached(sql)?.execute(params![first, last, self.digest, at, self.text]).map(drop)
    }
}

/// A body of a remediation.
pub(crate) fn read(connection: &Connection, id: RemediationId, digest: &str) -> rusqlite::Result<Option<String>> {
    let Some(remediation) = number(connection, &id.to_string())? else { return Ok(None) };
    let (first, last) = places(remediation);
    let sql = "SELECT text FROM body WHERE place BETWEEN ?1 AND ?2 AND digest = ?3";
    connection.prepare_cached(sql)?.query_row(params![first, last, row::digest(digest)], |r| r.get(0)).optional()
}

/// The number of a remediation.
pub(crate) fn number(connection: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT number FROM remediation WHERE id = ?1")?.query_row([id], |r| r.get(0)).optional()
}

/// The first and the last place of a remediation's bodies.
fn places(remediation: i64) -> (i64, i64) {
    let first = remediation << ROOM;
    (first, first | ((1 << ROOM) - 1))
}
