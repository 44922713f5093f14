//! Our own form: OCSF 1.8.0 events, read from any producer and written for SIEMs and records.

mod activity;
mod compliance;
mod export;
mod mapping;
mod read;
mod resource;
mod write;

#[cfg(test)]
mod tests;

pub use activity::{ActivityCall, ActivityKind, ActivityStatus, RemediationActivity};
pub use export::{exported_case, exported_entry};
pub use mapping::MAPPINGS;
pub use read::{NO_FINDINGS, finding_from, from, normalize, read};
pub use write::{Ocsf, to_line};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::cloud::{Account, Cloud};

/// The schema version of everything written.
pub const VERSION: &str = "1.8.0";

const PROFILES: &[&str] = &["cloud"];

/// `account`, with the type its cloud calls for.
#[derive(Serialize)]
struct AccountOut<'e> {
    uid: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
    type_id: u8,
    r#type: &'static str,
}

impl<'e> AccountOut<'e> {
    fn new(cloud: Cloud, account: &'e Account<'_>) -> Self {
        let (type_id, r#type) = match cloud {
            Cloud::Aws => (10, "AWS Account"),
            Cloud::Gcp => (11, "GCP Project"),
            Cloud::Azure => (13, "Azure Subscription"),
        };
        AccountOut { uid: &account.uid, name: account.name.as_deref(), type_id, r#type }
    }
}

/// `cloud` of the profile of that name.
#[derive(Serialize)]
struct CloudOut<'e> {
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountOut<'e>>,
}

impl<'e> CloudOut<'e> {
    fn new(cloud: Cloud, region: Option<&'e str>, account: Option<&'e Account<'_>>) -> Self {
        CloudOut { provider: cloud.provider(), region, account: account.map(|a| AccountOut::new(cloud, a)) }
    }
}

/// An observable of type 10, Resource UID.
#[derive(Serialize)]
struct ResourceObservable<'e> {
    name: &'static str,
    type_id: u8,
    r#type: &'static str,
    value: &'e str,
}

impl<'e> ResourceObservable<'e> {
    fn new(name: &'static str, value: &'e str) -> Self {
        ResourceObservable { name, type_id: 10, r#type: "Resource UID", value }
    }
}

/// A list written item by item, without collecting it.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Writes a field when there is a value.
fn entry<M: SerializeMap>(map: &mut M, key: &'static str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}
