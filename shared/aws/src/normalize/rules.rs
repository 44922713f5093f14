//! What AWS sends that is no finding, told by its shape.

use stanch_core::json::Json;
use stanch_core::normalize::NoFinding;

pub(super) const INSIGHT: NoFinding = NoFinding {
    rule: "security-hub-insight-result",
    what: "a Security Hub insight result",
    shape: "`source` `aws.securityhub` with `detail-type` `Security Hub Insight Results`, or an answer with `InsightResults`",
    why: "it names what findings have in common, and counts them; a function that takes it in asks Security Hub for the findings of each name",
};
pub(super) const OTHER: NoFinding = NoFinding {
    rule: "security-hub-other-event",
    what: "this Security Hub event",
    shape: "`source` `aws.securityhub` with a `detail-type` of no findings, and without `detail.findings`",
    why: "its `detail-type` is none of those that carry findings",
};
pub(super) const SERVICE: NoFinding = NoFinding {
    rule: "aws-service-event",
    what: "an AWS service event",
    shape: "an EventBridge envelope whose `source` begins with `aws.`, and which is no finding of Security Hub, GuardDuty or Inspector",
    why: "it tells that something happened; findings of other services come from Security Hub, with the id they have there",
};
const ANSWER: NoFinding = NoFinding {
    rule: "security-hub-answer",
    what: "an answer of Security Hub's API",
    shape: "an object of which every field is one that Security Hub's operations answer with, `Findings` not among them",
    why: "it says what a call did or what is set up, not what is at fault",
};
const CONFIG: NoFinding = NoFinding {
    rule: "aws-config-answer",
    what: "an answer of AWS Config's API",
    shape: "an object with `EvaluationResults`, `ComplianceByResources`, `ComplianceByConfigRules`, `ComplianceSummary` or \
            `ComplianceSummariesByResourceType`",
    why: "it names a result by rule and resource, without an id of its own or an account; Security Hub sends the same as a finding",
};
const ACCESS_ANALYZER: NoFinding = NoFinding {
    rule: "access-analyzer-answer",
    what: "an answer of IAM Access Analyzer's API",
    shape: "an object with `finding` or `findings`, each with `resourceType`, `resourceOwnerAccount` and `analyzedAt`",
    why: "it lacks the analyzer, and so the id under which Security Hub sends the same finding",
};
const FRAGMENT: NoFinding = NoFinding {
    rule: "asff-fragment",
    what: "a part of a Security Hub finding",
    shape: "a resource of ASFF by itself (`Type`, `Id` and `Partition` or `Details`), or nothing but one of its `Details`: a single \
            object named `Aws…`, `Container`, `CodeRepository` or `Other`",
    why: "it describes a resource and says nothing of a fault",
};

/// The rules for what AWS sends that is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&INSIGHT, &OTHER, &SERVICE, &ANSWER, &CONFIG, &ACCESS_ANALYZER, &FRAGMENT];

/// Top-level fields of what Security Hub's operations of both generations answer (API of 2018-10-26), but for `Findings`.
const ANSWER_FIELDS: &[&str] = &[
    "ActionTargetArn",
    "ActionTargets",
    "AdminAccounts",
    "AssociationStatus",
    "AutoEnable",
    "AutoEnableStandards",
    "AutomationRulesMetadata",
    "ConfigurationPolicyAssociations",
    "ConfigurationPolicySummaries",
    "Controls",
    "ControlFindingGenerator",
    "AutoEnableControls",
    "FailedCount",
    "FailedFindings",
    "FindingAggregationRegion",
    "FindingAggregatorArn",
    "FindingAggregators",
    "GroupByResults",
    "HubArn",
    "HubV2Arn",
    "InsightArn",
    "Insights",
    "Invitations",
    "InvitationsCount",
    "Members",
    "NextToken",
    "OrganizationConfiguration",
    "ProcessedAutomationRules",
    "ProcessedFindings",
    "ProductSubscriptionArn",
    "ProductSubscriptions",
    "Products",
    "ProductsV2",
    "Records",
    "RegionLinkingMode",
    "Regions",
    "ResponseMetadata",
    "RuleArn",
    "RuleId",
    "Rules",
    "SecurityControlDefinition",
    "SecurityControlDefinitions",
    "SecurityControls",
    "Standards",
    "StandardsControlAssociationDetails",
    "StandardsControlAssociationSummaries",
    "StandardsSubscriptions",
    "SubscribedAt",
    "SuccessCount",
    "TrendsMetrics",
    "UnprocessedAccounts",
    "UnprocessedAssociationUpdates",
    "UnprocessedAssociations",
    "UnprocessedAutomationRules",
    "UnprocessedFindings",
    "UnprocessedIds",
];
/// Of these, what says nothing by itself.
const WEAK_FIELDS: &[&str] = &["NextToken", "Records", "Regions", "ResponseMetadata", "Rules", "Members", "Products", "Standards"];

/// The rule for an answer of an API that holds no findings.
pub(super) fn of_answer(answer: Json<'_, '_>) -> Option<&'static NoFinding> {
    let has = |names: &[&str]| answer.members().any(|(name, _)| names.contains(&name.as_ref()));
    if has(&["InsightResults"]) {
        return Some(&INSIGHT);
    }
    if has(&[
        "EvaluationResults",
        "ComplianceByResources",
        "ComplianceByConfigRules",
        "ComplianceSummary",
        "ComplianceSummariesByResourceType",
    ]) {
        return Some(&CONFIG);
    }
    let analyzed = answer.any(&["finding", "findings"]).items().next();
    if analyzed.is_some_and(|f| ["resourceType", "resourceOwnerAccount", "analyzedAt"].iter().all(|name| f.get(name).is_present())) {
        return Some(&ACCESS_ANALYZER);
    }
    let mut strong = false;
    let known = answer.members().all(|(name, _)| {
        strong |= !WEAK_FIELDS.contains(&name.as_ref());
        ANSWER_FIELDS.contains(&name.as_ref())
    });
    (known && strong).then_some(&ANSWER)
}

/// The rule for a part of an ASFF finding, as documentation and tools pass it around.
pub(super) fn of_fragment(event: Json<'_, '_>) -> Option<&'static NoFinding> {
    let has = |name: &str| event.get(name).is_present();
    if has("Type") && has("Id") && (has("Partition") || has("Details")) && !has("ProductArn") && !has("Title") {
        return Some(&FRAGMENT);
    }
    let mut members = event.members();
    let (name, details) = members.next()?;
    let named = matches!(name.as_ref(), "Container" | "CodeRepository" | "Other")
        || name.strip_prefix("Aws").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    (named && members.next().is_none() && details.is_object()).then_some(&FRAGMENT)
}
