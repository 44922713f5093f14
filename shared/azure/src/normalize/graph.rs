//! Alerts of Microsoft Graph, both generations, and of Defender XDR's streaming API and its older incidents API. They carry those
//! of Defender for Cloud beside those of every other product (learn.microsoft.com, graph/api/resources: alert, security-alert;
//! defender-xdr: streaming-api, api-list-incidents).

use std::borrow::Cow;
use std::collections::HashSet;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Finding, FindingClass, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::{NoFinding, NormalizeError, Reading};

use super::alert::{NAMELESS, after, is_defender_for_cloud, is_native, is_sample, status};
use super::alert_resources::is_resource_id;
use super::sentinel::INCIDENT;
use super::{cloud_of, guidance, product, resource, severity};
use crate::payload::{inside, items};

pub(super) const INDICATOR: NoFinding = NoFinding {
    rule: "threat-indicator",
    what: "a threat indicator",
    shape: "`targetProduct` or `tlpLevel` with `threatType`",
    why: "it says what an attack would look like, not that there was one",
};
pub(super) const HUNTING: NoFinding = NoFinding {
    rule: "xdr-hunting-event",
    what: "an event of Defender XDR's hunting tables",
    shape: "category `AdvancedHunting-…` of any table but `AlertEvidence`",
    why: "it is what happened on a device or in a mailbox; an alert on a cloud resource names it as evidence",
};

/// Reads an alert, an incident that holds alerts, or a record of the stream. False for anything else.
pub(super) fn read<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    if let Some(table) = fields.get("category").str().and_then(|category| category.strip_prefix("AdvancedHunting-")) {
        match table {
            "AlertEvidence" => evidence(fields.get("properties"), reading),
            "AlertInfo" => reading.passed_over.push(&NAMELESS),
            _ => reading.passed_over.push(&HUNTING),
        }
        return true;
    }
    let kind = fields.get("@odata.type").str().unwrap_or_default();
    let any = |names: &[&str]| fields.any(names).is_present();
    if any(&["threatType"]) && any(&["targetProduct", "tlpLevel"]) {
        reading.passed_over.push(&INDICATOR);
        return true;
    }
    let is_incident = kind.eq_ignore_ascii_case("#microsoft.graph.security.incident") || any(&["incidentName"]) && any(&["incidentId"]);
    if is_incident {
        let alerts = fields.get("alerts");
        if alerts.items().next().is_none() {
            reading.passed_over.push(&INCIDENT);
        }
        alerts.items().for_each(|alert| newer(alert, reading));
        return true;
    }
    let is_older = fields.get("vendorInformation").is_object() && any(&["id"]) && any(&["severity", "azureTenantId", "eventDateTime"]);
    if is_older {
        older(fields, reading);
        return true;
    }
    let is_newer = kind.eq_ignore_ascii_case("#microsoft.graph.security.alert")
        || any(&["serviceSource", "detectionSource"]) && any(&["id", "alertId", "providerAlertId"]) && any(&["severity", "status"]);
    if is_newer {
        newer(fields, reading);
    }
    is_newer
}

/// The alert of the first generation: `vendorInformation`, `securityResources`.
fn older<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) {
    let vendor = fields.get("vendorInformation");
    let ours = vendor.get("provider").str().is_some_and(is_defender_for_cloud);
    let named = fields.get("securityResources").items().filter_map(|held| held.get("resource").text());
    let resources: Vec<_> = named.filter(|id| is_resource_id(id)).map(|id| resource(cloud_of(&id), id)).collect();
    let account = fields.get("azureSubscriptionId").text();
    let told = Told {
        ours,
        id: fields.get("id").text(),
        account,
        product: product(vendor.get("provider").text().filter(|_| !ours), vendor.get("vendor").text()),
        rule: fields.get("category").text(),
        types: Vec::new(),
        resources,
        links: fields.get("sourceMaterials").texts(),
    };
    take(fields, told, reading);
}

/// The alert of the second generation, also inside a Defender XDR incident.
fn newer<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) {
    let service = fields.get("serviceSource").text();
    let of_cloud = service.as_deref().is_some_and(is_defender_for_cloud);
    // Defender for Cloud's own id leads back to its API; the number Defender XDR gave the alert does not.
    let number = fields.text_of(&["id", "alertId"]);
    let given = fields.get("providerAlertId").text();
    let native = given.clone().filter(|id| of_cloud && (is_native(id) || given != number));
    let told = Told {
        ours: native.is_some(),
        id: native.or(number).or(given),
        account: None,
        product: product(fields.get("productName").text().or_else(|| service.clone().filter(|_| !of_cloud)), None),
        rule: fields.get("detectorId").text(),
        types: fields.get("category").text().map(|category| items(&category)).unwrap_or_default(),
        resources: impacted(fields),
        links: fields.get("alertWebUrl").text().into_iter().collect(),
    };
    take(fields, told, reading);
}

/// One row of evidence: the alert, and one thing that has to do with it.
fn evidence<'a>(row: Json<'_, 'a>, reading: &mut Reading<'a>) {
    let [id, name, kind, account] = inside(
        row.get("AdditionalFields"),
        [
            &["ResourceId", "AzureResourceId", "AmazonResourceId", "FullResourceName"],
            &["ResourceName"],
            &["ResourceType"],
            &["SubscriptionId", "AmazonAccountId", "ProjectId"],
        ],
    );
    let id = id.or_else(|| row.text_of(&["ResourceID", "CloudResource"]).filter(|id| is_resource_id(id)));
    // The stream breaks long ids after a slash at times; no name begins with a space.
    let id = id.map(|id| if id.contains("/ ") { Cow::Owned(id.replace("/ ", "/")) } else { id });
    let Some(id) = id.filter(|id| is_resource_id(id)) else {
        reading.passed_over.push(&NAMELESS);
        return;
    };
    let mut named = resource(cloud_of(&id), id);
    named.kind = named.kind.or(kind);
    named.name = named.name.or(name);
    named.account = named.account.or(account.map(|uid| Account { uid, name: None }));
    let service = row.get("ServiceSource").text();
    let told = Told {
        ours: false,
        id: row.get("AlertId").text(),
        account: None,
        product: product(service, None),
        rule: None,
        types: row.get("Categories").text().map(|categories| items(&categories)).unwrap_or_default(),
        resources: vec![named],
        links: Vec::new(),
    };
    take(row, told, reading);
}

/// What the shapes say each in their own way.
struct Told<'a> {
    /// It is Defender for Cloud's, by the id it has there.
    ours: bool,
    id: Option<Text<'a>>,
    account: Option<Text<'a>>,
    product: stanch_core::finding::Product<'a>,
    rule: Option<Text<'a>>,
    types: Vec<Text<'a>>,
    resources: Vec<Resource<'a>>,
    links: Vec<Text<'a>>,
}

fn take<'a>(fields: Json<'_, 'a>, told: Told<'a>, reading: &mut Reading<'a>) {
    if !told.ours && told.resources.is_empty() {
        reading.passed_over.push(&NAMELESS);
        return;
    }
    let Some(id) = told.id else {
        reading.take(Err(NormalizeError::Field {
            kind: "an alert of Microsoft Graph",
            field: Cow::Borrowed("id"),
            problem: Cow::Borrowed("missing"),
            expected: Cow::Borrowed("the alert's id"),
        }));
        return;
    };
    let first = told.resources.first();
    let cloud = first.map_or(Cloud::Azure, |r| r.cloud);
    let source = if told.ours { Source::DefenderAlert } else { Source::DefenderXdr };
    let of_first = |cloud: Cloud| first.filter(|r| r.cloud == cloud).and_then(|r| r.account.clone());
    let subscription = told.account.or_else(|| of_first(Cloud::Azure).map(|account| account.uid));

    let mut finding = Finding::new(source, FindingClass::Detection, cloud, id.clone(), told.product);
    finding.account = if cloud == Cloud::Azure { subscription.clone().map(|uid| Account { uid, name: None }) } else { of_first(cloud) };
    finding.region = first.and_then(|r| r.region.clone());
    // Among the links of Defender for Cloud's alerts is the one to its page, which alone tells the location.
    let of_links = |word: &str| told.links.iter().find_map(|link| part(link, |link| after(link, word)));
    finding.source_ref = SourceRef {
        id,
        product: None,
        location: of_links("location").filter(|_| told.ours),
        account: subscription.or_else(|| of_links("subscriptionId")),
        resource_group: of_links("resourceGroup").filter(|_| told.ours),
    };
    finding.title = fields.get("title").text().unwrap_or_default();
    finding.desc = fields.get("description").text();
    finding.sample = is_sample(Some(&finding.title), finding.desc.as_deref(), told.rule.as_deref());
    finding.rule = told.rule;
    finding.types = told.types;
    severity(&mut finding, fields.get("severity").text());
    status(&mut finding, fields.get("status").text());
    finding.created = fields.time_of(&["createdDateTime", "creationTime", "alertCreationTime"]);
    finding.time = fields.time_of(&["eventDateTime", "Timestamp"]).or(finding.created);
    finding.modified = fields.time_of(&["lastUpdateDateTime", "lastModifiedDateTime", "lastUpdatedTime", "lastUpdateTime"]);
    finding.first_seen = fields.time_of(&["firstActivityDateTime", "firstActivity", "firstEventTime", "eventDateTime"]);
    finding.last_seen = fields.time_of(&["lastActivityDateTime", "lastActivity", "lastEventTime", "lastEventDateTime"]);
    let steps = fields.any(&["recommendedActions", "recommendedAction"]).texts();
    let desc = (!steps.is_empty()).then(|| if steps.len() == 1 { steps.concat() } else { steps.join("\n") });
    finding.guidance = guidance(desc.map(Cow::Owned), told.links);
    finding.resources = told.resources;
    finding.raw = Cow::Borrowed(fields.raw());
    reading.findings.push(finding);
}

/// The cloud resources among the evidence, those that were only the attacker's or the background left out where others remain.
fn impacted<'a>(fields: Json<'_, 'a>) -> Vec<Resource<'a>> {
    let listed = fields.any(&["evidence", "entities"]).items();
    // Older answers give each kind of evidence a member of its own.
    let apart = fields.members().filter(|(name, _)| name.to_ascii_lowercase().ends_with("evidence")).map(|(_, value)| value);
    let all: Vec<_> = listed.chain(apart.filter(|value| value.is_object())).filter_map(|held| Some((is_hit(held), named(held)?))).collect();
    let any_hit = all.iter().any(|(hit, _)| *hit);
    let mut seen = HashSet::new();
    let hit = all.into_iter().filter(|(hit, _)| *hit || !any_hit).map(|(_, resource)| resource);
    hit.filter(|resource| seen.insert(resource.canonical())).collect()
}

fn is_hit(evidence: Json<'_, '_>) -> bool {
    const ASIDE: &[&str] = &["contextual", "attacker", "source", "commandAndControl"];
    let roles = evidence.get("roles").texts();
    roles.is_empty() || roles.iter().any(|role| !ASIDE.iter().any(|aside| aside.eq_ignore_ascii_case(role)))
}

/// The resource a piece of evidence is, runs on or lies in.
fn named<'a>(evidence: Json<'_, 'a>) -> Option<Resource<'a>> {
    let places = ["", "vmMetadata", "cloudResource", "storageResource", "cluster"];
    let (held, id) = places.iter().find_map(|place| {
        let held = if place.is_empty() { evidence } else { evidence.get(place) };
        let id = held.text_of(&["resourceId", "azureResourceId", "amazonResourceId", "fullResourceName"]);
        id.filter(|id| is_resource_id(id)).map(|id| (held, id))
    })?;
    let mut found = resource(cloud_of(&id), id);
    found.kind = found.kind.or_else(|| held.get("resourceType").text());
    found.name = found.name.or_else(|| held.get("resourceName").text());
    let account = held.text_of(&["amazonAccountId", "projectId", "subscriptionId"]);
    found.account = found.account.or(account.map(|uid| Account { uid, name: None }));
    found.region = found.region.or_else(|| held.get("location").text());
    Some(found)
}
