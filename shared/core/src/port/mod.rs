//! The traits through which the engine sees clouds, sources, stores and channels. Implementations live in their own crates;
//! `entry` alone names them.

mod queue;
mod source;
mod spill;
mod store;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use queue::{NUDGE_FORMAT, Nudge, Received, WorkQueue};
pub use source::{FindingSource, Having, Listed, Scope, SourceAnswer, SourceError, Unread, WriteBack};
pub use spill::{Spill, Spilled};
pub use store::{Cap, Commit, Filter, Head, Hold, OutboxItem, OutboxMessage, Parked, ParkedKind, Store, StoreError, Summary, Vault};

use crate::api::{ApiRequest, ApiResponse};
use crate::cloud::Resource;
use crate::control::Control;
use crate::finding::{Finding, Millis};
use crate::fix::Fix;
use crate::remediation::RemediationId;

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
    /// The canonical control a finding speaks about, and how that was told.
    fn control(&self, finding: &Finding<'_>) -> Option<Control>;
}

/// A fix that cannot be had, in the library's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FixesError(pub String);

/// Counts what happens, under bounded names and labels (`stanch_engine::telemetry` lists them).
pub trait Meter: Send + Sync {
    /// Adds to a counter.
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64);
    /// Records one measurement (seconds).
    fn time(&self, name: &'static str, labels: &[(&'static str, &str)], seconds: f64);
}

/// Counts nothing: for previews and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMeter;

impl Meter for NoMeter {
    fn count(&self, _: &'static str, _: &[(&'static str, &str)], _: u64) {}
    fn time(&self, _: &'static str, _: &[(&'static str, &str)], _: f64) {}
}
