//! Inspector's own findings, of EventBridge and its API, under the names Security Hub gives to the same findings.
//! Members: <https://docs.aws.amazon.com/inspector/v2/APIReference/API_Finding.html>.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use stanch_core::cloud::{Cloud, Resource, Text};
use stanch_core::finding::{Finding, FindingClass, FindingStatus, Millis, Risk, Severity, Source, SourceRef, Vulnerability};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::asff::{activity, guidance};
use super::native::{Place, newest_cvss, short, tags};

pub(super) fn read<'a>(finding: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let text = |name: &str| finding.get(name).text();
    let Some(uid) = text("findingArn") else {
        return Err(NormalizeError::Field {
            kind: "Inspector finding",
            field: Cow::Borrowed("findingArn"),
            problem: Cow::Borrowed("missing"),
            expected: Cow::Borrowed("the finding's ARN"),
        });
    };
    let resources_in = finding.get("resources");
    let partition = resources_in.items().find_map(|r| r.get("partition").text());
    let place = Place::new(partition, None, text("awsAccountId"), Some(&uid));
    let (package, code) = (finding.get("packageVulnerabilityDetails"), finding.get("codeVulnerabilityDetails"));
    let vulnerability = package.get("vulnerabilityId").text();
    let detector = code.text_of(&["ruleId", "detectorId"]);
    let rule = vulnerability.clone().or(detector.clone());
    let status_original = text("status");
    let (status, closed) = status_original.as_deref().map_or((FindingStatus::Unknown, false), status);
    let (first_seen, updated) = (time(finding.get("firstObservedAt")), time(finding.get("updatedAt")));
    let last_seen = time(finding.get("lastObservedAt"));
    let severity = text("severity");
    let product = place.product("inspector", "Inspector");
    let recommendation = finding.path(&["remediation", "recommendation"]);

    Ok(Finding {
        source: Source::SecurityHub,
        class: FindingClass::Vulnerability,
        activity: activity(closed, first_seen, updated),
        source_ref: SourceRef {
            id: uid.clone(),
            product: product.uid.clone(),
            location: place.region.clone(),
            account: place.account.clone().map(|account| account.uid),
            resource_group: None,
        },
        title: text("title").or_else(|| rule.clone()).unwrap_or_default(),
        desc: text("description"),
        policy: None,
        types: text("type").into_iter().collect(),
        severity: severity.as_deref().map_or(Severity::Unknown, Severity::parse),
        severity_original: severity,
        status,
        status_original,
        time: updated.or(last_seen).or(first_seen),
        created: None,
        modified: updated,
        first_seen,
        last_seen,
        cloud: Cloud::Aws,
        resources: resources_in.items().filter_map(|item| resource(item, &place)).collect(),
        account: place.account,
        region: place.region,
        compliance: None,
        vulnerabilities: vulnerabilities(vulnerability, detector, package),
        rule,
        guidance: guidance(recommendation, None),
        risk: finding.get("inspectorScore").text().map(|score| Risk { score: Some(score), ..Risk::default() }),
        product,
        uid,
        sample: false,
        snapshot: false,
        raw: Cow::Borrowed(finding.raw()),
    })
}

fn status(word: &str) -> (FindingStatus, bool) {
    match word.trim().to_ascii_uppercase().as_str() {
        "ACTIVE" => (FindingStatus::New, false),
        "SUPPRESSED" => (FindingStatus::Suppressed, false),
        "CLOSED" => (FindingStatus::Resolved, true),
        _ => (FindingStatus::Unknown, false),
    }
}

/// The CVE or advisory of a package, or the rule that found the code; a reachable port is no vulnerability of either kind.
fn vulnerabilities<'a>(package_id: Option<Text<'a>>, detector: Option<Text<'a>>, package: Json<'_, 'a>) -> Vec<Vulnerability<'a>> {
    let Some(id) = package_id.or(detector) else { return Vec::new() };
    let (cve, advisory) = if id.starts_with("CVE-") { (Some(id), None) } else { (None, Some(id)) };
    vec![Vulnerability { cve, advisory, title: None, cvss: newest_cvss(package.get("cvss")) }]
}

fn resource<'a>(item: Json<'_, 'a>, place: &Place<'a>) -> Option<Resource<'a>> {
    /// Inspector's types, and the same in ASFF.
    const KINDS: &[(&str, &str)] = &[
        ("AWS_EC2_INSTANCE", "AwsEc2Instance"),
        ("AWS_ECR_CONTAINER_IMAGE", "AwsEcrContainerImage"),
        ("AWS_ECR_REPOSITORY", "AwsEcrRepository"),
        ("AWS_LAMBDA_FUNCTION", "AwsLambdaFunction"),
        ("CODE_REPOSITORY", "CodeRepository"),
    ];
    let id = item.get("id").text()?;
    let region = item.get("region").text();
    let here = Place { region: short(region).or_else(|| place.region.clone()), ..place.clone() };
    let kind = item.get("type").text().map(|kind| {
        let known = KINDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(&kind));
        known.map_or(kind, |(_, asff)| Text::Borrowed(*asff))
    });
    let is_instance = kind.as_deref() == Some("AwsEc2Instance") && id.starts_with("i-");
    let uid = is_instance.then(|| here.arn("ec2", &format!("instance/{id}"))).flatten().unwrap_or(id);
    let details = item.get("details").members().find(|(_, details)| details.is_object());
    let name = details.and_then(|(_, details)| details.text_of(&["functionName", "repositoryName", "projectName"]));
    let plain = here.resource(uid, kind);
    Some(Resource { name: name.or(plain.name.clone()), tags: tags(item.get("tags")), ..plain })
}

/// Any date form, and the two in which Inspector writes its events: `Wed Sep 04 16:59:44.356 UTC 2024` and, before,
/// `Mar 20, 2023, 6:08:05 PM` (<https://docs.aws.amazon.com/inspector/latest/user/eventbridge-integration.html>).
fn time(value: Json<'_, '_>) -> Option<Millis> {
    value.time().or_else(|| worded(value.str()?))
}

fn worded(text: &str) -> Option<Millis> {
    // Newer Java puts a narrow space before AM and PM.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let civil =
        ["%a %b %d %H:%M:%S%.f UTC %Y", "%b %d, %Y, %I:%M:%S %p"].iter().find_map(|format| DateTime::strptime(format, &text).ok())?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspectors_worded_dates_are_read() {
        for (text, expected) in [
            ("Wed Sep 04 16:59:44.356 UTC 2024", Some(1_725_469_184_356)),
            ("Wed Sep 04 16:59:44 UTC 2024", Some(1_725_469_184_000)),
            ("Mar 20, 2023, 6:08:05 PM", Some(1_679_335_685_000)),
            ("Mar 20, 2023, 6:08:05\u{202f}PM", Some(1_679_335_685_000)),
            ("Dec 3, 2021, 12:02:30 AM", Some(1_638_489_750_000)),
            ("yesterday", None),
        ] {
            assert_eq!(worded(text), expected, "{text}");
        }
    }
}
