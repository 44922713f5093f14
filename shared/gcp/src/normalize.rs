//! Payload to [`Finding`]: which of Security Command Center's shapes an event has, and what its fields mean.

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, Text, part};
use stanch_core::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, Vulnerability,
};
use stanch_core::json::Json;
use stanch_core::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use crate::payload::{FindingName, PROPERTIES, Properties, is_empty, object, standards};
use crate::resource::resource;

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
const LOG_ENTRY: NoFinding = NoFinding {
    rule: "google-log-entry",
    what: "an entry of Cloud Logging",
    shape: "`logName` with `/logs/` in it, and a payload that holds no finding",
    why: "it tells what somebody did or a service wrote; the finding that a detector makes of it comes as a notification",
};
const WORKSPACE_ACTIVITY: NoFinding = NoFinding {
    rule: "google-workspace-activity",
    what: "an activity of Google Workspace",
    shape: "`kind` `admin#reports#activity`",
    why: "it tells what an account did in Workspace, which holds no resource of Google Cloud",
};
const ASSET_CHANGE: NoFinding = NoFinding {
    rule: "google-asset-change",
    what: "a change in Cloud Asset Inventory",
    shape: "`asset` with `assetType`",
    why: "it tells how a resource is set, not that it is at fault",
};

/// The rules for what Google Cloud sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&DETECTOR_LOG, &SCANNER_ERROR, &LOG_ENTRY, &WORKSPACE_ACTIVITY, &ASSET_CHANGE];

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
    /// `{"findings": […]}`, or one finding in its place.
    Findings,
    /// `{"listFindingsResults": […]}`, without the list when it is empty.
    Listing,
    /// A log entry whose `jsonPayload` has one of the other shapes.
    Log,
    /// The finding itself.
    Bare,
    /// By its nature no finding.
    Nothing(&'static NoFinding),
}

fn shape(fields: Json<'_, '_>) -> Option<Shape> {
    if let Some(shape) = holder(fields) {
        return Some(shape);
    }
    if holder(fields.get("jsonPayload")).is_some() {
        return Some(Shape::Log);
    }
    let text = |name: &str| fields.get(name).str();
    if let Some(log) = text("logName").filter(|log| log.contains("/logs/")) {
        let detector = fields.get("jsonPayload").is_present() && log.contains("threatdetection.googleapis.com");
        return Some(Shape::Nothing(if detector { &DETECTOR_LOG } else { &LOG_ENTRY }));
    }
    if text("kind") == Some("admin#reports#activity") {
        return Some(Shape::Nothing(&WORKSPACE_ACTIVITY));
    }
    fields.get("asset").any(&["assetType", "asset_type"]).is_present().then_some(Shape::Nothing(&ASSET_CHANGE))
}

/// The shapes that need no unwrapping first.
fn holder(fields: Json<'_, '_>) -> Option<Shape> {
    if fields.get("listFindingsResults").is_present() || is_empty_listing(fields) {
        return Some(Shape::Listing);
    }
    let notified = fields.any(NOTIFICATION).is_present();
    let finding = fields.get("finding");
    if finding.is_present() {
        return (notified || is_named(finding) || finding.get("category").is_present()).then_some(Shape::Notification);
    }
    if notified {
        return Some(Shape::Notification);
    }
    if let Some(first) = fields.get("findings").items().next() {
        return (is_named(first) || is_named(first.get("finding"))).then_some(Shape::Findings);
    }
    let finding = ["category", "state", "findingClass", "resourceName", "resource_name"].iter().any(|name| fields.get(name).is_present());
    (is_named(fields) && finding).then_some(Shape::Bare)
}

const NOTIFICATION: &[&str] = &["notificationConfigName", "notification_config_name"];

/// The API leaves an empty list out of its answer.
fn is_empty_listing(fields: Json<'_, '_>) -> bool {
    let known = |name: &str| ["readTime", "totalSize", "nextPageToken"].iter().any(|known| known.eq_ignore_ascii_case(name));
    fields.get("readTime").is_present() && fields.members().all(|(name, _)| known(name))
}

fn is_named(finding: Json<'_, '_>) -> bool {
    name(finding).is_some_and(|name| FindingName::parse(&name).is_some())
}

fn name<'a>(finding: Json<'_, 'a>) -> Option<Text<'a>> {
    finding.text_of(&["name", "canonicalName", "canonical_name"])
}

/// A finding with what comes beside it.
#[derive(Clone, Copy)]
struct Parts<'d, 'a> {
    /// All of it, as received.
    event: Json<'d, 'a>,
    finding: Json<'d, 'a>,
    resource: Json<'d, 'a>,
    properties: Json<'d, 'a>,
}

impl<'d, 'a> Parts<'d, 'a> {
    /// The finding's own object and the one beside it; some exports move `sourceProperties` out as well.
    fn of(event: Json<'d, 'a>, finding: Json<'d, 'a>) -> Self {
        let place = |names: &[&str], of: [Json<'d, 'a>; 2]| {
            of.into_iter().map(|of| object(of, names)).find(|found| !is_empty(*found)).unwrap_or(event.absent())
        };
        let packed = finding.any(PROPERTIES);
        let properties = if packed.str().is_some() { packed } else { place(PROPERTIES, [finding, event]) };
        Parts { event, finding, resource: place(&["resource"], [event, finding]), properties }
    }
}

fn read_at<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>, depth: usize) -> Result<(), NormalizeError> {
    let unrecognised = || NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED };
    match shape(event).filter(|_| depth <= MAX_DEPTH).ok_or_else(unrecognised)? {
        Shape::Notification => take(Parts::of(event, event.get("finding")), reading),
        Shape::Bare => take(Parts::of(event, event), reading),
        Shape::Findings => list(event, "findings", reading, depth),
        Shape::Listing => list(event, "listFindingsResults", reading, depth),
        Shape::Log => read_at(event.get("jsonPayload"), reading, depth + 1)?,
        Shape::Nothing(rule) => reading.passed_over.push(rule),
    }
    Ok(())
}

fn list<'a>(event: Json<'_, 'a>, field: &'static str, reading: &mut Reading<'a>, depth: usize) {
    let list = event.get(field);
    if list.is_present() && !list.is_list() && !list.is_object() {
        reading.faults.push(problem(field, "not a list", "an array of findings"));
    }
    // What the findings share.
    let shared = object(event, &["resource"]).is_present() || event.any(PROPERTIES).is_present();
    for item in list.items() {
        if shared && !item.get("finding").is_present() {
            take(Parts::of(event, item), reading);
        } else if let Err(error) = read_at(item, reading, depth + 1) {
            reading.faults.push(error);
        }
    }
}

fn take<'a>(parts: Parts<'_, 'a>, reading: &mut Reading<'a>) {
    if parts.finding.text_of(&["findingClass", "finding_class"]).is_some_and(|class| class.eq_ignore_ascii_case("SCC_ERROR")) {
        reading.passed_over.push(&SCANNER_ERROR);
        return;
    }
    let deleted = parts.event.any(&["deletedFinding", "deleted_finding"]).str().is_some_and(|deleted| deleted.eq_ignore_ascii_case("true"));
    reading.take(finding(parts).map(|mut finding| {
        if deleted {
            finding.activity = Activity::Close;
            finding.status = FindingStatus::Deleted;
            if let Some(compliance) = &mut finding.compliance {
                compliance.status = ComplianceStatus::Unknown;
            }
        }
        finding
    }));
}

fn problem(field: &'static str, problem: &'static str, expected: &'static str) -> NormalizeError {
    NormalizeError::Field { kind: KIND, field: field.into(), problem: problem.into(), expected: expected.into() }
}

/// A word of an enumeration, but for its `…_UNSPECIFIED`.
fn word<'a>(fields: Json<'_, 'a>, names: &[&str]) -> Option<Text<'a>> {
    fields.text_of(names).filter(|word| !word.ends_with("_UNSPECIFIED"))
}

fn finding<'a>(parts: Parts<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    const NAME: &str = "{organizations|folders|projects}/…/sources/…/findings/…";
    let fields = parts.finding;
    let properties = Properties::read(parts.properties);
    let name = name(fields).ok_or_else(|| problem("finding.name", "missing", NAME))?;
    let uid = FindingName::parse(&name).ok_or_else(|| problem("finding.name", "not the name of a finding", NAME))?.uid();

    let category = fields.get("category").text();
    let vulnerability = vulnerability(fields);
    let class_word = word(fields, &["findingClass", "finding_class"]);
    let class = class(class_word.as_deref(), category.as_deref(), vulnerability.is_some());
    let resource = resource(fields, parts.resource, &properties);

    let product = Product {
        name: fields
            .text_of(&["parentDisplayName", "parent_display_name", "sourceDisplayName", "source_display_name"])
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
    finding.raw = Cow::Borrowed(parts.event.raw());

    finding.title = category.clone().unwrap_or(Cow::Owned(uid));
    finding.desc = fields.get("description").text().or_else(|| properties.text(&["Explanation", "summary_message"]));
    finding.types = category.clone().into_iter().collect();
    finding.rule.clone_from(&category);

    let severity = word(fields, &["severity"])
        .or_else(|| properties.text(&["SeverityLevel", "detectionPriority"]))
        .or_else(|| fields.get("severity").text());
    finding.severity = severity.as_deref().map_or(Severity::Unknown, Severity::parse);
    finding.severity_original = severity;

    let state = fields.get("state").text();
    let is_state = |word: &str| state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case(word));
    let active = is_state("ACTIVE");
    let muted = muted(fields);
    if is_state("INACTIVE") {
        (finding.status, finding.activity) = (FindingStatus::Resolved, Activity::Close);
    } else if muted.is_some() {
        finding.status = FindingStatus::Suppressed;
    } else if active {
        finding.status = FindingStatus::New;
    }
    finding.status_original = if finding.status == FindingStatus::Suppressed { muted } else { state.clone() };

    finding.time = fields.time_of(&["eventTime", "event_time"]);
    finding.last_seen = finding.time;
    finding.created = fields.time_of(&["createTime", "create_time"]);

    let (standards, requirements) = standards(fields, parts.properties);
    if class == FindingClass::Compliance {
        // Inactive does not prove that the resource passes: it may be gone, or somebody closed the finding by hand.
        let status = if active { ComplianceStatus::Fail } else { ComplianceStatus::Unknown };
        finding.compliance =
            Some(Compliance { control: category, standards, requirements, status, status_code: state, status_detail: None });
    } else if !standards.is_empty() {
        finding.compliance = Some(Compliance { standards, requirements, ..Compliance::default() });
    }
    finding.vulnerabilities = vulnerability.into_iter().collect();
    let advice = fields.text_of(&["nextSteps", "next_steps"]).or_else(|| properties.text(&["Recommendation"]));
    let mut references: Vec<Text<'a>> = fields.text_of(&["externalUri", "external_uri"]).into_iter().collect();
    references.extend(fields.path(&["vulnerability", "cve", "references"]).items().filter_map(|link| link.get("uri").text()));
    if advice.is_some() || !references.is_empty() {
        finding.guidance = Some(Guidance { desc: advice.unwrap_or_default(), references });
    }
    finding.risk = risk(fields);

    if let Some(resource) = resource {
        finding.account.clone_from(&resource.account);
        finding.region.clone_from(&resource.region);
        finding.resources.push(resource);
    }
    Ok(finding)
}

/// The word that mutes a finding: the present one, or that of a static mute alone.
fn muted<'a>(fields: Json<'_, 'a>) -> Option<Text<'a>> {
    let word = word(fields, &["mute"]).or_else(|| {
        let mute = object(object(fields, &["muteInfo", "mute_info"]), &["staticMute", "static_mute"]);
        mute.get("state").text()
    });
    word.filter(|mute| mute.eq_ignore_ascii_case("MUTED"))
}

/// The score of Security Command Center's attack path simulation, where there was one; the name of its result; what the source
/// counts as making up the risk: the findings of a toxic combination or chokepoint, and its categories of risk.
fn risk<'a>(fields: Json<'_, 'a>) -> Option<Risk<'a>> {
    let exposure = object(fields, &["attackExposure", "attack_exposure"]);
    let toxic = object(fields, &["toxicCombination", "toxic_combination"]);
    let choke = fields.get("chokepoint");
    let calculated = exposure.get("state").str() == Some("CALCULATED");
    // Exports that write every field give 0 for "never computed".
    let nonzero = |score: &Text<'_>| score.parse::<f64>().is_ok_and(|score| score != 0.0);
    let score = exposure
        .get("score")
        .text()
        .filter(|score| calculated || nonzero(score))
        .or_else(|| toxic.text_of(&["attackExposureScore", "attack_exposure_score"]).filter(nonzero))
        .or_else(|| fields.get("vulnerability").text_of(&["providerRiskScore", "provider_risk_score"]));
    let mut factors: Vec<Text<'a>> =
        fields.get("risks").items().filter_map(|risk| risk.text_of(&["riskCategory", "risk_category"])).collect();
    for related in [toxic, choke].map(|of| of.any(&["relatedFindings", "related_findings"])) {
        factors.extend(related.texts());
    }
    let path = exposure.text_of(&["attackExposureResult", "attack_exposure_result"]);
    let risk = Risk { level: None, score, factors, attack_paths: path.into_iter().collect() };
    (risk != Risk::default()).then_some(risk)
}

/// The class by `findingClass`; without one by the category's spelling: scanners write `PUBLIC_BUCKET_ACL`, detectors
/// `Malware: Bad IP`.
fn class(word: Option<&str>, category: Option<&str>, vulnerable: bool) -> FindingClass {
    let scanner = |category: &str| category.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match word {
        Some("VULNERABILITY") | None if vulnerable => FindingClass::Vulnerability,
        Some("MISCONFIGURATION" | "POSTURE_VIOLATION" | "VULNERABILITY") => FindingClass::Compliance,
        None if category.is_some_and(scanner) => FindingClass::Compliance,
        Some(_) | None => FindingClass::Detection,
    }
}

/// The CVE or security bulletin of a finding, if it has one.
fn vulnerability<'a>(fields: Json<'_, 'a>) -> Option<Vulnerability<'a>> {
    let about = fields.get("vulnerability");
    let cve = about.get("cve");
    let id = cve.get("id").text().filter(|id| id.starts_with("CVE-"));
    let bulletin = object(about, &["securityBulletin", "security_bulletin"]).text_of(&["bulletinId", "bulletin_id"]);
    if id.is_none() && bulletin.is_none() {
        return None;
    }
    let score = cve.get("cvssv3").text_of(&["baseScore", "base_score"]).filter(|score| score.parse() != Ok(0.0));
    Some(Vulnerability { cve: id, advisory: bulletin, title: None, cvss: score })
}
