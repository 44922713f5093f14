//! The work queue: it only says that a remediation is worth a look. The due time in the store is the truth.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::remediation::RemediationId;

use super::{BoxFuture, StoreError};

/// The format of [`Nudge`] this program writes; it reads this one and the one before.
pub const NUDGE_FORMAT: u32 = if cfg!(feature = "next-format") { 3 } else { 2 };

/// A message of the work queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nudge {
    /// [`NUDGE_FORMAT`]; absent in messages of format 1.
    #[serde(default = "first")]
    pub format: u32,
    /// The remediation that is worth a look.
    pub id: RemediationId,
    /// Its version when the message was sent; once it has a later one the message is stale.
    pub version: u64,
    /// The correlation id of what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Uuid>,
}

fn first() -> u32 {
    1
}

/// A message that was taken from the queue and is hidden from others for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message as it was sent, one line of JSON: a [`Nudge`], unless somebody else wrote it.
    pub body: String,
    /// What [`WorkQueue::complete`] takes.
    pub receipt: String,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
}

/// Carries nudges, at least once, in no order.
pub trait WorkQueue: Send + Sync {
    /// Sends a nudge that is delivered after `delay_ms`, or earlier where the platform cannot wait as long. Losing it is harmless.
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Takes up to `limit` messages; one that is not completed within `hide_ms` is delivered again.
    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>>;
    /// Removes a message that was taken. One that has been delivered to somebody else meanwhile stays.
    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}
