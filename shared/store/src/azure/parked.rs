//! What is parked: one partition, a row each; listing reads all of its rows, of which there are few.

use stanch_core::port::{Parked, StoreError};

use super::client::{jitter, unavailable};
use super::entity::Entity;
use super::names::{self, PARKED};
use super::store::AzureStore;
use super::table;

const ATTEMPTS: u64 = 30;

pub(crate) async fn park(store: &AzureStore, parked: Parked) -> Result<(), StoreError> {
    let key = names::hashed("p", &parked.id);
    for attempt in 1..=ATTEMPTS {
        let found = store.table().get(PARKED, &key, &[]).await?;
        let times = found.as_ref().map_or(0, |(row, _)| row.get_int("times").unwrap_or(0));
        let written = Parked { times: u32::try_from(times).unwrap_or(0).saturating_add(1), ..parked.clone() };
        let text = crate::row::json(|| format!("what is parked from `{}`", parked.origin), &written)?;
        let row = Entity::new(PARKED, &key).int("at", written.at).int("times", i64::from(written.times));
        // A name of its own for each writing: who replaces or takes out a row removes only the blob that row named.
        let token = table::token()?;
        let row = store.with_text(row, &text, || format!("parked/{key}-{token}")).await?;
        let done = match &found {
            Some((_, etag)) => store.table().replace(row, etag).await?,
            None => store.table().insert(row).await?,
        };
        if done {
            return forget_blob(store, found.as_ref().map(|(row, _)| row)).await;
        }
        tokio::time::sleep(jitter(5 * attempt)).await;
    }
    Err(unavailable(format!("what came from `{}` could not be parked in {ATTEMPTS} attempts", parked.origin)))
}

pub(crate) async fn parked(store: &AzureStore, limit: usize) -> Result<Vec<Parked>, StoreError> {
    let rows = store.table().all(&format!("PartitionKey eq '{PARKED}'"), &["PartitionKey", "RowKey", "at"]).await?;
    let mut oldest: Vec<(i64, &str)> = rows.iter().map(|row| (row.get_int("at").unwrap_or_default(), row.row())).collect();
    oldest.sort_unstable();
    let mut all = Vec::new();
    for (_, key) in oldest {
        if all.len() == limit {
            break;
        }
        // Taken out meanwhile: not parked any more.
        let Some((found, _)) = store.table().get(PARKED, key, &[]).await? else { continue };
        let text = store.text_of(&found).await?;
        all.push(serde_json::from_str::<Parked>(&text).map_err(|e| found.unreadable(e))?);
    }
    all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(all)
}

pub(crate) async fn unpark(store: &AzureStore, id: &str) -> Result<bool, StoreError> {
    let key = names::hashed("p", id);
    for attempt in 1..=ATTEMPTS {
        let Some((row, etag)) = store.table().get(PARKED, &key, &["blob"]).await? else { return Ok(false) };
        if store.table().delete(PARKED, &key, &etag).await? {
            forget_blob(store, Some(&row)).await?;
            return Ok(true);
        }
        tokio::time::sleep(jitter(5 * attempt)).await;
    }
    Err(unavailable(format!("parked `{id}` could not be taken out in {ATTEMPTS} attempts: it keeps coming again")))
}

async fn forget_blob(store: &AzureStore, row: Option<&Entity>) -> Result<(), StoreError> {
    match row.and_then(|row| row.get("blob")) {
        Some(blob) => store.container().delete(blob, "*").await.map(drop),
        None => Ok(()),
    }
}
