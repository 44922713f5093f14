//! Security Hub's deliveries become findings: EventBridge events of both generations, bare findings, and answers of its API.

use std::borrow::Cow;

use serde_json::value::RawValue;
use stanch_core::cloud::{Account, Cloud, Resource, Text};
use stanch_core::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Severity, Source, SourceRef,
    Vulnerability,
};
use stanch_core::lenient::LText;
use stanch_core::normalize::{Fields, NormalizeError, Normalized, events};

use crate::payload::{Arn, Asff, ComplianceIn, Entries, ResourceIn, SeverityIn, VulnerabilityIn, is_account, part};

const ACCEPTED: &str = "Security Hub events of EventBridge (`Security Hub Findings - Imported`, `Security Hub Findings - Custom Action`, \
                        `Findings Imported V2`), a bare ASFF or Security Hub OCSF finding, and an API answer `{\"Findings\": […]}`";

/// Which generation of Security Hub a delivery comes from; none when it is not Security Hub's, or carries no findings.
pub fn recognize(fields: &Fields<'_>) -> Option<Source> {
    match shape(fields) {
        Shape::Event(source, _) | Shape::Bare(source) | Shape::Answer(source, _) => Some(source),
        Shape::NotAFinding { .. } | Shape::Unknown => None,
    }
}

/// Every finding of a delivery: one event, or an array of events. Events that are by their nature no findings are passed over
/// where they come in company; alone they are an error that says what they are. An envelope without findings gives none.
pub fn normalize(json: &str) -> Normalized<'_> {
    let events = events(json)?;
    let single = events.len() == 1;
    let mut findings = Vec::with_capacity(events.len());
    for event in events {
        match event_findings(event) {
            Err(NormalizeError::NotAFinding { .. }) if !single => {}
            result => findings.append(&mut result?),
        }
    }
    Ok(findings)
}

/// What a JSON object is to this connector.
enum Shape<'a> {
    /// An EventBridge envelope and its `detail.findings`.
    Event(Source, Option<&'a str>),
    /// A finding by itself.
    Bare(Source),
    /// `Findings` of an API answer.
    Answer(Source, &'a str),
    NotAFinding {
        what: &'static str,
        why: &'static str,
    },
    Unknown,
}

fn shape<'a>(fields: &Fields<'a>) -> Shape<'a> {
    if let Some(detail_type) = fields.text("detail-type") {
        return envelope(fields, &detail_type);
    }
    if let Some(source) = bare(fields) {
        return Shape::Bare(source);
    }
    if let Some(list) = fields.get("Findings").filter(|raw| raw.starts_with('[')) {
        let first = serde_json::from_str::<Vec<&RawValue>>(list).ok().and_then(|l| l.first().map(|raw| raw.get()));
        match first.and_then(|raw| Fields::read(raw).ok()).map(|first| bare(&first)) {
            Some(Some(source)) => return Shape::Answer(source, list),
            // Other clouds answer with `findings`; only the capital letter tells an empty answer of Security Hub.
            None if first.is_none() && fields.names().contains("Findings") => return Shape::Answer(Source::SecurityHub, list),
            _ => {}
        }
    }
    if fields.has("body") && fields.text("eventSource").as_deref() == Some("aws:sqs") {
        let why = "queue records wrap the event in text; hand over each record's `body`";
        return Shape::NotAFinding { what: "an SQS record", why };
    }
    Shape::Unknown
}

fn envelope<'a>(fields: &Fields<'a>, detail_type: &str) -> Shape<'a> {
    let findings = || fields.object("detail").get("findings");
    match (fields.text("source").as_deref(), detail_type) {
        (Some("aws.securityhub"), "Security Hub Findings - Imported" | "Security Hub Findings - Custom Action") => {
            Shape::Event(Source::SecurityHub, findings())
        }
        (Some("aws.securityhub"), "Findings Imported V2") => Shape::Event(Source::SecurityHubV2, findings()),
        (Some("aws.securityhub"), "Security Hub Insight Results") => Shape::NotAFinding {
            what: "a Security Hub insight result",
            why: "it names resources only; send the findings themselves by a custom action on findings",
        },
        (Some("aws.securityhub"), _) => {
            Shape::NotAFinding { what: "this Security Hub event", why: "its `detail-type` is none of those that carry findings" }
        }
        (Some("aws.guardduty"), _) => {
            Shape::NotAFinding { what: "a GuardDuty event", why: "GuardDuty findings are taken as Security Hub passes them on" }
        }
        (Some(source), _) if source.starts_with("aws.") => {
            Shape::NotAFinding { what: "an AWS service event", why: "only events of `aws.securityhub` carry findings" }
        }
        _ => Shape::Unknown,
    }
}

fn bare(fields: &Fields<'_>) -> Option<Source> {
    if fields.has("ProductArn") && ["SchemaVersion", "Resources", "AwsAccountId"].iter().any(|name| fields.has(name)) {
        return Some(Source::SecurityHub);
    }
    let product = || fields.object("metadata").object("product").text("uid");
    let of_security_hub = |uid: Text<'_>| Arn::parse(&uid).is_some_and(|arn| arn.service == "securityhub");
    (fields.has("class_uid") && product().is_some_and(of_security_hub)).then_some(Source::SecurityHubV2)
}

fn event_findings(json: &str) -> Normalized<'_> {
    let fields = Fields::read(json)?;
    match shape(&fields) {
        Shape::Bare(_) => finding(json).map(|f| vec![f]),
        Shape::Answer(_, list) => findings(list),
        Shape::Event(_, Some(list)) if list.starts_with('[') => findings(list),
        Shape::Event(_, found) => Err(NormalizeError::Field {
            kind: "Security Hub event",
            field: Cow::Borrowed("detail.findings"),
            problem: Cow::Borrowed(if found.is_some() { "not a list" } else { "missing" }),
            expected: Cow::Borrowed("the list of findings, which may be empty"),
        }),
        Shape::NotAFinding { what, why } => Err(NormalizeError::NotAFinding { what, why }),
        Shape::Unknown => Err(NormalizeError::Unrecognised { looked_like: fields.names(), accepted: ACCEPTED }),
    }
}

fn findings(list: &str) -> Normalized<'_> {
    let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|e| NormalizeError::json(&e))?;
    list.into_iter().map(|raw| finding(raw.get())).collect()
}

/// One finding, in whichever of the two formats it is.
fn finding(json: &str) -> Result<Finding<'_>, NormalizeError> {
    let asff: Asff<'_> = serde_json::from_str(json).map_err(|e| NormalizeError::json(&e))?;
    if asff.class_uid.0.is_some() {
        let mut finding = stanch_core::ocsf::finding_from(json)?;
        finding.source = Source::SecurityHubV2;
        return Ok(finding);
    }
    from_asff(asff, json)
}

fn from_asff<'a>(asff: Asff<'a>, raw: &'a str) -> Result<Finding<'a>, NormalizeError> {
    let Some(uid) = asff.id.0 else {
        return Err(NormalizeError::Field {
            kind: "Security Hub finding",
            field: Cow::Borrowed("Id"),
            problem: Cow::Borrowed("missing"),
            expected: Cow::Borrowed("the finding's id"),
        });
    };
    let product_arn = asff.product_arn.0;
    let slug = product_arn.as_deref().map_or("", product_slug);
    let product_fields = asff.product_fields.0.unwrap_or_default();
    let provider = asff.finding_provider_fields.0.unwrap_or_default();
    let types = if asff.types.0.is_empty() { provider.types.0 } else { asff.types.0 };
    let compliance_in = asff.compliance.0.unwrap_or_default();
    let class = class(slug, !asff.vulnerabilities.0.is_empty(), &compliance_in, &types);
    let rule = asff.generator_id.0;

    let compliance = (class == FindingClass::Compliance || compliance_in.status.0.is_some())
        .then(|| compliance(compliance_in, slug, class, rule.as_ref(), &product_fields));
    let mut vulnerabilities: Vec<_> = asff.vulnerabilities.0.into_iter().map(vulnerability).collect();
    if class == FindingClass::Vulnerability && vulnerabilities.is_empty() {
        let named = [rule.as_ref(), asff.title.0.as_ref()].into_iter().flatten().find_map(|text| part(text, cve_in));
        vulnerabilities.extend(named.map(|cve| Vulnerability { cve: Some(cve), ..Vulnerability::default() }));
    }

    let arns = || [Some(&uid), asff.resources.0.first().and_then(|r| r.id.0.as_ref()), product_arn.as_ref()].into_iter().flatten();
    let aws_account = asff.aws_account_id.0.or_else(|| arns().find_map(|text| part(text, |t| Arn::parse(t).and_then(Arn::account))));
    let region = asff.region.0.or_else(|| arns().find_map(|text| part(text, |t| Arn::parse(t).and_then(Arn::region))));
    let own_account = aws_account.clone().map(|uid| Account { uid, name: asff.aws_account_name.0 });

    let resources: Vec<_> = asff.resources.0.into_iter().filter_map(|r| resource(r, own_account.as_ref())).collect();
    let cloud = resources.first().map_or(Cloud::Aws, |r| r.cloud);
    let account = if cloud == Cloud::Aws { own_account } else { resources.first().and_then(|r| r.account.clone()) };

    let archived = asff.record_state.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("ARCHIVED"));
    let workflow = asff.workflow.0.unwrap_or_default().status;
    let title = asff.title.0.or_else(|| rule.clone()).unwrap_or_default();
    let sample = asff.sample.as_deref() == Some("true")
        || title.starts_with("[SAMPLE]")
        || product_fields.text("aws/guardduty/service/additionalInfo/sample").is_some_and(|s| s == "true");
    let severity_in = asff.severity.0.unwrap_or_default();
    let (severity, severity_original) = match severity(&severity_in) {
        Severity::Unknown => {
            let imported = provider.severity.0.unwrap_or(severity_in);
            (severity(&imported), imported)
        }
        known => (known, severity_in),
    };

    Ok(Finding {
        source: Source::SecurityHub,
        class,
        activity: match (archived, asff.created_at.0, asff.updated_at.0) {
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
        desc: asff.description.0,
        rule,
        policy: None,
        types,
        severity,
        severity_original: severity_original.original.or(severity_original.label).or(severity_original.product).0,
        status: if archived { FindingStatus::Archived } else { workflow_status(workflow.as_deref()) },
        status_original: if archived { asff.record_state.0 } else { workflow.0 },
        time: asff.updated_at.or(asff.created_at).0,
        created: asff.created_at.0,
        modified: asff.updated_at.0,
        first_seen: asff.first_observed_at.0,
        last_seen: asff.last_observed_at.0,
        cloud,
        account,
        region,
        resources,
        compliance,
        vulnerabilities,
        guidance: asff.remediation.0.and_then(|r| r.recommendation.0).and_then(|r| {
            let references: Vec<_> = r.url.0.into_iter().collect();
            let desc = r.text.0.unwrap_or_default();
            (!desc.is_empty() || !references.is_empty()).then_some(Guidance { desc, references })
        }),
        risk: None,
        product: product(product_arn, asff.product_name.0, asff.company_name.0, &product_fields),
        sample,
        raw: Cow::Borrowed(raw),
    })
}

/// `aws/securityhub` of `arn:aws:securityhub:eu-west-1::product/aws/securityhub`, of either generation.
pub(crate) fn product_slug(product_arn: &str) -> &str {
    let resource = Arn::parse(product_arn).map_or("", |arn| arn.resource);
    resource.split_once('/').map_or("", |(_, slug)| slug)
}

/// The class by product where the product decides it, else by what the finding holds.
fn class(slug: &str, has_vulnerabilities: bool, compliance: &ComplianceIn<'_>, types: &[Text<'_>]) -> FindingClass {
    const CHECKS: &str = "Software and Configuration Checks";
    let typed = |prefix: &str| types.iter().any(|t| t.starts_with(prefix));
    match slug {
        "aws/inspector" => FindingClass::Vulnerability,
        "aws/securityhub" => FindingClass::Compliance,
        "aws/guardduty" | "aws/macie" => FindingClass::Detection,
        _ if has_vulnerabilities => FindingClass::Vulnerability,
        _ if compliance.status.0.is_some() || compliance.security_control_id.0.is_some() => FindingClass::Compliance,
        _ if typed("Software and Configuration Checks/Vulnerabilities") => FindingClass::Vulnerability,
        _ if typed(CHECKS) => FindingClass::Compliance,
        _ => FindingClass::Detection,
    }
}

fn compliance<'a>(
    compliance: ComplianceIn<'a>,
    slug: &str,
    class: FindingClass,
    rule: Option<&Text<'a>>,
    fields: &Entries<'a, LText<'a>>,
) -> Compliance<'a> {
    let mut standards: Vec<_> = compliance.associated_standards.0.into_iter().filter_map(|s| s.standards_id.0).collect();
    if standards.is_empty() {
        standards.extend(fields.text("StandardsArn").or_else(|| fields.text("StandardsGuideArn")).cloned());
    }
    let reasons: Vec<_> = compliance.status_reasons.0.into_iter().filter_map(|r| r.description.or(r.reason_code).0).collect();
    let fallback = || if class == FindingClass::Compliance { control(slug, rule, fields) } else { None };
    Compliance {
        control: compliance.security_control_id.0.or_else(fallback),
        standards,
        requirements: compliance.related_requirements.0,
        status: match compliance.status.as_deref() {
            Some("PASSED") => ComplianceStatus::Pass,
            Some("FAILED") => ComplianceStatus::Fail,
            Some("WARNING") => ComplianceStatus::Warning,
            _ => ComplianceStatus::Unknown,
        },
        status_code: compliance.status.0,
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
fn control<'a>(slug: &str, rule: Option<&Text<'a>>, fields: &Entries<'a, LText<'a>>) -> Option<Text<'a>> {
    const CIS: &str = "cis-aws-foundations-benchmark/v/";
    if let Some(control) = fields.text("ControlId") {
        return Some(control.clone());
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
    if let (Some(standard), Some(number)) = (guide, rule_id) {
        return Some(Cow::Owned(format!("{standard}/{number}")));
    }
    part(generator, |g| {
        let tail = g.rsplit('/').next()?;
        let tail = if slug == "prowler/prowler" { tail.strip_prefix("prowler-").unwrap_or(tail) } else { tail };
        (!tail.is_empty()).then_some(tail)
    })
    .or_else(|| rule_id.cloned())
}

fn vulnerability(vulnerability: VulnerabilityIn<'_>) -> Vulnerability<'_> {
    let id = vulnerability.id.0;
    let is_cve = id.as_deref().is_some_and(|id| id.starts_with("CVE-"));
    let newest = vulnerability.cvss.0.into_iter().filter(|c| c.base_score.0.is_some()).reduce(|best, next| {
        let newer = next.version.as_deref() > best.version.as_deref();
        if newer { next } else { best }
    });
    let (cve, advisory) = if is_cve { (id, None) } else { (None, id) };
    Vulnerability { cve, advisory, title: None, cvss: newest.and_then(|c| c.base_score.0) }
}

/// A CVE id that stands at the end of a rule (`scanner/CVE-2024-1`) or at the start of a title (`CVE-2024-1 - openssl`).
fn cve_in(text: &str) -> Option<&str> {
    let tail = text.rsplit('/').next().unwrap_or(text);
    let word = tail.split([' ', ',', ':']).next().unwrap_or(tail);
    word.starts_with("CVE-").then_some(word)
}

/// Label, else the normalised number, else the product's own: GuardDuty and its like count to 10, the others to 100.
fn severity(severity: &SeverityIn<'_>) -> Severity {
    let label = severity.label.as_deref().map_or(Severity::Unknown, Severity::parse);
    let number = |text: &LText<'_>| text.as_deref().and_then(|t| t.parse::<f64>().ok());
    if label != Severity::Unknown {
        return label;
    }
    let product = || number(&severity.product).map(|n| if n <= 10.0 { n * 10.0 } else { n });
    match number(&severity.normalized).or_else(product) {
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

fn resource<'a>(resource: ResourceIn<'a>, own_account: Option<&Account<'a>>) -> Option<Resource<'a>> {
    let uid = resource.id.0?;
    let kind = resource.r#type.0;
    let cloud = resource_cloud(&uid, kind.as_deref(), resource.provider.as_deref(), resource.partition.as_deref());
    let owner = resource.owner.0.and_then(|o| o.account.0).and_then(|a| Some(Account { uid: a.id.0?, name: a.name.0 }));
    let named = |find: fn(&str) -> Option<&str>| part(&uid, find).map(|uid| Account { uid, name: None });
    let account = match cloud {
        Cloud::Aws => named(|t| Arn::parse(t).and_then(Arn::account))
            .or(owner)
            .map(|account| own_account.filter(|own| own.uid == account.uid).cloned().unwrap_or(account))
            .or_else(|| own_account.cloned()),
        Cloud::Azure => named(|t| after(t, "/subscriptions/")).or(owner),
        Cloud::Gcp => named(|t| after(t, "/projects/").or_else(|| after(t, "projects/"))).or(owner),
    };
    let name = if kind.as_deref() == Some("AwsIamAccessKey") { None } else { resource.details.0.as_ref().and_then(details_name) };
    Some(Resource {
        cloud,
        name: name.or_else(|| part(&uid, |t| Arn::parse(t).and_then(Arn::name))),
        uid,
        kind,
        account,
        region: resource.region.0,
        tags: resource.tags.0.unwrap_or_default().0.into_iter().map(|(key, value)| (key, value.0.unwrap_or_default())).collect(),
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
fn details_name<'a>(details: &Entries<'a, stanch_core::lenient::LOne<Entries<'a, LText<'a>>>>) -> Option<Text<'a>> {
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
    let details = details.0.iter().find_map(|(_, details)| details.0.as_ref())?;
    NAMES.iter().find_map(|name| details.text(name)).cloned()
}

fn product<'a>(arn: Option<Text<'a>>, name: Option<Text<'a>>, vendor: Option<Text<'a>>, fields: &Entries<'a, LText<'a>>) -> Product<'a> {
    let slug = |take: fn(&str) -> Option<&str>| arn.as_ref().and_then(|arn| part(arn, |a| take(product_slug(a))));
    Product {
        name: name
            .or_else(|| fields.text("aws/securityhub/ProductName").cloned())
            .or_else(|| slug(|s| s.split_once('/').map(|(_, name)| name)))
            .unwrap_or_default(),
        vendor: vendor
            .or_else(|| fields.text("aws/securityhub/CompanyName").cloned())
            .or_else(|| slug(|s| s.split_once('/').map(|(vendor, _)| vendor).filter(|v| !is_account(v))))
            .unwrap_or_default(),
        uid: arn,
        version: None,
    }
}

#[cfg(test)]
mod tests;
