//! GuardDuty's own findings, of EventBridge, its API and its exports to S3, under the names Security Hub gives to the same findings.
//! Members: <https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Finding.html>.

mod resources;

use std::borrow::Cow;

use stanch_core::cloud::{Cloud, part};
use stanch_core::finding::{Finding, FindingClass, FindingStatus, Risk, Severity, Source, SourceRef};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::asff::activity;
use super::native::{Place, banded};

pub(super) fn read<'a>(finding: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let text = |name: &str| finding.get(name).text();
    let service = finding.get("service");
    let arn = text("arn");
    let place = Place::new(text("partition"), text("region"), text("accountId"), arn.as_ref());
    let id = text("id");
    let detector = service.get("detectorId").text();
    let built = || place.arn("guardduty", &format!("detector/{}/finding/{}", detector.as_deref()?, id.as_deref()?));
    let Some(uid) = arn.clone().or_else(built).or_else(|| id.clone()) else {
        return Err(NormalizeError::Field {
            kind: "GuardDuty finding",
            field: Cow::Borrowed("arn"),
            problem: Cow::Borrowed("missing"),
            expected: Cow::Borrowed("the finding's ARN, or its `id`"),
        });
    };

    let severity_in = finding.get("severity");
    let severity = match severity_in.str().and_then(|text| text.parse::<f64>().ok()) {
        // 1 to 10 (<https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html>).
        Some(number) => banded(number * 10.0),
        None => severity_in.str().map_or(Severity::Unknown, Severity::parse),
    };
    let archived = service.get("archived");
    let is_archived = archived.str().is_some_and(|archived| archived.eq_ignore_ascii_case("true"));
    let (created, updated) = (time(finding, "createdAt"), time(finding, "updatedAt"));
    let kind = text("type");
    let title = text("title").or_else(|| kind.clone()).unwrap_or_default();
    let sample = service.path(&["additionalInfo", "sample"]).str().is_some_and(|sample| sample.eq_ignore_ascii_case("true"));
    let product = place.product("guardduty", "GuardDuty");
    let attack = text("associatedAttackSequenceArn");

    Ok(Finding {
        source: Source::SecurityHub,
        class: FindingClass::Detection,
        activity: activity(is_archived, created, updated),
        source_ref: SourceRef {
            id: uid.clone(),
            product: product.uid.clone(),
            location: place.region.clone(),
            account: place.account.clone().map(|account| account.uid),
            resource_group: None,
        },
        sample: sample || title.starts_with("[SAMPLE]"),
        title,
        desc: text("description"),
        // The detector, as in Security Hub's `GeneratorId`.
        rule: part(&uid, |uid| uid.split_once("/finding/").map(|(detector, _)| detector)),
        policy: None,
        types: kind.into_iter().collect(),
        severity,
        severity_original: severity_in.text(),
        status: match is_archived {
            true => FindingStatus::Archived,
            false if archived.is_present() => FindingStatus::New,
            false => FindingStatus::Unknown,
        },
        status_original: None,
        time: updated.or(created),
        created,
        modified: updated,
        first_seen: time(service, "eventFirstSeen"),
        last_seen: time(service, "eventLastSeen"),
        cloud: Cloud::Aws,
        resources: resources::read(finding.get("resource"), service, &place),
        account: place.account,
        region: place.region,
        compliance: None,
        vulnerabilities: Vec::new(),
        guidance: None,
        risk: attack.map(|attack| Risk { attack_paths: vec![attack], ..Risk::default() }),
        product,
        uid,
        snapshot: false,
        raw: Cow::Borrowed(finding.raw()),
    })
}

fn time(of: Json<'_, '_>, name: &str) -> Option<i64> {
    of.get(name).time()
}
