//! Security alerts, in the shapes Defender for Cloud gives them: continuous export (flat PascalCase), ARM (camelCase under
//! `properties`), Log Analytics (flat, every value a string, JSON inside strings) and Sentinel's entities (ARM, other ids).

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Text, part};
use stanch_core::finding::{Activity, Finding, FindingClass, FindingStatus, Guidance, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::{NoFinding, NormalizeError, Reading};

use super::alert_resources::{self, is_resource_id};
use super::{guidance, product, severity};
use crate::arm::ArmId;
use crate::payload::{commas, each, list};

pub(super) const NAMELESS: NoFinding = NoFinding {
    rule: "alert-without-a-cloud-resource",
    what: "an alert of another product, or a piece of its evidence, that names no cloud resource",
    shape: "a product that is not Defender for Cloud, and no ARM id, ARN or Google resource name",
    why: "it is about a person, a device or a mail, which no cloud's API can mend",
};

/// Reads one alert. `related` are resources that the alert is known to be about, should it name none itself.
pub(super) fn take<'a>(fields: Json<'_, 'a>, related: Vec<Text<'a>>, reading: &mut Reading<'a>) {
    match read(fields, related) {
        Ok(Some(finding)) => reading.take(Ok(Finding { raw: Cow::Borrowed(fields.raw()), ..finding })),
        Ok(None) => reading.passed_over.push(&NAMELESS),
        Err(error) => reading.take(Err(error)),
    }
}

fn read<'a>(fields: Json<'_, 'a>, related: Vec<Text<'a>>) -> Result<Option<Finding<'a>>, NormalizeError> {
    let properties = fields.get("properties");
    let body = if properties.is_present() { properties } else { fields };
    let arm_id = if properties.is_present() { fields.get("id").text() } else { None };
    let own_arm_id = arm_id.as_ref().filter(|id| is_alert_id(id));
    let uri = body.text_of(&["AlertUri", "AlertLink"]);
    let ours = own_arm_id.is_some() || body.get("AlertUri").is_present() || is_ours(body);
    let mut ids = alert_resources::ids(body);
    if ids.is_empty() {
        ids = related;
    }
    let named = ids.iter().any(|id| is_resource_id(id));
    if !ours && !named {
        return Ok(None);
    }
    let reference = reference(&Known { fields, body, arm_id: own_arm_id, uri: uri.as_ref(), ours }, arm_id.as_ref(), ids.first())?;

    let title = body.text_of(&["AlertDisplayName", "DisplayName", "AlertName"]);
    let desc = body.get("Description").text();
    let rule = body.text_of(&["AlertType", "AlertName"]);
    let resources = alert_resources::read(body, ids, reference.account.as_ref());
    let first = resources.first();
    let cloud = first.map_or(Cloud::Azure, |r| r.cloud);

    let source = if ours { Source::DefenderAlert } else { Source::DefenderXdr };
    let name = body.get("ProductName").text().or_else(|| body.get("ProviderName").text().filter(|_| !ours));
    let product = product(name, body.get("VendorName").text());
    let mut finding = Finding::new(source, FindingClass::Detection, cloud, reference.id.clone(), product);
    finding.sample = is_sample(title.as_deref(), desc.as_deref(), rule.as_deref());
    finding.title = title.or_else(|| rule.clone()).unwrap_or_default();
    finding.desc = desc;
    finding.rule = rule;
    finding.types = types(body);
    severity(&mut finding, body.text_of(&["Severity", "AlertSeverity", "ReportedSeverity"]));
    status(&mut finding, body.text_of(&["Status", "State"]));
    finding.time = body.time_of(&["TimeGenerated", "TimeGeneratedUtc", "ReportedTimeUtc"]);
    finding.created = finding.time;
    finding.modified = body.time_of(&["ProcessingEndTime", "ProcessingEndTimeUtc"]);
    finding.first_seen = body.time_of(&["StartTimeUtc", "StartTime", "DetectedTimeUtc"]);
    finding.last_seen = body.time_of(&["EndTimeUtc", "EndTime"]);
    finding.region = first.and_then(|resource| resource.region.clone());
    finding.account = match cloud {
        Cloud::Azure => reference.account.clone().map(|uid| Account { uid, name: None }),
        _ => first.and_then(|resource| resource.account.clone()),
    };
    finding.resources = resources;
    finding.guidance = steps(body, uri);
    finding.source_ref = reference;
    Ok(Some(finding))
}

/// What is known of an alert before it is read.
struct Known<'k, 'd, 'a> {
    fields: Json<'d, 'a>,
    body: Json<'d, 'a>,
    /// The alert's own id at Defender's API.
    arm_id: Option<&'k Text<'a>>,
    /// The portal link.
    uri: Option<&'k Text<'a>>,
    /// It is Defender for Cloud's.
    ours: bool,
}

fn is_alert_id(id: &str) -> bool {
    ArmId::parse(id).is_some_and(|arm| arm.is("Microsoft.Security/locations/alerts") || arm.is("Microsoft.Security/alerts"))
}

/// Name, location, subscription and resource group, each from the place that knows best: the alert's own ARM id, then the
/// portal link (the only place where an exported alert says its location), then the resource it is about, and last the
/// workspace it was found in.
fn reference<'a>(
    known: &Known<'_, '_, 'a>,
    place: Option<&Text<'a>>,
    resource: Option<&Text<'a>>,
) -> Result<SourceRef<'a>, NormalizeError> {
    let body = known.body;
    let of = |id: Option<&Text<'a>>, find: for<'b> fn(&ArmId<'b>) -> Option<&'b str>| {
        id.and_then(|id| part(id, |id| ArmId::parse(id).as_ref().and_then(find)))
    };
    let of_uri = |word: &str| known.uri.and_then(|uri| part(uri, |uri| after(uri, word)));
    let id = match known.arm_id {
        Some(_) => known.fields.get("name").text().or_else(|| of(known.arm_id, |id| Some(id.name))),
        None => None,
    };
    let id = id.or_else(|| native_id(known)).or_else(|| known.fields.get("name").text()).ok_or(NormalizeError::Field {
        kind: "a Defender for Cloud alert",
        field: Cow::Borrowed("SystemAlertId"),
        problem: Cow::Borrowed("missing"),
        expected: Cow::Borrowed("the alert's id"),
    })?;
    let in_group = match known.arm_id {
        Some(_) => of(known.arm_id, |id| id.resource_group),
        None => of_uri("resourceGroup").or_else(|| of(resource, |id| id.resource_group)),
    };
    let account = of(known.arm_id, |id| id.subscription)
        .or_else(|| of_uri("subscriptionId"))
        .or_else(|| of(resource, |id| id.subscription))
        .or_else(|| body.text_of(&["SubscriptionId", "AzureResourceSubscriptionId", "WorkspaceSubscriptionId"]))
        .or_else(|| of(place, |id| id.subscription));
    Ok(SourceRef {
        id,
        product: None,
        location: of(known.arm_id, |id| id.parent("locations")).or_else(|| of_uri("location")),
        account,
        resource_group: in_group,
    })
}

/// The id under which Defender for Cloud keeps the alert. Its own shapes call it `SystemAlertId`; Sentinel and Log Analytics give
/// the alert an id of their own by that name, and tell Defender's beside it.
fn native_id<'a>(known: &Known<'_, '_, 'a>) -> Option<Text<'a>> {
    let body = known.body;
    let own = body.get("SystemAlertId").text();
    if !known.ours || own.as_deref().is_some_and(is_native) {
        return own;
    }
    let of_uri = || known.uri.and_then(|uri| part(uri, |uri| after(uri, "alertId")));
    ["VendorOriginalId", "ProviderAlertId"]
        .iter()
        .find_map(|name| body.get(name).text().filter(|id| is_native(id)))
        .or_else(|| of_uri().filter(|id| is_native(id)))
        .or(own)
        .or_else(of_uri)
}

/// Defender's usual form of an alert's id: ticks, an underscore, a GUID.
pub(super) fn is_native(id: &str) -> bool {
    id.split_once('_').is_some_and(|(ticks, guid)| ticks.len() >= 15 && ticks.bytes().all(|b| b.is_ascii_digit()) && guid.len() == 36)
}

/// Whether a Log Analytics row or a Sentinel entity tells of Defender for Cloud's own alert. Rows from before Sentinel name no
/// product; then all of them were.
fn is_ours(body: Json<'_, '_>) -> bool {
    const OTHERS: &[&str] = &[
        "asi",
        "azuresentinel",
        "microsoftsentinel",
        "mcas",
        "microsoftcloudapp",
        "ipc",
        "azureactivedirectory",
        "mdatp",
        "microsoftdefenderadvanced",
        "microsoftdefenderforendpoint",
        "aatp",
        "azureadvancedthreat",
        "oatp",
        "office",
        "microsoft365defender",
        "microsoftthreatprotection",
    ];
    if let Some(name) = body.get("ProductName").str() {
        return is_defender_for_cloud(name);
    }
    let provider = letters(body.get("ProviderName").str().unwrap_or_default());
    !OTHERS.iter().any(|other| provider.starts_with(other))
}

/// Whether a product's name, in any of its spellings, is Defender for Cloud's.
pub(super) fn is_defender_for_cloud(name: &str) -> bool {
    const NAMES: &[&str] =
        &["microsoftdefenderforcloud", "defenderforcloud", "azuresecuritycenter", "securitycenter", "azuredefender", "asc"];
    NAMES.contains(&letters(name).as_str())
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The segment after `word` in a portal link.
pub(super) fn after<'b>(uri: &'b str, word: &str) -> Option<&'b str> {
    let mut segments = uri.split(['/', '?', '&']).skip_while(|segment| !segment.eq_ignore_ascii_case(word)).skip(1);
    segments.next().filter(|segment| !segment.is_empty() && !segment.contains('%'))
}

/// The steps of the kill chain; `Unknown` says nothing.
fn types<'a>(body: Json<'_, 'a>) -> Vec<Text<'a>> {
    ["Intent", "Intents", "Tactics"]
        .iter()
        .map(|name| {
            let intents = list(body, name);
            intents.iter().flat_map(commas).filter(|intent| !intent.eq_ignore_ascii_case("Unknown")).collect::<Vec<_>>()
        })
        .find(|intents| !intents.is_empty())
        .unwrap_or_default()
}

/// Status words of alerts at Defender for Cloud, Log Analytics, the Activity Log and Microsoft Graph.
pub(super) fn status<'a>(finding: &mut Finding<'a>, word: Option<Text<'a>>) {
    let (status, activity) = match letters(word.as_deref().unwrap_or_default()).as_str() {
        "new" | "newalert" | "active" | "activated" | "open" => (FindingStatus::New, Activity::Create),
        "inprogress" => (FindingStatus::InProgress, Activity::Update),
        "dismissed" => (FindingStatus::Suppressed, Activity::Update),
        "resolved" | "closed" => (FindingStatus::Resolved, Activity::Close),
        _ => (FindingStatus::Unknown, Activity::Create),
    };
    finding.status = status;
    finding.activity = activity;
    finding.status_original = word;
}

fn steps<'a>(body: Json<'_, 'a>, uri: Option<Text<'a>>) -> Option<Guidance<'a>> {
    let mut steps = list(body, "RemediationSteps");
    let desc = if steps.len() > 1 { Some(Cow::Owned(steps.join("\n"))) } else { steps.pop() };
    let mut links = each(body, "ExtendedLinks", |link| link.get("Href").text());
    links.extend(uri);
    guidance(desc, links)
}

/// Alerts that Defender makes on request, so that people can try their wiring.
pub(super) fn is_sample(title: Option<&str>, desc: Option<&str>, rule: Option<&str>) -> bool {
    let starts = |text: Option<&str>, prefix: &str| {
        text.and_then(|text| text.trim_start().split_at_checked(prefix.len())).is_some_and(|(head, _)| head.eq_ignore_ascii_case(prefix))
    };
    starts(title, "[SAMPLE ALERT]") || starts(desc, "THIS IS A SAMPLE ALERT") || starts(rule, "SIMULATED_")
}
