//! What is read of findings of our own making, and of real ones.

mod mutated;
mod native;
mod samples;

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Activity, ComplianceStatus, FindingClass, FindingStatus, Severity, Source};

use super::*;

const CONTROL: &str = include_str!("../../fixtures/control_event.json");
const CONTROL_V2: &str = include_str!("../../fixtures/control_v2_event.json");
const VULNERABILITY: &str = include_str!("../../fixtures/vulnerability.json");
const DETECTION: &str = include_str!("../../fixtures/detection_archived.json");
const CIS: &str = include_str!("../../fixtures/cis.json");
const AZURE: &str = include_str!("../../fixtures/azure_resource.json");

fn one(json: &str) -> Finding<'_> {
    let mut reading = normalize(json).unwrap();
    assert!(reading.faults.is_empty() && reading.passed_over.is_empty(), "{reading:?}");
    assert_eq!(reading.findings.len(), 1);
    reading.findings.remove(0)
}

#[test]
fn a_control_finding_keeps_what_a_fix_and_the_write_back_need() {
    let f = one(CONTROL);
    assert_eq!((f.source, f.class, f.activity), (Source::SecurityHub, FindingClass::Compliance, Activity::Update));
    assert_eq!((f.severity, f.status, f.is_open()), (Severity::High, FindingStatus::New, true));
    assert_eq!(f.rule.as_deref(), Some("security-control/S3.8"));
    let compliance = f.compliance.unwrap();
    assert_eq!((compliance.control.as_deref(), compliance.status), (Some("S3.8"), ComplianceStatus::Fail));
    assert_eq!(compliance.standards, ["standards/aws-foundational-security-best-practices/v/1.0.0"]);
    assert_eq!(compliance.status_detail.as_deref(), Some("Nothing was evaluated."));
    let bucket = &f.resources[0];
    assert_eq!((bucket.cloud, &*bucket.uid, bucket.name.as_deref()), (Cloud::Aws, "arn:aws:s3:::shop-logs", Some("shop-logs")));
    assert_eq!(bucket.tags, [("team".into(), "shop".into()), ("env".into(), "prod".into())]);
    let account = bucket.account.as_ref().unwrap();
    assert_eq!((&*account.uid, account.name.as_deref()), ("111122223333", Some("shop-prod")));
    assert_eq!(f.source_ref.id, f.uid);
    assert_eq!(f.source_ref.product.as_deref(), Some("arn:aws:securityhub:eu-west-1::product/aws/securityhub"));
    // The envelope's account and region are those of the bus, not of the finding.
    assert_eq!((f.source_ref.location.as_deref(), f.source_ref.account.as_deref()), (Some("eu-west-1"), Some("111122223333")));
    assert_eq!((f.created, f.modified), (Some(1_793_491_200_000), Some(1_795_166_100_123)));
    assert_eq!(f.guidance.unwrap().references, ["https://example.com/S3.8"]);
    assert!(f.raw.starts_with("{\n        \"SchemaVersion\"") && f.raw.ends_with('}'));
    assert!(matches!((&f.uid, &f.title, &f.raw), (Cow::Borrowed(_), Cow::Borrowed(_), Cow::Borrowed(_))));
}

#[test]
fn the_second_generation_is_read_as_ocsf_and_refers_to_its_metadata_uid() {
    let f = one(CONTROL_V2);
    assert_eq!((f.source, f.class, f.severity), (Source::SecurityHubV2, FindingClass::Compliance, Severity::Critical));
    assert_eq!(f.compliance.unwrap().control.as_deref(), Some("SQS.3"));
    assert!(f.uid.ends_with("/finding/77"));
    assert!(f.source_ref.id.starts_with("d0d0"));
    assert_eq!(f.source_ref.product.as_deref(), Some("arn:aws:securityhub:eu-west-1::productv2/aws/securityhub"));
    assert_eq!((f.source_ref.location.as_deref(), f.source_ref.account.as_deref()), (Some("eu-west-1"), Some("111122223333")));
}

#[test]
fn vulnerabilities_carry_the_score_of_the_newest_cvss_version() {
    let f = one(VULNERABILITY);
    assert_eq!((f.class, f.severity, f.activity), (FindingClass::Vulnerability, Severity::Critical, Activity::Create));
    assert_eq!((f.severity_original.as_deref(), f.status, f.is_open()), (Some("9.8"), FindingStatus::Suppressed, false));
    assert_eq!(f.types, ["Software and Configuration Checks/Vulnerabilities/CVE"]);
    assert_eq!(f.vulnerabilities[0].cve.as_deref(), Some("CVE-2026-0001"));
    assert_eq!(f.vulnerabilities[0].cvss.as_deref(), Some("9.8"));
    assert_eq!(f.vulnerabilities[1].advisory.as_deref(), Some("GHSA-xxxx-yyyy-zzzz"));
    let accounts: Vec<_> = f.resources.iter().map(|r| &*r.account.as_ref().unwrap().uid).collect();
    assert_eq!(accounts, ["111122223333", "444455556666"]);
    assert_eq!(f.resources[0].name.as_deref(), Some("i-0abc"));
    assert_eq!(f.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn an_archived_finding_is_closed_and_a_sample_is_known_as_one() {
    let f = one(DETECTION);
    assert_eq!((f.class, f.activity, f.status), (FindingClass::Detection, Activity::Close, FindingStatus::Archived));
    assert_eq!((f.severity, f.sample, f.is_open()), (Severity::High, true, false));
    assert_eq!((&*f.product.name, &*f.product.vendor), ("GuardDuty", "Amazon"));
    assert_eq!(f.resources[0].name, None, "a key does not bear its user's name");
    assert!(f.compliance.is_none());
}

#[test]
fn a_cis_number_stays_with_its_version_and_an_odd_status_stays_readable() {
    let f = one(CIS);
    let compliance = f.compliance.unwrap();
    assert_eq!(compliance.control.as_deref(), Some("cis-aws-foundations-benchmark/v/1.2.0/1.3"));
    assert_eq!((compliance.status, compliance.status_code.as_deref()), (ComplianceStatus::Unknown, Some("INFOED")));
    assert_eq!((f.severity, f.severity_original.as_deref()), (Severity::Medium, Some("MEDIUM")));
    assert_eq!(f.types, ["Software and Configuration Checks"]);
    assert_eq!(f.source_ref.location.as_deref(), Some("us-east-2"), "taken from the finding's ARN");
    assert_eq!(f.resources[0].account.as_ref().unwrap().uid, "111122223333");
}

#[test]
fn a_resource_of_another_cloud_is_routed_there_while_the_source_stays_in_aws() {
    let f = one(AZURE);
    assert_eq!((f.cloud, f.resources[0].cloud), (Cloud::Azure, Cloud::Azure));
    assert_eq!(f.account.unwrap().uid, "0f0f0f0f-0000-4000-8000-000000000003");
    assert_eq!(f.source_ref.account.as_deref(), Some("111122223333"));
}

/// The smallest finding, with changes on top.
fn minimal(change: impl FnOnce(&mut Value)) -> String {
    let mut value = json!({
        "SchemaVersion": "2018-10-08", "Id": "f1", "ProductArn": "arn:aws:securityhub:eu-west-1::product/acme/scanner",
        "AwsAccountId": "111122223333", "Resources": [{"Type": "Other", "Id": "x"}],
    });
    change(&mut value);
    value.to_string()
}

#[test]
fn the_class_follows_the_product_and_else_the_content() {
    let class = |change: fn(&mut Value)| one(&minimal(change)).class;
    assert_eq!(class(|_| {}), FindingClass::Detection);
    assert_eq!(class(|f| f["Compliance"] = json!({"Status": "PASSED"})), FindingClass::Compliance);
    assert_eq!(class(|f| f["Types"] = json!(["Software and Configuration Checks/AWS Config Analysis"])), FindingClass::Compliance);
    assert_eq!(class(|f| f["Types"] = json!("Software and Configuration Checks/Vulnerabilities/CVE")), FindingClass::Vulnerability);
    assert_eq!(
        class(|f| {
            f["Compliance"] = json!({"Status": "FAILED"});
            f["Vulnerabilities"] = json!([{"Id": "CVE-2026-1"}]);
        }),
        FindingClass::Vulnerability
    );
    assert_eq!(
        class(|f| {
            f["ProductArn"] = json!("arn:aws-cn:securityhub:cn-north-1::product/aws/macie");
            f["Compliance"] = json!({"Status": "FAILED"});
        }),
        FindingClass::Detection
    );
}

#[test]
fn the_control_of_a_finding_per_standard_is_found_where_each_product_puts_it() {
    let control = |product: &str, generator: &str, fields: Value| {
        let json = minimal(|f| {
            f["ProductArn"] = json!(format!("arn:aws:securityhub:eu-west-1::product/{product}"));
            f["GeneratorId"] = json!(generator);
            f["ProductFields"] = fields;
            f["Types"] = json!(["Software and Configuration Checks/AWS Security Best Practices/External Access Granted"]);
            f["Compliance"] = json!({"Status": "FAILED"});
        });
        one(&json).into_owned().compliance.unwrap().control.unwrap().into_owned()
    };
    assert_eq!(control("aws/securityhub", "pci-dss/v/3.2.1/PCI.IAM.6", json!({"ControlId": "PCI.IAM.6"})), "PCI.IAM.6");
    assert_eq!(control("aws/securityhub", "aws-foundational-security-best-practices/v/1.0.0/S3.1", json!({})), "S3.1");
    assert_eq!(
        control("aws/securityhub", "cis-aws-foundations-benchmark/v/1.4.0/1.3", json!({"RuleId": "1.3"})),
        "cis-aws-foundations-benchmark/v/1.4.0/1.3"
    );
    assert_eq!(control("prowler/prowler", "prowler-ec2_imdsv2", json!("odd")), "ec2_imdsv2");
    let own = "111122223333/default";
    assert_eq!(control(own, "prowler-ec2_imdsv2", json!({"ProviderName": "Prowler"})), "ec2_imdsv2");
    let rule = "arn:aws:config:eu-west-1:111122223333:config-rule/config-rule-k5r9xw";
    assert_eq!(control("aws/config", rule, json!({"aws/config/ConfigRuleName": "s3-closed"})), "s3-closed");
    assert_eq!(control("aws/config", rule, json!({})), "config-rule-k5r9xw");
    assert_eq!(control("aws/access-analyzer", "aws/access-analyzer", json!({})), "External Access Granted");
    assert_eq!(control(own, "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1", json!({"RuleId": "disks"})), "disks");
}

#[test]
fn severity_falls_back_from_label_to_number() {
    let severity = |severity: Value| one(&minimal(|f| f["Severity"] = severity)).severity;
    assert_eq!(severity(json!({"Label": "low", "Normalized": 90})), Severity::Low);
    for (normalized, expected) in [
        (0, Severity::Informational),
        (1, Severity::Low),
        (39, Severity::Low),
        (40, Severity::Medium),
        (70, Severity::High),
        (90, Severity::Critical),
        (100, Severity::Critical),
        (101, Severity::Unknown),
    ] {
        assert_eq!(severity(json!({"Normalized": normalized})), expected, "{normalized}");
    }
    assert_eq!(severity(json!({"Product": "5"})), Severity::Medium);
    assert_eq!(severity(json!({})), Severity::Unknown);
}

#[test]
fn the_account_of_a_products_vendor_is_not_the_findings() {
    let json = minimal(|f| {
        f["AwsAccountId"] = Value::Null;
        f["ProductArn"] = json!("arn:aws:securityhub:eu-west-1:517716713836:product/crowdstrike/crowdstrike-falcon");
    });
    let f = one(&json);
    assert_eq!((f.account.as_ref(), f.source_ref.account.as_deref(), f.region.as_deref()), (None, None, Some("eu-west-1")));
    let json = minimal(|f| {
        f["AwsAccountId"] = Value::Null;
        f["Resources"][0]["Id"] = json!("arn:aws:sqs:eu-west-3:444455556666:orders");
    });
    let f = one(&json);
    assert_eq!((f.source_ref.account.as_deref(), f.region.as_deref()), (Some("444455556666"), Some("eu-west-3")));
}

#[test]
fn odd_types_in_a_finding_cost_only_that_field() {
    let json = minimal(|f| {
        f["Severity"] = json!("HIGH");
        f["Workflow"] = json!([1]);
        f["Resources"] = json!([{"Type": 7, "Id": "i-1", "Tags": ["a"], "Details": {"Other": [1], "X": {"Name": {"n": 1}}}}, "x"]);
        f["Sample"] = json!(true);
        f["ProductFields"] = json!("a=b");
        f["UpdatedAt"] = json!("soon");
    });
    let f = one(&json);
    assert_eq!((f.severity, f.status, f.sample, f.modified), (Severity::Unknown, FindingStatus::Unknown, true, None));
    assert_eq!((f.resources.len(), f.resources[0].kind.as_deref(), f.resources[0].tags.len()), (1, Some("7"), 0));
}

#[test]
fn batches_keep_every_finding_and_pass_over_what_is_none() {
    let other = r#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{}}"#;
    let batch = format!("[{CONTROL},{other},{CONTROL_V2}]");
    let reading = normalize(&batch).unwrap();
    let sources: Vec<_> = reading.findings.iter().map(|f| f.source).collect();
    assert_eq!(sources, [Source::SecurityHub, Source::SecurityHubV2]);
    assert_eq!(passed_over(&reading), ["aws-service-event"]);
    for empty in
        [r#"{"source":"aws.securityhub","detail-type":"Security Hub Findings - Imported","detail":{"findings":[]}}"#, r#"{"Findings":[]}"#]
    {
        let reading = normalize(empty).unwrap();
        assert!(reading.findings.is_empty() && reading.faults.is_empty() && reading.passed_over.is_empty(), "{reading:?}");
    }
}

#[test]
fn one_finding_that_cannot_be_read_does_not_cost_the_others() {
    let good = minimal(|f| f["Id"] = json!("good"));
    let bad = minimal(|f| f["Id"] = json!({"n": 1}));
    let text = format!(
        r#"{{"source":"aws.securityhub","detail-type":"Security Hub Findings - Custom Action","detail":{{"findings":[{bad},{good}]}}}}"#
    );
    let reading = normalize(&text).unwrap();
    assert_eq!(reading.findings.iter().map(|f| &*f.uid).collect::<Vec<_>>(), ["good"]);
    assert!(reading.faults[0].to_string().contains("field `Id` is missing"), "{:?}", reading.faults);
}

fn passed_over(reading: &Reading<'_>) -> Vec<&'static str> {
    reading.passed_over.iter().map(|rule| rule.rule).collect()
}

#[test]
fn what_is_no_finding_is_known_by_its_shape() {
    let event = |source: &str, kind: &str| json!({"source": source, "detail-type": kind, "detail": {}}).to_string();
    for (json, expected) in [
        (event("aws.securityhub", "Security Hub Insight Results"), "security-hub-insight-result"),
        (event("aws.securityhub", "AWS API Call via CloudTrail"), "security-hub-other-event"),
        (event("aws.inspector2", "Inspector2 Scan"), "aws-service-event"),
        (event("aws.macie", "Macie Finding"), "aws-service-event"),
        (event("acme.shop", "order"), "event-of-a-service"),
        (json!({"InsightResults": {"GroupByAttribute": "ResourceId", "ResultValues": []}}).to_string(), "security-hub-insight-result"),
        (json!({"ProcessedFindings": [], "UnprocessedFindings": []}).to_string(), "security-hub-answer"),
        (json!({"Controls": [{"ControlStatus": "ENABLED"}], "NextToken": "x"}).to_string(), "security-hub-answer"),
        (json!({"EvaluationResults": []}).to_string(), "aws-config-answer"),
        (
            json!({"findings": [{"id": "1", "resourceType": "AWS::S3::Bucket", "resourceOwnerAccount": "1", "analyzedAt": "x"}]})
                .to_string(),
            "access-analyzer-answer",
        ),
        (json!({"AwsS3Bucket": {"OwnerId": "x"}}).to_string(), "asff-fragment"),
        (json!({"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b", "Partition": "aws"}).to_string(), "asff-fragment"),
    ] {
        let reading = normalize(&json).unwrap();
        assert_eq!(passed_over(&reading), [expected], "{json}");
        assert!(reading.findings.is_empty() && reading.faults.is_empty(), "{json}");
    }
}

#[test]
fn what_is_not_ours_is_left_to_others() {
    for json in [
        r#"{"findings":[{"sourceProperties":{}}]}"#,
        r#"{"findings":[]}"#,
        r#"{"class_uid":2004,"metadata":{"product":{"name":"Prowler","uid":"prowler"}}}"#,
        r#"{"NextToken":"x","Rules":[]}"#,
        r#"{"Awsome":{"a":1}}"#,
        r#"{"AwsA":{},"AwsB":{}}"#,
        "{}",
        "7",
    ] {
        assert!(matches!(normalize(json), Err(NormalizeError::Unrecognised { .. })), "{json}");
    }
}

#[test]
fn what_should_be_a_finding_and_cannot_be_read_says_why() {
    for (json, expected) in [
        (r#"{"source":"aws.securityhub","detail-type":"Findings Imported V2","detail":{}}"#, "`detail.findings` is missing"),
        (r#"{"source":"aws.securityhub","detail-type":"Findings Imported V2","detail":{"findings":7}}"#, "`detail.findings` is not a list"),
        (r#"{"SchemaVersion":"2018-10-08","ProductArn":"p","Resources":[]}"#, "field `Id` is missing"),
        (
            r#"{"source":"aws.securityhub","detail-type":"Findings Imported V2","detail":{"findings":[{"finding_info":{"uid":"x"}}]}}"#,
            "`class_uid` is missing",
        ),
        (r#"{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{}}"#, "field `arn` is missing"),
        (r#"{"source":"aws.inspector2","detail-type":"Inspector2 Finding","detail":{}}"#, "field `findingArn` is missing"),
        (r#"{"Findings":["#, "not readable JSON"),
    ] {
        let text = match normalize(json) {
            Ok(reading) => reading.faults.iter().map(ToString::to_string).collect(),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(expected), "{json}: {text}");
    }
}
