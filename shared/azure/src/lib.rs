//! Microsoft Defender for Cloud and Azure Resource Manager: payloads to findings, calls to `management.azure.com`, and the
//! status of alerts.
//!
//! `normalize*` are pure and borrow from the event. [`AzureApi`] carries calls; [`DefenderSource`] asks Defender about its
//! findings through any [`stanch_core::port::CloudApi`].

mod arm;
mod error;
mod list;
mod normalize;
mod payload;
mod sign;
mod source;
mod states;
#[cfg(test)]
mod tests;
mod token;

pub use arm::ArmId;
pub use error::Error;
pub use normalize::{
    MAPPINGS, NO_FINDINGS, normalize, normalize_alert, normalize_compliance, normalize_policy, normalize_recommendation, read,
};
pub use sign::{AzureApi, Endpoint, HOSTS};
pub use source::DefenderSource;
pub use token::{Credentials, NoToken, Tokens};
