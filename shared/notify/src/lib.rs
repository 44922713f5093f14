//! How people hear of a remediation: a signed webhook.
//!
//! A receiver checks `X-Stanch-Signature` (`v1=` and the hex HMAC-SHA-256 of `<X-Stanch-Timestamp>.<body>` under the channel's
//! secret) and drops what it has seen by `X-Stanch-Idempotency-Key`. A notice states facts; it carries nothing that acts.

mod channel;
mod webhook;

#[cfg(test)]
mod tests;

pub use channel::{Channel, ChannelError};
pub use webhook::SignedWebhook;
