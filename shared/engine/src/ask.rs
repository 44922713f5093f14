//! Asking the source about its own finding, with our own credentials. For containment the live state proves nothing.

use stanch_core::port::SourceAnswer;
use stanch_core::remediation::Remediation;

use crate::{Engine, EngineError};

/// What the sources say about an alert.
pub(crate) enum Confirmation {
    /// One of them holds it, open and about this resource.
    Confirmed,
    /// All of them say otherwise, or can never be asked; why.
    Denied(String),
    /// None of them confirms it, and one did not let itself be asked, for lack of a permission or the like; why.
    Unclear(String),
}

impl Engine {
    /// Asks every source that reported the case. One confirmation suffices; a source that cannot be asked confirms nothing.
    pub(crate) async fn confirm(&self, remediation: &Remediation) -> Result<Confirmation, EngineError> {
        let (mut reasons, mut unclear) = (Vec::new(), false);
        for reporter in &remediation.reporters {
            if !reporter.source.can_be_asked() {
                reasons.push(format!("{} cannot be asked about its findings, so it never contains by itself", reporter.source));
                continue;
            }
            match self.ports.sources.fetch(reporter.source, &reporter.source_ref).await {
                Ok(SourceAnswer::Absent) => reasons.push(format!("{} holds no such finding", reporter.source)),
                Ok(SourceAnswer::Found(finding)) if !finding.is_open() => {
                    reasons.push(format!("{} says the finding is closed ({})", reporter.source, finding.status.caption()));
                }
                Ok(SourceAnswer::Found(finding)) if finding.sample => {
                    reasons.push(format!("{} says the finding is a sample", reporter.source));
                }
                Ok(SourceAnswer::Found(finding)) => {
                    if finding.resources.iter().any(|r| r.identity() == remediation.resource.identity()) {
                        return Ok(Confirmation::Confirmed);
                    }
                    reasons.push(format!("{} says the finding is about another resource", reporter.source));
                }
                Err(error) if error.retry => return Err(error.into()),
                Err(error) => {
                    unclear = true;
                    reasons.push(error.to_string());
                }
            }
        }
        let why = reasons.join("; ");
        Ok(if unclear { Confirmation::Unclear(why) } else { Confirmation::Denied(why) })
    }
}
