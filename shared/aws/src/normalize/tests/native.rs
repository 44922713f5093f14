use serde_json::Value;
use stanch_core::cloud::Text;
use stanch_core::finding::SourceRef;

use super::*;

const GUARDDUTY: &str = include_str!("../../../fixtures/guardduty_event.json");
const INSPECTOR: &str = include_str!("../../../fixtures/inspector_event.json");
const EXPOSURE: &str = include_str!("../../../fixtures/exposure_v2.json");
const COVERAGE: &str = include_str!("../../../fixtures/coverage_v2.json");
const INSIGHT: &str = include_str!("../../../fixtures/insight_event.json");

fn named<'f>(f: &'f Finding<'_>) -> Vec<(&'f str, &'f str, Option<&'f str>)> {
    f.resources.iter().map(|r| (&*r.uid, r.kind.as_deref().unwrap_or_default(), r.name.as_deref())).collect()
}

#[test]
fn guardduty_goes_by_the_names_security_hub_gives_it() {
    let f = one(GUARDDUTY);
    let uid = "arn:aws:guardduty:eu-west-1:111122223333:detector/0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f/finding/aa11bb22cc33dd44ee55ff6600112233";
    assert_eq!((f.source, f.class, f.activity), (Source::SecurityHub, FindingClass::Detection, Activity::Update));
    let expected = SourceRef {
        id: uid.into(),
        product: Some("arn:aws:securityhub:eu-west-1::product/aws/guardduty".into()),
        location: Some("eu-west-1".into()),
        account: Some("111122223333".into()),
        resource_group: None,
    };
    assert_eq!((&*f.uid, &f.source_ref), (uid, &expected));
    assert_eq!((f.severity, f.severity_original.as_deref(), f.status), (Severity::High, Some("8"), FindingStatus::New));
    assert_eq!(f.types, ["CryptoCurrency:EC2/BitcoinTool.B!DNS"]);
    assert_eq!(f.rule.as_deref(), uid.split("/finding/").next());
    let instance = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc0abc0abc0abc0";
    assert_eq!(named(&f), [(instance, "AwsEc2Instance", Some("i-0abc0abc0abc0abc0"))]);
    assert_eq!(f.resources[0].tags, [("team".into(), "shop".into()), ("empty".into(), "".into())]);
    assert_eq!((f.time, f.first_seen), (Some(1_772_445_840_500), Some(1_772_445_000_000)));
    assert!(!f.sample && f.is_open() && f.raw.starts_with("{\n    \"schemaVersion\""));
}

/// The detail of the event, with changes on top.
fn guardduty(change: impl FnOnce(&mut Value)) -> Finding<'static> {
    let mut event: Value = serde_json::from_str(GUARDDUTY).unwrap();
    change(&mut event["detail"]);
    one(&event["detail"].to_string()).into_owned()
}

#[test]
fn every_kind_of_guardduty_resource_is_named() {
    let of = |resource: Value| {
        let f = guardduty(|detail| detail["resource"] = resource);
        f.resources.iter().map(|r| format!("{} {}", r.uid, r.kind.as_deref().unwrap_or_default())).collect::<Vec<_>>()
    };
    assert_eq!(
        of(json!({"resourceType": "S3Bucket", "s3BucketDetails": [{"arn": "arn:aws:s3:::a", "name": "a"}, {"arn": "arn:aws:s3:::b"}],
                  "accessKeyDetails": {"accessKeyId": "ASIAEXAMPLE", "userName": "ann", "userType": "IAMUser"}})),
        ["arn:aws:s3:::a AwsS3Bucket", "arn:aws:s3:::b AwsS3Bucket", "AWS::IAM::AccessKey:ASIAEXAMPLE AwsIamAccessKey"]
    );
    assert_eq!(
        of(json!({"accessKeyDetails": {"accessKeyId": "", "userName": "ann", "userType": "IAMUser"}})),
        ["arn:aws:iam::111122223333:user/ann AwsIamUser"]
    );
    assert!(of(json!({"accessKeyDetails": {"userName": "role", "userType": "AssumedRole"}})).is_empty());
    for (member, details, expected) in [
        ("eksClusterDetails", json!({"arn": "arn:aws:eks:r:1:cluster/c"}), "arn:aws:eks:r:1:cluster/c AwsEksCluster"),
        ("lambdaDetails", json!({"functionArn": "arn:aws:lambda:r:1:function:f"}), "arn:aws:lambda:r:1:function:f AwsLambdaFunction"),
        ("rdsDbInstanceDetails", json!({"dbInstanceArn": "arn:aws:rds:r:1:db:d"}), "arn:aws:rds:r:1:db:d AwsRdsDbInstance"),
        ("EcsClusterDetails", json!({"Arn": "arn:aws:ecs:r:1:cluster/c"}), "arn:aws:ecs:r:1:cluster/c AwsEcsCluster"),
        ("s3BucketDetails", json!([{"name": "data"}]), "arn:aws:s3:::data AwsS3Bucket"),
        ("eksClusterDetails", json!({"name": "c"}), "arn:aws:eks:eu-west-1:111122223333:cluster/c AwsEksCluster"),
        ("lambdaDetails", json!({"functionName": "f"}), "arn:aws:lambda:eu-west-1:111122223333:function:f AwsLambdaFunction"),
        ("containerDetails", json!({"id": "c0ffee", "name": "web"}), "c0ffee Container"),
        ("ebsSnapshotDetails", json!({"snapshotArn": "arn:aws:ec2:r::snapshot/s"}), "arn:aws:ec2:r::snapshot/s AwsEc2Snapshot"),
    ] {
        assert_eq!(of(json!({ member: details })), [expected]);
    }
}

#[test]
fn an_attack_sequence_names_its_resources_and_its_signals_name_it() {
    let f = guardduty(|detail| {
        detail["resource"] = json!({"resourceType": "AttackSequence"});
        detail["severity"] = json!(9);
        detail["service"]["detection"] = json!({"sequence": {"uid": "s", "resources": [
            {"uid": "arn:aws:s3:::data", "name": "data", "resourceType": "S3_BUCKET", "accountId": "444455556666", "region": "eu-west-1"},
            {"name": "no id"},
        ]}});
    });
    assert_eq!((f.severity, named(&f)), (Severity::Critical, vec![("arn:aws:s3:::data", "S3_BUCKET", Some("data"))]));
    assert_eq!(f.resources[0].account.as_ref().map(|a| &*a.uid), Some("444455556666"));
    let signal = guardduty(|detail| detail["associatedAttackSequenceArn"] = json!("arn:aws:guardduty:eu-west-1:1:detector/d/finding/seq"));
    assert_eq!(signal.risk.as_ref().unwrap().attack_paths, ["arn:aws:guardduty:eu-west-1:1:detector/d/finding/seq"]);
    let line = stanch_core::ocsf::to_line(&signal, 0).unwrap();
    assert!(line.contains(r#""attack_graph":{"uid":"arn:aws:guardduty:eu-west-1:1:detector/d/finding/seq""#), "{line}");
}

#[test]
fn guardduty_findings_without_an_arn_get_the_same_one() {
    let whole = guardduty(|_| {});
    let f = guardduty(|detail| detail["arn"] = Value::Null);
    assert_eq!((&f.uid, &f.source_ref, &f.rule), (&whole.uid, &whole.source_ref, &whole.rule));
    let archived = guardduty(|detail| detail["service"]["archived"] = json!(true));
    assert_eq!((archived.activity, archived.status, archived.is_open()), (Activity::Close, FindingStatus::Archived, false));
    assert!(guardduty(|detail| detail["service"]["additionalInfo"] = json!({"sample": true})).sample);
    for (number, expected) in
        [(0.5, Severity::Low), (3.9, Severity::Low), (4.0, Severity::Medium), (7.0, Severity::High), (10.0, Severity::Critical)]
    {
        assert_eq!(guardduty(|detail| detail["severity"] = json!(number)).severity, expected, "{number}");
    }
}

#[test]
fn the_api_answers_with_the_same_finding_in_capitals() {
    fn capitals(value: &Value) -> Value {
        let first = |name: &String| {
            let (head, tail) = name.split_at(1);
            head.to_uppercase() + tail
        };
        match value {
            Value::Object(map) => Value::Object(map.iter().map(|(name, value)| (first(name), capitals(value))).collect()),
            Value::Array(list) => list.iter().map(capitals).collect(),
            other => other.clone(),
        }
    }
    let event: Value = serde_json::from_str(GUARDDUTY).unwrap();
    let answer = json!({"Findings": [capitals(&event["detail"])]}).to_string();
    let (mut answered, mut sent) = (one(&answer), one(GUARDDUTY));
    (answered.raw, sent.raw) = Default::default();
    assert_eq!(answered, sent);
}

#[test]
fn inspector_goes_by_the_names_security_hub_gives_it() {
    let f = one(INSPECTOR);
    assert_eq!((f.source, f.class, f.activity), (Source::SecurityHub, FindingClass::Vulnerability, Activity::Update));
    assert_eq!(f.uid, "arn:aws-us-gov:inspector2:us-gov-west-1:111122223333:finding/0123456789abcdef");
    assert_eq!(f.source_ref.product.as_deref(), Some("arn:aws-us-gov:securityhub:us-gov-west-1::product/aws/inspector"));
    assert_eq!((f.source_ref.location.as_deref(), f.source_ref.account.as_deref()), (Some("us-gov-west-1"), Some("111122223333")));
    assert_eq!((f.severity, f.status, f.status_original.as_deref()), (Severity::High, FindingStatus::New, Some("ACTIVE")));
    assert_eq!((f.vulnerabilities[0].cve.as_deref(), f.vulnerabilities[0].cvss.as_deref()), (Some("CVE-2026-0007"), Some("7.3")));
    assert_eq!(f.risk.as_ref().unwrap().score.as_deref(), Some("6.8"));
    assert_eq!(f.guidance.as_ref().unwrap().references, ["https://example.com/kernel"]);
    assert_eq!((f.first_seen, f.time), (Some(1_772_445_000_250), Some(1_772_445_600_000)));
    assert_eq!(
        named(&f),
        [
            ("arn:aws-us-gov:ec2:us-gov-west-1:111122223333:instance/i-0abc0abc0abc0abc0", "AwsEc2Instance", Some("i-0abc0abc0abc0abc0")),
            ("arn:aws-us-gov:ecr:us-gov-west-1:444455556666:repository/shop/web/sha256:00ff", "AwsEcrContainerImage", Some("shop/web")),
        ]
    );
    let accounts: Vec<_> = f.resources.iter().map(|r| &*r.account.as_ref().unwrap().uid).collect();
    assert_eq!(accounts, ["111122223333", "444455556666"]);
}

#[test]
fn inspectors_other_kinds_and_states_are_read() {
    let changed = |change: fn(&mut Value)| {
        let mut event: Value = serde_json::from_str(INSPECTOR).unwrap();
        change(&mut event["detail"]);
        one(&json!({"findings": [event["detail"]]}).to_string()).into_owned()
    };
    let closed = changed(|detail| detail["status"] = json!("CLOSED"));
    assert_eq!((closed.activity, closed.status, closed.is_open()), (Activity::Close, FindingStatus::Resolved, false));
    let untriaged = changed(|detail| detail["severity"] = json!("UNTRIAGED"));
    assert_eq!((untriaged.severity, untriaged.severity_original.as_deref()), (Severity::Unknown, Some("UNTRIAGED")));
    let port = changed(|detail| {
        detail["packageVulnerabilityDetails"] = Value::Null;
        detail["type"] = json!("NETWORK_REACHABILITY");
    });
    assert!(port.vulnerabilities.is_empty() && port.rule.is_none(), "{port:?}");
    let code = changed(|detail| {
        detail["packageVulnerabilityDetails"] = Value::Null;
        detail["codeVulnerabilityDetails"] = json!({"ruleId": "python-sql-injection", "detectorId": "python/sql@v1.0"});
    });
    assert_eq!(code.vulnerabilities[0].advisory.as_deref(), Some("python-sql-injection"));
}

#[test]
fn an_exposure_keeps_its_traits_and_its_attack_path() {
    let f = one(EXPOSURE);
    assert_eq!((f.source, f.class, f.severity), (Source::SecurityHubV2, FindingClass::Detection, Severity::Critical));
    assert_eq!((f.severity_original.as_deref(), f.created), (Some("High"), Some(1_772_445_600_123)));
    let risk = f.risk.as_ref().unwrap();
    let factors = [
        "Vulnerability: Exploit Available",
        "Vulnerability: No Privileges Required",
        "Reachability: Publicly Invocable",
        "Misconfiguration: Deployed outside VPC",
    ];
    assert_eq!((&*risk.factors, &*risk.attack_paths), (&factors.map(Text::from)[..], &["graph-1".into()][..]));
    assert!(risk.level.is_none() && risk.score.is_none(), "nothing is computed");
    assert_eq!(f.source_ref.id, f.uid, "the preview had no metadata.uid");
}

#[test]
fn security_lake_keeps_findings_of_the_first_generation() {
    let mut value: Value = serde_json::from_str(CONTROL_V2).unwrap();
    let finding = &mut value["detail"]["findings"][0];
    finding["metadata"]["product"]["uid"] = json!("arn:aws:securityhub:eu-west-1::product/aws/securityhub");
    let text = finding.to_string();
    let f = one(&text);
    assert_eq!((f.source, &f.source_ref.id), (Source::SecurityHub, &f.uid));
    assert_eq!(f.source_ref.product.as_deref(), Some("arn:aws:securityhub:eu-west-1::product/aws/securityhub"));
}

#[test]
fn a_finding_in_ocsf_on_another_cloud_is_routed_there_and_asked_about_in_aws() {
    let mut value: Value = serde_json::from_str(CONTROL_V2).unwrap();
    let subscription = "0f0f0f0f-0000-4000-8000-000000000003";
    value["detail"]["findings"][0]["resources"] = json!([{
        "uid": format!("/subscriptions/{subscription}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/logs"),
        "type": "Microsoft.Storage/storageAccounts", "provider": "Azure", "region": "westeurope",
        "owner": {"account": {"uid": subscription}},
    }]);
    let text = value.to_string();
    let f = one(&text);
    assert_eq!((f.cloud, f.resources[0].cloud), (Cloud::Azure, Cloud::Azure));
    assert_eq!((&*f.account.as_ref().unwrap().uid, f.region.as_deref()), (subscription, Some("westeurope")));
    assert_eq!((f.source_ref.account.as_deref(), f.source_ref.location.as_deref()), (Some("111122223333"), Some("eu-west-1")));
}

#[test]
fn findings_show_themselves_in_an_envelope_of_ones_own() {
    let event: Value = serde_json::from_str(GUARDDUTY).unwrap();
    for envelope in [
        json!({"source": "acme.security", "detail-type": "passed on", "detail": event["detail"]}),
        json!({"detail-type": "GuardDuty Finding", "detail": event["detail"]}),
        json!({"source": "acme.security", "detail-type": "passed on", "detail": {"findings": [event["detail"]]}}),
    ] {
        assert!(one(&envelope.to_string()).uid.starts_with("arn:aws:guardduty:"), "{envelope}");
    }
}

#[test]
fn a_coverage_finding_has_no_control_and_says_what_is_not_covered() {
    let f = one(COVERAGE);
    let compliance = f.compliance.unwrap();
    assert_eq!((f.class, compliance.status, compliance.control), (FindingClass::Compliance, ComplianceStatus::Fail, None));
    assert_eq!(compliance.status_detail.as_deref(), Some("Inspector scans no functions."));
    assert_eq!((f.resources[0].kind.as_deref(), &*f.resources[0].canonical().to_string()), (Some("AWS::::Account"), "111122223333"));
    assert!(f.risk.is_none());
}

#[test]
fn each_id_of_an_insight_is_told_with_the_place_to_ask_about_it() {
    let named = |json: &str| normalize(json).unwrap().named.iter().map(ToString::to_string).collect::<Vec<_>>();
    let place = "security-hub/aws/111122223333/eu-west-1?";
    assert_eq!(named(INSIGHT), ["shop-logs", "shop-media"].map(|name| format!("{place}ResourceId=arn:aws:s3:::{name}")));
    let answer = r#"{"InsightResults": {"GroupByAttribute": "AwsAccountId", "InsightArn": "arn:aws:securityhub:eu-west-1:111122223333:insight/1/custom/a",
        "ResultValues": [{"Count": 10, "GroupByAttributeValue": "444455556666"}, {"Count": 1}]}}"#;
    assert_eq!(named(answer), [format!("{place}AwsAccountId=444455556666")]);
    assert_eq!(named(CONTROL), [""; 0]);
}
