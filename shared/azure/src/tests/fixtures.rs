//! Our own small payloads, one per shape.

use std::borrow::Cow;

use serde_json::Value;
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingClass, FindingStatus, Severity, Source};
use stanch_core::lenient::parse_time;
use stanch_core::normalize::{NormalizeError, Normalized};

use crate::{normalize, normalize_alert, normalize_compliance, normalize_recommendation};

const ALERT_EXPORT: &str = include_str!("../../fixtures/alert_export.json");
const ALERT_ARM: &str = include_str!("../../fixtures/alert_arm.json");
const ALERT_LOG_ANALYTICS: &str = include_str!("../../fixtures/alert_loganalytics.json");
const ALERT_AWS: &str = include_str!("../../fixtures/alert_aws.json");
const ALERT_SAMPLE: &str = include_str!("../../fixtures/alert_subscription_sample.json");
const UNHEALTHY: &str = include_str!("../../fixtures/assessment_unhealthy.json");
const DELETED: &str = include_str!("../../fixtures/assessment_deleted.json");
const ASSESSMENT_AWS: &str = include_str!("../../fixtures/assessment_aws.json");
const SUB_PASCAL: &str = include_str!("../../fixtures/sub_assessment_pascal.json");
const SUB_CVE: &str = include_str!("../../fixtures/sub_assessment_cve.json");
const COMPLIANCE: &str = include_str!("../../fixtures/compliance_failed.json");
const SECURE_SCORE: &str = include_str!("../../fixtures/secure_score.json");
const ALL: &[&str] = &[
    ALERT_EXPORT,
    ALERT_ARM,
    ALERT_LOG_ANALYTICS,
    ALERT_AWS,
    ALERT_SAMPLE,
    UNHEALTHY,
    DELETED,
    ASSESSMENT_AWS,
    SUB_PASCAL,
    SUB_CVE,
    COMPLIANCE,
    SECURE_SCORE,
];

const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
const ALERT: &str = "2517000000000000001_aaaaaaaa-0000-4000-8000-000000000001";
const KEY: &str = "eeeeeeee-0000-4000-8000-000000000005";

fn only(json: &str) -> Finding<'_> {
    let mut reading = normalize(json).unwrap();
    assert_eq!((reading.findings.len(), reading.faults.len()), (1, 0), "{:?}", reading.faults);
    reading.findings.remove(0)
}

fn texts(list: &[Cow<'_, str>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn one_alert_in_three_shapes_is_the_same_finding() {
    for json in [ALERT_EXPORT, ALERT_ARM, ALERT_LOG_ANALYTICS] {
        let finding = only(json);
        assert_eq!((finding.source, finding.class, finding.activity), (Source::DefenderAlert, FindingClass::Detection, Activity::Create));
        assert_eq!(finding.uid, ALERT);
        assert_eq!(finding.rule.as_deref(), Some("Storage.Blob_TorAnomaly"));
        assert_eq!(finding.title, "Blobs were read through Tor");
        assert_eq!((finding.severity, finding.status), (Severity::High, FindingStatus::New));
        assert_eq!(texts(&finding.types), ["InitialAccess", "Exfiltration"]);
        assert_eq!(finding.first_seen, parse_time("2026-03-01T10:00:00.123Z"));
        assert_eq!(finding.last_seen, parse_time("2026-03-01T10:05:00Z"));
        assert_eq!(finding.time, parse_time("2026-03-01T10:06:00.123Z"));
        assert_eq!(finding.account.as_ref().unwrap().uid, SUBSCRIPTION);

        assert_eq!(finding.resources.len(), 1);
        let resource = &finding.resources[0];
        assert_eq!(
            resource.canonical().as_str(),
            format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-shop/providers/microsoft.storage/storageaccounts/shopfiles")
        );
        assert_eq!((resource.cloud, resource.kind.as_deref()), (Cloud::Azure, Some("Microsoft.Storage/storageAccounts")));
        assert_eq!(resource.name.as_deref(), Some("shopfiles"));

        let reference = &finding.source_ref;
        assert_eq!(reference.id, ALERT);
        assert_eq!(reference.location.as_deref(), Some("westeurope"));
        assert_eq!(reference.account.as_deref(), Some(SUBSCRIPTION));
        assert_eq!(reference.resource_group.as_deref(), Some("rg-shop"));

        let guidance = finding.guidance.as_ref().unwrap();
        assert_eq!(guidance.desc, "1. Rotate the keys.\n2. Close the firewall.");
        assert_eq!(guidance.references[0], "https://docs.example.com/tor");
        assert!(guidance.references[1].ends_with("/location/westeurope"));
        assert!(!finding.sample);
        assert_eq!(finding.product.name, "Microsoft Defender for Cloud");
        assert_eq!(finding.raw, json.trim());
    }
}

#[test]
fn an_exported_alert_borrows_from_its_event() {
    let finding = only(ALERT_EXPORT);
    for text in [&finding.uid, &finding.title, &finding.raw, &finding.resources[0].uid, finding.account.as_ref().map(|a| &a.uid).unwrap()] {
        assert!(matches!(text, Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn an_alert_on_a_connected_cloud_names_the_native_resource() {
    let finding = only(ALERT_AWS);
    assert_eq!((finding.cloud, finding.status, finding.activity), (Cloud::Aws, FindingStatus::InProgress, Activity::Update));
    let resource = &finding.resources[0];
    assert_eq!((resource.cloud, resource.uid.as_ref()), (Cloud::Aws, "arn:aws:rds:eu-west-2:111122223333:db:shop-data"));
    assert_eq!(resource.account.as_ref().unwrap().uid, "111122223333");
    assert_eq!(resource.region.as_deref(), Some("eu-west-2"));
    // It is about the account the resource lies in; its API is Defender's, in the subscription of the connector.
    assert_eq!((finding.account.as_ref().unwrap().uid.as_ref(), finding.region.as_deref()), ("111122223333", Some("eu-west-2")));
    assert_eq!(finding.source_ref.account.as_deref(), Some(SUBSCRIPTION));
    assert_eq!(finding.source_ref.location, None);
    assert_eq!(finding.guidance.as_ref().unwrap().desc, "Close the database.");
}

#[test]
fn without_a_native_id_the_stand_in_still_tells_the_cloud() {
    let mut alert: Value = serde_json::from_str(ALERT_AWS).unwrap();
    alert["Entities"] = Value::Null;
    let json = alert.to_string();
    let finding = only(&json);
    assert_eq!(finding.cloud, Cloud::Aws);
    assert!(finding.resources[0].uid.ends_with("/securityentitydata/aws-rds-db-shop-data-eu-west-2"));
    let gcp = json.replace("aws-rds-db-shop-data-eu-west-2", "gcp-clusters-shop-zone");
    assert_eq!(only(&gcp).resources[0].cloud, Cloud::Gcp);
}

#[test]
fn a_sample_alert_is_marked_and_falls_to_its_subscription() {
    let finding = only(ALERT_SAMPLE);
    assert!(finding.sample);
    assert_eq!((finding.status, finding.is_open()), (FindingStatus::Suppressed, false));
    assert_eq!(finding.resources[0].uid, format!("/subscriptions/{SUBSCRIPTION}"));
    assert_eq!(finding.resources[0].kind.as_deref(), Some("Microsoft.Resources/subscriptions"));
    assert_eq!(finding.source_ref.location.as_deref(), Some("centralus"));
    assert_eq!(finding.source_ref.resource_group, None);
    assert!(finding.types.is_empty());
    let by_description_alone = ALERT_SAMPLE.replace("[SAMPLE ALERT] ", "").replace("SIMULATED_", "");
    assert!(only(&by_description_alone).sample);
}

#[test]
fn the_machine_among_the_entities_is_the_resource_when_nothing_else_names_one() {
    let mut alert: Value = serde_json::from_str(ALERT_EXPORT).unwrap();
    alert["ResourceIdentifiers"] = Value::Null;
    alert["AzureResourceId"] = Value::String(String::new());
    let json = alert.to_string();
    assert_eq!(only(&json).resources[0].name.as_deref(), Some("shopfiles"));
}

#[test]
fn an_unhealthy_assessment_is_a_failing_control() {
    let finding = only(UNHEALTHY);
    assert_eq!((finding.source, finding.class), (Source::DefenderAssessment, FindingClass::Compliance));
    let id = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.Storage/storageAccounts/shopfiles/providers/Microsoft.Security/assessments/{KEY}"
    );
    assert_eq!(finding.uid, id.to_lowercase());
    assert_eq!(finding.source_ref.id, id);
    assert_eq!(finding.rule.as_deref(), Some(KEY));
    assert_eq!(finding.policy.as_deref(), Some("ffffffff-0000-4000-8000-000000000006"));
    assert_eq!((finding.severity, finding.status, finding.is_open()), (Severity::High, FindingStatus::New, true));
    let compliance = finding.compliance.as_ref().unwrap();
    assert_eq!(
        (compliance.control.as_deref(), compliance.status, compliance.status_code.as_deref()),
        (Some(KEY), ComplianceStatus::Fail, Some("Unhealthy"))
    );
    assert_eq!(compliance.status_detail, None);
    let resource = &finding.resources[0];
    assert!(resource.uid.ends_with("/microsoft.storage/storageaccounts/shopfiles"));
    assert_eq!(resource.kind.as_deref(), Some("microsoft.storage/storageaccounts"));
    assert_eq!(resource.account.as_ref().unwrap().uid, SUBSCRIPTION);
    let guidance = finding.guidance.as_ref().unwrap();
    assert_eq!(guidance.desc, "To fix:\n1. Open the account's Configuration.\n2. Switch on Secure transfer.");
    assert!(guidance.references[0].starts_with("https://portal.azure.com/#blade/"));
    let risk = finding.risk.as_ref().unwrap();
    assert_eq!((risk.level.as_deref(), risk.factors.len()), (Some("Critical"), 2));
    assert_eq!(finding.modified, parse_time("2026-03-03T09:00:00.123Z"));
    assert_eq!(finding.created, parse_time("2026-02-01T09:00:00Z"));
}

#[test]
fn a_deleted_row_is_gone_and_never_fixed() {
    let finding = only(DELETED);
    assert_eq!((finding.activity, finding.status), (Activity::Close, FindingStatus::Deleted));
    let compliance = finding.compliance.as_ref().unwrap();
    assert_eq!((compliance.status, compliance.status_code.as_deref()), (ComplianceStatus::Unknown, Some("Healthy")));
    // Without resourceDetails the resource is what the id hangs on.
    assert_eq!(
        finding.resources[0].uid,
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.Storage/storageAccounts/shopfiles")
    );
    assert_eq!(finding.resources[0].kind.as_deref(), Some("Microsoft.Storage/storageAccounts"));
}

#[test]
fn status_words_decide_what_is_open() {
    for (code, status, open) in [
        ("Healthy", ComplianceStatus::Pass, false),
        ("Unhealthy", ComplianceStatus::Fail, true),
        ("NotApplicable", ComplianceStatus::Unknown, false),
        ("notapplicable", ComplianceStatus::Unknown, false),
        ("Invented", ComplianceStatus::Unknown, true),
    ] {
        let json = UNHEALTHY.replace("\"code\": \"Unhealthy\"", &format!("\"code\": \"{code}\""));
        let finding = only(&json);
        let compliance = finding.compliance.as_ref().unwrap();
        assert_eq!((compliance.status, compliance.status_code.as_deref(), finding.is_open()), (status, Some(code), open), "{code}");
    }
}

#[test]
fn an_assessment_of_another_cloud_is_routed_by_its_source() {
    let finding = only(ASSESSMENT_AWS);
    assert_eq!(finding.cloud, Cloud::Aws);
    let resource = &finding.resources[0];
    assert_eq!(resource.uid, "arn:aws:ecr:us-east-1:111122223333:repository/shop");
    assert_eq!(
        (resource.kind.as_deref(), resource.name.as_deref(), resource.region.as_deref()),
        (Some("ecr/repository"), Some("shop"), Some("us-east-1"))
    );
    assert_eq!(finding.account.as_ref().unwrap().uid, "111122223333");
    assert_eq!(finding.source_ref.account.as_deref(), Some(SUBSCRIPTION));
    assert_eq!(finding.status, FindingStatus::Suppressed);
    assert_eq!(finding.compliance.as_ref().unwrap().status_detail.as_deref(), Some("Exempt"));
}

#[test]
fn a_sub_assessment_in_pascal_case_is_a_control_of_its_parent() {
    let finding = only(SUB_PASCAL);
    assert_eq!((finding.source, finding.class), (Source::DefenderSubAssessment, FindingClass::Compliance));
    assert_eq!(finding.rule.as_deref(), Some("VA2108"));
    assert_eq!(finding.compliance.as_ref().unwrap().control.as_deref(), Some(KEY));
    assert_eq!((finding.severity, finding.is_open()), (Severity::High, true));
    let resource = &finding.resources[0];
    assert_eq!((resource.kind.as_deref(), resource.name.as_deref()), (Some("Microsoft.Sql/servers/databases"), Some("shop")));
    assert_eq!(finding.time, parse_time("2026-03-04T00:00:00Z"));
    assert_eq!(finding.guidance.as_ref().unwrap().desc, "Remove members.");
}

#[test]
fn a_sub_assessment_with_cves_is_a_vulnerability_of_its_registry() {
    let finding = only(SUB_CVE);
    assert_eq!(finding.class, FindingClass::Vulnerability);
    let cves: Vec<_> = finding.vulnerabilities.iter().map(|v| (v.cve.as_deref().unwrap(), v.cvss.as_deref().unwrap())).collect();
    assert_eq!(cves, [("CVE-2026-0001", "7.5"), ("CVE-2026-0002", "7.5")]);
    assert_eq!(finding.vulnerabilities[0].advisory.as_deref(), Some("370000"));
    assert_eq!(finding.resources[0].kind.as_deref(), Some("Microsoft.ContainerRegistry/registries"));
}

#[test]
fn a_compliance_result_is_about_the_subscription_and_counts() {
    let finding = only(COMPLIANCE);
    assert_eq!((finding.source, finding.class, finding.activity), (Source::DefenderCompliance, FindingClass::Compliance, Activity::Update));
    let compliance = finding.compliance.as_ref().unwrap();
    assert_eq!(compliance.control.as_deref(), Some(KEY));
    assert_eq!(texts(&compliance.standards), ["Example-Standard-1.0"]);
    assert_eq!(texts(&compliance.requirements), ["2.1"]);
    assert_eq!((compliance.status, compliance.status_code.as_deref()), (ComplianceStatus::Fail, Some("Failed")));
    assert_eq!(compliance.status_detail.as_deref(), Some("resources: failed 4, passed 7, skipped 0"));
    assert_eq!(finding.resources[0].uid, format!("/subscriptions/{SUBSCRIPTION}"));
    assert_eq!(finding.resources[0].kind.as_deref(), Some("Microsoft.Resources/subscriptions"));
    for (state, status) in
        [("Passed", ComplianceStatus::Pass), ("Skipped", ComplianceStatus::Unknown), ("Unsupported", ComplianceStatus::Unknown)]
    {
        let json = COMPLIANCE.replace("\"Failed\"", &format!("\"{state}\""));
        let finding = only(&json);
        assert_eq!((finding.compliance.as_ref().unwrap().status, finding.is_open()), (status, false), "{state}");
    }
}

#[test]
fn every_envelope_gives_the_same_findings() {
    let batch = format!("[{ALERT_EXPORT},{UNHEALTHY}]");
    for json in [
        batch.clone(),
        format!("{{\"records\":{batch}}}"),
        format!("{{\"headers\":{{}},\"body\":{batch}}}"),
        format!("{{\"statusCode\":200,\"body\":{{\"records\":{batch}}}}}"),
        format!("\u{feff} {batch}\n"),
        format!("[{SECURE_SCORE},{ALERT_EXPORT},{UNHEALTHY}]"),
    ] {
        let sources: Vec<_> = normalize(&json).unwrap().findings.iter().map(|f| f.source).collect();
        assert_eq!(sources, [Source::DefenderAlert, Source::DefenderAssessment]);
    }
    let wrapped = format!("{{\"body\":{ALERT_EXPORT}}}");
    assert_eq!(normalize_alert(&wrapped).unwrap().findings[0].raw, ALERT_EXPORT.trim());
    assert!(normalize("[]").unwrap().findings.is_empty());
}

#[test]
fn a_payload_in_the_wrong_place_is_named() {
    let message = |result: Normalized<'_>| result.unwrap_err().to_string();
    // It was known for what it is, and lacks what names it.
    let fault = |json: &str| normalize(json).unwrap().faults.remove(0).to_string();
    assert_eq!(
        message(normalize_alert(UNHEALTHY)),
        "not a finding stanch knows: a Defender for Cloud assessment; accepted are Defender for Cloud alerts"
    );
    assert!(message(normalize_recommendation(ALERT_ARM)).contains("a Defender for Cloud alert;"));
    assert!(message(normalize_compliance(SUB_CVE)).contains("a Defender for Cloud sub-assessment;"));
    assert!(message(normalize("{\"a\":1}")).contains("an object with a"));
    assert!(message(normalize("{\"type\":\"Microsoft.Security/oddities\"}")).contains("`microsoft.security/oddities`"));
    assert!(fault("{\"AlertType\":\"x\"}").contains("field `SystemAlertId` is missing"));
    assert!(fault("{\"type\":\"Microsoft.Security/assessments\"}").contains("field `id` is missing"));
    assert!(fault("{\"type\":\"Microsoft.Security/assessments\",\"id\":\"x\"}").contains("field `id` is not an ARM id"));
    assert!(message(normalize("{\"a\":")).contains("not readable JSON at line 1"));
}

#[test]
fn scores_and_handshakes_are_no_findings() {
    let reading = normalize(SECURE_SCORE).unwrap();
    assert!(reading.findings.is_empty() && reading.faults.is_empty(), "{reading:?}");
    let handshake = r#"[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"x"}}]"#;
    let reading = normalize(handshake).unwrap();
    assert_eq!(reading.passed_over.iter().map(|rule| rule.rule).collect::<Vec<_>>(), ["event-grid-handshake"]);
    assert_eq!(reading.reply.as_deref(), Some(r#"{"validationResponse":"x"}"#));
}

#[test]
fn recognition_ignores_case_and_leaves_other_products_alone() {
    const SUB: &str = "/subscriptions/s/providers/Microsoft.Security";
    let of = |json: &str| match normalize(json) {
        Ok(reading) => reading.findings.first().map(|finding| finding.source),
        Err(NormalizeError::Unrecognised { .. }) => None,
        Err(error) => panic!("{json}: {error}"),
    };
    let key = format!(r#""id":"{SUB}/assessments/k""#);
    assert_eq!(of(&format!(r#"{{"TYPE":"MICROSOFT.SECURITY/ASSESSMENTS",{key},"properties":{{}}}}"#)), Some(Source::DefenderAssessment));
    assert_eq!(of(&format!("{{{key}}}")), Some(Source::DefenderAssessment));
    let sub = format!(r#"{{"Type":"microsoft.security/assessments/subassessments","id":"{SUB}/assessments/k/subAssessments/s"}}"#);
    assert_eq!(of(&sub), Some(Source::DefenderSubAssessment));
    let alert =
        format!(r#"{{"type":"Microsoft.Security/Locations/alerts","id":"{SUB}/locations/l/alerts/a","properties":{{"severity":"Low"}}}}"#);
    assert_eq!(of(&alert), Some(Source::DefenderAlert));
    assert_eq!(of(r#"{"Type":"SecurityAlert","SystemAlertId":"x"}"#), Some(Source::DefenderAlert));
    for none in [r#"{"type":"Microsoft.Security/assessmentMetadata"}"#, r#"{"type":"Microsoft.Security/oddities"}"#] {
        assert_eq!(of(none), None, "{none}");
    }
}

/// Every field of every fixture, at any depth, replaced by each odd value: an answer or an error, never a panic.
#[test]
fn no_odd_value_anywhere_breaks_the_reader() {
    fn places(value: &Value, at: &str, out: &mut Vec<String>) {
        out.push(at.to_owned());
        let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", escape(key)), out)),
            Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| places(value, &format!("{at}/{i}"), out)),
            _ => {}
        }
    }
    let odd = [
        "null",
        "[]",
        "{}",
        "7",
        "-1e400",
        "\"\"",
        "\"x\"",
        "\"[{\"",
        "[[],null,{\"$ref\":\"5\"}]",
        "\"/subscriptions/\u{fc}/providers/<a&\"",
        "true",
    ];
    let mut read = 0;
    for json in ALL {
        let whole: Value = serde_json::from_str(json).unwrap();
        let mut all = Vec::new();
        places(&whole, "", &mut all);
        for place in all {
            for odd in odd {
                let mut value = whole.clone();
                *value.pointer_mut(&place).unwrap() = serde_json::from_str(odd).unwrap_or(Value::Null);
                read += usize::from(normalize(&value.to_string()).is_ok());
            }
        }
        for end in (0..json.len()).filter(|end| json.is_char_boundary(*end)) {
            let _ = normalize(json.get(..end).unwrap());
        }
    }
    assert!(read > 1000, "most odd values cost one field, not the finding: {read}");
}
