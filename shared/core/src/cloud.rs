//! Clouds, accounts and resources: what a finding is about and where a fix acts.

mod identity;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Text that borrows from the event where it can.
pub type Text<'a> = Cow<'a, str>;

/// The cloud a resource lives in. It decides which signer carries a fix, whoever reported the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Microsoft Azure.
    Azure,
    /// Amazon Web Services, every partition.
    Aws,
    /// Google Cloud.
    Gcp,
}

impl Cloud {
    /// The lower-case name used in scopes, rules and identities.
    pub fn as_str(self) -> &'static str {
        match self {
            Cloud::Azure => "azure",
            Cloud::Aws => "aws",
            Cloud::Gcp => "gcp",
        }
    }

    /// The name OCSF producers use in `cloud.provider`.
    pub fn provider(self) -> &'static str {
        match self {
            Cloud::Azure => "Azure",
            Cloud::Aws => "AWS",
            Cloud::Gcp => "GCP",
        }
    }

    /// Reads the names vendors use: `AWS`, `aws`, `Amazon Web Services`, `GOOGLE_CLOUD_PLATFORM`, `MICROSOFT_AZURE` and so on.
    pub fn parse(text: &str) -> Option<Self> {
        const NAMES: &[(&str, Cloud)] = &[
            ("azure", Cloud::Azure),
            ("microsoft_azure", Cloud::Azure),
            ("microsoft azure", Cloud::Azure),
            ("microsoft", Cloud::Azure),
            ("aws", Cloud::Aws),
            ("amazon_web_services", Cloud::Aws),
            ("amazon web services", Cloud::Aws),
            ("amazon", Cloud::Aws),
            ("gcp", Cloud::Gcp),
            ("google", Cloud::Gcp),
            ("google_cloud_platform", Cloud::Gcp),
            ("google cloud", Cloud::Gcp),
            ("google cloud platform", Cloud::Gcp),
        ];
        let text = text.trim();
        NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, cloud)| *cloud)
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An Azure subscription (GUID), AWS account (12 digits) or Google Cloud project (id or number).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account<'a> {
    /// The provider's id.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// The display name, where the payload has one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
}

impl Account<'_> {
    /// A copy that owns its text.
    pub fn into_owned(self) -> Account<'static> {
        Account { uid: own(self.uid), name: self.name.map(own) }
    }
}

/// One resource a finding names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource<'a> {
    /// The cloud the resource lives in.
    pub cloud: Cloud,
    /// The native id as the payload gave it: an ARM id, an ARN, a Google full resource name.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// The vendor's type as the payload gave it: `AwsS3Bucket`, `Microsoft.Storage/storageAccounts`, `google.compute.Firewall`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    /// The short name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// Subscription, account or project.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account<'a>>,
    /// Region or location.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Text<'a>>,
    /// Tags or labels, in the payload's order.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Resource<'a> {
    /// A resource of which only cloud and id are known.
    pub fn new(cloud: Cloud, uid: impl Into<Text<'a>>) -> Self {
        Resource { cloud, uid: uid.into(), kind: None, name: None, account: None, region: None, tags: Vec::new() }
    }

    /// The id under which plans and holds are kept; see [`ResourceUid::canonical`]. What tells one resource from another is its
    /// [`Resource::identity`].
    pub fn canonical(&self) -> ResourceUid {
        ResourceUid::canonical(self.cloud, &self.uid)
    }

    /// A copy that owns its text.
    pub fn into_owned(self) -> Resource<'static> {
        Resource {
            cloud: self.cloud,
            uid: own(self.uid),
            kind: self.kind.map(own),
            name: self.name.map(own),
            account: self.account.map(Account::into_owned),
            region: self.region.map(own),
            tags: self.tags.into_iter().map(|(k, v)| (own(k), own(v))).collect(),
        }
    }
}

/// A canonical resource id: two ids of one resource compare equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceUid(String);

impl ResourceUid {
    /// Canonicalises a native id. ARM ids ignore case and a trailing slash, so they are lower-cased; ARNs and
    /// Google names are case-sensitive and only trimmed. A bare bucket name of AWS stays what it is.
    pub fn canonical(cloud: Cloud, uid: &str) -> Self {
        let uid = uid.trim();
        match cloud {
            Cloud::Azure => {
                let mut text = uid.trim_end_matches('/').to_ascii_lowercase();
                if text.starts_with("subscriptions/") {
                    text.insert(0, '/');
                }
                ResourceUid(text)
            }
            // Both generations of Security Hub must name an account alike.
            Cloud::Aws => ResourceUid(uid.strip_prefix("AWS::::Account:").unwrap_or(uid).to_owned()),
            Cloud::Gcp => ResourceUid(uid.trim_start_matches("https:").to_owned()),
        }
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A piece of a text, borrowed from the event where the text is.
pub fn part<'a>(text: &Text<'a>, find: impl for<'b> Fn(&'b str) -> Option<&'b str>) -> Option<Text<'a>> {
    match text {
        Cow::Borrowed(text) => find(text).map(Cow::Borrowed),
        Cow::Owned(text) => find(text).map(|piece| Cow::Owned(piece.to_owned())),
    }
}

/// Turns borrowed text into text that owns itself.
pub(crate) fn own(text: Text<'_>) -> Text<'static> {
    Cow::Owned(text.into_owned())
}
