//! Products that report findings: asked, listed, and told.

use crate::cloud::Cloud;
use crate::finding::{Finding, Millis, Source, SourceRef};
use crate::normalize::Normalized;

use super::BoxFuture;

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
    /// `fetch`, `update` or `list`.
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

/// What a sweep looks at: all findings of one source in one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Scope {
    /// The source.
    pub source: Source,
    /// The cloud whose API lists them.
    pub cloud: Cloud,
    /// Subscription, AWS account, or Google organization, folder or project (`organizations/123`).
    pub account: String,
    /// AWS: the region asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only findings that have a value in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub having: Option<Having>,
}

/// What findings have in common, by an attribute that their source can filter by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Having {
    /// The source's name for the attribute: `ResourceId`.
    pub attribute: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.cloud, self.account)?;
        self.region.iter().try_for_each(|region| write!(f, "/{region}"))?;
        self.having.iter().try_for_each(|having| write!(f, "?{}={}", having.attribute, having.value))
    }
}

/// A listed row that is no finding stanch can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The row as the source gave it.
    pub body: String,
    /// Why.
    pub why: String,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// The findings, each with its own raw bytes.
    pub findings: Vec<Finding<'static>>,
    /// Rows that could not be read.
    pub unread: Vec<Unread>,
    /// Asks for the next page; `None` after the last.
    pub next: Option<String>,
}

impl Listed {
    /// Takes one row in as the normaliser read it: its findings, or why it cannot be read. What is by its nature no finding is
    /// left out.
    pub fn take(&mut self, row: &str, read: Normalized<'_>) {
        let (findings, faults) = match read {
            Ok(reading) => (reading.findings, reading.faults),
            Err(error) => (Vec::new(), vec![error]),
        };
        self.findings.extend(findings.into_iter().map(Finding::into_owned));
        self.unread.extend(faults.into_iter().map(|error| Unread { body: row.to_owned(), why: error.to_string() }));
    }
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

    /// Lists the findings of a scope that are open or were changed since `since` (milliseconds since the epoch), a page at a
    /// time. `page` is the last page's `next`. A source without a list answers an error that is not worth trying again.
    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>>;
}
