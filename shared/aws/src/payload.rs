//! The AWS Security Finding Format (ASFF) as it is seen, not as it is specified: every field may be missing or oddly typed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use stanch_core::cloud::Text;
use stanch_core::lenient::{LList, LMany, LOne, LText, LTime};

/// One finding.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Asff<'a> {
    /// Only a finding in OCSF has one.
    #[serde(borrow, rename = "class_uid")]
    pub class_uid: LText<'a>,
    #[serde(borrow)]
    pub id: LText<'a>,
    #[serde(borrow)]
    pub product_arn: LText<'a>,
    #[serde(borrow)]
    pub product_name: LText<'a>,
    #[serde(borrow)]
    pub company_name: LText<'a>,
    #[serde(borrow)]
    pub generator_id: LText<'a>,
    #[serde(borrow)]
    pub aws_account_id: LText<'a>,
    #[serde(borrow)]
    pub aws_account_name: LText<'a>,
    #[serde(borrow)]
    pub region: LText<'a>,
    #[serde(borrow)]
    pub title: LText<'a>,
    #[serde(borrow)]
    pub description: LText<'a>,
    #[serde(borrow)]
    pub types: LList<'a>,
    pub created_at: LTime,
    pub updated_at: LTime,
    pub first_observed_at: LTime,
    pub last_observed_at: LTime,
    #[serde(borrow)]
    pub severity: LOne<SeverityIn<'a>>,
    #[serde(borrow)]
    pub finding_provider_fields: LOne<ProviderFields<'a>>,
    #[serde(borrow)]
    pub compliance: LOne<ComplianceIn<'a>>,
    #[serde(borrow)]
    pub workflow: LOne<Workflow<'a>>,
    #[serde(borrow)]
    pub record_state: LText<'a>,
    #[serde(borrow)]
    pub remediation: LOne<RemediationIn<'a>>,
    #[serde(borrow)]
    pub resources: LMany<ResourceIn<'a>>,
    #[serde(borrow)]
    pub vulnerabilities: LMany<VulnerabilityIn<'a>>,
    #[serde(borrow)]
    pub product_fields: LOne<Entries<'a, LText<'a>>>,
    #[serde(borrow)]
    pub sample: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SeverityIn<'a> {
    #[serde(borrow)]
    pub label: LText<'a>,
    #[serde(borrow)]
    pub normalized: LText<'a>,
    #[serde(borrow)]
    pub product: LText<'a>,
    #[serde(borrow)]
    pub original: LText<'a>,
}

/// What the product said at import; the top level may have been changed by customers since.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ProviderFields<'a> {
    #[serde(borrow)]
    pub severity: LOne<SeverityIn<'a>>,
    #[serde(borrow)]
    pub types: LList<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ComplianceIn<'a> {
    #[serde(borrow)]
    pub status: LText<'a>,
    #[serde(borrow)]
    pub security_control_id: LText<'a>,
    #[serde(borrow)]
    pub associated_standards: LMany<Standard<'a>>,
    #[serde(borrow)]
    pub related_requirements: LList<'a>,
    #[serde(borrow)]
    pub status_reasons: LMany<StatusReason<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Standard<'a> {
    #[serde(borrow)]
    pub standards_id: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StatusReason<'a> {
    #[serde(borrow)]
    pub reason_code: LText<'a>,
    #[serde(borrow)]
    pub description: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Workflow<'a> {
    #[serde(borrow)]
    pub status: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RemediationIn<'a> {
    #[serde(borrow)]
    pub recommendation: LOne<Recommendation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Recommendation<'a> {
    #[serde(borrow)]
    pub text: LText<'a>,
    #[serde(borrow)]
    pub url: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ResourceIn<'a> {
    #[serde(borrow)]
    pub r#type: LText<'a>,
    #[serde(borrow)]
    pub id: LText<'a>,
    #[serde(borrow)]
    pub partition: LText<'a>,
    #[serde(borrow)]
    pub region: LText<'a>,
    /// `AWS`, `Azure` or `GCP`; absent means AWS.
    #[serde(borrow)]
    pub provider: LText<'a>,
    #[serde(borrow)]
    pub owner: LOne<Owner<'a>>,
    #[serde(borrow)]
    pub tags: LOne<Entries<'a, LText<'a>>>,
    /// Type of the details to their fields; only scalars are read.
    #[serde(borrow)]
    pub details: LOne<Entries<'a, LOne<Entries<'a, LText<'a>>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Owner<'a> {
    #[serde(borrow)]
    pub account: LOne<OwnerAccount<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OwnerAccount<'a> {
    #[serde(borrow, alias = "Uid")]
    pub id: LText<'a>,
    #[serde(borrow)]
    pub name: LText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VulnerabilityIn<'a> {
    #[serde(borrow)]
    pub id: LText<'a>,
    #[serde(borrow)]
    pub cvss: LMany<Cvss<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Cvss<'a> {
    #[serde(borrow)]
    pub version: LText<'a>,
    #[serde(borrow)]
    pub base_score: LText<'a>,
}

/// An object's members in the payload's order.
#[derive(Debug)]
pub(crate) struct Entries<'a, V>(pub Vec<(Text<'a>, V)>);

impl<V> Default for Entries<'_, V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'a> Entries<'a, LText<'a>> {
    /// The text of a member.
    pub(crate) fn text(&self, name: &str) -> Option<&Text<'a>> {
        self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.0.as_ref())
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Entries<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a, V>(std::marker::PhantomData<(&'a (), V)>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for Members<'a, V> {
            type Value = Entries<'a, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    members.push((key, map.next_value::<V>()?));
                }
                Ok(Entries(members))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// A member's name, borrowed where the payload has no escapes in it.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The parts of an ARN: `arn:partition:service:region:account:resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN; anything else is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let _partition = parts.next()?;
        Some(Arn { service: parts.next()?, region: parts.next()?, account: parts.next()?, resource: parts.next()? })
    }

    /// The account, where it is one of a customer (`aws` and empty are not).
    pub(crate) fn account(self) -> Option<&'a str> {
        is_account(self.account).then_some(self.account)
    }

    /// The region, where there is one.
    pub(crate) fn region(self) -> Option<&'a str> {
        (!self.region.is_empty()).then_some(self.region)
    }

    /// The short name, where the form leaves no doubt: `bucket`, `instance/i-1`, `db:name`, and the last part of an IAM path.
    pub(crate) fn name(self) -> Option<&'a str> {
        let mut parts = self.resource.split([':', '/']);
        let (first, second, more) = (parts.next()?, parts.next(), parts.next());
        let name = match (second, more) {
            (None, _) => first,
            (Some(name), None) => name,
            _ if self.service == "iam" => self.resource.rsplit('/').next()?,
            _ => return None,
        };
        (!name.is_empty()).then_some(name)
    }
}

/// Whether a text is an AWS account id.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A part of a text, borrowed from the event where the text is.
pub(crate) fn part<'a>(text: &Text<'a>, find: impl Fn(&str) -> Option<&str>) -> Option<Text<'a>> {
    match text {
        Cow::Borrowed(text) => find(text).map(Cow::Borrowed),
        Cow::Owned(text) => find(text).map(|part| Cow::Owned(part.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_arn_is_taken_only_where_it_is_plain() {
        let name = |arn| Arn::parse(arn).and_then(Arn::name);
        assert_eq!(name("arn:aws:s3:::logs"), Some("logs"));
        assert_eq!(name("arn:aws:ec2:eu-west-1:111122223333:instance/i-1"), Some("i-1"));
        assert_eq!(name("arn:aws:rds:eu-west-1:111122223333:db:orders"), Some("orders"));
        assert_eq!(name("arn:aws:iam::111122223333:user/teams/red/ann"), Some("ann"));
        assert_eq!(name("arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/front/50dc"), None);
        assert_eq!(name("i-1"), None);
    }
}
