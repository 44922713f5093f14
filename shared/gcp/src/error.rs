//! What can be wrong with the settings of this connector.

use stanch_core::port::Kind;

/// A setting that cannot be used. Failed calls are [`stanch_core::port::ApiError`], unreadable payloads
/// [`stanch_core::normalize::NormalizeError`], and trouble with a finding's source [`stanch_core::port::SourceError`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not this machine.
    #[error("endpoint `{endpoint}` is not usable: expected `http://127.0.0.1:<port>`, `http://localhost:<port>` or `http://[::1]:<port>`")]
    NotLoopback {
        /// What was given.
        endpoint: String,
    },
    /// A real credential must never reach a test server.
    #[error("a loopback endpoint takes a fixed token only; application default credentials are for Google's own hosts")]
    LoopbackNeedsFixedToken,
    /// A fixed token has no business outside tests.
    #[error("a fixed token is accepted for a loopback endpoint only; expected application default credentials")]
    FixedTokenNeedsLoopback,
}

impl Error {
    /// What to do about it: a person must correct the settings.
    pub fn kind(&self) -> Kind {
        Kind::Broken
    }
}

/// An error with its causes, joined by `: `, on one line of at most 300 characters.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some vendors' errors already print their cause.
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
