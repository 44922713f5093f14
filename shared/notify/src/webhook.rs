//! Sends a notice as one signed POST.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use serde::Serialize;
use stanch_core::diagnostic::chain;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Notice, Notifier, NotifyError};
use stanch_core::remediation::RemediationId;
use uuid::Uuid;

use crate::channel::Channel;

/// How long one send may take, connection included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Version of the body; it grows by members only, anything else is a new number.
const VERSION: u32 = 1;

/// Sends notices to the channels of the settings by name.
#[derive(Debug)]
pub struct SignedWebhook {
    channels: BTreeMap<String, Channel>,
    outside: OnceLock<Client>,
    loopback: OnceLock<Client>,
}

impl SignedWebhook {
    /// A notifier for these channels. Nothing is opened before the first notice.
    pub fn new(channels: BTreeMap<String, Channel>) -> Self {
        SignedWebhook { channels, outside: OnceLock::new(), loopback: OnceLock::new() }
    }

    async fn post(&self, channel: &Channel, key: Uuid, notice: &Notice, now: Millis) -> Result<(), Refusal> {
        let timestamp = now.div_euclid(1_000);
        let body = serde_json::to_string(&Body::new(key, timestamp, notice))
            .map_err(|e| Refusal::last(format!("the notice makes no JSON: {e}")))?;
        let signature = channel.sign(timestamp, &body).ok_or_else(|| Refusal::last("the secret makes no key"))?;
        let request = self
            .client(channel)?
            .post(channel.url())
            .header("content-type", "application/json")
            .header("x-stanch-signature", signature)
            .header("x-stanch-timestamp", timestamp)
            .header("x-stanch-idempotency-key", key.to_string())
            .body(body);
        let answer = request.send().await.map_err(|e| Refusal::of(channel, e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let retry = status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        let hint = if status.is_redirection() { "; redirects are not followed, set `url` to the final address" } else { "" };
        Err(Refusal { reason: format!("`{}` answered {}{hint}", channel.host(), status.as_u16()), retry })
    }

    /// Built on first use. What stays on this machine does not pass by a proxy.
    fn client(&self, channel: &Channel) -> Result<Client, Refusal> {
        let place = if channel.is_loopback() { &self.loopback } else { &self.outside };
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        let builder =
            Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).user_agent(concat!("stanch/", env!("CARGO_PKG_VERSION")));
        let builder = if channel.is_loopback() { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|e| Refusal::last(format!("no HTTP client can be built: {}", chain(&e.without_url()))))?;
        Ok(place.get_or_init(|| client).clone())
    }
}

impl Notifier for SignedWebhook {
    /// The signed timestamp is the time of sending, so that a late retry still passes a receiver's freshness check.
    fn send<'a>(&'a self, channel: &'a str, key: Uuid, notice: &'a Notice, now: Millis) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let sent = match self.channels.get(channel) {
                Some(known) => self.post(known, key, notice, now).await,
                None => Err(Refusal::last("the settings have no channel of this name")),
            };
            sent.map_err(|refusal| NotifyError { channel: channel.to_owned(), reason: refusal.reason, retry: refusal.retry })
        })
    }
}

/// What is posted.
#[derive(Serialize)]
struct Body<'n> {
    version: u32,
    id: Uuid,
    /// Seconds since the epoch; equal to the signed timestamp.
    sent: i64,
    notice: NoticeBody<'n>,
}

#[derive(Serialize)]
struct NoticeBody<'n> {
    remediation: RemediationId,
    title: &'n str,
    state: &'n str,
    facts: Vec<Fact<'n>>,
    /// Milliseconds since the epoch.
    at: Millis,
}

#[derive(Serialize)]
struct Fact<'n> {
    name: &'n str,
    value: &'n str,
}

impl<'n> Body<'n> {
    fn new(id: Uuid, sent: i64, notice: &'n Notice) -> Self {
        let facts = notice.facts.iter().map(|(name, value)| Fact { name, value }).collect();
        let notice = NoticeBody { remediation: notice.remediation, title: &notice.title, state: &notice.state, facts, at: notice.at };
        Body { version: VERSION, id, sent, notice }
    }
}

/// Why a channel did not take a notice.
struct Refusal {
    reason: String,
    retry: bool,
}

impl Refusal {
    /// Trying again cannot help.
    fn last(reason: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), retry: false }
    }

    /// A request that got no answer. The address is left out: its path may hold a secret.
    fn of(channel: &Channel, error: reqwest::Error) -> Self {
        let (late, retry) = (error.is_timeout(), !error.is_builder());
        let why = if late { format!("no answer within {} s", TIMEOUT.as_secs()) } else { chain(&error.without_url()) };
        Refusal { reason: format!("`{}`: {why}", channel.host()), retry }
    }
}
