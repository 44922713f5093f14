//! AWS: Security Hub payloads become findings, calls are encoded and signed, and statuses are written back.

mod arn;
pub mod credentials;
mod endpoint;
pub mod error;
#[cfg(test)]
mod loopback;
pub mod normalize;
pub mod sign;
pub mod source;
mod wire;

pub use credentials::{AwsCredentials, RolePattern};
pub use endpoint::Endpoint;
pub use error::AwsError;
pub use normalize::{MAPPINGS, NO_FINDINGS, normalize, read};
pub use sign::AwsApi;
pub use source::SecurityHubSource;
pub use wire::{check_input, is_read, operation_exists};
