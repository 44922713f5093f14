//! When two resources are one: sources name the same resource by an ARN, by a bare id, by an API's address, in another case.

use std::borrow::Cow;

use super::{Cloud, Resource, ResourceUid};

/// How a bare EC2 id begins, and the type its ARN names
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>).
const EC2: &[(&str, &str)] = &[
    ("acl", "network-acl"),
    ("ami", "image"),
    ("eipalloc", "elastic-ip"),
    ("eni", "network-interface"),
    ("fl", "vpc-flow-log"),
    ("i", "instance"),
    ("igw", "internet-gateway"),
    ("lt", "launch-template"),
    ("nat", "natgateway"),
    ("rtb", "route-table"),
    ("sg", "security-group"),
    ("snap", "snapshot"),
    ("subnet", "subnet"),
    ("tgw", "transit-gateway"),
    ("vol", "volume"),
    ("vpc", "vpc"),
    ("vpce", "vpc-endpoint"),
];

/// Types of Google whose bare id, with the project, makes the full resource name: type, service and what stands around the id.
/// An address within the project that names a zone or a location cannot be told from the id.
const GOOGLE: &[(&str, &str, &str)] = &[
    ("compute.googleapis.com/firewall", "compute.googleapis.com", "global/firewalls"),
    ("compute.googleapis.com/image", "compute.googleapis.com", "global/images"),
    ("compute.googleapis.com/network", "compute.googleapis.com", "global/networks"),
    ("compute.googleapis.com/snapshot", "compute.googleapis.com", "global/snapshots"),
    ("bigquery.googleapis.com/dataset", "bigquery.googleapis.com", "datasets"),
    ("dns.googleapis.com/managedzone", "dns.googleapis.com", "managedZones"),
    ("sqladmin.googleapis.com/instance", "cloudsql.googleapis.com", "instances"),
];

impl Resource<'_> {
    /// The provider's full id, as far as the payload tells it: a bare bucket name or EC2 id as an ARN, a Google bucket, database
    /// or firewall by its full resource name, an API's address as the name it stands for. What is full already, and what cannot
    /// be completed, is the id as given.
    pub fn full_uid(&self) -> Cow<'_, str> {
        let uid = self.uid.trim();
        let full = match self.cloud {
            Cloud::Aws => self.arn(uid),
            Cloud::Azure => self.arm_id(uid),
            Cloud::Gcp => self.full_name(uid),
        };
        full.map_or(Cow::Borrowed(uid), Cow::Owned)
    }

    /// The id under which remediations are kept: every spelling of one resource gives the same.
    pub fn identity(&self) -> ResourceUid {
        let full = self.full_uid();
        match self.cloud {
            Cloud::Aws => ResourceUid(aws_identity(&full)),
            Cloud::Azure | Cloud::Gcp => ResourceUid::canonical(self.cloud, &full),
        }
    }

    fn account_uid(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.uid.as_ref()).filter(|uid| !uid.is_empty())
    }

    /// The type's letters and digits, lower-case: `awss3bucket` of `AwsS3Bucket` and of `AWS::S3::Bucket`.
    fn kind_word(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    }

    fn arn(&self, uid: &str) -> Option<String> {
        if uid.is_empty() || uid.contains([':', '/', ' ']) {
            return None;
        }
        let region = self.region.as_deref().unwrap_or_default();
        if self.kind_word() == "awss3bucket" {
            return Some(format!("arn:{}:s3:::{uid}", partition(region)));
        }
        let (prefix, rest) = uid.split_once('-')?;
        let (_, kind) = EC2.iter().find(|(known, _)| *known == prefix)?;
        let hexadecimal = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit());
        let account = self.account_uid().filter(|_| hexadecimal && !region.is_empty())?;
        Some(format!("arn:{}:ec2:{region}:{account}:{kind}/{uid}", partition(region)))
    }

    fn arm_id(&self, uid: &str) -> Option<String> {
        if let Some(path) = strip_prefix_of(uid, "https://management.azure.com") {
            return Some(path.to_owned());
        }
        (self.account_uid() == Some(uid) && !uid.contains('/')).then(|| format!("/subscriptions/{uid}"))
    }

    fn full_name(&self, uid: &str) -> Option<String> {
        if let Some(address) = uid.strip_prefix("https:").unwrap_or(uid).strip_prefix("//") {
            let name = google_name(address);
            return self.project_by_id(name.as_deref().unwrap_or(uid)).or(name);
        }
        if uid.is_empty() || uid.contains(['/', ' ']) {
            return None;
        }
        let kind = self.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
        if kind == "storage.googleapis.com/bucket" || kind == "google.cloud.storage.bucket" {
            return Some(format!("//storage.googleapis.com/{uid}"));
        }
        let account = self.account_uid()?;
        if account == uid {
            return Some(format!("//cloudresourcemanager.googleapis.com/projects/{uid}"));
        }
        let (_, service, path) = GOOGLE.iter().find(|(known, ..)| *known == kind)?;
        Some(format!("//{service}/projects/{account}/{path}/{uid}"))
    }

    /// A project has a number and an id: it is named by its id where the payload tells both.
    fn project_by_id(&self, name: &str) -> Option<String> {
        let number = name.strip_prefix("//cloudresourcemanager.googleapis.com/projects/")?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let id = self.account_uid().filter(|id| is_number(number) && !is_number(id))?;
        Some(format!("//cloudresourcemanager.googleapis.com/projects/{id}"))
    }
}

impl ResourceUid {
    /// Whether it names the resource without the account it is in: an ARN, an ARM id, a Google full resource name.
    pub fn is_global(&self) -> bool {
        ["arn:", "/subscriptions/", "/providers/", "//"].iter().any(|start| self.as_str().starts_with(start))
    }

    /// Whether it is, in AWS, an account as a whole.
    pub fn is_aws_account(&self) -> bool {
        is_account(self.as_str())
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The partition a region belongs to; without a region the ordinary one.
fn partition(region: &str) -> &'static str {
    const STARTS: &[(&str, &str)] = &[
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    STARTS.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, partition)| partition)
}

fn strip_prefix_of<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The account's root user and its password policy exist once in an account and are named in place of it (Prowler); so is an
/// ARN of IAM without a resource (Defender). Images and snapshots have no account in their ARN, though some write one. An
/// unqualified function and its `$LATEST`, a log group with and without `:*`, are one.
fn aws_identity(uid: &str) -> String {
    if let Some(account) = uid.strip_prefix("AWS::::Account:") {
        return account.to_owned();
    }
    let fields: Vec<&str> = uid.splitn(6, ':').collect();
    match fields.as_slice() {
        ["arn", _, "iam", _, account] | ["arn", _, "iam", _, account, "root" | "password-policy"] if is_account(account) => {
            (*account).to_owned()
        }
        ["arn", partition, "ec2", region, _, rest] if rest.starts_with("image/") || rest.starts_with("snapshot/") => {
            format!("arn:{partition}:ec2:{region}::{rest}")
        }
        ["arn", _, "lambda", ..] => uid.strip_suffix(":$LATEST").unwrap_or(uid).to_owned(),
        ["arn", _, "logs", _, _, rest] if rest.starts_with("log-group:") => uid.strip_suffix(":*").unwrap_or(uid).to_owned(),
        _ => uid.to_owned(),
    }
}

/// The full resource name an address of an API stands for: `//www.googleapis.com/compute/v1/projects/p/…` and
/// `//compute.googleapis.com/compute/v1/projects/p/…` are `//compute.googleapis.com/projects/p/…`. A bucket is
/// `//storage.googleapis.com/NAME`, however it is addressed. `None`: it is one already, or none can be told.
fn google_name(address: &str) -> Option<String> {
    let (host, path) = address.split_once('/')?;
    let mut segments: Vec<&str> = path.split('/').collect();
    let is_version =
        |text: &str| text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) || text == "beta";
    let service = match segments.as_slice() {
        [service, version, _, ..] if is_version(version) => {
            let service = (*service).to_owned();
            segments.drain(..2);
            Some(service)
        }
        [version, _, ..] if is_version(version) => {
            segments.drain(..1);
            None
        }
        _ => None,
    };
    let host = match (host, service.as_deref()) {
        ("www.googleapis.com", Some(service)) => format!("{service}.googleapis.com"),
        _ => host.to_owned(),
    };
    let host = if ["sql.googleapis.com", "sqladmin.googleapis.com"].contains(&host.as_str()) {
        "cloudsql.googleapis.com".to_owned()
    } else {
        host
    };
    let path = match segments.as_slice() {
        ["b", bucket] | ["projects", "_", "buckets", bucket] if host == "storage.googleapis.com" => (*bucket).to_owned(),
        _ => segments.join("/"),
    };
    let name = format!("//{host}/{path}");
    (name.strip_prefix("//") != Some(address)).then_some(name)
}
