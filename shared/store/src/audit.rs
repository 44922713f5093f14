//! Checks every record of a store against its hash chain.

use rusqlite::Connection;
use stanch_core::chain::{self, ChainEntry};
use stanch_core::port::StoreError;
use stanch_core::remediation::RemediationId;

use crate::folder::Place;
use crate::row;

/// What an audit of all records found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Remediations looked at.
    pub remediations: u64,
    /// Record entries looked at.
    pub entries: u64,
    /// What is wrong, by remediation; empty when every record holds.
    pub faults: Vec<(RemediationId, String)>,
}

/// One read transaction, so that a server that writes meanwhile makes no fault; one remediation in memory at a time.
pub(crate) fn audit(connection: &mut Connection, place: &Place) -> Result<AuditReport, StoreError> {
    let fault = |e| place.fault("read the records", &e);
    let view = connection.transaction().map_err(fault)?;
    let mut report = AuditReport::default();

    let mut all = view.prepare("SELECT id, body FROM remediation ORDER BY id").map_err(fault)?;
    let mut rows = all.query([]).map_err(fault)?;
    while let Some(found) = rows.next().map_err(fault)? {
        let (id, body): (String, String) = (found.get(0).map_err(fault)?, found.get(1).map_err(fault)?);
        let id = row::id(&id)?;
        let entries = entries(&view, id).map_err(fault)?;
        report.remediations += 1;
        report.entries += entries.len() as u64;
        match row::end(id, &body) {
            Err(e) => report.faults.push((id, e.to_string())),
            Ok(end) => report.faults.extend(chain::verify(id, &end, &entries).err().map(|e| (id, e.to_string()))),
        }
    }

    let orphans = "SELECT remediation, count(*) FROM log WHERE remediation NOT IN (SELECT id FROM remediation) GROUP BY remediation ORDER BY remediation";
    let mut orphans = view.prepare(orphans).map_err(fault)?;
    let mut rows = orphans.query([]).map_err(fault)?;
    while let Some(found) = rows.next().map_err(fault)? {
        let (id, count): (String, i64) = (found.get(0).map_err(fault)?, found.get(1).map_err(fault)?);
        report.entries += count.unsigned_abs();
        report.faults.push((row::id(&id)?, format!("the remediation is gone, but its record has {count} entries")));
    }
    Ok(report)
}

/// The record of a remediation, in order.
pub(crate) fn entries(connection: &Connection, id: RemediationId) -> rusqlite::Result<Vec<ChainEntry>> {
    let mut statement = connection.prepare_cached("SELECT sequence, hash, body FROM log WHERE remediation = ?1 ORDER BY sequence")?;
    let read = |row: &rusqlite::Row<'_>| {
        let sequence: i64 = row.get(0)?;
        Ok(ChainEntry { sequence: sequence.unsigned_abs(), hash: row.get(1)?, body: row.get(2)? })
    };
    statement.query_map([id.to_string()], read)?.collect()
}
