//! Between rows and domain types.

use rusqlite::Row;
use stanch_core::chain::ChainHead;
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Millis, Severity};
use stanch_core::port::{StoreError, Summary};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId};

/// A row's id.
pub(crate) fn id(text: &str) -> Result<RemediationId, StoreError> {
    RemediationId::parse(text).ok_or_else(|| unreadable(format!("remediation id `{text}`"), "expected a UUID"))
}

/// A row's remediation, in the format of this program.
pub(crate) fn remediation(id: RemediationId, body: &str) -> Result<Remediation, StoreError> {
    let mut read: Remediation = serde_json::from_str(body).map_err(|e| unreadable(format!("remediation {id}"), e))?;
    if read.format > REMEDIATION_FORMAT {
        let reason =
            format!("it has format {}, this program knows formats up to {REMEDIATION_FORMAT}; a newer stanch takes it", read.format);
        return Err(unreadable(format!("remediation {id}"), reason));
    }
    // What was read is written back as this program knows it.
    read.format = REMEDIATION_FORMAT;
    Ok(read)
}

/// What an audit needs of a row.
#[derive(serde::Deserialize)]
pub(crate) struct Standing {
    pub(crate) id: RemediationId,
    pub(crate) key: String,
    pub(crate) chain: ChainHead,
}

/// Whose row it is and where it says that its record ends. It is read from rows of newer formats too: what makes a record does
/// not change.
pub(crate) fn standing(id: RemediationId, body: &str) -> Result<Standing, StoreError> {
    serde_json::from_str(body).map_err(|e| unreadable(format!("remediation {id}"), e))
}

/// A SHA-256 in hex as its bytes; any other text as it is.
pub(crate) fn digest(text: &str) -> Vec<u8> {
    let half = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).filter(|_| !c.is_ascii_uppercase());
    let byte = |pair: &[u8; 2]| Some(half(pair[0])? << 4 | half(pair[1])?);
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes: Option<Vec<u8>> = if pairs.len() == 32 && rest.is_empty() { pairs.iter().map(byte).collect() } else { None };
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// What a key is found by: half of its SHA-256, for an index a fifth as large.
pub(crate) fn key_digest(key: &str) -> Vec<u8> {
    let mut bytes = digest(&stanch_core::digest::sha256_hex(key.as_bytes()));
    bytes.truncate(16);
    bytes
}

/// A serialised column.
pub(crate) fn json<T: serde::Serialize>(what: impl FnOnce() -> String, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unavailable { reason: format!("{} cannot be written as JSON: {e}", what()) })
}

/// The columns of a listing, in the order [`Listed::read`] takes them.
pub(crate) const LISTED: &str = "id, standing, severity, cloud, account, resource, title, fix, updated, format";

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
    format: u32,
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
            format: row.get(9)?,
        })
    }

    /// Reads what the columns mean. `None`: a newer stanch wrote them, in words this one does not know.
    pub(crate) fn summary(self) -> Result<Option<Summary>, StoreError> {
        let newer = self.format > REMEDIATION_FORMAT;
        match self.read_columns() {
            Err(_) if newer => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_columns(self) -> Result<Summary, StoreError> {
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
