//! The tables, as numbered migrations. A migration that has shipped is never edited; a new one is added.

use rusqlite::{Connection, TransactionBehavior};
use stanch_core::port::StoreError;

use crate::folder::Place;

/// Migration `n` (from 1) leads from format `n - 1` to format `n`; the format stands in `PRAGMA user_version`.
const MIGRATIONS: &[&str] = &[FIRST, SECOND];

/// Ids are UUIDs as text, so that the file can be read with any SQLite shell. Times are milliseconds since the epoch.
const FIRST: &str = "
CREATE TABLE remediation (
    id TEXT PRIMARY KEY NOT NULL,
    key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    standing TEXT NOT NULL,
    cloud TEXT NOT NULL,
    account TEXT NOT NULL,
    severity INTEGER NOT NULL,
    resource TEXT NOT NULL,
    title TEXT NOT NULL,
    fix TEXT,
    updated INTEGER NOT NULL,
    next_at INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX remediation_next_at ON remediation (next_at, id) WHERE next_at IS NOT NULL;
CREATE INDEX remediation_state ON remediation (state, id);

CREATE TABLE log (
    remediation TEXT NOT NULL REFERENCES remediation (id),
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (remediation, sequence)
) STRICT;

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    remediation TEXT NOT NULL REFERENCES remediation (id),
    message TEXT NOT NULL,
    due_at INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    sent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_unsent ON outbox (remediation, position) WHERE sent = 0;

CREATE TABLE cap (
    name TEXT NOT NULL,
    window INTEGER NOT NULL,
    taken INTEGER NOT NULL,
    PRIMARY KEY (name, window)
) STRICT;

CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;

CREATE TABLE sealed (
    remediation TEXT NOT NULL REFERENCES remediation (id),
    reference TEXT NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (remediation, reference)
) STRICT;

CREATE TABLE body (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL) STRICT;

CREATE TABLE hold (
    fix TEXT NOT NULL,
    resource TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (fix, resource)
) STRICT;
";

/// Formats of rows, lanes of the outbox, and what was parked.
const SECOND: &str = "
ALTER TABLE remediation ADD COLUMN format INTEGER NOT NULL DEFAULT 1;

ALTER TABLE outbox ADD COLUMN lane TEXT NOT NULL DEFAULT '';
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (remediation, lane, position) WHERE sent = 0;

CREATE TABLE parked (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    why TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    times INTEGER NOT NULL
) STRICT;
CREATE INDEX parked_at ON parked (at, id);
";

/// Brings a database up to the format this program knows; each step is one transaction. A newer database is refused.
pub(crate) fn migrate(connection: &mut Connection, place: &Place) -> Result<(), StoreError> {
    for (number, sql) in (1_i64..).zip(MIGRATIONS) {
        step(connection, number, sql).map_err(|e| place.fault("prepare the database", e))?;
    }
    refuse_newer(connection, place)
}

/// Refuses the database of a newer program.
pub(crate) fn refuse_newer(connection: &mut Connection, place: &Place) -> Result<(), StoreError> {
    let (found, known) = (format(connection).map_err(|e| place.fault("read the database's format", e))?, MIGRATIONS.len() as i64);
    if found > known {
        let reason = format!("the database in {place} has format {found}, this program knows formats up to {known}; use a newer stanch");
        return Err(StoreError::Unavailable { reason });
    }
    Ok(())
}

fn step(connection: &mut Connection, number: i64, sql: &str) -> rusqlite::Result<()> {
    if format(connection)? >= number {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: another process may have been quicker.
    if format(&transaction)? < number {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    transaction.commit()
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
