//! What hosts hand to a function, and what a function hands back.
//!
//! Azure Functions custom handlers get `{"Data": {<binding>: …}, "Metadata": {…}}` in which every value that is no object is
//! JSON inside a string, several levels deep at times
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stanch_core::digest::sha256_hex;
use stanch_core::normalize::{Normalized, events};
use stanch_core::port::{Kind, StoreError};
use tracing::Instrument;
use uuid::Uuid;

use crate::panic::{caught, said};
use crate::spill::is_unavailable;
use crate::{Engine, EngineError, Intake, telemetry};

/// How many times a string is parsed as JSON before it is taken for text.
const MAX_LEVELS: usize = 4;

/// One invocation by the Functions host.
#[derive(Debug, Default, Deserialize)]
pub struct Invocation {
    /// Input bindings by name.
    #[serde(default, rename = "Data", alias = "data")]
    pub data: Map<String, Value>,
    /// Trigger metadata.
    #[serde(default, rename = "Metadata", alias = "metadata")]
    pub metadata: Map<String, Value>,
}

impl Invocation {
    /// Reads the body of `POST /<function>`.
    pub fn read(body: &[u8]) -> Result<Self, EngineError> {
        serde_json::from_slice(body)
            .map_err(|e| EngineError::Invocation(format!("the body is not `{{\"Data\": …, \"Metadata\": …}}`: {e}")))
    }

    /// The events of the trigger: the binding of that name, or the only one there is. An HTTP request gives its body, a batch
    /// gives each of its events.
    pub fn events(&self, binding: &str) -> Result<Vec<String>, EngineError> {
        let value = match self.data.get(binding) {
            Some(value) => value,
            None if self.data.len() == 1 => self.data.values().next().unwrap_or(&Value::Null),
            None => {
                let names: Vec<&str> = self.data.keys().map(String::as_str).collect();
                return Err(EngineError::Invocation(format!("`Data` has no binding `{binding}`, only [{}]", names.join(", "))));
            }
        };
        let mut all = Vec::new();
        unfold(value.clone(), MAX_LEVELS, &mut all)?;
        Ok(all)
    }
}

/// Takes wrappers off until there are events: strings that hold JSON, arrays, HTTP requests.
fn unfold(value: Value, levels: usize, all: &mut Vec<String>) -> Result<(), EngineError> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| unfold(item, levels, all)),
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(inner @ (Value::String(_) | Value::Array(_))) if levels > 0 => unfold(inner, levels - 1, all),
            // The text itself goes on, not a copy printed anew: what is not mapped is kept byte for byte.
            _ => {
                all.push(text);
                Ok(())
            }
        },
        Value::Object(mut request) if request.contains_key("Method") && request.contains_key("Url") => match request.remove("Body") {
            Some(body) => unfold(body, levels, all),
            None => Err(EngineError::Invocation("the HTTP request has no body (a chunked request without Content-Length loses it)".into())),
        },
        other => {
            all.push(other.to_string());
            Ok(())
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Default, Serialize)]
pub struct Receipt {
    /// Findings taken in.
    pub taken: Vec<Intake>,
    /// Events that are no finding by their nature, and why.
    pub ignored: Vec<String>,
    /// Events that cannot be read, and why; each is parked until a person looks at it.
    pub refused: Vec<String>,
    /// Events put aside until the store can be used: kept, not yet taken in.
    #[serde(skip_serializing_if = "is_zero")]
    pub spilled: usize,
    /// Scores kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub scores: usize,
    /// What the sender's protocol wants to hear instead of all this (a handshake), as JSON.
    #[serde(skip)]
    pub reply: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde wants")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Receipt {
    /// Whether nothing of the delivery could be used.
    pub fn is_refused(&self) -> bool {
        self.taken.is_empty() && self.spilled == 0 && !self.refused.is_empty()
    }
}

/// Takes a batch of events in that came to the function `origin`, each by itself: a bad one neither loses nor repeats the
/// others. What cannot be read is parked; what comes while the store cannot be used is put aside where the engine has a place for
/// it. An error means that the whole batch must come again; what was taken in already is not doubled by that.
pub async fn take_events(
    engine: &Engine,
    origin: &str,
    batch: &[String],
    normalize: impl for<'a> Fn(&'a str) -> Normalized<'a>,
) -> Result<Receipt, EngineError> {
    let correlation = (engine.ports.new_id)();
    take_batch(engine, origin, batch, &normalize, correlation).instrument(telemetry::event_span(origin, correlation)).await
}

async fn take_batch(
    engine: &Engine,
    origin: &str,
    batch: &[String],
    normalize: &impl for<'a> Fn(&'a str) -> Normalized<'a>,
    correlation: Uuid,
) -> Result<Receipt, EngineError> {
    let mut receipt = Receipt::default();
    for delivery in batch {
        match events(delivery) {
            Ok(single) => {
                for event in single {
                    take_or_put_aside(engine, origin, event, normalize, correlation, &mut receipt).await?;
                }
            }
            // Not even one event can be told from the next: the delivery is one.
            Err(_) => take_or_put_aside(engine, origin, delivery, normalize, correlation, &mut receipt).await?,
        }
    }
    Ok(receipt)
}

async fn take_or_put_aside(
    engine: &Engine,
    origin: &str,
    event: &str,
    normalize: &impl for<'a> Fn(&'a str) -> Normalized<'a>,
    correlation: Uuid,
    receipt: &mut Receipt,
) -> Result<(), EngineError> {
    // Once the store was found out of reach, the rest of the batch does not wait for it again, one by one.
    let failed = if receipt.spilled > 0 {
        EngineError::Store(StoreError::Unavailable { reason: "it could not be used a moment ago".into() })
    } else {
        match take_event(engine, origin, event, normalize, correlation, receipt).await {
            Err(error) if is_unavailable(&error) => error,
            other => return other,
        }
    };
    engine.put_aside(origin, event, failed)?;
    receipt.spilled += 1;
    Ok(())
}

/// Takes one event in, or parks it. An error means that it must come again.
pub(crate) async fn take_event(
    engine: &Engine,
    origin: &str,
    event: &str,
    normalize: &impl for<'a> Fn(&'a str) -> Normalized<'a>,
    correlation: Uuid,
    receipt: &mut Receipt,
) -> Result<(), EngineError> {
    if let Some(why) = take(engine, event, normalize, correlation, receipt).await? {
        telemetry::event_refused(engine.meter(), &sha256_hex(event.as_bytes()), event.len(), &why);
        engine.park_event(origin, event, &why).await?;
        receipt.refused.push(why);
    }
    Ok(())
}

/// Takes in again what was parked as one. Parks nothing.
pub(crate) async fn retake(
    engine: &Engine,
    delivery: &str,
    normalize: impl for<'a> Fn(&'a str) -> Normalized<'a>,
) -> Result<Receipt, EngineError> {
    let correlation = (engine.ports.new_id)();
    let mut receipt = Receipt::default();
    for event in events(delivery)? {
        let refused = take(engine, event, &normalize, correlation, &mut receipt).await?;
        receipt.refused.extend(refused);
    }
    Ok(receipt)
}

/// Reads one event and takes its findings in. `Some`: why that is not possible.
async fn take(
    engine: &Engine,
    event: &str,
    normalize: &impl for<'a> Fn(&'a str) -> Normalized<'a>,
    correlation: Uuid,
    receipt: &mut Receipt,
) -> Result<Option<String>, EngineError> {
    // A panic is a fault of ours, never the sender's: it costs this event, not the process the host counts.
    let reading = match catch_unwind(AssertUnwindSafe(|| normalize(event))) {
        Ok(Ok(reading)) => reading,
        Ok(Err(error)) => return Ok(Some(error.to_string())),
        Err(cause) => return Ok(Some(EngineError::Panicked(said(cause.as_ref())).to_string())),
    };
    let nothing = reading.findings.is_empty() && reading.scores.is_empty() && reading.named.is_empty();
    match caught(engine.ingest_as(reading.findings, correlation)).await {
        Ok(taken) => receipt.taken.extend(taken),
        Err(error) if error.kind() == Kind::Retry => return Err(error),
        Err(error) => return Ok(Some(error.to_string())),
    }
    for score in reading.scores {
        engine.keep_score(score).await?;
        receipt.scores += 1;
    }
    let unlisted = engine.take_named(&reading.named, correlation, receipt).await?;
    if reading.reply.is_some() {
        receipt.reply = reading.reply;
    }
    receipt.ignored.extend(reading.passed_over.iter().map(ToString::to_string));
    // What could be read of the event is taken in; all of it is parked with the reason why the rest could not. Taking it in
    // again changes nothing.
    if let Some(first) = reading.faults.first() {
        return Ok(Some(match reading.faults.len() {
            1 => first.to_string(),
            many => format!("{first} (and {} more of its findings)", many - 1),
        }));
    }
    if unlisted.is_some() {
        return Ok(unlisted);
    }
    match reading.passed_over.first() {
        Some(rule) if nothing => telemetry::event_ignored(engine.meter(), rule.rule, &rule.to_string()),
        _ => telemetry::event_taken(engine.meter()),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &str) -> Vec<String> {
        Invocation::read(body.as_bytes()).and_then(|i| i.events("events")).unwrap()
    }

    #[test]
    fn every_shape_the_host_uses_gives_the_event() {
        let event = r#"{"a":1}"#;
        let once = serde_json::to_string(event).unwrap();
        let twice = serde_json::to_string(&once).unwrap();
        for shape in [event.to_owned(), once.clone(), twice.clone()] {
            assert_eq!(decoded(&format!(r#"{{"Data":{{"events":{shape}}},"Metadata":{{}}}}"#)), [event], "{shape}");
        }
        let batch = serde_json::to_string(&serde_json::to_string(&[event, event]).unwrap()).unwrap();
        assert_eq!(decoded(&format!(r#"{{"Data":{{"events":{batch}}}}}"#)), [event, event]);
        let http = format!(r#"{{"Data":{{"req":{{"Url":"http://x","Method":"POST","Query":"{{}}","Body":{once}}}}}}}"#);
        assert_eq!(decoded(&http), [event]);
    }

    #[test]
    fn the_only_binding_is_the_trigger_s_and_of_several_the_named_one() {
        let events = |body: &str| Invocation::read(body.as_bytes()).and_then(|i| i.events("events")).map_err(|e| e.to_string());
        assert_eq!(events(r#"{"Data":{"other":"a","events":"b"}}"#), Ok(vec!["b".into()]));
        assert_eq!(events(r#"{"Data":{"other":"a"}}"#), Ok(vec!["a".into()]));
        for (data, names) in [(r#"{"one":"a","two":"b"}"#, "only [one, two]"), ("{}", "only []")] {
            let why = events(&format!(r#"{{"Data":{data}}}"#)).unwrap_err();
            assert!(why.contains("no binding `events`") && why.contains(names), "{why}");
        }
    }

    #[test]
    fn a_finding_with_a_method_or_a_url_is_no_request_and_text_is_unfolded_so_deep_and_no_deeper() {
        for event in [r#"{"Method":"POST"}"#, r#"{"Body":"text","Url":"http://x"}"#] {
            assert_eq!(decoded(&format!(r#"{{"Data":{{"events":{event}}}}}"#)), [event]);
        }
        let mut folded = vec!["event".to_owned()];
        for level in 0..8_usize {
            let again = serde_json::to_string(folded.last().unwrap()).unwrap();
            assert_eq!(decoded(&format!(r#"{{"Data":{{"events":{again}}}}}"#)), [folded[level.saturating_sub(MAX_LEVELS)].clone()]);
            folded.push(again);
        }
    }

    #[test]
    fn a_delivery_is_refused_when_nothing_of_it_could_be_used() {
        let taken = || Intake { remediation: None, taken: crate::Taken::NotOpen, finding: "f".into(), resource: "r".into() };
        for (taken, refused, spilled, expected) in [
            (vec![], vec![], 0, false),
            (vec![], vec!["why".to_owned()], 0, true),
            (vec![taken()], vec!["why".to_owned()], 0, false),
            (vec![], vec!["why".to_owned()], 1, false),
            (vec![taken()], vec![], 0, false),
        ] {
            let receipt = Receipt { taken, refused, spilled, ..Receipt::default() };
            assert_eq!(receipt.is_refused(), expected, "{receipt:?}");
            let told = serde_json::to_value(&receipt).unwrap();
            assert_eq!(told.get("spilled").and_then(Value::as_u64), (spilled > 0).then_some(1), "{told}");
        }
    }

    #[test]
    fn a_body_that_got_lost_and_a_foreign_message_are_said_plainly() {
        let lost = Invocation::read(br#"{"Data":{"req":{"Url":"http://x","Method":"POST"}}}"#).unwrap().events("req").unwrap_err();
        assert!(lost.to_string().contains("no body"), "{lost}");
        assert!(Invocation::read(b"[1]").unwrap_err().to_string().contains("Data"), "no Data");
    }
}
