//! The equivalence map: nothing twice, nothing misspelt, nothing of the catalogue missing, and one control for all ids of a fault.
#![expect(clippy::unwrap_used, reason = "a test program; clippy knows only its test functions")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stanch_core::cloud::{Account, Cloud, Resource};
use stanch_core::control::{Control, MatchedBy};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingClass, Product, Source};
use stanch_library::controls::{IdKind, of_id, rows};
use stanch_library::{CallCheck, Library, check};

/// The parts of Prowler that its checks begin with, for the three clouds.
const PROWLER: &str = "accessanalyzer account acm apigateway apigatewayv2 apikeys apim app athena autoscaling awslambda bigquery cloudfront \
    cloudfunction cloudsql cloudstorage cloudtrail cloudwatch codebuild cognito compute config containerregistry cosmosdb aks defender dms \
    dns documentdb dynamodb ec2 ecr ecs efs eks elasticache elb elbv2 emr guardduty iam kafka keyvault kms logging macie monitor mysql \
    neptune network networkfirewall opensearch postgresql rds redshift s3 sagemaker secretmanager secretsmanager sns sqlserver sqs ssm \
    storage vm vpc wafv2";

fn is_guid(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    // One of Microsoft's own is no number throughout: 17k78e20-….
    parts == [8, 4, 4, 4, 12] && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-')
}

fn is_number(id: &str) -> bool {
    id.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_control(id: &str) -> bool {
    id.split_once('.').is_some_and(|(service, n)| {
        service.starts_with(|c: char| c.is_ascii_uppercase())
            && service.bytes().all(|b| b.is_ascii_alphanumeric())
            && is_number(n)
            && !n.contains('.')
    })
}

/// Whether an id is of the shape its vendor gives it.
fn has_the_shape(kind: IdKind, id: &str) -> bool {
    let made_of = |more: &[u8]| id.bytes().all(|b| more.contains(&b) || b.is_ascii_digit());
    match kind {
        IdKind::SecurityHub => is_control(id),
        IdKind::Standard => {
            let cis = |v: &str| id.strip_prefix(&format!("cis-aws-foundations-benchmark/v/{v}/")).is_some_and(is_number);
            ["1.2.0", "1.4.0", "3.0.0", "5.0.0"].into_iter().any(cis) || id.strip_prefix("PCI.").is_some_and(is_control)
        }
        IdKind::Defender | IdKind::Policy => is_guid(id),
        IdKind::Scc => id.contains('_') && made_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
        IdKind::Prowler => {
            let service = id.split('_').next().unwrap_or_default();
            id.contains('_') && made_of(b"abcdefghijklmnopqrstuvwxyz_") && PROWLER.split_whitespace().any(|known| known == service)
        }
        IdKind::Name => id.contains(' ') && id.trim() == id && !id.ends_with('.'),
    }
}

#[test]
fn no_id_stands_twice_and_each_has_the_shape_its_vendor_gives_it() {
    let (mut seen, mut controls, mut faults) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for row in rows() {
        let prefix = match row.cloud {
            Cloud::Aws => "aws.",
            Cloud::Azure => "az.",
            Cloud::Gcp => "gcp.",
        };
        let plain = row.control.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b));
        if !(row.control.starts_with(prefix) && plain) {
            faults.push(format!("`{}` is no name of a control of {}", row.control, row.cloud));
        }
        if !controls.insert(row.control) {
            faults.push(format!("`{}` has two rows", row.control));
        }
        let mut count = 0;
        for (kind, id) in row.ids() {
            count += 1;
            if !has_the_shape(kind, id) {
                faults.push(format!("{}: `{id}` is not spelt like an id of {}", row.control, kind.column()));
            }
            let space = matches!(kind, IdKind::Prowler | IdKind::Name).then_some(row.cloud);
            if let Some(other) = seen.insert((kind.column(), space, id.to_ascii_lowercase()), row.control) {
                faults.push(format!("`{id}` of {} stands at `{other}` and at `{}`", kind.column(), row.control));
            }
            assert_eq!(of_id(kind, row.cloud, &id.to_ascii_uppercase()), Some(row.control), "{id}");
        }
        if count == 0 {
            faults.push(format!("`{}` has no id", row.control));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(controls.len() > 300 && seen.len() > 1000, "{} controls, {} ids", controls.len(), seen.len());
}

#[test]
fn a_misspelt_id_is_told() {
    for (kind, id) in [
        (IdKind::SecurityHub, "S3.8a"),
        (IdKind::SecurityHub, "s3.8"),
        (IdKind::Standard, "cis-aws-foundations-benchmark/v/1.3.0/4.1"),
        (IdKind::Standard, "PCI.8"),
        (IdKind::Defender, "51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a"),
        (IdKind::Scc, "Public_Bucket_Acl"),
        (IdKind::Scc, "PUBLIC-BUCKET"),
        (IdKind::Prowler, "s3-bucket_public_access"),
        (IdKind::Prowler, "s33_bucket_public_access"),
        (IdKind::Name, "Secure transfer should be enabled."),
    ] {
        assert!(!has_the_shape(kind, id), "{id}");
    }
}

struct NoCalls;

impl CallCheck for NoCalls {
    fn faults(&self, _: &str, _: &str, _: &[String]) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn fixes_and_the_map_give_an_id_the_same_control() {
    let library = Library::builtin().unwrap();
    let mut compared = 0;
    for fix in library.all().map(Result::unwrap) {
        let strays: Vec<_> = check(&fix.name, fix, &NoCalls).iter().map(ToString::to_string).filter(|m| m.contains("is control")).collect();
        assert!(strays.is_empty(), "{}", strays.join("\n"));
        for (column, id) in fix.remediates.iter().filter_map(|r| r.split_once('/')).filter(|(column, _)| *column != "alert") {
            let kind = IdKind::ALL.into_iter().find(|kind| kind.column() == column).unwrap_or_else(|| panic!("{column}"));
            assert_eq!(of_id(kind, fix.cloud, id), fix.control.as_deref(), "{}: {column}/{id}", fix.name);
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn a_fix_that_gives_an_id_another_control_is_told() {
    let mut library = Library::builtin().unwrap();
    let (_, text) = library.source("aws-s3-block-public-access").unwrap();
    let text = text.replacen("fix: aws-s3-block-public-access", "fix: aws-s3-mine", 1).replacen(
        "control: aws.s3.bpa_bucket",
        "control: my.buckets",
        1,
    );
    library.add("mine/fix.yaml", text).unwrap();
    let told: Vec<_> = check("mine/fix.yaml", library.fix("aws-s3-mine").unwrap(), &NoCalls).iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|m| m.contains("`securityhub/S3.8` is control `aws.s3.bpa_bucket`, not `my.buckets`")), "{told:?}");
}

/// `STANCH_FACTS` names the folder of the catalogue of fixes: every id it names is known, under one control for one fault.
#[test]
#[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
fn every_id_of_the_catalogue_is_known() {
    let Ok(folder) = std::env::var("STANCH_FACTS") else {
        println!("skipped: STANCH_FACTS is not set");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("fix_catalogue.csv")).unwrap();
    let mut rows = text.lines().map(csv);
    let head = rows.next().unwrap();
    let column = |name: &str| head.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (mut found, mut missing) = (0, Vec::new());
    for row in rows {
        let cloud = Cloud::parse(&row[column("cloud")]).unwrap();
        for (name, kind) in
            [("sechub", IdKind::SecurityHub), ("defender", IdKind::Defender), ("scc", IdKind::Scc), ("prowler", IdKind::Prowler)]
        {
            for id in row[column(name)].split(',').map(str::trim).filter(|id| !id.is_empty()) {
                let (kind, id) = id.strip_prefix("policy ").map_or((kind, id), |id| (IdKind::Policy, id));
                // Some cells speak of alerts in words; those are no controls.
                if has_the_shape(kind, id) {
                    found += 1;
                    missing.extend(of_id(kind, cloud, id).is_none().then(|| format!("{}: {id}", row[column("fix_id")])));
                } else {
                    assert!(id.contains(' ') || id == "C2)", "`{id}` is neither an id nor a remark");
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(found > 300, "{found}");
}

/// The fields of a line; quoted ones may hold commas.
fn csv(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

const HUB: &str = "arn:aws:securityhub:eu-west-1::product/aws/securityhub";

fn finding(source: Source, cloud: Cloud, control: &str, rule: &str) -> Finding<'static> {
    let mut finding = Finding::new(source, FindingClass::Compliance, cloud, "f", Product { uid: Some(HUB.into()), ..Product::default() });
    finding.rule = Some(rule.to_owned().into());
    finding.compliance =
        Some(Compliance { control: Some(control.to_owned().into()), status: ComplianceStatus::Fail, ..Compliance::default() });
    finding
}

fn told(finding: &Finding<'_>) -> Option<(String, MatchedBy)> {
    Library::builtin().unwrap().control(finding).map(|Control { id, by }| (id, by))
}

#[test]
fn every_source_and_every_standard_call_one_fault_by_one_control() {
    use Source::{DefenderAssessment, Prowler, Scc, SecurityHub, SecurityHubV2};
    for (expected, cloud, cases) in [
        (
            "aws.sg.close_admin_ports",
            Cloud::Aws,
            &[
                (SecurityHub, "EC2.13", "security-control/EC2.13"),
                (SecurityHub, "EC2.13", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1"),
                (
                    SecurityHub,
                    "cis-aws-foundations-benchmark/v/1.2.0/4.1",
                    "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1",
                ),
                (SecurityHub, "4.1", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1"),
                (SecurityHub, "EC2.13", "aws-foundational-security-best-practices/v/1.0.0/EC2.13"),
                (SecurityHub, "PCI.EC2.5", "pci-dss/v/3.2.1/PCI.EC2.5"),
                (SecurityHub, "cis-aws-foundations-benchmark/v/3.0.0/5.2", "cis-aws-foundations-benchmark/v/3.0.0/5.2"),
                (SecurityHub, "ec2.13", "nist-800-53/v/5.0.0/EC2.13"),
                (SecurityHubV2, "EC2.14", "EC2.14"),
                (
                    SecurityHub,
                    "ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22",
                    "prowler-ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22",
                ),
                (
                    Prowler,
                    "ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22",
                    "ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22",
                ),
                (DefenderAssessment, "E1F4BBA6-5f43-4dc5-ab15-f2a9f5807fea", "e1f4bba6-5f43-4dc5-ab15-f2a9f5807fea"),
            ][..],
        ),
        (
            "aws.iam.5",
            Cloud::Aws,
            &[
                (SecurityHub, "cis-aws-foundations-benchmark/v/1.4.0/1.10", "cis-aws-foundations-benchmark/v/1.4.0/1.10"),
                (SecurityHub, "IAM.5", "x"),
            ],
        ),
        // One number, another version, another check.
        (
            "aws.iam.password_policy",
            Cloud::Aws,
            &[(SecurityHub, "cis-aws-foundations-benchmark/v/1.2.0/1.10", "cis-aws-foundations-benchmark/v/1.2.0/1.10")],
        ),
        (
            "gcp.fw.close_ssh_rdp",
            Cloud::Gcp,
            &[
                (Scc, "OPEN_SSH_PORT", "OPEN_SSH_PORT"),
                (Prowler, "compute_firewall_ssh_access_from_the_internet_allowed", "compute_firewall_ssh_access_from_the_internet_allowed"),
                (DefenderAssessment, "9f88a5b8-2853-4b3f-a4c7-33f225cae99a", "9f88a5b8-2853-4b3f-a4c7-33f225cae99a"),
            ],
        ),
        (
            "az.storage.https_only",
            Cloud::Azure,
            &[
                (DefenderAssessment, "1c5de8e1-f68d-6a17-e0d2-ec259c42768c", "1c5de8e1-f68d-6a17-e0d2-ec259c42768c"),
                (Prowler, "storage_secure_transfer_required_is_enabled", "storage_secure_transfer_required_is_enabled"),
            ],
        ),
        // Known to AWS by this name, whatever the standard, and to the map not at all.
        (
            "aws.newservice.12",
            Cloud::Aws,
            &[(SecurityHub, "NewService.12", "nist-800-53/v/5.0.0/NewService.12"), (SecurityHubV2, "NewService.12", "x")],
        ),
    ] {
        for (source, control, rule) in cases {
            assert_eq!(
                told(&finding(*source, cloud, control, rule)),
                Some((expected.to_owned(), MatchedBy::Key)),
                "{source} {control} {rule}"
            );
        }
    }
}

#[test]
fn one_check_name_of_two_clouds_is_two_controls() {
    let check = "kms_key_not_publicly_accessible";
    let of = |cloud| told(&finding(Source::Prowler, cloud, check, check)).unwrap().0;
    assert_ne!(of(Cloud::Aws), of(Cloud::Gcp));
}

#[test]
fn matching_falls_back_from_key_to_policy_to_name_and_says_so() {
    let unknown = "00000000-0000-0000-0000-000000000000";
    let mut assessment = finding(Source::DefenderAssessment, Cloud::Azure, unknown, unknown);
    assert_eq!(told(&assessment), None);
    assessment.title = "Secure transfer to storage accounts should be enabled".into();
    assert_eq!(told(&assessment), Some(("az.storage.https_only".into(), MatchedBy::Name)));
    assessment.policy = Some("0B60C0B2-2dc2-4e1c-b5c9-abbed971de53".into());
    assert_eq!(told(&assessment), Some(("az.kv.purge_protection".into(), MatchedBy::Policy)));
    assessment.rule = Some("51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a6".into());
    assert_eq!(told(&assessment), Some(("az.storage.no_public_blob".into(), MatchedBy::Key)));

    let policy = "/providers/Microsoft.Authorization/policyDefinitions/404c3081-a854-4457-ae30-26a93ef643f9";
    assert_eq!(
        told(&finding(Source::AzurePolicy, Cloud::Azure, policy, policy)),
        Some(("az.storage.https_only".into(), MatchedBy::Policy))
    );

    for title in [
        "[S3.8] S3 Block Public Access setting should be enabled at the bucket level",
        "S3.8 S3 block public access setting should be enabled at the bucket level.",
    ] {
        let mut titled = finding(Source::Ocsf, Cloud::Aws, "x", "x");
        titled.product = Product::default();
        titled.title = title.into();
        assert_eq!(told(&titled), Some(("aws.s3.bpa_bucket".into(), MatchedBy::Name)), "{title}");
        titled.cloud = Cloud::Azure;
        assert_eq!(told(&titled), None, "a name of another cloud's control");
    }
}

#[test]
fn what_only_looks_like_a_control_is_none() {
    let mut foreign = finding(Source::SecurityHub, Cloud::Aws, "NewService.12", "NewService.12");
    foreign.product.uid = Some("arn:aws:securityhub:eu-west-1::product/aquasecurity/aquasecurity".into());
    assert_eq!(told(&foreign), None, "another product's numbers");

    let key = "1c5de8e1-f68d-6a17-e0d2-ec259c42768c";
    let mut rule = finding(Source::DefenderSubAssessment, Cloud::Azure, key, "VA2065");
    rule.title = "Secure transfer to storage accounts should be enabled".into();
    assert_eq!(told(&rule), None, "many rules share the parent assessment");

    let mut alert = finding(Source::SecurityHub, Cloud::Aws, "EC2.53", "EC2.53");
    alert.class = FindingClass::Detection;
    assert_eq!(told(&alert), None, "an alert is no control");
}

#[test]
fn a_fix_is_recommended_for_whatever_names_its_control() {
    let library = Library::builtin().unwrap();
    let recommended =
        |finding: &Finding<'_>, resource: &Resource<'_>| library.recommend(finding, resource).unwrap().map(|fix| fix.name.clone());
    let group = Resource {
        kind: Some("AwsEc2SecurityGroup".into()),
        ..Resource::new(Cloud::Aws, "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1")
    };
    let cis = finding(Source::SecurityHub, Cloud::Aws, "cis-aws-foundations-benchmark/v/1.2.0/4.2", "x");
    assert_eq!(recommended(&cis, &group).as_deref(), Some("aws-ec2-revoke-world-ingress"));
    let bucket = Resource { kind: Some("AwsS3Bucket".into()), ..Resource::new(Cloud::Aws, "arn:aws:s3:::b") };
    assert_eq!(recommended(&cis, &bucket), None, "another type of resource");

    let check = "cloudstorage_bucket_public_access";
    let bare = Resource {
        kind: Some("storage.googleapis.com/Bucket".into()),
        account: Some(Account { uid: "shop-prod-1".into(), name: None }),
        ..Resource::new(Cloud::Gcp, "shop-data")
    };
    assert_eq!(recommended(&finding(Source::Prowler, Cloud::Gcp, check, check), &bare).as_deref(), Some("gcp-storage-remove-public-iam"));
}
