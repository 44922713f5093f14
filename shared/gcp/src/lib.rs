//! Google Security Command Center and Google's APIs: payloads to findings, calls to `*.googleapis.com`, and the state, marks
//! and mute of findings.
//!
//! [`normalize`] is pure. [`GcpApi`] carries calls; [`SccSource`] asks Security Command Center about
//! its findings and tells it what became of them.

mod error;
mod mapping;
mod normalize;
mod payload;
mod resource;
mod sign;
mod source;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use mapping::MAPPINGS;
pub use normalize::{NO_FINDINGS, normalize, read};
pub use sign::{Credentials, Endpoint, GcpApi, HOST_HEADER};
pub use source::SccSource;
