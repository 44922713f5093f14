//! Named values, holds and large bodies.

use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{Hold, StoreError};
use stanch_core::remediation::RemediationId;

use super::entity::{Entity, is_too_long};
use super::names::{self, ONLY};
use super::store::AzureStore;
use crate::row::{self, unreadable};

pub(crate) async fn value(store: &AzureStore, name: &str) -> Result<Option<String>, StoreError> {
    let found = store.table().get(&names::hashed("value", name), ONLY, &[]).await?;
    found.map(|(row, _)| row.get_long("b").ok_or_else(|| row.unreadable("it has no text"))).transpose()
}

pub(crate) async fn set_value(store: &AzureStore, name: &str, expected: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
    let partition = names::hashed("value", name);
    let found = store.table().get(&partition, ONLY, &[]).await?;
    let stands = found.as_ref().map(|(row, _)| row.get_long("b").unwrap_or_default());
    if stands.as_deref() != expected {
        return Ok(false);
    }
    let row = |text: &str| Entity::new(&partition, ONLY).text("name", name).long("b", text);
    match (found, new) {
        (Some((_, etag)), Some(new)) => store.table().replace(row(new), &etag).await,
        (Some((_, etag)), None) => store.table().delete(&partition, ONLY, &etag).await,
        (None, Some(new)) => store.table().insert(row(new)).await,
        (None, None) => Ok(true),
    }
}

pub(crate) async fn hold(store: &AzureStore, hold: Hold) -> Result<(), StoreError> {
    let body = row::json(|| format!("hold on `{}`", hold.fix), &hold)?;
    store.table().put(&Entity::new(&hold_partition(&hold.fix, &hold.resource), ONLY).long("b", &body)).await
}

pub(crate) async fn held(store: &AzureStore, fix: &str, resource: &ResourceUid) -> Result<Option<Hold>, StoreError> {
    let Some((found, _)) = store.table().get(&hold_partition(fix, resource), ONLY, &[]).await? else { return Ok(None) };
    let body = found.get_long("b").unwrap_or_default();
    serde_json::from_str(&body).map(Some).map_err(|e| unreadable(format!("hold of `{fix}` on `{resource}`"), e))
}

fn hold_partition(fix: &str, resource: &ResourceUid) -> String {
    names::hashed("hold", &format!("{fix}\0{}", resource.as_str()))
}

/// Row first, then blob: see [`super::prune`], which takes them away in the other order.
pub(crate) async fn put_body(store: &AzureStore, id: RemediationId, digest: &str, text: &str, at: Millis) -> Result<(), StoreError> {
    let partition = names::body(id, digest);
    let row = Entity::new(&partition, ONLY).text("case", &id.to_string()).text("digest", digest).int("at", at);
    if !is_too_long(text) {
        return store.table().put(&row.long("b", text)).await;
    }
    let blob = format!("bodies/{partition}");
    store.table().put(&row.text("blob", &blob)).await?;
    store.container().put(&blob, text).await
}

pub(crate) async fn body(store: &AzureStore, id: RemediationId, digest: &str) -> Result<Option<String>, StoreError> {
    let found = match store.table().get(&names::body(id, digest), ONLY, &[]).await? {
        None => store.table().get(&names::shared_body(digest), ONLY, &[]).await?,
        found => found,
    };
    let Some((found, _)) = found else { return Ok(None) };
    match found.get("blob") {
        // Its commit did not get as far as the blob.
        Some(blob) => store.container().get(blob).await,
        None => store.text_of(&found).await.map(Some),
    }
}
