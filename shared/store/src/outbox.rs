//! Messages that wait to be sent: in order per remediation and lane, so that a lane that is down delays only itself.
//!
//! Only the oldest unsent message of a lane is ready; those behind it are marked as waiting and stay out of the index that is
//! asked, so that a channel that is down costs nothing however much waits for it.

use rusqlite::{Connection, OptionalExtension, params};
use stanch_core::finding::Millis;
use stanch_core::port::{OutboxItem, StoreError};
use stanch_core::remediation::RemediationId;
use uuid::Uuid;

use crate::row;

/// An item as stored: remediation, id, message.
pub(crate) type Stored = (String, String, String);

/// An item with its columns made out.
pub(crate) struct Prepared {
    id: String,
    lane: String,
    message: String,
}

impl Prepared {
    pub(crate) fn new(item: &OutboxItem) -> Result<Self, StoreError> {
        let message = row::json(|| format!("outbox item {}", item.id), &item.message)?;
        Ok(Prepared { id: item.id.to_string(), lane: item.message.lane(), message })
    }
}

/// Adds an item behind those of its lane.
pub(crate) fn insert(connection: &Connection, remediation: &str, item: &Prepared) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (id, remediation, message, lane, waits)
        VALUES (?1, ?2, ?3, ?4, EXISTS (SELECT 1 FROM outbox WHERE sent = 0 AND remediation = ?2 AND lane = ?4))";
    connection.prepare_cached(sql)?.execute(params![item.id, remediation, item.message, item.lane]).map(drop)
}

pub(crate) const DUE: &str =
    "SELECT remediation, id, message FROM outbox WHERE sent = 0 AND waits = 0 AND due_at <= ?1 ORDER BY due_at, position LIMIT ?2";

/// What is ready and due: what was never tried first, then by the time it was put off to.
pub(crate) fn due(connection: &Connection, now: Millis, limit: i64) -> rusqlite::Result<Vec<Stored>> {
    connection.prepare_cached(DUE)?.query_map(params![now, limit], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
}

/// Reads what the columns mean.
pub(crate) fn item((remediation, item, message): Stored) -> Result<(RemediationId, OutboxItem), StoreError> {
    let what = || format!("outbox item {item}");
    let id = Uuid::parse_str(&item).map_err(|e| row::unreadable(what(), e))?;
    let message = serde_json::from_str(&message).map_err(|e| row::unreadable(what(), e))?;
    Ok((row::id(&remediation)?, OutboxItem { id, message }))
}

/// Takes a ready item for one sender.
pub(crate) fn claim(connection: &Connection, item: Uuid, now: Millis, until: Millis) -> rusqlite::Result<bool> {
    let sql = "UPDATE outbox SET due_at = ?3 WHERE id = ?1 AND sent = 0 AND waits = 0 AND due_at <= ?2";
    Ok(connection.prepare_cached(sql)?.execute(params![item.to_string(), now, until])? == 1)
}

/// Marks an item as sent; the next of its lane becomes ready.
pub(crate) fn sent(connection: &Connection, item: Uuid) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET sent = 1, waits = 0, last_error = NULL WHERE id = ?1 AND sent = 0 RETURNING remediation, lane";
    let lane: Option<(String, String)> =
        connection.prepare_cached(sql)?.query_row([item.to_string()], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
    let Some((remediation, lane)) = lane else { return Ok(()) };
    let sql = "UPDATE outbox SET waits = 0 WHERE position =
        (SELECT min(position) FROM outbox WHERE sent = 0 AND remediation = ?1 AND lane = ?2)";
    connection.prepare_cached(sql)?.execute([remediation, lane]).map(drop)
}

/// Puts an item off.
pub(crate) fn put_off(connection: &Connection, item: Uuid, at: Millis, reason: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET due_at = ?2, tries = tries + 1, last_error = ?3 WHERE id = ?1 AND sent = 0";
    connection.prepare_cached(sql)?.execute(params![item.to_string(), at, reason]).map(drop)
}
