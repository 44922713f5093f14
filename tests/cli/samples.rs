//! Published payloads of every kind of delivery, through `stanch normalize`. The expected values were read off the payloads.

use std::path::PathBuf;

use serde_json::Value;

use crate::Desk;

/// Kind, file, findings, class, severity, cloud, account, resource.
type Row = (&'static str, &'static str, usize, u64, u64, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        "Defender alert, export",
        "defender_alert/021_demisto-simulated-apps-wpthemeinjection.json",
        1,
        2004,
        4,
        "Azure",
        "0f907ea4-bc8b-4c11-9d7e-805c2fd144fb",
        "/SUBSCRIPTIONS/0f907ea4-bc8b-4c11-9d7e-805c2fd144fb/RESOURCEGROUPS/Sample-RG/providers/Microsoft.Web/sites/Sample-App",
    ),
    (
        "assessment",
        "defender_assessment/002_getassessment-2019-01-01-preview.json",
        1,
        2003,
        0,
        "Azure",
        "20ff7fc3-e762-44dd-bd96-b71116dcdc23",
        "/subscriptions/20ff7fc3-e762-44dd-bd96-b71116dcdc23/resourceGroups/myRg/providers/Microsoft.Compute/virtualMachineScaleSets/vmss2",
    ),
    (
        "sub-assessment",
        "defender_assessment/018_listsubassessments-2019-01-01-preview.json",
        1,
        2003,
        4,
        "Azure",
        "212f9889-769e-45ae-ab43-6da33674bd26",
        "/subscriptions/212f9889-769e-45ae-ab43-6da33674bd26/resourceGroups/ascdemoRG/providers/Microsoft.Sql/servers/sqlserver1demo/databases/database1",
    ),
    (
        "regulatory compliance",
        "defender_compliance/001_getregulatorycomplianceassessmentlist-2019-01-01-preview.json",
        1,
        2003,
        0,
        "Azure",
        "20ff7fc3-e762-44dd-bd96-b71116dcdc23",
        "/subscriptions/20ff7fc3-e762-44dd-bd96-b71116dcdc23",
    ),
    (
        "Security Hub, imported",
        "securityhub_eventbridge/018_afsbp-rds1.json",
        1,
        2003,
        5,
        "AWS",
        "111111111111",
        "arn:aws:rds:eu-west-1:111111111111:snapshot:test-snapshot-mydb-1trr1gfasnyfa",
    ),
    (
        "Security Hub, several findings",
        "securityhub_eventbridge/009_cis-1-6-multi-select.json",
        2,
        2003,
        3,
        "AWS",
        "111111111111",
        "AWS::::Account:111111111111",
    ),
    (
        "Security Hub V2",
        "securityhub_v2_ocsf/002_cruxstack-compliance-finding-security-hub.json",
        1,
        2003,
        5,
        "AWS",
        "123456789012",
        "AWS::::Account:123456789012",
    ),
    (
        "SCC",
        "scc/014_sra-public-bucket-acl-public-bucket-acl.json",
        1,
        2003,
        4,
        "GCP",
        "test-project",
        "//storage.googleapis.com/this-is-public-on-purpose",
    ),
    ("Prowler", "ocsf/011_prowler-aws.json", 1, 2003, 3, "AWS", "<account_uid>", "arn:aws:iam::<account_uid>:root"),
    (
        "any OCSF finding",
        "ocsf/001_seclake-example0.json",
        1,
        2003,
        1,
        "AWS",
        "123456789100",
        "arn:aws:ec2:us-east-1:123456789100:security-group/sg-1234567899900",
    ),
];

fn samples() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the settings of this test")]
    let (folder, ci) = (std::env::var("STANCH_SAMPLES").ok(), std::env::var("CI").is_ok());
    let folder = folder.map(PathBuf::from).filter(|f| f.is_dir());
    assert!(folder.is_some() || !ci, "STANCH_SAMPLES names no folder, and CI runs this test");
    folder
}

#[test]
fn published_deliveries_of_every_kind_become_findings() {
    let Some(samples) = samples() else { return };
    for (kind, file, findings, class, severity, cloud, account, resource) in ROWS {
        let path = samples.join(file);
        let lines = Desk::new().run(&["normalize", path.to_str().unwrap()]).code(0).lines();
        assert_eq!(lines.len(), *findings, "{kind}");
        let finding: &Value = lines.first().unwrap();
        let text = |pointer: &str| finding.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| finding.pointer(pointer).and_then(Value::as_u64);
        assert_eq!((number("/class_uid"), number("/severity_id")), (Some(*class), Some(*severity)), "{kind}");
        assert_eq!((text("/cloud/provider"), text("/cloud/account/uid")), ((*cloud).to_owned(), (*account).to_owned()), "{kind}");
        assert_eq!(text("/resources/0/uid"), *resource, "{kind}");
    }
}

#[test]
fn a_pub_sub_push_gives_its_finding() {
    let push = stanch_sandbox::demo_events().iter().find(|e| e.json.contains("\"subscription\"")).expect("the demo has a push");
    let desk = Desk::new();
    let lines = desk.file("push.json", push.json).run(&["normalize", "push.json"]).code(0).lines();
    assert_eq!(lines.first().unwrap().pointer("/cloud/provider").and_then(Value::as_str), Some("GCP"));
}
