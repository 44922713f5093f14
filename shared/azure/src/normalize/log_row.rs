//! Rows of the Log Analytics tables that continuous export fills
//! (<https://learn.microsoft.com/azure/azure-monitor/reference/tables/securityrecommendation>, `securitynestedrecommendation`,
//! `securityregulatorycompliance`). They name the parts of the ARM id that the other shapes have, so that a finding has one id.

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, Text};
use stanch_core::finding::{Compliance, Finding, Source};
use stanch_core::json::{Doc, Json};
use stanch_core::normalize::NormalizeError;

use super::assessment::{last_name, place};
use super::compliance::counts;
use super::sub_assessment::scanned;
use super::{cloud_of, guidance, identified, outcome, resource, severity, subscription};
use crate::arm::ArmId;
use crate::payload::plain;

/// Reads a row of `SecurityRecommendation`.
pub(super) fn assessment<'a>(row: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let id = given(row, &["RecommendationId"], "Microsoft.Security/assessments").or_else(|| under(row, "assessments", "RecommendationId"));
    let mut finding = identified(Source::DefenderAssessment, "AssessedResourceId", id, None)?;
    finding.title = row.text_of(&["RecommendationDisplayName", "RecommendationName"]).or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.policy = row.get("PolicyDefinitionId").text().and_then(last_name);
    finding.first_seen = row.get("FirstEvaluationDate").time();
    finding.created = finding.first_seen;
    finding.modified = row.get("StatusChangeDate").time();
    state(&mut finding, row, &["NotApplicableReason"]);
    finding.time = finding.modified.or(finding.time);
    Ok(finding)
}

/// Reads a row of `SecurityNestedRecommendation`.
pub(super) fn sub_assessment<'a>(row: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    const KIND: &str = "Microsoft.Security/assessments/subAssessments";
    let id = given(row, &["NestedRecommendationId", "Id"], KIND).or_else(|| {
        let parent = under(row, "assessments", "ParentRecommendationId")?;
        Some(Cow::Owned(format!("{parent}/subAssessments/{}", row.get("NestedRecommendationId").text()?)))
    });
    let mut finding = identified(Source::DefenderSubAssessment, "AssessedResourceId", id, None)?;
    finding.rule = row.get("VulnerabilityId").text().or(finding.rule);
    finding.title = row.get("RecommendationName").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    finding.types = row.get("Category").text().into_iter().collect();
    state(&mut finding, row, &["Cause", "StatusDescription"]);
    if let Some(compliance) = &mut finding.compliance {
        compliance.control = row.get("ParentRecommendationId").text().and_then(last_name).or_else(|| compliance.control.take());
    }
    finding.last_seen = finding.time;
    let additional = row.get("AdditionalData");
    match additional.text() {
        None => scanned(&mut finding, additional),
        Some(text) => {
            if let Ok(inner) = Doc::read(&text) {
                let mut own = finding.into_owned();
                scanned(&mut own, inner.root());
                finding = own.into_owned();
            }
        }
    }
    Ok(finding)
}

/// Reads a row of `SecurityRegulatoryCompliance`.
pub(super) fn compliance<'a>(row: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    const KIND: &str = "Microsoft.Security/regulatoryComplianceStandards/regulatoryComplianceControls/regulatoryComplianceAssessments";
    let (standard, control) = (row.get("ComplianceStandard").text(), row.get("ComplianceControl").text());
    let key = row.get("RecommendationId").text().and_then(last_name);
    let account = row.get("RegulatoryComplianceSubscriptionId").text();
    let account = account.or_else(|| Some(Cow::Owned(ArmId::parse(&row.get("AssessedResourceId").text()?)?.subscription?.to_owned())));
    let id = given(row, &["AssessedResourceId"], KIND).or_else(|| {
        let (account, standard, control, key) = (account.as_ref()?, standard.as_ref()?, control.as_ref()?, key.as_ref()?);
        Some(Cow::Owned(format!(
            "/subscriptions/{account}/providers/Microsoft.Security/regulatoryComplianceStandards/{standard}/regulatoryComplianceControls/{control}/regulatoryComplianceAssessments/{key}"
        )))
    });
    let mut finding = identified(Source::DefenderCompliance, "RegulatoryComplianceSubscriptionId", id, None)?;
    finding.title = row.get("RecommendationName").text().or_else(|| finding.rule.clone()).unwrap_or_default();
    let word = row.get("State").text();
    let (status, source_status) = outcome(word.as_deref().unwrap_or_default());
    finding.status = source_status;
    finding.status_original.clone_from(&word);
    finding.compliance = Some(Compliance {
        control: finding.rule.clone(),
        standards: standard.into_iter().collect(),
        requirements: control.into_iter().collect(),
        status,
        status_code: word,
        status_detail: counts(row).map(Cow::Owned),
    });
    finding.snapshot = is_snapshot(row);
    finding.time = row.get("TimeGenerated").time();
    finding.guidance = guidance(None, row.get("RecommendationLink").text().into_iter().collect());
    finding.resources = finding.source_ref.account.clone().map(subscription).into_iter().collect();
    Ok(finding)
}

/// What the tables of recommendations have in common.
fn state<'a>(finding: &mut Finding<'a>, row: Json<'_, 'a>, why: &[&str]) {
    let word = row.get("RecommendationState").text();
    let (status, source_status) = outcome(word.as_deref().unwrap_or_default());
    let why: Vec<Text<'a>> = why.iter().filter_map(|name| row.get(name).text()).collect();
    severity(finding, row.get("RecommendationSeverity").text());
    finding.desc = row.get("Description").text().map(plain);
    finding.status = source_status;
    finding.status_original.clone_from(&word);
    finding.compliance = Some(Compliance {
        control: finding.rule.clone(),
        status,
        status_code: word,
        status_detail: (!why.is_empty()).then(|| Cow::Owned(why.join(": "))),
        ..Compliance::default()
    });
    finding.snapshot = is_snapshot(row);
    finding.time = row.get("TimeGenerated").time();
    // The table has the name in both spellings.
    let advice = row.text_of(&["RemediationDescription", "RemidiationDescription"]).map(plain);
    finding.guidance = guidance(advice, row.get("RecommendationLink").text().into_iter().collect());
    if let Some(uid) = row.get("AssessedResourceId").text() {
        let cloud = row.get("Environment").str().and_then(Cloud::parse).unwrap_or_else(|| cloud_of(&uid));
        let mut of = resource(cloud, uid);
        of.region = row.get("ResourceRegion").text().or(of.region);
        place(finding, of);
    }
}

fn is_snapshot(row: Json<'_, '_>) -> bool {
    row.get("IsSnapshot").str().is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

/// The first column that holds a whole ARM id of this type.
fn given<'a>(row: Json<'_, 'a>, names: &[&str], kind: &str) -> Option<Text<'a>> {
    names.iter().find_map(|name| row.get(name).text().filter(|id| ArmId::parse(id).is_some_and(|id| id.is(kind))))
}

/// The id of what is named by this column and hangs on the assessed resource.
fn under<'a>(row: Json<'_, 'a>, kind: &str, name: &str) -> Option<Text<'a>> {
    let (resource, key) = (row.get("AssessedResourceId").text()?, row.get(name).text()?);
    if ArmId::parse(&key).is_some() {
        return Some(key);
    }
    Some(Cow::Owned(format!("{}/providers/Microsoft.Security/{kind}/{key}", resource.trim_end_matches('/'))))
}
