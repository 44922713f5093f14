//! Recommendations: one assessment is one control on one resource.
//!
//! <https://learn.microsoft.com/rest/api/defenderforcloud/assessments> (2025-05-04 has the risk), and what continuous export and
//! Resource Graph add to it.

use std::borrow::Cow;

use stanch_core::cloud::{Account, Cloud, Resource, Text, part};
use stanch_core::finding::{Compliance, Finding, Risk, Source};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::{apply_enrichment, arm_finding, cloud_of, guidance, outcome, product, resource, severity};
use crate::arm::ArmId;
use crate::payload::{each, list, plain};

/// Reads one assessment.
pub(super) fn read<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let (mut finding, id) = arm_finding(Source::DefenderAssessment, fields)?;
    let properties = fields.get("properties");
    let metadata = properties.get("metadata");
    let status = properties.get("status");

    finding.title = properties
        .get("displayName")
        .text()
        .or_else(|| metadata.get("displayName").text())
        .or_else(|| finding.rule.clone())
        .unwrap_or_default();
    finding.desc = metadata.get("description").text().map(plain);
    finding.policy = metadata.get("policyDefinitionId").text().and_then(last_name);
    finding.types = list(metadata, "categories");
    if let Some(partner) = properties.path(&["partnersData", "partnerName"]).text() {
        finding.product = product(Some(partner.clone()), Some(partner));
    }
    severity(&mut finding, metadata.get("severity").text());
    finding.first_seen = status.get("firstEvaluationDate").time();
    finding.created = finding.first_seen;
    finding.modified = status.get("statusChangeDate").time();
    finding.time = finding.modified;
    compliance(&mut finding, status);
    if let Some(compliance) = &mut finding.compliance {
        // The initiatives that ask for it; Resource Graph alone names them.
        compliance.standards = each(properties, "statusPerInitiative", |initiative| initiative.get("policyInitiativeName").text());
    }
    finding.risk = risk(properties.get("risk"));
    let links = properties.get("links").text_of(&["azurePortalUri", "azurePortal"]);
    finding.guidance = guidance(metadata.get("remediationDescription").text().map(plain), links.into_iter().collect());
    place(&mut finding, assessed(properties.get("resourceDetails"), &id));
    apply_enrichment(&mut finding, fields);
    Ok(finding)
}

/// The last segment of an id: the name, or GUID, of a policy definition.
pub(super) fn last_name(id: Text<'_>) -> Option<Text<'_>> {
    part(&id, |id| id.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()))
}

/// Sets status and compliance from `{code, cause, description}`, or the code alone; the control is the finding's rule.
pub(super) fn compliance<'a>(finding: &mut Finding<'a>, status: Json<'_, 'a>) {
    let code = status.get("code").text().or_else(|| status.text());
    let (compliance, state) = outcome(code.as_deref().unwrap_or_default());
    let detail: Vec<Text<'a>> = ["cause", "description"].iter().filter_map(|name| status.get(name).text()).collect();
    finding.status = state;
    finding.status_original.clone_from(&code);
    finding.compliance = Some(Compliance {
        control: finding.rule.clone(),
        status: compliance,
        status_code: code,
        status_detail: (!detail.is_empty()).then(|| Cow::Owned(detail.join(": "))),
        ..Compliance::default()
    });
}

/// Makes `resource` the finding's one resource, and its account the finding's.
pub(super) fn place<'a>(finding: &mut Finding<'a>, resource: Resource<'a>) {
    finding.cloud = resource.cloud;
    finding.region.clone_from(&resource.region);
    if resource.account.is_some() {
        finding.account.clone_from(&resource.account);
    }
    finding.resources = vec![resource];
}

/// The resource from `resourceDetails`, routed by its `source`. Without a usable id there it is what the assessment's own id
/// hangs on.
pub(super) fn assessed<'a>(details: Json<'_, 'a>, assessment: &Text<'a>) -> Resource<'a> {
    let scope = part(assessment, scope_of).unwrap_or_else(|| assessment.clone());
    let given = details.text_of(&["id", "ResourceId", "AzureResourceId"]).filter(|id| ArmId::parse(id).is_some());
    let cloud = details.get("source").text().and_then(|source| Cloud::parse(&source));
    let native = match cloud {
        Some(Cloud::Aws) => details.text_of(&["nativeCloudUniqueIdentifier", "AwsResourceId", "nativeResourceId"]),
        Some(Cloud::Gcp) => details.text_of(&["nativeCloudUniqueIdentifier", "GcpResourceId", "nativeResourceId"]),
        _ => None,
    };
    let uid = native.or(given).unwrap_or(scope);
    let mut resource = resource(cloud.unwrap_or_else(|| cloud_of(&uid)), uid);

    let (provider, kind) = (details.get("resourceProvider").text(), details.get("resourceType").text());
    resource.kind = match (provider, kind) {
        (_, Some(kind)) if kind.contains('/') => Some(kind),
        (_, _) if resource.kind.is_some() => resource.kind,
        (Some(provider), Some(kind)) => Some(Cow::Owned(format!("{provider}/{kind}"))),
        (_, kind) => kind,
    };
    resource.name = details.text_of(&["resourceName", "machineName"]).or(resource.name);
    resource.region = details.get("region").text().or(resource.region);
    if resource.cloud != Cloud::Azure {
        resource.account = details.get("hierarchyId").text().map(|uid| Account { uid, name: None }).or(resource.account);
    }
    resource
}

/// The part of an id before `/providers/Microsoft.Security/assessments/`.
fn scope_of(id: &str) -> Option<&str> {
    ArmId::parse(id).map(|id| id.scope).filter(|scope| !scope.is_empty())
}

/// <https://learn.microsoft.com/azure/defender-for-cloud/risk-prioritization>. `paths` are what `attackPathsReferences` refers to,
/// where it is given at all.
fn risk<'a>(risk: Json<'_, 'a>) -> Option<Risk<'a>> {
    let mut attack_paths = list(risk, "attackPathsReferences");
    if attack_paths.is_empty() {
        attack_paths = each(risk, "paths", |path| path.get("id").text());
    }
    let risk = Risk { level: risk.get("level").text(), score: risk.get("score").text(), factors: list(risk, "riskFactors"), attack_paths };
    (risk != Risk::default()).then_some(risk)
}
