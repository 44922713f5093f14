//! Where notices go, and the secret they are signed with.

use std::fmt::{self, Write};
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use sha2::Sha256;

/// One channel: an address and a secret. Neither is ever shown whole, for an address may hold a secret too.
#[derive(Clone)]
pub struct Channel {
    url: Url,
    secret: String,
}

/// Settings that make no channel.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChannelError {
    /// Not an address.
    #[error("`url` of a channel is not an address: {reason}")]
    Address {
        /// Why, without the address.
        reason: String,
    },
    /// The notice would cross a network in the open.
    #[error("`url` of a channel must be https (http only on the loopback interface), found `{scheme}` to `{host}`")]
    Open {
        /// The scheme found.
        scheme: String,
        /// The host.
        host: String,
    },
    /// A signature under no secret proves nothing.
    #[error("`secret` of a channel is empty")]
    NoSecret,
}

impl Channel {
    /// A channel at `url` (https, or http on the loopback interface) whose notices are signed with `secret`, already resolved.
    pub fn new(url: &str, secret: impl Into<String>) -> Result<Self, ChannelError> {
        let url = Url::parse(url.trim()).map_err(|e| ChannelError::Address { reason: e.to_string() })?;
        let channel = Channel { url, secret: secret.into() };
        if channel.secret.is_empty() {
            return Err(ChannelError::NoSecret);
        }
        match channel.url.scheme() {
            "https" => Ok(channel),
            "http" if channel.is_loopback() => Ok(channel),
            scheme => Err(ChannelError::Open { scheme: scheme.to_owned(), host: channel.host().to_owned() }),
        }
    }

    /// The host, the only part of the address that may be told.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether it leads back to this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The value of `X-Stanch-Signature`; `None` only if the secret made no key; every secret does.
    pub(crate) fn sign(&self, timestamp: i64, body: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(format!("{timestamp}.{body}").as_bytes());
        let mut signature = String::from("v1=");
        for byte in mac.finalize().into_bytes() {
            write!(signature, "{byte:02x}").ok()?;
        }
        Some(signature)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("host", &self.host()).finish_non_exhaustive()
    }
}
