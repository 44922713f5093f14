//! Regulatory compliance: how many resources of one subscription pass one assessment of one control of a standard.

use std::borrow::Cow;

use stanch_core::cloud::part;
use stanch_core::finding::{Compliance, Finding, Source};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::{apply_enrichment, arm_finding, guidance, outcome, subscription};
use crate::arm::ArmId;

/// Reads one regulatory compliance assessment. Its resource is the subscription, because it names no bad resource: it only
/// counts them. The assessments with the same key (`compliance.control`) name them.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderCompliance, fields)?;
    let properties = fields.get("properties");
    let state = properties.get("state").text();
    let (status, source_status) = outcome(state.as_deref().unwrap_or_default());

    finding.title = properties.get("description").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.status = source_status;
    finding.status_original.clone_from(&state);
    finding.compliance = Some(Compliance {
        control: finding.rule.clone(),
        standards: part(&id, |id| ArmId::parse(id)?.parent("regulatoryComplianceStandards")).into_iter().collect(),
        requirements: part(&id, |id| ArmId::parse(id)?.parent("regulatoryComplianceControls")).into_iter().collect(),
        status,
        status_code: state,
        status_detail: counts(properties).map(Cow::Owned),
    });
    finding.guidance = guidance(None, properties.get("assessmentDetailsLink").text().into_iter().collect());
    finding.resources = finding.source_ref.account.clone().map(subscription).into_iter().collect();
    apply_enrichment(&mut finding, fields);
    Ok(finding)
}

/// `failed 4, passed 7` resources, as far as counted.
pub(super) fn counts(properties: Json<'_, '_>) -> Option<String> {
    const COUNTS: &[(&str, &str)] = &[
        ("failedResources", "failed"),
        ("passedResources", "passed"),
        ("skippedResources", "skipped"),
        ("unsupportedResources", "unsupported"),
    ];
    let counts: Vec<String> = COUNTS.iter().filter_map(|(field, word)| Some(format!("{word} {}", properties.get(field).text()?))).collect();
    (!counts.is_empty()).then(|| format!("resources: {}", counts.join(", ")))
}
