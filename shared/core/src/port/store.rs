//! What is kept: remediations, their record, the outbox, caps, holds, the kill switch, what was parked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::chain::{ChainEntry, ChainHead};
use crate::cloud::{Cloud, ResourceUid};
use crate::finding::{Millis, Severity, Source, SourceRef};
use crate::remediation::{Remediation, RemediationId, RemediationKey};
use crate::state::State;

use super::{BoxFuture, Notice, WriteBack};

/// One atomic write of a remediation: its row, its new record entries, its outbox and its next due time, all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The remediation as it shall stand; the store sets `version` to `expected_version + 1`.
    pub remediation: Remediation,
    /// Now, milliseconds since the epoch.
    pub at: Millis,
    /// The version it was loaded with; 0 inserts a new one (and its key, which must be free).
    pub expected_version: u64,
    /// Record entries that follow the stored head.
    pub log: Vec<ChainEntry>,
    /// Messages to the outside, sent at least once, in order per remediation.
    pub outbox: Vec<OutboxItem>,
    /// When the engine shall look at it again, milliseconds since the epoch; `None`: only when something happens.
    pub next_at: Option<Millis>,
    /// Sensitive captured values by reference, sealed before they are stored.
    pub sealed: BTreeMap<String, Value>,
    /// Large bodies by their SHA-256 (hex), kept for this remediation (the raw event).
    pub bodies: Vec<(String, String)>,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxItem {
    /// Unique; doubles as the idempotency key where the other side takes one.
    pub id: Uuid,
    /// What is to be sent.
    pub message: OutboxMessage,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxMessage {
    /// A status for a source.
    WriteBack {
        /// The source.
        source: Source,
        /// Its finding.
        #[serde(deserialize_with = "crate::finding::owned::source_ref")]
        source_ref: SourceRef<'static>,
        /// The status.
        status: WriteBack,
        /// The note.
        note: String,
    },
    /// A notice for a channel.
    Notice {
        /// The channel's name in the settings.
        channel: String,
        /// The notice.
        notice: Notice,
    },
}

impl OutboxMessage {
    /// Where it goes: messages of one remediation to one lane are sent in order, and a lane that is down delays only itself.
    pub fn lane(&self) -> String {
        match self {
            OutboxMessage::WriteBack { source, .. } => format!("source:{source}"),
            OutboxMessage::Notice { channel, .. } => format!("channel:{channel}"),
        }
    }
}

/// What kind of thing was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkedKind {
    /// A delivery to a function; `origin` is the function's name.
    Event,
    /// A message of the work queue.
    Message,
}

/// Something that could not be taken now, kept whole until a person has it tried again or drops it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// SHA-256 (hex) of kind, origin and body, so that parking the same thing again is one entry.
    pub id: String,
    /// What it is.
    pub kind: ParkedKind,
    /// Where it came from: the function's name, or the queue's.
    pub origin: String,
    /// Why it could not be taken.
    pub why: String,
    /// Exactly what came.
    pub body: String,
    /// When it was parked last, milliseconds since the epoch.
    pub at: Millis,
    /// How often it was parked.
    pub times: u32,
}

impl Parked {
    /// Something parked for the first time.
    pub fn new(kind: ParkedKind, origin: &str, why: impl Into<String>, body: impl Into<String>, at: Millis) -> Self {
        let body = body.into();
        let word = match kind {
            ParkedKind::Event => "event",
            ParkedKind::Message => "message",
        };
        let id = crate::digest::sha256_hex(format!("{word}\0{origin}\0{body}").as_bytes());
        Parked { id, kind, origin: origin.to_owned(), why: why.into(), body, at, times: 1 }
    }
}

/// Where the record of one remediation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The remediation.
    pub id: RemediationId,
    /// The end of its chain.
    pub chain: ChainHead,
    /// When it was committed last, milliseconds since the epoch.
    pub updated: Millis,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else committed first: load again and decide again.
    #[error("remediation {id} was changed by another worker")]
    Conflict {
        /// The remediation, or the key that was taken.
        id: String,
    },
    /// The store cannot be used now (locked, full, unreachable).
    #[error("the store cannot be used: {reason}")]
    Unavailable {
        /// Why and, where known, what to do.
        reason: String,
    },
    /// A stored row is not readable by this version.
    #[error("stored {what} cannot be read: {reason}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
}

/// A row of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Id.
    pub id: RemediationId,
    /// State.
    pub state: State,
    /// Severity of the latest finding.
    pub severity: Severity,
    /// Cloud.
    pub cloud: Cloud,
    /// Account.
    pub account: String,
    /// Native resource id.
    pub resource: String,
    /// Finding title.
    pub title: String,
    /// The fix, once planned.
    pub fix: Option<String>,
    /// Last change, milliseconds since the epoch.
    pub updated: Millis,
}

/// Which rows a listing wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this state (kebab-case name).
    pub state: Option<String>,
    /// Only this cloud.
    pub cloud: Option<Cloud>,
    /// At most so many; newest first.
    pub limit: Option<usize>,
}

/// A budget of writes: so many in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// What is counted: `rule:<name>` or `rule:<name>/account:<account>`.
    pub name: String,
    /// Start of the window, milliseconds since the epoch.
    pub window: Millis,
    /// Slots in the window.
    pub limit: u32,
}

/// A person's undo holds a fix off a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Fix name.
    pub fix: String,
    /// Canonical resource id.
    pub resource: ResourceUid,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Until when, milliseconds since the epoch.
    pub until: Millis,
}

/// Keeps remediations, their record, the outbox, caps, holds and the kill switch.
pub trait Store: Send + Sync {
    /// The remediation kept under a key.
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>>;
    /// Loads a remediation.
    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>>;
    /// Writes atomically; gives the new version.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Rows for people.
    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>>;
    /// Remediations whose time has come, oldest first. Rows of a newer format than this program's are left out: a newer
    /// program takes them.
    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>>;
    /// The record of a remediation.
    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>>;
    /// Takes one slot of each cap, all or none, by one atomic conditional increment. Slots are never given back.
    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// How many slots of a cap are taken.
    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>>;
    /// Whether writes are allowed. An error means no.
    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>>;
    /// Turns the kill switch.
    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Opens a sealed value of a remediation.
    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>>;
    /// A large body that a commit of this remediation kept, by its digest.
    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;
    /// Outbox items that are due, oldest first: per remediation and lane only the oldest unsent one.
    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>>;
    /// Takes an item that is due at `now` for one sender until `until`: a worker that crashed, or is slow, gives way to another
    /// then. `false`: it is sent, or somebody else has it. An item that is not claimed is not to be sent: a late sender would put
    /// old news over newer.
    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>>;
    /// Marks an item as sent.
    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Puts an item off until `at`, saying why.
    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Places a hold (replacing one on the same fix and resource).
    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>>;
    /// The hold on a fix and resource, expired or not.
    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>>;
    /// A small named value: sweep cursors, back-off of a throttled API, first intakes. `None` when there is none.
    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;
    /// Replaces a named value if it still is `expected` (`None`: absent) by `new` (`None`: removed), atomically. `false`: it is
    /// another by now, nothing was written.
    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// Parks something. The same again replaces why and when, and counts one more time.
    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>>;
    /// What is parked, oldest first.
    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>>;
    /// Takes something parked out. `false`: it was not there.
    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// Ends of all records in the order of their ids, at most `limit` after `after`.
    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>>;
    /// Removes large bodies, sent messages and used-up cap windows last needed before `before`; gives how many rows went. What a
    /// case that is not at rest refers to stays.
    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// Keeps checkpoints where the identity that applies fixes cannot rewrite them.
pub trait Vault: Send + Sync {
    /// Writes a checkpoint once. `false`: one of that name is there already, nothing was written.
    fn put<'a>(&'a self, name: &'a str, body: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// A checkpoint by name.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;
    /// Names of all checkpoints, in order.
    fn names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;
}
