//! One door for every call to a cloud: it carries the correlation id, and it keeps away from an API that has asked for patience.
//!
//! A provider counts calls by account and API, whoever sends them, so the patience it asks for is kept in the store and holds
//! for every worker. A worker that cannot read it does not call.

use serde::{Deserialize, Serialize};
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::finding::Millis;
use uuid::Uuid;

use crate::{CALL_TIMEOUT_MS, Engine, EngineError};

/// The longest a provider's word, or our own doubling, keeps workers away, milliseconds.
const LONGEST_MS: i64 = 15 * 60_000;
/// After so long without a new complaint the doubling starts over, milliseconds.
const FORGIVEN_MS: i64 = 15 * 60_000;

/// What the store holds about an API that throttles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Patience {
    /// Nobody calls before then.
    until: Millis,
    /// Complaints in a row.
    failures: u32,
}

fn name(quota: &str) -> String {
    format!("throttle/{quota}")
}

impl Engine {
    /// Reads: refused while the API is to be left alone, and told to everybody when it asks for that.
    pub(crate) async fn read(&self, request: &ApiRequest, correlation: Option<Uuid>) -> Result<ApiResponse, EngineError> {
        self.may_call(request).await?;
        let request = ApiRequest { correlation, ..request.clone() };
        let response = self.ports.clouds.call(&request, CALL_TIMEOUT_MS).await?;
        self.heed(&request, &response).await?;
        Ok(response)
    }

    /// Whether the API behind a request may be called now.
    pub(crate) async fn may_call(&self, request: &ApiRequest) -> Result<(), EngineError> {
        let quota = request.quota();
        let until = self.patience(&quota).await?.1.until;
        if until > self.now() { Err(EngineError::Throttled { quota, until }) } else { Ok(()) }
    }

    /// Tells all workers when an answer asks for patience.
    pub(crate) async fn heed(&self, request: &ApiRequest, response: &ApiResponse) -> Result<(), EngineError> {
        if !response.is_throttled() {
            return Ok(());
        }
        let quota = request.quota();
        // Somebody quicker has said the same: theirs counts as well.
        let (stored, before) = self.patience(&quota).await?;
        let now = self.now();
        let failures = if now - before.until > FORGIVEN_MS { 1 } else { before.failures.saturating_add(1) };
        let asked = response.retry_after_ms(now).unwrap_or_else(|| Engine::back_off(failures));
        let patience = Patience { until: before.until.max(now + asked.clamp(1_000, LONGEST_MS)), failures };
        let text = serde_json::to_string(&patience).unwrap_or_default();
        self.ports.store.set_value(&name(&quota), stored.as_deref(), Some(&text)).await?;
        Ok(())
    }

    async fn patience(&self, quota: &str) -> Result<(Option<String>, Patience), EngineError> {
        let stored = self.ports.store.value(&name(quota)).await?;
        // What a newer program wrote differently asks for no patience we could know.
        let patience = stored.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok((stored, patience))
    }
}
