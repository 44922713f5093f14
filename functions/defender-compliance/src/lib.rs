//! Defender for Cloud regulatory compliance changes.

use stanch_engine::trigger::{Invocation, Receipt, take_events};
use stanch_engine::{Engine, EngineError};

/// The folder's name, as the host calls it.
pub const NAME: &str = "defender-compliance";
/// The trigger's binding in `function.json`.
pub const BINDING: &str = "events";

/// Takes the findings of one delivery in, each by itself.
pub async fn handle(engine: &Engine, invocation: &Invocation) -> Result<Receipt, EngineError> {
    take_events(engine, NAME, &invocation.events(BINDING)?, stanch_azure::normalize_compliance).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_form_of_a_delivery_gives_its_findings() {
        let event = include_str!("../fixtures/compliance.json");
        let data = serde_json::json!({"Data": {BINDING: serde_json::to_string(&[event]).unwrap_or_default()}, "Metadata": {}});
        let invocation = Invocation::read(data.to_string().as_bytes()).expect("the host's form is read");
        let events = invocation.events(BINDING).expect("the binding is there");
        let findings = stanch_azure::normalize_compliance(&events[0]).expect("the event is a finding").findings;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].resources.len(), 1);
    }
}
