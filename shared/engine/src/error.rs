//! What can go wrong while a remediation moves, and what to do about it.

use stanch_core::diagnostic::chain;
use stanch_core::normalize::NormalizeError;
use stanch_core::plan::PlanError;
use stanch_core::port::{ApiError, FixesError, Kind, SourceError, StoreError};
use stanch_core::remediation::RemediationId;
use stanch_core::state::IllegalMove;
use stanch_core::target::TargetError;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The delivery is no finding we can read.
    #[error(transparent)]
    Normalize(#[from] NormalizeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call got no answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The API has asked to be left alone for a while.
    #[error("`{quota}` asked to be left alone")]
    Throttled {
        /// Cloud, account, region and service.
        quota: String,
        /// Until when, milliseconds since the epoch.
        until: stanch_core::finding::Millis,
    },
    /// No plan could be made.
    #[error("{}", chain(error))]
    Plan {
        /// The planner's error; its causes are part of the text.
        error: PlanError,
    },
    /// The resource cannot be acted on.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A fix cannot be had.
    #[error(transparent)]
    Fixes(#[from] FixesError),
    /// A source cannot be asked.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state does not take what was asked.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// No such remediation.
    #[error("there is no remediation {0}\nhint: `stanch remediations list` shows all")]
    Unknown(RemediationId),
    /// A gate said no.
    #[error("{0}")]
    Refused(String),
    /// The message of a host is not what its protocol says.
    #[error("cannot read the invocation: {0}")]
    Invocation(String),
    /// A fault of ours.
    #[error("failed inside stanch; please report it: {0}")]
    Panicked(String),
}

impl EngineError {
    /// What to do about it.
    pub fn kind(&self) -> Kind {
        match self {
            EngineError::Store(StoreError::Unreadable { .. }) => Kind::Broken,
            EngineError::Store(_)
            | EngineError::Throttled { .. }
            | EngineError::Plan { error: PlanError::Read { status: 408 | 429 | 500..=599, .. } } => Kind::Retry,
            EngineError::Api(e) => e.kind(),
            EngineError::Source(e) if e.retry => Kind::Retry,
            EngineError::Refused(_) | EngineError::Illegal(_) => Kind::Refuse,
            _ => Kind::Broken,
        }
    }

    /// The next step for a person, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Api(ApiError::NotSent { reason, .. }) if reason.contains("credential") || reason.contains("token") => {
                Some("sign in to that cloud first: `az login`, an AWS profile, or `gcloud auth application-default login`".into())
            }
            EngineError::Plan { error: PlanError::Read { status: 401 | 403, fix, .. } } => {
                Some(format!("grant what `stanch fixes show {fix}` lists under permissions to the identity stanch runs as"))
            }
            _ => None,
        }
    }
}

impl From<PlanError> for EngineError {
    fn from(error: PlanError) -> Self {
        EngineError::Plan { error }
    }
}
