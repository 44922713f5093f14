//! Recommendations beside assessments: what Defender for Cloud said before it had them, what Advisor repeats of them, and what
//! Defender for IoT adds up.

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, part};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::assessment::place;
use super::{arm_finding, canonical, guidance, identified, outcome, product, resource, severity, subscription};
use crate::arm::ArmId;

/// Advisor's recommendations.
pub(super) const ADVISOR: &str = "Microsoft.Advisor/recommendations";

/// Reads a recommended task (<https://learn.microsoft.com/rest/api/defenderforcloud/tasks>).
pub(super) fn task<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, _) = arm_finding(Source::DefenderAssessment, fields)?;
    let properties = fields.get("properties");
    let parameters = properties.get("securityTaskParameters");
    let state = properties.get("state").text();

    finding.rule = parameters.get("name").text().or(finding.rule);
    finding.title = finding.rule.clone().unwrap_or_default();
    severity(&mut finding, parameters.get("severity").text());
    finding.created = properties.get("creationTimeUtc").time();
    finding.modified = properties.get("lastStateChangeTimeUtc").time();
    finding.time = finding.modified;
    let (status, source_status) = match state.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "active" => (ComplianceStatus::Fail, FindingStatus::New),
        "resolved" | "completed" => (ComplianceStatus::Pass, FindingStatus::Resolved),
        "dismissed" => (ComplianceStatus::Unknown, FindingStatus::Suppressed),
        _ => (ComplianceStatus::Unknown, FindingStatus::Unknown),
    };
    finding.status = source_status;
    finding.status_original.clone_from(&state);
    finding.compliance = Some(Compliance { control: finding.rule.clone(), status, status_code: state, ..Compliance::default() });
    let about = parameters.text_of(&["resourceId", "vmId"]).filter(|id| ArmId::parse(id).is_some());
    match about {
        Some(uid) => {
            let mut of = resource(Cloud::Azure, uid);
            of.region = parameters.get("location").text();
            place(&mut finding, of);
        }
        None => finding.resources = finding.source_ref.account.clone().map(subscription).into_iter().collect(),
    }
    Ok(finding)
}

/// Reads a compliance result (<https://learn.microsoft.com/rest/api/defenderforcloud/compliance-results>): a check of what its id
/// hangs on.
pub(super) fn compliance_result<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderAssessment, fields)?;
    let state = fields.path(&["properties", "resourceStatus"]).text();
    let (status, source_status) = outcome(state.as_deref().unwrap_or_default());
    finding.title = finding.rule.clone().unwrap_or_default();
    finding.status = source_status;
    finding.status_original.clone_from(&state);
    finding.compliance = Some(Compliance { control: finding.rule.clone(), status, status_code: state, ..Compliance::default() });
    let scope = part(&id, |id| ArmId::parse(id).map(|id| id.scope).filter(|scope| !scope.is_empty()));
    place(&mut finding, resource(Cloud::Azure, scope.unwrap_or(id)));
    Ok(finding)
}

/// Reads a recommendation that is added up over the devices of an IoT security solution
/// (<https://learn.microsoft.com/rest/api/defenderforcloud/iot-security-solutions-analytics-recommendation>). It names no device.
pub(super) fn devices<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let properties = fields.get("properties");
    let id = fields.get("id").text();
    // The ids of the first version have a segment too few, so only what stands before the provider is read in them.
    let scope = id.as_ref().and_then(|id| part(id, |id| id.get(..id.to_ascii_lowercase().find("/providers/microsoft.security/")?)));
    let solution = id.as_ref().and_then(|id| part(id, |id| id.get(..id.to_ascii_lowercase().find("/analyticsmodels/")?)));
    let of = solution.filter(|id| ArmId::parse(id).is_some()).or(scope);
    let mut finding = identified(Source::DefenderAssessment, "id", of.clone(), properties.get("recommendationName").text())?;
    if let Some(id) = id {
        finding.uid = Cow::Owned(canonical(&id));
        finding.source_ref.id = id;
    }
    finding.title = properties.get("recommendationDisplayName").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.desc = properties.get("description").text();
    severity(&mut finding, properties.get("reportedSeverity").text());
    let (unhealthy, healthy) = (properties.get("unhealthyDeviceCount").text(), properties.get("healthyDevices").text());
    let (status, source_status) = match unhealthy.as_deref() {
        None => (ComplianceStatus::Unknown, FindingStatus::Unknown),
        Some("0") => (ComplianceStatus::Pass, FindingStatus::Resolved),
        Some(_) => (ComplianceStatus::Fail, FindingStatus::New),
    };
    let counts =
        [("unhealthy", &unhealthy), ("healthy", &healthy)].map(|(word, count)| count.as_ref().map(|count| format!("{word} {count}")));
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    finding.status = source_status;
    finding.compliance = Some(Compliance {
        control: finding.rule.clone(),
        status,
        status_detail: (!counts.is_empty()).then(|| Cow::Owned(format!("devices: {}", counts.join(", ")))),
        ..Compliance::default()
    });
    finding.guidance = guidance(properties.get("remediationSteps").text(), Vec::new());
    if let Some(uid) = of {
        place(&mut finding, resource(Cloud::Azure, uid));
    }
    Ok(finding)
}

/// Reads Advisor's recommendation about security. It repeats an assessment of Defender's, and is the same finding: its id is the
/// assessment's where it names that. Advisor has it only while the fault is there.
pub(super) fn advice<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let properties = fields.get("properties");
    let metadata = properties.get("resourceMetadata");
    let origin = metadata.get("source").text().filter(|id| ArmId::parse(id).is_some_and(|id| id.is("Microsoft.Security/assessments")));
    let of_defender = origin.is_some();
    let key = properties.path(&["extendedProperties", "assessmentKey"]).text();
    let key = key.or_else(|| if of_defender { None } else { properties.get("recommendationTypeId").text() });
    let mut finding = identified(Source::DefenderAssessment, "id", origin.or_else(|| fields.get("id").text()), key)?;
    if !of_defender {
        finding.product = product(Some(Cow::Borrowed("Azure Advisor")), None);
    }
    let said = properties.get("shortDescription");
    let (problem, solution) = (said.get("problem").text(), said.get("solution").text());
    finding.title = problem.clone().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.desc = properties.get("description").text();
    severity(&mut finding, properties.get("impact").text());
    finding.modified = properties.get("lastUpdated").time();
    finding.time = finding.modified;
    let suppressed = properties.get("suppressionIds").items().next().is_some() || !properties.get("suppressionIds").texts().is_empty();
    finding.status = if suppressed { FindingStatus::Suppressed } else { FindingStatus::New };
    finding.compliance = Some(Compliance { control: finding.rule.clone(), status: ComplianceStatus::Fail, ..Compliance::default() });
    finding.guidance = guidance(solution.filter(|solution| Some(solution) != problem.as_ref()), Vec::new());
    let about = metadata.get("resourceId").text().filter(|id| ArmId::parse(id).is_some());
    let about = about.or_else(|| part(&finding.source_ref.id, |id| ArmId::parse(id).map(|id| id.scope).filter(|scope| !scope.is_empty())));
    if let Some(uid) = about {
        place(&mut finding, resource(Cloud::Azure, uid));
    }
    Ok(finding)
}
