//! Secure scores: numbers about a scope, kept beside the findings they sum up.

use serde::{Deserialize, Serialize};

use crate::finding::Millis;

/// How well a scope does, as its source counts it: Defender for Cloud's secure score and its controls
/// (<https://learn.microsoft.com/azure/defender-for-cloud/secure-score-security-controls>).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What is scored: a subscription or a management group, as its ARM scope in lower case.
    pub scope: String,
    /// The score's name at its source: `ascScore`, or a control's key.
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Points reached.
    pub current: f64,
    /// Points that can be reached.
    pub max: f64,
    /// Resources that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<u64>,
    /// Resources that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<u64>,
    /// Resources it does not apply to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<u64>,
    /// When it was computed, milliseconds since the epoch; absent where the source does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Millis>,
}
