//! Shapes that only some detectors, versions and exports have, and events that somebody mangled.

use serde_json::{Value, json};
use stanch_core::cloud::{Account, Cloud};
use stanch_core::finding::{Finding, FindingClass, FindingStatus, Severity};
use stanch_core::normalize::events;
use stanch_core::ocsf::{finding_from, to_line};

use super::samples::unfilled;
use crate::{MAPPINGS, normalize};

const NAME: &str = "organizations/9/sources/5/locations/global/findings/f";
const PROJECT: &str = "//cloudresourcemanager.googleapis.com/projects/77";

fn one(event: &Value) -> Finding<'static> {
    let text = event.to_string();
    let mut reading = normalize(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!((reading.findings.len(), reading.faults.len()), (1, 0), "{text}: {:?}", reading.faults);
    let finding = reading.findings.remove(0).into_owned();
    let line = serde_json::from_str(&to_line(&finding, 0).unwrap()).unwrap();
    assert_eq!(unfilled(MAPPINGS, &serde_json::from_str(&finding.raw).unwrap(), &line), Vec::<String>::new(), "{text}");
    finding
}

fn with(mut event: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object") };
    event.as_object_mut().unwrap().extend(more);
    event
}

fn of(more: Value) -> Value {
    with(json!({"name": NAME, "category": "OPEN_FIREWALL", "state": "ACTIVE", "eventTime": "2026-03-04T05:06:07Z"}), more)
}

/// An export that writes every field, with 0 and empty texts for what is not there.
fn everything_written() -> Value {
    json!({
        "notificationConfigName": "organizations/9/locations/global/notificationConfigs/n",
        "finding": of(json!({
            "findingClass": "TOXIC_COMBINATION", "severity": "SEVERITY_UNSPECIFIED", "mute": "MUTE_UNSPECIFIED", "description": "", "externalUri": "",
            "resourceName": "//storage.googleapis.com/b", "caiResource": "//storage.googleapis.com/b", "compliances": [], "risks": [],
            "vulnerability": {"cve": {"id": "", "cvssv3": {"baseScore": 0}}, "securityBulletin": {"bulletinId": ""}, "providerRiskScore": ""},
            "attackExposure": {"score": 0, "attackExposureResult": "", "state": "STATE_UNSPECIFIED"},
            "toxicCombination": {"attackExposureScore": 0, "relatedFindings": []}, "chokepoint": {"relatedFindings": []},
            "muteInfo": {"staticMute": {"state": "UNDEFINED"}},
            "complianceDetails": {"frameworks": [], "cloudControl": {"cloudControlName": ""}},
        })),
        "resource": {"name": "//storage.googleapis.com/b", "displayName": "b", "type": "google.cloud.storage.Bucket", "location": "us-central1",
            "gcpMetadata": {"project": PROJECT, "projectDisplayName": "my-shop"},
            "awsMetadata": {"account": {"id": "", "name": ""}}, "azureMetadata": {"subscription": {"id": "", "displayName": ""}}},
    })
}

#[test]
fn zeros_and_empty_texts_say_nothing() {
    let f = one(&everything_written());
    assert_eq!((f.class, f.cloud, f.severity, f.status), (FindingClass::Detection, Cloud::Gcp, Severity::Unknown, FindingStatus::New));
    assert_eq!((f.risk, f.desc, f.guidance, f.compliance, f.vulnerabilities), (None, None, None, None, vec![]));
    assert_eq!(f.account.as_ref().unwrap().uid, "my-shop");
    assert_eq!(f.region.as_deref(), Some("us-central1"));
}

#[test]
fn properties_and_resource_are_found_beside_the_finding_too() {
    let properties = json!({"Recommendation": "Close it.", "SeverityLevel": "High", "compliance_standards": {"cis": [{"version": "1.0", "ids": ["3.7"]}]}});
    let resource = json!({"name": "//compute.googleapis.com/projects/my-shop/global/firewalls/1", "type": "google.compute.Firewall"});
    for wrapped in [
        json!({"finding": of(json!({})), "resource": resource, "sourceProperties": properties}),
        json!({"findings": of(json!({})), "resource": resource, "sourceProperties": properties}),
        json!({"findings": [of(json!({}))], "resource": resource, "sourceProperties": properties}),
        json!({"findings": [{"finding": of(json!({"sourceProperties": properties})), "resource": resource}]}),
        json!({"logName": "organizations/9/logs/scc", "jsonPayload": {"finding": of(json!({})), "resource": resource, "sourceProperties": properties}}),
        json!({"finding": of(json!({"resource": resource, "sourceProperties": properties})), "resource": {}}),
        of(json!({"resource": resource, "source_properties": properties})),
        of(json!({"resource": resource, "sourceProperties": {}, "source_properties": properties})),
    ] {
        let f = one(&wrapped);
        assert_eq!(f.guidance.as_ref().unwrap().desc, "Close it.", "{wrapped}");
        assert_eq!((f.severity, f.account.as_ref().unwrap().uid.as_ref()), (Severity::High, "my-shop"), "{wrapped}");
        assert_eq!(f.resources[0].kind.as_deref(), Some("google.compute.Firewall"), "{wrapped}");
        assert_eq!(f.compliance.as_ref().unwrap().standards, ["cis 1.0"], "{wrapped}");
    }
    let unpacked = one(&of(json!({"sourceProperties": properties.to_string(), "severity": "SEVERITY_UNSPECIFIED"})));
    assert_eq!((unpacked.severity, unpacked.severity_original.as_deref()), (Severity::High, Some("High")));
}

#[test]
fn risk_is_what_the_simulation_says() {
    let risk = |more: Value| one(&of(more)).risk;
    assert_eq!(risk(json!({"severity": "CRITICAL"})), None, "a severity is no risk");
    let exposed = risk(json!({"attackExposure": {"score": 4.5, "state": "CALCULATED", "attackExposureResult": "organizations/9/simulations/1/attackExposureResults/2"},
        "risks": [{"riskCategory": "AI_WORKLOAD_AT_RISK"}]}))
    .unwrap();
    assert_eq!((exposed.level, exposed.score.as_deref()), (None, Some("4.5")));
    assert_eq!((exposed.factors, exposed.attack_paths.len()), (vec!["AI_WORKLOAD_AT_RISK".into()], 1));
    let score = |more: Value| risk(more).and_then(|risk| risk.score).map(std::borrow::Cow::into_owned);
    for (more, expected) in [
        (json!({"attackExposure": {"score": 0, "state": "CALCULATED"}}), Some("0")),
        (json!({"attackExposure": {"score": 0, "state": "NOT_CALCULATED"}}), None),
        (json!({"attack_exposure": {"score": "7"}}), Some("7")),
        (json!({"toxicCombination": {"attackExposureScore": 9.1}}), Some("9.1")),
        (json!({"vulnerability": {"providerRiskScore": "780"}}), Some("780")),
        (json!({"attackExposure": {"score": "soon"}}), None),
    ] {
        assert_eq!(score(more.clone()).as_deref(), expected, "{more}");
    }
    for (kind, class) in [("toxicCombination", "TOXIC_COMBINATION"), ("chokepoint", "CHOKEPOINT")] {
        let f = one(
            &json!({"finding": of(json!({"findingClass": class, kind: {"relatedFindings": ["organizations/9/sources/5/findings/g"]}}))}),
        );
        assert_eq!((f.class, f.risk.unwrap().factors), (FindingClass::Detection, vec!["organizations/9/sources/5/findings/g".into()]));
    }
}

#[test]
fn a_resource_of_another_cloud_shows_without_a_provider() {
    let arn = "arn:aws:s3:::shop-logs";
    let azure = "/subscriptions/1b2c/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/s";
    for (resource_name, about, cloud, uid, account) in [
        (format!("//s3.amazonaws.com/{arn}"), json!({}), Cloud::Aws, arn, None),
        (arn.to_owned(), json!({"awsMetadata": {"account": {"id": "111122223333"}}}), Cloud::Aws, arn, Some("111122223333")),
        (format!("//management.azure.com{azure}"), json!({}), Cloud::Azure, azure, Some("1b2c")),
        (
            "x".to_owned(),
            json!({"cloudProvider": "CLOUD_PROVIDER_UNSPECIFIED", "azureMetadata": {"subscription": {"id": "1b2c"}}}),
            Cloud::Azure,
            "x",
            Some("1b2c"),
        ),
        (
            "//pubsub.googleapis.com/projects/my-shop/subscriptions/s".to_owned(),
            json!({}),
            Cloud::Gcp,
            "//pubsub.googleapis.com/projects/my-shop/subscriptions/s",
            Some("my-shop"),
        ),
    ] {
        let f = one(&json!({"finding": of(json!({"resourceName": resource_name})), "resource": about}));
        assert_eq!((f.cloud, f.resources[0].uid.as_ref()), (cloud, uid), "{resource_name}");
        assert_eq!(f.account.as_ref().map(|a| a.uid.as_ref()), account, "{resource_name}");
    }
    let beside = one(&of(json!({"resourceName": "x", "cloudProvider": "AMAZON_WEB_SERVICES"})));
    assert_eq!(beside.cloud, Cloud::Aws);
}

#[test]
fn a_finding_without_a_resource_name_takes_what_else_names_it_and_stands_without() {
    for (more, uid) in [
        (json!({}), None),
        (json!({"caiResource": "//storage.googleapis.com/b"}), Some("//storage.googleapis.com/b")),
        (json!({"sourceProperties": {"affectedResources": [{"gcpResourceName": PROJECT}]}}), Some(PROJECT)),
    ] {
        let f = one(&of(more));
        assert_eq!((f.resources.first().map(|r| r.uid.as_ref()), f.uid.as_ref()), (uid, "sources/5/findings/f"));
    }
    let f = one(&of(
        json!({"resourceName": "//storage.googleapis.com/b", "resource": {"project": "//cloudresourcemanager.googleapis.com/projects/PROJECT_NUMBER"}}),
    ));
    assert_eq!(f.account, Some(Account { uid: "PROJECT_NUMBER".into(), name: None }), "a project of no usual form is one all the same");
}

#[test]
fn mutes_states_and_classes_are_read_in_every_spelling() {
    let status = |more: Value| one(&of(more)).status;
    assert_eq!(status(json!({"muteInfo": {"staticMute": {"state": "MUTED"}}})), FindingStatus::Suppressed);
    assert_eq!(status(json!({"mute": "UNMUTED", "muteInfo": {"staticMute": {"state": "MUTED"}}})), FindingStatus::New);
    assert_eq!(status(json!({"state": "Inactive"})), FindingStatus::Resolved);
    assert_eq!(status(json!({"state": "STATE_UNSPECIFIED"})), FindingStatus::Unknown);
    for (more, class) in [
        (
            json!({"findingClass": "VULNERABILITY", "vulnerability": {"securityBulletin": {"bulletinId": "GCP-2026-001"}}}),
            FindingClass::Vulnerability,
        ),
        (json!({"vulnerability": {"cve": {"id": "CVE-2026-1"}}}), FindingClass::Vulnerability),
        (json!({"finding_class": "THREAT"}), FindingClass::Detection),
        (json!({"findingClass": "A_CLASS_TO_COME"}), FindingClass::Detection),
    ] {
        assert_eq!(one(&of(more.clone())).class, class, "{more}");
    }
    let frameworks = json!({"complianceDetails": {"frameworks": [{"displayName": "CIS 3.0", "controls": [{"displayName": "3.7"}]}]}});
    let compliance = one(&of(frameworks)).compliance.unwrap();
    assert_eq!((compliance.standards, compliance.requirements), (vec!["CIS 3.0".into()], vec!["3.7".into()]));
    let times = one(&of(json!({"eventTime": {"seconds": "1772600767", "nanos": 2.9e8}, "createTime": {"seconds": 1_772_600_700}})));
    assert_eq!((times.time, times.created), (Some(1_772_600_767_290), Some(1_772_600_700_000)));
}

/// A small generator whose sequence its seed decides.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Drops, retypes, renames, doubles or deepens something somewhere.
fn mangle(value: &mut Value, random: &mut Seeded) {
    let odd = [
        json!(null),
        json!(""),
        json!(0),
        json!(i64::MIN),
        json!(-1.5e300),
        json!(true),
        json!([]),
        json!({}),
        json!([[{}]]),
        json!("/é\"projects/"),
        json!({"name": {"name": []}}),
    ];
    match value {
        Value::Object(map) if !map.is_empty() && random.below(4) > 0 => {
            let key = map.keys().nth(random.below(map.len())).unwrap().clone();
            match random.below(6) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(key, odd[random.below(odd.len())].clone())),
                2 => drop(map.remove(&key).map(|inner| map.insert(key.to_uppercase(), inner))),
                3 => drop(map.get(&key).map(Value::to_string).map(|text| map.insert(key, text.into()))),
                _ => mangle(map.get_mut(&key).unwrap(), random),
            }
        }
        Value::Array(list) if !list.is_empty() && random.below(4) > 0 => {
            let at = random.below(list.len());
            match random.below(4) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => mangle(&mut list[at], random),
            }
        }
        other => *other = odd[random.below(odd.len())].clone(),
    }
}

#[test]
fn mangled_events_end_in_a_finding_a_rule_or_a_fault() {
    let whole: Vec<Value> = [
        include_str!("../../fixtures/v1_notification.json"),
        include_str!("../../fixtures/v2_notification.json"),
        include_str!("../../fixtures/threat_snake_case.json"),
        include_str!("../../fixtures/aws_vulnerability.json"),
    ]
    .iter()
    .flat_map(|text| events(text).unwrap())
    .map(|event| serde_json::from_str(event).unwrap())
    .chain([everything_written(), json!({"findings": [of(json!({}))], "sourceProperties": {"ProjectId": "p"}})])
    .collect();
    let (mut findings, mut others) = (0, 0);
    for seed in 1..=4_000_u64 {
        let mut random = Seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut event = whole[random.below(whole.len())].clone();
        for _ in 0..=random.below(6) {
            mangle(&mut event, &mut random);
        }
        let text = event.to_string();
        let reading = normalize(&text).unwrap_or_default();
        others += usize::from(reading.findings.is_empty());
        for f in &reading.findings {
            let line = to_line(f, 0).unwrap();
            assert_eq!(finding_from(&line).unwrap().uid, f.uid, "{seed}: {text}");
            findings += 1;
        }
    }
    assert!(findings > 500 && others > 50, "{findings} findings, {others} others");
}
