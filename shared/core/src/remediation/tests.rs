use super::*;
use crate::cloud::{Account, Cloud};
use crate::finding::{Compliance, Product, Vulnerability};

fn finding(class: FindingClass, source: Source, rule: Option<&str>) -> Finding<'static> {
    let mut finding = Finding::new(source, class, Cloud::Aws, "uid-1", Product::default());
    finding.rule = rule.map(|rule| rule.to_owned().into());
    finding
}

fn key(finding: &Finding<'_>, resource: &Resource<'_>, control: Option<&str>) -> String {
    RemediationKey::of(finding, resource, control).as_str().to_owned()
}

#[test]
fn a_fault_is_named_by_its_control_else_by_what_its_source_calls_it() {
    let bucket = Resource::new(Cloud::Aws, "arn:aws:s3:::b");
    let check = finding(FindingClass::Compliance, Source::SecurityHub, Some("rule-1"));
    assert_eq!(key(&check, &bucket, Some("aws.s3.bpa_bucket")), "compliance|-|arn:aws:s3:::b|aws.s3.bpa_bucket");
    assert_eq!(key(&check, &bucket, None), "compliance|-|arn:aws:s3:::b|security-hub/rule-1");
    let mut unruly = finding(FindingClass::Compliance, Source::Ocsf, None);
    assert_eq!(key(&unruly, &bucket, None), "compliance|-|arn:aws:s3:::b|ocsf/uid-1", "not one case for all that have no rule");
    unruly.compliance = Some(Compliance { control: Some("C.1".into()), ..Compliance::default() });
    assert_eq!(key(&unruly, &bucket, None), "compliance|-|arn:aws:s3:::b|ocsf/C.1");
    let alert = finding(FindingClass::Detection, Source::SecurityHub, Some("rule-1"));
    assert_eq!(key(&alert, &bucket, Some("aws.s3.bpa_bucket")), "detection|-|arn:aws:s3:::b|security-hub/uid-1");
}

#[test]
fn a_vulnerability_is_named_by_its_cve_else_by_the_scanners_advisory() {
    let instance = Resource::new(Cloud::Aws, "arn:aws:ec2:eu-west-1:111122223333:instance/i-1");
    let mut scan = finding(FindingClass::Vulnerability, Source::SecurityHub, Some("AWSInspector"));
    let (cve, advisory) = (Some("CVE-2026-1".into()), Some("GHSA-1".into()));
    scan.vulnerabilities = vec![Vulnerability { advisory, ..Vulnerability::default() }];
    assert!(key(&scan, &instance, None).ends_with("|security-hub/GHSA-1"), "one scanner's rule is all its findings'");
    scan.vulnerabilities.push(Vulnerability { cve, ..Vulnerability::default() });
    assert!(key(&scan, &instance, None).ends_with("|CVE-2026-1"));
}

#[test]
fn the_account_tells_resources_apart_only_where_their_ids_do_not() {
    let check = finding(FindingClass::Compliance, Source::Prowler, Some("r"));
    let of = |uid: &'static str, account: &'static str| {
        let account = Some(Account { uid: account.into(), name: None });
        key(&check, &Resource { account, ..Resource::new(Cloud::Gcp, uid) }, Some("c"))
    };
    assert_eq!(of("//storage.googleapis.com/b", "598897393088"), of("//storage.googleapis.com/b", "shop-prod-1"));
    assert_ne!(of("orders", "shop-prod-1"), of("orders", "shop-prod-2"));
}

#[test]
fn settings_of_a_region_are_faults_of_that_region() {
    let of = |source, rule: &str, control, region: Option<&str>| {
        let account = Resource { region: region.map(|r| r.to_owned().into()), ..Resource::new(Cloud::Aws, "AWS::::Account:111122223333") };
        key(&finding(FindingClass::Compliance, source, Some(rule)), &account, control)
    };
    for (source, rule, control, regional) in [
        (Source::SecurityHub, "security-control/EC2.7", Some("aws.ebs.default_encryption"), true),
        (Source::SecurityHub, "security-control/GuardDuty.1", Some("aws.guardduty.enabled"), true),
        (Source::SecurityHub, "security-control/IAM.7", Some("aws.iam.password_policy"), false),
        (Source::SecurityHub, "security-control/S3.1", Some("aws.s3.bpa_account"), false),
        (Source::SecurityHub, "security-control/Inspector.1", None, true),
        (Source::SecurityHub, "security-control/Account.1", None, false),
        (Source::Prowler, "inspector2_is_enabled", None, true),
        (Source::Prowler, "iam_avoid_root_usage", None, false),
    ] {
        let (here, there) = (of(source, rule, control, Some("eu-west-1")), of(source, rule, control, Some("us-east-1")));
        assert_eq!(here != there, regional, "{rule}: {here}");
    }
    let bucket = |region: &'static str| {
        let resource = Resource { region: Some(region.into()), ..Resource::new(Cloud::Aws, "arn:aws:s3:::b") };
        key(&finding(FindingClass::Compliance, Source::SecurityHub, Some("S3.8")), &resource, None)
    };
    assert_eq!(bucket("eu-west-1"), bucket("us-east-1"), "only an account as a whole is in every region");
}

#[test]
fn a_reporter_of_an_earlier_row_has_neither_match_nor_others() {
    let row = r#"{"source":"scc","uid":"u","source_ref":{"id":"u"},"first_received":1,"last_received":2,"open":true}"#;
    let reporter: Reporter = serde_json::from_str(row).unwrap();
    assert_eq!((reporter.matched, reporter.others.len()), (None, 0));
    assert!(!serde_json::to_string(&reporter).unwrap().contains("others"), "and is written as before");
}

#[test]
fn a_fault_is_looked_for_under_the_keys_it_had_before() {
    let check = finding(FindingClass::Compliance, Source::SecurityHub, Some("rule-1"));
    let account = Some(Account { uid: "111122223333".into(), name: None });
    let bucket = Resource { account, ..Resource::new(Cloud::Aws, "arn:aws:s3:::b") };
    let former: Vec<_> = RemediationKey::former(&check, &bucket, Some("c")).iter().map(|key| key.as_str().to_owned()).collect();
    let expected = [
        "compliance|111122223333|arn:aws:s3:::b|c",
        "compliance|111122223333|arn:aws:s3:::b|security-hub/rule-1",
        "compliance|-|arn:aws:s3:::b|security-hub/rule-1",
    ];
    assert_eq!(former, expected);
    assert_eq!(RemediationKey::former(&check, &Resource::new(Cloud::Aws, "b"), None), [], "what never changed is not asked twice");
}
