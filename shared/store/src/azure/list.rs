//! Listings for people, and the ends of all records.

use stanch_core::chain::ChainHead;
use stanch_core::cloud::Cloud;
use stanch_core::finding::Severity;
use stanch_core::port::{Filter, Head, StoreError, Summary};
use stanch_core::remediation::RemediationId;

use super::entity::Entity;
use super::names::{self, NEWEST};
use super::store::AzureStore;
use crate::row::unreadable;

const SUMMARY: &[&str] = &["PartitionKey", "RowKey", "standing", "severity", "cloud", "account", "resource", "title", "fix", "updated"];

/// Newest first: a page of ids, then all remediations between the first and the last of them by one query.
pub(crate) async fn list(store: &AzureStore, filter: &Filter) -> Result<Vec<Summary>, StoreError> {
    let most = filter.limit.unwrap_or(usize::MAX);
    let mut wanted = format!("RowKey eq '{}' and version ge 1L", names::CASE);
    if let Some(state) = &filter.state {
        wanted.push_str(&format!(" and state eq '{}'", state.replace('\'', "''")));
    }
    if let Some(cloud) = filter.cloud {
        wanted.push_str(&format!(" and cloud eq '{}'", cloud.as_str()));
    }
    let size = if filter.state.is_none() && filter.cloud.is_none() { most } else { usize::MAX };
    let (mut all, mut next) = (Vec::new(), None);
    while all.len() < most {
        let page = store.table().page(&format!("PartitionKey eq '{NEWEST}'"), &["PartitionKey", "RowKey"], next, size).await?;
        let id = |row: &Entity| names::newest_id(row.row()).ok_or_else(|| row.unreadable("expected an id"));
        if let (Some(newest), Some(oldest)) = (page.rows.first(), page.rows.last()) {
            let (newest, oldest) = (names::case(id(newest)?), names::case(id(oldest)?));
            let range = format!("PartitionKey ge '{oldest}' and PartitionKey le '{newest}' and {wanted}");
            let rows = store.table().all(&range, SUMMARY).await?;
            for row in rows.iter().rev().take(most - all.len()) {
                all.push(summary(row)?);
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(all)
}

fn summary(row: &Entity) -> Result<Summary, StoreError> {
    let id = case_id(row)?;
    let text = |name| row.needed(name).map(str::to_owned);
    let state = serde_json::from_str(row.needed("standing")?).map_err(|e| unreadable(format!("state of remediation {id}"), e))?;
    let cloud =
        Cloud::parse(row.needed("cloud")?).ok_or_else(|| unreadable(format!("cloud of remediation {id}"), "expected azure, aws or gcp"))?;
    Ok(Summary {
        id,
        state,
        severity: Severity::from_id(row.needed_int("severity")?),
        cloud,
        account: text("account")?,
        resource: text("resource")?,
        title: text("title")?,
        fix: row.get("fix").map(str::to_owned),
        updated: row.needed_int("updated")?,
    })
}

/// The ends are read from the records themselves, not from what the remediations say: every row of every record is looked at.
pub(crate) async fn heads(store: &AzureStore, after: Option<RemediationId>, limit: usize) -> Result<Vec<Head>, StoreError> {
    // `.` follows `-`.
    let from = after.map_or_else(|| "PartitionKey ge 'r-'".to_owned(), |id| format!("PartitionKey gt '{}'", names::case(id)));
    let rows = format!("(RowKey eq '{}' or (RowKey ge 'log-' and RowKey lt 'log.'))", names::CASE);
    let filter = format!("{from} and PartitionKey lt 'r.' and {rows}");
    let select = ["PartitionKey", "RowKey", "hash", "updated", "version"];
    let (mut heads, mut next): (Vec<Head>, _) = (Vec::new(), None);
    loop {
        let page = store.table().page(&filter, &select, next, 1000).await?;
        for row in &page.rows {
            let id = case_id(row)?;
            if row.row() == names::CASE {
                if heads.len() == limit {
                    return Ok(heads);
                }
                if row.needed_int("version")? > 0 {
                    heads.push(Head { id, chain: ChainHead::default(), updated: row.needed_int("updated")? });
                }
            } else if let Some(head) = heads.last_mut().filter(|head| head.id == id) {
                let length = row.row().strip_prefix("log-").and_then(|text| text.parse().ok());
                let length = length.ok_or_else(|| row.unreadable("expected the number of an entry"))?;
                head.chain = ChainHead { length, hash: row.needed("hash")?.to_owned() };
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(heads);
        }
    }
}

fn case_id(row: &Entity) -> Result<RemediationId, StoreError> {
    names::case_id(row.partition()).ok_or_else(|| row.unreadable("expected the partition of a remediation"))
}
