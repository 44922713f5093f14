//! The least that durable intake can cost: raw texts in one table, through the same group commit. A bench stands beside it.

use std::path::Path;

use rusqlite::params;
use stanch_core::port::StoreError;

use crate::folder;
use crate::writer::Writer;

/// Keeps raw texts and knows nothing about them.
pub struct Floor {
    writer: Writer,
}

impl Floor {
    /// Opens an empty one in a folder.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        drop(folder::open(folder, |connection, place| {
            let sql = "CREATE TABLE IF NOT EXISTS raw (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
            connection.execute_batch(sql).map_err(|e| place.fault("prepare the database", &e))
        })?);
        Ok(Floor { writer: Writer::new(folder.to_owned()) })
    }

    /// Keeps a text; when this returns, it is on disk.
    pub async fn insert(&self, text: String) -> Result<(), StoreError> {
        let sql = "INSERT INTO raw (text) VALUES (?1)";
        self.writer.write("keep a text", move |c| Ok(c.prepare_cached(sql)?.execute(params![text]).map(drop)?)).await
    }
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").finish_non_exhaustive()
    }
}
