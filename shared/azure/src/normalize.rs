//! Payload to [`Finding`]: which kind of event of Azure's one is, and what the kinds share.

mod activity;
mod alert;
mod alert_mappings;
mod alert_resources;
mod assessment;
mod attack_path;
mod cloud_apps;
mod compliance;
mod configuration;
mod graph;
mod iot;
mod log_row;
mod mappings;
mod none;
mod older;
pub(crate) mod policy;
pub(crate) mod posture;
mod posture_mappings;
mod score;
mod sentinel;
mod sql_scan;
mod sub_assessment;

use std::borrow::Cow;
use std::collections::HashSet;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingStatus, Guidance, Product, Severity, Source};
use stanch_core::json::Json;
use stanch_core::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use crate::arm::ArmId;
use crate::payload::link;
use posture::Shape;

pub use mappings::MAPPINGS;

/// Type of a subscription as a resource.
const SUBSCRIPTION: &str = "Microsoft.Resources/subscriptions";

const ACCEPTED: &str = "Defender for Cloud alerts, also as Sentinel, Microsoft Graph, Defender XDR and the Activity Log carry them, assessments, \
     sub-assessments, regulatory compliance assessments and secure scores, alerts of Defender for Cloud Apps, and compliance states of \
     Azure Policy";

/// The rules for what Azure sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[
    &none::SCORE,
    &none::COMPLIANCE_SUMMARY,
    &none::POLICY_SUMMARY,
    &none::POLICY_DENIED,
    &none::HEALTH,
    &none::DEVICE_SUMMARY,
    &none::ADVICE,
    &alert::NAMELESS,
    &sentinel::INCIDENT,
    &sentinel::OTHER,
    &graph::INDICATOR,
    &graph::HUNTING,
    &activity::ENTRY,
    &activity::POLICY,
    &activity::RECOMMENDATION,
    &activity::HEALTH,
    &activity::MONITOR,
    &configuration::SETTING,
    &configuration::OPERATION,
    &none::RESOURCE,
    &none::HOST,
];

/// Turns a delivery into findings, whatever kinds of Defender events it holds.
///
/// A delivery is one event, an array, `{"records": […]}`, any of these as `body` of a wrapper, or the answer of an API that lists
/// them (`value`, or `data` of Resource Graph).
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event of any kind of Defender's.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    one(event, ALL, ACCEPTED, reading)
}

const ALL: &[Source] =
    &[Source::DefenderAlert, Source::DefenderAssessment, Source::DefenderSubAssessment, Source::DefenderCompliance, Source::AzurePolicy];

/// [`normalize()`] for security alerts alone: continuous export, ARM and Log Analytics form.
pub fn normalize_alert(json: &str) -> Normalized<'_> {
    normalize::read(json, &|event, reading| one(event, &[Source::DefenderAlert], "Defender for Cloud alerts", reading))
}

/// [`normalize()`] for recommendations alone: assessments and sub-assessments.
pub fn normalize_recommendation(json: &str) -> Normalized<'_> {
    const KINDS: &[Source] = &[Source::DefenderAssessment, Source::DefenderSubAssessment];
    normalize::read(json, &|event, reading| one(event, KINDS, "Defender for Cloud assessments and sub-assessments", reading))
}

/// [`normalize()`] for regulatory compliance assessments alone. Such a finding is about a whole subscription and carries counts:
/// it names no bad resource, so nothing can be fixed from it. The assessment with the same key names the resources.
pub fn normalize_compliance(json: &str) -> Normalized<'_> {
    const KINDS: &[Source] = &[Source::DefenderCompliance];
    normalize::read(json, &|event, reading| one(event, KINDS, "Defender for Cloud regulatory compliance assessments", reading))
}

/// [`normalize()`] for compliance states of Azure Policy alone: rows of its API and of Resource Graph, and its Event Grid events.
pub fn normalize_policy(json: &str) -> Normalized<'_> {
    const KINDS: &[Source] = &[Source::AzurePolicy];
    normalize::read(json, &|event, reading| one(event, KINDS, "compliance states of Azure Policy", reading))
}

/// Whether these are the fields of an alert.
fn recognize(fields: Json<'_, '_>, kind: Option<&str>) -> Option<Source> {
    if let Some(rest) = kind.and_then(defender_type) {
        let is_alert = rest.eq_ignore_ascii_case("alerts") || rest.to_ascii_lowercase().ends_with("/alerts");
        if is_alert {
            return Some(Source::DefenderAlert);
        }
    }
    let flat = !fields.get("properties").is_present() && (fields.get("SystemAlertId").is_present() || fields.get("AlertType").is_present());
    flat.then_some(Source::DefenderAlert)
}

/// What follows `Microsoft.Security/` in a resource type.
fn defender_type(kind: &str) -> Option<&str> {
    let (namespace, rest) = kind.split_once('/')?;
    namespace.eq_ignore_ascii_case("Microsoft.Security").then_some(rest)
}

fn one<'a>(fields: Json<'_, 'a>, wanted: &[Source], accepted: &'static str, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let kind = resource_type(fields);
    let kind = kind.as_deref();
    let shape = Shape::of(fields, kind);
    let Some(source) = shape.map(Shape::source).or_else(|| recognize(fields, kind)) else {
        if wanted.contains(&Source::DefenderAlert) && carried_alert(fields, reading) {
            return Ok(());
        }
        if let Some(items) = inside(fields) {
            return several(items, wanted, accepted, reading);
        }
        if let Some(score) = score::read(fields, kind) {
            reading.passed_over.push(&none::SCORE);
            score.map_or_else(|error| reading.faults.push(error), |score| reading.scores.extend(score));
            return Ok(());
        }
        return none::rule(fields, kind).map(|rule| reading.passed_over.push(rule)).ok_or_else(|| {
            let looked_like = kind.map_or_else(|| fields.names(), |kind| format!("an object of type `{}`", kind.to_ascii_lowercase()));
            NormalizeError::Unrecognised { looked_like, accepted }
        });
    };
    if !wanted.contains(&source) {
        return Err(NormalizeError::Unrecognised { looked_like: looks_like(source).to_owned(), accepted });
    }
    if let Some(rule) = shape.and_then(|shape| shape.no_finding(fields)) {
        reading.passed_over.push(rule);
        return Ok(());
    }
    let Some(shape) = shape else {
        alert::take(fields, Vec::new(), reading);
        return Ok(());
    };
    let finding = shape.read(fields);
    reading.take(finding.map(|finding| Finding { raw: Cow::Borrowed(fields.raw()), ..finding }));
    Ok(())
}

/// The events inside a wrapper: `body` of an HTTP answer, `records` in it, `value` of a list of Azure Resource Manager's, `data` of
/// an answer of Resource Graph.
fn inside<'d, 'a>(fields: Json<'d, 'a>) -> Option<Json<'d, 'a>> {
    let body = fields.get("body");
    if body.is_object() || body.is_list() {
        return Some(body);
    }
    let list = ["records", "value"].into_iter().map(|name| fields.get(name)).find(|list| list.is_list());
    if list.is_some() {
        return list;
    }
    let data = fields.get("data");
    (data.is_list() && fields.get("totalRecords").is_present()).then_some(data)
}

/// Reads several events, of which an unknown one is a fault, unless all are: then somebody else may know them.
fn several<'a>(events: Json<'_, 'a>, wanted: &[Source], accepted: &'static str, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let (mut known, mut unknown) = (false, Vec::new());
    for event in events.items() {
        match one(event, wanted, accepted, reading) {
            Ok(()) => known = true,
            Err(error) => unknown.push(error),
        }
    }
    match unknown.pop() {
        Some(error) if !known => Err(error),
        last => {
            reading.faults.extend(unknown.into_iter().chain(last));
            Ok(())
        }
    }
}

/// Alerts in the shapes of other products, and what those send beside them.
fn carried_alert<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    // Each shape has one of these. Other clouds' findings mostly have none, and pass here too.
    const MARKS: &[&str] = &[
        "properties",
        "category",
        "operationName",
        "operationNameValue",
        "object",
        "kind",
        "metaData",
        "IncidentName",
        "@odata.type",
        "vendorInformation",
        "serviceSource",
        "detectionSource",
        "threatType",
        "schemaId",
        "_id",
        "data",
    ];
    if !fields.members().any(|(name, _)| MARKS.iter().any(|mark| mark.eq_ignore_ascii_case(name))) {
        return false;
    }
    sentinel::read(fields, reading)
        || graph::read(fields, reading)
        || activity::read(fields, reading)
        || cloud_apps::read(fields, reading)
        || iot::read(fields, reading)
}

fn looks_like(source: Source) -> &'static str {
    match source {
        Source::DefenderAlert => "a Defender for Cloud alert",
        Source::DefenderSubAssessment => "a Defender for Cloud sub-assessment",
        Source::DefenderCompliance => "a Defender for Cloud regulatory compliance assessment",
        Source::AzurePolicy => "a compliance state of Azure Policy",
        _ => "a Defender for Cloud assessment",
    }
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
    let id = fields.get("id").text();
    let finding = identified(source, "id", id.clone(), fields.get("name").text())?;
    Ok((finding, id.unwrap_or_default()))
}

/// A finding about what this ARM id, from this field, names. The rule is the given name, else the last of the id.
fn identified<'a>(
    source: Source,
    field: &'static str,
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
) -> Result<Finding<'a>, NormalizeError> {
    let kind = looks_like(source);
    let problem = |problem| NormalizeError::Field {
        kind,
        field: Cow::Borrowed(field),
        problem: Cow::Borrowed(problem),
        expected: Cow::Borrowed("an ARM id that starts with /subscriptions/"),
    };
    let id = id.ok_or_else(|| problem("missing"))?;
    if ArmId::parse(&id).is_none() {
        return Err(problem("not an ARM id"));
    }
    let class = stanch_core::finding::FindingClass::Compliance;
    let mut finding = Finding::new(source, class, Cloud::Azure, canonical(&id), product(None, None));
    finding.source_ref.account = part(&id, |id| ArmId::parse(id)?.subscription);
    finding.account = finding.source_ref.account.clone().map(|uid| Account { uid, name: None });
    finding.rule = name.or_else(|| part(&id, |id| ArmId::parse(id).map(|id| id.name)));
    finding.source_ref.id = id;
    Ok(finding)
}

/// An ARM id in the one form in which two of the same thing are equal.
fn canonical(id: &str) -> String {
    stanch_core::cloud::ResourceUid::canonical(Cloud::Azure, id).as_str().to_owned()
}

/// What the export says about the row: whether it comes from a snapshot of everything, and what was done with it: `Insert`, `Write`
/// or `Delete`. A deletion says that the row is gone and nothing about the resource, whatever status it still carries.
fn apply_enrichment(finding: &mut Finding<'_>, fields: Json<'_, '_>) {
    const NAME: &str = "EventDataEnrichment";
    let mut action = None;
    for (name, enrichment) in fields.members() {
        let named = name.len().checked_sub(NAME.len()).and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(NAME));
        if named {
            finding.snapshot |= enrichment.get("isSnapshot").str().is_some_and(|word| word.eq_ignore_ascii_case("true"));
            action = action.or(enrichment.get("action").str());
        }
    }
    match action {
        Some(action) if action.eq_ignore_ascii_case("Delete") => gone(finding),
        Some(action) if action.eq_ignore_ascii_case("Write") => finding.activity = Activity::Update,
        _ => {}
    }
}

/// The source holds it no more.
fn gone(finding: &mut Finding<'_>) {
    finding.activity = Activity::Close;
    finding.status = FindingStatus::Deleted;
    if let Some(compliance) = &mut finding.compliance {
        compliance.status = ComplianceStatus::Unknown;
    }
}

/// Reads `Healthy`, `Unhealthy`, `NotApplicable` and the compliance states, written with or without a space.
fn outcome(code: &str) -> (ComplianceStatus, FindingStatus) {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match code.as_str() {
        "healthy" | "passed" => (ComplianceStatus::Pass, FindingStatus::Resolved),
        "unhealthy" | "nothealthy" | "failed" => (ComplianceStatus::Fail, FindingStatus::New),
        // Exempt, switched off by policy, not covered: the source asks for nothing.
        "notapplicable" | "offbypolicy" | "off" | "skipped" | "unsupported" => (ComplianceStatus::Unknown, FindingStatus::Suppressed),
        _ => (ComplianceStatus::Unknown, FindingStatus::Unknown),
    }
}

fn severity<'a>(finding: &mut Finding<'a>, word: Option<Text<'a>>) {
    finding.severity = word.as_deref().map_or(Severity::Unknown, Severity::parse);
    finding.severity_original = word;
}

fn guidance<'a>(desc: Option<Text<'a>>, links: Vec<Text<'a>>) -> Option<Guidance<'a>> {
    let mut seen = HashSet::with_capacity(links.len());
    let references: Vec<Text<'a>> = links.into_iter().map(link).filter(|item| seen.insert(item.clone())).collect();
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
        // Buckets are named without their project.
        resource.account = parts.next().filter(|project| *project != "_").and_then(account);
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
