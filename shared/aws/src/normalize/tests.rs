use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use super::*;

const CONTROL: &str = include_str!("../../fixtures/control_event.json");
const CONTROL_V2: &str = include_str!("../../fixtures/control_v2_event.json");
const VULNERABILITY: &str = include_str!("../../fixtures/vulnerability.json");
const DETECTION: &str = include_str!("../../fixtures/detection_archived.json");
const CIS: &str = include_str!("../../fixtures/cis.json");
const AZURE: &str = include_str!("../../fixtures/azure_resource.json");

fn one(json: &str) -> Finding<'_> {
    let mut findings = normalize(json).unwrap();
    assert_eq!(findings.len(), 1);
    findings.remove(0)
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
    assert_eq!(resource_cloud("//compute.googleapis.com/projects/p", None, None, None), Cloud::Gcp);
    assert_eq!(resource_cloud("AWS::::Account:111122223333", Some("AwsAccount"), None, Some("aws")), Cloud::Aws);
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
    let sources: Vec<_> = normalize(&batch).unwrap().iter().map(|f| f.source).collect();
    assert_eq!(sources, [Source::SecurityHub, Source::SecurityHubV2]);
    assert!(matches!(normalize(other), Err(NormalizeError::NotAFinding { .. })));
    let empty = r#"{"source":"aws.securityhub","detail-type":"Security Hub Findings - Imported","detail":{"findings":[]}}"#;
    assert!(normalize(empty).unwrap().is_empty());
    assert!(normalize(r#"{"Findings":[]}"#).unwrap().is_empty());
}

#[test]
fn what_is_no_finding_says_what_it_is() {
    for (json, expected) in [
        (r#"{"source":"aws.securityhub","detail-type":"Security Hub Insight Results","detail":{}}"#, "insight result is not a finding"),
        (r#"{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{}}"#, "as Security Hub passes them on"),
        (r#"{"Records":[{"messageId":"1","body":"{}","eventSource":"aws:sqs"}]}"#, "hand over each record's `body`"),
        (r#"{"source":"aws.securityhub","detail-type":"Findings Imported V2","detail":{}}"#, "`detail.findings` is missing"),
        (r#"{"source":"acme","detail-type":"x","detail":{}}"#, "not a finding stanch knows"),
        (r#"{"findings":[{"sourceProperties":{}}]}"#, "not a finding stanch knows"),
        (r#"{"SchemaVersion":"2018-10-08","ProductArn":"p","Resources":[]}"#, "field `Id` is missing"),
        (r#"{"Findings":["#, "not readable JSON"),
    ] {
        let text = normalize(json).unwrap_err().to_string();
        assert!(text.contains(expected), "{json}: {text}");
    }
}

#[test]
fn recognition_needs_only_the_top_level() {
    let source = |json: &str| recognize(Doc::read(json).unwrap().root());
    assert_eq!(source(CONTROL), Some(Source::SecurityHub));
    assert_eq!(source(CONTROL_V2), Some(Source::SecurityHubV2));
    assert_eq!(source(VULNERABILITY), Some(Source::SecurityHub));
    assert_eq!(source(AZURE), Some(Source::SecurityHub));
    assert_eq!(source(r#"{"source":"aws.securityhub","detail-type":"Security Hub Insight Results"}"#), None);
    let prowler = r#"{"class_uid":2004,"metadata":{"product":{"name":"Prowler","uid":"prowler"}}}"#;
    assert_eq!(source(prowler), None, "other producers of OCSF are not ours");
}

#[test]
fn real_payloads_are_read() {
    let Some(samples) = samples() else { return };
    let mut total = 0;
    for family in ["asff", "securityhub_eventbridge", "securityhub_v2_ocsf", "securityhub_api", "aws_eventbridge_other"] {
        let (mut files, mut findings, mut none) = (0, 0, 0);
        for path in json_files(&samples.join(family)) {
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            match normalize(&text) {
                Ok(list) => {
                    assert_eq!(list.len(), expected(&value), "{}", path.display());
                    assert!(recognize(Doc::read(&text).unwrap().root()).is_some(), "{}", path.display());
                    for finding in &list {
                        complete(finding, &path);
                    }
                    findings += list.len();
                }
                Err(NormalizeError::NotAFinding { .. } | NormalizeError::Unrecognised { .. }) if expected(&value) == 0 => none += 1,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        println!("{family}: {files} files, {findings} findings, {none} files that are none");
        assert!(files > 0, "{family} is empty");
        total += findings;
    }
    assert!(total > 190, "{total}");
}

/// How many findings a payload holds, counted without our reader.
fn expected(value: &Value) -> usize {
    let bare = value.get("ProductArn").is_some() || value.get("class_uid").is_some();
    let list = value.pointer("/detail/findings").or_else(|| value.get("Findings")).and_then(Value::as_array);
    list.map_or(usize::from(bare), Vec::len)
}

/// Every field that decides something is there, as far as the payload has it.
fn complete(finding: &Finding<'_>, path: &Path) {
    let raw: Value = serde_json::from_str(&finding.raw).unwrap();
    let says = |pointers: &[&str]| pointers.iter().any(|p| raw.pointer(p).is_some_and(|v| !v.is_null()));
    assert!(!finding.uid.is_empty() && !finding.title.is_empty(), "{}", path.display());
    let class_uid = raw.get("class_uid").and_then(Value::as_u64);
    assert!(class_uid.is_none_or(|uid| uid == u64::from(finding.class.uid())), "{}", path.display());
    if says(&["/Severity", "/FindingProviderFields/Severity", "/severity_id"]) {
        assert_ne!(finding.severity, Severity::Unknown, "{}", path.display());
    }
    if says(&["/Resources/0/Id", "/resources/0/uid"]) {
        assert!(!finding.resources.is_empty() && finding.resources.iter().all(|r| !r.uid.is_empty()), "{}", path.display());
    }
    if says(&["/AwsAccountId", "/cloud/account/uid"]) {
        assert!(finding.source_ref.account.is_some(), "{}", path.display());
        assert!(finding.account.is_some() || finding.cloud != Cloud::Aws, "{}", path.display());
    }
    assert!(finding.source_ref.location.is_some() && finding.source_ref.product.is_some(), "{}", path.display());
    assert!(finding.time.or(finding.created).is_some() || !says(&["/UpdatedAt", "/CreatedAt"]), "{}", path.display());
    if finding.class == FindingClass::Compliance && says(&["/GeneratorId", "/compliance/control"]) {
        let control = finding.compliance.as_ref().and_then(|c| c.control.as_deref());
        assert!(control.is_some_and(|c| !c.is_empty()), "{}", path.display());
    }
    if finding.class == FindingClass::Vulnerability && says(&["/Vulnerabilities/0/Id"]) {
        assert!(finding.vulnerabilities.iter().all(|v| v.cve.is_some() || v.advisory.is_some()), "{}", path.display());
    }
}

#[expect(clippy::disallowed_methods, reason = "tests alone look for the samples")]
fn samples() -> Option<PathBuf> {
    let Ok(folder) = std::env::var("STANCH_SAMPLES") else {
        println!("skipped: STANCH_SAMPLES is not set");
        return None;
    };
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        assert!(std::env::var("CI").is_err(), "STANCH_SAMPLES names no folder: {}", folder.display());
        println!("skipped: STANCH_SAMPLES names no folder");
        return None;
    }
    Some(folder)
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
}
