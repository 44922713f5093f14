//! The tables, as numbered migrations. A migration that has shipped is never edited; a new one is added.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use stanch_core::port::StoreError;

use crate::folder::Place;
use crate::row;

/// Migration `n` (from 1) leads from format `n - 1` to format `n`; the format stands in `PRAGMA user_version`.
const MIGRATIONS: &[Migration] = &[first, second, third];

type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Ids are UUIDs as text, so that the file can be read with any SQLite shell. Times are milliseconds since the epoch.
pub(crate) const FIRST: &str = "
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

fn first(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(FIRST)
}

/// Formats of rows, lanes of the outbox, what was parked, and what removing needs: which cases refer to a body. Indices over
/// random text became indices over digests (`hex(digest)` in a shell), which are what stored remediations cost every further one.
const SECOND: &str = "
CREATE TABLE remediation_2 (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    key_digest BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    format INTEGER NOT NULL,
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

CREATE TABLE body_2 (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE body_case (
    body INTEGER NOT NULL,
    remediation INTEGER NOT NULL,
    PRIMARY KEY (body, remediation)
) STRICT, WITHOUT ROWID;

ALTER TABLE outbox ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET lane = coalesce(
    'source:' || json_extract(message, '$.write-back.source'), 'channel:' || json_extract(message, '$.notice.channel'), '');
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (remediation, lane, position) WHERE sent = 0;
CREATE INDEX outbox_ready ON outbox (due_at, position) WHERE sent = 0 AND waits = 0;
UPDATE outbox SET waits = 1 WHERE sent = 0 AND EXISTS (SELECT 1 FROM outbox AS before
    WHERE before.sent = 0 AND before.remediation = outbox.remediation AND before.lane = outbox.lane AND before.position < outbox.position);

CREATE INDEX cap_window ON cap (window);

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

/// Takes over what format 1 kept; digests are not for SQL to make.
fn second(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(SECOND)?;
    let mut rows = tx.prepare("SELECT id, key FROM remediation ORDER BY id")?;
    let mut copy = tx.prepare(
        "INSERT INTO remediation_2 SELECT NULL, id, key, ?2, version, 1, state, standing, cloud, account, severity, resource, title, fix,
            updated, next_at, body FROM remediation WHERE id = ?1",
    )?;
    let mut rows = rows.query([])?;
    while let Some(found) = rows.next()? {
        let (id, key): (String, String) = (found.get(0)?, found.get(1)?);
        copy.execute(params![id, row::key_digest(&key)])?;
    }
    let mut bodies = tx.prepare("SELECT digest FROM body ORDER BY rowid")?;
    let mut copy = tx.prepare("INSERT INTO body_2 (digest, at, text) SELECT ?2, 0, text FROM body WHERE digest = ?1")?;
    let mut bodies = bodies.query([])?;
    while let Some(found) = bodies.next()? {
        let digest: String = found.get(0)?;
        copy.execute(params![digest, row::digest(&digest)])?;
    }
    let mut cases = tx.prepare("SELECT number, json_extract(body, '$.raw_digest') FROM remediation_2 WHERE json_valid(body)")?;
    let mut refer = tx.prepare("INSERT OR IGNORE INTO body_case SELECT number, ?2 FROM body_2 WHERE digest = ?1")?;
    let mut cases = cases.query([])?;
    while let Some(found) = cases.next()? {
        if let Some(digest) = found.get::<_, Option<String>>(1)? {
            refer.execute(params![row::digest(&digest), found.get::<_, i64>(0)?])?;
        }
    }
    // When each was last needed is not known: not before anything else was.
    tx.execute("UPDATE body_2 SET at = coalesce((SELECT max(updated) FROM remediation_2), 0)", [])?;
    tx.execute_batch(
        "DROP TABLE remediation;
        ALTER TABLE remediation_2 RENAME TO remediation;
        CREATE INDEX remediation_next_at ON remediation (next_at, id, format) WHERE next_at IS NOT NULL;
        CREATE INDEX remediation_state ON remediation (state, id, cloud);
        CREATE INDEX remediation_cloud ON remediation (cloud, id);
        DROP TABLE body;
        ALTER TABLE body_2 RENAME TO body;",
    )
}

/// A body belongs to one remediation and lies where its number says (see [`crate::body`]): no index over digests, and no table
/// of which remediation refers to which body. One that several refer to is copied to each; what nobody refers to goes.
const THIRD: &str = "
CREATE TABLE body_3 (
    place INTEGER PRIMARY KEY,
    remediation INTEGER AS (place >> 20) VIRTUAL,
    digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
INSERT INTO body_3 (place, digest, at, text)
    SELECT (c.remediation << 20) + row_number() OVER (PARTITION BY c.remediation ORDER BY c.body) - 1, b.digest, b.at, b.text
    FROM body_case AS c JOIN body AS b ON b.number = c.body ORDER BY c.remediation, c.body;
DROP TABLE body_case;
DROP TABLE body;
ALTER TABLE body_3 RENAME TO body;
DELETE FROM setting WHERE name = 'prune/body';
";

fn third(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(THIRD)
}

/// Brings a database up to the format this program knows; each step is one transaction. A newer database is refused.
pub(crate) fn migrate(connection: &mut Connection, place: &Place) -> Result<(), StoreError> {
    let references = |connection: &Connection, on: bool| {
        connection.pragma_update(None, "foreign_keys", on).map_err(|e| place.fault("prepare the database", &e))
    };
    // A table that is made anew is gone for a moment, and what refers to it must stay.
    references(connection, false)?;
    for (number, migration) in (1_i64..).zip(MIGRATIONS) {
        step(connection, number, *migration).map_err(|e| place.fault("prepare the database", &e))?;
    }
    refuse_newer(connection, place)?;
    references(connection, true)
}

/// Refuses the database of a newer program.
pub(crate) fn refuse_newer(connection: &mut Connection, place: &Place) -> Result<(), StoreError> {
    let (found, known) = (format(connection).map_err(|e| place.fault("read the database's format", &e))?, MIGRATIONS.len() as i64);
    if found > known {
        let reason = format!("the database in {place} has format {found}, this program knows formats up to {known}; use a newer stanch");
        return Err(StoreError::Unavailable { reason });
    }
    Ok(())
}

fn step(connection: &mut Connection, number: i64, migration: Migration) -> rusqlite::Result<()> {
    if format(connection)? >= number {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: another process may have been quicker.
    if format(&transaction)? < number {
        migration(&transaction)?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    transaction.commit()
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
