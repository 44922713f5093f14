//! The resource of a finding, which may lie in any of the three clouds.

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::json::Json;

use crate::payload::{Properties, object, project, segment};

/// The resource, out of the finding and the object that comes with it (flat in version 1, with one object per cloud in version 2).
pub(crate) fn resource<'a>(finding: Json<'_, 'a>, about: Json<'_, 'a>, properties: &Properties<'_, 'a>) -> Option<Resource<'a>> {
    let uid = finding
        .text_of(&["resourceName", "resource_name"])
        .or_else(|| about.get("name").text())
        .or_else(|| finding.text_of(&["caiResource", "cai_resource"]))
        .or_else(|| properties.affected())?;
    let aws = object(object(about, &["awsMetadata", "aws_metadata"]), &["account"]);
    let azure = object(object(about, &["azureMetadata", "azure_metadata"]), &["subscription"]);
    let provider = [about, finding].into_iter().find_map(|of| Cloud::parse(of.any(&["cloudProvider", "cloud_provider"]).str()?));
    let google = uid.contains(".googleapis.com/");
    let cloud = match provider {
        Some(cloud) => cloud,
        None if aws.get("id").is_present() || uid.contains("arn:aws") => Cloud::Aws,
        None if azure.get("id").is_present() || (!google && subscription_at(&uid).is_some()) => Cloud::Azure,
        None => Cloud::Gcp,
    };
    let mut resource = Resource::new(cloud, uid);
    match cloud {
        Cloud::Gcp => {
            resource.account = google_project(finding, about, properties, &resource.uid);
            resource.region = part(&resource.uid, |uid| ["zones", "regions", "locations"].iter().find_map(|key| segment(uid, key)));
        }
        Cloud::Aws => {
            // Fixes need the ARN itself, which the full resource name may only contain.
            if let Some(arn) = part(&resource.uid, |uid| uid.find("arn:aws").and_then(|at| uid.get(at..))) {
                resource.uid = arn;
            }
            let field = |at| part(&resource.uid, move |arn| arn.strip_prefix("arn:")?.split(':').nth(at).filter(|field| !field.is_empty()));
            resource.account = account(aws, &["name"], field(3));
            resource.region = field(2);
        }
        Cloud::Azure => {
            if let Some(id) = part(&resource.uid, |uid| subscription_at(uid).and_then(|at| uid.get(at..))) {
                resource.uid = id;
            }
            let subscription = part(&resource.uid, |id| segment(id, "subscriptions"));
            resource.account = account(azure, &["displayName", "display_name"], subscription);
        }
    }
    resource.region = about.get("location").text().or(resource.region);
    resource.kind = about.get("type").text();
    let last = |uid: &Text<'a>| part(uid, |uid| uid.rsplit('/').next().filter(|name| !name.is_empty()));
    resource.name = about.text_of(&["displayName", "display_name"]).or_else(|| last(&resource.uid));
    Some(resource)
}

/// Where the ARM id begins in a full resource name of Azure.
fn subscription_at(uid: &str) -> Option<usize> {
    uid.to_ascii_lowercase().find("/subscriptions/")
}

fn google_project<'a>(finding: Json<'_, 'a>, about: Json<'_, 'a>, properties: &Properties<'_, 'a>, uid: &Text<'a>) -> Option<Account<'a>> {
    const PROJECT: &[&str] = &["project", "projectName", "project_name"];
    const DISPLAY: &[&str] = &["projectDisplayName", "project_display_name"];
    let google = object(about, &["gcpMetadata", "gcp_metadata"]);
    let names = [
        Some(uid.clone()),
        google.text_of(PROJECT).or_else(|| about.text_of(PROJECT)),
        finding.text_of(&["canonicalName", "canonical_name"]),
        about.text_of(&["resourcePathString", "resource_path_string"]),
    ];
    let ids = [properties.text(&["ProjectId", "project_id"])];
    project(&names, &ids, google.text_of(DISPLAY).or_else(|| about.text_of(DISPLAY)))
}

fn account<'a>(fields: Json<'_, 'a>, names: &[&str], fallback: Option<Text<'a>>) -> Option<Account<'a>> {
    Some(Account { uid: fields.get("id").text().or(fallback)?, name: fields.text_of(names) })
}
