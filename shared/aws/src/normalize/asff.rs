//! The AWS Security Finding Format as it is seen, not as it is specified: every field may be missing or oddly typed.

mod compliance;
mod resource;

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Text, part};
use stanch_core::finding::{
    Activity, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, SourceRef, Vulnerability,
};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::native::{banded, newest_cvss, short};
use crate::arn::{Arn, account_in, is_account, region_in};

pub(super) fn read<'a>(asff: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let text = |name: &str| asff.get(name).text();
    let Some(uid) = text("Id") else {
        return Err(NormalizeError::Field {
            kind: "Security Hub finding",
            field: Cow::Borrowed("Id"),
            problem: Cow::Borrowed("missing"),
            expected: Cow::Borrowed("the finding's id"),
        });
    };
    let product_arn = text("ProductArn");
    let slug = product_arn.as_deref().map_or("", product_slug);
    let fields = Named(asff.get("ProductFields"));
    let provider = asff.get("FindingProviderFields");
    let types = Some(asff.get("Types").texts()).filter(|types| !types.is_empty()).unwrap_or_else(|| provider.get("Types").texts());
    let compliance_in = asff.get("Compliance");
    let listed = asff.get("Vulnerabilities");
    let class = class(slug, listed.items().next().is_some(), compliance_in, &types);
    let rule = text("GeneratorId");
    let title = text("Title");

    let compliance = (class == FindingClass::Compliance || compliance_in.get("Status").is_present())
        .then(|| compliance::read(compliance_in, slug, class, rule.as_ref(), title.as_ref(), &types, fields));
    let mut vulnerabilities: Vec<_> = listed.items().map(vulnerability).collect();
    if class == FindingClass::Vulnerability && vulnerabilities.is_empty() {
        let named = [rule.as_ref(), title.as_ref()].into_iter().flatten().find_map(|text| part(text, cve_in));
        vulnerabilities.extend(named.map(|cve| Vulnerability { cve: Some(cve), ..Vulnerability::default() }));
    }

    let resources_in = asff.get("Resources");
    let first = resources_in.items().next().and_then(|resource| resource.get("Id").text());
    // The account in the ARN of a product is its vendor's.
    let named = |find: fn(&str) -> Option<&str>| [Some(&uid), first.as_ref()].into_iter().flatten().find_map(|arn| part(arn, find));
    let aws_account = text("AwsAccountId").or_else(|| named(account_in));
    let region = text("Region").or_else(|| named(region_in)).or_else(|| part(product_arn.as_ref()?, region_in));
    let own_account = short(aws_account.clone()).map(|uid| Account { uid, name: short(text("AwsAccountName")) });

    let mut resources: Vec<_> = resources_in.items().filter_map(|r| resource::read(r, own_account.as_ref())).collect();
    let cloud = resources.first().map_or(Cloud::Aws, |r| r.cloud);
    if cloud != Cloud::Aws {
        resource::name_account(&mut resources, cloud, fields);
    }
    // A region of AWS, in which a finding about another cloud is only kept.
    let (account, resource_region) = match cloud {
        Cloud::Aws => (own_account, region.clone()),
        _ => resources.first().map(|r| (r.account.clone(), r.region.clone())).unwrap_or_default(),
    };

    let record_state = text("RecordState");
    let archived = record_state.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("ARCHIVED"));
    // `WorkflowState` is what `Workflow` replaced in 2020.
    let workflow = asff.path(&["Workflow", "Status"]).text().or_else(|| text("WorkflowState"));
    let status_original = if archived { record_state } else { workflow.or(record_state) };
    let severity_in = asff.get("Severity");
    let (severity, severity_in) = match severity(severity_in) {
        Severity::Unknown => {
            let imported = if provider.get("Severity").is_object() { provider.get("Severity") } else { severity_in };
            (severity(imported), imported)
        }
        known => (known, severity_in),
    };
    let title = title.or_else(|| rule.clone()).unwrap_or_default();
    let is_true = |text: Option<&str>| text.is_some_and(|t| t.eq_ignore_ascii_case("true"));
    let sample = is_true(asff.get("Sample").str())
        || title.starts_with("[SAMPLE]")
        || is_true(fields.text("aws/guardduty/service/additionalInfo/sample").as_deref());
    let (created, updated) = (asff.get("CreatedAt").time(), asff.get("UpdatedAt").time());
    let score = fields.text("aws/inspector/inspectorScore");

    Ok(Finding {
        source: Source::SecurityHub,
        class,
        activity: activity(archived, created, updated),
        source_ref: SourceRef {
            id: uid.clone(),
            product: product_arn.clone(),
            location: region,
            account: aws_account,
            resource_group: None,
        },
        uid,
        title,
        desc: text("Description"),
        rule,
        policy: None,
        types,
        severity,
        severity_original: severity_in.any(&["Original", "Label", "Product", "Normalized"]).text(),
        status: status_original.as_deref().map_or(FindingStatus::Unknown, status),
        status_original,
        time: updated.or(created),
        created,
        modified: updated,
        first_seen: asff.get("FirstObservedAt").time(),
        last_seen: asff.get("LastObservedAt").time(),
        cloud,
        account,
        region: resource_region,
        resources,
        compliance,
        vulnerabilities,
        guidance: guidance(asff.path(&["Remediation", "Recommendation"]), fields.text("RecommendationUrl")),
        risk: score.map(|score| Risk { score: Some(score), ..Risk::default() }),
        product: product(product_arn, text("ProductName"), text("CompanyName"), fields),
        sample,
        snapshot: false,
        raw: Cow::Borrowed(asff.raw()),
    })
}

/// An archived finding is closed; one that changed since it was made is an update.
pub(super) fn activity(archived: bool, created: Option<i64>, updated: Option<i64>) -> Activity {
    match (archived, created, updated) {
        (true, ..) => Activity::Close,
        (false, Some(created), Some(updated)) if created != updated => Activity::Update,
        _ => Activity::Create,
    }
}

pub(super) fn guidance<'a>(recommendation: Json<'_, 'a>, other_url: Option<Text<'a>>) -> Option<Guidance<'a>> {
    let (desc, url) = (recommendation.get("Text").text(), recommendation.get("Url").text().or(other_url));
    (desc.is_some() || url.is_some()).then(|| Guidance { desc: desc.unwrap_or_default(), references: url.into_iter().collect() })
}

/// An object whose members are looked up by their exact names: keys of a product's own, paths among them.
#[derive(Clone, Copy)]
struct Named<'d, 'a>(Json<'d, 'a>);

impl<'a> Named<'_, 'a> {
    fn text(self, name: &str) -> Option<Text<'a>> {
        self.0.members().find(|(member, _)| member.as_ref() == name).and_then(|(_, value)| value.text())
    }
}

/// `aws/securityhub` of `arn:aws:securityhub:eu-west-1::product/aws/securityhub`, of either generation.
pub(crate) fn product_slug(product_arn: &str) -> &str {
    let resource = Arn::parse(product_arn).map_or("", |arn| arn.resource);
    resource.split_once('/').map_or("", |(_, slug)| slug)
}

/// The class by product where the product decides it, else by what the finding holds.
fn class(slug: &str, has_vulnerabilities: bool, compliance: Json<'_, '_>, types: &[Text<'_>]) -> FindingClass {
    const CHECKS: &str = "Software and Configuration Checks";
    let typed = |prefix: &str| types.iter().any(|t| t.starts_with(prefix));
    match slug {
        "aws/inspector" => FindingClass::Vulnerability,
        "aws/securityhub" => FindingClass::Compliance,
        "aws/guardduty" | "aws/macie" => FindingClass::Detection,
        _ if has_vulnerabilities => FindingClass::Vulnerability,
        _ if compliance.any(&["Status", "SecurityControlId"]).text().is_some() => FindingClass::Compliance,
        _ if typed("Software and Configuration Checks/Vulnerabilities") => FindingClass::Vulnerability,
        _ if typed(CHECKS) => FindingClass::Compliance,
        _ => FindingClass::Detection,
    }
}

fn vulnerability<'a>(vulnerability: Json<'_, 'a>) -> Vulnerability<'a> {
    let id = vulnerability.get("Id").text();
    let is_cve = id.as_deref().is_some_and(|id| id.starts_with("CVE-"));
    let (cve, advisory) = if is_cve { (id, None) } else { (None, id) };
    Vulnerability { cve, advisory, title: None, cvss: newest_cvss(vulnerability.get("Cvss")) }
}

/// A CVE id that stands at the end of a rule (`scanner/CVE-2024-1`) or at the start of a title (`CVE-2024-1 - openssl`).
fn cve_in(text: &str) -> Option<&str> {
    let tail = text.rsplit('/').next().unwrap_or(text);
    let word = tail.split([' ', ',', ':']).next().unwrap_or(tail);
    word.starts_with("CVE-").then_some(word)
}

/// Label, else the normalised number, else the product's own: GuardDuty and its like count to 10, the others to 100.
fn severity(severity: Json<'_, '_>) -> Severity {
    let label = severity.get("Label").str().map_or(Severity::Unknown, Severity::parse);
    let number = |name: &str| severity.get(name).str().and_then(|text| text.parse::<f64>().ok());
    if label != Severity::Unknown {
        return label;
    }
    let product = || number("Product").map(|n| if n <= 10.0 { n * 10.0 } else { n });
    match number("Normalized").or_else(product) {
        Some(number) => banded(number),
        // Some tools write a word there, or leave the others out.
        None => severity.any(&["Normalized", "Original"]).str().map_or(Severity::Unknown, Severity::parse),
    }
}

/// The words of `RecordState`, `Workflow.Status` and `WorkflowState`.
fn status(word: &str) -> FindingStatus {
    const WORDS: &[(&str, FindingStatus)] = &[
        ("NEW", FindingStatus::New),
        ("ACTIVE", FindingStatus::New),
        ("NOTIFIED", FindingStatus::InProgress),
        ("ASSIGNED", FindingStatus::InProgress),
        ("IN_PROGRESS", FindingStatus::InProgress),
        ("RESOLVED", FindingStatus::Resolved),
        ("SUPPRESSED", FindingStatus::Suppressed),
        ("DEFERRED", FindingStatus::Suppressed),
        ("ARCHIVED", FindingStatus::Archived),
    ];
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.trim())).map_or(FindingStatus::Unknown, |(_, status)| *status)
}

fn compliance_status(word: &str) -> ComplianceStatus {
    const WORDS: &[(&str, ComplianceStatus)] = &[
        ("PASSED", ComplianceStatus::Pass),
        ("PASS", ComplianceStatus::Pass),
        ("FAILED", ComplianceStatus::Fail),
        ("FAIL", ComplianceStatus::Fail),
        ("WARNING", ComplianceStatus::Warning),
    ];
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.trim())).map_or(ComplianceStatus::Unknown, |(_, status)| *status)
}

fn product<'a>(arn: Option<Text<'a>>, name: Option<Text<'a>>, vendor: Option<Text<'a>>, fields: Named<'_, 'a>) -> Product<'a> {
    let slug = |take: fn(&str) -> Option<&str>| arn.as_ref().and_then(|arn| part(arn, |a| take(product_slug(a))));
    Product {
        name: name
            .or_else(|| fields.text("aws/securityhub/ProductName"))
            .or_else(|| fields.text("ProductName"))
            .or_else(|| slug(|s| s.split_once('/').map(|(_, name)| name)))
            .unwrap_or_default(),
        vendor: vendor
            .or_else(|| fields.text("aws/securityhub/CompanyName"))
            .or_else(|| slug(|s| s.split_once('/').map(|(vendor, _)| vendor).filter(|v| !is_account(v))))
            .unwrap_or_default(),
        uid: arn,
        version: fields.text("ProviderVersion"),
    }
}
