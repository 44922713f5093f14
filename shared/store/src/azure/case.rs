//! Reading one remediation: its row, its record, its sealed values.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stanch_core::chain::{ChainEntry, ChainHead};
use stanch_core::finding::Millis;
use stanch_core::port::StoreError;
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};

use super::entity::Entity;
use super::names;
use super::store::AzureStore;
use crate::row;
use crate::seal::Sealed;

/// What a remediation's row says beside its body.
pub(crate) struct Standing {
    pub(crate) etag: String,
    /// 0 for a row that only keeps an id from being used.
    pub(crate) version: u64,
    /// The token of the commit that wrote it.
    pub(crate) token: String,
    pub(crate) key: String,
    pub(crate) format: i64,
    pub(crate) next_at: Option<Millis>,
    pub(crate) updated: Millis,
    pub(crate) head: ChainHead,
}

const STANDING: &[&str] = &["PartitionKey", "RowKey", "version", "w", "key", "format", "next", "updated", "length", "hash"];

impl Standing {
    /// Whether a remediation stands here, and the id is not merely kept from being used.
    pub(crate) fn is_live(&self) -> bool {
        self.version > 0
    }

    fn read(entity: &Entity, etag: String) -> Result<Self, StoreError> {
        let text = |name| entity.get(name).unwrap_or_default().to_owned();
        Ok(Standing {
            etag,
            version: entity.needed_int("version")?.unsigned_abs(),
            token: text("w"),
            key: text("key"),
            format: entity.get_int("format").unwrap_or_default(),
            next_at: entity.get_int("next"),
            updated: entity.get_int("updated").unwrap_or_default(),
            head: ChainHead { length: entity.get_int("length").unwrap_or_default().unsigned_abs(), hash: text("hash") },
        })
    }
}

/// Where a remediation stands, without its body.
pub(crate) async fn standing(store: &AzureStore, id: RemediationId) -> Result<Option<Standing>, StoreError> {
    let found = store.table().get(&names::case(id), names::CASE, STANDING).await?;
    found.map(|(row, etag)| Standing::read(&row, etag)).transpose()
}

/// A key whose remediation is not there yet, or never will be, is not found.
pub(crate) async fn find(store: &AzureStore, key: &RemediationKey) -> Result<Option<RemediationId>, StoreError> {
    let found = store.table().get(&names::hashed("key", key.as_str()), names::ONLY, &["id"]).await?;
    let Some((found, _)) = found else { return Ok(None) };
    let id = row::id(found.needed("id")?)?;
    Ok(standing(store, id).await?.filter(Standing::is_live).map(|_| id))
}

pub(crate) async fn load(store: &AzureStore, id: RemediationId) -> Result<Option<Remediation>, StoreError> {
    let found = store.table().get(&names::case(id), names::CASE, &[]).await?;
    let Some((found, etag)) = found else { return Ok(None) };
    if !Standing::read(&found, etag)?.is_live() {
        return Ok(None);
    }
    row::remediation(id, &store.text_of(&found).await?).map(Some)
}

/// Rows of a remediation whose names begin so.
pub(crate) fn rows_of(id: RemediationId, kind: &str) -> String {
    // `.` follows `-`.
    format!("PartitionKey eq '{}' and RowKey ge '{kind}-' and RowKey lt '{kind}.'", names::case(id))
}

pub(crate) async fn record(store: &AzureStore, id: RemediationId) -> Result<Vec<ChainEntry>, StoreError> {
    let mut record = Vec::new();
    for found in store.table().all(&rows_of(id, "log"), &[]).await? {
        let text = store.text_of(&found).await?;
        let entries: Vec<ChainEntry> = serde_json::from_str(&text).map_err(|e| found.unreadable(e))?;
        record.extend(entries);
    }
    Ok(record)
}

/// Where the record itself ends, given where it should: the hash in the row of that entry.
pub(crate) async fn end_of_record(store: &AzureStore, id: RemediationId, length: u64) -> Result<ChainHead, StoreError> {
    if length == 0 {
        return Ok(ChainHead::default());
    }
    let found = store.table().get(&names::case(id), &names::log(length), &["hash"]).await?;
    let hash = found.and_then(|(row, _)| row.get("hash").map(str::to_owned));
    Ok(hash.map_or_else(ChainHead::default, |hash| ChainHead { length, hash }))
}

/// Each commit that sealed something has a row of its own; the latest value counts.
pub(crate) async fn unseal(store: &AzureStore, id: RemediationId, reference: &str) -> Result<Option<Value>, StoreError> {
    let rows = store.table().all(&rows_of(id, "seal"), &[]).await?;
    for found in rows.iter().rev() {
        let text = store.text_of(found).await?;
        let values: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|e| found.unreadable(e))?;
        if let Some(sealed) = values.get(reference) {
            let sealed = STANDARD.decode(sealed).ok().and_then(|bytes| Sealed::from_bytes(&bytes));
            let sealed = sealed.ok_or_else(|| found.unreadable(format_args!("value `{reference}` is not sealed as expected")))?;
            let plain = store.seal.open(id, reference, &sealed)?;
            // The parser's error could quote the value.
            let unreadable = |_| row::unreadable(format!("sealed value `{reference}` of {id}"), "expected JSON");
            return serde_json::from_slice(&plain).map(Some).map_err(unreadable);
        }
    }
    Ok(None)
}
