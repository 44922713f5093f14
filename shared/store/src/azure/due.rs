//! Due times: rows that announce them, in the order of time.

use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, StoreError};
use stanch_core::remediation::{REMEDIATION_FORMAT, RemediationId};

use super::case::{self, Standing};
use super::entity::Entity;
use super::names::{self, DUE};
use super::store::AzureStore;
use super::table::{Op, Outcome, TRANSACTION};
use super::together::{WIDTH, together};

/// An announcement whose commit has not come after this time never will, milliseconds: its writer gave up long before.
pub(crate) const FORGOTTEN: Millis = 24 * 3_600_000;

/// Reads announcements from the oldest on, and each remediation they name.
pub(crate) async fn due(store: &AzureStore, now: Millis, limit: usize) -> Result<Vec<RemediationId>, StoreError> {
    let filter = until(DUE, now);
    let (mut found, mut stale, mut next) = (Vec::new(), Vec::new(), None);
    'pages: while found.len() < limit {
        let page = store.table().page(&filter, &["PartitionKey", "RowKey", "at"], next, limit.saturating_mul(2).max(100)).await?;
        for rows in page.rows.chunks(WIDTH) {
            let mut reads: Vec<BoxFuture<'_, _>> = Vec::new();
            for row in rows {
                reads.push(Box::pin(async move {
                    let (id, version) = read(row)?;
                    Ok::<_, StoreError>((id, version, case::standing(store, id).await?))
                }));
            }
            for (row, look) in rows.iter().zip(together(reads).await) {
                let (id, version, standing) = look?;
                match meaning(row, id, version, standing.as_ref(), now) {
                    Meaning::Due => found.push(id),
                    Meaning::Stale => stale.push(row.row().to_owned()),
                    Meaning::NotOurs | Meaning::Pending => {}
                }
                if found.len() == limit {
                    break 'pages;
                }
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    remove(store, DUE, stale).await;
    Ok(found)
}

/// Rows of a partition of announcements up to a time.
pub(crate) fn until(partition: &str, now: Millis) -> String {
    format!("PartitionKey eq '{partition}' and RowKey lt '{}'", names::time(now.saturating_add(1)))
}

/// Removes rows that mean nothing any more. Where that fails they are found again, so a failure is nobody's business.
pub(crate) async fn remove(store: &AzureStore, partition: &str, rows: Vec<String>) -> usize {
    let mut gone = 0;
    for rows in rows.chunks(TRANSACTION) {
        let ops: Vec<Op> = rows.iter().map(|row| Op::Delete(partition.to_owned(), row.clone())).collect();
        if store.table().transaction(&ops).await.is_ok_and(|outcome| outcome == Outcome::Done) {
            gone += rows.len();
            continue;
        }
        // Another worker removes the same rows.
        for row in rows {
            gone += usize::from(store.table().delete(partition, row, "*").await.is_ok_and(|was_there| was_there));
        }
    }
    gone
}

enum Meaning {
    Due,
    /// A newer program takes it.
    NotOurs,
    /// Its commit may still come.
    Pending,
    Stale,
}

fn meaning(row: &Entity, id: RemediationId, version: u64, standing: Option<&Standing>, now: Millis) -> Meaning {
    let forgotten = row.get_int("at").is_some_and(|at| now.saturating_sub(at) > FORGOTTEN);
    match standing {
        None if forgotten => Meaning::Stale,
        None => Meaning::Pending,
        Some(found) if !found.is_live() || found.version > version => Meaning::Stale,
        Some(found) if found.version < version => {
            if forgotten {
                Meaning::Stale
            } else {
                Meaning::Pending
            }
        }
        Some(found) if found.next_at.is_none_or(|at| names::due(at, id, version) != row.row()) => Meaning::Stale,
        Some(found) if found.format > i64::from(REMEDIATION_FORMAT) => Meaning::NotOurs,
        Some(_) => Meaning::Due,
    }
}

fn read(row: &Entity) -> Result<(RemediationId, u64), StoreError> {
    let key = row.row();
    let id = key.get(17..53).and_then(RemediationId::parse);
    let version = key.get(54..).and_then(|text| text.parse().ok());
    id.zip(version).ok_or_else(|| row.unreadable("expected time, id and version"))
}
