//! Makes checkpoints of all records: reads their ends page by page and writes what is new since the last one.

use std::collections::BTreeMap;

use stanch_core::checkpoint::{self, CHECKPOINT_FORMAT, Header, Leaf, Tree};
use stanch_core::finding::Millis;
use stanch_core::port::{Store, StoreError, Vault};
use stanch_core::remediation::RemediationId;

use crate::{Engine, EngineError};

/// How long after one checkpoint the next is due, milliseconds: a day.
pub const EVERY_MS: Millis = 86_400_000;
/// How soon a checkpoint that could not be made is tried again, milliseconds.
const AGAIN_MS: Millis = 600_000;
/// The named value of the store that says when the next is due, milliseconds since the epoch.
const DUE: &str = "checkpoint";
/// Ends read at once.
const PAGE: usize = 1000;
/// How often another worker may be quicker before this one gives up.
const RACES: usize = 3;

/// What became of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// Its name and header; `None` when nothing was new since the last one, which then stands for now as well.
    pub written: Option<(String, Header)>,
    /// Ends that are new in it.
    pub changed: u64,
    /// Remediations that an earlier checkpoint knows and whose record is gone, shorter or unreadable now. Their earlier ends
    /// stay in force.
    pub lost: Vec<RemediationId>,
}

/// What the checkpoints so far say.
#[derive(Default)]
struct Past {
    number: u64,
    digest: Option<String>,
    leaves: BTreeMap<RemediationId, Leaf>,
}

/// Makes a checkpoint of what `store` holds at `now` and puts it into `vault`.
pub async fn checkpoint(store: &dyn Store, vault: &dyn Vault, now: Millis) -> Result<Checkpointed, StoreError> {
    for _ in 0..RACES {
        let past = past(vault).await?;
        let (tree, changed, lost) = compare(store, &past).await?;
        if changed.is_empty() {
            return Ok(Checkpointed { written: None, changed: 0, lost });
        }
        let header = Header {
            format: CHECKPOINT_FORMAT,
            number: past.number + 1,
            at: now,
            count: tree.count(),
            entries: tree.entries(),
            root: tree.root(),
            previous: past.digest,
        };
        let name = checkpoint::name(header.number);
        let text = checkpoint::write(&header, &changed).map_err(|e| unreadable(&name, e))?;
        if vault.put(&name, &text).await? {
            return Ok(Checkpointed { written: Some((name, header)), changed: changed.len() as u64, lost });
        }
    }
    Err(StoreError::Unavailable { reason: format!("other workers wrote {RACES} checkpoints while this one was made") })
}

/// Reads all checkpoints there are. The oldest may be gone, by a retention rule; one in between may not.
async fn past(vault: &dyn Vault) -> Result<Past, StoreError> {
    let mut past = Past::default();
    for name in vault.names().await? {
        let text = vault.get(&name).await?.ok_or_else(|| unreadable(&name, "it is listed, but not there"))?;
        let (header, leaves) = checkpoint::read(&text).map_err(|e| unreadable(&name, e))?;
        let follows = past.digest.is_none() || (header.number == past.number + 1 && header.previous == past.digest);
        if !follows || checkpoint::number(&name) != Some(header.number) {
            let reason = format!("it does not follow checkpoint {}; `stanch audit verify --checkpoint` tells more", past.number);
            return Err(unreadable(&name, reason));
        }
        past.number = header.number;
        past.digest = Some(checkpoint::digest(&text));
        past.leaves.extend(leaves.into_iter().map(|leaf| (leaf.id, leaf)));
    }
    Ok(past)
}

/// Goes through all ends, in the order of ids, beside those that are known. A known end is never taken back: what was cut or
/// deleted in the store stays claimed, so that it is found.
async fn compare(store: &dyn Store, past: &Past) -> Result<(Tree, Vec<Leaf>, Vec<RemediationId>), StoreError> {
    let (mut tree, mut changed, mut lost) = (Tree::default(), Vec::new(), Vec::new());
    let mut known = past.leaves.values().peekable();
    let mut after = None;
    loop {
        let page = store.heads(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for head in &page {
            while let Some(gone) = known.next_if(|leaf| leaf.id < head.id) {
                tree.push(gone);
                lost.push(gone.id);
            }
            let before = known.next_if(|leaf| leaf.id == head.id);
            match (Leaf::of(head.id, &head.chain), before) {
                (Some(now), None) => {
                    tree.push(&now);
                    changed.push(now);
                }
                (Some(now), Some(before)) if now.length > before.length => {
                    tree.push(&now);
                    changed.push(now);
                }
                (now, Some(before)) => {
                    tree.push(before);
                    lost.extend((now != Some(*before)).then_some(head.id));
                }
                (None, None) => lost.push(head.id),
            }
        }
    }
    for gone in known {
        tree.push(gone);
        lost.push(gone.id);
    }
    Ok((tree, changed, lost))
}

impl Engine {
    /// Makes a checkpoint now.
    pub async fn checkpoint(&self, vault: &dyn Vault) -> Result<Checkpointed, EngineError> {
        let done = checkpoint(&*self.ports.store, vault, self.now()).await?;
        for id in &done.lost {
            tracing::error!(remediation = %id, "record is shorter than a checkpoint says; run `stanch audit verify --checkpoint`");
        }
        if let Some((name, header)) = &done.written {
            tracing::info!(checkpoint = %name, remediations = header.count, changed = done.changed, root = %header.root, "checkpoint written");
        }
        Ok(done)
    }

    /// Makes a checkpoint when one is due and there is a vault. Of several workers one makes it.
    pub async fn checkpoint_if_due(&self) -> Result<Option<Checkpointed>, EngineError> {
        let Some(vault) = &self.ports.vault else { return Ok(None) };
        let (store, now) = (&self.ports.store, self.now());
        let kept = store.value(DUE).await?;
        // A value that is no time is as good as none.
        if kept.as_deref().and_then(|due| due.parse::<Millis>().ok()).is_some_and(|due| due > now) {
            return Ok(None);
        }
        let claim = (now + AGAIN_MS).to_string();
        if !store.set_value(DUE, kept.as_deref(), Some(&claim)).await? {
            return Ok(None);
        }
        let done = self.checkpoint(&**vault).await?;
        // Somebody who has claimed it since has set a time of their own.
        store.set_value(DUE, Some(&claim), Some(&(now + EVERY_MS).to_string())).await?;
        Ok(Some(done))
    }
}

fn unreadable(name: &str, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what: format!("checkpoint `{name}`"), reason: reason.to_string() }
}
