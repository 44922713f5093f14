//! The timer: takes no input, runs what is due, sends what waits, sweeps the sources. What a lost message or event would have
//! done is done here.

use serde_json::{Value, json};
use stanch_engine::{Engine, EngineError, Round};

/// The folder's name, as the host calls it.
pub const NAME: &str = "reconcile";
/// How many remediations one firing takes up at most; the next firing goes on.
const BATCH: usize = 200;

/// Runs one round. Every part was tried; the first that failed makes the firing fail, so that the host shows it.
pub async fn handle(engine: &Engine) -> Result<Value, EngineError> {
    let Round { ran, drained, sent, swept, taken_up, pruned, parked, failed } = engine.reconcile(BATCH).await;
    match failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(json!({
            "ran": ran, "drained": drained, "sent": sent, "swept": swept, "taken_up": taken_up, "pruned": pruned, "parked": parked
        })),
    }
}
