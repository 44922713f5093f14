//! Long-running operations: what a provider answers when a write is accepted now and done later, and how it is asked.
//! Pure; the facts are the vendors' (<https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>).

use serde::{Deserialize, Serialize};

use crate::api::{ApiRequest, ApiResponse};
use crate::finding::Millis;

/// An operation that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The read that tells how far it is.
    pub poll: ApiRequest,
    /// How that read's answer is to be understood.
    pub style: Style,
    /// Not before then, milliseconds since the epoch.
    pub next_at: Millis,
    /// When it began.
    pub since: Millis,
    /// Polls so far.
    #[serde(default)]
    pub polls: u32,
}

/// How a poll's answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Azure: the body's `status`.
    AzureAsyncOperation,
    /// Azure: 202 until it is done, then 200, 201 or 204.
    AzureLocation,
    /// Azure: the resource's own `properties.provisioningState`.
    AzureProvisioningState,
    /// Google: `done` with `error` or `response`, or `status: DONE`.
    GoogleOperation,
}

/// What a poll told.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Still running; ask again then.
    Running(Box<Pending>),
    /// It ended well.
    Done,
    /// It ended badly: the vendor's code and message.
    Failed {
        /// The code.
        code: String,
        /// The message.
        message: String,
    },
}

/// The operation a successful answer to a write started, if it did.
pub fn started(_request: &ApiRequest, _response: &ApiResponse, _now: Millis) -> Option<Pending> {
    None
}

/// What the answer to a poll means.
pub fn progress(_pending: &Pending, _response: &ApiResponse, _now: Millis) -> Progress {
    Progress::Done
}
