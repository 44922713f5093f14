//! Defender for IoT: alerts on an IoT hub, one by one or added up by day (learn.microsoft.com, rest/api/defenderforcloud:
//! iot-alerts, iot-security-solutions-analytics-aggregated-alert).

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, Text, part};
use stanch_core::finding::{Finding, FindingClass, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::{NormalizeError, Reading};

use super::alert::{is_sample, status};
use super::{guidance, product, resource, resource_type, severity};
use crate::arm::ArmId;
use crate::payload::list;

/// Reads an alert. False for anything else.
pub(super) fn read<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    let kind = resource_type(fields).unwrap_or_default().to_ascii_lowercase();
    let Some(kind) = kind.strip_prefix("microsoft.security/") else { return false };
    let known = kind == "iotalerts" || kind.ends_with("aggregatedalert") || kind.ends_with("aggregatedalerts");
    if known {
        reading.take(one(fields));
    }
    known
}

fn one<'a>(fields: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let id = fields.get("id").text().ok_or(NormalizeError::Field {
        kind: "a Defender for IoT alert",
        field: Cow::Borrowed("id"),
        problem: Cow::Borrowed("missing"),
        expected: Cow::Borrowed("the alert's ARM id"),
    })?;
    let body = fields.get("properties");
    let uid = body.get("systemAlertId").text().unwrap_or_else(|| Cow::Owned(id.to_ascii_lowercase()));
    let title = body.text_of(&["alertDisplayName", "alertType"]);
    let rule = body.get("alertType").text();
    // Of an added-up alert's id only what it hangs on is an ARM id of even length.
    let scope = part(&id, place);
    let account = scope.as_ref().and_then(|scope| part(scope, |scope| ArmId::parse(scope)?.subscription));
    let mut finding = Finding::new(
        Source::DefenderXdr,
        FindingClass::Detection,
        Cloud::Azure,
        uid,
        product(Some("Microsoft Defender for IoT".into()), body.get("vendorName").text()),
    );
    finding.resources = scope.map(|uid| resource(Cloud::Azure, uid)).into_iter().collect();
    finding.source_ref = SourceRef { id, account: account.clone(), ..SourceRef::default() };
    finding.account = account.map(|uid| stanch_core::cloud::Account { uid, name: None });
    finding.desc = body.get("description").text();
    finding.sample = is_sample(title.as_deref(), finding.desc.as_deref(), rule.as_deref());
    finding.title = title.unwrap_or_default();
    finding.rule = rule;
    severity(&mut finding, body.text_of(&["severity", "reportedSeverity"]));
    status(&mut finding, body.text_of(&["status", "state"]));
    finding.first_seen = body.time_of(&["startTimeUtc", "aggregatedDateUtc"]);
    finding.last_seen = body.get("endTimeUtc").time();
    finding.time = body.time_of(&["timeGeneratedUtc", "endTimeUtc", "startTimeUtc", "aggregatedDateUtc"]);
    finding.created = finding.first_seen;
    let steps = list(body, "remediationSteps");
    let links: Vec<Text<'a>> = Vec::new();
    finding.guidance = guidance((!steps.is_empty()).then(|| Cow::Owned(steps.join("\n"))), links);
    Ok(Finding { raw: Cow::Borrowed(fields.raw()), ..finding })
}

/// What the alert hangs on: the hub before the alert's own provider, the security solution, else the group.
fn place(id: &str) -> Option<&str> {
    let lower = id.to_ascii_lowercase();
    let solution = lower.find("/analyticsmodels/").or_else(|| lower.find("/aggregatedalerts/"));
    let scope = match solution {
        Some(at) => id.get(..at)?,
        None => id.get(..lower.rfind("/providers/microsoft.security/")?)?,
    };
    ArmId::parse(scope).map(|_| scope)
}
