//! The work queue in Queue Storage, through a few requests of our own: the official crate would add its own pipeline, XML
//! layer and build time for three calls.
//!
//! Messages go as they are, without base64: `host.json` sets `messageEncoding` to `none`, so the Functions host reads what is
//! sent here. What a function fails on five times the host moves to `<queue>-poison`.

use quick_xml::escape::escape;
use reqwest::Method;
use serde::Deserialize;
use stanch_core::port::{BoxFuture, Nudge, Received, StoreError, WorkQueue};

use super::client::{Account, Call, Client, Clock, Service, unavailable};

/// The queue's name, which `function.json` of `remediate` names too.
pub const WORK_QUEUE: &str = "remediations";
/// The longest a message can be hidden, seconds.
const LONGEST: u64 = 7 * 24 * 3600;
/// The most messages one request takes.
const BATCH: usize = 32;

/// A queue of a storage account.
pub struct AzureQueue {
    client: Client,
    name: String,
}

impl AzureQueue {
    /// Opens the queue, which is created when it is missing.
    pub async fn open(account: Account, name: &str, clock: Clock) -> Result<Self, StoreError> {
        let queue = AzureQueue { client: Client::new(account, clock)?, name: name.to_owned() };
        let answer = queue.client.send(&Call::new(Service::Queue, Method::PUT, format!("/{name}"))).await?;
        match answer.status.as_u16() {
            // 204: it was there, with the same settings.
            200..=299 => Ok(queue),
            409 if answer.code() == "QueueAlreadyExists" => Ok(queue),
            _ => Err(queue.client.fault(&format!("create queue `{name}`"), &answer)),
        }
    }

    async fn put(&self, nudge: &Nudge, delay_ms: u64) -> Result<(), StoreError> {
        let text = serde_json::to_string(nudge).map_err(|e| unavailable(format!("a message cannot be written as JSON: {e}")))?;
        let body = format!("<QueueMessage><MessageText>{}</MessageText></QueueMessage>", escape(text.as_str()));
        // Rounded up: a message that comes too early would be worth nothing.
        let hidden = delay_ms.div_ceil(1000).min(LONGEST);
        let call = Call::new(Service::Queue, Method::POST, format!("/{}/messages", self.name))
            .query("visibilitytimeout", hidden.to_string())
            .query("messagettl", "-1")
            .body("application/xml", body.into_bytes());
        let answer = self.client.send(&call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.client.fault(&format!("send to queue `{}`", self.name), &answer)) }
    }

    async fn take(&self, limit: usize, hide_ms: u64) -> Result<Vec<Received>, StoreError> {
        let hidden = hide_ms.div_ceil(1000).clamp(1, LONGEST);
        let mut taken = Vec::new();
        while taken.len() < limit {
            let wanted = (limit - taken.len()).min(BATCH);
            let call = Call::new(Service::Queue, Method::GET, format!("/{}/messages", self.name))
                .query("numofmessages", wanted.to_string())
                .query("visibilitytimeout", hidden.to_string());
            let answer = self.client.send(&call).await?;
            if !answer.status.is_success() {
                return Err(self.client.fault(&format!("receive from queue `{}`", self.name), &answer));
            }
            let unreadable = |e: quick_xml::DeError| crate::row::unreadable(format!("answer of queue `{}`", self.name), e);
            let text = String::from_utf8_lossy(&answer.body);
            let page: Messages = quick_xml::de::from_str(text.trim_start_matches('\u{feff}')).map_err(unreadable)?;
            let count = page.messages.len();
            taken.extend(page.messages.into_iter().map(|message| Received {
                receipt: format!("{}/{}", message.id, message.receipt),
                body: message.text,
                deliveries: message.count,
            }));
            if count < wanted {
                break;
            }
        }
        Ok(taken)
    }

    async fn remove(&self, receipt: &str) -> Result<(), StoreError> {
        let Some((id, receipt)) = receipt.split_once('/').filter(|(id, _)| uuid::Uuid::parse_str(id).is_ok()) else {
            return Err(unavailable(format!("`{receipt}` is no receipt of queue `{}`", self.name)));
        };
        let call = Call::new(Service::Queue, Method::DELETE, format!("/{}/messages/{id}", self.name)).query("popreceipt", receipt);
        let answer = self.client.send(&call).await?;
        match (answer.status.as_u16(), answer.code().as_str()) {
            // Gone, or delivered to somebody else meanwhile: theirs to complete.
            (200..=299, _) | (_, "MessageNotFound" | "PopReceiptMismatch") => Ok(()),
            _ => Err(self.client.fault(&format!("complete a message of queue `{}`", self.name), &answer)),
        }
    }
}

impl WorkQueue for AzureQueue {
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.put(nudge, delay_ms))
    }

    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(self.take(limit, hide_ms))
    }

    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove(receipt))
    }
}

impl std::fmt::Debug for AzureQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Messages {
    #[serde(rename = "QueueMessage", default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "MessageId")]
    id: String,
    #[serde(rename = "PopReceipt")]
    receipt: String,
    #[serde(rename = "DequeueCount")]
    count: u32,
    #[serde(rename = "MessageText", default)]
    text: String,
}
