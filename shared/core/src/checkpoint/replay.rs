//! All checkpoints of a chain read side by side, in the order of the remediations.

use super::{Leaf, Tree};
use crate::remediation::RemediationId;

/// What the checkpoints say about one remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The remediation.
    pub id: RemediationId,
    /// Its ends, oldest first, each with the place (from 0) of the checkpoint that has it. Never empty.
    pub ends: Vec<(usize, Leaf)>,
}

/// Merges the leaves of successive checkpoints and computes the root of each on the way. Memory grows with the number of
/// checkpoints, not with that of remediations.
#[derive(Debug)]
pub struct Replay<I> {
    streams: Vec<I>,
    next: Vec<Option<Leaf>>,
    trees: Vec<Tree>,
}

impl<I, E> Replay<I>
where
    I: Iterator<Item = Result<Leaf, E>>,
{
    /// Starts on the leaves of each checkpoint, oldest first; those of each ascend.
    pub fn new(mut streams: Vec<I>) -> Result<Self, E> {
        let next = streams.iter_mut().map(|stream| stream.next().transpose()).collect::<Result<Vec<_>, E>>()?;
        let trees = vec![Tree::default(); streams.len()];
        Ok(Replay { streams, next, trees })
    }

    /// The next remediation.
    pub fn advance(&mut self) -> Result<Option<Seen>, E> {
        let Some(id) = self.next.iter().flatten().map(|leaf| leaf.id).min() else { return Ok(None) };
        let mut ends = Vec::new();
        let mut latest = None;
        for (at, ((stream, next), tree)) in self.streams.iter_mut().zip(&mut self.next).zip(&mut self.trees).enumerate() {
            if let Some(leaf) = next.take_if(|leaf| leaf.id == id) {
                *next = stream.next().transpose()?;
                ends.push((at, leaf));
                latest = Some(leaf);
            }
            if let Some(leaf) = &latest {
                tree.push(leaf);
            }
        }
        Ok(Some(Seen { id, ends }))
    }

    /// The trees of all checkpoints, once [`Replay::advance`] has given everything.
    pub fn into_trees(self) -> Vec<Tree> {
        self.trees
    }
}
