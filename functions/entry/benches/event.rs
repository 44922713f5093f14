//! One Security Hub event from bytes to plan, beside the floor: a typed parse of the same bytes by serde_json alone.
//!
//! `cargo bench -p stanch-entry --bench event` prints median times and allocations. It judges nothing.

use std::fmt::Write;

use divan::{AllocProfiler, Bencher, black_box};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stanch_core::api::ApiResponse;
use stanch_core::decide::decide;
use stanch_core::plan::{Snapshot, plan};
use stanch_core::rule::RuleSet;
use stanch_core::target::Target;
use stanch_library::Library;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const NOW: i64 = 1_790_000_000_000;

fn main() {
    divan::main();
}

/// About 6 KB, the usual size of such an event.
fn event() -> String {
    let mut details = String::new();
    for n in 0..60 {
        let _ = write!(details, "\"Field{n}\":\"value number {n} of a field that no rule looks at\",");
    }
    format!(
        r#"{{"version":"0","id":"8e5622f9-d81c-4d81-612a-9319e7ee2506","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub",
"account":"111122223333","time":"2026-09-21T06:41:37Z","region":"eu-west-1","resources":["arn:aws:securityhub:eu-west-1::product/aws/securityhub/x"],
"detail":{{"findings":[{{"SchemaVersion":"2018-10-08","Id":"arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8/finding/0d4c7e5e",
"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/securityhub","ProductName":"Security Hub","CompanyName":"AWS","Region":"eu-west-1",
"GeneratorId":"security-control/S3.8","AwsAccountId":"111122223333","Types":["Software and Configuration Checks/Industry and Regulatory Standards"],
"FirstObservedAt":"2026-09-20T06:41:37.123Z","LastObservedAt":"2026-09-21T06:41:37.123Z","CreatedAt":"2026-09-20T06:41:37.123Z","UpdatedAt":"2026-09-21T06:41:37.123Z",
"Severity":{{"Label":"HIGH","Normalized":70,"Original":"HIGH"}},"Title":"S3 general purpose buckets should block public access",
"Description":"This control checks if an Amazon S3 general purpose bucket blocks public access at the bucket level.",
"Remediation":{{"Recommendation":{{"Text":"For information on how to correct this issue, consult the documentation.","Url":"https://docs.aws.amazon.com/console/securityhub/S3.8/remediation"}}}},
"ProductFields":{{"aws/securityhub/ProductName":"Security Hub","Resources:0/Id":"arn:aws:s3:::shop-invoices"}},
"Resources":[{{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::shop-invoices","Partition":"aws","Region":"eu-west-1","Tags":{{"env":"prod","team":"shop"}},
"Details":{{"AwsS3Bucket":{{{details}"OwnerId":"x"}}}}}}],
"Compliance":{{"Status":"FAILED","SecurityControlId":"S3.8","AssociatedStandards":[{{"StandardsId":"standards/aws-foundational-security-best-practices/v/1.0.0"}}]}},
"WorkflowState":"NEW","Workflow":{{"Status":"NEW"}},"RecordState":"ACTIVE"}}]}}}}"#
    )
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Floor<'a> {
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Detail<'a> {
    #[serde(borrow)]
    findings: Vec<Finding<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Finding<'a> {
    id: &'a str,
    product_arn: &'a str,
    generator_id: &'a str,
    aws_account_id: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    title: &'a str,
    description: &'a str,
    #[serde(borrow)]
    severity: Severity<'a>,
    #[serde(borrow)]
    resources: Vec<Resource<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Severity<'a> {
    label: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Resource<'a> {
    id: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
}

/// So many rules of which the last matches.
fn rules(count: usize) -> RuleSet {
    let mut text = String::new();
    for n in 0..count.saturating_sub(1) {
        let _ = writeln!(
            text,
            "rule: r{n}\nmode: record\norder: {n}\nwhen: finding.severity >= HIGH && finding.title.contains('no such title {n}')\ndo: []\n---"
        );
    }
    text.push_str("rule: last\nmode: plan\norder: 9999\nwhen: finding.severity >= MEDIUM && resource.tags['env'] == 'prod'\ndo:\n  - fix: recommended\n");
    RuleSet::load([("bench.yaml", text)]).unwrap_or_default()
}

#[divan::bench]
fn floor_typed_parse(bencher: Bencher) {
    let event = event();
    bencher.bench(|| serde_json::from_str::<Floor<'_>>(black_box(&event)).is_ok());
}

#[divan::bench]
fn floor_value_tree(bencher: Bencher) {
    let event = event();
    bencher.bench(|| serde_json::from_str::<Value>(black_box(&event)).is_ok());
}

#[divan::bench]
fn normalise(bencher: Bencher) {
    let event = event();
    bencher.bench(|| stanch_aws::normalize(black_box(&event)).map(|r| r.findings.len()).ok());
}

#[divan::bench(args = [10, 100])]
fn normalise_and_decide(bencher: Bencher, count: usize) {
    let (event, rules) = (event(), rules(count));
    bencher.bench(|| {
        let findings = stanch_aws::normalize(black_box(&event)).ok()?.findings;
        let finding = findings.first()?;
        Some(decide(&rules, finding, finding.resources.first()?, NOW).mode)
    });
}

#[divan::bench(args = [10, 100])]
fn normalise_decide_and_plan(bencher: Bencher, count: usize) {
    let (event, rules) = (event(), rules(count));
    let library = Library::builtin().ok();
    let answer = ApiResponse::ok(json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}));
    bencher.bench(|| {
        let findings = stanch_aws::normalize(black_box(&event)).ok()?.findings;
        let finding = findings.first()?;
        let resource = finding.resources.first()?;
        black_box(decide(&rules, finding, resource, NOW).mode);
        let fix = library.as_ref()?.recommend(finding, resource).ok()??;
        let target = Target::of(finding, resource).ok()?;
        let mut snapshot = Snapshot::default();
        fix.take(0, &answer, &mut snapshot).ok()?;
        plan(fix, &target, &Map::new(), &snapshot).ok()
    });
}
