//! The resource a fix acts on, with its id taken apart: the variable `resource` of the fix language.

use serde_json::{Map, Value};

use crate::cloud::{Cloud, Resource, ResourceUid};
use crate::finding::Finding;

/// A resource a fix can be planned on.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Which signer.
    pub cloud: Cloud,
    /// Subscription, account or project.
    pub account: String,
    /// Region, where one is known.
    pub region: Option<String>,
    /// Canonical id.
    pub uid: ResourceUid,
    /// Canonical type; see [`canonical_kind`].
    pub kind: String,
    /// What `resource` is in expressions.
    pub value: Value,
}

/// Why a resource cannot be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot act on resource `{uid}`: {problem}")]
pub struct TargetError {
    /// The native id.
    pub uid: String,
    /// What is missing.
    pub problem: &'static str,
}

impl Target {
    /// Takes a resource of a finding apart. Account and region come from the resource's own id first, then from the
    /// resource, then from the finding: an envelope's account may be the aggregator's.
    pub fn of(finding: &Finding<'_>, resource: &Resource<'_>) -> Result<Self, TargetError> {
        let full = resource.full_uid();
        let uid = full.as_ref();
        let error = |problem| TargetError { uid: uid.to_owned(), problem };
        let mut parts = match resource.cloud {
            Cloud::Aws => aws_parts(uid),
            Cloud::Azure => azure_parts(uid).ok_or(error("it is no Azure resource id (/subscriptions/…)"))?,
            Cloud::Gcp => gcp_parts(uid).ok_or(error("it is no Google full resource name (//service.googleapis.com/…)"))?,
        };
        let own = |key: &str, parts: &Map<String, Value>| parts.get(key).and_then(Value::as_str).map(str::to_owned);
        let account = own("account", &parts)
            .or_else(|| resource.account.as_ref().or(finding.account.as_ref()).map(|a| a.uid.to_string()))
            .filter(|a| !a.is_empty())
            .ok_or(error("its subscription, account or project is not known"))?;
        let region = own("region", &parts)
            .or_else(|| resource.region.as_ref().or(finding.region.as_ref()).map(ToString::to_string))
            .filter(|r| !r.is_empty());
        let kind = canonical_kind(resource.cloud, resource.kind.as_deref(), uid).ok_or(error("its type is not known"))?;
        parts.insert("uid".into(), uid.into());
        parts.insert("kind".into(), kind.clone().into());
        parts.insert("account".into(), account.clone().into());
        parts.insert("cloud".into(), resource.cloud.as_str().into());
        if let Some(region) = &region {
            parts.insert("region".into(), region.clone().into());
        }
        Ok(Target {
            cloud: resource.cloud,
            account,
            region,
            uid: ResourceUid::canonical(resource.cloud, uid),
            kind,
            value: Value::Object(parts),
        })
    }
}

/// One spelling for each resource type: AWS `awss3bucket` (from `AwsS3Bucket` or `AWS::S3::Bucket`), Azure
/// `microsoft.storage/storageaccounts` (from the id, else the type), Google `storage.googleapis.com/buckets` (from the name).
pub fn canonical_kind(cloud: Cloud, kind: Option<&str>, uid: &str) -> Option<String> {
    match cloud {
        Cloud::Aws => {
            let kind = kind.map(|k| k.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase());
            match kind.filter(|k| !k.is_empty()) {
                Some(k) if k == "awsaccount" || k == "account" => Some("awsaccount".into()),
                Some(k) => Some(k),
                None if uid.contains(":::Account") => Some("awsaccount".into()),
                None => None,
            }
        }
        Cloud::Azure => azure_kind(uid).or_else(|| kind.map(str::to_ascii_lowercase)),
        Cloud::Gcp => gcp_kind(uid).or_else(|| kind.map(str::to_ascii_lowercase)),
    }
}

/// ARN `arn:partition:service:region:account:resource`; a bare id is only an id.
fn aws_parts(uid: &str) -> Map<String, Value> {
    let mut parts = Map::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            parts.insert(key.into(), value.into());
        }
    };
    let bare = uid.len() == 12 && uid.bytes().all(|b| b.is_ascii_digit());
    if let Some(account) = uid.strip_prefix("AWS::::Account:").or(bare.then_some(uid)) {
        put("id", account);
        put("account", account);
        put("partition", "aws");
        return parts;
    }
    let fields: Vec<&str> = uid.splitn(6, ':').collect();
    if let ["arn", partition, service, region, account, resource] = fields.as_slice() {
        put("partition", partition);
        put("service", service);
        put("region", region);
        put("account", account);
        put("path", resource);
        let id = match resource.find(['/', ':']) {
            Some(at) => resource.get(at + 1..).unwrap_or(resource),
            None => resource,
        };
        let id = if *service == "lambda" { id.split(':').next().unwrap_or(id) } else { id };
        put("id", id);
        put("name", id.rsplit('/').next().unwrap_or(id));
    } else {
        put("id", uid);
        put("name", uid);
    }
    parts
}

/// ARM id `/subscriptions/{s}[/resourceGroups/{g}][/providers/{ns}/{type}/{name}…]`.
fn azure_parts(uid: &str) -> Option<Map<String, Value>> {
    let segments: Vec<&str> = uid.trim_matches('/').split('/').collect();
    if !segments.first()?.eq_ignore_ascii_case("subscriptions") {
        return None;
    }
    let subscription = segments.get(1)?.to_ascii_lowercase();
    let mut parts = Map::new();
    parts.insert("account".into(), subscription.clone().into());
    parts.insert("subscription".into(), subscription.into());
    if let (Some(word), Some(group)) = (segments.get(2), segments.get(3))
        && word.eq_ignore_ascii_case("resourceGroups")
    {
        parts.insert("resource_group".into(), (*group).into());
    }
    let name = segments.last().copied().unwrap_or_default();
    parts.insert("id".into(), name.into());
    parts.insert("name".into(), name.into());
    parts.insert("path".into(), format!("/{}", segments.join("/")).into());
    Some(parts)
}

fn azure_kind(uid: &str) -> Option<String> {
    let segments: Vec<&str> = uid.trim_matches('/').split('/').collect();
    let at = segments.iter().rposition(|s| s.eq_ignore_ascii_case("providers"));
    match at {
        Some(at) => {
            let mut kind = segments.get(at + 1)?.to_ascii_lowercase();
            for segment in segments.iter().skip(at + 2).step_by(2) {
                kind.push('/');
                kind.push_str(&segment.to_ascii_lowercase());
            }
            Some(kind)
        }
        None if segments.len() == 2 => Some("microsoft.resources/subscriptions".into()),
        None if segments.len() == 4 => Some("microsoft.resources/resourcegroups".into()),
        None => None,
    }
}

/// Full resource name `//service.googleapis.com/projects/{p}/…/{collection}/{id}`, or `//storage.googleapis.com/{bucket}`.
fn gcp_parts(uid: &str) -> Option<Map<String, Value>> {
    let (host, path) = uid.strip_prefix("//")?.split_once('/')?;
    if !host.ends_with(".googleapis.com") {
        return None;
    }
    let segments: Vec<&str> = path.split('/').collect();
    let after = |word: &str| segments.iter().position(|s| *s == word).and_then(|at| segments.get(at + 1)).copied();
    let name = segments.last().copied()?;
    let mut parts = Map::new();
    parts.insert("host".into(), host.into());
    parts.insert("path".into(), path.into());
    parts.insert("id".into(), name.into());
    parts.insert("name".into(), name.into());
    if let Some(project) = after("projects") {
        parts.insert("project".into(), project.into());
        parts.insert("account".into(), project.into());
    }
    for word in ["regions", "zones", "locations"] {
        if let Some(location) = after(word) {
            parts.insert("location".into(), location.into());
            parts.insert("region".into(), location.into());
        }
    }
    Some(parts)
}

fn gcp_kind(uid: &str) -> Option<String> {
    let (host, path) = uid.strip_prefix("//")?.split_once('/')?;
    let segments: Vec<&str> = path.split('/').collect();
    let collection = match segments.as_slice() {
        [_] if host == "storage.googleapis.com" => "buckets",
        [.., collection, _] => collection,
        _ => return None,
    };
    Some(format!("{host}/{}", collection.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart() {
        let get = |parts: &Map<String, Value>, key: &str| parts.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        for (arn, id, account, region) in [
            ("arn:aws:s3:::b.example", "b.example", "-", "-"),
            ("arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1", "sg-1", "111122223333", "eu-west-1"),
            ("arn:aws:lambda:eu-west-1:111122223333:function:f:PROD", "f", "111122223333", "eu-west-1"),
            ("arn:aws:rds:eu-west-1:111122223333:db:shop", "shop", "111122223333", "eu-west-1"),
            ("AWS::::Account:111122223333", "111122223333", "111122223333", "-"),
        ] {
            let parts = aws_parts(arn);
            assert_eq!(
                (get(&parts, "id"), get(&parts, "account"), get(&parts, "region")),
                (id.into(), account.into(), region.into()),
                "{arn}"
            );
        }
        let parts = gcp_parts("//compute.googleapis.com/projects/p1/zones/z/instances/7").unwrap();
        assert_eq!((get(&parts, "project"), get(&parts, "id"), get(&parts, "region")), ("p1".into(), "7".into(), "z".into()));
    }

    #[test]
    fn one_type_has_one_spelling() {
        let kind = |cloud, kind: Option<&str>, uid: &str| canonical_kind(cloud, kind, uid).unwrap_or_default();
        assert_eq!(kind(Cloud::Aws, Some("AwsS3Bucket"), "x"), kind(Cloud::Aws, Some("AWS::S3::Bucket"), "x"));
        assert_eq!(kind(Cloud::Aws, Some("AWS::::Account"), "x"), "awsaccount");
        assert_eq!(
            kind(Cloud::Azure, None, "/subscriptions/S/resourceGroups/g/providers/Microsoft.Sql/servers/s/databases/d"),
            "microsoft.sql/servers/databases"
        );
        assert_eq!(kind(Cloud::Azure, None, "/subscriptions/S"), "microsoft.resources/subscriptions");
        assert_eq!(kind(Cloud::Gcp, Some("google.cloud.storage.Bucket"), "//storage.googleapis.com/b"), "storage.googleapis.com/buckets");
        assert_eq!(kind(Cloud::Gcp, None, "//compute.googleapis.com/projects/p/global/firewalls/9"), "compute.googleapis.com/firewalls");
    }
}
