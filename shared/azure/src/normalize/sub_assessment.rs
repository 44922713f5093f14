//! Sub-assessments: the single findings behind a recommendation, such as one CVE on an image or one rule of a database scan.

use stanch_core::cloud::{Text, part};
use stanch_core::finding::{Finding, FindingClass, Source, Vulnerability};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::assessment::{assessed, compliance, place};
use super::{apply_action, arm_finding, guidance, severity};
use crate::arm::ArmId;
use crate::payload::{each, plain};

/// Reads one sub-assessment, in camelCase or in the export's PascalCase. It is a vulnerability when it names CVEs, otherwise a
/// compliance finding. The rule is the scanner's own id, the control the key of the parent assessment.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderSubAssessment, fields)?;
    let properties = fields.get("properties");
    let status = properties.get("status");

    finding.rule = properties.get("id").text().or(finding.rule);
    finding.title = properties.get("displayName").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.desc = properties.get("description").text().map(plain);
    finding.types = properties.get("category").text().into_iter().collect();
    severity(&mut finding, status.get("severity").text());
    finding.time = properties.get("timeGenerated").time();
    finding.last_seen = finding.time;
    compliance(&mut finding, status);
    if let Some(compliance) = &mut finding.compliance {
        compliance.control = part(&id, |id| ArmId::parse(id)?.parent("assessments")).or_else(|| compliance.control.take());
    }
    let additional = properties.get("additionalData");
    let data = additional.get("data");
    finding.vulnerabilities =
        [additional, data].into_iter().map(|data| vulnerabilities(data, &finding)).find(|v| !v.is_empty()).unwrap_or_default();
    if !finding.vulnerabilities.is_empty() {
        finding.class = FindingClass::Vulnerability;
    }
    finding.guidance = guidance(properties.get("remediation").text().map(plain), Vec::new());
    place(&mut finding, assessed(properties.get("resourceDetails"), &assessment_of(&id)));
    apply_action(&mut finding, fields);
    Ok(finding)
}

/// The parent assessment's id, whose scope is the resource.
fn assessment_of<'a>(id: &Text<'a>) -> Text<'a> {
    part(id, |id| {
        let at = id.to_ascii_lowercase().rfind("/subassessments/")?;
        id.get(..at)
    })
    .unwrap_or_else(|| id.clone())
}

fn vulnerabilities<'a>(data: Json<'_, 'a>, finding: &Finding<'a>) -> Vec<Vulnerability<'a>> {
    let details = data.get("vulnerabilityDetails");
    let mut ids = each(data, "cve", |cve| cve.text_of(&["title", "cveId", "id"]));
    ids.extend(data.get("cveId").text().or_else(|| details.get("cveId").text()));
    let score = cvss(data).or_else(|| cvss(details));
    ids.into_iter()
        .map(|id| {
            let is_cve = id.split_at_checked(4).is_some_and(|(head, _)| head.eq_ignore_ascii_case("CVE-"));
            let (cve, advisory) = if is_cve { (Some(id), finding.rule.clone()) } else { (None, Some(id)) };
            Vulnerability { cve, advisory, title: Some(finding.title.clone()), cvss: score.clone() }
        })
        .collect()
}

/// The base score of the newest CVSS version given.
fn cvss<'a>(data: Json<'_, 'a>) -> Option<Text<'a>> {
    let versions = data.get("cvss");
    ["4.0", "3.1", "3.0", "2.0"].iter().find_map(|version| versions.get(version).get("base").text())
}
