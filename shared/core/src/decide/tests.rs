use super::*;
use crate::cloud::{Account, Cloud};
use crate::finding::{Compliance, ComplianceStatus, FindingClass, FindingStatus, Product, Severity, Source};
use crate::rule::FixRef;

const NOW: i64 = 1_700_000_000_000;

fn finding(source: Source, class: FindingClass, cloud: Cloud) -> Finding<'static> {
    let mut finding = Finding::new(source, class, cloud, "f-1", Product::default());
    finding.severity = Severity::High;
    finding
}

fn resource(cloud: Cloud, account: &'static str) -> Resource<'static> {
    let mut resource = Resource::new(cloud, "r-1");
    resource.account = (!account.is_empty()).then(|| Account { uid: account.into(), name: None });
    resource
}

fn ask(rules: &str, finding: &Finding<'_>) -> Decision {
    let rules = RuleSet::load([("rules.yaml", rules)]).unwrap_or_else(|errors| panic!("{errors:?}"));
    decide(&rules, finding, &resource(finding.cloud, "111122223333"), NOW)
}

fn open() -> Finding<'static> {
    finding(Source::SecurityHub, FindingClass::Compliance, Cloud::Aws)
}

/// The rule that decides, or `-`.
fn winner(decision: &Decision) -> &str {
    decision.rule.as_deref().unwrap_or("-")
}

#[test]
fn the_first_match_decides_and_says_why() {
    let decision = ask(
        "rule: low\nwhen: finding.severity <= LOW\nmode: record\norder: 1\n---\n\
         rule: high\nwhen: >-\n  finding.severity >= HIGH\n  && finding.cloud == 'aws'\nmode: auto\nscope: [aws/1111*]\norder: 2\n\
         do: [fix: recommended, {notify: {channel: ops}}]\nlimits: {per_hour: 3}\naccept_unproven: [x]\napprovers: {another_person: true}\n---\n\
         rule: rest\nmode: record\norder: 3\n",
        &open(),
    );
    assert_eq!(winner(&decision), "high");
    assert_eq!(decision.mode, Mode::Auto);
    assert_eq!(decision.steps, [Step::Fix(FixRef::Recommended), Step::Notify { channel: "ops".to_owned() }]);
    assert_eq!((decision.limits.per_hour, decision.approvers.another_person), (3, true));
    assert_eq!(decision.accept_unproven, ["x"]);
    assert_eq!(decision.reasons, ["rule `high` matches: finding.severity >= HIGH && finding.cloud == 'aws'"]);
    assert!(decision.skipped.is_empty());
}

#[test]
fn order_comes_before_name_and_name_before_file() {
    let rules = "rule: b\nmode: record\n---\nrule: a\nmode: record\n---\nrule: z\nmode: record\norder: 5\n---\nrule: y\nenabled: false\nmode: record\norder: 1\n";
    assert_eq!(winner(&ask(rules, &open())), "z");
    assert_eq!(winner(&ask("rule: b\nmode: record\n---\nrule: a\nmode: record\n", &open())), "a");
}

#[test]
fn nothing_matches_is_only_recorded() {
    let decision = ask("rule: a\nwhen: finding.severity > HIGH\nmode: approve\ndo: [fix: x]\n", &open());
    assert_eq!(decision, Decision::record("no rule matches"));
    assert_eq!((decision.mode, decision.steps.len()), (Mode::Record, 0));
    assert_eq!(ask("", &open()).reasons, ["no rule matches"]);
}

#[test]
fn what_is_a_sample_or_closed_is_only_recorded() {
    let rules = "rule: all\nmode: auto\nscope: ['*']\ndo: [fix: recommended]\n";
    assert_eq!(ask(rules, &open()).mode, Mode::Auto);
    let mut sample = open();
    sample.sample = true;
    assert_eq!(ask(rules, &sample), Decision::record("a sample or test finding is never acted on"));
    let mut closed = open();
    closed.activity = Activity::Close;
    assert_eq!(ask(rules, &closed), Decision::record("the source closed the finding"));
    let mut muted = open();
    muted.status = FindingStatus::Suppressed;
    assert_eq!(ask(rules, &muted), Decision::record("the source says suppressed"));
    let mut passing = open();
    passing.compliance = Some(Compliance { status: ComplianceStatus::Pass, ..Compliance::default() });
    assert_eq!(ask(rules, &passing), Decision::record("the check passes"));
}

#[test]
fn a_condition_that_fails_is_no_match_and_takes_the_right_to_write_unasked() {
    let broken = "rule: broken\nwhen: finding.region.startsWith('eu')\nmode: record\norder: 1\n---\n";
    for (mode, expected) in [("auto", Mode::Approve), ("approve", Mode::Approve), ("plan", Mode::Plan)] {
        let decision = ask(&format!("{broken}rule: next\nmode: {mode}\nscope: ['*']\ndo: [fix: x]\n"), &open());
        assert_eq!((winner(&decision), decision.mode), ("next", expected), "{mode}");
        let why = "`finding.region.startsWith('eu')`: `startsWith()` cannot be called on null with text";
        assert_eq!(decision.skipped, [Skipped { rule: "broken".to_owned(), why: why.to_owned() }]);
    }
    let decision = ask(&format!("{broken}rule: next\nmode: auto\nscope: ['*']\ndo: [fix: x]\n"), &open());
    assert_eq!(decision.reasons[1], "rule `broken` comes first and could not be evaluated, so `auto` becomes `approve`");

    let decision = ask("rule: typo\nwhen: finding.sevrity > 1\nmode: approve\ndo: [fix: x]\n", &open());
    assert_eq!((winner(&decision), decision.mode), ("-", Mode::Record));
    assert_eq!(decision.skipped[0].why, "`finding.sevrity > 1`: unknown attribute `sevrity` of `finding`; did you mean `severity`?");

    let decision = ask("rule: text\nwhen: finding.title\nmode: approve\ndo: [fix: x]\n", &open());
    assert_eq!(decision.skipped[0].why, "`finding.title`: a condition must be true or false, and this is text");

    let decision = ask(
        "rule: first\nmode: auto\nscope: ['*']\ndo: [fix: x]\norder: 0\n---\nrule: broken\nwhen: finding.title\nmode: record\n",
        &open(),
    );
    assert_eq!((winner(&decision), decision.mode), ("first", Mode::Auto), "a broken rule that comes later changes nothing");
}

#[test]
fn an_expired_rule_is_passed_over_and_reported() {
    let rules =
        "rule: old\nmode: approve\ndo: [fix: x]\nexpires: 2023-11-13\n---\nrule: today\nmode: plan\ndo: [fix: x]\nexpires: 2023-11-14\n";
    let decision = ask(rules, &open());
    assert_eq!((winner(&decision), decision.mode), ("today", Mode::Plan));
    assert_eq!(decision.skipped, [Skipped { rule: "old".to_owned(), why: "expired: its last day was 2023-11-13".to_owned() }]);
}

#[test]
fn a_scope_holds_by_cloud_and_account() {
    let azure = "4d1b3c1e-0000-4000-8000-00000000AbCd";
    for (scope, cloud, account, expected) in [
        ("*", Cloud::Aws, "", true),
        ("aws/*", Cloud::Aws, "111122223333", true),
        ("aws/111122223333", Cloud::Aws, "111122223333", true),
        ("aws/1111", Cloud::Aws, "111122223333", false),
        ("aws/1111*", Cloud::Gcp, "1111", false),
        ("aws/*", Cloud::Aws, "", false),
        ("azure/subscriptions/4d1b3c1e-*-abcd", Cloud::Azure, azure, false),
        ("azure/subscriptions/4d1b3c1e-*abcd", Cloud::Azure, azure, true),
        ("azure/subscriptions/*", Cloud::Aws, "111122223333", false),
        ("gcp/projects/shop-*", Cloud::Gcp, "shop-eu", true),
        ("gcp/projects/shop-*", Cloud::Gcp, "workshop-eu", false),
    ] {
        let rules = RuleSet::load([("r.yaml", format!("rule: a\nmode: plan\ndo: [fix: x]\nscope: ['{scope}']\n"))]).unwrap();
        let finding = finding(Source::Ocsf, FindingClass::Compliance, cloud);
        let decision = decide(&rules, &finding, &resource(cloud, account), NOW);
        assert_eq!(decision.rule.is_some(), expected, "{scope} {cloud} {account}");
    }
    let rules = RuleSet::load([("r.yaml", "rule: a\nmode: plan\ndo: [fix: x]\nscope: [aws/1, aws/2]\n")]).unwrap();
    let mut finding = open();
    finding.account = Some(Account { uid: "2".into(), name: None });
    assert_eq!(decide(&rules, &finding, &resource(Cloud::Aws, ""), NOW).mode, Mode::Plan, "the finding's account stands in");
    assert_eq!(decide(&rules, &finding, &resource(Cloud::Aws, "3"), NOW).mode, Mode::Record, "the resource's account goes first");
}

#[test]
fn a_trigger_takes_its_kind_of_finding() {
    use FindingClass::{Compliance, Detection, Vulnerability};
    for (source, class, kind) in [
        (Source::DefenderAlert, Detection, "alert"),
        (Source::SecurityHubV2, Detection, "alert"),
        (Source::DefenderAssessment, Compliance, "recommendation"),
        (Source::DefenderCompliance, Compliance, "compliance"),
        (Source::Prowler, Compliance, "compliance"),
        (Source::DefenderSubAssessment, Vulnerability, "vulnerability"),
    ] {
        let finding = finding(source, class, Cloud::Aws);
        for on in ["alert", "recommendation", "compliance", "vulnerability", "finding"] {
            let decision = ask(&format!("rule: a\nmode: plan\ndo: [fix: x]\non: [{on}]\n"), &finding);
            assert_eq!(decision.rule.is_some(), on == kind || on == "finding", "{source} on {on}");
        }
    }
}

#[test]
fn a_decision_survives_its_record() {
    let mut decision =
        ask("rule: a\nmode: approve\nscope: ['*']\ndo: [fix: x, {notify: {channel: c}}]\nlimits: {per_account: 7}\n", &open());
    decision.skipped.push(Skipped { rule: "b".to_owned(), why: "c".to_owned() });
    let json = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
    assert_eq!(serde_json::from_str::<Decision>(r#"{"mode":"record"}"#).unwrap(), Decision::default());
    assert!(serde_json::from_str::<Decision>(r#"{"mode":"maybe"}"#).is_err());
}
