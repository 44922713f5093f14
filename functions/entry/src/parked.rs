//! Trying parked things again, through whichever door a person asks.

use serde_json::{Value, json};
use stanch_core::port::{Parked, Store};
use stanch_engine::trigger::Receipt;
use stanch_engine::{Engine, EngineError};

use crate::recognize::read_as;

/// Has one taken in again, read as the function it came to reads. `id` may be shortened to its first characters.
pub(crate) async fn retry(engine: &Engine, store: &dyn Store, id: &str) -> Result<Receipt, EngineError> {
    // That there is none, or more than one, is the engine's to say.
    let origin = store.parked(usize::MAX).await?.into_iter().find(|parked| parked.id.starts_with(id)).map(|parked| parked.origin);
    let origin = origin.unwrap_or_default();
    engine.retry_parked(id, |event| read_as(event, &origin)).await
}

/// One line about it, without what came.
pub(crate) fn summary(parked: &Parked) -> Value {
    json!({
        "id": parked.id, "kind": parked.kind, "origin": parked.origin, "why": parked.why, "at": parked.at, "times": parked.times,
        "bytes": parked.body.len(),
    })
}
