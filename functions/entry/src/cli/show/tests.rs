use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiCall, ApiRequest, HttpCall, Method};
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::fix::{Activity, Disruption, Evidence, Repeat, UndoClass};
use stanch_core::guard::{Check, GuardReport, Verdict};
use stanch_core::plan::{Change, FieldChange, Late, LateSource, PLAN_FORMAT, Plan, PlanKind};

use super::*;

fn plan() -> Plan {
    let path =
        "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopinvoices";
    let http = HttpCall {
        method: Method::Patch,
        host: "management.azure.com".into(),
        path: path.into(),
        query: BTreeMap::from([("api-version".into(), "2024-01-01".into())]),
        headers: BTreeMap::new(),
        body: Some(json!({"properties": {"allowBlobPublicAccess": false}})),
    };
    let request = ApiRequest { cloud: Cloud::Azure, account: "s1".into(), region: None, correlation: None, call: ApiCall::Http(http) };
    let sets = vec![
        FieldChange { path: "account.public".into(), before: json!(true), after: json!(false) },
        FieldChange { path: "account.key".into(), before: json!({"$sealed": "account.key", "sha256": "00"}), after: Value::Null },
        FieldChange { path: "account.rules".into(), before: json!(["0.0.0.0/0", "10.0.0.0/8"]), after: json!(["10.0.0.0/8"]) },
    ];
    let change = Change {
        title: "Disallow public blobs of shopinvoices".into(),
        request,
        late: vec![Late { at: "/headers/If-Match".into(), from: LateSource::Token { observe: "account".into(), name: "etag".into() } }],
        repeat: Repeat::Conditional,
        sets,
        gives: Vec::new(),
        find: None,
        ok: Vec::new(),
        undo: Vec::new(),
    };
    Plan {
        format: PLAN_FORMAT,
        kind: PlanKind::Fix,
        fix: "azure-storage-disallow-public-blob".into(),
        title: "Disallow anonymous access to blobs".into(),
        fix_digest: "d".into(),
        activity: Activity::Harden,
        undo: UndoClass::Lossy("the key is not put back".into()),
        disruption: Disruption::MayBreakClients,
        evidence: Evidence { schema: Some("x".into()), ..Evidence::default() },
        params: Map::new(),
        cloud: Cloud::Azure,
        account: "00000000-0000-4000-8000-000000000001".into(),
        region: Some("westeurope".into()),
        resource: ResourceUid::canonical(Cloud::Azure, path),
        observed: Map::new(),
        changes: vec![change],
        expires_after_ms: None,
    }
}

fn guard() -> GuardReport {
    let check = |guard: &str, verdict, why: &str| Check { guard: guard.into(), verdict, why: why.into() };
    GuardReport {
        checks: vec![
            check("kill-switch", Verdict::Pass, "writes are on"),
            check("cap", Verdict::Refuse, "the rule's cap for this hour is used up"),
            check("mode", Verdict::Ask, "the rule's mode is `plan`"),
        ],
    }
}

#[test]
fn a_plan_shows_every_change_field_by_field_and_what_stands_against_it() {
    let mut page = Page::new(false);
    page.plan(&plan(), &"ab".repeat(32), Some(&guard()));
    let expected = "\
Disallow anonymous access to blobs
  fix         azure-storage-disallow-public-blob
  proven by   schema
  resource    /subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/shop/providers/
              microsoft.storage/storageaccounts/shopinvoices
  account     azure 00000000-0000-4000-8000-000000000001, westeurope
  undo        lossy: the key is not put back
  disruption  may break clients that relied on the fault

  change 1 of 1: Disallow public blobs of shopinvoices
    PATCH management.azure.com/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/
      shop/providers/Microsoft.Storage/storageAccounts/shopinvoices
      ?api-version=2024-01-01
    headers.If-Match = <etag of the read `account`>
    - account.public: true
    + account.public: false
    - account.key: \"<sealed account.key>\"
    - account.rules[]: \"0.0.0.0/0\"

  refuses     cap: the rule's cap for this hour is used up
  asks        mode: the rule's mode is `plan`
  plan hash   abababababababababababababababababababababababababababababababab
";
    assert_eq!(page.finish(), expected);
}

#[test]
fn long_values_stay_readable_and_nothing_is_left_out() {
    let mut plan = plan();
    let policy = json!({"bindings": (0..4).map(|n| json!({"role": "roles/storage.objectViewer", "members": [format!("user:person{n}@example.com")]})).collect::<Vec<_>>()});
    plan.changes[0].sets = vec![FieldChange { path: "iam.bindings".into(), before: json!([policy]), after: json!([]) }];
    let mut page = Page::new(false);
    page.plan(&plan, "h", None);
    let text = page.finish();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    for n in 0..4 {
        assert!(text.contains(&format!("user:person{n}@example.com")), "{text}");
    }
    assert!(text.lines().filter(|line| line.contains("person")).all(|line| line.starts_with("    - ")), "{text}");
}

#[test]
fn colour_only_repeats_what_the_signs_say() {
    let (mut plain, mut coloured) = (Page::new(false), Page::new(true));
    plain.plan(&plan(), "h", Some(&guard()));
    coloured.plan(&plan(), "h", Some(&guard()));
    let coloured = coloured.finish();
    assert!(coloured.contains("\u{1b}[31m    - account.public: true\u{1b}[0m"));
    let mut bare = coloured;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, plain.finish());
}

#[test]
fn findings_left_alone_are_counted_by_reason() {
    let reasons = ["the check passes", "no rule matches", "the check passes"].map(str::to_owned);
    assert_eq!(left_alone(&reasons), "3 findings left alone: the check passes (2); no rule matches (1)");
}
