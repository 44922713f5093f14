//! What one rule of a scan found on a database, as the scan's own API gives it
//! (<https://learn.microsoft.com/rest/api/defenderforcloud/sql-vulnerability-assessment-scan-results>).

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, Text, part};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::assessment::place;
use super::{arm_finding, canonical, guidance, resource, severity};
use crate::arm::ArmId;

/// Reads one result. A later scan has the same finding, so its id names the latest scan, under which the API gives it.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderSubAssessment, fields)?;
    let properties = fields.get("properties");
    let rule = properties.get("ruleMetadata");
    let latest = latest(&id);
    finding.uid = Cow::Owned(canonical(&latest));
    finding.source_ref.id = latest;

    finding.rule = properties.get("ruleId").text().or_else(|| rule.get("ruleId").text()).or(finding.rule);
    finding.title = rule.get("title").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.desc = rule.get("description").text();
    finding.types = rule.get("category").text().into_iter().collect();
    severity(&mut finding, rule.get("severity").text());
    // What the owner accepted as the baseline is no fault.
    let state = properties.path(&["baselineAdjustedResult", "status"]).text().or_else(|| properties.get("status").text());
    let (status, source_status) = match state.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "finding" => (ComplianceStatus::Fail, FindingStatus::New),
        "nonfinding" => (ComplianceStatus::Pass, FindingStatus::Resolved),
        "internalerror" => (ComplianceStatus::Warning, FindingStatus::Unknown),
        _ => (ComplianceStatus::Unknown, FindingStatus::Unknown),
    };
    finding.status = source_status;
    finding.status_original.clone_from(&state);
    finding.compliance = Some(Compliance { control: finding.rule.clone(), status, status_code: state, ..Compliance::default() });
    finding.guidance = guidance(properties.path(&["remediation", "description"]).text(), Vec::new());
    let database = part(&id, database);
    place(&mut finding, resource(Cloud::Azure, database.unwrap_or(id)));
    Ok(finding)
}

/// What the vulnerability assessment belongs to.
fn database(id: &str) -> Option<&str> {
    ArmId::parse(id).map(|id| id.scope).filter(|scope| !scope.is_empty())
}

/// The id with `latest` for the name of its scan.
fn latest<'a>(id: &Text<'a>) -> Text<'a> {
    let lower = id.to_ascii_lowercase();
    let named = lower.rfind("/scans/").map(|at| at + "/scans/".len());
    let parts = named.and_then(|at| {
        let (head, tail) = id.split_at_checked(at)?;
        Some((head, tail.split_once('/')?.1))
    });
    parts.map_or_else(|| id.clone(), |(head, tail)| Cow::Owned(format!("{head}latest/{tail}")))
}
