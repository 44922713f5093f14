//! Reading and writing tested together, on own fixtures, on published samples and against the published schema.

mod corpus;
mod shapes;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::chain::{self, ChainEntry, ChainHead};
use crate::cloud::Resource;
use crate::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, Vulnerability,
};
use crate::normalize::{NormalizeError, events};
use crate::remediation::{Remediation, RemediationId};
use crate::state::State;

const COMPLIANCE: &str = include_str!("fixtures/compliance.json");
const DETECTION: &str = include_str!("fixtures/detection.json");
const VULNERABILITY: &str = include_str!("fixtures/vulnerability.json");
const PROWLER: &str = include_str!("fixtures/prowler.json");
const SECURITY_HUB_V2: &str = include_str!("fixtures/securityhub_v2.json");
const RECEIVED: i64 = 1_767_312_000_000;

fn one(json: &str) -> Finding<'_> {
    finding_from(json).unwrap()
}

fn written(value: &impl Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn a_compliance_finding_is_read() {
    let f = one(COMPLIANCE);
    assert_eq!((f.source, f.class, f.activity), (Source::Ocsf, FindingClass::Compliance, Activity::Update));
    assert_eq!((f.cloud, f.severity, f.status), (Cloud::Azure, Severity::High, FindingStatus::New));
    assert_eq!((f.uid.as_ref(), f.rule.as_deref()), ("posture-77", Some("storage-https")));
    assert_eq!((f.time, f.created, f.modified), (Some(1_767_225_600_000), Some(1_767_139_200_000), Some(1_767_225_600_000)));
    let compliance = f.compliance.as_ref().unwrap();
    assert_eq!((compliance.control.as_deref(), compliance.status), (Some("ST-4"), ComplianceStatus::Fail));
    assert_eq!(compliance.status_detail.as_deref(), Some("plain HTTP is allowed; two clients use it"));
    assert_eq!(f.guidance.as_ref().unwrap().references, ["https://example.com/st-4"]);
    let resource = &f.resources[0];
    assert!(resource.uid.ends_with("/storageAccounts/shopdata"));
    assert_eq!(resource.account.as_ref().unwrap().name.as_deref(), Some("shop-prod"));
    assert_eq!(resource.tags, [("owner".into(), "web".into()), ("tier".into(), "gold".into())]);
    assert_eq!(f.raw, COMPLIANCE.trim());
    assert!(f.is_open());
}

#[test]
fn a_detection_is_read_and_resources_without_id_or_name_are_left_out() {
    let f = one(DETECTION);
    assert_eq!((f.class, f.cloud, f.severity), (FindingClass::Detection, Cloud::Gcp, Severity::Critical));
    assert_eq!((f.time, f.first_seen), (Some(1_767_225_600_500), Some(1_767_225_000_000)));
    assert_eq!((f.rule.as_deref(), f.product.name.as_ref()), (Some("open-firewall"), "sensor"));
    assert_eq!(f.risk.as_ref().unwrap().score.as_deref(), Some("81"));
    assert_eq!(f.resources.len(), 2);
    assert_eq!(f.resources[1].uid, "no id");
    assert_eq!(f.resources[1].cloud, Cloud::Gcp);
}

#[test]
fn a_vulnerability_is_read_from_old_and_loose_forms() {
    let f = one(VULNERABILITY);
    assert_eq!((f.class, f.severity, f.status), (FindingClass::Vulnerability, Severity::Critical, FindingStatus::Unknown));
    assert_eq!(f.vulnerabilities[0].cve.as_deref(), Some("CVE-2026-0001"));
    assert_eq!(f.vulnerabilities[0].cvss.as_deref(), Some("9.8"));
    assert_eq!(f.vulnerabilities[1].advisory.as_deref(), Some("EX-2026-7"));
    assert_eq!(f.guidance.as_ref().unwrap().desc, "Update openssl.");
    assert_eq!(f.resources[0].tags, [("env".into(), "prod".into())]);
}

#[test]
fn prowler_results_are_compliance_findings() {
    let findings = normalize(PROWLER).unwrap().findings;
    let [fail, pass] = findings.as_slice() else { panic!("two findings") };
    assert_eq!((fail.source, fail.class, fail.cloud), (Source::Prowler, FindingClass::Compliance, Cloud::Aws));
    assert_eq!(fail.rule.as_deref(), Some("s3_bucket_level_public_access_block"));
    assert_eq!((fail.time, fail.created), (Some(1_767_225_600_000), Some(1_767_225_600_000)));
    let compliance = fail.compliance.as_ref().unwrap();
    assert_eq!(compliance.control, fail.rule);
    assert_eq!((compliance.status, compliance.status_code.as_deref()), (ComplianceStatus::Fail, Some("FAIL")));
    assert_eq!(compliance.standards, ["CIS-3.0", "ISO27001-2022"]);
    assert_eq!(compliance.requirements, ["CIS-3.0 2.1.4", "ISO27001-2022 A.8.1", "ISO27001-2022 A.8.2"]);
    assert_eq!(fail.resources[0].tags[1], ("note".into(), "see https://example.com".into()));
    assert_eq!(fail.account.as_ref().unwrap().name, None);
    assert!(fail.is_open());
    assert_eq!((pass.cloud, pass.status), (Cloud::Gcp, FindingStatus::Suppressed));
    assert_eq!(pass.compliance.as_ref().unwrap().status, ComplianceStatus::Pass);
    assert!(!pass.is_open());
}

#[test]
fn a_muted_prowler_failure_is_not_open() {
    let muted = PROWLER.replace(r#""status_id": 1, "status_code": "FAIL""#, r#""status_id": 3, "status_code": "FAIL""#);
    let findings = normalize(&muted).unwrap().findings;
    assert_eq!(findings[0].compliance.as_ref().unwrap().status, ComplianceStatus::Fail);
    assert!(!findings[0].is_open());
}

#[test]
fn security_hub_v2_gives_arns_accounts_and_coverage() {
    let findings = normalize(SECURITY_HUB_V2).unwrap().findings;
    let control = &findings[0];
    assert_eq!(control.compliance.as_ref().unwrap().control.as_deref(), Some("SQS.3"));
    assert_eq!(control.resources[0].uid, "arn:aws:sqs:eu-west-1:111122223333:orders");
    assert_eq!(control.resources[0].account.as_ref().unwrap().uid, "444455556666");
    assert_eq!(control.resources[1].uid, "AWS::::Account:111122223333");
    assert_eq!((control.severity, control.severity_original.as_deref()), (Severity::Low, Some("Medium")));
    assert_eq!((control.source_ref.id.as_ref(), control.source_ref.location.as_deref()), ("aa11", Some("eu-west-1")));
    assert!(control.source_ref.product.as_deref().unwrap().ends_with("productv2/aws/securityhub"));
    let coverage = &findings[1];
    let compliance = coverage.compliance.as_ref().unwrap();
    assert_eq!((compliance.control.as_deref(), compliance.status), (None, ComplianceStatus::Fail));
    assert_eq!(compliance.status_detail.as_deref(), Some("GuardDuty is off.; INSPECTOR_OFF"));
    assert_eq!(coverage.activity, Activity::Close);
    assert!(!coverage.is_open());
}

#[test]
fn the_cloud_is_the_resources_not_the_reporters() {
    let azure = "/Subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/g/providers/Microsoft.Sql/servers/s";
    let event = |provider: &str, resource: Value| {
        let mut event: Value = serde_json::from_str(DETECTION).unwrap();
        event["cloud"]["provider"] = provider.into();
        event["resources"] = json!([resource]);
        event.to_string()
    };
    for (provider, resource, cloud) in [
        ("AWS", json!({"uid": azure}), Cloud::Azure),
        ("AWS", json!({"uid": "x", "provider": "GCP"}), Cloud::Gcp),
        ("AWS", json!({"uid": "x", "cloud_partition": "AzureCloud"}), Cloud::Azure),
        ("AWS", json!({"uid": "x"}), Cloud::Aws),
        ("acme", json!({"uid": "arn:aws-cn:s3:::b"}), Cloud::Aws),
        ("acme", json!({"uid": "//storage.googleapis.com/b"}), Cloud::Gcp),
        ("acme", json!({"uid": "x", "type": "AWS::S3::Bucket"}), Cloud::Aws),
    ] {
        let json = event(provider, resource);
        let f = one(&json);
        assert_eq!((f.cloud, f.resources[0].cloud), (cloud, cloud), "{json}");
        let same = provider == cloud.provider() || provider == "acme";
        let of_reporter = |account: &Option<Account<'_>>| account.as_ref().is_some_and(|account| account.uid == "shop-prod-1");
        assert_eq!(of_reporter(&f.resources[0].account), same, "an account of another cloud is no account of the resource: {json}");
        assert_eq!((of_reporter(&f.account), f.source_ref.account.as_deref()), (same, Some("shop-prod-1")), "{json}");
    }
    let of_azure = event("AWS", json!({"uid": azure}));
    assert_eq!(one(&of_azure).account.unwrap().uid, "00000000-0000-4000-8000-000000000001");
    let error = finding_from(&event("acme", json!({"uid": "x"}))).unwrap_err().to_string();
    assert!(error.contains("`cloud.provider` is `acme`"), "{error}");
}

#[test]
fn what_is_no_finding_says_what_was_expected() {
    let error = |json: &str| finding_from(json).unwrap_err().to_string();
    assert!(error("{").starts_with("not readable JSON"));
    assert!(error(r#"{"metadata": {}}"#).contains("`class_uid` is missing"));
    assert!(error(r#"{"class_uid": 2004, "cloud": {"provider": "AWS"}}"#).contains("`finding_info.uid` is missing"));
    assert!(error(r#"{"class_uid": 6003, "class_name": "API Activity"}"#).contains("class 6003 (API Activity)"));
    let second_is_bad = format!("[{COMPLIANCE}, {{\"class_uid\": 2003, \"metadata\": {{\"version\": \"1.5.0\"}}}}]");
    let reading = normalize(&second_is_bad).unwrap();
    assert_eq!(reading.findings.len(), 1, "the good one stands");
    assert!(reading.faults[0].to_string().contains("`finding_info.uid` is missing"));
    for other in [r#"{"class_uid": 1}"#, r#"{"metadata": {}}"#, r#"{"finding_info": {"uid": "x"}}"#] {
        assert!(matches!(normalize(other), Err(NormalizeError::Unrecognised { .. })), "{other}");
    }
    assert_eq!(one(r#"{"class_uid":2004,"metadata":{"uid":"m"},"cloud":{"provider":"AWS"}}"#).uid, "m");
}

#[test]
fn sample_findings_are_marked() {
    let titled = DETECTION.replace("Firewall opened", "[SAMPLE] Firewall opened");
    assert!(one(&titled).sample);
    let tested = DETECTION.replace(r#""risk_score": 81"#, r#""verdict_id": 6"#);
    assert!(one(&tested).sample);
    let line = to_line(&one(&tested), RECEIVED).unwrap();
    assert!(one(&line).sample, "and stay marked in what we write");
    assert!(!one(DETECTION).sample);
}

/// Everything a finding can hold, with a resource of each cloud.
fn full(class: FindingClass) -> Finding<'static> {
    let product = Product { name: "Example".into(), vendor: "Example Ltd".into(), uid: Some("p-1".into()), version: Some("2".into()) };
    let mut f = Finding::new(Source::DefenderAssessment, class, Cloud::Azure, "f-1", product);
    f.title = "A title".into();
    f.desc = Some("A description".into());
    f.rule = Some("rule-1".into());
    f.policy = Some("policy-1".into());
    f.types = vec!["t".into()];
    f.severity = Severity::High;
    f.severity_original = Some("HIGH".into());
    f.status = FindingStatus::Suppressed;
    f.status_original = Some("Dismissed".into());
    (f.created, f.modified, f.first_seen, f.last_seen) = (Some(RECEIVED - 1), Some(RECEIVED - 2), Some(RECEIVED - 3), Some(RECEIVED - 4));
    f.account = Some(Account { uid: "s-1".into(), name: Some("shop".into()) });
    f.region = Some("westeurope".into());
    f.resources = [(Cloud::Azure, "/subscriptions/s-1"), (Cloud::Aws, "arn:aws-cn:s3:::b"), (Cloud::Gcp, "//storage.googleapis.com/b")]
        .map(|(cloud, uid)| Resource {
            kind: Some("a type".into()),
            name: Some("n".into()),
            account: Some(Account { uid: "a-1".into(), name: None }),
            region: Some("r".into()),
            tags: vec![("k".into(), "v".into()), ("empty".into(), "".into())],
            ..Resource::new(cloud, uid)
        })
        .to_vec();
    f.compliance = Some(Compliance {
        control: Some("C.1".into()),
        standards: vec!["std".into()],
        requirements: vec!["1.1".into()],
        status: ComplianceStatus::Fail,
        status_code: Some("FAILED".into()),
        status_detail: Some("because".into()),
    });
    let both =
        Vulnerability { cve: Some("CVE-2026-1".into()), advisory: Some("A-1".into()), title: Some("v".into()), cvss: Some("9.8".into()) };
    f.vulnerabilities = vec![both, Vulnerability::default()];
    f.guidance = Some(Guidance { desc: "do it".into(), references: vec!["https://example.com".into()] });
    f.risk = Some(Risk {
        level: Some("High".into()),
        score: Some("7.5".into()),
        factors: vec!["exposed".into(), "valuable".into()],
        attack_paths: vec!["path-1".into(), "path-2".into()],
    });
    f.sample = true;
    f.raw = r#"{"id":"f-1"}"#.into();
    f
}

const CLASSES: [FindingClass; 3] = [FindingClass::Vulnerability, FindingClass::Compliance, FindingClass::Detection];

#[test]
fn a_written_finding_keeps_what_it_held() {
    let f = full(FindingClass::Compliance);
    let v = written(&Ocsf::new(&f, RECEIVED));
    assert_eq!((&v["class_uid"], &v["type_uid"], &v["metadata"]["version"]), (&json!(2003), &json!(200_301), &json!("1.8.0")));
    assert_eq!(v["time"], RECEIVED - 2, "the newest time of the finding itself comes before the time of receipt");
    assert_eq!(v["cloud"]["account"], json!({"uid": "s-1", "name": "shop", "type_id": 13, "type": "Azure Subscription"}));
    assert_eq!(v["compliance"]["status_details"], json!(["because"]));
    assert_eq!(v["resources"][1]["cloud_partition"], "aws-cn");
    assert_eq!(v["resources"][2]["owner"]["account"], json!({"uid": "a-1", "type_id": 11, "type": "GCP Project"}));
    assert_eq!(
        v["observables"][0],
        json!({"name": "resources[].uid", "type_id": 10, "type": "Resource UID", "value": "/subscriptions/s-1"})
    );
    assert_eq!(v["raw_data"], r#"{"id":"f-1"}"#);
    assert_eq!(v["raw_data_hash"]["value"], crate::digest::sha256_hex(br#"{"id":"f-1"}"#));
    let unmapped = &v["unmapped"];
    assert_eq!((&unmapped["source"], &unmapped["policy"]), (&json!("defender-assessment"), &json!("policy-1")));
    assert_eq!((&unmapped["severity_original"], &unmapped["status_original"]), (&json!("HIGH"), &json!("Dismissed")));
    assert_eq!(unmapped["risk"]["score"], "7.5");
    assert_eq!(unmapped["vulnerabilities"][0]["cve"], "CVE-2026-1");

    let v = written(&Ocsf::new(&full(FindingClass::Vulnerability), RECEIVED));
    assert_eq!(v["vulnerabilities"][0]["related_vulnerabilities"], json!(["A-1"]));
    assert_eq!(v["vulnerabilities"][0]["remediation"]["desc"], "do it");
    assert_eq!(v["vulnerabilities"][1]["advisory"]["uid"], "rule-1");
    assert_eq!(v["unmapped"]["compliance"]["control"], "C.1");
    for class in CLASSES {
        let held = full(class);
        let v = written(&Ocsf::new(&held, RECEIVED));
        assert_eq!((&v["risk_level_id"], &v["risk_level"], v.get("risk_score")), (&json!(3), &json!("High"), None));
        assert_eq!(v["risk_details"], "exposed; valuable");
        assert_eq!(v["finding_info"]["attack_graph"]["uid"], "path-1");
        assert_eq!(v["finding_info"]["attack_graph"]["nodes"][1], json!({"uid": "arn:aws-cn:s3:::b"}));
        let profiles = if class == FindingClass::Detection { json!(["cloud"]) } else { json!(["cloud", "security_control"]) };
        assert_eq!(v["metadata"]["profiles"], profiles, "the risk of 2002 and 2003 is of that profile");

        let line = v.to_string();
        let mut read = one(&line);
        // The text is another, the event has a time, and who wrote it is not who found it.
        (read.raw, read.source) = (held.raw.clone(), held.source);
        assert_eq!(read.time.take(), held.modified);
        read.source_ref = held.source_ref.clone();
        assert_eq!(read, held);
    }
    let mut exact = full(FindingClass::Compliance);
    exact.risk = Some(Risk { level: None, score: Some("81".into()), factors: vec!["why".into()], attack_paths: vec!["path-1".into()] });
    let v = written(&Ocsf::new(&exact, RECEIVED));
    assert_eq!((&v["risk_score"], v["unmapped"].get("risk")), (&json!(81), None), "nothing is said twice that has a place");
    assert_eq!(one(&v.to_string()).risk, exact.risk);
    for (level, id, word, elsewhere) in [("HIGH", 3, "High", true), ("Critical", 4, "Critical", false), ("severe", 99, "severe", false)] {
        let held = Finding { risk: Some(Risk { level: Some(level.into()), ..Risk::default() }), ..exact.clone() };
        let v = written(&Ocsf::new(&held, RECEIVED));
        assert_eq!((&v["risk_level_id"], &v["risk_level"]), (&json!(id), &json!(word)), "OCSF's word beside OCSF's number");
        assert_eq!(v["unmapped"].get("risk").is_some(), elsewhere, "and the source's own is kept: {level}");
        assert_eq!(one(&v.to_string()).risk, held.risk);
    }
}

#[test]
fn what_a_finding_does_not_hold_is_not_written() {
    let bare = Finding::new(Source::Scc, FindingClass::Vulnerability, Cloud::Gcp, "x", Product::default());
    let v = written(&Ocsf::new(&bare, RECEIVED));
    assert_eq!(v["time"], RECEIVED);
    assert_eq!(v["metadata"]["product"], json!({"name": "scc"}));
    assert_eq!(v["finding_info"], json!({"uid": "x"}));
    assert_eq!(v["vulnerabilities"], json!([{"advisory": {"uid": "x"}}]), "the schema demands one");
    for absent in ["message", "resources", "observables", "raw_data", "raw_data_hash", "remediation", "compliance"] {
        assert_eq!(v.get(absent), None, "{absent}");
    }
    assert!(!to_line(&bare, RECEIVED).unwrap().contains("null"));
    assert!(
        !to_line(&one("{\n\"class_uid\":2004,\"metadata\":{\"uid\":\"m\"},\"cloud\":{\"provider\":\"AWS\"}}"), RECEIVED)
            .unwrap()
            .contains('\n')
    );
}

#[test]
fn what_is_written_is_read_back() {
    for json in [COMPLIANCE, DETECTION, VULNERABILITY].into_iter().chain(events(PROWLER).unwrap()).chain(events(SECURITY_HUB_V2).unwrap()) {
        let before = one(json);
        let line = to_line(&before, RECEIVED).unwrap();
        let mut after = one(&line);
        assert_eq!(after.raw, line);
        assert_eq!(after.source_ref.id, before.source_ref.id);
        // The text is another, and the rest of the reference is to what we wrote.
        (after.raw, after.source_ref) = (before.raw.clone(), before.source_ref.clone());
        assert_eq!(after, before);
    }
}

fn activity() -> RemediationActivity {
    RemediationActivity {
        kind: ActivityKind::Harden,
        status: ActivityStatus::Success,
        status_detail: Some("read back and as intended".into()),
        command_uid: "0199a000-0000-7000-8000-000000000001".into(),
        event_uid: Some("0199a000-0000-7000-8000-000000000002".into()),
        correlation_uid: Some("0199a000-0000-7000-8000-000000000003".into()),
        finding_uids: vec!["f-1".into(), "f-2".into()],
        time: RECEIVED,
        start_time: Some(RECEIVED - 2),
        end_time: Some(RECEIVED - 1),
        severity: Severity::High,
        cloud: Cloud::Aws,
        account: Some(Account { uid: "111122223333".into(), name: None }),
        region: Some("eu-west-1".into()),
        resource_uids: vec!["arn:aws:s3:::shop-logs".into()],
        message: Some("blocked public access of shop-logs".into()),
        remediation: Some("Blocks public access of a bucket".into()),
        calls: vec![
            ActivityCall { operation: "GetPublicAccessBlock".into(), ..ActivityCall::default() },
            ActivityCall {
                operation: "PutPublicAccessBlock".into(),
                service: Some("s3".into()),
                request_uid: Some("R1".into()),
                response_code: Some(403),
                response_error: Some("AccessDenied".into()),
                response_message: Some("no".into()),
            },
        ],
        actor: Some("user:ada".into()),
        plan_hash: Some("ab12".into()),
        fix: Some("aws-s3-block-public-access".into()),
        before: Some(json!({"BlockPublicAcls": false})),
        after: Some(json!({"BlockPublicAcls": true})),
    }
}

fn bare_activity() -> RemediationActivity {
    RemediationActivity {
        status: ActivityStatus::Other,
        status_detail: Some("Planned".into()),
        event_uid: None,
        correlation_uid: None,
        finding_uids: Vec::new(),
        start_time: None,
        end_time: None,
        account: None,
        region: None,
        resource_uids: Vec::new(),
        message: None,
        remediation: None,
        calls: Vec::new(),
        actor: None,
        plan_hash: None,
        fix: None,
        before: None,
        after: None,
        ..activity()
    }
}

#[test]
fn an_activity_says_what_was_done_to_what_and_by_whom() {
    let v = written(&activity());
    assert_eq!((&v["class_uid"], &v["type_uid"], &v["activity_name"]), (&json!(7001), &json!(700_104), &json!("Harden")));
    assert_eq!((&v["status_id"], &v["status"]), (&json!(1), &json!("Success")));
    assert_eq!(v["observables"][0]["value"], "arn:aws:s3:::shop-logs");
    assert_eq!(v["api"]["response"], json!({"code": 403, "error": "AccessDenied", "message": "no"}));
    assert_eq!(v["metadata"]["original_event_uid"], "f-1");
    assert_eq!(v["unmapped"]["finding_uids"], json!(["f-1", "f-2"]));
    assert_eq!(v["unmapped"]["calls"][0], json!({"operation": "GetPublicAccessBlock"}));
    assert_eq!(v["unmapped"]["actor"], "user:ada");
    let v = written(&bare_activity());
    assert_eq!((&v["status_id"], &v["status"]), (&json!(99), &json!("Planned")));
    for absent in ["api", "observables", "remediation", "unmapped", "message"] {
        assert_eq!(v.get(absent), None, "{absent}");
    }
}

/// An entry of a record.
fn recorded() -> (RemediationId, ChainEntry) {
    let id = RemediationId(uuid::Uuid::from_u128(7));
    (id, chain::append(id, &ChainHead::default(), serde_json::to_string(&activity()).unwrap()).0)
}

/// A case that was fixed with one change.
fn exported() -> Remediation {
    let request = json!({"cloud": "aws", "account": "111122223333", "region": "eu-west-1", "service": "s3",
        "operation": "PutPublicAccessBlock", "input": {"Bucket": "shop-logs"}});
    let sets = json!([{"path": "block.BlockPublicAcls", "before": false, "after": true}]);
    serde_json::from_value(json!({
        "format": 2, "id": uuid::Uuid::from_u128(7), "version": 6, "key": "compliance|111122223333|arn:aws:s3:::shop-logs|s3",
        "state": {"name": "resolved", "how": "fixed"}, "note": "proven by a fresh read",
        "finding": {"source": "security-hub", "class": "compliance", "uid": "f-1", "title": "Bucket is public", "severity": "HIGH",
            "cloud": "aws", "product": {"name": "Security Hub", "vendor": "AWS"}, "source_ref": {"id": "f-1"}},
        "resource": {"cloud": "aws", "uid": "arn:aws:s3:::shop-logs", "account": {"uid": "111122223333"}}, "reporters": [],
        "fix": {
            "hash": "ab12", "planned_at": RECEIVED,
            "plan": {"format": 1, "kind": "fix", "fix": "aws-s3-block-public-access", "title": "Block public access", "fix_digest": "cd34",
                "activity": "harden", "undo": "exact", "disruption": "may-break-clients", "cloud": "aws", "account": "111122223333",
                "resource": "arn:aws:s3:::shop-logs",
                "observed": {"block": {"BlockPublicAcls": false}, "key": {"$sealed": "key.value", "sha256": "00"}},
                "changes": [{"title": "Block", "request": request, "repeat": "safe", "sets": sets}]},
            "approval": {"plan_hash": "ab12", "by": "cli:ada", "at": RECEIVED, "how": "by-person"},
            "attempts": [{"change": 0, "number": 1, "intended_at": RECEIVED, "lease_until": RECEIVED + 35_000,
                "result": {"at": RECEIVED + 200, "outcome": "applied", "status": 200, "request_id": "R1"}}],
            "left": {"values": {"block": {"BlockPublicAcls": true}, "other": 1}, "at": RECEIVED + 900},
        },
        "chain": {"length": 5, "hash": "ef56"},
    }))
    .unwrap()
}

#[test]
fn an_export_holds_what_an_auditor_asks_for() {
    let (id, entry) = recorded();
    let v = exported_entry(id, &entry);
    assert_eq!(v["raw_data"], entry.body, "the text that was hashed, byte for byte");
    assert_eq!(v["unmapped"]["stanch"], json!({"kind": "entry", "remediation": id, "sequence": 1, "hash": entry.hash}));
    assert_eq!((&v["unmapped"]["actor"], &v["status"]), (&json!("user:ada"), &json!("Success")), "what was there stays");
    let foreign = ChainEntry { body: "no json".into(), ..entry };
    assert_eq!(exported_entry(id, &foreign)["raw_data"], "no json");

    let v = exported_case(&exported(), RECEIVED + 1_000).unwrap();
    let stanch = &v["unmapped"]["stanch"];
    assert_eq!((&stanch["kind"], &stanch["chain"]), (&json!("case"), &json!({"length": 5, "hash": "ef56"})));
    assert_eq!(stanch["approvals"], json!([{"plan_hash": "ab12", "by": "cli:ada", "at": RECEIVED, "how": "by-person"}]));
    assert_eq!(stanch["fix"]["plan"]["changes"][0]["sets"][0], json!({"path": "block.BlockPublicAcls", "before": false, "after": true}));
    assert_eq!(stanch["fix"]["plan"]["observed"]["key"], json!({"$sealed": "key.value", "sha256": "00"}), "sealed values stay digests");
    assert_eq!(
        (&v["unmapped"]["before"]["block"], &v["unmapped"]["after"]),
        (&json!({"BlockPublicAcls": false}), &json!({"block": {"BlockPublicAcls": true}}))
    );
    assert_eq!((&v["api"]["request"]["uid"], &v["api"]["response"]["code"]), (&json!("R1"), &json!(200)));
    assert_eq!(
        (&v["status"], &v["unmapped"]["actor"], &v["unmapped"]["plan_hash"]),
        (&json!("Success"), &json!("cli:ada"), &json!("ab12"))
    );
    for (state, status) in [(State::Stuck, "Error"), (State::Failed, "Failure"), (State::Open, "open"), (State::Planned, "planned")] {
        assert_eq!(exported_case(&Remediation { state, ..exported() }, RECEIVED).unwrap()["status"], status);
    }
}

/// A folder named by an environment variable. None, with a line that says so, when it is unset; a failure in CI.
fn folder(variable: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests alone read these folders")]
    let (value, ci) = (std::env::var(variable), std::env::var("CI"));
    let Ok(path) = value else {
        assert!(ci.is_err(), "{variable} must be set in CI");
        println!("skipped: {variable} is not set");
        return None;
    };
    let path = PathBuf::from(path);
    assert!(path.is_dir(), "{variable} names no folder: {}", path.display());
    Some(path)
}

/// The four published schemas.
struct Schemas(Vec<(u64, jsonschema::Validator)>);

impl Schemas {
    fn read(folder: &Path) -> Self {
        let names =
            [(2002, "vulnerability_finding"), (2003, "compliance_finding"), (2004, "detection_finding"), (7001, "remediation_activity")];
        Schemas(names.map(|(class, name)| (class, Self::validator(&folder.join(format!("{name}.json"))))).into())
    }

    fn validator(path: &Path) -> jsonschema::Validator {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    }

    fn problems(&self, event: &Value) -> Vec<String> {
        let (_, schema) = self.0.iter().find(|(class, _)| event["class_uid"] == *class).unwrap();
        schema.iter_errors(event).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }
}

#[test]
fn everything_written_is_valid_ocsf() {
    let Some(schemas) = folder("STANCH_OCSF_SCHEMA").map(|f| Schemas::read(&f)) else { return };
    let mut checked = 0;
    let mut check = |event: Value| {
        assert_eq!(schemas.problems(&event), Vec::<String>::new(), "{event:#}");
        checked += 1;
    };
    for class in CLASSES {
        check(written(&Ocsf::new(&full(class), RECEIVED)));
        check(written(&Ocsf::new(&Finding::new(Source::Scc, class, Cloud::Gcp, "x", Product::default()), RECEIVED)));
    }
    for json in [COMPLIANCE, DETECTION, VULNERABILITY, PROWLER, SECURITY_HUB_V2] {
        normalize(json).unwrap().findings.iter().for_each(|f| check(written(&Ocsf::new(f, RECEIVED))));
    }
    for kind in [ActivityKind::Isolate, ActivityKind::Evict, ActivityKind::Restore, ActivityKind::Harden, ActivityKind::Preserve] {
        check(written(&RemediationActivity { kind, ..activity() }));
        check(written(&RemediationActivity { kind, ..bare_activity() }));
    }
    use ActivityStatus as S;
    for status in [S::Success, S::Failure, S::DoesNotExist, S::Partial, S::Unsupported, S::Error, S::Other] {
        check(written(&RemediationActivity { status, ..activity() }));
    }
    let (id, entry) = recorded();
    check(exported_entry(id, &entry));
    for case in [exported(), Remediation { fix: None, ..exported() }, Remediation { state: State::Open, ..exported() }] {
        check(exported_case(&case, RECEIVED).unwrap());
    }
    println!("{checked} events are valid OCSF {VERSION}");
    let mut wrong = written(&Ocsf::new(&full(FindingClass::Compliance), RECEIVED));
    wrong["policy"] = json!("x");
    assert_ne!(schemas.problems(&wrong), Vec::<String>::new(), "the judge refuses what is wrong");
}
