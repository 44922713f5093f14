//! `Resources`: what a finding is about, in whichever cloud it lives.

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::json::Json;

use super::super::native::short;
use super::Named;
use crate::arn::{account_in, name_in, region_in};

pub(super) fn read<'a>(resource: Json<'_, 'a>, own_account: Option<&Account<'a>>) -> Option<Resource<'a>> {
    let uid = resource.get("Id").text()?;
    let kind = resource.get("Type").text();
    let cloud = cloud(&uid, kind.as_deref(), resource.get("Provider").str(), resource.get("Partition").str());
    let details = resource.get("Details");
    let owner = resource.path(&["Owner", "Account"]);
    let owner = owner.any(&["Id", "Uid"]).text().map(|uid| Account { uid, name: owner.get("Name").text() });
    let named = |find: fn(&str) -> Option<&str>| part(&uid, find).map(|uid| Account { uid, name: None });
    let account = match cloud {
        Cloud::Aws => named(account_in)
            .or(owner)
            .map(|account| own_account.filter(|own| own.uid == account.uid).cloned().unwrap_or(account))
            .or_else(|| own_account.cloned()),
        Cloud::Azure => named(|t| after(t, "/subscriptions/")).or(owner),
        Cloud::Gcp => named(|t| after(t, "/projects/").or_else(|| t.strip_prefix("projects/")?.split('/').next()))
            .or(owner)
            .or_else(|| project(details)),
    };
    let name = if kind.as_deref() == Some("AwsIamAccessKey") { None } else { details_name(details) };
    let region = resource.get("Region").text().or_else(|| part(&uid, region_in));
    Some(Resource {
        cloud,
        name: name.or_else(|| part(&uid, name_in)),
        uid,
        kind,
        account,
        region,
        tags: resource.get("Tags").members().map(|(key, value)| (key.clone(), value.text().unwrap_or_default())).collect(),
    })
}

/// The account of resources outside AWS that do not name it, where the product says which cloud and account it looked at.
pub(super) fn name_account<'a>(resources: &mut [Resource<'a>], cloud: Cloud, fields: Named<'_, 'a>) {
    let looked_at = fields.text("Provider").and_then(|provider| Cloud::parse(&provider)) == Some(cloud);
    let Some(uid) = short(fields.text("ProviderAccountId")).filter(|_| looked_at) else { return };
    for resource in resources.iter_mut().filter(|r| r.cloud == cloud && r.account.is_none()) {
        resource.account = Some(Account { uid: uid.clone(), name: None });
    }
}

/// Security Hub also reports resources of other clouds; they are fixed where they live.
fn cloud(uid: &str, kind: Option<&str>, provider: Option<&str>, partition: Option<&str>) -> Cloud {
    let starts = |text: &str, prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if let Some(cloud) = provider.and_then(Cloud::parse) {
        return cloud;
    }
    if partition.is_some_and(|p| starts(p, "Azure")) || starts(uid, "/subscriptions/") {
        return Cloud::Azure;
    }
    if uid.starts_with("arn:") {
        return Cloud::Aws;
    }
    match kind {
        Some(kind) if starts(kind, "Gcp") || starts(kind, "google.") => Cloud::Gcp,
        Some(kind) if starts(kind, "Azure") || starts(kind, "Microsoft.") => Cloud::Azure,
        Some(kind) if kind.contains(".googleapis.com/") => Cloud::Gcp,
        _ if uid.starts_with("//") && uid.contains(".googleapis.com/") => Cloud::Gcp,
        _ => Cloud::Aws,
    }
}

/// The path segment after a marker, the marker's case ignored as Azure does.
fn after<'t>(text: &'t str, marker: &str) -> Option<&'t str> {
    let at = text.to_ascii_lowercase().find(marker)? + marker.len();
    text.get(at..)?.split('/').next().filter(|segment| !segment.is_empty())
}

fn project<'a>(details: Json<'_, 'a>) -> Option<Account<'a>> {
    let uid = details.members().find_map(|(_, details)| details.text_of(&["GcpProjectId", "ProjectId"]))?;
    Some(Account { uid, name: None })
}

/// The name among a resource's details, by the members ASFF uses for it.
fn details_name<'a>(details: Json<'_, 'a>) -> Option<Text<'a>> {
    const NAMES: &[&str] = &[
        "Name",
        "FunctionName",
        "RoleName",
        "UserName",
        "GroupName",
        "PolicyName",
        "DBInstanceIdentifier",
        "DbInstanceIdentifier",
        "DbClusterIdentifier",
        "ClusterIdentifier",
        "ClusterName",
        "TableName",
        "TopicName",
        "QueueName",
        "DomainName",
        "RepositoryName",
        "LoadBalancerName",
        "StageName",
    ];
    let (_, details) = details.members().find(|(_, details)| details.is_object())?;
    details.any(NAMES).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_shows_its_cloud() {
        for (uid, kind, provider, partition, expected) in [
            ("//compute.googleapis.com/projects/p", None, None, None, Cloud::Gcp),
            ("AWS::::Account:111122223333", Some("AwsAccount"), None, Some("aws"), Cloud::Aws),
            ("/SUBSCRIPTIONS/0/resourceGroups/g", Some("Other"), None, Some("aws"), Cloud::Azure),
            ("vm-1", Some("Microsoft.Compute/virtualMachines"), None, None, Cloud::Azure),
            ("vm-1", Some("Other"), None, Some("AzureCloud"), Cloud::Azure),
            ("p/us-central1-a/1", Some("GcpGceVmInstance"), None, Some("aws"), Cloud::Gcp),
            ("b", Some("storage.googleapis.com/Bucket"), None, None, Cloud::Gcp),
            ("vm-1", Some("Other"), Some("GCP"), None, Cloud::Gcp),
            ("arn:aws:s3:::b", Some("AzureLooking"), None, None, Cloud::Aws),
            ("i-1", None, None, None, Cloud::Aws),
        ] {
            assert_eq!(cloud(uid, kind, provider, partition), expected, "{uid} {kind:?}");
        }
    }
}
