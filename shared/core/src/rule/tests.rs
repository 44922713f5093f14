use super::*;

fn load(text: &str) -> Result<RuleSet, Vec<String>> {
    RuleSet::load([("rules.yaml", text)]).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The one mistake a file has, as people see it.
fn mistake(text: &str) -> String {
    let mut errors = load(text).expect_err(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// The one fault `check` finds.
fn fault(text: &str) -> String {
    let errors = load(text).unwrap().check();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

const FULL: &str = "\
rule: close-public-databases
description: SQL servers must not be reachable from the internet
enabled: true
on: [recommendation, compliance]
scope: [azure/subscriptions/*, aws/111122223333, gcp/projects/shop-*]
when: finding.severity >= HIGH && finding.title.contains('SQL') && resource.tags['env'] != 'sandbox'
order: 50
mode: approve
do:
  - fix: recommended
  - fix: azure-sql-deny-public-network
  - notify: {channel: teams-secops}
limits: {per_hour: 10, per_account: 5}
expires: 2027-03-31
accept_unproven: [azure-sql-deny-public-network]
approvers: {another_person: true}
backlog: true
";

#[test]
fn every_key_is_read() {
    let rules = load(FULL).unwrap();
    let rule = rules.get("close-public-databases").unwrap();
    assert_eq!(rule.description.as_deref(), Some("SQL servers must not be reachable from the internet"));
    assert_eq!(rule.on, [Trigger::Recommendation, Trigger::Compliance]);
    let scope: Vec<String> = rule.scope.iter().map(ToString::to_string).collect();
    assert_eq!(scope, ["azure/subscriptions/*", "aws/111122223333", "gcp/projects/shop-*"]);
    assert_eq!((rule.order, rule.mode, rule.enabled), (50, Mode::Approve, true));
    let steps = [
        Step::Fix(FixRef::Recommended),
        Step::Fix(FixRef::Named("azure-sql-deny-public-network".to_owned())),
        Step::Notify { channel: "teams-secops".to_owned() },
    ];
    assert_eq!(rule.steps, steps);
    assert_eq!(rule.limits, Limits { per_hour: 10, per_account: Some(5) });
    assert_eq!(rule.expires, Some(jiff::civil::date(2027, 3, 31)));
    assert_eq!(rule.accept_unproven, ["azure-sql-deny-public-network"]);
    assert!(rule.approvers.another_person && rule.backlog && rules.takes_backlog());
    assert_eq!(rule.file, "rules.yaml");
    assert_eq!(rules.check(), []);
}

#[test]
fn what_is_left_out_has_a_default() {
    let rules = load("rule: a\nmode: record\n").unwrap();
    let rule = rules.get("a").unwrap();
    assert!(rule.enabled && rule.on.is_empty() && rule.scope.is_empty() && rule.when.is_none() && rule.steps.is_empty());
    assert_eq!((rule.order, rule.limits, rule.expires), (100, Limits::default(), None));
    assert_eq!(rule.limits.per_hour, 20);
    assert!(!rule.approvers.another_person && !rule.backlog && !rules.takes_backlog());
    assert!(load("").unwrap().is_empty() && load("# only a comment\n").unwrap().is_empty());
}

#[test]
fn rules_are_asked_by_order_then_name_across_files_and_documents() {
    let rules = RuleSet::load([
        ("1.yaml", "rule: c\nmode: record\n---\nrule: b\nmode: record\norder: 7\n"),
        ("2.yaml", "rule: a\nmode: record\n---\nrule: d\nmode: record\norder: 0\n"),
    ])
    .unwrap();
    assert_eq!(rules.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["d", "b", "a", "c"]);
    assert_eq!((rules.len(), rules.is_empty()), (4, false));
}

#[test]
fn modes_and_steps_are_text_in_records_too() {
    for text in ["record", "plan", "approve", "auto"] {
        let mode = Mode::parse(text).unwrap();
        assert_eq!(serde_json::to_value(mode).unwrap(), text);
        assert_eq!(serde_json::from_value::<Mode>(text.into()).unwrap(), mode);
    }
    for text in ["canary(5)", "Auto", ""] {
        assert_eq!(Mode::parse(text), None, "{text}");
        assert!(serde_json::from_value::<Mode>(text.into()).is_err(), "{text}");
    }
    let steps = load(FULL).unwrap().get("close-public-databases").unwrap().steps.clone();
    let json = serde_json::json!([
        {"fix": "recommended"}, {"fix": "azure-sql-deny-public-network"}, {"notify": {"channel": "teams-secops"}}
    ]);
    assert_eq!(serde_json::to_value(&steps).unwrap(), json);
    assert_eq!(serde_json::from_value::<Vec<Step>>(json).unwrap(), steps);
}

#[test]
fn a_misspelt_key_shows_its_line_and_the_nearest() {
    assert_eq!(
        mistake("rule: a\nwen: 'true'\nmode: plan\n"),
        "rules.yaml:2:1: unknown key `wen`\n  |\n2 | wen: 'true'\n  | ^\nhint: did you mean `when`?"
    );
    assert_eq!(
        mistake("rule: a\nmode: plan\ndo:\n  - fix: x\n  - notify: {chanel: b}\n"),
        "rules.yaml:5:14: unknown key `chanel`\n  |\n5 |   - notify: {chanel: b}\n  |              ^\nhint: did you mean `channel`?"
    );
}

#[test]
fn a_bad_value_says_what_was_expected() {
    for (text, at, message, hint) in [
        ("rule: a\nmode: aproove\n", "2:7", "`aproove` is no mode", "did you mean `approve`?"),
        ("rule: a\nmode: canary\n", "2:7", "`canary` is no mode", "expected one of record, plan, approve, auto"),
        ("rule: a\nmode: record\non: [alert, alerts]\n", "3:13", "`alerts` is no kind of finding", "did you mean `alert`?"),
        ("rule: a\nmode: record\non: alert\n", "3:5", "expected a list", "write it in brackets, as in `[a, b]`"),
        (
            "rule: a\nmode: record\nscope: [azure/*]\n",
            "3:9",
            "`azure/*` is no scope",
            "write `*`, `azure/subscriptions/<id>`, `aws/<account>` or `gcp/projects/<id>`; an id may hold `*`",
        ),
        ("rule: a\nmode: record\nexpires: soon\n", "3:10", "`soon` is no date", "write the last day it applies, as in `2027-03-31`"),
        (
            "rule: a\nmode: record\ndo:\n  - {fix: a, notify: {channel: b}}\n",
            "4:5",
            "a step is one fix or one notification",
            "write `- fix: recommended`, `- fix: <name>` or `- notify: {channel: <name>}`",
        ),
        ("rule: a b\nmode: record\n", "1:7", "`a b` is no rule name", "use letters, digits, `-`, `_` and `.`"),
        ("mode: record\n", "1:1", "the key `rule` is missing", "a rule begins with its name, as in `rule: close-public-buckets`"),
        (
            "rule: a\nmode: plan\nmode: auto\n",
            "3:1",
            "the key `mode` stands twice",
            "remove one; two rules in one file are divided by a line `---`",
        ),
        (
            "rule: a\nmode: auto\ndo: [fix: x]\n",
            "2:7",
            "mode `auto` writes without asking, and the rule has no `scope`",
            "name the accounts, or write `scope: ['*']` for everywhere",
        ),
        (
            "rule: a\nmode: plan\ndo: [{notify: {channel: b}}]\n",
            "2:7",
            "mode `plan` needs a fix, and `do` names none",
            "add `- fix: recommended` under `do`, or use mode `record`",
        ),
    ] {
        let shown = mistake(text);
        assert!(shown.starts_with(&format!("rules.yaml:{at}: {message}\n")), "{shown}");
        assert!(shown.ends_with(&format!("\nhint: {hint}")), "{shown}");
    }
    assert!(mistake("rule: a\norder: first\nmode: plan\n").starts_with("rules.yaml:2:8: invalid u32"), "a type clash keeps its place");
}

#[test]
fn every_mistake_of_every_file_is_reported() {
    let errors =
        RuleSet::load([("1.yaml", "rule: [\n"), ("2.yaml", "rule: a\nmode: x\non: [y]\n"), ("3.yaml", "rule: b\nmode: plan\nz: 1\n")])
            .unwrap_err();
    let places: Vec<String> = errors.iter().map(|e| e.to_string().split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["1.yaml:1:7", "2.yaml:3:6", "2.yaml:2:7", "3.yaml:3:1"]);
}

#[test]
fn a_name_used_twice_names_both_files() {
    let errors = RuleSet::load([("1.yaml", "# x\nrule: a\nmode: record\n"), ("2.yaml", "rule: a\nmode: record\n")]).unwrap_err();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2.yaml:1: a rule named `a` stands already in 1.yaml:2\nhint: rename one; records and caps refer to rules by name"]
    );
}

#[test]
fn a_fault_in_a_condition_is_shown_where_it_stands() {
    assert_eq!(
        fault("rule: a\nmode: record\nwhen: finding.severity >= HIGH && finding.titel == 'x'\n"),
        "rules.yaml:3:43: `when`: unknown attribute `titel` of `finding`\n  |\n3 | when: finding.severity >= HIGH && finding.titel == 'x'\n  \
         |                                           ^\nhint: did you mean `title`?"
    );
    for (when, at) in [
        ("when: findng.severity > 1", "3:7"),
        ("when: \"finding.title == 'é' && findng.severity > 1\"", "3:32"),
        ("when: 'finding.title == ''é'' && findng.severity > 1'", "3:34"),
        ("when: \"finding.title == \\\"é\\\" && findng.severity > 1\"", "3:34"),
        ("when: >-\n  finding.title == 'é'\n  && findng.severity > 1", "5:6"),
        ("when: |\n    finding.title == 'é'\n      && findng.severity > 1", "5:10"),
        ("when: finding.title == 'é'\n  &&\n  findng.severity > 1", "5:3"),
    ] {
        let shown = fault(&format!("rule: a\nmode: record\n{when}\norder: 3\n"));
        assert!(shown.starts_with(&format!("rules.yaml:{at}: `when`: unknown variable `findng`\n")), "{shown}");
        assert!(shown.ends_with("hint: did you mean `finding`?"), "{shown}");
    }
    let shown = fault("rule: a\nmode: record\nwhen: (finding.sample\n");
    assert!(shown.starts_with("rules.yaml:3:22: `when`: syntax error at 1:16: missing ')' at '<EOF>'\n"), "{shown}");
}

#[test]
fn conditions_are_compiled_on_first_use() {
    let rules = load("rule: a\nmode: record\nwhen: nonsense(\n---\nrule: b\nmode: record\nwhen: 'true'\n").unwrap();
    assert!(rules.iter().all(|r| r.when.as_ref().unwrap().compiled.get().is_none()));
    assert_eq!(rules.check().len(), 1);
    assert!(rules.iter().all(|r| r.when.as_ref().unwrap().compiled.get().is_some()));
}

#[test]
fn a_rule_lives_through_its_last_day() {
    let rules = load("rule: a\nmode: record\nexpires: 1970-01-10\n---\nrule: b\nmode: record\n").unwrap();
    let day = 86_400_000;
    let expired = |now| rules.expired(now).map(|r| r.name.as_str()).collect::<Vec<_>>();
    assert!(expired(0).is_empty() && expired(10 * day - 1).is_empty());
    assert_eq!(expired(10 * day), ["a"]);
    assert_eq!(expired(i64::MAX), ["a"], "a time outside the calendar is past every day");
}

#[test]
fn the_digest_tells_a_changed_set_whatever_the_files_are_called() {
    let digest = |files: &[(&str, &str)]| RuleSet::load(files.iter().copied()).unwrap().digest().to_owned();
    let (a, b) = ("rule: a\nmode: record\n", "rule: b\nmode: record\n");
    let first = digest(&[("1.yaml", a), ("2.yaml", b)]);
    assert_eq!(digest(&[("x/2.yaml", b), ("x/9.yaml", a)]), first);
    assert_ne!(digest(&[("1.yaml", a)]), first);
    assert_ne!(digest(&[("1.yaml", a), ("2.yaml", "rule: b\nmode: record\nbacklog: true\n")]), first);
}
