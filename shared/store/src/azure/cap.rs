//! Slots of caps. All windows share one partition, so that slots of any caps are taken by one transaction; each cap has a row of
//! its own, so that only workers of the same rule wait for one another.

use std::collections::BTreeMap;

use stanch_core::digest::sha256_hex;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, StoreError};

use super::client::{jitter, unavailable};
use super::entity::Entity;
use super::names::{self, CAP};
use super::store::AzureStore;
use super::table::{Op, Outcome};
use super::together::together;

/// Each refused attempt means that another worker took a slot, so this many workers may collide.
const ATTEMPTS: u64 = 60;

/// A transaction whose answer was lost may have taken slots that are then taken again: they are wasted, the cap holds.
pub(crate) async fn reserve(store: &AzureStore, caps: &[Cap]) -> Result<bool, StoreError> {
    let mut wanted: BTreeMap<(&str, Millis), (i64, i64)> = BTreeMap::new();
    for cap in caps {
        let (slots, limit) = wanted.entry((&cap.name, cap.window)).or_insert((0, i64::MAX));
        (*slots, *limit) = (*slots + 1, (*limit).min(i64::from(cap.limit)));
    }
    if wanted.is_empty() {
        return Ok(true);
    }
    for attempt in 1..=ATTEMPTS {
        let mut reads: Vec<BoxFuture<'_, _>> = Vec::new();
        for (name, window) in wanted.keys() {
            let key = row_key(name, *window);
            reads.push(Box::pin(async move { store.table().get(CAP, &key, &[]).await }));
        }
        let mut ops = Vec::new();
        for (found, ((name, window), (slots, limit))) in together(reads).await.into_iter().zip(&wanted) {
            let found = found?;
            let taken = found.as_ref().map_or(Ok(0), |(row, _)| row.needed_int("taken"))?;
            if taken + slots > *limit {
                return Ok(false);
            }
            let row = Entity::new(CAP, &row_key(name, *window)).text("name", name).int("taken", taken + slots);
            ops.push(found.map_or_else(|| Op::Insert(row.clone()), |(_, etag)| Op::Replace(row.clone(), etag)));
        }
        if store.table().transaction(&ops).await? == Outcome::Done {
            return Ok(true);
        }
        tokio::time::sleep(jitter(5 * attempt.min(20))).await;
    }
    Err(unavailable(format!("no slot of a cap could be taken in {ATTEMPTS} attempts: too many workers want one at once")))
}

pub(crate) async fn reserved(store: &AzureStore, cap: &Cap) -> Result<u32, StoreError> {
    let found = store.table().get(CAP, &row_key(&cap.name, cap.window), &[]).await?;
    let taken = found.map_or(Ok(0), |(row, _)| row.needed_int("taken"))?;
    Ok(u32::try_from(taken).unwrap_or(u32::MAX))
}

fn row_key(name: &str, window: Millis) -> String {
    format!("{}-{}", names::time(window), sha256_hex(name.as_bytes()))
}
