//! Where events wait while the store cannot be used.

use super::StoreError;

/// An event that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spilled {
    /// What [`Spill::done`] takes.
    pub id: String,
    /// The function it came to.
    pub origin: String,
    /// Exactly what came.
    pub body: String,
}

/// Keeps events beside the store, durably, until it can be used again. An event that is kept twice is one.
pub trait Spill: Send + Sync {
    /// Keeps an event. When it returns, the event outlives the process and the machine's power.
    fn keep(&self, origin: &str, body: &str) -> Result<(), StoreError>;
    /// At most so many of those kept, oldest first; they stay.
    fn take(&self, limit: usize) -> Result<Vec<Spilled>, StoreError>;
    /// Forgets one that has been taken in.
    fn done(&self, id: &str) -> Result<(), StoreError>;
}
