//! Messages to the outside: one row for all that a commit brought, in the remediation's partition, and rows that announce
//! when to look at it.
//!
//! An announcement names a revision of the row. It counts while the row has this revision and this time, and means nothing any
//! more once the row has a later one.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, OutboxItem, StoreError};
use stanch_core::remediation::RemediationId;
use uuid::Uuid;

use super::case::{self, rows_of};
use super::client::{jitter, unavailable};
use super::due::{remove, until};
use super::entity::Entity;
use super::names::{self, OUTBOX};
use super::store::AzureStore;
use super::table::{Op, Outcome};
use super::together::{WIDTH, together};
use crate::row;

const ATTEMPTS: u64 = 30;
/// Rows of one remediation that are announced anew at once; more are when they are looked at again.
const MOVED: usize = 90;
/// Messages whose place is remembered.
const SEEN: usize = 10_000;
/// Characters of the reason why a message was not sent.
const REASON: usize = 300;

/// What became of one message so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mark {
    due: Millis,
    tries: u32,
    sent: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    error: String,
}

/// The messages of one commit of which some are not sent yet.
struct Batch {
    version: u64,
    committed: Millis,
    revision: i64,
    next: Millis,
    items: Vec<OutboxItem>,
    marks: Vec<Mark>,
}

/// The row of new messages, without their text.
pub(crate) fn new_row(partition: &str, version: u64, at: Millis, items: &[OutboxItem]) -> Result<Entity, StoreError> {
    let row = Entity::new(partition, &names::messages(version)).int("at", at).int("count", items.len() as i64);
    marked(row, true, 0, 0, &vec![Mark::default(); items.len()])
}

fn marked(row: Entity, open: bool, revision: i64, next: Millis, marks: &[Mark]) -> Result<Entity, StoreError> {
    let marks = row::json(|| "marks of messages".to_owned(), &marks)?;
    Ok(row.flag("open", open).int("revision", revision).int("next", next).long("m", &marks))
}

pub(crate) async fn due(store: &AzureStore, now: Millis, limit: usize) -> Result<Vec<(RemediationId, OutboxItem)>, StoreError> {
    let (mut found, mut stale, mut next) = (Vec::new(), Vec::new(), None);
    let mut looked = std::collections::HashSet::new();
    'pages: while found.len() < limit {
        let page = store.table().page(&until(OUTBOX, now), &["PartitionKey", "RowKey", "at"], next, 1000).await?;
        let mut order = Vec::new();
        let mut rows: HashMap<RemediationId, Vec<Announced>> = HashMap::new();
        for row in &page.rows {
            let announced = Announced::read(row)?;
            let known = rows.entry(announced.id).or_default();
            if known.is_empty() {
                order.push(announced.id);
            }
            known.push(announced);
        }
        for ids in order.chunks(WIDTH) {
            for (id, batches) in ids.iter().zip(all_open(store, ids).await) {
                let mut batches = batches?;
                let sendable = if looked.insert(*id) { heads(&batches, now) } else { Vec::new() };
                if sendable.is_empty() && !batches.is_empty() {
                    // It waits for something: looked at again when that is due. If somebody else writes it now, then later.
                    rewrite(store, *id, &mut batches, None).await?;
                }
                found.extend(sendable.into_iter().map(|(at, version, place, item)| ((at, *id, version, place), item)));
                stale.extend(outdated(store, *id, rows.remove(id).unwrap_or_default(), &batches, now).await?);
            }
            if found.len() >= limit {
                break 'pages;
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    remove(store, OUTBOX, stale).await;
    found.sort_by_key(|(place, _)| *place);
    found.truncate(limit);
    let found: Vec<_> = found.into_iter().map(|((_, id, ..), item)| (id, item)).collect();
    let mut seen = store.seen();
    if seen.len() > SEEN {
        seen.clear();
    }
    seen.extend(found.iter().map(|(id, item)| (item.id, *id)));
    Ok(found)
}

pub(crate) async fn claim(store: &AzureStore, item: Uuid, now: Millis, until: Millis) -> Result<bool, StoreError> {
    mark(store, item, |mark| {
        let free = mark.due <= now;
        if free {
            mark.due = until;
        }
        free
    })
    .await
}

pub(crate) async fn sent(store: &AzureStore, item: Uuid) -> Result<(), StoreError> {
    let change = |mark: &mut Mark| {
        *mark = Mark { sent: true, error: String::new(), ..mark.clone() };
        true
    };
    mark(store, item, change).await.map(drop)
}

pub(crate) async fn unsent(store: &AzureStore, item: Uuid, at: Millis, reason: &str) -> Result<(), StoreError> {
    let error: String = reason.chars().take(REASON).collect();
    let change = |mark: &mut Mark| {
        *mark = Mark { due: at, tries: mark.tries.saturating_add(1), sent: false, error: error.clone() };
        true
    };
    mark(store, item, change).await.map(drop)
}

/// Changes the mark of an unsent message, unless `change` says no; of one that is sent, or unknown, nothing. `false`: nothing
/// was changed.
async fn mark(store: &AzureStore, item: Uuid, change: impl Fn(&mut Mark) -> bool) -> Result<bool, StoreError> {
    let Some(id) = locate(store, item).await? else { return Ok(false) };
    for attempt in 1..=ATTEMPTS {
        let mut batches = open(store, id).await?;
        let Some((touched, mark)) = batches.iter_mut().enumerate().find_map(|(n, b)| Some((n, b.unsent(item)?))) else { return Ok(false) };
        if !change(mark) {
            return Ok(false);
        }
        if rewrite(store, id, &mut batches, Some(touched)).await? {
            return Ok(true);
        }
        tokio::time::sleep(jitter(5 * attempt)).await;
    }
    Err(unavailable(format!("message {item} could not be marked in {ATTEMPTS} attempts: other workers keep changing its remediation")))
}

/// The remediation an unsent message belongs to: remembered, else searched in all that is unsent.
async fn locate(store: &AzureStore, item: Uuid) -> Result<Option<RemediationId>, StoreError> {
    let seen = store.seen().get(&item).copied();
    if seen.is_some() {
        return Ok(seen);
    }
    let rows = store.table().all(&format!("PartitionKey eq '{OUTBOX}'"), &["PartitionKey", "RowKey", "at"]).await?;
    let mut ids: Vec<RemediationId> = rows.iter().map(|row| Ok(Announced::read(row)?.id)).collect::<Result<_, StoreError>>()?;
    ids.sort_unstable();
    ids.dedup();
    for ids in ids.chunks(WIDTH) {
        for (id, batches) in ids.iter().zip(all_open(store, ids).await) {
            if batches?.iter_mut().any(|batch| batch.unsent(item).is_some()) {
                return Ok(Some(*id));
            }
        }
    }
    Ok(None)
}

/// [`open`] for some remediations at once.
async fn all_open(store: &AzureStore, ids: &[RemediationId]) -> Vec<Result<Vec<Batch>, StoreError>> {
    let mut looks: Vec<BoxFuture<'_, _>> = Vec::new();
    for id in ids {
        looks.push(Box::pin(open(store, *id)));
    }
    together(looks).await
}

/// Messages of a remediation that are not all sent, oldest first.
async fn open(store: &AzureStore, id: RemediationId) -> Result<Vec<Batch>, StoreError> {
    let rows = store.table().all(&format!("{} and open eq true", rows_of(id, "out")), &[]).await?;
    let mut batches = Vec::new();
    for found in &rows {
        let items: Vec<OutboxItem> = serde_json::from_str(&store.text_of(found).await?).map_err(|e| found.unreadable(e))?;
        let marks: Vec<Mark> = serde_json::from_str(&found.get_long("m").unwrap_or_default()).map_err(|e| found.unreadable(e))?;
        let version = found.row().strip_prefix("out-").and_then(|text| text.parse().ok());
        batches.push(Batch {
            version: version.ok_or_else(|| found.unreadable("expected a version"))?,
            committed: found.needed_int("at")?,
            revision: found.needed_int("revision")?,
            next: found.needed_int("next")?,
            items,
            marks,
        });
    }
    Ok(batches)
}

impl Batch {
    fn unsent(&mut self, item: Uuid) -> Option<&mut Mark> {
        let place = self.items.iter().position(|i| i.id == item)?;
        self.marks.get_mut(place).filter(|mark| !mark.sent)
    }

    /// Unsent messages with their places.
    fn waiting(&self) -> impl Iterator<Item = (usize, &OutboxItem, &Mark)> {
        self.items.iter().zip(&self.marks).enumerate().filter(|(_, (_, mark))| !mark.sent).map(|(n, (item, mark))| (n, item, mark))
    }
}

/// The oldest unsent message of each lane that is due: when it was committed, version, place.
fn heads(batches: &[Batch], now: Millis) -> Vec<(Millis, u64, usize, OutboxItem)> {
    let mut lanes = std::collections::HashSet::new();
    let mut due = Vec::new();
    for batch in batches {
        for (place, item, mark) in batch.waiting() {
            if lanes.insert(item.message.lane()) && mark.due <= now {
                due.push((batch.committed, batch.version, place, item.clone()));
            }
        }
    }
    due
}

/// When each batch is worth a look: when the first message of a lane it waits in is due. `None`: all of it is sent.
fn wanted(batches: &[Batch]) -> Vec<Option<Millis>> {
    let mut lanes: BTreeMap<String, Millis> = BTreeMap::new();
    let mut all = Vec::new();
    for batch in batches {
        let due = batch.waiting().map(|(_, item, mark)| *lanes.entry(item.message.lane()).or_insert(mark.due));
        all.push(due.min());
    }
    all
}

/// Writes the batch that was touched, and every other that is to be looked at at another time than announced. `false`: another
/// worker wrote one of them.
async fn rewrite(store: &AzureStore, id: RemediationId, batches: &mut [Batch], touched: Option<usize>) -> Result<bool, StoreError> {
    let (mut ops, partition) = (Vec::new(), names::case(id));
    let changed = |n: usize, batch: &Batch, at: Option<Millis>| touched == Some(n) || at != Some(batch.next);
    let times = wanted(batches);
    let mut moved: Vec<(usize, Option<Millis>)> =
        batches.iter().zip(&times).enumerate().filter(|(n, (batch, at))| changed(*n, batch, **at)).map(|(n, (_, at))| (n, *at)).collect();
    moved.sort_by_key(|(n, _)| touched != Some(*n));
    moved.truncate(MOVED);
    for (n, at) in moved {
        let Some(batch) = batches.get_mut(n) else { continue };
        let Some((row, etag)) = store.table().get(&partition, &names::messages(batch.version), &[]).await? else { return Ok(false) };
        if row.needed_int("revision")? != batch.revision {
            return Ok(false);
        }
        (batch.revision, batch.next) = (batch.revision + 1, at.unwrap_or(batch.next));
        if let Some(at) = at {
            let key = names::outbox(at, batch.committed, id, batch.version, batch.revision);
            store.table().put(&Entity::new(OUTBOX, &key).int("at", batch.committed)).await?;
        }
        ops.push(Op::Replace(marked(row, at.is_some(), batch.revision, batch.next, &batch.marks)?, etag));
    }
    Ok(ops.is_empty() || store.table().transaction(&ops).await? == Outcome::Done)
}

/// A row that says when to look at messages.
struct Announced {
    key: String,
    id: RemediationId,
    version: u64,
    revision: i64,
    due: Millis,
    committed: Millis,
}

impl Announced {
    fn read(row: &Entity) -> Result<Self, StoreError> {
        let key = row.row();
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        let read = || {
            Some(Announced {
                key: key.to_owned(),
                due: number(key.get(..16))?,
                committed: number(key.get(17..33))?,
                id: key.get(34..70).and_then(RemediationId::parse)?,
                version: key.get(71..83)?.parse().ok()?,
                revision: number(key.get(84..))?,
            })
        };
        read().ok_or_else(|| row.unreadable("expected time, time, id, version and revision"))
    }
}

/// Which announcements mean nothing any more.
async fn outdated(
    store: &AzureStore,
    id: RemediationId,
    rows: Vec<Announced>,
    batches: &[Batch],
    now: Millis,
) -> Result<Vec<String>, StoreError> {
    let mut stale = Vec::new();
    let (known, unknown): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| batches.iter().any(|b| b.version == row.version));
    for row in known {
        let passed = |b: &Batch| b.revision > row.revision || (b.revision == row.revision && b.next.max(0) != row.due);
        if batches.iter().any(|b| b.version == row.version && passed(b)) {
            stale.push(row.key);
        }
    }
    if unknown.is_empty() {
        return Ok(stale);
    }
    // First how far the remediation is, then what waits: a commit in between makes a row that is looked for.
    let standing = case::standing(store, id).await?;
    let waiting = open(store, id).await?;
    for row in unknown {
        let reached = standing.as_ref().is_some_and(|found| !found.is_live() || found.version >= row.version);
        let forgotten = now.saturating_sub(row.committed) > super::due::FORGOTTEN;
        if (reached || forgotten) && !waiting.iter().any(|b| b.version == row.version) {
            stale.push(row.key);
        }
    }
    Ok(stale)
}
