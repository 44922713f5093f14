//! Security alerts, in the three shapes Defender gives them: continuous export (flat PascalCase), ARM (camelCase under
//! `properties`) and Log Analytics (flat, every value a string, JSON inside strings).

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Activity, Finding, FindingClass, FindingStatus, Guidance, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::{cloud_of, guidance, product, resource, severity, subscription};
use crate::arm::ArmId;
use crate::payload::{commas, each, list};

/// Reads one alert. The id is the alert's name at the API, which the flat shapes call `SystemAlertId`.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let arm = fields.get("properties").is_present();
    let body = if arm { fields.get("properties") } else { fields };
    let arm_id = if arm { fields.get("id").text() } else { None };
    let ids = resource_ids(body);
    let reference = reference(fields, body, arm_id, ids.first())?;

    let title = body.text_of(&["AlertDisplayName", "DisplayName", "AlertName"]);
    let desc = body.get("Description").text();
    let rule = body.text_of(&["AlertType", "AlertName"]);
    let resources = resources(body, ids, reference.account.as_ref());
    let cloud = resources.first().map_or(Cloud::Azure, |r| r.cloud);

    let product = product(body.get("ProductName").text(), body.get("VendorName").text());
    let mut finding = Finding::new(Source::DefenderAlert, FindingClass::Detection, cloud, reference.id.clone(), product);
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
    finding.account = reference.account.clone().map(|uid| Account { uid, name: None });
    finding.resources = resources;
    finding.guidance = steps(body);
    finding.source_ref = reference;
    Ok(finding)
}

/// Name, location, subscription and resource group, each from the place that knows best: the alert's own ARM id, then the
/// portal link (the only place where an exported alert says its location), then the resource it is about.
fn reference<'a>(
    fields: Json<'_, 'a>,
    body: Json<'_, 'a>,
    arm_id: Option<Text<'a>>,
    resource: Option<&Text<'a>>,
) -> Result<SourceRef<'a>, NormalizeError> {
    let of_id = |find: for<'b> fn(&ArmId<'b>) -> Option<&'b str>| {
        arm_id.as_ref().and_then(|id| part(id, |id| ArmId::parse(id).as_ref().and_then(find)))
    };
    let uri = body.text_of(&["AlertUri", "AlertLink"]);
    let of_uri = |word: &str| uri.as_ref().and_then(|uri| part(uri, |uri| after(uri, word)));
    let of_resource =
        |find: for<'b> fn(&ArmId<'b>) -> Option<&'b str>| resource.and_then(|id| part(id, |id| ArmId::parse(id).as_ref().and_then(find)));

    let (field, expected) = if arm_id.is_some() { ("name", "the alert's name") } else { ("SystemAlertId", "the alert's id") };
    let name = match &arm_id {
        Some(_) => fields.get("name").text().or_else(|| of_id(|id| Some(id.name))),
        None => None,
    };
    let id = name.or_else(|| body.get("SystemAlertId").text()).ok_or(NormalizeError::Field {
        kind: "a Defender for Cloud alert",
        field: Cow::Borrowed(field),
        problem: Cow::Borrowed("missing"),
        expected: Cow::Borrowed(expected),
    })?;
    let in_group = if arm_id.is_some() {
        of_id(|id| id.resource_group)
    } else {
        of_uri("resourceGroup").or_else(|| of_resource(|id| id.resource_group))
    };
    let account = of_id(|id| id.subscription)
        .or_else(|| of_uri("subscriptionId"))
        .or_else(|| of_resource(|id| id.subscription))
        .or_else(|| body.text_of(&["SubscriptionId", "AzureResourceSubscriptionId", "WorkspaceSubscriptionId"]));
    Ok(SourceRef {
        id,
        product: None,
        location: of_id(|id| id.parent("locations")).or_else(|| of_uri("location")),
        account,
        resource_group: in_group,
    })
}

/// The segment after `word` in a portal link.
fn after<'b>(uri: &'b str, word: &str) -> Option<&'b str> {
    let mut segments = uri.split(['/', '?', '&']).skip_while(|segment| !segment.eq_ignore_ascii_case(word)).skip(1);
    segments.next().filter(|segment| !segment.is_empty() && !segment.contains('%'))
}

/// The resources: each one the identifiers name, else the single id fields, else the machines among the entities. An alert that
/// names none is about its subscription, which is where Defender keeps it.
fn resources<'a>(body: Json<'_, 'a>, ids: Vec<Text<'a>>, account: Option<&Text<'a>>) -> Vec<Resource<'a>> {
    let only = ids.len() == 1;
    let mut resources: Vec<Resource<'a>> = Vec::new();
    for id in ids {
        let cloud = cloud_of(&id);
        // Defender's stand-in for a resource of another cloud gives way to the native id that cloud's API takes.
        let native = if only && cloud != Cloud::Azure { native_id(body).filter(|native| cloud_of(native) == cloud) } else { None };
        let resource = resource(cloud, native.unwrap_or(id));
        if resources.iter().all(|known| known.canonical() != resource.canonical()) {
            resources.push(resource);
        }
    }
    if resources.is_empty() {
        resources.extend(native_id(body).map(|id| resource(cloud_of(&id), id)).or_else(|| account.cloned().map(subscription)));
    }
    resources
}

fn resource_ids<'a>(body: Json<'_, 'a>) -> Vec<Text<'a>> {
    let ids = each(body, "ResourceIdentifiers", |id| id.text_of(&["AzureResourceId", "AwsResourceId", "GcpResourceId"]));
    if !ids.is_empty() {
        return ids;
    }
    if let Some(id) = body.text_of(&["AzureResourceId", "ResourceId", "AssociatedResource"]) {
        return vec![id];
    }
    each(body, "Entities", |entity| {
        let kind = entity.get("Type").text()?;
        let is_resource = ["host", "azure-resource"].iter().any(|word| kind.eq_ignore_ascii_case(word));
        if is_resource { entity.text_of(&["AzureID", "ResourceId"]) } else { None }
    })
}

fn native_id<'a>(body: Json<'_, 'a>) -> Option<Text<'a>> {
    each(body, "Entities", |entity| entity.text_of(&["AmazonResourceId", "AwsResourceId", "FullResourceName", "GcpResourceId"]))
        .into_iter()
        .find(|id| cloud_of(id) != Cloud::Azure)
}

fn types<'a>(body: Json<'_, 'a>) -> Vec<Text<'a>> {
    let intents = ["Intent", "Intents", "Tactics"].iter().map(|name| list(body, name)).find(|list| !list.is_empty()).unwrap_or_default();
    intents.iter().flat_map(commas).filter(|intent| !intent.eq_ignore_ascii_case("Unknown")).collect()
}

fn status<'a>(finding: &mut Finding<'a>, word: Option<Text<'a>>) {
    let (status, activity) = match word.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "new" | "active" => (FindingStatus::New, Activity::Create),
        "inprogress" | "in progress" => (FindingStatus::InProgress, Activity::Update),
        "dismissed" => (FindingStatus::Suppressed, Activity::Update),
        "resolved" => (FindingStatus::Resolved, Activity::Close),
        _ => (FindingStatus::Unknown, Activity::Create),
    };
    finding.status = status;
    finding.activity = activity;
    finding.status_original = word;
}

fn steps<'a>(body: Json<'_, 'a>) -> Option<Guidance<'a>> {
    let mut steps = list(body, "RemediationSteps");
    let desc = if steps.len() > 1 { Some(Cow::Owned(steps.join("\n"))) } else { steps.pop() };
    let mut links = each(body, "ExtendedLinks", |link| link.get("Href").text());
    links.extend(body.text_of(&["AlertUri", "AlertLink"]));
    guidance(desc, links)
}

/// Alerts that Defender makes on request, so that people can try their wiring.
fn is_sample(title: Option<&str>, desc: Option<&str>, rule: Option<&str>) -> bool {
    let starts = |text: Option<&str>, prefix: &str| {
        text.and_then(|text| text.trim_start().split_at_checked(prefix.len())).is_some_and(|(head, _)| head.eq_ignore_ascii_case(prefix))
    };
    starts(title, "[SAMPLE ALERT]") || starts(desc, "THIS IS A SAMPLE ALERT") || starts(rule, "SIMULATED_")
}
