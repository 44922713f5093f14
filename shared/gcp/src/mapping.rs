//! Which fields of a Security Command Center finding fill which fields of OCSF.

use stanch_core::normalize::{Mapped, Mapping, mapped};

/// How Security Command Center's payloads become OCSF. Every name may also be in snake_case.
pub const MAPPINGS: &[Mapping] = &[
    Mapping {
        shape: "Security Command Center notification, or item of a list",
        known_by: "`finding` (or `findings`) with a finding's `name` or `category`, mostly with `resource`; inside `jsonPayload` of a log entry; \
                   in `listFindingsResults`",
        marks: &[&["finding"]],
        source: "https://cloud.google.com/security-command-center/docs/reference/rest/v2/organizations.sources.findings",
        rows: NOTIFICATION,
    },
    Mapping {
        shape: "Security Command Center finding by itself",
        known_by: "`name` or `canonicalName` of a finding, with `category`, `state`, `findingClass` or `resourceName`",
        marks: &[&["name"], &["canonicalName"], &["canonical_name"]],
        source: "https://cloud.google.com/security-command-center/docs/reference/rest/v2/organizations.sources.findings",
        rows: BARE,
    },
];

const NOTIFICATION: &[Mapped] = &[
    mapped(
        "class_uid",
        &["finding.findingClass", "finding.finding_class", "finding.category"],
        "`VULNERABILITY` with a CVE or bulletin 2002; without, `MISCONFIGURATION` and `POSTURE_VIOLATION` 2003; others 2004; \
         without a class 2003 where the category is in capitals",
    ),
    mapped("activity_id", &["finding.state", "deletedFinding"], "`INACTIVE` and deleted: Close"),
    mapped(
        "severity_id",
        &["finding.severity", "finding.sourceProperties.SeverityLevel", "finding.sourceProperties.detectionPriority"],
        "",
    ),
    mapped(
        "unmapped.severity_original",
        &["finding.severity", "finding.sourceProperties.SeverityLevel", "finding.sourceProperties.detectionPriority"],
        "as it stands",
    ),
    mapped("status_id", &["finding.state", "finding.mute"], "`INACTIVE` Resolved, `MUTED` Suppressed, `ACTIVE` New, deleted Deleted"),
    mapped("unmapped.status_original", &["finding.state"], "or `finding.mute`, else `muteInfo.staticMute.state`, where that decides"),
    mapped("time", &["finding.eventTime", "finding.event_time"], ""),
    mapped("metadata.product.name", &["finding.parentDisplayName", "finding.sourceDisplayName"], "else `Security Command Center`"),
    mapped("metadata.product.uid", &["finding.name"], "up to the source"),
    mapped("metadata.original_event_uid", &["finding.name", "finding.canonicalName"], ""),
    mapped(
        "cloud.provider",
        &["resource.cloudProvider", "finding.cloudProvider"],
        "else by `awsMetadata`, `azureMetadata`, the resource's name",
    ),
    mapped(
        "cloud.account.uid",
        &[
            "resource.gcpMetadata.project",
            "resource.project",
            "resource.projectName",
            "finding.resource.project_name",
            "resource.awsMetadata.account.id",
            "resource.azureMetadata.subscription.id",
        ],
        "a project's id before its number: out of the resource's name, `sourceProperties.ProjectId`, the project's display name",
    ),
    mapped("cloud.region", &["resource.location"], "else zone, region or location in the resource's name"),
    mapped(
        "finding_info.uid",
        &["finding.name", "finding.canonicalName"],
        "`sources/…/findings/…`: alike in every version and under every owner",
    ),
    mapped("finding_info.title", &["finding.category"], ""),
    mapped(
        "finding_info.desc",
        &["finding.description", "finding.sourceProperties.Explanation", "finding.sourceProperties.summary_message"],
        "",
    ),
    mapped("finding_info.types[]", &["finding.category"], ""),
    mapped("finding_info.analytic.uid", &["finding.category"], ""),
    mapped("finding_info.created_time", &["finding.createTime", "finding.create_time"], ""),
    mapped("finding_info.last_seen_time", &["finding.eventTime", "finding.event_time"], ""),
    mapped("finding_info.attack_graph.uid", &[], "`finding.attackExposure.attackExposureResult`, where the finding names a resource"),
    mapped("compliance.control", &[], "`finding.category`, where the class is 2003"),
    mapped(
        "compliance.standards[]",
        &[],
        "`standard` and `version` of `finding.compliances`, else `complianceDetails.frameworks`, else \
         `sourceProperties.compliance_standards`; under `unmapped` where the class is not 2003",
    ),
    mapped("compliance.requirements[]", &[], "`ids` of the same"),
    mapped("compliance.status_id", &[], "`finding.state` `ACTIVE`: Fail, where the class is 2003"),
    mapped("vulnerabilities[].cve.uid", &[], "`finding.vulnerability.cve.id`; under `unmapped` where the class is 2003"),
    mapped(
        "risk_score",
        &[],
        "`finding.attackExposure.score` unless it was never computed, `toxicCombination.attackExposureScore`, `vulnerability.providerRiskScore`; under `unmapped.risk` with a fraction",
    ),
    mapped(
        "risk_details",
        &["finding.risks[].riskCategory", "finding.toxicCombination.relatedFindings", "finding.chokepoint.relatedFindings"],
        "the findings that make up a toxic combination or chokepoint",
    ),
    mapped(
        "remediation.desc",
        &[],
        "`finding.nextSteps`, else `sourceProperties.Recommendation`; in `vulnerabilities[]` where the class is 2002",
    ),
    mapped("remediation.references[]", &[], "`finding.externalUri` and the CVE's `references[].uri`"),
    mapped(
        "resources[].uid",
        &[
            "finding.resourceName",
            "finding.resource_name",
            "resource.name",
            "finding.resource.name",
            "finding.caiResource",
            "finding.sourceProperties.affectedResources[].gcpResourceName",
        ],
        "an ARN or ARM id without what stands in front of it",
    ),
    mapped("resources[].type", &["resource.type", "finding.resource.type"], ""),
    mapped("resources[].name", &["resource.displayName", "finding.resource.display_name"], "else the end of its name"),
    mapped("resources[].region", &["resource.location"], "else zone, region or location in its name"),
    mapped(
        "resources[].owner.account.uid",
        &["resource.gcpMetadata.project", "resource.project", "resource.projectName"],
        "as `cloud.account.uid`",
    ),
];

const BARE: &[Mapped] = &[
    mapped("class_uid", &["findingClass", "category"], "as above"),
    mapped("severity_id", &["severity", "sourceProperties.SeverityLevel"], ""),
    mapped("status_id", &["state", "mute"], ""),
    mapped("time", &["eventTime", "event_time"], ""),
    mapped("finding_info.uid", &["canonicalName", "canonical_name"], "or `name`"),
    mapped("finding_info.title", &["category"], ""),
    mapped("finding_info.analytic.uid", &["category"], ""),
    mapped("finding_info.desc", &["description"], ""),
    mapped("finding_info.created_time", &["createTime", "create_time"], ""),
    mapped("resources[].uid", &["resourceName", "resource_name"], ""),
    mapped("cloud.account.uid", &[], "out of `resourceName`, `canonicalName`, `sourceProperties.ProjectId`"),
    mapped("resources[].region", &[], "out of `resourceName`"),
    mapped("resources[].type", &[], "a finding by itself does not say"),
    mapped("compliance.control", &[], "`category`, where the class is 2003"),
];
