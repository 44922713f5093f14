//! The Activity Log: Defender for Cloud's alerts as its entries of category Security. They come as the REST answer, as a record
//! of the stream to Event Hubs, as a row of the table `AzureActivity`, or as an Azure Monitor alert's webhook body in both of its
//! schemas (learn.microsoft.com, azure-monitor: activity-log-schema, activity-log-alerts-webhook, alerts-common-schema).

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Text, part};
use stanch_core::finding::{Finding, FindingClass, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::{NoFinding, NormalizeError, Reading};

use super::alert::{is_sample, status};
use super::alert_resources::is_resource_id;
use super::{cloud_of, guidance, product, resource, severity};
use crate::arm::ArmId;
use crate::payload::{inside, items};

pub(super) const ENTRY: NoFinding = NoFinding {
    rule: "activity-log-entry",
    what: "an entry of the Activity Log, or of a service's own log in the same form",
    shape: "`operationName` with `category` or `eventSource` that is not Security, beside `resourceId`, `correlationId` or `tenantId`",
    why: "it tells that something was done, not that something is at fault",
};
pub(super) const POLICY: NoFinding = NoFinding {
    rule: "activity-log-policy",
    what: "an action of Azure Policy in the Activity Log",
    shape: "category `Policy`, or an operation below `Microsoft.Authorization/policies`",
    why: "it tells that a policy was applied to a request; whether the resource complies comes as its policy state",
};
pub(super) const RECOMMENDATION: NoFinding = NoFinding {
    rule: "activity-log-recommendation",
    what: "a notice of Azure Advisor in the Activity Log",
    shape: "category `Recommendation`, or an operation of `Microsoft.Advisor`",
    why: "Advisor's security recommendations are Defender for Cloud's, and come as assessments",
};
pub(super) const HEALTH: NoFinding = NoFinding {
    rule: "activity-log-health",
    what: "a notice of Service Health or Resource Health",
    shape: "category `ServiceHealth` or `ResourceHealth`, or an operation of those providers",
    why: "it tells what happens at Azure, security advisories included; no resource of the customer's is at fault",
};
pub(super) const MONITOR: NoFinding = NoFinding {
    rule: "azure-monitor-alert",
    what: "an alert of Azure Monitor",
    shape: "`schemaId` of Azure Monitor, and no entry of category Security in it",
    why: "it is about load and availability, or about a rule the customer wrote",
};

/// Reads an entry, or a webhook body that holds one. False for anything else.
pub(super) fn read<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    if !fields.get("schemaId").is_present() {
        return entry(fields, fields.absent(), reading);
    }
    let data = fields.get("data");
    let held = data.path(&["context", "activityLog"]);
    let known = match (held.is_object(), data.get("alertContext")) {
        (true, _) => entry(held, fields.absent(), reading),
        (false, context) if context.get("operationName").is_present() => entry(context, data.get("essentials"), reading),
        _ => false,
    };
    let monitors =
        fields.get("schemaId").str().is_some_and(|id| id.to_ascii_lowercase().contains("monitor") || id.starts_with("Microsoft.Insights"));
    if !known && monitors {
        reading.passed_over.push(&MONITOR);
    }
    known || monitors
}

fn entry<'a>(fields: Json<'_, 'a>, essentials: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    let operation = word(fields, &["operationNameValue", "operationName"]).unwrap_or_default().to_ascii_lowercase();
    let category = word(fields, &["categoryValue", "category", "eventSource"]).unwrap_or_default().to_ascii_lowercase();
    let placed = ["resourceId", "_ResourceId", "correlationId", "tenantId", "eventDataId"].iter().any(|name| fields.get(name).is_present());
    if operation.is_empty() || category.is_empty() || !placed {
        return false;
    }
    // People change an alert by operations of the same names, which are Administrative.
    if operation.starts_with("microsoft.security/") && operation.contains("/alerts/") && category != "administrative" {
        reading.take(alert(fields, essentials).map(|finding| Finding { raw: Cow::Borrowed(fields.raw()), ..finding }));
        return true;
    }
    reading.passed_over.push(match category.as_str() {
        "policy" => &POLICY,
        "recommendation" => &RECOMMENDATION,
        "servicehealth" | "resourcehealth" => &HEALTH,
        _ if operation.starts_with("microsoft.authorization/policies/") => &POLICY,
        _ if operation.starts_with("microsoft.advisor/") => &RECOMMENDATION,
        _ if operation.starts_with("microsoft.servicehealth/") || operation.starts_with("microsoft.resourcehealth/") => &HEALTH,
        _ => &ENTRY,
    });
    true
}

/// `{"value": …, "localizedValue": …}` of the REST answer, plain text elsewhere.
fn word<'a>(fields: Json<'_, 'a>, names: &[&str]) -> Option<Text<'a>> {
    names.iter().find_map(|name| {
        let value = fields.get(name);
        if value.is_object() { value.text_of(&["value", "localizedValue"]) } else { value.text() }
    })
}

fn alert<'a>(fields: Json<'_, 'a>, essentials: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let [grade, title, desc, steps, intent, entity, rule, named] = inside(
        fields.any(&["properties", "properties_d"]),
        [
            &["severity"],
            &["alertDisplayName", "alertName"],
            &["description"],
            &["remediationSteps"],
            &["intent"],
            &["compromisedEntity"],
            &["alertType"],
            &["azureResourceId", "resourceId"],
        ],
    );
    let targets = essentials.get("alertTargetIDs").texts();
    let is_alert = |id: &Text<'_>| ArmId::parse(id).is_some_and(|arm| arm.is("Microsoft.Security/locations/alerts"));
    let place = fields.text_of(&["resourceId", "_ResourceId"]).filter(is_alert).or_else(|| targets.iter().find(|id| is_alert(id)).cloned());
    let of_place = |find: for<'b> fn(&ArmId<'b>) -> Option<&'b str>| {
        place.as_ref().and_then(|id| part(id, |id| ArmId::parse(id).as_ref().and_then(find)))
    };
    let id = of_place(|arm| Some(arm.name)).or_else(|| fields.get("eventDataId").text()).ok_or(NormalizeError::Field {
        kind: "a Defender for Cloud alert in the Activity Log",
        field: Cow::Borrowed("resourceId"),
        problem: Cow::Borrowed("missing"),
        expected: Cow::Borrowed("the alert's ARM id, or `eventDataId`"),
    })?;
    let ids = named.into_iter().chain(entity).chain(targets);
    let resources: Vec<_> = ids.filter(|id| is_resource_id(id) && !is_alert(id)).take(1).map(|id| resource(cloud_of(&id), id)).collect();
    let cloud = resources.first().map_or(Cloud::Azure, |r| r.cloud);

    let mut finding = Finding::new(Source::DefenderAlert, FindingClass::Detection, cloud, id.clone(), product(None, None));
    let account = of_place(|arm| arm.subscription)
        .or_else(|| fields.get("subscriptionId").text())
        .or_else(|| resources.first().filter(|r| r.cloud == Cloud::Azure)?.account.clone().map(|account| account.uid));
    finding.source_ref = SourceRef {
        id,
        product: None,
        location: of_place(|arm| arm.parent("locations")),
        account: account.clone(),
        resource_group: of_place(|arm| arm.resource_group),
    };
    finding.account = match cloud {
        Cloud::Azure => account.map(|uid| Account { uid, name: None }),
        _ => resources.first().and_then(|r| r.account.clone()),
    };
    finding.region = resources.first().and_then(|r| r.region.clone());
    finding.desc = fields.text_of(&["description", "resultDescription"]).or(desc);
    finding.title = word(fields, &["eventName"]).or(title).or_else(|| finding.desc.clone()).unwrap_or_default();
    finding.rule = rule;
    finding.sample = is_sample(Some(&finding.title), finding.desc.as_deref(), finding.rule.as_deref());
    finding.types = intent.map(|intent| items(&intent)).unwrap_or_default();
    finding.types.retain(|intent| !intent.eq_ignore_ascii_case("Unknown"));
    severity(&mut finding, grade);
    status(&mut finding, word(fields, &["activityStatusValue", "status", "resultType", "activityStatus"]));
    finding.time = fields.time_of(&["eventTimestamp", "time", "TimeGenerated"]);
    finding.created = finding.time;
    finding.modified = fields.time_of(&["submissionTimestamp", "eventSubmissionTimestamp"]);
    let steps = steps.map(|steps| items(&steps)).filter(|steps| !steps.is_empty()).map(|steps| Cow::Owned(steps.join("\n")));
    finding.guidance = guidance(steps, Vec::new());
    finding.resources = resources;
    Ok(finding)
}
