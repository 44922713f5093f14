//! What the readers of AWS's own formats share: severity bands, CVSS, and the names Security Hub gives to a service's findings.

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Product, Severity};
use stanch_core::json::Json;

use crate::arn::{Arn, account_in, name_in, region_in};

/// Security Hub's bands of 0 to 100 (<https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Severity.html>).
pub(super) fn banded(number: f64) -> Severity {
    match number {
        n if n < 1.0 => Severity::Informational,
        n if n < 40.0 => Severity::Low,
        n if n < 70.0 => Severity::Medium,
        n if n < 90.0 => Severity::High,
        n if n <= 100.0 => Severity::Critical,
        _ => Severity::Unknown,
    }
}

/// The base score of the newest CVSS version in a list of scores.
pub(super) fn newest_cvss<'a>(scores: Json<'_, 'a>) -> Option<Text<'a>> {
    let scored = scores.items().filter(|cvss| cvss.get("BaseScore").is_present());
    let newest = scored.reduce(|best, next| if next.get("Version").str() > best.get("Version").str() { next } else { best });
    newest?.get("BaseScore").text()
}

/// Accounts, regions and the like are repeated with every resource: one longer than any real one would make a small delivery
/// fill the memory, and is none.
pub(super) fn short(text: Option<Text<'_>>) -> Option<Text<'_>> {
    text.filter(|text| text.len() <= 256)
}

/// Where a service's own finding belongs: what its ARNs are made of.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub partition: Text<'a>,
    pub region: Option<Text<'a>>,
    pub account: Option<Account<'a>>,
}

impl<'a> Place<'a> {
    /// From the payload's own fields, else from the finding's ARN.
    pub(super) fn new(partition: Option<Text<'a>>, region: Option<Text<'a>>, account: Option<Text<'a>>, uid: Option<&Text<'a>>) -> Self {
        let of_arn = |find: for<'t> fn(&'t str) -> Option<&'t str>| part(uid?, find);
        Place {
            partition: short(partition.or_else(|| of_arn(|arn| Arn::parse(arn).map(|arn| arn.partition)))).unwrap_or(Text::Borrowed("aws")),
            region: short(region.or_else(|| of_arn(region_in))),
            account: short(account.or_else(|| of_arn(account_in))).map(|uid| Account { uid, name: None }),
        }
    }

    /// The ARN of something in this place, where region and account are known.
    pub(super) fn arn(&self, service: &str, resource: &str) -> Option<Text<'a>> {
        let (region, account) = (self.region.as_deref()?, self.account.as_ref()?);
        Some(Text::Owned(format!("arn:{}:{service}:{region}:{}:{resource}", self.partition, account.uid)))
    }

    /// Security Hub's `ProductArn` for one of AWS's services.
    pub(super) fn product(&self, slug: &str, name: &'static str) -> Product<'a> {
        let uid = self.region.as_deref().map(|region| format!("arn:{}:securityhub:{region}::product/aws/{slug}", self.partition).into());
        Product { name: name.into(), vendor: "Amazon".into(), uid, version: None }
    }

    /// A resource here. Region and account of its ARN come first.
    pub(super) fn resource(&self, uid: Text<'a>, kind: Option<Text<'a>>) -> Resource<'a> {
        Resource {
            name: part(&uid, name_in),
            account: part(&uid, account_in).map(|uid| Account { uid, name: None }).or_else(|| self.account.clone()),
            region: part(&uid, region_in).or_else(|| self.region.clone()),
            kind,
            ..Resource::new(Cloud::Aws, uid)
        }
    }
}

/// Tags as a list of `{key, value}`, or as an object.
pub(super) fn tags<'a>(tags: Json<'_, 'a>) -> Vec<(Text<'a>, Text<'a>)> {
    if tags.is_list() {
        return tags.items().filter_map(|tag| Some((tag.get("key").text()?, tag.get("value").text().unwrap_or_default()))).collect();
    }
    tags.members().map(|(key, value)| (key.clone(), value.text().unwrap_or_default())).collect()
}
