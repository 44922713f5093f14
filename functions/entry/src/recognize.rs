//! Which source an event comes from, by its own fields.

use stanch_core::finding::Source;
use stanch_core::json::Json;
use stanch_core::normalize::{self, Mapping, NoFinding, NormalizeError, Normalized, Reading};

/// Every kind of event that is read, for people.
pub const ACCEPTED: &str = "Defender for Cloud alerts (also as Sentinel, Graph, Defender XDR and the Activity Log carry them), assessments, \
     sub-assessments, regulatory compliance assessments and secure scores; Azure Policy states; Security Hub events of EventBridge, \
     bare ASFF findings and API answers `{\"Findings\": […]}`; findings of GuardDuty and Inspector; Security Command Center \
     notifications and findings; Prowler's OCSF output; OCSF findings of class 2002, 2003 and 2004; all of these also inside \
     Event Grid, CloudEvents, Pub/Sub, SNS and SQS";

type Read = for<'a> fn(&'a str) -> Normalized<'a>;

/// A name for `--source`: the source as records name it, or the function folder that takes its events; how it is read; and
/// the source its findings must have, where the reader alone does not say.
const READERS: &[(&str, Read, Option<Source>)] = &[
    ("defender-alert", stanch_azure::normalize_alert, None),
    ("defender-assessment", stanch_azure::normalize_recommendation, Some(Source::DefenderAssessment)),
    ("defender-sub-assessment", stanch_azure::normalize_recommendation, Some(Source::DefenderSubAssessment)),
    ("defender-recommendation", stanch_azure::normalize_recommendation, None),
    ("defender-compliance", stanch_azure::normalize_compliance, None),
    ("defender-xdr", stanch_azure::normalize_alert, Some(Source::DefenderXdr)),
    ("azure-policy", stanch_azure::normalize_policy, None),
    ("security-hub", stanch_aws::normalize, Some(Source::SecurityHub)),
    ("security-hub-v2", stanch_aws::normalize, Some(Source::SecurityHubV2)),
    ("securityhub-finding", stanch_aws::normalize, None),
    ("scc", stanch_gcp::normalize, None),
    ("scc-finding", stanch_gcp::normalize, None),
    ("prowler", stanch_core::ocsf::normalize, Some(Source::Prowler)),
    ("ocsf", stanch_core::ocsf::normalize, None),
    ("ocsf-finding", stanch_core::ocsf::normalize, None),
];

/// The names [`read_as`] takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|(name, ..)| *name)
}

/// Reads a delivery of whichever source it comes from. An event of no known kind is an error that says what it looked like and
/// what is accepted.
pub fn recognize(event: &str) -> Normalized<'_> {
    normalize::read(event, &read)
}

fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let connectors = [stanch_azure::read, stanch_aws::read, stanch_gcp::read, stanch_core::ocsf::read];
    for connector in connectors {
        match connector(event, reading) {
            Err(NormalizeError::Unrecognised { .. }) => {}
            known => return known,
        }
    }
    Err(NormalizeError::Unrecognised { looked_like: looks_like(event), accepted: ACCEPTED })
}

/// Every rule by which an event is no finding.
pub fn no_findings() -> impl Iterator<Item = &'static NoFinding> {
    let connectors = [stanch_azure::NO_FINDINGS, stanch_aws::NO_FINDINGS, stanch_gcp::NO_FINDINGS, stanch_core::ocsf::NO_FINDINGS];
    let all = connectors.into_iter().chain([normalize::NO_FINDINGS]);
    all.flatten().copied()
}

/// How each shape of a connector's payloads becomes OCSF, by the connector. A payload is of the first shape whose marks it has.
pub const MAPPINGS: [&[Mapping]; 4] = [stanch_azure::MAPPINGS, stanch_aws::MAPPINGS, stanch_gcp::MAPPINGS, stanch_core::ocsf::MAPPINGS];

/// The mappings that findings of a source are read by.
pub fn mappings(source: Source) -> &'static [Mapping] {
    match source {
        Source::DefenderAlert
        | Source::DefenderXdr
        | Source::DefenderAssessment
        | Source::DefenderSubAssessment
        | Source::DefenderCompliance
        | Source::AzurePolicy => stanch_azure::MAPPINGS,
        Source::SecurityHub | Source::SecurityHubV2 => stanch_aws::MAPPINGS,
        Source::Scc => stanch_gcp::MAPPINGS,
        Source::Prowler | Source::Ocsf => stanch_core::ocsf::MAPPINGS,
    }
}

/// The names of its fields, and the type it gives itself.
fn looks_like(event: Json<'_, '_>) -> String {
    let names = event.names();
    match event.any(&["type", "detail-type", "kind", "eventType"]).str().filter(|kind| kind.len() <= 80) {
        Some(kind) => format!("{names} (type `{kind}`)"),
        None => names,
    }
}

/// Reads one event as the named source (see [`names`]). An event of another source is an error that says so.
pub fn read_as<'a>(event: &'a str, name: &str) -> Normalized<'a> {
    let Some((name, read, wanted)) = READERS.iter().find(|(known, ..)| *known == name) else {
        let accepted = "the names `stanch normalize --help` lists under --source";
        return Err(NormalizeError::Unrecognised { looked_like: format!("source `{name}`"), accepted });
    };
    let reading = read(event)?;
    match reading.findings.iter().find(|f| wanted.is_some_and(|w| w != f.source)) {
        Some(other) => Err(NormalizeError::Unrecognised { looked_like: format!("a finding of `{}`", other.source), accepted: name }),
        None => Ok(reading),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(event: &str) -> String {
        match recognize(event) {
            Ok(reading) => {
                let sources = reading.findings.iter().map(|f| f.source.as_str());
                sources.chain(reading.passed_over.iter().map(|rule| rule.rule)).collect::<Vec<_>>().join(",")
            }
            Err(NormalizeError::Unrecognised { .. }) => "unrecognised".to_owned(),
            Err(other) => format!("error: {other}"),
        }
    }

    #[test]
    fn each_source_is_known_by_its_own_fields() {
        let arm = "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a/providers/Microsoft.Security";
        let asff = r#"{"SchemaVersion":"2018-10-08","Id":"f1","ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/securityhub",
            "AwsAccountId":"111122223333","Title":"t","Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}]}"#;
        let ocsf = |vendor: &str| {
            format!(
                r#"{{"class_uid":2004,"metadata":{{"product":{{"name":"{vendor}","vendor_name":"{vendor}"}},"uid":"u"}},
                "finding_info":{{"uid":"u","title":"t"}},"cloud":{{"provider":"aws"}},"resources":[{{"uid":"arn:aws:s3:::b"}}]}}"#
            )
        };
        let event = |kind: &str, finding: &str| {
            format!(r#"{{"source":"aws.securityhub","detail-type":"{kind}","detail":{{"findings":[{finding}]}}}}"#)
        };
        let scc = r#"{"name":"organizations/1/sources/2/findings/3","category":"OPEN_SSH_PORT","state":"ACTIVE",
            "resourceName":"//compute.googleapis.com/projects/p/global/firewalls/f"}"#;
        for (what, payload, expected) in [
            (
                "assessment",
                format!(r#"{{"type":"Microsoft.Security/assessments","id":"{arm}/assessments/k","name":"k"}}"#),
                "defender-assessment",
            ),
            ("bare ASFF", asff.to_owned(), "security-hub"),
            ("ASFF event", event("Security Hub Findings - Imported", asff), "security-hub"),
            ("custom action", event("Security Hub Findings - Custom Action", asff), "security-hub"),
            ("API answer", format!(r#"{{"Findings":[{asff},{asff}]}}"#), "security-hub,security-hub"),
            ("SCC finding", scc.to_owned(), "scc"),
            ("SCC notification", format!(r#"{{"notificationConfigName":"n","finding":{scc}}}"#), "scc"),
            ("Prowler", ocsf("Prowler"), "prowler"),
            ("OCSF", ocsf("Scanner"), "ocsf"),
            ("secure score", r#"{"type":"Microsoft.Security/secureScores","id":"/subscriptions/s1/x"}"#.to_owned(), "secure-score"),
            (
                "SQS record",
                serde_json::json!({"eventSource": "aws:sqs", "body": event("Security Hub Findings - Imported", asff)}).to_string(),
                "security-hub",
            ),
            ("something else", r#"{"hello":"world"}"#.to_owned(), "unrecognised"),
            ("no object", "[[1]]".to_owned(), "unrecognised"),
        ] {
            assert_eq!(seen(&payload), expected, "{what}");
        }
    }

    #[test]
    fn a_forced_source_does_not_take_another_sources_event() {
        let prowler = r#"{"class_uid":2004,"metadata":{"product":{"name":"Prowler"},"uid":"u"},"finding_info":{"uid":"u","title":"t"},
            "cloud":{"provider":"aws"},"resources":[{"uid":"arn:aws:s3:::b"}]}"#;
        assert_eq!(read_as(prowler, "prowler").map(|r| r.findings.len()).ok(), Some(1));
        assert_eq!(read_as(prowler, "ocsf-finding").map(|r| r.findings.len()).ok(), Some(1));
        assert!(read_as(prowler, "scc").is_err());
        assert!(read_as(prowler, "security-hub").is_err());
        assert!(read_as(prowler, "nobody").is_err());
    }

    #[test]
    fn every_source_has_a_name_to_force_it() {
        use Source::{
            AzurePolicy, DefenderAlert, DefenderAssessment, DefenderCompliance, DefenderSubAssessment, DefenderXdr, Ocsf, Prowler, Scc,
            SecurityHub, SecurityHubV2,
        };
        let of_azure = [DefenderAlert, DefenderXdr, DefenderAssessment, DefenderSubAssessment, DefenderCompliance, AzurePolicy];
        for source in of_azure.into_iter().chain([SecurityHub, SecurityHubV2, Scc, Prowler, Ocsf]) {
            assert!(names().any(|name| name == source.as_str()), "{source}");
        }
    }
}
