//! Which shape a measurement has: what Defender for Cloud and Azure Policy say about the state of a resource.

use stanch_core::finding::{Finding, Source};
use stanch_core::json::Json;
use stanch_core::normalize::{NoFinding, NormalizeError};

use super::{assessment, attack_path, compliance, defender_type, log_row, none, older, policy, sql_scan, sub_assessment};

/// The shapes. One source has several, in all of which a finding has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `Microsoft.Security/assessments`: REST, Resource Graph, continuous export.
    Assessment,
    /// `Microsoft.Security/assessments/subAssessments`, likewise.
    SubAssessment,
    /// `Microsoft.Security/regulatoryComplianceStandards/…/regulatoryComplianceAssessments`, likewise.
    Compliance,
    /// `Microsoft.Security/tasks`, which came before assessments.
    Task,
    /// `Microsoft.Security/complianceResults`, likewise.
    ComplianceResult,
    /// `Microsoft.Advisor/recommendations` of category `Security`.
    Advice,
    /// `…/aggregatedRecommendations` of Defender for IoT.
    Devices,
    /// `Microsoft.Security/attackPaths` of Resource Graph.
    AttackPath,
    /// One rule of a scan of `Microsoft.Security/sqlVulnerabilityAssessments`.
    SqlScan,
    /// `SecurityRecommendation` of Log Analytics.
    LogAssessment,
    /// `SecurityNestedRecommendation` of Log Analytics.
    LogSubAssessment,
    /// `SecurityRegulatoryCompliance` of Log Analytics.
    LogCompliance,
    /// A row of Azure Policy's `queryResults`.
    PolicyRow,
    /// `Microsoft.PolicyInsights/policyStates` of Resource Graph.
    PolicyResource,
    /// `Microsoft.PolicyInsights.PolicyState…` of Event Grid, in its own schema or CloudEvents.
    PolicyEvent,
}

impl Shape {
    /// The shape of these fields; `kind` is the type they give themselves, or the one in their ARM id.
    pub(crate) fn of(fields: Json<'_, '_>, kind: Option<&str>) -> Option<Self> {
        if let Some(kind) = kind
            && let Some(shape) = Shape::named(kind, fields)
        {
            return Some(shape);
        }
        if fields.get("eventType").str().is_some_and(policy::is_event) {
            return Some(Shape::PolicyEvent);
        }
        let has = |name| fields.get(name).is_present();
        // What `$apply` adds up has the columns it groups by, which are seldom all of these.
        let whole = has("resourceId") && (has("policyDefinitionId") || !has("@odata.context"));
        if has("policyAssignmentId") && (has("complianceState") || has("isCompliant")) && whole {
            return Some(Shape::PolicyRow);
        }
        // Rows that were queried from a workspace may lack the name of their table.
        let shape = [
            ("ParentRecommendationId", Shape::LogSubAssessment),
            ("ComplianceControl", Shape::LogCompliance),
            ("RecommendationState", Shape::LogAssessment),
        ];
        shape.into_iter().find(|(name, _)| has(name)).map(|(_, shape)| shape).filter(|_| has("AssessedResourceId"))
    }

    fn named(kind: &str, fields: Json<'_, '_>) -> Option<Self> {
        const OTHERS: &[(&str, Shape)] = &[
            ("SecurityRecommendation", Shape::LogAssessment),
            ("SecurityNestedRecommendation", Shape::LogSubAssessment),
            ("SecurityRegulatoryCompliance", Shape::LogCompliance),
            ("Microsoft.PolicyInsights/policyStates", Shape::PolicyResource),
        ];
        if let Some(rest) = defender_type(kind) {
            let rest = rest.to_ascii_lowercase();
            return Some(match rest.as_str() {
                "assessments" => Shape::Assessment,
                "assessments/subassessments" | "subassessments" => Shape::SubAssessment,
                // Microsoft's own examples of the REST answer use the singular.
                "regulatorycomplianceassessment" => Shape::Compliance,
                _ if rest.ends_with("regulatorycomplianceassessments") => Shape::Compliance,
                "tasks" | "locations/tasks" => Shape::Task,
                "complianceresults" => Shape::ComplianceResult,
                "attackpaths" => Shape::AttackPath,
                "iotsecurityaggregatedrecommendation" => Shape::Devices,
                _ if rest.ends_with("/aggregatedrecommendations") => Shape::Devices,
                _ if rest.starts_with("sqlvulnerabilityassessments/") && rest.ends_with("/scanresults") => Shape::SqlScan,
                _ => return None,
            });
        }
        if let Some((_, shape)) = OTHERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
            return Some(*shape);
        }
        if policy::is_event(kind) {
            return Some(Shape::PolicyEvent);
        }
        let advice = kind.eq_ignore_ascii_case(older::ADVISOR) && fields.path(&["properties", "category"]).str() == Some("Security");
        advice.then_some(Shape::Advice)
    }

    /// Who sends it.
    pub(crate) fn source(self) -> Source {
        match self {
            Shape::Assessment
            | Shape::Task
            | Shape::Devices
            | Shape::AttackPath
            | Shape::ComplianceResult
            | Shape::Advice
            | Shape::LogAssessment => Source::DefenderAssessment,
            Shape::SubAssessment | Shape::SqlScan | Shape::LogSubAssessment => Source::DefenderSubAssessment,
            Shape::Compliance | Shape::LogCompliance => Source::DefenderCompliance,
            Shape::PolicyRow | Shape::PolicyResource | Shape::PolicyEvent => Source::AzurePolicy,
        }
    }

    /// The rule by which it is no finding all the same.
    pub(crate) fn no_finding(self, fields: Json<'_, '_>) -> Option<&'static NoFinding> {
        (self == Shape::PolicyRow && policy::is_denial(fields)).then_some(&none::POLICY_DENIED)
    }

    /// Reads it.
    pub(crate) fn read<'a>(self, fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
        match self {
            Shape::Assessment => assessment::read(fields),
            Shape::SubAssessment => sub_assessment::read(fields),
            Shape::Compliance => compliance::read(fields),
            Shape::Task => older::task(fields),
            Shape::ComplianceResult => older::compliance_result(fields),
            Shape::Advice => older::advice(fields),
            Shape::Devices => older::devices(fields),
            Shape::AttackPath => attack_path::read(fields),
            Shape::SqlScan => sql_scan::read(fields),
            Shape::LogAssessment => log_row::assessment(fields),
            Shape::LogSubAssessment => log_row::sub_assessment(fields),
            Shape::LogCompliance => log_row::compliance(fields),
            Shape::PolicyRow => policy::row(fields),
            Shape::PolicyResource => policy::row(fields.get("properties")),
            Shape::PolicyEvent => policy::event(fields),
        }
    }
}
