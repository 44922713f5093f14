//! The traits through which the engine sees clouds, sources, stores and channels. Implementations live in their own crates;
//! `entry` alone names them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::api::{ApiRequest, ApiResponse};
use crate::chain::ChainEntry;
use crate::cloud::{Cloud, Resource, ResourceUid};
use crate::finding::{Finding, Millis, Severity, Source, SourceRef};
use crate::fix::Fix;
use crate::remediation::{Remediation, RemediationId, RemediationKey};
use crate::state::State;

/// A boxed future, so that the ports stay object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the engine does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try again later: throttled, unavailable, conflict.
    Retry,
    /// A policy, guard or approval said no. Not an error to page about.
    Refuse,
    /// A person is needed.
    Broken,
}

/// A call that gave no answer of the provider's API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request was certainly not sent (no credentials, no connection, a refused host).
    #[error("{call} was not sent: {reason}")]
    NotSent {
        /// The call's name.
        call: String,
        /// Why, without secrets.
        reason: String,
        /// Whether trying again can help.
        retry: bool,
    },
    /// The request may have reached the provider, but no answer came: the outcome is unknown.
    #[error("{call} got no answer: {reason}")]
    Unknown {
        /// The call's name.
        call: String,
        /// Why.
        reason: String,
    },
}

impl ApiError {
    /// What to do about it.
    pub fn kind(&self) -> Kind {
        match self {
            ApiError::NotSent { retry: false, .. } => Kind::Broken,
            ApiError::NotSent { .. } | ApiError::Unknown { .. } => Kind::Retry,
        }
    }
}

/// Carries one logical call to a cloud: encodes, signs, sends, decodes. A provider's refusal is an [`ApiResponse`] with a fault.
pub trait CloudApi: Send + Sync {
    /// Sends the call and gives up before `timeout_ms` milliseconds have passed.
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>>;
}

/// An answer of a source about one finding.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceAnswer {
    /// The source holds it; here is how it stands now.
    Found(Box<Finding<'static>>),
    /// The source holds no such finding.
    Absent,
}

/// What is written back to a source about one of its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteBack {
    /// stanch works on it.
    InProgress,
    /// The live state is right again (or the resource is gone).
    Fixed,
    /// The fix was rolled back or failed; the finding stands.
    Reopened,
}

/// A source that could not be asked or told.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} finding `{finding}` at {source_name}: {reason}")]
pub struct SourceError {
    /// `fetch` or `update`.
    pub action: &'static str,
    /// The finding's id.
    pub finding: String,
    /// The source.
    pub source_name: Source,
    /// Why, without secrets.
    pub reason: String,
    /// Whether trying again can help.
    pub retry: bool,
}

/// A product that reports findings and takes their status back.
pub trait FindingSource: Send + Sync {
    /// Fetches a finding with our own credentials: the proof that an event told the truth.
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>>;

    /// Writes a status back. `note` is at most 512 characters. Doing it twice is the same as once.
    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>>;
}

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
    /// Large bodies by their SHA-256 (hex), written first (the raw event).
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

/// A notice to people: facts only; a link opens, it never acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The remediation.
    pub remediation: RemediationId,
    /// What happened, one line.
    pub title: String,
    /// State after it.
    pub state: String,
    /// Cloud, account, resource, finding title, severity, fix, plan hash: name and value.
    pub facts: Vec<(String, String)>,
    /// When, milliseconds since the epoch.
    pub at: Millis,
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
    /// Remediations whose time has come, oldest first.
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
    /// A large body by its digest.
    fn body<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;
    /// Outbox items that are due: per remediation only the oldest unsent one.
    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>>;
    /// Marks an item as sent.
    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Puts an item off until `at`, saying why.
    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Places a hold (replacing one on the same fix and resource).
    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>>;
    /// The hold on a fix and resource, expired or not.
    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>>;
}

/// Tells the engine's worker that a remediation is worth a look. Only a nudge: the due time in the store is the truth.
pub trait WorkQueue: Send + Sync {
    /// Enqueues a look at a remediation at this version, after a delay.
    fn nudge(&self, id: RemediationId, version: u64, delay_ms: u64) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A channel that carries notices.
pub trait Notifier: Send + Sync {
    /// Sends a notice at `now` (milliseconds since the epoch); `key` is the same at every retry.
    fn send<'a>(&'a self, channel: &'a str, key: Uuid, notice: &'a Notice, now: Millis) -> BoxFuture<'a, Result<(), NotifyError>>;
}

/// A notice that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot send to channel `{channel}`: {reason}")]
pub struct NotifyError {
    /// The channel.
    pub channel: String,
    /// Why, without secrets.
    pub reason: String,
    /// Whether trying again can help.
    pub retry: bool,
}

/// The library of fixes, as the engine sees it.
pub trait Fixes: Send + Sync {
    /// A fix by name.
    fn fix(&self, name: &str) -> Result<&Fix, FixesError>;
    /// The fix recommended for a finding on a resource.
    fn recommend(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> Result<Option<&Fix>, FixesError>;
    /// The canonical control a finding speaks about.
    fn control(&self, finding: &Finding<'_>) -> Option<String>;
}

/// A fix that cannot be had, in the library's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FixesError(pub String);
