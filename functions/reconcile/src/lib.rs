//! The timer: takes no input, runs what is due, sends what waits. What a lost message would have done is done here.

use serde_json::{Value, json};
use stanch_engine::{Engine, EngineError};

/// The folder's name, as the host calls it.
pub const NAME: &str = "reconcile";
/// How many remediations one firing takes up at most; the next firing goes on.
const BATCH: usize = 200;

/// Runs what is due.
pub async fn handle(engine: &Engine) -> Result<Value, EngineError> {
    Ok(json!({ "ran": engine.reconcile(BATCH).await? }))
}
