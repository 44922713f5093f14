//! Payload to [`Finding`]: which of Defender's four kinds an event is, and what the kinds share.

mod alert;
mod assessment;
mod compliance;
mod sub_assessment;

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingStatus, Guidance, Product, Severity, Source};
use stanch_core::json::Json;
use stanch_core::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use crate::arm::ArmId;
use crate::payload::link;

/// Type of a subscription as a resource.
const SUBSCRIPTION: &str = "Microsoft.Resources/subscriptions";

const ACCEPTED: &str = "Defender for Cloud alerts, assessments, sub-assessments and regulatory compliance assessments";
const SCORE: NoFinding = NoFinding {
    rule: "secure-score",
    what: "a secure score",
    shape: "type `Microsoft.Security/secureScores`, or one below it",
    why: "it is a number about many recommendations, each of which comes as an assessment",
};

/// The rules for what Azure sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&SCORE];

/// Turns a delivery into findings, whatever kinds of Defender events it holds.
///
/// A delivery is one event, an array, `{"records": […]}`, or any of these as `body` of a wrapper.
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event of any kind of Defender's.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    one(event, ALL, ACCEPTED, reading)
}

const ALL: &[Source] = &[Source::DefenderAlert, Source::DefenderAssessment, Source::DefenderSubAssessment, Source::DefenderCompliance];

/// [`normalize`] for security alerts alone: continuous export, ARM and Log Analytics form.
pub fn normalize_alert(json: &str) -> Normalized<'_> {
    normalize::read(json, &|event, reading| one(event, &[Source::DefenderAlert], "Defender for Cloud alerts", reading))
}

/// [`normalize`] for recommendations alone: assessments and sub-assessments.
pub fn normalize_recommendation(json: &str) -> Normalized<'_> {
    const KINDS: &[Source] = &[Source::DefenderAssessment, Source::DefenderSubAssessment];
    normalize::read(json, &|event, reading| one(event, KINDS, "Defender for Cloud assessments and sub-assessments", reading))
}

/// [`normalize`] for regulatory compliance assessments alone. Such a finding is about a whole subscription and carries counts:
/// it names no bad resource, so nothing can be fixed from it. The assessment with the same key names the resources.
pub fn normalize_compliance(json: &str) -> Normalized<'_> {
    const KINDS: &[Source] = &[Source::DefenderCompliance];
    normalize::read(json, &|event, reading| one(event, KINDS, "Defender for Cloud regulatory compliance assessments", reading))
}

/// Which kind of Defender event has these top-level fields.
fn recognize(fields: Json<'_, '_>) -> Option<Source> {
    if let Some(kind) = resource_type(fields) {
        let kind = kind.to_ascii_lowercase();
        let found = match kind.strip_prefix("microsoft.security/") {
            Some("assessments") => Some(Source::DefenderAssessment),
            Some("assessments/subassessments") => Some(Source::DefenderSubAssessment),
            // Microsoft's own examples of the REST answer use the singular.
            Some(rest) if rest.ends_with("regulatorycomplianceassessments") || rest == "regulatorycomplianceassessment" => {
                Some(Source::DefenderCompliance)
            }
            Some(rest) if rest == "alerts" || rest.ends_with("/alerts") => Some(Source::DefenderAlert),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    let flat = !fields.get("properties").is_present() && (fields.get("SystemAlertId").is_present() || fields.get("AlertType").is_present());
    flat.then_some(Source::DefenderAlert)
}

fn one<'a>(fields: Json<'_, 'a>, wanted: &[Source], accepted: &'static str, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let Some(source) = recognize(fields) else {
        let body = fields.get("body");
        if body.is_object() || body.is_list() {
            return body.items().try_for_each(|event| one(event, wanted, accepted, reading));
        }
        return passed_over(fields, accepted).map(|rule| reading.passed_over.push(rule));
    };
    if !wanted.contains(&source) {
        return Err(NormalizeError::Unrecognised { looked_like: looks_like(source).to_owned(), accepted });
    }
    let finding = match source {
        Source::DefenderAlert => alert::read(fields),
        Source::DefenderSubAssessment => sub_assessment::read(fields),
        Source::DefenderCompliance => compliance::read(fields),
        _ => assessment::read(fields),
    };
    reading.take(finding.map(|finding| Finding { raw: Cow::Borrowed(fields.raw()), ..finding }));
    Ok(())
}

fn looks_like(source: Source) -> &'static str {
    match source {
        Source::DefenderAlert => "a Defender for Cloud alert",
        Source::DefenderSubAssessment => "a Defender for Cloud sub-assessment",
        Source::DefenderCompliance => "a Defender for Cloud regulatory compliance assessment",
        _ => "a Defender for Cloud assessment",
    }
}

fn passed_over(fields: Json<'_, '_>, accepted: &'static str) -> Result<&'static NoFinding, NormalizeError> {
    let kind = resource_type(fields).unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("microsoft.security/securescore") {
        return Ok(&SCORE);
    }
    let looked_like = if kind.is_empty() { fields.names() } else { format!("an object of type `{kind}`") };
    Err(NormalizeError::Unrecognised { looked_like, accepted })
}

/// `type`, or what the ARM id says when it is missing.
fn resource_type<'a>(fields: Json<'_, 'a>) -> Option<Text<'a>> {
    fields.get("type").text().or_else(|| {
        let id = fields.get("id").text()?;
        ArmId::parse(&id).map(|id| Cow::Owned(id.kind.into_owned()))
    })
}

fn product<'a>(name: Option<Text<'a>>, vendor: Option<Text<'a>>) -> Product<'a> {
    Product {
        name: name.unwrap_or(Cow::Borrowed("Microsoft Defender for Cloud")),
        vendor: vendor.unwrap_or(Cow::Borrowed("Microsoft")),
        ..Product::default()
    }
}

/// The finding that assessments, sub-assessments and compliance results have in common: all are ARM resources.
fn arm_finding<'a>(source: Source, fields: Json<'_, 'a>) -> Result<(Finding<'a>, Text<'a>), NormalizeError> {
    let kind = looks_like(source);
    let problem = |problem| NormalizeError::Field {
        kind,
        field: Cow::Borrowed("id"),
        problem: Cow::Borrowed(problem),
        expected: Cow::Borrowed("an ARM id that starts with /subscriptions/"),
    };
    let id = fields.get("id").text().ok_or_else(|| problem("missing"))?;
    if ArmId::parse(&id).is_none() {
        return Err(problem("not an ARM id"));
    }
    let class = stanch_core::finding::FindingClass::Compliance;
    let mut finding = Finding::new(source, class, Cloud::Azure, id.to_ascii_lowercase(), product(None, None));
    finding.source_ref.id.clone_from(&id);
    finding.source_ref.account = part(&id, |id| ArmId::parse(id)?.subscription);
    finding.account = finding.source_ref.account.clone().map(|uid| Account { uid, name: None });
    finding.rule = fields.get("name").text().or_else(|| part(&id, |id| ArmId::parse(id).map(|id| id.name)));
    Ok((finding, id))
}

/// What the export says it did with the row: `Insert`, `Write` or `Delete`. A deletion says that the row is gone and nothing
/// about the resource, whatever status it still carries.
fn apply_action(finding: &mut Finding<'_>, fields: Json<'_, '_>) {
    let action = ["assessmentEventDataEnrichment", "subAssessmentEventDataEnrichment", "securityEventDataEnrichment"]
        .iter()
        .find_map(|name| fields.get(name).get("action").text());
    match action.as_deref() {
        Some(action) if action.eq_ignore_ascii_case("Delete") => {
            finding.activity = Activity::Close;
            finding.status = FindingStatus::Deleted;
            if let Some(compliance) = &mut finding.compliance {
                compliance.status = ComplianceStatus::Unknown;
            }
        }
        Some(action) if action.eq_ignore_ascii_case("Write") => finding.activity = Activity::Update,
        _ => {}
    }
}

/// Reads `Healthy`, `Unhealthy`, `NotApplicable` and the compliance states, written with or without a space.
fn outcome(code: &str) -> (ComplianceStatus, FindingStatus) {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match code.as_str() {
        "healthy" | "passed" => (ComplianceStatus::Pass, FindingStatus::Resolved),
        "unhealthy" | "failed" => (ComplianceStatus::Fail, FindingStatus::New),
        // Exempt, switched off by policy, not covered: the source asks for nothing.
        "notapplicable" | "skipped" | "unsupported" => (ComplianceStatus::Unknown, FindingStatus::Suppressed),
        _ => (ComplianceStatus::Unknown, FindingStatus::Unknown),
    }
}

fn severity<'a>(finding: &mut Finding<'a>, word: Option<Text<'a>>) {
    finding.severity = word.as_deref().map_or(Severity::Unknown, Severity::parse);
    finding.severity_original = word;
}

fn guidance<'a>(desc: Option<Text<'a>>, links: Vec<Text<'a>>) -> Option<Guidance<'a>> {
    let mut references: Vec<Text<'a>> = Vec::with_capacity(links.len());
    for item in links {
        let item = link(item);
        if !references.contains(&item) {
            references.push(item);
        }
    }
    (desc.is_some() || !references.is_empty()).then(|| Guidance { desc: desc.unwrap_or_default(), references })
}

/// The cloud a native id belongs to, by its form. Defender stands in for resources of other clouds with
/// `…/securityconnectors/{c}/securityentitydata/{aws|gcp}-…`.
fn cloud_of(uid: &str) -> Cloud {
    let uid = uid.trim().to_ascii_lowercase();
    let entity = uid.rsplit_once("/securityentitydata/").map_or("", |(_, entity)| entity);
    if uid.starts_with("arn:") || entity.starts_with("aws-") {
        Cloud::Aws
    } else if uid.starts_with("projects/") || uid.contains(".googleapis.com/") || entity.starts_with("gcp-") {
        Cloud::Gcp
    } else {
        Cloud::Azure
    }
}

/// A resource with what its id tells: type, name, account and region.
fn resource(cloud: Cloud, uid: Text<'_>) -> Resource<'_> {
    match uid {
        Cow::Borrowed(uid) => describe(cloud, uid),
        Cow::Owned(uid) => describe(cloud, &uid).into_owned(),
    }
}

fn describe(cloud: Cloud, uid: &str) -> Resource<'_> {
    let mut resource = Resource::new(cloud, uid);
    let account = |uid| Some(Account { uid: Cow::Borrowed(uid), name: None });
    if let Some(arm) = ArmId::parse(uid) {
        resource.name = Some(Cow::Borrowed(arm.name));
        if cloud == Cloud::Azure {
            resource.account = arm.subscription.and_then(account);
            resource.kind = Some(arm.kind);
        }
    } else if cloud == Cloud::Aws {
        let mut parts = uid.splitn(6, ':').skip(3).filter(|part| !part.is_empty());
        if uid.starts_with("arn:") {
            // A global resource has no region, so the first present part may already be the account.
            let (first, second) = (parts.next(), parts.next());
            let is_account = |part: &&str| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit());
            resource.account = [first, second].into_iter().flatten().find(is_account).and_then(account);
            resource.region = first.filter(|part| !is_account(part) && part.matches('-').count() >= 2).map(Cow::Borrowed);
        }
    } else if cloud == Cloud::Gcp {
        let mut parts = uid.split('/').skip_while(|part| *part != "projects").skip(1);
        resource.account = parts.next().and_then(account);
        resource.name = uid.rsplit('/').next().map(Cow::Borrowed);
    }
    resource
}

/// The subscription itself as the resource, for findings that name nothing smaller.
fn subscription(uid: Text<'_>) -> Resource<'_> {
    Resource {
        kind: Some(Cow::Borrowed(SUBSCRIPTION)),
        name: Some(uid.clone()),
        account: Some(Account { uid: uid.clone(), name: None }),
        ..Resource::new(Cloud::Azure, format!("/subscriptions/{uid}"))
    }
}
