use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingClass, FindingStatus, Severity, Source};
use stanch_core::normalize::NormalizeError;

use crate::normalize;

const V1: &str = include_str!("../../fixtures/v1_notification.json");
const V2: &str = include_str!("../../fixtures/v2_notification.json");
const THREAT: &str = include_str!("../../fixtures/threat_snake_case.json");
const AWS: &str = include_str!("../../fixtures/aws_vulnerability.json");
const NAME: &str = "organizations/9/sources/5/findings/f";

fn one(json: &str) -> Finding<'static> {
    let mut reading = normalize(json).unwrap();
    assert_eq!((reading.findings.len(), reading.faults.len(), reading.passed_over.len()), (1, 0, 0), "{json}");
    reading.findings.remove(0).into_owned()
}

fn bare(extra: &Value) -> Finding<'static> {
    let mut finding = json!({"name": NAME, "category": "OPEN_FIREWALL", "state": "ACTIVE"});
    finding.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    one(&finding.to_string())
}

/// The rules by which a delivery is passed over.
fn rules(json: &str) -> Vec<&'static str> {
    let reading = normalize(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!((reading.findings.len(), reading.faults.len()), (0, 0), "{json}");
    reading.passed_over.iter().map(|rule| rule.rule).collect()
}

fn push(data: &str) -> String {
    json!({"message": {"attributes": {}, "data": data, "messageId": "1", "message_id": "1"}, "subscription": "projects/p/subscriptions/s"})
        .to_string()
}

#[test]
fn one_finding_is_the_same_in_both_versions() {
    let (v1, v2) = (one(V1), one(V2));
    assert_eq!(v1.uid, "sources/5511/findings/ab12cd34");
    assert_eq!(v1.uid, v2.uid);
    for finding in [&v1, &v2] {
        assert_eq!(finding.class, FindingClass::Compliance);
        assert_eq!((finding.source, finding.cloud, finding.activity), (Source::Scc, Cloud::Gcp, Activity::Create));
        assert_eq!(finding.rule.as_deref(), Some("PUBLIC_BUCKET_ACL"));
        assert_eq!(finding.title, "PUBLIC_BUCKET_ACL");
        assert_eq!(finding.types, ["PUBLIC_BUCKET_ACL"]);
        assert_eq!((finding.severity, finding.severity_original.as_deref()), (Severity::High, Some("HIGH")));
        assert_eq!((finding.status, finding.status_original.as_deref()), (FindingStatus::New, Some("ACTIVE")));
        assert_eq!((finding.time, finding.last_seen), (Some(1_772_600_767_123), Some(1_772_600_767_123)));
        assert_eq!(finding.created, Some(1_772_323_200_000));
        assert_eq!((finding.product.name.as_ref(), finding.product.vendor.as_ref()), ("Security Health Analytics", "Google Cloud"));
        assert_eq!(finding.product.uid.as_deref(), Some("organizations/900100200300/sources/5511"));
        assert_eq!(finding.source_ref.account.as_deref(), Some("organizations/900100200300"));
        let [resource] = finding.resources.as_slice() else { panic!("{finding:?}") };
        assert_eq!(resource.uid, "//storage.googleapis.com/invoices-eu");
        assert_eq!(resource.kind.as_deref(), Some("google.cloud.storage.Bucket"));
        assert_eq!(resource.name.as_deref(), Some("invoices-eu"));
        assert_eq!(resource.account.as_ref().unwrap().uid, "billing-prod");
        assert_eq!(finding.account, resource.account);
        assert_eq!(finding.compliance.as_ref().unwrap().status, ComplianceStatus::Fail);
        assert_eq!(finding.compliance.as_ref().unwrap().control.as_deref(), Some("PUBLIC_BUCKET_ACL"));
        assert_eq!(finding.guidance.as_ref().unwrap().references, ["https://console.example/storage/invoices-eu"]);
        assert!(finding.is_open());
    }
    assert_eq!(v1.source_ref.id, "organizations/900100200300/sources/5511/findings/ab12cd34");
    assert_eq!(v1.source_ref.location, None);
    assert_eq!(v2.source_ref.id, "organizations/900100200300/sources/5511/locations/global/findings/ab12cd34");
    assert_eq!(v2.source_ref.location.as_deref(), Some("global"));
    assert_eq!(v1.guidance.unwrap().desc, "Take allUsers off the bucket.");
    assert_eq!(v2.guidance.unwrap().desc, "Set public access prevention.");
    assert_eq!((v1.desc.as_deref(), v2.desc.as_deref()), (Some("Anyone can read it."), Some("The bucket is readable by everyone.")));
    assert_eq!((v1.region, v2.region.as_deref()), (None, Some("europe-west1")));
    let compliance = v2.compliance.unwrap();
    assert_eq!(compliance.standards, ["cis 2.0", "pci 3.2.1"]);
    assert_eq!(compliance.requirements, ["5.1", "7.1", "5.2"]);
    assert_eq!(v2.risk.unwrap().score.as_deref(), Some("4.5"));
    assert_eq!(v1.raw.as_ref().trim(), V1.trim());
}

#[test]
fn nothing_is_copied_that_need_not_be() {
    let findings = normalize(V1).unwrap().findings;
    for text in [&findings[0].title, &findings[0].resources[0].uid, &findings[0].source_ref.id, &findings[0].raw] {
        assert!(matches!(text, std::borrow::Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn snake_case_and_properties_in_a_string_are_read() {
    let finding = one(THREAT);
    assert_eq!(finding.class, FindingClass::Detection);
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(finding.time, Some(1_772_600_767_290));
    assert_eq!(finding.created, Some(1_772_600_700_000));
    assert_eq!(finding.desc.as_deref(), Some("A VM talks to a known bad address."));
    assert_eq!(finding.product.name, "Security Command Center");
    let resource = &finding.resources[0];
    assert_eq!(resource.uid, "//compute.googleapis.com/projects/edge-lab/zones/us-central1-a/instances/4711");
    assert_eq!(resource.region.as_deref(), Some("us-central1-a"));
    assert_eq!(resource.account.as_ref().unwrap().uid, "edge-lab");
    assert_eq!(resource.name.as_deref(), Some("crawler"));
    assert_eq!(finding.compliance, None);
}

#[test]
fn resources_of_other_clouds_go_to_their_own_cloud() {
    let finding = one(AWS);
    assert_eq!((finding.cloud, finding.class), (Cloud::Aws, FindingClass::Vulnerability));
    assert_eq!(finding.vulnerabilities[0].cve.as_deref(), Some("CVE-2026-0001"));
    assert_eq!(finding.vulnerabilities[0].cvss.as_deref(), Some("9.8"));
    assert_eq!((finding.status, finding.status_original.as_deref()), (FindingStatus::Suppressed, Some("MUTED")));
    let resource = &finding.resources[0];
    assert_eq!(resource.uid, "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc");
    assert_eq!(resource.region.as_deref(), Some("eu-west-1"));
    let account = resource.account.as_ref().unwrap();
    assert_eq!((account.uid.as_ref(), account.name.as_deref()), ("111122223333", Some("shop")));

    let id = "/subscriptions/1b2c/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/s";
    let azure = json!({
        "finding": {"name": NAME, "category": "X", "resourceName": format!("//management.azure.com{id}")},
        "resource": {"cloudProvider": "MICROSOFT_AZURE", "azureMetadata": {"subscription": {"id": "1b2c", "displayName": "Shop"}}, "location": "westeurope"}
    });
    let finding = one(&azure.to_string());
    assert_eq!((finding.cloud, finding.resources[0].uid.as_ref()), (Cloud::Azure, id));
    assert_eq!(finding.account.as_ref().unwrap().name.as_deref(), Some("Shop"));
    assert_eq!(finding.region.as_deref(), Some("westeurope"));
}

#[test]
fn the_class_follows_finding_class_then_the_category() {
    for (class, category, expected) in [
        (Some("MISCONFIGURATION"), "x", FindingClass::Compliance),
        (Some("POSTURE_VIOLATION"), "SECURITY_POSTURE_DRIFT", FindingClass::Compliance),
        (Some("VULNERABILITY"), "PUBLIC_DATASET", FindingClass::Compliance),
        (Some("THREAT"), "OPEN_FIREWALL", FindingClass::Detection),
        (Some("TOXIC_COMBINATION"), "A", FindingClass::Detection),
        (Some("SENSITIVE_DATA_RISK"), "A", FindingClass::Detection),
        (Some("SECRET"), "A", FindingClass::Detection),
        (Some("FINDING_CLASS_UNSPECIFIED"), "SQL_TRACE_FLAG_3625", FindingClass::Compliance),
        (None, "OPEN_SSH_PORT", FindingClass::Compliance),
        (None, "Malware: Bad IP", FindingClass::Detection),
        (None, "resource_involved_in_coin_mining", FindingClass::Detection),
    ] {
        assert_eq!(bare(&json!({"findingClass": class, "category": category})).class, expected, "{class:?} {category}");
    }
    assert_eq!(rules(&json!({"name": NAME, "category": "API_DISABLED", "findingClass": "SCC_ERROR"}).to_string()), ["scc-error"]);
}

#[test]
fn states_mutes_and_deletions() {
    let closed = bare(&json!({"state": "INACTIVE", "mute": "MUTED"}));
    assert_eq!((closed.status, closed.activity), (FindingStatus::Resolved, Activity::Close));
    assert_eq!(closed.compliance.as_ref().unwrap().status, ComplianceStatus::Unknown);
    assert_eq!(bare(&json!({"mute": "MUTED"})).status, FindingStatus::Suppressed);
    assert_eq!(bare(&json!({"mute": "UNMUTED"})).status, FindingStatus::New);
    assert_eq!(bare(&json!({"mute": "UNDEFINED", "state": null})).status, FindingStatus::Unknown);

    let deleted =
        json!({"notificationConfigName": "organizations/9/notificationConfigs/n", "finding": {"name": NAME}, "deletedFinding": true});
    let deleted = one(&deleted.to_string());
    assert_eq!((deleted.status, deleted.activity), (FindingStatus::Deleted, Activity::Close));
    assert_eq!(deleted.uid, "sources/5/findings/f");
    assert!(!deleted.is_open());
}

#[test]
fn a_project_id_is_preferred_to_a_number_and_a_display_name_is_no_id() {
    let account = |resource_name: &str, about: Value| {
        let finding =
            one(&json!({"finding": {"name": NAME, "category": "A", "resourceName": resource_name}, "resource": about}).to_string());
        finding.account.map(|account| (account.uid.into_owned(), account.name.map(std::borrow::Cow::into_owned)))
    };
    let some = |uid: &str, name: Option<&str>| Some((uid.to_owned(), name.map(str::to_owned)));
    assert_eq!(
        account(
            "//x.googleapis.com/projects/my-app/global/firewalls/1",
            json!({"project": "//cloudresourcemanager.googleapis.com/projects/77"})
        ),
        some("my-app", None)
    );
    assert_eq!(
        account("//storage.googleapis.com/b", json!({"projectName": "//cloudresourcemanager.googleapis.com/projects/77"})),
        some("77", None)
    );
    assert_eq!(
        account("//storage.googleapis.com/b", json!({"projectName": "projects/77", "projectDisplayName": "My App"})),
        some("77", Some("My App"))
    );
    assert_eq!(
        account("//storage.googleapis.com/projects/_/buckets/b", json!({"resourcePathString": "organizations/1/projects/78"})),
        some("78", None)
    );
    assert_eq!(account("//x.googleapis.com/projects/example.com:app/x", json!({})), some("example.com:app", None));
    assert_eq!(account("//cloudresourcemanager.googleapis.com/organizations/9", json!({})), None);
}

#[test]
fn every_wrapping_is_recognised_and_opened() {
    let finding =
        json!({"name": NAME, "category": "OPEN_FIREWALL", "resourceName": "//compute.googleapis.com/projects/my-app/global/firewalls/1"});
    let canonical = json!({"canonicalName": "projects/my-app/sources/5/findings/f", "category": "OPEN_FIREWALL"});
    let note = json!({"notificationConfigName": "organizations/9/notificationConfigs/n", "finding": finding});
    for wrapped in [
        note.clone(),
        finding.clone(),
        canonical,
        json!({"finding": finding, "resource": {}}),
        json!({"findings": [finding], "sourceProperties": {}}),
        json!({"findings": [{"finding": finding}]}),
        json!({"listFindingsResults": [{"finding": finding, "resource": {}}], "totalSize": 1}),
        json!({"logName": "organizations/9/logs/x", "jsonPayload": note}),
        json!({"jsonPayload": {"findings": [finding]}}),
        serde_json::from_str(&push(&STANDARD.encode(note.to_string()))).unwrap(),
    ] {
        let text = wrapped.to_string();
        assert_eq!(one(&text).uid, "sources/5/findings/f", "{text}");
    }
    assert_eq!(normalize(&json!([note, note]).to_string()).unwrap().findings.len(), 2);
    for empty in [r#"{"listFindingsResults":[],"readTime":"2026-01-01T00:00:00Z"}"#, r#"{"readTime":"2026-01-01T00:00:00Z","totalSize":0}"#]
    {
        assert_eq!(rules(empty), Vec::<&str>::new(), "an empty list holds nothing: {empty}");
    }
}

#[test]
fn what_is_not_for_this_connector_is_left_alone() {
    for other in [
        "{}",
        r#"{"Findings":[{"Id":"arn:aws:securityhub:eu-west-1:1:finding/1","ProductArn":"p"}]}"#,
        r#"{"findings":[]}"#,
        r#"{"finding":{"id":1}}"#,
        r#"{"name":"organizations/9/sources/5","displayName":"x","category":"a"}"#,
        r#"{"name":"x","category":"y"}"#,
        r#"{"message":"hello","subscription":"s"}"#,
        r#"{"jsonPayload":{"a":1}}"#,
        r#"{"asset":{"name":"x"}}"#,
    ] {
        assert!(matches!(normalize(other), Err(NormalizeError::Unrecognised { .. })), "{other}");
    }
    let nested = (0..50).fold(
        json!({"name": NAME, "category": "A"}),
        |inner, _| json!({"finding": {"name": NAME, "category": "A"}, "listFindingsResults": [inner]}),
    );
    let nested = nested.to_string();
    let reading = normalize(&nested).unwrap();
    assert_eq!((reading.findings.len(), reading.faults.len()), (0, 1), "what is nested too deep is told");
    for (event, rule) in [
        (
            r#"{"logName":"projects/p/logs/threatdetection.googleapis.com%2Fdetection","jsonPayload":{"detectionCategory":{}}}"#,
            "scc-detector-log",
        ),
        (r#"{"logName":"projects/p/logs/x","jsonPayload":{"a":1}}"#, "google-log-entry"),
        (r#"{"logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{"a":1}}"#, "google-log-entry"),
        (r#"{"kind":"admin#reports#activity","id":{}}"#, "google-workspace-activity"),
        (
            r#"{"asset":{"name":"//storage.googleapis.com/b","assetType":"storage.googleapis.com/Bucket"},"window":{}}"#,
            "google-asset-change",
        ),
    ] {
        assert_eq!(rules(event), [rule], "{event}");
        assert!(crate::NO_FINDINGS.iter().any(|known| known.rule == rule));
    }
}

#[test]
fn a_pushed_finding_is_as_one_that_was_read() {
    let pushed = normalize(&push(&STANDARD.encode(V2))).unwrap().findings.remove(0).into_owned();
    assert_eq!(pushed, one(V2));
    let broken = push(&STANDARD.encode(r#"{"finding":{"name":"findings/1","category":"A"}}"#));
    let reading = normalize(&broken).unwrap();
    assert!(reading.faults[0].to_string().contains("`finding.name` is not the name of a finding"));
    let reading = normalize(r#"{"notificationConfigName":"n"}"#).unwrap();
    assert!(reading.faults[0].to_string().contains("`finding.name` is missing"));
}
