//! Which fields of a measurement fill which fields of OCSF.

use stanch_core::normalize::{Mapped, Mapping, mapped};

const SUBSCRIPTION: &str = "the subscription in the ARM id";
const WORD: &str = "the source's own word";
/// Both classes have them, one of them under another name.
const BY_CLASS: &str = "in a Vulnerability Finding `unmapped.compliance` has it";

pub(super) const ASSESSMENT: Mapping = Mapping {
    shape: "Defender for Cloud recommendation (assessment)",
    known_by: "`type` `Microsoft.Security/assessments`; REST and Resource Graph, or continuous export with `assessmentEventDataEnrichment`",
    marks: &[&["properties.status.code", "properties.resourceDetails"], &["properties.status.code", "assessmentEventDataEnrichment"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/assessments",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("metadata.original_event_uid", &["id"], "as it is, for its API"),
        mapped("finding_info.title", &["properties.displayName", "properties.metadata.displayName", "name"], ""),
        mapped("finding_info.desc", &["properties.metadata.description"], "without HTML"),
        mapped("finding_info.types[]", &["properties.metadata.categories[]"], ""),
        mapped("finding_info.analytic.uid", &["name", "id"], "the assessment key"),
        mapped("finding_info.created_time", &["properties.status.firstEvaluationDate"], "also the first observation"),
        mapped("finding_info.modified_time", &["properties.status.statusChangeDate"], ""),
        mapped("time", &["properties.status.statusChangeDate", "properties.status.firstEvaluationDate"], "else the time of receipt"),
        mapped("activity_id", &["assessmentEventDataEnrichment.action"], "`Delete` is Close, `Write` Update, else Create"),
        mapped("severity_id", &["properties.metadata.severity"], ""),
        mapped("unmapped.severity_original", &["properties.metadata.severity"], WORD),
        mapped(
            "status_id",
            &["properties.status.code"],
            "Healthy: Resolved; Unhealthy: New; NotApplicable: Suppressed; a deleted row: Deleted",
        ),
        mapped("unmapped.status_original", &["properties.status.code"], WORD),
        mapped("compliance.control", &["name", "id"], "the assessment key"),
        mapped("compliance.standards[]", &["properties.statusPerInitiative[].policyInitiativeName"], "Resource Graph alone has them"),
        mapped("compliance.status_id", &["properties.status.code"], "Healthy: Pass; Unhealthy: Fail"),
        mapped("compliance.status_code", &["properties.status.code"], WORD),
        mapped("compliance.status_details[]", &["properties.status.cause", "properties.status.description"], "joined"),
        mapped("remediation.desc", &["properties.metadata.remediationDescription"], "without HTML"),
        mapped("remediation.references[]", &["properties.links.azurePortalUri", "properties.links.azurePortal"], "with a scheme"),
        mapped("resources[].uid", RESOURCE, "the native id on AWS and Google Cloud; without a usable one what the assessment hangs on"),
        mapped("resources[].type", &["properties.resourceDetails.resourceType"], "with the provider; else the type in the ARM id"),
        mapped(
            "resources[].name",
            &["properties.resourceDetails.resourceName", "properties.resourceDetails.machineName"],
            "else the last name of the id",
        ),
        mapped("resources[].region", REGION, ""),
        mapped("cloud.provider", &["properties.resourceDetails.source"], "the resource's cloud"),
        mapped("cloud.region", REGION, ""),
        mapped(
            "cloud.account.uid",
            &["properties.resourceDetails.hierarchyId", "id"],
            "AWS account or Google project; in Azure the subscription in the ARM id",
        ),
        mapped("metadata.product.name", &["properties.partnersData.partnerName"], "else Microsoft Defender for Cloud"),
        mapped("unmapped.policy", &["properties.metadata.policyDefinitionId"], "the last segment"),
        mapped("risk_level", &["properties.risk.level"], ""),
        mapped("risk_details", &["properties.risk.riskFactors[]"], "joined; several also under `unmapped.risk`"),
        mapped(
            "finding_info.attack_graph.uid",
            &["properties.risk.attackPathsReferences[]", "properties.risk.paths[].id"],
            "the first; several also under `unmapped.risk`",
        ),
    ],
};

const RESOURCE: &[&str] = &[
    "properties.resourceDetails.nativeCloudUniqueIdentifier",
    "properties.resourceDetails.nativeResourceId",
    "properties.resourceDetails.id",
    "properties.resourceDetails.ResourceId",
    "properties.resourceDetails.AzureResourceId",
    "id",
];
const REGION: &[&str] = &["properties.resourceDetails.region"];

pub(super) const SUB_ASSESSMENT: Mapping = Mapping {
    shape: "Defender for Cloud sub-assessment",
    known_by: "`type` `Microsoft.Security/assessments/subAssessments`, in any case; continuous export writes PascalCase with `$type`",
    marks: &[
        &["properties.status.code", "properties.timeGenerated"],
        &["properties.status.code", "properties.additionalData.assessedResourceType"],
    ],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/sub-assessments",
    rows: &[
        mapped(
            "class_uid",
            &[],
            "Vulnerability Finding where CVEs are named or `assessedResourceType` is a scan for them, else Compliance Finding",
        ),
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["properties.displayName", "properties.id"], ""),
        mapped("finding_info.desc", &["properties.description"], "without HTML"),
        mapped("finding_info.types[]", &["properties.category"], ""),
        mapped("finding_info.analytic.uid", &["properties.id", "name"], "the scanner's rule"),
        mapped("finding_info.last_seen_time", &["properties.timeGenerated"], ""),
        mapped("time", &["properties.timeGenerated"], ""),
        mapped("activity_id", &["subAssessmentEventDataEnrichment.action"], "`Delete` is Close, else Create"),
        mapped("severity_id", SCANNED_SEVERITY, ""),
        mapped("unmapped.severity_original", SCANNED_SEVERITY, WORD),
        mapped("status_id", &["properties.status.code"], ""),
        mapped("unmapped.status_original", &["properties.status.code"], WORD),
        mapped(
            "compliance.control",
            &[],
            "the key of the parent assessment, from the id; in a Vulnerability Finding `unmapped.compliance` has it",
        ),
        mapped("compliance.status_code", &[], BY_CLASS),
        mapped(
            "vulnerabilities[]",
            &[
                "properties.additionalData.cve[].title",
                "properties.additionalData.data.cve[].title",
                "properties.additionalData.vulnerabilityDetails.cveId",
                "properties.additionalData.cveId",
            ],
            "each CVE; `related_vulnerabilities` has the scanner's rule",
        ),
        mapped("unmapped.vulnerabilities[].cvss", &[], "`additionalData.cvss`, the newest version's base score"),
        mapped("resources[].uid", RESOURCE, "an image stays in the raw data; its registry is the resource"),
        mapped("resources[].type", &["properties.resourceDetails.resourceType"], "with the provider; else the type in the ARM id"),
        mapped("resources[].name", &["properties.resourceDetails.resourceName"], "else the last name of the id"),
        mapped("resources[].region", REGION, ""),
        mapped("cloud.account.uid", &["properties.resourceDetails.hierarchyId", "id"], ""),
    ],
};
const SCANNED_SEVERITY: &[&str] = &[
    "properties.status.severity",
    "properties.additionalData.vulnerabilityDetails.severity",
    "properties.additionalData.severity",
    "properties.additionalData.data.severity",
];

pub(super) const COMPLIANCE: Mapping = Mapping {
    shape: "Defender for Cloud regulatory compliance assessment",
    known_by: "`type` of `…/regulatoryComplianceAssessments`",
    marks: &[&["properties.state", "properties.failedResources"], &["properties.state", "properties.assessmentDetailsLink"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/regulatory-compliance-assessments",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["properties.description", "name"], ""),
        mapped("activity_id", &["securityEventDataEnrichment.action"], "`Write` is Update"),
        mapped("status_id", &["properties.state"], "Passed: Resolved; Failed: New; Skipped and Unsupported: Suppressed"),
        mapped("unmapped.status_original", &["properties.state"], WORD),
        mapped("compliance.control", &["name", "id"], "the key of the assessment it counts"),
        mapped("compliance.standards[]", &["id"], "the standard in the ARM id"),
        mapped("compliance.requirements[]", &["id"], "the control in the ARM id"),
        mapped("compliance.status_id", &["properties.state"], ""),
        mapped("compliance.status_code", &["properties.state"], WORD),
        mapped(
            "compliance.status_details[]",
            &["properties.failedResources", "properties.passedResources", "properties.skippedResources", "properties.unsupportedResources"],
            "the counts",
        ),
        mapped("remediation.references[]", &["properties.assessmentDetailsLink"], ""),
        mapped("resources[].uid", &["id"], "the subscription: it names no resource"),
        mapped("resources[].type", &["id"], "`Microsoft.Resources/subscriptions`"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const TASK: Mapping = Mapping {
    shape: "Defender for Cloud recommended task",
    known_by: "`type` `Microsoft.Security/tasks` or `…/locations/tasks`",
    marks: &[&["properties.securityTaskParameters"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/tasks",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["properties.securityTaskParameters.name", "name"], ""),
        mapped("finding_info.created_time", &["properties.creationTimeUtc"], ""),
        mapped("finding_info.modified_time", &["properties.lastStateChangeTimeUtc"], ""),
        mapped("time", &["properties.lastStateChangeTimeUtc", "properties.creationTimeUtc"], ""),
        mapped("severity_id", &["properties.securityTaskParameters.severity"], ""),
        mapped("status_id", &["properties.state"], "Active: New; Dismissed: Suppressed; Resolved: Resolved"),
        mapped("unmapped.status_original", &["properties.state"], WORD),
        mapped("compliance.control", &["properties.securityTaskParameters.name", "name"], ""),
        mapped("compliance.status_code", &["properties.state"], WORD),
        mapped(
            "resources[].uid",
            &["properties.securityTaskParameters.resourceId", "properties.securityTaskParameters.vmId", "id"],
            "else the subscription",
        ),
        mapped("resources[].type", &["id"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const DEVICES: Mapping = Mapping {
    shape: "Defender for IoT recommendation, added up over devices",
    known_by: "`type` `Microsoft.Security/IoTSecurityAggregatedRecommendation` or `…/aggregatedRecommendations`",
    marks: &[&["properties.recommendationName", "properties.unhealthyDeviceCount"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/iot-security-solutions-analytics-recommendation",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["properties.recommendationDisplayName", "properties.recommendationName"], ""),
        mapped("finding_info.desc", &["properties.description"], ""),
        mapped("finding_info.analytic.uid", &["properties.recommendationName"], ""),
        mapped("severity_id", &["properties.reportedSeverity"], ""),
        mapped("unmapped.severity_original", &["properties.reportedSeverity"], WORD),
        mapped("status_id", &["properties.unhealthyDeviceCount"], "0: Resolved; else New"),
        mapped("compliance.control", &["properties.recommendationName"], ""),
        mapped("compliance.status_details[]", &["properties.unhealthyDeviceCount", "properties.healthyDevices"], "the counts"),
        mapped("remediation.desc", &["properties.remediationSteps"], ""),
        mapped("resources[].uid", &["id"], "the IoT security solution, else its resource group: it names no device"),
        mapped("resources[].type", &["id"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const COMPLIANCE_RESULT: Mapping = Mapping {
    shape: "Defender for Cloud compliance result",
    known_by: "`type` `Microsoft.Security/complianceResults`",
    marks: &[&["properties.resourceStatus"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/compliance-results",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case"),
        mapped("finding_info.title", &["name", "id"], ""),
        mapped(
            "status_id",
            &["properties.resourceStatus"],
            "Healthy: Resolved; NotHealthy: New; NotApplicable and OffByPolicy: Suppressed",
        ),
        mapped("unmapped.status_original", &["properties.resourceStatus"], WORD),
        mapped("compliance.control", &["name", "id"], ""),
        mapped("compliance.status_id", &["properties.resourceStatus"], ""),
        mapped("compliance.status_code", &["properties.resourceStatus"], WORD),
        mapped("resources[].uid", &["id"], "what the result hangs on"),
        mapped("resources[].type", &["id"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const ADVICE: Mapping = Mapping {
    shape: "Azure Advisor recommendation about security",
    known_by: "`type` `Microsoft.Advisor/recommendations` with `category` `Security`",
    marks: &[&["properties.category", "properties.resourceMetadata"]],
    source: "https://learn.microsoft.com/rest/api/advisor/recommendations",
    rows: &[
        mapped("finding_info.uid", &["properties.resourceMetadata.source", "id"], "the id of the assessment it repeats, in lower case"),
        mapped("finding_info.title", &["properties.shortDescription.problem"], ""),
        mapped(
            "finding_info.analytic.uid",
            &["properties.extendedProperties.assessmentKey", "properties.resourceMetadata.source", "properties.recommendationTypeId"],
            "the assessment key",
        ),
        mapped("finding_info.modified_time", &["properties.lastUpdated"], ""),
        mapped("time", &["properties.lastUpdated"], ""),
        mapped("severity_id", &["properties.impact"], ""),
        mapped("unmapped.severity_original", &["properties.impact"], WORD),
        mapped("status_id", &[], "New, or Suppressed with `suppressionIds`: Advisor has it only while the fault is there"),
        mapped("compliance.control", &["properties.extendedProperties.assessmentKey", "properties.resourceMetadata.source"], ""),
        mapped("remediation.desc", &[], "`properties.shortDescription.solution`, where it says more than the problem"),
        mapped("resources[].uid", &["properties.resourceMetadata.resourceId", "id"], ""),
        mapped("resources[].type", &["properties.resourceMetadata.resourceId", "id"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const SQL_SCAN: Mapping = Mapping {
    shape: "Result of a SQL vulnerability assessment scan",
    known_by: "`type` of `Microsoft.Security/sqlVulnerabilityAssessments/…/scanResults`",
    marks: &[&["properties.ruleMetadata"], &["properties.ruleId", "properties.status"]],
    source: "https://learn.microsoft.com/rest/api/defenderforcloud/sql-vulnerability-assessment-scan-results",
    rows: &[
        mapped("finding_info.uid", &["id"], "in lower case, with `latest` for the scan's name"),
        mapped("finding_info.title", &["properties.ruleMetadata.title", "properties.ruleId"], ""),
        mapped("finding_info.desc", &["properties.ruleMetadata.description"], ""),
        mapped("finding_info.types[]", &["properties.ruleMetadata.category"], ""),
        mapped("finding_info.analytic.uid", &["properties.ruleId", "name"], ""),
        mapped("severity_id", &["properties.ruleMetadata.severity"], ""),
        mapped("status_id", &["properties.baselineAdjustedResult.status", "properties.status"], "Finding: New; NonFinding: Resolved"),
        mapped("unmapped.status_original", &["properties.baselineAdjustedResult.status", "properties.status"], WORD),
        mapped("compliance.control", &["properties.ruleId", "name"], ""),
        mapped("compliance.status_code", &["properties.baselineAdjustedResult.status", "properties.status"], WORD),
        mapped("remediation.desc", &["properties.remediation.description"], ""),
        mapped("resources[].uid", &["id"], "the database in the ARM id"),
        mapped("resources[].type", &["id"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["id"], SUBSCRIPTION),
    ],
};

pub(super) const LOG_ASSESSMENT: Mapping = Mapping {
    shape: "Recommendation in Log Analytics",
    known_by: "`Type` `SecurityRecommendation`",
    marks: &[&["RecommendationState", "AssessedResourceId"]],
    source: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/securityrecommendation",
    rows: &[
        mapped(
            "finding_info.uid",
            &["AssessedResourceId"],
            "the assessment's ARM id, put together from it and `RecommendationId`, in lower case",
        ),
        mapped("finding_info.title", &["RecommendationDisplayName", "RecommendationName", "RecommendationId"], ""),
        mapped("finding_info.desc", &["Description"], "without HTML"),
        mapped("finding_info.analytic.uid", &["RecommendationId"], "the assessment key"),
        mapped("finding_info.created_time", &["FirstEvaluationDate"], ""),
        mapped("finding_info.modified_time", &["StatusChangeDate"], ""),
        mapped("time", &["StatusChangeDate", "TimeGenerated"], ""),
        mapped("severity_id", &["RecommendationSeverity"], ""),
        mapped("unmapped.severity_original", &["RecommendationSeverity"], WORD),
        mapped("status_id", &["RecommendationState"], ""),
        mapped("unmapped.status_original", &["RecommendationState"], WORD),
        mapped("compliance.control", &["RecommendationId"], "the assessment key"),
        mapped("compliance.status_code", &["RecommendationState"], WORD),
        mapped("compliance.status_details[]", &["NotApplicableReason"], ""),
        mapped("remediation.desc", &["RemediationDescription"], "without HTML"),
        mapped("remediation.references[]", &["RecommendationLink"], ""),
        mapped("resources[].uid", &["AssessedResourceId"], ""),
        mapped("resources[].type", &["AssessedResourceId"], "the type in the ARM id"),
        mapped("resources[].region", &["ResourceRegion"], ""),
        mapped("cloud.account.uid", &["AssessedResourceId"], SUBSCRIPTION),
        mapped("unmapped.policy", &["PolicyDefinitionId"], "the last segment"),
    ],
};

pub(super) const LOG_SUB_ASSESSMENT: Mapping = Mapping {
    shape: "Sub-assessment in Log Analytics",
    known_by: "`Type` `SecurityNestedRecommendation`",
    marks: &[&["ParentRecommendationId", "AssessedResourceId"]],
    source: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/securitynestedrecommendation",
    rows: &[
        mapped(
            "finding_info.uid",
            &["AssessedResourceId"],
            "the sub-assessment's ARM id, put together from it, `ParentRecommendationId` and `NestedRecommendationId`",
        ),
        mapped("finding_info.title", &["RecommendationName", "VulnerabilityId"], ""),
        mapped("finding_info.types[]", &["Category"], ""),
        mapped("finding_info.analytic.uid", &["VulnerabilityId", "NestedRecommendationId"], ""),
        mapped("time", &["TimeGenerated"], ""),
        mapped("severity_id", &["RecommendationSeverity"], ""),
        mapped("status_id", &["RecommendationState"], ""),
        mapped("unmapped.status_original", &["RecommendationState"], WORD),
        mapped("compliance.control", &[], "`ParentRecommendationId`; in a Vulnerability Finding `unmapped.compliance` has it"),
        mapped("resources[].uid", &["AssessedResourceId"], ""),
        mapped("resources[].type", &["AssessedResourceId"], "the type in the ARM id"),
        mapped("cloud.account.uid", &["AssessedResourceId"], SUBSCRIPTION),
    ],
};

pub(super) const LOG_COMPLIANCE: Mapping = Mapping {
    shape: "Regulatory compliance assessment in Log Analytics",
    known_by: "`Type` `SecurityRegulatoryCompliance`",
    marks: &[&["ComplianceControl", "ComplianceStandard"]],
    source: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/securityregulatorycompliance",
    rows: &[
        mapped("finding_info.uid", &["RecommendationId"], "the ARM id, put together from subscription, standard, control and key"),
        mapped("finding_info.title", &["RecommendationName", "RecommendationId"], ""),
        mapped("time", &["TimeGenerated"], ""),
        mapped("status_id", &["State"], ""),
        mapped("unmapped.status_original", &["State"], WORD),
        mapped("compliance.control", &["RecommendationId"], ""),
        mapped("compliance.standards[]", &["ComplianceStandard"], ""),
        mapped("compliance.requirements[]", &["ComplianceControl"], ""),
        mapped("compliance.status_code", &["State"], WORD),
        mapped("compliance.status_details[]", &["FailedResources", "PassedResources", "SkippedResources"], "the counts"),
        mapped("resources[].uid", &["RegulatoryComplianceSubscriptionId", "AssessedResourceId"], "the subscription"),
        mapped("resources[].type", &["RegulatoryComplianceSubscriptionId", "AssessedResourceId"], "`Microsoft.Resources/subscriptions`"),
        mapped("cloud.account.uid", &["RegulatoryComplianceSubscriptionId", "AssessedResourceId"], ""),
    ],
};

/// A state's rows are the same everywhere; where they stand differs.
macro_rules! policy {
    ($shape:literal, $known:literal, $marks:expr, $source:literal, $subject:literal, $at:literal, [$($more:expr),*]) => {
        Mapping {
            shape: $shape,
            known_by: $known,
            marks: $marks,
            source: $source,
            rows: &[
                mapped("finding_info.uid", &[$subject], "resource, assignment, definition and reference, in lower case, with `|` between"),
                mapped("finding_info.title", &[concat!($at, "policyDefinitionName"), concat!($at, "policyDefinitionId")], "the definition's name"),
                mapped("finding_info.analytic.uid", &[concat!($at, "policyDefinitionId")], "the definition's name"),
                mapped("finding_info.last_seen_time", &[concat!($at, "timestamp")], "when it was evaluated"),
                mapped("time", &[concat!($at, "timestamp")], ""),
                mapped("status_id", &[concat!($at, "complianceState"), concat!($at, "isCompliant")], "Compliant: Resolved; NonCompliant, Conflict, Error: New; Exempt, Protected: Suppressed"),
                mapped("unmapped.status_original", &[concat!($at, "complianceState")], WORD),
                mapped("compliance.control", &[concat!($at, "policyDefinitionId")], "the definition's name"),
                mapped("compliance.standards[]", &[concat!($at, "policySetDefinitionName"), concat!($at, "policySetDefinitionId")], "the initiative's name"),
                mapped("compliance.requirements[]", &[concat!($at, "policyDefinitionGroupNames[]")], "the groups of the initiative"),
                mapped("compliance.status_id", &[concat!($at, "complianceState"), concat!($at, "isCompliant")], "Conflict and Error: Warning"),
                mapped("compliance.status_code", &[concat!($at, "complianceState")], WORD),
                mapped("compliance.status_details[]", &[concat!($at, "complianceReasonCode"), concat!($at, "policyEvaluationDetails.reason")], "with the components that do not comply"),
                mapped("resources[].uid", &[$subject], ""),
                mapped("resources[].type", &[concat!($at, "resourceType"), $subject], "else the type in the ARM id"),
                mapped("resources[].region", &[concat!($at, "resourceLocation")], ""),
                mapped("cloud.region", &[concat!($at, "resourceLocation")], ""),
                mapped("cloud.account.uid", &[concat!($at, "subscriptionId")], "else the subscription in the ARM id"),
                mapped("unmapped.policy", &[concat!($at, "policyDefinitionId")], "the definition's name"),
                $($more),*
            ],
        }
    };
}

const TAGS: Mapped = mapped("resources[].tags[]", &[], "`resourceTags`, an object or one inside a text");
const SEVERITY: Mapped = mapped("severity_id", &[], "Unknown: Azure Policy has none");

pub(super) const POLICY_ROW: Mapping = policy!(
    "Azure Policy state, from its API",
    "`policyAssignmentId` and `resourceId` with `complianceState` or `isCompliant`",
    &[&["policyAssignmentId", "resourceId"]],
    "https://learn.microsoft.com/rest/api/policy/policy-states",
    "resourceId",
    "",
    [SEVERITY, TAGS]
);
pub(super) const POLICY_RESOURCE: Mapping = policy!(
    "Azure Policy state, from Resource Graph",
    "`type` `Microsoft.PolicyInsights/policyStates`",
    &[&["properties.policyAssignmentId", "properties.resourceId"]],
    "https://learn.microsoft.com/azure/governance/policy/samples/resource-graph-samples",
    "properties.resourceId",
    "properties.",
    [SEVERITY, TAGS]
);
pub(super) const POLICY_EVENT: Mapping = policy!(
    "Azure Policy state, from Event Grid",
    "`eventType` or `type` `Microsoft.PolicyInsights.PolicyState…`, in Event Grid's schema or CloudEvents",
    &[&["data.policyAssignmentId", "subject"]],
    "https://learn.microsoft.com/azure/event-grid/event-schema-policy",
    "subject",
    "data.",
    [SEVERITY, mapped("activity_id", &["eventType", "type"], "Created: Create; Changed: Update; Deleted: Close")]
);
