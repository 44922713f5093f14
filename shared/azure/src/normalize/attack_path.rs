//! Attack paths: ways to a target that several weaknesses open together. Resource Graph alone has them, in two forms
//! (<https://learn.microsoft.com/azure/defender-for-cloud/attack-path-api>, and that of Exposure Management, which gives a
//! `riskLevel` and the entities themselves).

use std::borrow::Cow;

use stanch_core::cloud::{Resource, Text};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingStatus, Risk, Source};
use stanch_core::json::Json;
use stanch_core::normalize::{Mapping, NormalizeError, mapped};

use super::{arm_finding, cloud_of, guidance, resource, severity, subscription};
use crate::payload::list;

pub(super) const MAPPING: Mapping = Mapping {
    shape: "Defender for Cloud attack path",
    known_by: "`type` `Microsoft.Security/attackPaths`",
    marks: &[&["properties.attackPathType"], &["properties.attackPathId"], &["properties.graphComponent"]],
    source: "https://learn.microsoft.com/azure/defender-for-cloud/attack-path-api",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["properties.displayName", "name"], ""),
        mapped("finding_info.desc", &["properties.description", "properties.attackStory"], ""),
        mapped("severity_id", &["properties.riskLevel", "properties.potentialImpact"], ""),
        mapped("unmapped.severity_original", &["properties.riskLevel", "properties.potentialImpact"], "the source's own word"),
        mapped("status_id", &[], "New: a path that is closed is no longer listed"),
        mapped("compliance.control", &["properties.attackPathType", "properties.displayName", "name"], ""),
        mapped("remediation.desc", &["properties.manualRemediationSteps[]"], "lines joined"),
        mapped(
            "resources[].uid",
            &["id"],
            "the target, then the entry point, by their ids in `graphComponent.entities`; else the subscription",
        ),
        mapped("cloud.account.uid", &["id"], "the subscription in the ARM id"),
        mapped("risk_level", &["properties.riskLevel", "properties.potentialImpact"], ""),
        mapped("risk_details", &["properties.riskFactors[]", "properties.riskCategories[]"], "joined; several also under `unmapped.risk`"),
        mapped("finding_info.attack_graph.uid", &["name"], ""),
    ],
};

/// Reads one attack path. It is listed only while it is open.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, _) = arm_finding(Source::DefenderAssessment, fields)?;
    let properties = fields.get("properties");
    let path = finding.rule.take();
    finding.title = properties.get("displayName").text().or_else(|| path.clone()).unwrap_or_default();
    finding.rule = properties.get("attackPathType").text().or_else(|| Some(finding.title.clone()));
    finding.desc = properties.text_of(&["description", "attackStory"]);
    severity(&mut finding, properties.text_of(&["riskLevel", "potentialImpact"]));
    finding.status = FindingStatus::New;
    finding.compliance = Some(Compliance { control: finding.rule.clone(), status: ComplianceStatus::Fail, ..Compliance::default() });
    let factors = ["riskFactors", "riskCategories"].into_iter().map(|name| list(properties, name)).find(|list| !list.is_empty());
    finding.risk = Some(Risk {
        level: finding.severity_original.clone(),
        factors: factors.unwrap_or_default(),
        attack_paths: path.into_iter().collect(),
        ..Risk::default()
    });
    let steps = list(properties, "manualRemediationSteps");
    finding.guidance = guidance((!steps.is_empty()).then(|| Cow::Owned(steps.join("\n"))), Vec::new());

    let target = entity(properties, "targetEntityInternalID", "target");
    let entry = entity(properties, "entryPointEntityInternalID", "entryPoint").filter(|entry| Some(entry) != target.as_ref());
    finding.resources = target.into_iter().chain(entry).map(described).collect();
    match finding.resources.first() {
        Some(first) => finding.cloud = first.cloud,
        None => finding.resources = finding.source_ref.account.clone().map(subscription).into_iter().collect(),
    }
    Ok(finding)
}

fn described(uid: Text<'_>) -> Resource<'_> {
    resource(cloud_of(&uid), uid)
}

/// The id of an entity, found by its internal id among all, or given itself.
fn entity<'a>(properties: Json<'_, 'a>, reference: &str, given: &str) -> Option<Text<'a>> {
    let id = |entity: Json<'_, 'a>| {
        let known = entity.get("entityIdentifiers");
        known
            .text_of(&["azureResourceId", "awsResourceName", "gcpFullResourceName"])
            .or_else(|| entity.text_of(&["azureResourceId", "resourceId"]))
    };
    let reference = properties.get(reference);
    let mut all = properties.path(&["graphComponent", "entities"]).items();
    let named = all.find(|entity| reference.is_present() && entity.any(&["entityInternalID", "id"]).str() == reference.str());
    named.and_then(id).or_else(|| id(properties.get(given)))
}
