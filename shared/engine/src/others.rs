//! One finding that names several resources: each has its remediation, and the finding is fixed when all of them are.

use stanch_core::port::{OutboxMessage, StoreError, WriteBack};
use stanch_core::remediation::{RemediationId, RemediationKey};
use stanch_core::state::State;

use crate::{Engine, EngineError};

impl Engine {
    /// On how many of the other resources the fault stands: not found yet, waiting, given up.
    pub(crate) async fn standing(&self, others: &[RemediationKey]) -> Result<usize, EngineError> {
        let mut standing = 0;
        for key in others {
            let Some(id) = self.ports.store.find(key).await? else {
                standing += 1;
                continue;
            };
            match self.ports.store.load(id).await {
                Ok(Some(case)) if matches!(case.state, State::Resolved { .. } | State::StillReported) => {}
                // A row that cannot be read proves nothing, and must not keep the outbox from going on.
                Ok(_) | Err(StoreError::Unreadable { .. }) => standing += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(standing)
    }

    /// What a source is to be told now. That its finding is fixed is true only when no other resource it names has the fault;
    /// whichever of them is done last tells it, because that one finds all others done.
    pub(crate) async fn as_it_stands(&self, id: RemediationId, message: &OutboxMessage) -> Result<Option<OutboxMessage>, EngineError> {
        let OutboxMessage::WriteBack { source, source_ref, status: WriteBack::Fixed, note } = message else { return Ok(None) };
        let case = match self.ports.store.load(id).await {
            Ok(Some(case)) => case,
            // A row that cannot be read must not hold the lane.
            Ok(None) | Err(StoreError::Unreadable { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(reporter) = case.reporters.iter().find(|r| r.source == *source && r.source_ref == *source_ref) else { return Ok(None) };
        let standing = self.standing(&reporter.others).await?;
        if standing == 0 {
            return Ok(None);
        }
        let note = format!("{note}; {standing} of {} resources it names still stand", reporter.others.len() + 1);
        Ok(Some(OutboxMessage::WriteBack {
            source: *source,
            source_ref: source_ref.clone(),
            status: WriteBack::InProgress,
            note: note.chars().take(512).collect(),
        }))
    }
}
