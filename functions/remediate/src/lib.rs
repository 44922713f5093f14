//! Takes one remediation as far as it goes at once. The message is only a nudge: the store is the truth.

use serde_json::{Value, json};
use stanch_engine::trigger::Invocation;
use stanch_engine::{Engine, EngineError, Handled};

/// The folder's name, as the host calls it.
pub const NAME: &str = "remediate";
/// The trigger's binding in `function.json`.
pub const BINDING: &str = "message";

/// Follows a message, as the worker of the local server does. An error makes the host deliver it again; at the last delivery
/// it is parked instead, where people see it, before the host would move it into its poison queue.
pub async fn handle(engine: &Engine, invocation: &Invocation) -> Result<Value, EngineError> {
    let deliveries = deliveries(invocation);
    let (mut ran, mut stale, mut put_off, mut parked) = (0, 0, 0, 0);
    for text in invocation.events(BINDING)? {
        match engine.message(&text, deliveries).await? {
            Handled::Ran => ran += 1,
            Handled::Stale => stale += 1,
            Handled::PutOff => put_off += 1,
            Handled::Parked => parked += 1,
        }
    }
    Ok(json!({ "ran": ran, "stale": stale, "put_off": put_off, "parked": parked }))
}

/// How often the host delivered the message, this time included: `DequeueCount`, a number or a number in a string.
fn deliveries(invocation: &Invocation) -> u32 {
    let count = invocation.metadata.get("DequeueCount").or_else(|| invocation.metadata.get("dequeueCount"));
    let number = count.and_then(|c| c.as_u64().or_else(|| c.as_str().and_then(|text| text.trim().trim_matches('"').parse().ok())));
    number.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_count_of_deliveries_is_read_in_every_form() {
        for (metadata, count) in
            [(r#"{"DequeueCount":"3"}"#, 3), (r#"{"DequeueCount":5}"#, 5), (r#"{"DequeueCount":"\"4\""}"#, 4), ("{}", 1)]
        {
            let body = format!(r#"{{"Data":{{"message":"{{}}"}},"Metadata":{metadata}}}"#);
            assert_eq!(deliveries(&Invocation::read(body.as_bytes()).expect("an invocation")), count, "{metadata}");
        }
    }
}
