//! Sub-assessments: the single findings behind a recommendation, such as one CVE on an image or one rule of a database scan.

use stanch_core::cloud::{Text, part};
use stanch_core::finding::{Finding, FindingClass, Source, Vulnerability};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::assessment::{assessed, compliance, place};
use super::{apply_enrichment, arm_finding, guidance, severity};
use crate::arm::ArmId;
use crate::payload::{each, plain};

/// Reads one sub-assessment, in camelCase or in the export's PascalCase. It is a vulnerability when it names CVEs or comes from a
/// scan for them, otherwise a compliance finding. The rule is the scanner's own id, the control the key of the parent assessment.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderSubAssessment, fields)?;
    let properties = fields.get("properties");
    let status = properties.get("status");
    let additional = properties.get("additionalData");

    finding.rule = properties.get("id").text().or(finding.rule);
    finding.title = properties.get("displayName").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.desc = properties.get("description").text().map(plain);
    finding.types = properties.get("category").text().into_iter().collect();
    severity(&mut finding, status.get("severity").text().or_else(|| scanned_severity(additional)));
    finding.time = properties.get("timeGenerated").time();
    finding.last_seen = finding.time;
    compliance(&mut finding, status);
    if let Some(compliance) = &mut finding.compliance {
        compliance.control = part(&id, |id| ArmId::parse(id)?.parent("assessments")).or_else(|| compliance.control.take());
    }
    finding.guidance = guidance(properties.get("remediation").text().map(plain), references(additional));
    scanned(&mut finding, additional);
    place(&mut finding, assessed(properties.get("resourceDetails"), &assessment_of(&id)));
    apply_enrichment(&mut finding, fields);
    Ok(finding)
}

/// Sets the vulnerabilities that a scanner's own data names, and the class they make of the finding.
pub(super) fn scanned<'a>(finding: &mut Finding<'a>, additional: Json<'_, 'a>) {
    let data = additional.get("data");
    finding.vulnerabilities =
        [additional, data].into_iter().map(|data| vulnerabilities(data, finding)).find(|v| !v.is_empty()).unwrap_or_default();
    let kind = additional.get("assessedResourceType").str().unwrap_or_default().to_ascii_lowercase();
    // `SqlServerVulnerability` and `GeneralVulnerability` look for settings.
    let scan = kind.contains("vulnerability") && !kind.starts_with("sql") && !kind.starts_with("general");
    if scan || !finding.vulnerabilities.is_empty() {
        finding.class = FindingClass::Vulnerability;
    }
}

/// The severity where a scanner's own data has it, which is where the newer ones put it.
fn scanned_severity<'a>(additional: Json<'_, 'a>) -> Option<Text<'a>> {
    let data = additional.get("data");
    [additional, data]
        .into_iter()
        .find_map(|data| data.get("vulnerabilityDetails").get("severity").text().or_else(|| data.text_of(&["severity", "cveSeverity"])))
}

fn references<'a>(additional: Json<'_, 'a>) -> Vec<Text<'a>> {
    let link = |item: Json<'_, '_>| item.get("link").is_present();
    let of = |data: Json<'_, 'a>| {
        let lists = [data.get("vendorReferences"), data.get("vulnerabilityDetails").get("references")];
        let links: Vec<Text<'a>> =
            lists.iter().flat_map(|list| list.items()).filter(|item| link(*item)).filter_map(|item| item.get("link").text()).collect();
        links
    };
    let links = of(additional);
    if links.is_empty() { of(additional.get("data")) } else { links }
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
    if ids.is_empty() && data.is_present() {
        // Defender Vulnerability Management names the sub-assessment itself by the CVE.
        ids.extend(finding.rule.clone().filter(|rule| is_cve(rule)));
    }
    let score = cvss(data).or_else(|| cvss(details));
    // Of several none has the finding's title for its own.
    let title = (ids.len() == 1).then(|| finding.title.clone());
    let others = finding.rule.as_ref().filter(|rule| !is_cve(rule));
    ids.into_iter()
        .map(|id| {
            let (cve, advisory) = if is_cve(&id) { (Some(id), others.cloned()) } else { (None, Some(id)) };
            Vulnerability { cve, advisory, title: title.clone(), cvss: score.clone() }
        })
        .collect()
}

fn is_cve(id: &str) -> bool {
    id.split_at_checked(4).is_some_and(|(head, _)| head.eq_ignore_ascii_case("CVE-"))
}

/// The base score of the newest CVSS version given.
fn cvss<'a>(data: Json<'_, 'a>) -> Option<Text<'a>> {
    let versions = data.get("cvss");
    let newest = ["4.0", "3.1", "3.0", "2.0"].iter().find_map(|version| versions.get(version).get("base").text());
    newest.or_else(|| versions.get("base").text()).or_else(|| data.get("cvssV30Score").text())
}
