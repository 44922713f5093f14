//! Security Hub's deliveries become findings: EventBridge events of both generations, bare findings, and answers of its API.

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Severity, Source, SourceRef,
    Vulnerability,
};
use stanch_core::json::Json;
use stanch_core::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use crate::arn::{Arn, is_account};

const ACCEPTED: &str = "Security Hub events of EventBridge (`Security Hub Findings - Imported`, `Security Hub Findings - Custom Action`, \
                        `Findings Imported V2`), a bare ASFF or Security Hub OCSF finding, and an API answer `{\"Findings\": […]}`";

const INSIGHT: NoFinding = NoFinding {
    rule: "security-hub-insight-result",
    what: "a Security Hub insight result",
    shape: "`source` `aws.securityhub` with `detail-type` `Security Hub Insight Results`",
    why: "it names resources only; send the findings themselves by a custom action on findings",
};
const OTHER: NoFinding = NoFinding {
    rule: "security-hub-other-event",
    what: "this Security Hub event",
    shape: "`source` `aws.securityhub` with a `detail-type` of no findings",
    why: "its `detail-type` is none of those that carry findings",
};
const SERVICE: NoFinding = NoFinding {
    rule: "aws-service-event",
    what: "an AWS service event",
    shape: "an EventBridge envelope whose `source` begins with `aws.` and is none that sends findings",
    why: "only Security Hub's events carry findings",
};

/// The rules for what AWS sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&INSIGHT, &OTHER, &SERVICE];

/// Every finding of a delivery: one event, or an array of events. An envelope without findings gives none.
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event: an EventBridge envelope, an answer of the API, or a finding by itself.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    if let Some(detail_type) = event.get("detail-type").str() {
        return envelope(event, detail_type, reading);
    }
    if bare(event) {
        reading.take(finding(event));
        return Ok(());
    }
    let list = event.get("Findings");
    // Other clouds answer with `findings`; only the capital letter tells an empty answer of Security Hub.
    let answer = list.items().next().map_or_else(|| event.members().any(|(name, _)| name == "Findings"), bare);
    if list.is_list() && answer {
        list.items().for_each(|item| reading.take(finding(item)));
        return Ok(());
    }
    Err(unrecognised(event))
}

fn unrecognised(event: Json<'_, '_>) -> NormalizeError {
    NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED }
}

fn envelope<'a>(event: Json<'_, 'a>, detail_type: &str, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let passed_over = match (event.get("source").str(), detail_type) {
        (
            Some("aws.securityhub"),
            "Security Hub Findings - Imported" | "Security Hub Findings - Custom Action" | "Findings Imported V2",
        ) => return listed(event.path(&["detail", "findings"]), reading),
        (Some("aws.securityhub"), "Security Hub Insight Results") => &INSIGHT,
        (Some("aws.securityhub"), _) => &OTHER,
        (Some(source), _) if source.starts_with("aws.") => &SERVICE,
        _ => return Err(unrecognised(event)),
    };
    reading.passed_over.push(passed_over);
    Ok(())
}

fn listed<'a>(findings: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    if !findings.is_list() {
        return Err(NormalizeError::Field {
            kind: "Security Hub event",
            field: Cow::Borrowed("detail.findings"),
            problem: Cow::Borrowed(if findings.is_present() { "not a list" } else { "missing" }),
            expected: Cow::Borrowed("the list of findings, which may be empty"),
        });
    }
    findings.items().for_each(|item| reading.take(finding(item)));
    Ok(())
}

fn bare(finding: Json<'_, '_>) -> bool {
    let has = |name: &str| finding.get(name).is_present();
    if has("ProductArn") && ["SchemaVersion", "Resources", "AwsAccountId"].iter().any(|name| has(name)) {
        return true;
    }
    let of_security_hub = |uid: &str| Arn::parse(uid).is_some_and(|arn| arn.service == "securityhub");
    has("class_uid") && finding.path(&["metadata", "product", "uid"]).str().is_some_and(of_security_hub)
}

/// One finding, in whichever of the two formats it is.
fn finding<'a>(finding: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    if finding.get("class_uid").is_present() {
        let mut finding = stanch_core::ocsf::finding_from(finding.raw())?;
        finding.source = Source::SecurityHubV2;
        return Ok(finding);
    }
    from_asff(finding)
}

/// The AWS Security Finding Format as it is seen, not as it is specified: every field may be missing or oddly typed.
fn from_asff<'a>(asff: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
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
    let product_fields = Named(asff.get("ProductFields"));
    let provider = asff.get("FindingProviderFields");
    let types = Some(asff.get("Types").texts()).filter(|types| !types.is_empty()).unwrap_or_else(|| provider.get("Types").texts());
    let compliance_in = asff.get("Compliance");
    let listed = asff.get("Vulnerabilities");
    let class = class(slug, listed.items().next().is_some(), compliance_in, &types);
    let rule = text("GeneratorId");
    let title = text("Title");

    let compliance = (class == FindingClass::Compliance || compliance_in.get("Status").is_present())
        .then(|| compliance(compliance_in, slug, class, rule.as_ref(), product_fields));
    let mut vulnerabilities: Vec<_> = listed.items().map(vulnerability).collect();
    if class == FindingClass::Vulnerability && vulnerabilities.is_empty() {
        let named = [rule.as_ref(), title.as_ref()].into_iter().flatten().find_map(|text| part(text, cve_in));
        vulnerabilities.extend(named.map(|cve| Vulnerability { cve: Some(cve), ..Vulnerability::default() }));
    }

    let first = asff.get("Resources").items().next().and_then(|resource| resource.get("Id").text());
    let arns = || [Some(&uid), first.as_ref(), product_arn.as_ref()].into_iter().flatten();
    let aws_account = text("AwsAccountId").or_else(|| arns().find_map(|text| part(text, |t| Arn::parse(t).and_then(Arn::account))));
    let region = text("Region").or_else(|| arns().find_map(|text| part(text, |t| Arn::parse(t).and_then(Arn::region))));
    let own_account = aws_account.clone().map(|uid| Account { uid, name: text("AwsAccountName") });

    let resources: Vec<_> = asff.get("Resources").items().filter_map(|r| resource(r, own_account.as_ref())).collect();
    let cloud = resources.first().map_or(Cloud::Aws, |r| r.cloud);
    let account = if cloud == Cloud::Aws { own_account } else { resources.first().and_then(|r| r.account.clone()) };

    let record_state = text("RecordState");
    let archived = record_state.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("ARCHIVED"));
    let workflow = asff.path(&["Workflow", "Status"]).text();
    let title = title.or_else(|| rule.clone()).unwrap_or_default();
    let sample = asff.get("Sample").str() == Some("true")
        || title.starts_with("[SAMPLE]")
        || product_fields.text("aws/guardduty/service/additionalInfo/sample").is_some_and(|s| s == "true");
    let severity_in = asff.get("Severity");
    let (severity, severity_in) = match severity(severity_in) {
        Severity::Unknown => {
            let imported = if provider.get("Severity").is_object() { provider.get("Severity") } else { severity_in };
            (severity(imported), imported)
        }
        known => (known, severity_in),
    };
    let (created, updated) = (asff.get("CreatedAt").time(), asff.get("UpdatedAt").time());

    Ok(Finding {
        source: Source::SecurityHub,
        class,
        activity: match (archived, created, updated) {
            (true, ..) => Activity::Close,
            (false, Some(created), Some(updated)) if created != updated => Activity::Update,
            _ => Activity::Create,
        },
        source_ref: SourceRef {
            id: uid.clone(),
            product: product_arn.clone(),
            location: region.clone(),
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
        severity_original: severity_in.any(&["Original", "Label", "Product"]).text(),
        status: if archived { FindingStatus::Archived } else { workflow_status(workflow.as_deref()) },
        status_original: if archived { record_state } else { workflow },
        time: updated.or(created),
        created,
        modified: updated,
        first_seen: asff.get("FirstObservedAt").time(),
        last_seen: asff.get("LastObservedAt").time(),
        cloud,
        account,
        region,
        resources,
        compliance,
        vulnerabilities,
        guidance: guidance(asff.path(&["Remediation", "Recommendation"])),
        risk: None,
        product: product(product_arn, text("ProductName"), text("CompanyName"), product_fields),
        sample,
        snapshot: false,
        raw: Cow::Borrowed(asff.raw()),
    })
}

fn guidance<'a>(recommendation: Json<'_, 'a>) -> Option<Guidance<'a>> {
    let (desc, url) = (recommendation.get("Text").text(), recommendation.get("Url").text());
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

fn compliance<'a>(
    compliance: Json<'_, 'a>,
    slug: &str,
    class: FindingClass,
    rule: Option<&Text<'a>>,
    fields: Named<'_, 'a>,
) -> Compliance<'a> {
    let mut standards: Vec<_> = compliance.get("AssociatedStandards").items().filter_map(|s| s.get("StandardsId").text()).collect();
    if standards.is_empty() {
        standards.extend(fields.text("StandardsArn").or_else(|| fields.text("StandardsGuideArn")));
    }
    let reasons: Vec<_> = compliance.get("StatusReasons").items().filter_map(|r| r.any(&["Description", "ReasonCode"]).text()).collect();
    let fallback = || if class == FindingClass::Compliance { control(slug, rule, fields) } else { None };
    let status = compliance.get("Status").text();
    Compliance {
        control: compliance.get("SecurityControlId").text().or_else(fallback),
        standards,
        requirements: compliance.get("RelatedRequirements").texts(),
        status: match status.as_deref() {
            Some("PASSED") => ComplianceStatus::Pass,
            Some("FAILED") => ComplianceStatus::Fail,
            Some("WARNING") => ComplianceStatus::Warning,
            _ => ComplianceStatus::Unknown,
        },
        status_code: status,
        status_detail: match reasons.len() {
            0 => None,
            1 => reasons.into_iter().next(),
            _ => Some(Cow::Owned(reasons.join("; "))),
        },
    }
}

/// The control of a finding without `SecurityControlId`:
/// - `ProductFields.ControlId` of findings per standard: `EC2.8`, `PCI.IAM.6`;
/// - CIS numbers mean different checks in different versions, so standard and version stay with them:
///   `cis-aws-foundations-benchmark/v/1.2.0/1.3`;
/// - else what follows the last slash of `GeneratorId`, for Prowler without its prefix (`accessanalyzer_enabled`).
fn control<'a>(slug: &str, rule: Option<&Text<'a>>, fields: Named<'_, 'a>) -> Option<Text<'a>> {
    const CIS: &str = "cis-aws-foundations-benchmark/v/";
    if let Some(control) = fields.text("ControlId") {
        return Some(control);
    }
    let rule_id = fields.text("RuleId");
    let guide = fields.text("StandardsGuideArn").and_then(|arn| arn.find(CIS).and_then(|at| arn.get(at..)).map(str::to_owned));
    let generator = rule?;
    if let Some(at) = generator.find(CIS) {
        return match generator.split_once("/rule/") {
            Some((standard, number)) => standard.get(at..).map(|standard| Cow::Owned(format!("{standard}/{number}"))),
            None => part(generator, |g| g.get(at..)),
        };
    }
    if let (Some(standard), Some(number)) = (guide, rule_id.as_ref()) {
        return Some(Cow::Owned(format!("{standard}/{number}")));
    }
    part(generator, |g| {
        let tail = g.rsplit('/').next()?;
        let tail = if slug == "prowler/prowler" { tail.strip_prefix("prowler-").unwrap_or(tail) } else { tail };
        (!tail.is_empty()).then_some(tail)
    })
    .or(rule_id)
}

fn vulnerability<'a>(vulnerability: Json<'_, 'a>) -> Vulnerability<'a> {
    let id = vulnerability.get("Id").text();
    let is_cve = id.as_deref().is_some_and(|id| id.starts_with("CVE-"));
    let scored = vulnerability.get("Cvss").items().filter(|cvss| cvss.get("BaseScore").is_present());
    let newest = scored.reduce(|best, next| if next.get("Version").str() > best.get("Version").str() { next } else { best });
    let (cve, advisory) = if is_cve { (id, None) } else { (None, id) };
    Vulnerability { cve, advisory, title: None, cvss: newest.and_then(|cvss| cvss.get("BaseScore").text()) }
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
        Some(n) if n < 1.0 => Severity::Informational,
        Some(n) if n < 40.0 => Severity::Low,
        Some(n) if n < 70.0 => Severity::Medium,
        Some(n) if n < 90.0 => Severity::High,
        Some(n) if n <= 100.0 => Severity::Critical,
        _ => Severity::Unknown,
    }
}

fn workflow_status(status: Option<&str>) -> FindingStatus {
    match status {
        Some("NEW") => FindingStatus::New,
        Some("NOTIFIED") => FindingStatus::InProgress,
        Some("RESOLVED") => FindingStatus::Resolved,
        Some("SUPPRESSED") => FindingStatus::Suppressed,
        _ => FindingStatus::Unknown,
    }
}

fn resource<'a>(resource: Json<'_, 'a>, own_account: Option<&Account<'a>>) -> Option<Resource<'a>> {
    let uid = resource.get("Id").text()?;
    let kind = resource.get("Type").text();
    let cloud = resource_cloud(&uid, kind.as_deref(), resource.get("Provider").str(), resource.get("Partition").str());
    let owner = resource.path(&["Owner", "Account"]);
    let owner = owner.any(&["Id", "Uid"]).text().map(|uid| Account { uid, name: owner.get("Name").text() });
    let named = |find: fn(&str) -> Option<&str>| part(&uid, find).map(|uid| Account { uid, name: None });
    let account = match cloud {
        Cloud::Aws => named(|t| Arn::parse(t).and_then(Arn::account))
            .or(owner)
            .map(|account| own_account.filter(|own| own.uid == account.uid).cloned().unwrap_or(account))
            .or_else(|| own_account.cloned()),
        Cloud::Azure => named(|t| after(t, "/subscriptions/")).or(owner),
        Cloud::Gcp => named(|t| after(t, "/projects/").or_else(|| after(t, "projects/"))).or(owner),
    };
    let name = if kind.as_deref() == Some("AwsIamAccessKey") { None } else { details_name(resource.get("Details")) };
    Some(Resource {
        cloud,
        name: name.or_else(|| part(&uid, |t| Arn::parse(t).and_then(Arn::name))),
        uid,
        kind,
        account,
        region: resource.get("Region").text(),
        tags: resource.get("Tags").members().map(|(key, value)| (key.clone(), value.text().unwrap_or_default())).collect(),
    })
}

/// Security Hub also reports resources of other clouds; they are fixed where they live.
fn resource_cloud(uid: &str, kind: Option<&str>, provider: Option<&str>, partition: Option<&str>) -> Cloud {
    let starts = |text: &str, prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if let Some(cloud) = provider.and_then(Cloud::parse) {
        return cloud;
    }
    if partition.is_some_and(|p| p.eq_ignore_ascii_case("AzureCloud")) || starts(uid, "/subscriptions/") {
        return Cloud::Azure;
    }
    if uid.starts_with("arn:") {
        return Cloud::Aws;
    }
    match kind {
        Some(kind) if kind.starts_with("Gcp") => Cloud::Gcp,
        Some(kind) if kind.starts_with("Azure") || starts(kind, "Microsoft.") => Cloud::Azure,
        _ if uid.starts_with("//") && uid.contains(".googleapis.com/") => Cloud::Gcp,
        _ => Cloud::Aws,
    }
}

/// The path segment after a marker, the marker's case ignored as Azure does.
fn after<'t>(text: &'t str, marker: &str) -> Option<&'t str> {
    let at = text.to_ascii_lowercase().find(marker)? + marker.len();
    text.get(at..)?.split('/').next().filter(|segment| !segment.is_empty())
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

fn product<'a>(arn: Option<Text<'a>>, name: Option<Text<'a>>, vendor: Option<Text<'a>>, fields: Named<'_, 'a>) -> Product<'a> {
    let slug = |take: fn(&str) -> Option<&str>| arn.as_ref().and_then(|arn| part(arn, |a| take(product_slug(a))));
    Product {
        name: name
            .or_else(|| fields.text("aws/securityhub/ProductName"))
            .or_else(|| slug(|s| s.split_once('/').map(|(_, name)| name)))
            .unwrap_or_default(),
        vendor: vendor
            .or_else(|| fields.text("aws/securityhub/CompanyName"))
            .or_else(|| slug(|s| s.split_once('/').map(|(vendor, _)| vendor).filter(|v| !is_account(v))))
            .unwrap_or_default(),
        uid: arn,
        version: None,
    }
}

#[cfg(test)]
mod tests;
