//! AWS's deliveries become findings: Security Hub's of both generations, as events, by themselves and as answers of its API, and
//! what GuardDuty and Inspector send without it.

mod asff;
mod guardduty;
mod insight;
mod inspector;
mod mapping;
mod native;
mod rules;
mod v2;

use std::borrow::Cow;

use stanch_core::finding::Finding;
use stanch_core::json::Json;
use stanch_core::normalize::{self, NormalizeError, Normalized, Reading};

use crate::arn::Arn;

pub(crate) use asff::product_slug;
pub use mapping::MAPPINGS;
pub use rules::NO_FINDINGS;

const ACCEPTED: &str = "Security Hub events of EventBridge (`Security Hub Findings - Imported`, `Security Hub Findings - Custom Action`, \
                        `Findings Imported V2`), a bare ASFF or Security Hub OCSF finding, findings of GuardDuty and Inspector, and API \
                        answers `{\"Findings\": […]}`";

/// Every finding of a delivery: one event, or an array of events. An envelope without findings gives none.
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event: an EventBridge envelope, an answer of the API, or a finding by itself.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    if let Some(detail_type) = event.any(&["detail-type", "detailType"]).str() {
        return envelope(event, detail_type, reading);
    }
    if let Some(shape) = Shape::of(event) {
        reading.take(shape.read(event));
        return Ok(());
    }
    let list = event.get("Findings");
    // Other clouds answer with `findings`; only the capital letter tells an empty answer of AWS.
    let ours = list.items().next().map_or_else(|| event.members().any(|(name, _)| name == "Findings"), |first| Shape::of(first).is_some());
    if list.is_list() && ours {
        take_all(list, reading);
        return Ok(());
    }
    if let Some(rule) = rules::of_answer(event).or_else(|| rules::of_fragment(event)) {
        reading.named.extend(insight::scopes(event));
        reading.passed_over.push(rule);
        return Ok(());
    }
    Err(unrecognised(event))
}

fn unrecognised(event: Json<'_, '_>) -> NormalizeError {
    NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED }
}

fn envelope<'a>(event: Json<'_, 'a>, detail_type: &str, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    const WITH_FINDINGS: &[&str] = &["Security Hub Findings - Imported", "Security Hub Findings - Custom Action", "Findings Imported V2"];
    let detail = event.get("detail");
    let findings = detail.get("findings");
    let passed_over = match (event.get("source").str(), detail_type) {
        (Some("aws.securityhub"), "Security Hub Insight Results") => {
            reading.named.extend(insight::scopes(event));
            &rules::INSIGHT
        }
        (Some("aws.securityhub"), _) if findings.is_list() || findings.is_object() => {
            take_all(findings, reading);
            return Ok(());
        }
        (Some("aws.securityhub"), detail_type) if WITH_FINDINGS.contains(&detail_type) => return Err(without_findings(findings)),
        (Some("aws.securityhub"), _) => &rules::OTHER,
        (Some("aws.guardduty"), "GuardDuty Finding") => {
            reading.take(guardduty::read(detail));
            return Ok(());
        }
        (Some("aws.inspector2"), "Inspector2 Finding") => {
            reading.take(inspector::read(detail));
            return Ok(());
        }
        (Some(source), _) if source.starts_with("aws.") => &rules::SERVICE,
        _ => return Err(unrecognised(event)),
    };
    reading.passed_over.push(passed_over);
    Ok(())
}

fn without_findings(findings: Json<'_, '_>) -> NormalizeError {
    NormalizeError::Field {
        kind: "Security Hub event",
        field: Cow::Borrowed("detail.findings"),
        problem: Cow::Borrowed(if findings.is_present() { "not a list" } else { "missing" }),
        expected: Cow::Borrowed("the list of findings, which may be empty"),
    }
}

/// Every finding of a list. In Security Hub's lists one without the marks of its format says itself what it lacks.
fn take_all<'a>(list: Json<'_, 'a>, reading: &mut Reading<'a>) {
    list.items().for_each(|item| {
        let unmarked = || if item.any(&["class_uid", "finding_info"]).is_present() { Shape::V2 } else { Shape::Asff };
        reading.take(Shape::of(item).unwrap_or_else(unmarked).read(item));
    });
}

/// The formats in which AWS writes a finding.
#[derive(Clone, Copy)]
enum Shape {
    Asff,
    V2,
    GuardDuty,
    Inspector,
}

impl Shape {
    /// The format of a finding, by the fields that only it has.
    fn of(finding: Json<'_, '_>) -> Option<Self> {
        let is_of = |uid: Json<'_, '_>, service: &str| uid.str().and_then(Arn::parse).is_some_and(|arn| arn.service == service);
        let any = |names: &[&str]| finding.any(names).is_present();
        let asff = finding.get("ProductArn").is_present() || finding.get("SchemaVersion").str() == Some("2018-10-08");
        if asff && any(&["Resources", "AwsAccountId", "GeneratorId", "Title"]) {
            return Some(Shape::Asff);
        }
        if finding.get("class_uid").is_present() {
            return is_of(finding.path(&["metadata", "product", "uid"]), "securityhub").then_some(Shape::V2);
        }
        if is_of(finding.get("arn"), "guardduty") || finding.path(&["service", "serviceName"]).str() == Some("guardduty") {
            return Some(Shape::GuardDuty);
        }
        is_of(finding.get("findingArn"), "inspector2").then_some(Shape::Inspector)
    }

    fn read<'a>(self, finding: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
        match self {
            Shape::Asff => asff::read(finding),
            Shape::V2 => v2::read(finding),
            Shape::GuardDuty => guardduty::read(finding),
            Shape::Inspector => inspector::read(finding),
        }
    }
}

#[cfg(test)]
mod tests;
