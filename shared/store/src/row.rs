//! Between rows and domain types.

use rusqlite::Row;
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Millis, Severity};
use stanch_core::port::{StoreError, Summary};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId};

/// A row's id.
pub(crate) fn id(text: &str) -> Result<RemediationId, StoreError> {
    RemediationId::parse(text).ok_or_else(|| unreadable(format!("remediation id `{text}`"), "expected a UUID"))
}

/// A row's remediation.
pub(crate) fn remediation(id: RemediationId, body: &str) -> Result<Remediation, StoreError> {
    let read: Remediation = serde_json::from_str(body).map_err(|e| unreadable(format!("remediation {id}"), e))?;
    if read.format > REMEDIATION_FORMAT {
        let reason =
            format!("it has format {}, this program knows formats up to {REMEDIATION_FORMAT}; a newer stanch takes it", read.format);
        return Err(unreadable(format!("remediation {id}"), reason));
    }
    Ok(read)
}

/// A serialised column.
pub(crate) fn json<T: serde::Serialize>(what: impl FnOnce() -> String, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unavailable { reason: format!("{} cannot be written as JSON: {e}", what()) })
}

/// The columns of a listing, in the order [`Listed::read`] takes them.
pub(crate) const LISTED: &str = "id, standing, severity, cloud, account, resource, title, fix, updated";

/// A listing's row, as stored.
pub(crate) struct Listed {
    id: String,
    standing: String,
    severity: i64,
    cloud: String,
    account: String,
    resource: String,
    title: String,
    fix: Option<String>,
    updated: Millis,
}

impl Listed {
    /// Takes the columns [`LISTED`].
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Listed {
            id: row.get(0)?,
            standing: row.get(1)?,
            severity: row.get(2)?,
            cloud: row.get(3)?,
            account: row.get(4)?,
            resource: row.get(5)?,
            title: row.get(6)?,
            fix: row.get(7)?,
            updated: row.get(8)?,
        })
    }

    /// Reads what the columns mean.
    pub(crate) fn summary(self) -> Result<Summary, StoreError> {
        let id = id(&self.id)?;
        let state = serde_json::from_str(&self.standing).map_err(|e| unreadable(format!("state of remediation {id}"), e))?;
        let cloud =
            Cloud::parse(&self.cloud).ok_or_else(|| unreadable(format!("cloud of remediation {id}"), "expected azure, aws or gcp"))?;
        Ok(Summary {
            id,
            state,
            severity: Severity::from_id(self.severity),
            cloud,
            account: self.account,
            resource: self.resource,
            title: self.title,
            fix: self.fix,
            updated: self.updated,
        })
    }
}

/// A row that this version cannot read.
pub(crate) fn unreadable(what: String, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what, reason: reason.to_string() }
}
