//! Azure Policy: how one resource stands against one policy of one assignment.
//!
//! Rows of `policyStates/…/queryResults` and `policyEvents/…/queryResults` (2018 to 2024, the old ones without `complianceState`),
//! rows of Resource Graph, which hold the same under `properties`, and the events
//! <https://learn.microsoft.com/azure/event-grid/event-schema-policy>, which name the resource in their `subject`.

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Product, Source};
use stanch_core::json::{Doc, Json};
use stanch_core::normalize::NormalizeError;

use super::assessment::{last_name, place};
use super::{canonical, gone, looks_like, resource};
use crate::arm::ArmId;
use crate::payload::list;

/// What stands between the parts of a state's id. No ARM id of a resource holds it.
pub(crate) const SEPARATOR: &str = "|";
const EVENT: &str = "Microsoft.PolicyInsights.PolicyState";
/// What the API writes where it has nothing to say.
const NOTHING: &str = "tbd";

/// Whether an Event Grid type is one of a policy state's.
pub(super) fn is_event(kind: &str) -> bool {
    kind.get(..EVENT.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENT))
}

/// Whether a row tells of a request that was refused. Only rows of events name who asked.
pub(super) fn is_denial(row: Json<'_, '_>) -> bool {
    let context = row.get("@odata.context").str().unwrap_or_default().to_ascii_lowercase();
    (context.contains("/policyevents/") || row.get("principalOid").is_present())
        && row.get("policyDefinitionAction").str().is_some_and(|action| action.eq_ignore_ascii_case("deny"))
}

/// Reads one event of Event Grid's.
pub(super) fn event<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let data = fields.get("data");
    let subject = fields.get("subject").text().or_else(|| data.get("resourceId").text());
    let mut finding = match data.text() {
        None => state(data, "subject", subject)?,
        Some(text) => state(Doc::read(&text)?.root(), "subject", subject)?.into_owned(),
    };
    if finding.time.is_none() {
        finding.time = fields.time_of(&["eventTime", "time"]);
        finding.last_seen = finding.time;
    }
    let kind = fields.any(&["eventType", "type"]).str().unwrap_or_default().to_ascii_lowercase();
    if kind.ends_with("deleted") {
        gone(&mut finding);
    } else if kind.ends_with("changed") {
        finding.activity = Activity::Update;
    }
    Ok(finding)
}

/// Reads one row.
pub(super) fn row<'a>(row: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    state(row, "resourceId", row.get("resourceId").text())
}

fn state<'a>(row: Json<'_, 'a>, field: &'static str, subject: Option<Text<'a>>) -> Result<Finding<'a>, NormalizeError> {
    let uid = arm_id(field, subject)?;
    let assignment = arm_id("policyAssignmentId", row.get("policyAssignmentId").text())?;
    let definition = arm_id("policyDefinitionId", row.get("policyDefinitionId").text())?;
    let reference = row.get("policyDefinitionReferenceId").text();

    let product = Product { name: "Azure Policy".into(), vendor: "Microsoft".into(), ..Product::default() };
    let id = identity(&uid, &assignment, &definition, reference.as_deref());
    let mut finding = Finding::new(Source::AzurePolicy, FindingClass::Compliance, Cloud::Azure, id, product);
    let name = last_name(definition);
    finding.title = row.text_of(&["policyDefinitionDisplayName", "policyDefinitionName"]).or_else(|| name.clone()).unwrap_or_default();
    finding.rule.clone_from(&name);
    finding.policy.clone_from(&name);
    finding.types = row.get("policyDefinitionCategory").text().filter(|category| category != NOTHING).into_iter().collect();
    finding.time = row.get("timestamp").time();
    finding.last_seen = finding.time;

    let word = row.get("complianceState").text();
    let (status, source_status) = outcome(word.as_deref().or_else(|| row.get("isCompliant").str()).unwrap_or_default());
    finding.status = source_status;
    finding.status_original.clone_from(&word);
    finding.compliance = Some(Compliance {
        control: name,
        standards: initiative(row).into_iter().collect(),
        requirements: list(row, "policyDefinitionGroupNames"),
        status,
        status_code: word,
        status_detail: detail(row).map(Cow::Owned),
    });
    finding.source_ref.resource_group = part(&uid, |id| ArmId::parse(id)?.resource_group);
    place(&mut finding, of(row, uid));
    finding.source_ref.account = finding.account.as_ref().map(|account| account.uid.clone());
    Ok(finding)
}

fn arm_id<'a>(field: &'static str, id: Option<Text<'a>>) -> Result<Text<'a>, NormalizeError> {
    let problem = |problem| NormalizeError::Field {
        kind: looks_like(Source::AzurePolicy),
        field: Cow::Borrowed(field),
        problem: Cow::Borrowed(problem),
        expected: Cow::Borrowed("an ARM id"),
    };
    let id = id.ok_or_else(|| problem("missing"))?;
    // The scope of an assignment or definition stands before `/providers/` and may be anything.
    let is_id = ArmId::parse(&id).is_some() || id.to_ascii_lowercase().contains("/providers/microsoft.authorization/");
    if is_id { Ok(id) } else { Err(problem("not an ARM id")) }
}

/// The id of a state, the same in every shape: resource, assignment, definition and, within an initiative, its reference.
fn identity(resource: &str, assignment: &str, definition: &str, reference: Option<&str>) -> String {
    let mut id = [resource, assignment, definition].map(canonical).join(SEPARATOR);
    if let Some(reference) = reference {
        id.push_str(SEPARATOR);
        id.push_str(&reference.to_ascii_lowercase());
    }
    id
}

/// <https://learn.microsoft.com/azure/governance/policy/concepts/compliance-states>; a row of before 2019 has `isCompliant` alone.
fn outcome(word: &str) -> (ComplianceStatus, FindingStatus) {
    match word.to_ascii_lowercase().as_str() {
        "compliant" | "true" => (ComplianceStatus::Pass, FindingStatus::Resolved),
        "noncompliant" | "false" => (ComplianceStatus::Fail, FindingStatus::New),
        // Assignments that contradict each other, and policies that cannot be evaluated.
        "conflict" | "error" => (ComplianceStatus::Warning, FindingStatus::New),
        "exempt" | "protected" => (ComplianceStatus::Unknown, FindingStatus::Suppressed),
        _ => (ComplianceStatus::Unknown, FindingStatus::Unknown),
    }
}

/// The initiative the assignment assigns, if it assigns one.
fn initiative<'a>(row: Json<'_, 'a>) -> Option<Text<'a>> {
    row.get("policySetDefinitionName").text().or_else(|| row.get("policySetDefinitionId").text().and_then(last_name))
}

/// Why: the reason, and which parts inside the resource (keys, certificates) do not comply.
fn detail(row: Json<'_, '_>) -> Option<String> {
    let reason = row.get("complianceReasonCode").text().or_else(|| row.path(&["policyEvaluationDetails", "reason"]).text());
    let failing = |part: &Json<'_, '_>| part.get("complianceState").str().is_none_or(|state| state.eq_ignore_ascii_case("NonCompliant"));
    let parts: Vec<Text<'_>> = row.get("components").items().filter(failing).filter_map(|part| part.text_of(&["name", "id"])).collect();
    let parts = (!parts.is_empty()).then(|| format!("components: {}", parts.join(", ")));
    let said: Vec<String> = reason.map(Cow::into_owned).into_iter().chain(parts).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn of<'a>(row: Json<'_, 'a>, uid: Text<'a>) -> Resource<'a> {
    let mut of = resource(Cloud::Azure, uid);
    // Written with a slash in front at times.
    let kind = row.get("resourceType").text().and_then(|kind| part(&kind, |kind| Some(kind.trim_start_matches('/'))));
    of.kind = kind.filter(|kind| kind.contains('/')).or(of.kind);
    of.region = row.get("resourceLocation").text();
    of.account = row.get("subscriptionId").text().map(|uid| Account { uid, name: None }).or(of.account);
    of.tags = tags(row.get("resourceTags"));
    of
}

/// Tags as an object, or as one inside a text.
fn tags<'a>(value: Json<'_, 'a>) -> Vec<(Text<'a>, Text<'a>)> {
    let pairs = |value: Json<'_, 'a>| -> Vec<(Text<'a>, Text<'a>)> {
        value.members().map(|(name, value)| (name.clone(), value.text().unwrap_or_default())).collect()
    };
    match value.text() {
        None => pairs(value),
        Some(text) => {
            let Ok(inner) = Doc::read(&text) else { return Vec::new() };
            let owned = |text: &str| Cow::Owned(text.to_owned());
            inner.root().members().map(|(name, value)| (owned(name), owned(&value.text().unwrap_or_default()))).collect()
        }
    }
}
