//! Takes one remediation as far as it goes at once. The message is only a nudge: the store is the truth.

use serde_json::{Value, json};
use stanch_core::port::Nudge;
use stanch_engine::trigger::Invocation;
use stanch_engine::{Engine, EngineError};

/// The folder's name, as the host calls it.
pub const NAME: &str = "remediate";
/// The trigger's binding in `function.json`.
pub const BINDING: &str = "message";

/// Runs the remediation a message names. A message about an older version is dropped.
pub async fn handle(engine: &Engine, invocation: &Invocation) -> Result<Value, EngineError> {
    let mut ran = 0;
    for text in invocation.events(BINDING)? {
        let message = read(&text)?;
        if engine.load(message.id).await?.version <= message.version {
            engine.run(message.id).await?;
            ran += 1;
        }
    }
    Ok(json!({ "ran": ran }))
}

fn read(text: &str) -> Result<Nudge, EngineError> {
    serde_json::from_str(text).map_err(|e| EngineError::Invocation(format!("the message is not {{\"id\", \"version\"}}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_remediation_and_its_version() {
        let message = read(r#"{"id":"00000000-0000-0000-0000-000000000001","version":3}"#).expect("a message");
        assert_eq!(message.version, 3);
        assert!(read("{}").unwrap_err().to_string().contains("id"), "says what is missing");
    }
}
