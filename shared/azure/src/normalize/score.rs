//! Secure scores and the scores of their controls.

use std::borrow::Cow;

use stanch_core::json::Json;
use stanch_core::normalize::{NormalizeError, Score};

use super::{canonical, defender_type};
use crate::arm::ArmId;

/// The score in these fields: of the type, or a row of its Log Analytics table. No score is kept of a row that is gone.
pub(super) fn read(fields: Json<'_, '_>, kind: Option<&str>) -> Option<Result<Option<Score>, NormalizeError>> {
    let kind = kind?;
    if kind.eq_ignore_ascii_case("SecureScores") || kind.eq_ignore_ascii_case("SecureScoreControls") {
        return Some(row(fields).map(Some));
    }
    let rest = defender_type(kind)?.to_ascii_lowercase();
    if !matches!(rest.as_str(), "securescores" | "securescores/securescorecontrols" | "securescorecontrols") {
        return None;
    }
    let deleted = fields.members().any(|(name, value)| {
        name.to_ascii_lowercase().ends_with("eventdataenrichment")
            && value.get("action").str().is_some_and(|action| action.eq_ignore_ascii_case("Delete"))
    });
    Some(if deleted { Ok(None) } else { resource(fields).map(Some) })
}

fn resource(fields: Json<'_, '_>) -> Result<Score, NormalizeError> {
    let properties = fields.get("properties");
    let id = fields.get("id").text();
    let arm = id.as_deref().and_then(ArmId::parse).ok_or_else(|| problem("id", fields.get("id"), "an ARM id"))?;
    // The newest form nests the numbers; rows of Resource Graph have had them beside each other.
    let points = if properties.get("score").is_object() { properties.get("score") } else { properties };
    Ok(Score {
        scope: canonical(arm.scope),
        name: arm.name.to_owned(),
        title: properties.get("displayName").text().map(Cow::into_owned),
        current: number(points, "current", "properties.score.current")?,
        max: number(points, "max", "properties.score.max")?,
        healthy: count(properties, "healthyResourceCount"),
        unhealthy: count(properties, "unhealthyResourceCount"),
        not_applicable: count(properties, "notApplicableResourceCount"),
        time: None,
    })
}

/// <https://learn.microsoft.com/azure/azure-monitor/reference/tables/securescorecontrols>, and `securescores` beside it.
fn row(fields: Json<'_, '_>) -> Result<Score, NormalizeError> {
    let subscription = fields.get("SecureScoresSubscriptionId");
    let id = fields.get("AssessedResourceId").text();
    let arm = id.as_deref().and_then(ArmId::parse);
    let scope = subscription.text().map(|id| format!("/subscriptions/{id}"));
    let scope = scope
        .or_else(|| arm.as_ref().map(|arm| if arm.scope.is_empty() { id.as_deref().unwrap_or_default() } else { arm.scope }.to_owned()));
    let name = fields
        .get("ControlId")
        .text()
        .or_else(|| arm.filter(|arm| arm.is("Microsoft.Security/secureScores")).map(|arm| Cow::Borrowed(arm.name)));
    Ok(Score {
        scope: canonical(&scope.ok_or_else(|| problem("SecureScoresSubscriptionId", subscription, "a subscription"))?),
        // Each subscription has one score of this name.
        name: name.map_or_else(|| "ascScore".to_owned(), |name| ArmId::parse(&name).map_or(name.as_ref(), |arm| arm.name).to_owned()),
        title: fields.text_of(&["ControlName", "DisplayName"]).map(Cow::into_owned),
        current: number(fields, "CurrentScore", "CurrentScore")?,
        max: number(fields, "MaxScore", "MaxScore")?,
        healthy: count(fields, "HealthyResources"),
        unhealthy: count(fields, "UnhealthyResources"),
        not_applicable: count(fields, "NotApplicableResources"),
        time: fields.get("TimeGenerated").time(),
    })
}

fn number(of: Json<'_, '_>, name: &str, path: &'static str) -> Result<f64, NormalizeError> {
    let value = of.get(name);
    let number = value.str().and_then(|text| text.trim().parse().ok()).filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| problem(path, value, "a number of points"))
}

fn count(of: Json<'_, '_>, name: &str) -> Option<u64> {
    of.get(name).str()?.trim().parse().ok()
}

fn problem(field: &'static str, value: Json<'_, '_>, expected: &'static str) -> NormalizeError {
    NormalizeError::Field {
        kind: "a secure score",
        field: Cow::Borrowed(field),
        problem: Cow::Borrowed(if value.is_present() { "not usable" } else { "missing" }),
        expected: Cow::Borrowed(expected),
    }
}
