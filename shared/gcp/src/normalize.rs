//! Payload to [`Finding`]: which of Security Command Center's shapes an event has, and what its fields mean.

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, Vulnerability,
};
use stanch_core::json::Json;
use stanch_core::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use crate::payload::{FindingName, is_empty, object, project, property, segment, standards};

const KIND: &str = "a Security Command Center finding";
const ACCEPTED: &str =
    "a Security Command Center notification, finding, list of findings, log entry that holds one, or the Pub/Sub push of one";
/// A log entry holds a list of notifications: nothing real is nested deeper.
const MAX_DEPTH: usize = 4;

const DETECTOR_LOG: NoFinding = NoFinding {
    rule: "scc-detector-log",
    what: "a log entry of Event Threat Detection",
    shape: "a log entry of `threatdetection.googleapis.com` whose `jsonPayload` holds no finding",
    why: "it has no finding name; the finding comes as a notification of its own",
};
const SCANNER_ERROR: NoFinding = NoFinding {
    rule: "scc-error",
    what: "an error of Security Command Center",
    shape: "a finding whose `findingClass` is `SCC_ERROR`",
    why: "it says that a scanner cannot work, not that a resource is at fault",
};

/// The rules for what Google Cloud sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&DETECTOR_LOG, &SCANNER_ERROR];

/// Turns a delivery into findings. An empty list of findings gives none.
///
/// `uid` is `sources/{source}/findings/{finding}`, without organisation and location, because these differ between the names
/// that version 1, version 2 and `canonicalName` give to one finding.
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event in any of Security Command Center's shapes.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    read_at(event, reading, 0)
}

/// How a finding is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"finding": {…}}`, mostly with `notificationConfigName` and `resource`.
    Notification,
    /// `{"findings": […]}`.
    Findings,
    /// `{"listFindingsResults": […]}`.
    Listing,
    /// A log entry whose `jsonPayload` has one of the other shapes.
    Log,
    /// A log entry of a detector, which holds no finding.
    DetectorLog,
    /// The finding itself.
    Bare,
}

fn shape(fields: Json<'_, '_>) -> Option<Shape> {
    if let Some(shape) = holder(fields) {
        return Some(shape);
    }
    if !fields.get("jsonPayload").is_present() {
        return None;
    }
    if holder(fields.get("jsonPayload")).is_some() {
        return Some(Shape::Log);
    }
    fields.get("logName").text().filter(|name| name.contains("threatdetection.googleapis.com")).map(|_| Shape::DetectorLog)
}

/// The shapes that need no unwrapping first.
fn holder(fields: Json<'_, '_>) -> Option<Shape> {
    if fields.get("listFindingsResults").is_present() {
        return Some(Shape::Listing);
    }
    if fields.get("finding").is_present() {
        let finding = fields.get("finding");
        let known = fields.get("notificationConfigName").is_present() || is_named(finding) || finding.get("category").is_present();
        return known.then_some(Shape::Notification);
    }
    if fields.get("notificationConfigName").is_present() {
        return Some(Shape::Notification);
    }
    if fields.get("findings").is_list()
        && let Some(first) = fields.get("findings").items().next()
    {
        let inner = first.get("finding");
        return (is_named(first) || is_named(inner)).then_some(Shape::Findings);
    }
    let finding = ["category", "state", "findingClass", "resourceName"].iter().any(|name| fields.get(name).is_present());
    (is_named(fields) && finding).then_some(Shape::Bare)
}

fn is_named(finding: Json<'_, '_>) -> bool {
    name(finding).is_some_and(|name| FindingName::parse(&name).is_some())
}

fn name<'a>(finding: Json<'_, 'a>) -> Option<Text<'a>> {
    finding.text_of(&["name", "canonicalName", "canonical_name"])
}

fn read_at<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>, depth: usize) -> Result<(), NormalizeError> {
    let unrecognised = || NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED };
    match shape(event).filter(|_| depth <= MAX_DEPTH).ok_or_else(unrecognised)? {
        Shape::Notification => {
            let deleted = event.text_of(&["deletedFinding", "deleted_finding"]).is_some_and(|deleted| deleted.eq_ignore_ascii_case("true"));
            take(event, event.get("finding"), event.get("resource"), deleted, reading);
        }
        Shape::Bare => take(event, event, event.absent(), false, reading),
        Shape::Findings => list(event, "findings", reading, depth)?,
        Shape::Listing => list(event, "listFindingsResults", reading, depth)?,
        Shape::Log => read_at(event.get("jsonPayload"), reading, depth + 1)?,
        Shape::DetectorLog => reading.passed_over.push(&DETECTOR_LOG),
    }
    Ok(())
}

fn list<'a>(event: Json<'_, 'a>, field: &'static str, reading: &mut Reading<'a>, depth: usize) -> Result<(), NormalizeError> {
    let list = event.get(field);
    if !list.is_list() {
        return Err(problem(KIND, field, "not a list", "an array of findings"));
    }
    for item in list.items() {
        if let Err(error) = read_at(item, reading, depth + 1) {
            reading.faults.push(error);
        }
    }
    Ok(())
}

fn take<'a>(event: Json<'_, 'a>, fields: Json<'_, 'a>, beside: Json<'_, 'a>, deleted: bool, reading: &mut Reading<'a>) {
    if fields.text_of(&["findingClass", "finding_class"]).is_some_and(|class| class == "SCC_ERROR") {
        reading.passed_over.push(&SCANNER_ERROR);
        return;
    }
    let resource = if is_empty(beside) { fields.get("resource") } else { beside };
    reading.take(finding(fields, resource).map(|mut finding| {
        if deleted {
            finding.activity = Activity::Close;
            finding.status = FindingStatus::Deleted;
            if let Some(compliance) = &mut finding.compliance {
                compliance.status = ComplianceStatus::Unknown;
            }
        }
        finding.raw = Cow::Borrowed(event.raw());
        finding
    }));
}

fn problem(kind: &'static str, field: &'static str, problem: &'static str, expected: &'static str) -> NormalizeError {
    NormalizeError::Field { kind, field: field.into(), problem: problem.into(), expected: expected.into() }
}

fn finding<'a>(fields: Json<'_, 'a>, about: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    const NAME: &str = "{organizations|folders|projects}/…/sources/…/findings/…";
    let name = name(fields).ok_or_else(|| problem(KIND, "finding.name", "missing", NAME))?;
    let uid = FindingName::parse(&name).ok_or_else(|| problem(KIND, "finding.name", "not the name of a finding", NAME))?.uid();

    let category = fields.get("category").text();
    let vulnerability = vulnerability(fields);
    let class = class(fields.text_of(&["findingClass", "finding_class"]).as_deref(), category.as_deref(), vulnerability.is_some());
    let resource = resource(fields, about);

    let product = Product {
        name: fields
            .text_of(&["parentDisplayName", "parent_display_name", "sourceDisplayName"])
            .unwrap_or(Cow::Borrowed("Security Command Center")),
        vendor: Cow::Borrowed("Google Cloud"),
        uid: part(&name, |name| name.split_once("/locations/").or_else(|| name.split_once("/findings/")).map(|(source, _)| source)),
        version: None,
    };
    let cloud = resource.as_ref().map_or(Cloud::Gcp, |resource| resource.cloud);
    let mut finding = Finding::new(Source::Scc, class, cloud, uid.clone(), product);
    finding.source_ref.account = part(&name, |name| FindingName::parse(name).map(|name| name.owner));
    finding.source_ref.location = part(&name, |name| FindingName::parse(name)?.location);
    finding.source_ref.id = name;

    finding.title = category.clone().unwrap_or(Cow::Owned(uid));
    finding.desc = fields.get("description").text().or_else(|| property(fields, &["Explanation", "summary_message"]));
    finding.types = category.clone().into_iter().collect();
    finding.rule.clone_from(&category);

    let severity = fields.get("severity").text().or_else(|| property(fields, &["SeverityLevel", "severityLevel", "detectionPriority"]));
    finding.severity = severity.as_deref().map_or(Severity::Unknown, Severity::parse);
    finding.severity_original = severity;

    let state = fields.get("state").text();
    let muted = fields.get("mute").text().filter(|mute| mute.eq_ignore_ascii_case("MUTED"));
    match state.as_deref() {
        Some("INACTIVE") => (finding.status, finding.activity) = (FindingStatus::Resolved, Activity::Close),
        _ if muted.is_some() => finding.status = FindingStatus::Suppressed,
        Some("ACTIVE") => finding.status = FindingStatus::New,
        _ => {}
    }
    finding.status_original = if finding.status == FindingStatus::Suppressed { muted } else { state.clone() };

    finding.time = fields.time_of(&["eventTime", "event_time"]);
    finding.last_seen = finding.time;
    finding.created = fields.time_of(&["createTime", "create_time"]);

    if class == FindingClass::Compliance {
        let (standards, requirements) = standards(fields);
        // Inactive does not prove that the resource passes: it may be gone, or somebody closed the finding by hand.
        let status = if state.as_deref() == Some("ACTIVE") { ComplianceStatus::Fail } else { ComplianceStatus::Unknown };
        finding.compliance =
            Some(Compliance { control: category, standards, requirements, status, status_code: state, status_detail: None });
    }
    if class == FindingClass::Vulnerability {
        finding.vulnerabilities = vulnerability.into_iter().collect();
    }
    let advice = fields.text_of(&["nextSteps", "next_steps"]).or_else(|| property(fields, &["Recommendation", "recommendation"]));
    let references: Vec<Text<'a>> = fields.text_of(&["externalUri", "external_uri"]).into_iter().collect();
    if advice.is_some() || !references.is_empty() {
        finding.guidance = Some(Guidance { desc: advice.unwrap_or_default(), references });
    }
    let exposure = object(fields, &["attackExposure", "attack_exposure"]);
    finding.risk = exposure.get("score").text().map(|score| Risk { score: Some(score), ..Risk::default() });

    if let Some(resource) = resource {
        finding.account.clone_from(&resource.account);
        finding.region.clone_from(&resource.region);
        finding.resources.push(resource);
    }
    Ok(finding)
}

/// The class by `findingClass`; without one by the category's spelling: scanners write `PUBLIC_BUCKET_ACL`, detectors
/// `Malware: Bad IP`.
fn class(word: Option<&str>, category: Option<&str>, has_cve: bool) -> FindingClass {
    let scanner = |category: &str| category.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match word {
        Some("VULNERABILITY") if has_cve => FindingClass::Vulnerability,
        Some("MISCONFIGURATION" | "POSTURE_VIOLATION" | "VULNERABILITY") => FindingClass::Compliance,
        Some("THREAT" | "OBSERVATION" | "EXTERNAL_EXPOSURE" | "TOXIC_COMBINATION" | "CHOKEPOINT" | "SENSITIVE_DATA_RISK" | "SECRET") => {
            FindingClass::Detection
        }
        _ if category.is_some_and(scanner) => FindingClass::Compliance,
        _ => FindingClass::Detection,
    }
}

/// The CVE of a finding, if it has one.
fn vulnerability<'a>(fields: Json<'_, 'a>) -> Option<Vulnerability<'a>> {
    let cve = fields.get("vulnerability").get("cve");
    let id = cve.get("id").text().filter(|id| id.starts_with("CVE-"))?;
    let score = object(cve, &["cvssv3", "cvssV3"]);
    Some(Vulnerability { cve: Some(id), cvss: score.text_of(&["baseScore", "base_score"]), ..Vulnerability::default() })
}

/// The resource, out of the finding and the object that comes with it (flat in version 1, with one object per cloud in version 2).
fn resource<'a>(finding: Json<'_, 'a>, about: Json<'_, 'a>) -> Option<Resource<'a>> {
    let uid = finding.text_of(&["resourceName", "resource_name"]).or_else(|| about.get("name").text())?;
    let aws = object(about, &["awsMetadata", "aws_metadata"]);
    let azure = object(about, &["azureMetadata", "azure_metadata"]);
    let provider = about.text_of(&["cloudProvider", "cloud_provider"]);
    let cloud = match provider.as_deref().and_then(Cloud::parse) {
        Some(cloud) => cloud,
        None if !is_empty(aws) => Cloud::Aws,
        None if !is_empty(azure) => Cloud::Azure,
        None => Cloud::Gcp,
    };
    let mut resource = Resource::new(cloud, uid.clone());
    match cloud {
        Cloud::Gcp => {
            resource.account = google_project(finding, about, &uid);
            resource.region = part(&uid, |uid| ["zones", "regions", "locations"].iter().find_map(|key| segment(uid, key)));
        }
        Cloud::Aws => {
            // Fixes need the ARN itself, which the full resource name may only contain.
            if let Some(arn) = part(&uid, |uid| uid.find("arn:aws").and_then(|at| uid.get(at..))) {
                resource.uid = arn;
            }
            let field = |at| part(&resource.uid, move |arn| arn.strip_prefix("arn:")?.split(':').nth(at).filter(|field| !field.is_empty()));
            resource.account = account(object(aws, &["account"]), &["name"], field(3));
            resource.region = field(2);
        }
        Cloud::Azure => {
            if let Some(id) = part(&uid, |uid| uid.find("/subscriptions/").and_then(|at| uid.get(at..))) {
                resource.uid = id;
            }
            let subscription = part(&resource.uid, |id| segment(id, "subscriptions"));
            resource.account = account(object(azure, &["subscription"]), &["displayName", "display_name"], subscription);
        }
    }
    resource.region = about.get("location").text().or(resource.region);
    resource.kind = about.get("type").text();
    let last = |uid: &Text<'a>| part(uid, |uid| uid.rsplit('/').next().filter(|name| !name.is_empty()));
    resource.name = about.text_of(&["displayName", "display_name"]).or_else(|| last(&resource.uid));
    Some(resource)
}

fn google_project<'a>(finding: Json<'_, 'a>, about: Json<'_, 'a>, uid: &Text<'a>) -> Option<Account<'a>> {
    const PROJECT: &[&str] = &["project", "projectName", "project_name"];
    const DISPLAY: &[&str] = &["projectDisplayName", "project_display_name"];
    let google = object(about, &["gcpMetadata", "gcp_metadata"]);
    let names = [
        Some(uid.clone()),
        google.text_of(PROJECT).or_else(|| about.text_of(PROJECT)),
        finding.text_of(&["canonicalName", "canonical_name"]),
        about.text_of(&["resourcePathString", "resource_path_string"]),
    ];
    let ids = [property(finding, &["ProjectId", "projectId", "project_id"])];
    project(&names, &ids, google.text_of(DISPLAY).or_else(|| about.text_of(DISPLAY)))
}

fn account<'a>(fields: Json<'_, 'a>, names: &[&str], fallback: Option<Text<'a>>) -> Option<Account<'a>> {
    Some(Account { uid: fields.get("id").text().or(fallback)?, name: fields.text_of(names) })
}
