//! The one write that moves a remediation. The module's documentation says in what order, and why that is safe.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanch_core::chain::{self, ChainHead};
use stanch_core::digest::sha256_hex;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Commit, StoreError};
use stanch_core::remediation::RemediationId;
use stanch_core::state::State;

use super::case::{self, Standing};
use super::client::{jitter, unavailable};
use super::entity::Entity;
use super::store::AzureStore;
use super::table::{self, Op, Outcome};
use super::together::together;
use super::{kept, names, outbox};
use crate::row::{self, unreadable};

/// How long a worker may take between claiming a key and the commit before another takes the key over, milliseconds. Only
/// liveness hangs on it: who was too slow is refused.
const CLAIM: u64 = 3_000;
/// How often, and in what steps, a worker waits for the one who claimed its key.
const WAITS: u32 = 12;
const WAIT: Duration = Duration::from_millis(40);
/// A commit that took longer than this before its transaction is given up, milliseconds. What it announced may be removed after
/// [`super::due::FORGOTTEN`], which is much longer.
const DEADLINE: Millis = 5 * 60_000;
/// UTF-16 units of a text that a listing shows.
const SHOWN: usize = 8_000;

/// Writes everything a commit holds, all or nothing.
pub(crate) async fn commit(store: &AzureStore, mut commit: Commit) -> Result<u64, StoreError> {
    let started = (store.client.clock)();
    let id = commit.remediation.id;
    commit.remediation.version = commit.expected_version + 1;
    let before = if commit.expected_version == 0 {
        follows(&commit, ChainHead::default())?;
        claim(store, &commit).await?;
        None
    } else {
        Some(check(store, &commit).await?)
    };
    let token = table::token()?;
    let ops = rows(store, &commit, before.as_ref(), &token).await?;
    announce(store, &commit).await?;
    if (store.client.clock)() - started > DEADLINE {
        return Err(unavailable(format!("writing remediation {id} took too long and was given up; nothing was changed")));
    }
    let outcome = store.table().transaction(&ops).await;
    if matches!(outcome, Ok(Outcome::Done)) {
        return Ok(commit.remediation.version);
    }
    // Refused, or nobody knows: the row itself says whose commit it holds.
    let found = case::standing(store, id).await?;
    if found.as_ref().is_some_and(|found| found.token == token) {
        return Ok(commit.remediation.version);
    }
    outcome?;
    Err(refused(&commit, found.as_ref()))
}

/// Why a transaction was refused.
fn refused(commit: &Commit, found: Option<&Standing>) -> StoreError {
    let id = commit.remediation.id;
    match found {
        // Nobody moved it: a row was there that no commit of ours has put there.
        None => tampered(id, "the remediation is gone, but its record is not"),
        Some(found) if found.is_live() && found.version == commit.expected_version => {
            tampered(id, "it goes on after the end that the remediation names")
        }
        Some(found) if found.is_live() => conflict(id),
        // The key was taken over.
        Some(_) => StoreError::Conflict { id: commit.remediation.key.as_str().to_owned() },
    }
}

/// The remediation as it stands is the one this commit was made from, and the record ends where it says.
async fn check(store: &AzureStore, commit: &Commit) -> Result<Standing, StoreError> {
    let id = commit.remediation.id;
    let length = commit.remediation.chain.length.saturating_sub(commit.log.len() as u64);
    let (found, end) = tokio::join!(case::standing(store, id), case::end_of_record(store, id, length));
    let (found, end) = (found?, end?);
    let key = sha256_hex(commit.remediation.key.as_str().as_bytes());
    let Some(found) = found.filter(|found| found.version == commit.expected_version && found.key == key) else {
        return Err(conflict(id));
    };
    // A record that was tampered with takes no entry ever; to call that a conflict would mean to try for ever.
    if found.head.length == length && found.head != end {
        return Err(tampered(id, &format!("entry {length}, the end that the remediation names, is missing or another")));
    }
    follows(commit, found.head.clone())?;
    Ok(found)
}

/// The entries follow `head` one by one, and end where the remediation says.
fn follows(commit: &Commit, mut head: ChainHead) -> Result<(), StoreError> {
    let id = commit.remediation.id;
    for entry in &commit.log {
        let (follows, next) = chain::append(id, &head, entry.body.clone());
        if follows != *entry {
            return Err(conflict(id));
        }
        head = next;
    }
    if head == commit.remediation.chain { Ok(()) } else { Err(conflict(id)) }
}

/// Makes sure that the key leads to this remediation's id.
async fn claim(store: &AzureStore, commit: &Commit) -> Result<(), StoreError> {
    let case = &commit.remediation;
    let partition = names::hashed("key", case.key.as_str());
    let taken = || StoreError::Conflict { id: case.key.as_str().to_owned() };
    let mine = |now| Entity::new(&partition, names::ONLY).text("id", &case.id.to_string()).int("claimed", now);
    for _ in 0..WAITS {
        let now = (store.client.clock)();
        if store.table().insert(mine(now)).await? {
            return Ok(());
        }
        let Some((row, etag)) = store.table().get(&partition, names::ONLY, &[]).await? else { continue };
        let owner = row::id(row.needed("id")?)?;
        if owner == case.id {
            return Ok(());
        }
        match case::standing(store, owner).await? {
            Some(owner) if owner.is_live() => return Err(taken()),
            None if now.abs_diff(row.needed_int("claimed")?) < CLAIM => {
                tokio::time::sleep(WAIT + jitter(10)).await;
                continue;
            }
            // From here on the owner's insert is refused, however late it comes. If it came just now, this one is.
            None if !store.table().insert(Entity::new(&names::case(owner), names::CASE).int("version", 0)).await? => continue,
            _ => {}
        }
        return if store.table().replace(mine(now), &etag).await? { Ok(()) } else { Err(taken()) };
    }
    Err(taken())
}

/// The rows of the transaction; texts that are too long for them are in blobs by then.
async fn rows(store: &AzureStore, commit: &Commit, before: Option<&Standing>, token: &str) -> Result<Vec<Op>, StoreError> {
    let case = &commit.remediation;
    let (id, partition) = (case.id, names::case(case.id));
    let put = async |entity: Entity, text: String| {
        store.with_text(entity, &text, || format!("{partition}/{}", sha256_hex(text.as_bytes()))).await
    };
    let body = put(case_row(commit, before, token)?, row::json(|| format!("remediation {id}"), case)?).await?;
    let mut ops = vec![match before {
        Some(before) => Op::Replace(body, before.etag.clone()),
        None => Op::Insert(body),
    }];
    if let Some(last) = commit.log.last() {
        let entity = Entity::new(&partition, &names::log(last.sequence)).text("hash", &last.hash);
        ops.push(Op::Insert(put(entity, row::json(|| format!("record of remediation {id}"), &commit.log)?).await?));
    }
    if !commit.outbox.is_empty() {
        let entity = outbox::new_row(&partition, case.version, commit.at, &commit.outbox)?;
        ops.push(Op::Insert(put(entity, row::json(|| format!("messages of remediation {id}"), &commit.outbox)?).await?));
    }
    if !commit.sealed.is_empty() {
        let entity = Entity::new(&partition, &names::sealed(case.version));
        ops.push(Op::Insert(put(entity, sealed(store, commit)?).await?));
    }
    Ok(ops)
}

fn case_row(commit: &Commit, before: Option<&Standing>, token: &str) -> Result<Entity, StoreError> {
    let case = &commit.remediation;
    let standing = row::json(|| format!("state of remediation {}", case.id), &case.state)?;
    let updated = before.map_or(commit.at, |before| before.updated.max(commit.at));
    let mut entity = Entity::new(&names::case(case.id), names::CASE)
        .text("w", token)
        .int("version", case.version as i64)
        .text("key", &sha256_hex(case.key.as_str().as_bytes()))
        .int("format", i64::from(case.format))
        .int("updated", updated)
        .int("length", case.chain.length as i64)
        .text("hash", &case.chain.hash)
        .text("raw", &case.raw_digest)
        .flag("rest", is_at_rest(case.state))
        .text("state", case.state.name())
        .text("standing", &standing)
        .text("cloud", case.resource.cloud.as_str())
        .text("account", shown(case.account().unwrap_or_default()))
        .int("severity", i64::from(case.finding.severity.id()))
        .text("resource", shown(&case.resource.uid))
        .text("title", shown(&case.finding.title));
    if let Some(next_at) = commit.next_at {
        entity = entity.int("next", next_at);
    }
    if let Some(run) = &case.fix {
        entity = entity.text("fix", shown(&run.plan.fix));
    }
    Ok(entity)
}

fn sealed(store: &AzureStore, commit: &Commit) -> Result<String, StoreError> {
    let id = commit.remediation.id;
    let mut values = BTreeMap::new();
    for (reference, value) in &commit.sealed {
        let plain = row::json(|| format!("sealed value `{reference}` of {id}"), value)?;
        let sealed = store.seal.seal(id, reference, plain.as_bytes(), false)?;
        values.insert(reference, STANDARD.encode(sealed.to_bytes()));
    }
    row::json(|| format!("sealed values of {id}"), &values)
}

/// What must be there before the commit, in other partitions and in blobs; without the commit none of it counts.
async fn announce(store: &AzureStore, commit: &Commit) -> Result<(), StoreError> {
    let case = &commit.remediation;
    let mut rows = Vec::new();
    if commit.expected_version == 0 {
        rows.push(Entity::new(names::NEWEST, &names::newest(case.id)));
    }
    if let Some(at) = commit.next_at {
        rows.push(Entity::new(names::DUE, &names::due(at, case.id, case.version)).int("at", commit.at));
    }
    if !commit.outbox.is_empty() {
        rows.push(Entity::new(names::OUTBOX, &names::outbox(0, commit.at, case.id, case.version, 0)).int("at", commit.at));
    }
    let mut writes: Vec<BoxFuture<'_, Result<(), StoreError>>> = Vec::new();
    for row in &rows {
        writes.push(Box::pin(async move { store.table().put(row).await }));
    }
    for (digest, text) in &commit.bodies {
        writes.push(Box::pin(kept::put_body(store, case.id, digest, text, commit.at)));
    }
    together(writes).await.into_iter().collect()
}

/// Whether nothing more is going to happen by itself, and nobody is waited for.
fn is_at_rest(state: State) -> bool {
    matches!(state, State::RolledBack | State::Resolved { .. } | State::Exempt | State::Rejected | State::Refused | State::Failed)
}

/// The beginning of a text, as much of it as a listing shows.
fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN / 2).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn conflict(id: RemediationId) -> StoreError {
    StoreError::Conflict { id: id.to_string() }
}

fn tampered(id: RemediationId, how: &str) -> StoreError {
    unreadable(format!("record of remediation {id}"), how)
}
