//! The resources a security alert names.

use std::collections::HashSet;

use stanch_core::cloud::{Account, Cloud, Resource, Text};
use stanch_core::json::Json;

use super::{cloud_of, resource, subscription};
use crate::arm::ArmId;
use crate::payload::each;

/// Names under which an identifier, or an entity of another cloud, tells a native id.
const ID_NAMES: &[&str] = &["AzureResourceId", "ResourceId", "AwsResourceId", "AmazonResourceId", "GcpResourceId", "FullResourceName"];
const FOREIGN_IDS: &[&str] = &["AmazonResourceId", "AwsResourceId", "FullResourceName", "GcpResourceId"];

/// The resources' ids as the alert gives them: the single id fields and each one the identifiers name, else the machines and
/// resources among the entities, else the compromised entity where that is an id.
pub(super) fn ids<'a>(body: Json<'_, 'a>) -> Vec<Text<'a>> {
    let single = body.text_of(&["AzureResourceId", "ResourceId", "_ResourceId", "AssociatedResource"]);
    let mut ids = each(body, "ResourceIdentifiers", |id| id.text_of(ID_NAMES));
    if let Some(single) = single {
        ids.retain(|id| !id.eq_ignore_ascii_case(&single));
        ids.insert(0, single);
    }
    // The subscription beside one of its resources only says where that lies.
    if ids.len() > 1 && ids.iter().any(|id| !is_subscription(id)) {
        ids.retain(|id| !is_subscription(id));
    }
    if !ids.is_empty() {
        return ids;
    }
    let ids = each(body, "Entities", |entity| {
        let kind = entity.any(&["Type", "kind"]).str()?;
        let is_resource = ["host", "azure-resource", "AzureResource"].iter().any(|word| kind.eq_ignore_ascii_case(word));
        if is_resource { entity.text_of(&["AzureID", "ResourceId"]) } else { None }
    });
    if !ids.is_empty() {
        return ids;
    }
    body.get("CompromisedEntity").text().filter(|entity| is_resource_id(entity)).into_iter().collect()
}

fn is_subscription(id: &str) -> bool {
    ArmId::parse(id).is_some_and(|arm| arm.is("Microsoft.Resources/subscriptions"))
}

/// Whether a text is a resource's id in one of the clouds.
pub(super) fn is_resource_id(id: &str) -> bool {
    cloud_of(id) != Cloud::Azure || ArmId::parse(id).is_some_and(|arm| arm.subscription.is_some())
}

/// The resources. An alert that names none is about its subscription, which is where Defender keeps it.
pub(super) fn read<'a>(body: Json<'_, 'a>, ids: Vec<Text<'a>>, account: Option<&Text<'a>>) -> Vec<Resource<'a>> {
    let only = ids.len() == 1;
    let mut resources: Vec<Resource<'a>> = Vec::new();
    for id in ids {
        let cloud = cloud_of(&id);
        // Defender's stand-in for a resource of another cloud gives way to the native id that cloud's API takes.
        let foreign = only && cloud != Cloud::Azure;
        let native = if foreign { foreign_id(body).filter(|native| cloud_of(native) == cloud) } else { None };
        let mut resource = resource(cloud, native.unwrap_or(id));
        if foreign {
            complete(&mut resource, body);
        }
        resources.push(resource);
    }
    let mut seen = HashSet::new();
    resources.retain(|resource| seen.insert(resource.canonical()));
    if resources.is_empty() {
        resources.extend(foreign_id(body).map(|id| resource(cloud_of(&id), id)).or_else(|| account.cloned().map(subscription)));
    }
    resources
}

fn foreign_id<'a>(body: Json<'_, 'a>) -> Option<Text<'a>> {
    each(body, "Entities", |entity| entity.text_of(FOREIGN_IDS)).into_iter().find(|id| cloud_of(id) != Cloud::Azure)
}

/// What the entity of the other cloud says and the id does not.
fn complete<'a>(resource: &mut Resource<'a>, body: Json<'_, 'a>) {
    let word = if resource.cloud == Cloud::Aws { "amazon" } else { "gcp" };
    let of = |names: &[&str]| {
        each(body, "Entities", |entity| {
            let kind = entity.any(&["Type", "kind"]).str()?.to_ascii_lowercase();
            if kind.starts_with(word) || kind.starts_with("google") && word == "gcp" { entity.text_of(names) } else { None }
        })
        .into_iter()
        .next()
    };
    if resource.account.is_none() {
        resource.account = of(&["AmazonAccountId", "AccountId", "ProjectId"]).map(|uid| Account { uid, name: None });
    }
    if resource.region.is_none() {
        resource.region = of(&["Region", "Location"]);
    }
    if resource.kind.is_none() {
        resource.kind = of(&["ResourceType"]);
    }
    if resource.name.is_none() {
        resource.name = of(&["ResourceName"]);
    }
}
