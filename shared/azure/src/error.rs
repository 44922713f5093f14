//! What can be wrong with the settings of this connector.

use stanch_core::port::Kind;

/// A setting that cannot be used. Failed calls are [`stanch_core::port::ApiError`], unreadable payloads
/// [`stanch_core::normalize::NormalizeError`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not this machine.
    #[error("endpoint `{endpoint}` is not usable: expected `http://127.0.0.1:<port>`, `http://localhost:<port>` or `http://[::1]:<port>`")]
    NotLoopback {
        /// What was given.
        endpoint: String,
    },
    /// A real credential must never reach a test server.
    #[error("a loopback endpoint takes a fixed token only; managed identity and developer tools are for the cloud's own hosts")]
    LoopbackNeedsFixedToken,
    /// A fixed token has no business outside tests.
    #[error("a fixed token is accepted for a loopback endpoint only; expected managed identity or developer tools")]
    FixedTokenNeedsLoopback,
}

impl Error {
    /// What to do about it: a person must correct the settings.
    pub fn kind(&self) -> Kind {
        Kind::Broken
    }
}
