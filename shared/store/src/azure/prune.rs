//! Removing what nobody needs any more. It reads the whole table, page by page, so it belongs into a daily timer.
//!
//! A body is kept by a row and, when it is large, a blob. A commit writes the row and then the blob; here the row goes first, if
//! nobody has touched it since it was looked at, and then the blob, if nobody has written it since. So whichever comes in
//! between, a body that a commit counts on stays.

use std::collections::{BTreeMap, HashSet};

use stanch_core::finding::Millis;
use stanch_core::port::StoreError;

use super::entity::Entity;
use super::names::{self, CAP, ONLY};
use super::store::AzureStore;
use super::{case, due};

pub(crate) async fn prune(store: &AzureStore, before: Millis) -> Result<u64, StoreError> {
    Ok(windows(store, before).await? + messages(store, before).await? + bodies(store, before).await? + blobs(store, before).await?)
}

/// Cap windows.
async fn windows(store: &AzureStore, before: Millis) -> Result<u64, StoreError> {
    let filter = format!("PartitionKey eq '{CAP}' and RowKey lt '{}'", names::time(before));
    let rows = store.table().all(&filter, &["PartitionKey", "RowKey"]).await?;
    Ok(due::remove(store, CAP, rows.iter().map(|row| row.row().to_owned()).collect()).await as u64)
}

/// Messages that are sent, of remediations that have not moved since.
async fn messages(store: &AzureStore, before: Millis) -> Result<u64, StoreError> {
    let filter = "PartitionKey ge 'r-' and PartitionKey lt 'r.' and RowKey ge 'out-' and RowKey lt 'out.' and open eq false";
    let mut gone = 0;
    for row in store.table().all(filter, &["PartitionKey", "RowKey", "count"]).await? {
        let Some(id) = names::case_id(row.partition()) else { continue };
        let moved = case::standing(store, id).await?.is_none_or(|found| found.updated >= before);
        if !moved && store.table().delete(row.partition(), row.row(), "*").await? {
            gone += row.get_int("count").unwrap_or(1).unsigned_abs();
        }
    }
    Ok(gone)
}

/// A body goes once it is old and its case has been at rest for as long. One that an earlier stanch kept for several cases goes
/// by the digests those cases name.
async fn bodies(store: &AzureStore, before: Millis) -> Result<u64, StoreError> {
    let old = format!("PartitionKey ge 'body-' and PartitionKey lt 'body.' and at lt {before}L");
    let old = store.table().all(&old, &["PartitionKey", "RowKey", "case", "digest"]).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let moving = format!(
        "PartitionKey ge 'r-' and PartitionKey lt 'r.' and RowKey eq '{}' and (rest eq false or updated ge {before}L)",
        names::CASE
    );
    let moving = store.table().all(&moving, &["PartitionKey", "RowKey", "raw"]).await?;
    let cases: HashSet<&str> = moving.iter().filter_map(|row| row.partition().strip_prefix("r-")).collect();
    let digests: HashSet<&str> = moving.iter().filter_map(|row| row.get("raw")).collect();
    let needed = |row: &Entity| match row.get("case") {
        Some(case) => cases.contains(case),
        None => row.get("digest").is_some_and(|digest| digests.contains(digest)),
    };
    let mut gone = 0;
    for row in old.iter().filter(|row| !needed(row)) {
        let Some((found, etag)) = store.table().get(row.partition(), ONLY, &["at", "blob"]).await? else { continue };
        let blob = match found.get("blob") {
            Some(name) => store.container().etag(name).await?.map(|etag| (name, etag)),
            None => None,
        };
        if found.needed_int("at")? < before && store.table().delete(row.partition(), ONLY, &etag).await? {
            gone += 1;
            if let Some((name, etag)) = blob {
                store.container().delete(name, &etag).await?;
            }
        }
    }
    Ok(gone)
}

/// Blobs of rows that were written anew, or whose commit never came. What is as old as `before` by the service's clock is
/// looked at.
async fn blobs(store: &AzureStore, before: Millis) -> Result<u64, StoreError> {
    let mut gone = 0;
    for kind in ["r-", "parked/"] {
        let mut old: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for blob in store.container().list(kind).await? {
            if blob.modified < before {
                let partition = blob.name.split('/').next().unwrap_or_default().to_owned();
                old.entry(partition).or_default().push((blob.name, blob.etag));
            }
        }
        for (partition, blobs) in old {
            let rows = store.table().all(&format!("PartitionKey eq '{partition}'"), &["PartitionKey", "RowKey", "blob"]).await?;
            let named: HashSet<&str> = rows.iter().filter_map(|row| row.get("blob")).collect();
            for (name, etag) in blobs.iter().filter(|(name, _)| !named.contains(name.as_str())) {
                gone += u64::from(store.container().delete(name, etag).await?);
            }
        }
    }
    Ok(gone)
}
