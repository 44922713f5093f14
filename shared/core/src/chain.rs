//! The record of a remediation: a hash chain of OCSF Remediation Activities that an auditor checks offline.
//!
//! `hash = SHA-256(previous hash ‖ 0x00 ‖ sequence as decimal text ‖ 0x00 ‖ body)`, hex; the first entry follows the hash of
//! the remediation's id. The head and the length stand in the remediation's own row, so that the version check of the store
//! serialises appends. The chain finds edits by who does not know it; truncation, deletion and a tail written anew with valid
//! hashes show only against a [checkpoint](crate::checkpoint) kept elsewhere.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest::{hex, sha256_hex};
use crate::remediation::RemediationId;

/// Where a chain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Entries so far.
    pub length: u64,
    /// Hex hash of the last entry; empty before the first.
    pub hash: String,
}

/// One entry as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEntry {
    /// Position, from 1.
    pub sequence: u64,
    /// Hash of this entry, hex.
    pub hash: String,
    /// The OCSF Remediation Activity, one line of JSON, exactly as hashed.
    pub body: String,
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The entry does not follow from the one before it.
    #[error("entry {sequence} does not match its hash: it, or one before it, was changed")]
    Broken {
        /// Its position.
        sequence: u64,
    },
    /// The positions have a hole or a repeat.
    #[error("entry {found} stands where entry {expected} belongs")]
    Order {
        /// Position that should stand here.
        expected: u64,
        /// Position that does.
        found: u64,
    },
    /// Two entries have one position.
    #[error("there are two entries {sequence}: the record is forked")]
    Repeated {
        /// The position.
        sequence: u64,
    },
    /// The chain ends elsewhere than the remediation says.
    #[error("the record ends with entry {found}, the remediation says {expected}")]
    Head {
        /// Length the remediation says.
        expected: u64,
        /// Length found.
        found: u64,
    },
    /// The chain is as long as the remediation says, and ends with another entry.
    #[error("the last entry, {length}, is not the one the remediation names")]
    End {
        /// Its position.
        length: u64,
    },
}

/// Appends a body to a chain and gives the entry and the new head.
pub fn append(id: RemediationId, head: &ChainHead, body: String) -> (ChainEntry, ChainHead) {
    let sequence = head.length + 1;
    let hash = link(id, &head.hash, sequence, &body);
    (ChainEntry { sequence, hash: hash.clone(), body }, ChainHead { length: sequence, hash })
}

/// Checks that the entries follow one another and end at `head`.
pub fn verify(id: RemediationId, head: &ChainHead, entries: &[ChainEntry]) -> Result<(), ChainError> {
    let mut walk = ChainWalk::new(id);
    entries.iter().try_for_each(|entry| walk.follow(entry))?;
    walk.ends_at(head)
}

/// Follows a record entry by entry, so that one of any length is checked in the memory of one entry.
#[derive(Clone, Debug)]
pub struct ChainWalk {
    id: RemediationId,
    head: ChainHead,
}

impl ChainWalk {
    /// Stands before the first entry.
    pub fn new(id: RemediationId) -> Self {
        ChainWalk { id, head: ChainHead::default() }
    }

    /// Takes the next entry; an error leaves the walk where it was.
    pub fn follow(&mut self, entry: &ChainEntry) -> Result<(), ChainError> {
        let expected = self.head.length + 1;
        if entry.sequence == self.head.length && entry.sequence > 0 {
            return Err(ChainError::Repeated { sequence: entry.sequence });
        }
        if entry.sequence != expected {
            return Err(ChainError::Order { expected, found: entry.sequence });
        }
        if link(self.id, &self.head.hash, expected, &entry.body) != entry.hash {
            return Err(ChainError::Broken { sequence: expected });
        }
        self.head.length = expected;
        self.head.hash.clone_from(&entry.hash);
        Ok(())
    }

    /// Where it stands.
    pub fn head(&self) -> &ChainHead {
        &self.head
    }

    /// Checks that the record ends here.
    pub fn ends_at(&self, head: &ChainHead) -> Result<(), ChainError> {
        match (head.length == self.head.length, head.hash == self.head.hash) {
            (true, true) => Ok(()),
            (true, false) => Err(ChainError::End { length: head.length }),
            (false, _) => Err(ChainError::Head { expected: head.length, found: self.head.length }),
        }
    }
}

fn link(id: RemediationId, previous: &str, sequence: u64, body: &str) -> String {
    let mut hasher = Sha256::new();
    if previous.is_empty() {
        hasher.update(sha256_hex(id.0.as_bytes()).as_bytes());
    } else {
        hasher.update(previous.as_bytes());
    }
    hasher.update([0]);
    hasher.update(sequence.to_string().as_bytes());
    hasher.update([0]);
    hasher.update(body.as_bytes());
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bodies: &[&str]) -> (RemediationId, ChainHead, Vec<ChainEntry>) {
        let id = RemediationId(uuid::Uuid::from_u128(7));
        let (mut head, mut entries) = (ChainHead::default(), Vec::new());
        for body in bodies {
            let (entry, next) = append(id, &head, (*body).to_owned());
            entries.push(entry);
            head = next;
        }
        (id, head, entries)
    }

    #[test]
    fn a_changed_byte_a_hole_a_swap_and_a_cut_are_found() {
        let (id, head, entries) = chain(&["a", "b", "c"]);
        assert_eq!(verify(id, &head, &entries), Ok(()));

        let mut changed = entries.clone();
        changed[1].body = "B".into();
        assert_eq!(verify(id, &head, &changed), Err(ChainError::Broken { sequence: 2 }));

        let hole = [entries[0].clone(), entries[2].clone()];
        assert_eq!(verify(id, &head, &hole), Err(ChainError::Order { expected: 2, found: 3 }));

        assert_eq!(verify(id, &head, &entries[..2]), Err(ChainError::Head { expected: 3, found: 2 }));
        let twice = [entries[0].clone(), entries[0].clone()];
        assert_eq!(verify(id, &head, &twice), Err(ChainError::Repeated { sequence: 1 }));
        let (_, rewritten, _) = chain(&["a", "b", "C"]);
        assert_eq!(verify(id, &rewritten, &entries), Err(ChainError::End { length: 3 }));
        let other = RemediationId(uuid::Uuid::from_u128(8));
        assert_eq!(verify(other, &head, &entries), Err(ChainError::Broken { sequence: 1 }));
    }
}
