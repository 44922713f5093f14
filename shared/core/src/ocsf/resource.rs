//! The resources of an OCSF event, and the cloud each of them lies in.

use std::borrow::Cow;

use crate::cloud::{Account, Cloud, Resource, Text, part};
use crate::json::Json;

/// What an event is about: `resources`; `resource` of schemas up to 1.2; where it has neither, what else it names.
pub(super) fn resources_of<'d, 'a>(event: Json<'d, 'a>) -> Json<'d, 'a> {
    const PLACES: &[&str] = &["resources", "resource", "device", "databucket", "database", "application"];
    let named = |place: &Json<'_, '_>| place.items().any(|item| id(item).is_some());
    PLACES.iter().map(|place| event.get(place)).find(named).unwrap_or(event.absent())
}

/// The id: Security Hub V2 puts the ARN into `uid_alt` where `uid` is a URL or a bare id.
fn id<'a>(r: Json<'_, 'a>) -> Option<Text<'a>> {
    let other = r.get("uid_alt").text();
    if other.as_deref().is_some_and(|other| other.starts_with("arn:")) {
        return other;
    }
    r.get("uid").text().or(other).or_else(|| r.text_of(&["instance_uid", "name", "hostname"]))
}

/// The account of a `cloud`; before 1.0 it was flat.
pub(super) fn account<'a>(cloud: Json<'_, 'a>) -> Option<Account<'a>> {
    let account = cloud.get("account");
    let uid = account.get("uid").text().or_else(|| cloud.text_of(&["account_uid", "project_uid"]))?;
    Some(Account { uid, name: account.get("name").text() })
}

/// A resource. Its account: its owner, else what its id says, else (in the same cloud) that of the finding. None when it has neither
/// id nor name.
pub(super) fn read_resource<'a>(r: Json<'_, 'a>, cloud: Cloud, reporting: Cloud, reporter: Option<&Account<'a>>) -> Option<Resource<'a>> {
    let kind = r.get("type").text();
    let uid = id(r)?;
    // Security Hub V2 names an account by its bare number; the older format's id says what the number is.
    let is_account = kind.as_deref() == Some("AWS::::Account") && uid.bytes().all(|b| b.is_ascii_digit());
    let uid = if is_account { format!("AWS::::Account:{uid}").into() } else { uid };
    let owner = r.get("owner").get("account");
    let owner = owner.get("uid").text().map(|uid| Account { uid, name: owner.get("name").text() });
    let said = || {
        let uid = part(&uid, |uid| account_in(cloud, uid))?;
        Some(reporter.filter(|account| account.uid == uid).cloned().unwrap_or(Account { uid, name: None }))
    };
    Some(Resource {
        cloud,
        account: owner.or_else(said).or_else(|| reporter.filter(|_| cloud == reporting).cloned()),
        region: r.get("region").text().or_else(|| part(&uid, |uid| field(uid, 3).filter(|_| cloud == Cloud::Aws))),
        uid,
        kind,
        name: r.get("name").text(),
        tags: tags(r),
    })
}

/// A field of an ARN.
fn field(arn: &str, at: usize) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').nth(at - 1).filter(|field| !field.is_empty())
}

fn account_in(cloud: Cloud, uid: &str) -> Option<&str> {
    let after = |key: &str| {
        let mut segments = uid.split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case(key))?;
        segments.next().filter(|segment| !segment.is_empty() && *segment != "_")
    };
    match cloud {
        Cloud::Aws => field(uid, 4).filter(|account| account.bytes().all(|b| b.is_ascii_digit())),
        Cloud::Azure => after("subscriptions"),
        Cloud::Gcp => after("projects"),
    }
}

/// `tags` as OCSF has them or as a map, else `labels`.
fn tags<'a>(r: Json<'_, 'a>) -> Vec<(Text<'a>, Text<'a>)> {
    let listed = r.get("tags");
    let named = |tag: Json<'_, 'a>| {
        let value = tag.get("value").text().or_else(|| tag.get("values").texts().into_iter().next());
        Some((tag.text_of(&["name", "key"])?, value.unwrap_or_default()))
    };
    let mut tags: Vec<_> = listed.items().filter_map(named).collect();
    for map in [listed, r.get("labels")] {
        if tags.is_empty() && map.is_object() {
            tags.extend(map.members().filter_map(|(name, value)| Some((name.clone(), value.text()?))));
        }
    }
    if tags.is_empty() {
        tags.extend(r.get("labels").texts().into_iter().map(label));
    }
    tags
}

/// `key:value` as Prowler writes labels, `key=value` as Security Lake did.
fn label(label: Text<'_>) -> (Text<'_>, Text<'_>) {
    let key = part(&label, |text| text.split_once([':', '=']).map(|(key, _)| key));
    let value = part(&label, |text| text.split_once([':', '=']).map(|(_, value)| value));
    match (key, value) {
        (Some(key), Some(value)) => (key, value),
        _ => (label, Cow::default()),
    }
}

/// The cloud a resource itself shows: by `provider`, partition, the form of its id, the form of its type.
pub(super) fn own_cloud(r: Json<'_, '_>) -> Option<Cloud> {
    let by = |name: &str, cloud: fn(&str) -> Option<Cloud>| r.get(name).str().and_then(cloud);
    by("provider", Cloud::parse)
        .or_else(|| by("cloud_partition", cloud_of_partition))
        .or_else(|| by("uid", cloud_of_uid))
        .or_else(|| by("uid_alt", cloud_of_uid))
        .or_else(|| by("type", cloud_of_kind))
}

/// What else shows where a finding comes from when `cloud.provider` does not: the partition, the kind of account, the form of the
/// finding's or the product's id.
pub(super) fn cloud_by_signs(cloud: Json<'_, '_>, finding_uid: &str, product: Json<'_, '_>) -> Option<Cloud> {
    let partition = cloud.get("cloud_partition").str().and_then(cloud_of_partition);
    let account = || match cloud.get("account").get("type_id").str()? {
        "10" => Some(Cloud::Aws),
        "5" | "11" => Some(Cloud::Gcp),
        "6" | "13" => Some(Cloud::Azure),
        _ => None,
    };
    let product = || product.get("uid").str().and_then(cloud_of_uid);
    // A provider that is named and is none of the three is not overruled.
    let unnamed = !cloud.get("provider").is_present();
    if unnamed { partition.or_else(account).or_else(|| cloud_of_uid(finding_uid)).or_else(product) } else { None }
}

fn cloud_of_partition(partition: &str) -> Option<Cloud> {
    let partition = partition.to_ascii_lowercase();
    let starts = |with: &str| partition.starts_with(with);
    if starts("aws") {
        Some(Cloud::Aws)
    } else if starts("azure") {
        Some(Cloud::Azure)
    } else if starts("gcp") || starts("google") {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

fn cloud_of_uid(uid: &str) -> Option<Cloud> {
    let lower = uid.trim().to_ascii_lowercase();
    let starts = |with: &[&str]| with.iter().any(|w| lower.starts_with(w));
    if starts(&["arn:", "aws::::"]) {
        Some(Cloud::Aws)
    } else if starts(&["/subscriptions/", "subscriptions/", "/providers/microsoft.", "/tenants/"]) {
        Some(Cloud::Azure)
    } else if (starts(&["//", "https://"]) && lower.contains(".googleapis.com/")) || starts(&["projects/"]) {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

fn cloud_of_kind(kind: &str) -> Option<Cloud> {
    let lower = kind.to_ascii_lowercase();
    if kind.starts_with("AWS::") || kind.starts_with("Aws") {
        Some(Cloud::Aws)
    } else if lower.starts_with("microsoft.") {
        Some(Cloud::Azure)
    } else if lower.contains(".googleapis.com/") || lower.starts_with("google.") {
        Some(Cloud::Gcp)
    } else {
        None
    }
}
