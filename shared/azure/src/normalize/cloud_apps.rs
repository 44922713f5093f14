//! Defender for Cloud Apps: the alert as its API gives it, which is the body a flow of Power Automate sends
//! (learn.microsoft.com, defender-cloud-apps: api-alerts, flow-integration).
//!
//! The flow may add `resourceId`, the ARM id, ARN or Google name of the resource the alert is about: the product itself speaks of
//! accounts, addresses and apps.

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, Text};
use stanch_core::finding::{Activity, Finding, FindingClass, FindingStatus, Product, Severity, Source};
use stanch_core::json::Json;
use stanch_core::normalize::{NormalizeError, Reading};

use super::alert_resources::is_resource_id;
use super::{cloud_of, guidance, resource};

const INTENTS: &[&str] = &[
    "Unknown",
    "PreAttack",
    "InitialAccess",
    "Persistence",
    "PrivilegeEscalation",
    "DefenseEvasion",
    "CredentialAccess",
    "Discovery",
    "LateralMovement",
    "Execution",
    "Collection",
    "Exfiltration",
    "CommandAndControl",
    "Impact",
];

/// Reads an alert, or the answer that lists several. False for anything else.
pub(super) fn read<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    let list = fields.get("data");
    if list.is_list() && list.items().next().is_some_and(is_alert) {
        list.items().for_each(|alert| reading.take(one(alert)));
        return true;
    }
    let known = is_alert(fields);
    if known {
        reading.take(one(fields));
    }
    known
}

fn is_alert(fields: Json<'_, '_>) -> bool {
    let valued = ["severityValue", "statusValue", "resolutionStatusValue"].iter().any(|name| fields.get(name).is_present());
    valued && ["_id", "contextId", "stories", "entities"].iter().any(|name| fields.get(name).is_present())
}

fn one<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let id = fields.get("_id");
    // Exports write the database's own form of the id.
    let id = id.text().or_else(|| id.get("$oid").text()).ok_or(NormalizeError::Field {
        kind: "a Defender for Cloud Apps alert",
        field: Cow::Borrowed("_id"),
        problem: Cow::Borrowed("missing"),
        expected: Cow::Borrowed("the alert's id"),
    })?;
    let entities = || fields.get("entities").items();
    let told = fields.text_of(&["resourceId", "resource"]).into_iter().chain(entities().filter_map(|entity| entity.get("id").text()));
    let resources: Vec<_> = told.filter(|id| is_resource_id(id)).map(|id| resource(cloud_of(&id), id)).collect();
    let first = resources.first();
    let cloud = first.map_or(Cloud::Azure, |r| r.cloud);
    let product = Product { name: "Microsoft Defender for Cloud Apps".into(), vendor: "Microsoft".into(), ..Product::default() };
    let mut finding = Finding::new(Source::DefenderXdr, FindingClass::Detection, cloud, id, product);
    finding.account = first.and_then(|r| r.account.clone());
    finding.region = first.and_then(|r| r.region.clone());
    finding.source_ref.account = finding.account.clone().map(|account| account.uid);
    finding.title = fields.get("title").text().unwrap_or_default();
    finding.desc = fields.get("description").text();
    let is_policy = |entity: &Json<'_, 'a>| entity.get("type").str().is_some_and(|kind| kind.eq_ignore_ascii_case("policyRule"));
    finding.rule = entities().find(is_policy).and_then(|policy| policy.get("id").text());
    finding.types = fields.get("intent").texts().iter().filter_map(intent).collect();
    let grade = fields.get("severityValue").text();
    finding.severity = match grade.as_deref() {
        Some("0") => Severity::Low,
        Some("1") => Severity::Medium,
        Some("2") => Severity::High,
        Some("3") => Severity::Informational,
        other => other.map_or(Severity::Unknown, Severity::parse),
    };
    finding.severity_original = grade;
    let word = fields.get("resolutionStatusValue").text().or_else(|| fields.get("statusValue").text().filter(|word| word == "2"));
    (finding.status, finding.activity) = match (word.as_deref(), fields.get("resolutionStatusValue").is_present()) {
        (Some("0"), true) => (FindingStatus::New, Activity::Create),
        (Some("1" | "3" | "4"), true) => (FindingStatus::Suppressed, Activity::Update),
        (Some("2" | "5"), true) => (FindingStatus::Resolved, Activity::Close),
        (Some("2"), false) => (FindingStatus::Archived, Activity::Close),
        _ => (FindingStatus::Unknown, Activity::Create),
    };
    finding.status_original = word;
    finding.time = fields.get("timestamp").time();
    finding.created = finding.time;
    finding.guidance = guidance(None, fields.text_of(&["URL", "link"]).into_iter().collect());
    finding.resources = resources;
    finding.raw = Cow::Borrowed(fields.raw());
    Ok(finding)
}

/// Intents are numbers of a published list.
fn intent<'a>(number: &Text<'a>) -> Option<Text<'a>> {
    match number.parse::<usize>() {
        Ok(0) => None,
        Ok(number) => INTENTS.get(number).map(|name| Cow::Borrowed(*name)),
        Err(_) => Some(number.clone()),
    }
}
