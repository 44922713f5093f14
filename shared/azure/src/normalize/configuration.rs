//! Defender for Cloud's own settings and the answers of its API, which are no findings.

use stanch_core::json::Json;
use stanch_core::normalize::NoFinding;

pub(super) const SETTING: NoFinding = NoFinding {
    rule: "defender-configuration",
    what: "a setting of Defender for Cloud",
    shape: "type `Microsoft.Security/…` of a plan, contact, connector, setting, automation, suppression or governance rule; or the bare \
            body of a connector (`offerings`) or of a governance assignment (`remediationDueDate`)",
    why: "it says how Defender works, not what it found",
};
pub(super) const OPERATION: NoFinding = NoFinding {
    rule: "azure-operation-status",
    what: "the state of a long operation",
    shape: "an object with a `status` such as `Succeeded` and nothing but `id`, `name`, `startTime`, `endTime`, `percentComplete`, `error`",
    why: "it answers whoever started the operation",
};

/// The rule for such an object; `kind` is its type in lower case.
pub(super) fn rule(fields: Json<'_, '_>, kind: &str) -> Option<&'static NoFinding> {
    const SETTINGS: &[&str] = &[
        "alertssuppressionrules",
        "applications",
        "assessmentmetadata",
        "assessments/governanceassignments",
        "automations",
        "autoprovisioningsettings",
        "connectors",
        "defenderforstoragesettings",
        "devicesecuritygroups",
        "governancerules",
        "jitnetworkaccesspolicies",
        "pricings",
        "securityconnectors",
        "securitycontact",
        "securitycontacts",
        "settings",
        "workspacesettings",
    ];
    if kind.strip_prefix("microsoft.security/").is_some_and(|rest| SETTINGS.contains(&rest)) {
        return Some(&SETTING);
    }
    let properties = fields.get("properties");
    let bare = kind.is_empty() && properties.is_object();
    if bare && (properties.get("offerings").is_list() || properties.get("remediationDueDate").is_present()) {
        return Some(&SETTING);
    }
    const ONLY: &[&str] = &["id", "name", "status", "startTime", "endTime", "percentComplete", "error"];
    const STATES: &[&str] = &["Accepted", "InProgress", "Running", "Succeeded", "Failed", "Canceled"];
    let is_operation = fields.get("status").str().is_some_and(|state| STATES.iter().any(|known| known.eq_ignore_ascii_case(state)))
        && fields.members().all(|(name, _)| ONLY.iter().any(|known| known.eq_ignore_ascii_case(name)));
    is_operation.then_some(&OPERATION)
}
