//! Reading the live state. A finding is a rumour; only this is true.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stanch_core::fix::{Fix, Observed};
use stanch_core::plan::{Late, LateSource, Snapshot};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::target::Target;
use uuid::Uuid;

use crate::{Engine, EngineError};

/// What a read of all a fix needs gave.
pub(crate) enum Live {
    /// The captured state.
    State(Snapshot),
    /// The resource is gone.
    Gone,
}

impl Engine {
    /// Runs a fix's reads on a target, in order.
    pub(crate) async fn observe(
        &self,
        fix: &Fix,
        target: &Target,
        params: &Map<String, Value>,
        correlation: Option<Uuid>,
    ) -> Result<Live, EngineError> {
        let mut snapshot = Snapshot { at: self.now(), ..Snapshot::default() };
        for index in 0..fix.reads() {
            let request = fix.read(index, target, params, &snapshot)?;
            let response = self.read(&request, correlation).await?;
            if let Observed::Gone = fix.take(index, &response, &mut snapshot)? {
                return Ok(Live::Gone);
            }
        }
        Ok(Live::State(snapshot))
    }

    /// The fix and the target of a remediation's run.
    pub(crate) fn subject(&self, remediation: &Remediation, fix: &str) -> Result<(&Fix, Target), EngineError> {
        let fix = self.ports.fixes.fix(fix)?;
        let target = Target::of(&remediation.finding, &remediation.resource)?;
        Ok((fix, target))
    }

    /// Opens the sealed values a change refers to: those of the state before the fix, which were sealed with its plan.
    pub(crate) async fn unseal(&self, id: RemediationId, late: &[Late]) -> Result<BTreeMap<String, Value>, EngineError> {
        let mut opened = BTreeMap::new();
        for part in late {
            if let LateSource::Sealed { reference } = &part.from
                && let Some(value) = self.ports.store.unseal(id, reference).await?
            {
                opened.insert(reference.clone(), value);
            }
        }
        Ok(opened)
    }
}
