//! The control a finding speaks about, by one id for all sources, and how that was told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Source;

/// A canonical control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// `aws.s3.bpa_bucket`: what all sources call by ids of their own.
    pub id: String,
    /// How it was told.
    pub by: MatchedBy,
}

/// How a finding was matched with its control, surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchedBy {
    /// By the source's own id: assessment key, control id, category, check.
    Key,
    /// By the policy definition the source names.
    Policy,
    /// By its title, which a vendor may change.
    Name,
}

impl MatchedBy {
    /// What it is called at the source.
    pub fn word(self, source: Source) -> &'static str {
        match (self, source) {
            (MatchedBy::Key, Source::DefenderAssessment | Source::DefenderSubAssessment | Source::DefenderCompliance) => "assessment key",
            (MatchedBy::Key, Source::SecurityHub | Source::SecurityHubV2) => "control id",
            (MatchedBy::Key, Source::Scc) => "category",
            (MatchedBy::Key, Source::Prowler) => "check",
            (MatchedBy::Key, _) => "id",
            (MatchedBy::Policy, _) => "policy id",
            (MatchedBy::Name, _) => "display name",
        }
    }
}

impl Control {
    /// The control and how a finding of `source` was matched with it: `aws.s3.bpa_bucket (by control id)`.
    pub fn told(&self, source: Source) -> impl fmt::Display + '_ {
        let word = self.by.word(source);
        fmt::from_fn(move |f| write!(f, "{} (by {word})", self.id))
    }
}
