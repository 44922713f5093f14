//! What hosts hand to a function, and what a function hands back.
//!
//! Azure Functions custom handlers get `{"Data": {<binding>: …}, "Metadata": {…}}` in which every value that is no object is
//! JSON inside a string, several levels deep at times
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stanch_core::normalize::{NormalizeError, Normalized, events};
use stanch_core::port::Kind;

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
    /// Events that cannot be read, and why; each is logged with its digest.
    pub refused: Vec<String>,
}

impl Receipt {
    /// Whether nothing of the delivery could be used.
    pub fn is_refused(&self) -> bool {
        self.taken.is_empty() && !self.refused.is_empty()
    }
}

/// Takes a batch of events in, each by itself: a bad one neither loses nor repeats the others. An error means that the store
/// could not be used and the whole batch must come again; what was taken in already is not doubled by that.
pub async fn take_events(
    engine: &Engine,
    batch: &[String],
    normalize: impl for<'a> Fn(&'a str) -> Normalized<'a>,
) -> Result<Receipt, EngineError> {
    let mut receipt = Receipt::default();
    for delivery in batch {
        let single = match events(delivery) {
            Ok(single) => single,
            Err(error) => {
                refuse(engine, &mut receipt, delivery, &error.to_string());
                continue;
            }
        };
        for event in single {
            // A panic is a fault of ours, never the sender's: it costs this event, not the process the host counts.
            let findings = catch_unwind(AssertUnwindSafe(|| normalize(event)));
            match findings {
                Ok(Ok(findings)) => match engine.ingest(findings).await {
                    Ok(taken) => {
                        telemetry::event_taken(engine.meter());
                        receipt.taken.extend(taken);
                    }
                    Err(error) if error.kind() == Kind::Retry => return Err(error),
                    Err(error) => refuse(engine, &mut receipt, event, &error.to_string()),
                },
                Ok(Err(error @ NormalizeError::NotAFinding { .. })) => {
                    telemetry::event_ignored(engine.meter(), &error.to_string());
                    receipt.ignored.push(error.to_string());
                }
                Ok(Err(error)) => refuse(engine, &mut receipt, event, &error.to_string()),
                Err(_) => refuse(engine, &mut receipt, event, "reading it failed inside stanch; please report it"),
            }
        }
    }
    Ok(receipt)
}

fn refuse(engine: &Engine, receipt: &mut Receipt, event: &str, why: &str) {
    let digest = stanch_core::digest::sha256_hex(event.as_bytes());
    telemetry::event_refused(engine.meter(), &digest, event.len(), why);
    receipt.refused.push(why.to_owned());
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
    fn a_body_that_got_lost_and_a_foreign_message_are_said_plainly() {
        let lost = Invocation::read(br#"{"Data":{"req":{"Url":"http://x","Method":"POST"}}}"#).unwrap().events("req").unwrap_err();
        assert!(lost.to_string().contains("no body"), "{lost}");
        assert!(Invocation::read(b"[1]").unwrap_err().to_string().contains("Data"), "no Data");
    }
}
