//! What Azure sends that is no finding, each by a rule on its shape.

use stanch_core::json::Json;
use stanch_core::normalize::NoFinding;

use super::{configuration, defender_type, older};
use crate::arm::ArmId;

pub(super) const SCORE: NoFinding = NoFinding {
    rule: "secure-score",
    what: "a secure score",
    shape: "type `Microsoft.Security/secureScores` or one below it, or a row of the tables `SecureScores` and `SecureScoreControls`",
    why: "it is a number about many recommendations, each of which comes as an assessment; it is kept as a score of its scope",
};
pub(super) const COMPLIANCE_SUMMARY: NoFinding = NoFinding {
    rule: "compliance-summary",
    what: "a summary of compliance",
    shape: "type `Microsoft.Security/regulatoryComplianceStandards`, `…/regulatoryComplianceControls` or `Microsoft.Security/compliances`",
    why: "it counts what its regulatory compliance assessments say, each of which comes by itself",
};
pub(super) const POLICY_SUMMARY: NoFinding = NoFinding {
    rule: "policy-summary",
    what: "a summary of Azure Policy",
    shape: "`@odata.context` of `Microsoft.PolicyInsights`, without a `resourceId`, a `policyAssignmentId` and a state",
    why: "it counts states, each of which is a row of its own",
};
pub(super) const POLICY_DENIED: NoFinding = NoFinding {
    rule: "policy-denied",
    what: "a request that Azure Policy refused",
    shape: "a policy event (`@odata.context` of `policyEvents`, or a `principalOid`) whose `policyDefinitionAction` is `deny`",
    why: "nothing was written, so nothing is at fault",
};
pub(super) const HEALTH: NoFinding = NoFinding {
    rule: "defender-health",
    what: "a health report of Defender's",
    shape: "type `Microsoft.Security/healthReports`",
    why: "it tells how well Defender itself reaches a resource, not how that resource stands",
};
pub(super) const DEVICE_SUMMARY: NoFinding = NoFinding {
    rule: "device-summary",
    what: "a summary about devices",
    shape: "type `Microsoft.Security/iotSecuritySolutions/analyticsModels` or `…/IoTSecuritySolutionAnalyticsModel`",
    why: "it adds up alerts and recommendations, each of which comes by itself",
};
pub(super) const ADVICE: NoFinding = NoFinding {
    rule: "advisor-advice",
    what: "advice on cost, speed or upkeep",
    shape: "type `Microsoft.Advisor/recommendations` with another `category` than `Security`",
    why: "it is not about security",
};
pub(super) const RESOURCE: NoFinding = NoFinding {
    rule: "azure-resource",
    what: "a resource or a setting of Azure",
    shape: "an ARM `id`, or a `type` of a `Microsoft.` namespace with `properties`, of no kind that reports faults",
    why: "it tells how something is set up; whether that is a fault comes as an assessment or a policy state",
};
pub(super) const HOST: NoFinding = NoFinding {
    rule: "functions-host",
    what: "a message of the Functions host about itself",
    shape: "`bindings` with a `direction` each, `version` with `customHandler`, `httpWorker` or `extensionBundle`, `ScheduleStatus` \
            with `IsPastDue`, or `Outputs` with `Logs` or `ReturnValue`",
    why: "it sets up, starts or ends a function and carries no event",
};

/// The rule for an event that is of no shape of a finding.
pub(super) fn rule(fields: Json<'_, '_>, kind: Option<&str>) -> Option<&'static NoFinding> {
    if let Some(rule) = kind.and_then(by_type) {
        return Some(rule);
    }
    let has = |name| fields.get(name).is_present();
    if fields.get("@odata.context").str().is_some_and(is_policy_insights) {
        return Some(&POLICY_SUMMARY);
    }
    if is_host(fields) {
        return Some(&HOST);
    }
    if let Some(rule) = configuration::rule(fields, &kind.unwrap_or_default().to_ascii_lowercase()) {
        return Some(rule);
    }
    let kind = kind.filter(|kind| !reports_faults(kind) && !has("specversion"))?;
    let (namespace, rest) = kind.split_once('/')?;
    let named = !rest.is_empty() && namespace.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("Microsoft."));
    let has_id = fields.get("id").str().is_some_and(|id| ArmId::parse(id).is_some());
    let told = ["properties", "tags", "location", "resources", "subscriptionId", "tenantId"].into_iter().any(has);
    (named && (has_id || has("properties")) && told).then_some(&RESOURCE)
}

fn by_type(kind: &str) -> Option<&'static NoFinding> {
    if kind.eq_ignore_ascii_case(older::ADVISOR) {
        return Some(&ADVICE);
    }
    let rest = defender_type(kind)?.to_ascii_lowercase();
    let last = rest.rsplit('/').next().unwrap_or_default();
    match last.trim_end_matches('s') {
        "regulatorycompliancestandard" | "regulatorycompliancecontrol" | "compliance" => Some(&COMPLIANCE_SUMMARY),
        "healthreport" => Some(&HEALTH),
        "securescorecontroldefinition" => Some(&SCORE),
        "iotsecuritysolutionanalyticsmodel" | "analyticsmodel" => Some(&DEVICE_SUMMARY),
        _ => None,
    }
}

/// Types of this name report faults. One that is read nowhere must be looked at by a person, not passed over.
fn reports_faults(kind: &str) -> bool {
    const NAMES: &[&str] = &[
        "alert",
        "incident",
        "finding",
        "recommendation",
        "assessment",
        "result",
        "attackpath",
        "threat",
        "vulnerabilitie",
        "policystate",
    ];
    let kind = kind.to_ascii_lowercase();
    let last = kind.rsplit('/').next().unwrap_or_default().trim_end_matches('s');
    NAMES.iter().any(|name| last.ends_with(name))
}

fn is_policy_insights(context: &str) -> bool {
    context.to_ascii_lowercase().contains("/microsoft.policyinsights/")
}

fn is_host(fields: Json<'_, '_>) -> bool {
    let has = |name| fields.get(name).is_present();
    let bindings = fields.get("bindings");
    let binds = bindings.is_list() && bindings.items().next().is_some_and(|binding| binding.get("direction").is_present());
    let hosts = has("version") && ["customHandler", "httpWorker", "extensionBundle"].into_iter().any(has);
    let ticks = has("ScheduleStatus") && has("IsPastDue");
    // A handler's answer names all three, some of them null.
    let answers =
        !fields.get("Outputs").raw().is_empty() && ["Logs", "ReturnValue"].into_iter().any(|name| !fields.get(name).raw().is_empty());
    binds || hosts || ticks || answers
}
