//! The AWS Lambda program: `securityhub-finding` on EventBridge events, directly or by way of SQS. It takes findings in; state
//! is in the storage account that `STANCH_STORAGE_ACCOUNT` names, else in the SQLite store in `STANCH_DATA`, which on Lambda must
//! be a mounted file system, until findings can be forwarded.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use stanch_engine::Engine;
use stanch_engine::trigger::{Invocation, Receipt};

use crate::settings::Settings;
use crate::wiring;

/// A batch of SQS messages, each an event.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "messageId")]
    id: String,
    body: String,
}

/// Serves the Lambda runtime until it ends the process.
pub async fn serve(settings: Settings) -> Result<(), Error> {
    let rules = wiring::rules(settings.rules.as_deref())?;
    let clouds = wiring::real_clouds(&settings)?;
    let engine = wiring::engine(&settings, rules, clouds, &wiring::state(&settings).await?)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| handle(&engine, event.payload))).await
}

async fn handle(engine: &Engine, payload: Box<RawValue>) -> Result<Value, Error> {
    let Ok(batch) = serde_json::from_str::<Batch>(payload.get()) else {
        return Ok(serde_json::to_value(take(engine, payload.get().to_owned()).await?)?);
    };
    // Only a message that could not be stored comes again. One that cannot be read is parked by now, where people see it.
    let mut failures = Vec::new();
    for message in batch.records {
        if let Err(error) = take(engine, message.body).await {
            tracing::error!(message = message.id, %error, "message not taken in");
            failures.push(json!({ "itemIdentifier": message.id }));
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}

async fn take(engine: &Engine, event: String) -> Result<Receipt, stanch_engine::EngineError> {
    let data = Map::from_iter([(stanch_securityhub_finding::BINDING.to_owned(), Value::String(event))]);
    stanch_securityhub_finding::handle(engine, &Invocation { data, metadata: Map::new() }).await
}
