//! Checkpoints: what the ends of all records were at a time, in a file that is kept where nobody who can write the store can
//! write it.
//!
//! A checkpoint is JSON Lines. The first line is the [`Header`]; one [`Leaf`] follows for each remediation that is new or longer
//! than in the checkpoint before. The header names the SHA-256 of the whole text of the checkpoint before it, so the last file
//! vouches for all, and together they give every remediation's end at the time of each. The root is the Merkle tree hash of
//! RFC 9162, section 2.1.1 (that of RFC 6962) over all ends in the order of their ids: who publishes a header alone has
//! committed to everything.
//!
//! The ends are read page by page while workers commit, so a checkpoint is not one moment. That takes nothing from the proof: an
//! end is only ever claimed to have been the end of that record at some time between `at` and the writing of the file, and
//! records only grow. What follows is about prefixes: entry number `length` of the record has that hash, now and for ever. A
//! record that was cut, begun anew or written over with valid hashes has no such entry. Everything committed before `at` is
//! covered.

mod replay;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use replay::{Replay, Seen};

use crate::chain::ChainHead;
use crate::digest::{hex, sha256_hex, unhex};
use crate::finding::Millis;
use crate::remediation::RemediationId;

/// The format of a checkpoint.
pub const CHECKPOINT_FORMAT: u32 = 1;

/// The first line of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`CHECKPOINT_FORMAT`].
    pub format: u32,
    /// Its number, from 1.
    pub number: u64,
    /// When its making began, milliseconds since the epoch: all that was committed before is in it.
    pub at: Millis,
    /// Remediations there are.
    pub count: u64,
    /// Record entries they have.
    pub entries: u64,
    /// Merkle root over the ends of all their records, hex.
    pub root: String,
    /// SHA-256 (hex) of the whole text of the checkpoint before it; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// The end of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The remediation.
    pub id: RemediationId,
    /// Entries of its record.
    pub length: u64,
    /// Hash of the last entry; zeros when there is none.
    pub hash: Hash,
}

/// A SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash([u8; 32]);

/// What is wrong with a checkpoint's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A line is not what it must be.
    #[error("line {line} is no {what}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What it must be.
        what: &'static str,
        /// Why it is none.
        reason: String,
    },
    /// The file ends in the middle of a line, or is empty.
    #[error("it is cut off: it does not end with a line feed")]
    Cut,
    /// A format of a newer program.
    #[error("it has format {found}, this program knows formats up to {CHECKPOINT_FORMAT}; use a newer stanch")]
    Format {
        /// Its format.
        found: u32,
    },
    /// The leaves do not ascend.
    #[error("line {line} is out of order: the ids of remediations ascend")]
    Order {
        /// Its number, from 1.
        line: u64,
    },
}

/// The name a checkpoint is kept under.
pub fn name(number: u64) -> String {
    format!("checkpoint-{number:08}.jsonl")
}

/// The number in the name of a checkpoint; `None` when it is not the name of one.
pub fn number(file: &str) -> Option<u64> {
    let number = file.strip_prefix("checkpoint-")?.strip_suffix(".jsonl")?.parse().ok()?;
    (name(number) == file && number > 0).then_some(number)
}

/// A checkpoint's text. `leaves` ascend by id.
pub fn write<'l>(header: &Header, leaves: impl IntoIterator<Item = &'l Leaf>) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(header)?;
    text.push('\n');
    for leaf in leaves {
        text.push_str(&serde_json::to_string(leaf)?);
        text.push('\n');
    }
    Ok(text)
}

/// What the header of the next checkpoint calls `previous`.
pub fn digest(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// Reads a whole checkpoint.
pub fn read(text: &str) -> Result<(Header, Vec<Leaf>), CheckpointError> {
    let text = text.strip_suffix('\n').ok_or(CheckpointError::Cut)?;
    let mut lines = text.split('\n');
    let mut reader = Reader::default();
    let header = reader.header(lines.next().unwrap_or_default())?;
    let leaves = lines.map(|line| reader.leaf(line)).collect::<Result<_, _>>()?;
    Ok((header, leaves))
}

/// Reads a checkpoint line by line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    line: u64,
    last: Option<RemediationId>,
}

impl Reader {
    /// Reads the first line.
    pub fn header(&mut self, line: &str) -> Result<Header, CheckpointError> {
        self.line = 1;
        let header: Header = serde_json::from_str(line).map_err(|e| self.wrong("header of a checkpoint", &e))?;
        if header.format > CHECKPOINT_FORMAT { Err(CheckpointError::Format { found: header.format }) } else { Ok(header) }
    }

    /// Reads the next line.
    pub fn leaf(&mut self, line: &str) -> Result<Leaf, CheckpointError> {
        self.line += 1;
        let leaf: Leaf = serde_json::from_str(line).map_err(|e| self.wrong("end of a record", &e))?;
        if self.last.replace(leaf.id).is_some_and(|last| last >= leaf.id) {
            return Err(CheckpointError::Order { line: self.line });
        }
        Ok(leaf)
    }

    fn wrong(self, what: &'static str, error: &serde_json::Error) -> CheckpointError {
        CheckpointError::Line { line: self.line, what, reason: error.to_string() }
    }
}

impl Leaf {
    /// The end of a record; `None` when what stands for its hash is none.
    pub fn of(id: RemediationId, head: &ChainHead) -> Option<Self> {
        let hash = if head.length == 0 && head.hash.is_empty() { Hash::default() } else { Hash(unhex(&head.hash)?) };
        Some(Leaf { id, length: head.length, hash })
    }

    /// Fields of fixed length, so that no two leaves give the same bytes.
    fn hashed(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update([0]);
        hasher.update(self.id.0.as_bytes());
        hasher.update(self.length.to_be_bytes());
        hasher.update(self.hash.0);
        hasher.finalize().into()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).map(Hash).ok_or_else(|| serde::de::Error::custom("expected 64 lower-case hexadecimal digits"))
    }
}

/// The Merkle tree over leaves that come in the order of their ids, in the memory of its height.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Roots of full subtrees, largest first, with their heights.
    full: Vec<(u32, [u8; 32])>,
    count: u64,
    entries: u64,
}

impl Tree {
    /// Takes the next leaf.
    pub fn push(&mut self, leaf: &Leaf) {
        self.count += 1;
        self.entries = self.entries.saturating_add(leaf.length);
        let (mut height, mut hash) = (0, leaf.hashed());
        while let Some((_, left)) = self.full.pop_if(|(other, _)| *other == height) {
            hash = node(&left, &hash);
            height += 1;
        }
        self.full.push((height, hash));
    }

    /// The root, hex.
    pub fn root(&self) -> String {
        let mut right_to_left = self.full.iter().rev().map(|(_, hash)| *hash);
        let last = right_to_left.next().unwrap_or_else(|| Sha256::digest([]).into());
        hex(&right_to_left.fold(last, |right, left| node(&left, &right)))
    }

    /// Leaves so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Entries of all leaves so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
