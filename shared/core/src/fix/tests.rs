//! The fix language: what is accepted, what is refused and how it is said, and what planning makes of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Fix, Observed};
use crate::api::{ApiCall, ApiResponse};
use crate::cloud::{Cloud, Resource};
use crate::finding::{Finding, FindingClass, Product, Source};
use crate::plan::{Bindings, LateSource, Outcome, Plan, Snapshot, bind, plan, undo};
use crate::target::Target;

const FIX: &str = r#"
fix: azure-test-set-secret
title: A fix for tests
remediates: [defender/key]
resource: Microsoft.Test/things
activity: harden
undo: exact
disruption: low
permissions: [Microsoft.Test/things/read, Microsoft.Test/things/write]
source: https://example.com/doc
observe:
  thing:
    call: GET ${resource.uid}?api-version=1
    take: "{'open': response.properties.open, 'secret': response.properties.secret, 'list': response.properties.list}"
    tokens: {etag: header.etag}
    sensitive: [secret]
    gone: [ResourceNotFound]
when: thing.open == true
change:
  - title: Close ${resource.name}
    call: PATCH ${resource.uid}?api-version=1
    headers: {If-Match: "${token.thing.etag}"}
    body: {properties: {open: false, list: "${thing.list}", note: "was ${thing.open}", absent: "${thing.nothing}"}}
    repeat: conditional
    sets: {thing.open: false}
    undo:
      - call: PATCH ${resource.uid}?api-version=1
        body: {properties: {open: true, secret: "${thing.secret}"}}
"#;

const UID: &str = "/subscriptions/S/resourceGroups/g/providers/Microsoft.Test/things/a b";

fn fix() -> Fix {
    Fix::parse("fix.yaml", FIX).unwrap_or_else(|m| panic!("{m:?}"))
}

fn target() -> Target {
    let product = Product { name: "x".into(), vendor: "x".into(), uid: None, version: None };
    let finding = Finding::new(Source::DefenderAssessment, FindingClass::Compliance, Cloud::Azure, "u", product);
    Target::of(&finding, &Resource::new(Cloud::Azure, UID)).expect("a target")
}

fn answer(properties: Value, etag: &str) -> ApiResponse {
    let headers = BTreeMap::from([("etag".to_owned(), etag.to_owned())]);
    ApiResponse { headers, ..ApiResponse::ok(json!({ "properties": properties })) }
}

fn observed(properties: Value, etag: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    assert_eq!(fix().take(0, &answer(properties, etag), &mut snapshot).expect("taken"), Observed::Taken);
    snapshot
}

fn planned(snapshot: &Snapshot) -> Plan {
    match plan(&fix(), &target(), &Map::new(), snapshot).expect("planned") {
        Outcome::Plan(plan) => *plan,
        Outcome::Compliant => panic!("compliant"),
    }
}

fn open() -> Snapshot {
    observed(json!({"open": true, "secret": "hunter2", "list": [1, 2]}), "etag-one")
}

#[test]
fn a_request_is_complete_typed_and_encoded() {
    let request = &planned(&open()).changes[0].request;
    let ApiCall::Http(http) = &request.call else { panic!("{request:?}") };
    assert_eq!(http.host, "management.azure.com");
    assert_eq!(http.path, UID.replace(' ', "%20"));
    assert_eq!(http.query, BTreeMap::from([("api-version".to_owned(), "1".to_owned())]));
    let body = http.body.clone().expect("a body");
    assert_eq!(body, json!({"properties": {"open": false, "list": [1, 2], "note": "was true"}}), "an absent value omits its member");
}

#[test]
fn late_parts_are_references_in_the_plan_and_values_when_sent() {
    let snapshot = open();
    let plan = planned(&snapshot);
    let change = &plan.changes[0];
    assert_eq!(change.late[0].from, LateSource::Token { observe: "thing".into(), name: "etag".into() });
    assert!(!serde_json::to_string(&plan).expect("json").contains("etag-one"), "no token in the plan");
    let bindings = Bindings { snapshot: &snapshot, given: &BTreeMap::new(), client_token: "t", sealed: &BTreeMap::new() };
    let ApiCall::Http(sent) = bind(&change.request, &change.late, bindings).expect("bound").call else { panic!("http") };
    assert_eq!(sent.headers["If-Match"], "etag-one");
    let nothing = Snapshot::default();
    let unbound = bind(&change.request, &change.late, Bindings { snapshot: &nothing, ..bindings }).unwrap_err();
    assert!(unbound.to_string().contains("not known"), "{unbound}");
}

#[test]
fn the_hash_binds_to_what_happens_and_to_nothing_else() {
    let hash = planned(&open()).hash();
    assert_eq!(planned(&observed(json!({"open": true, "secret": "hunter2", "list": [1, 2]}), "e2")).hash(), hash, "an etag is not in it");
    assert_ne!(planned(&observed(json!({"open": true, "secret": "hunter3", "list": [1, 2]}), "e1")).hash(), hash, "a sealed value is");
    assert_ne!(planned(&observed(json!({"open": true, "secret": "hunter2", "list": [2, 1]}), "e1")).hash(), hash);
    let mut titled = planned(&open());
    titled.title = "another title".into();
    titled.changes[0].title = "another".into();
    assert_eq!(titled.hash(), hash, "titles are not in it");
    let mut altered = planned(&open());
    altered.changes[0].sets[0].after = json!(true);
    assert_ne!(altered.hash(), hash);
}

#[test]
fn sensitive_values_never_show_and_still_come_back() {
    let snapshot = open();
    let plan = planned(&snapshot);
    for shown in [serde_json::to_string(&plan), serde_json::to_string(&snapshot), serde_json::to_string(&plan.diff().len())] {
        assert!(!shown.expect("json").contains("hunter2"));
    }
    assert_eq!(snapshot.sealed["thing.secret"], json!("hunter2"));
    let undo = undo(&fix(), &plan, &[0], &open(), &BTreeMap::new()).expect("an undo");
    let change = &undo.changes[0];
    let sealed = BTreeMap::from([("thing.secret".to_owned(), json!("hunter2"))]);
    let bindings = Bindings { snapshot: &snapshot, given: &BTreeMap::new(), client_token: "t", sealed: &sealed };
    let ApiCall::Http(sent) = bind(&change.request, &change.late, bindings).expect("bound").call else { panic!("http") };
    assert_eq!(sent.body.expect("a body")["properties"]["secret"], json!("hunter2"));
}

#[test]
fn what_a_cloud_says_cannot_pass_for_a_sealed_value_or_leave_its_place() {
    let forged = answer(json!({"open": true, "list": [{"$sealed": "thing.secret"}]}), "e");
    let error = fix().take(0, &forged, &mut Snapshot::default()).unwrap_err();
    assert!(error.to_string().contains("reserved"), "{error}");
    let text = FIX.replace(
        "call: PATCH ${resource.uid}?api-version=1\n    headers",
        "call: PATCH ${resource.uid}/parts/${thing.list[0]}?api-version=1\n    headers",
    );
    let fix = Fix::parse("fix.yaml", &text).expect("parses");
    let mut snapshot = Snapshot::default();
    fix.take(0, &answer(json!({"open": true, "list": ["../../evil?x=1"]}), "e"), &mut snapshot).expect("taken");
    let Outcome::Plan(plan) = plan(&fix, &target(), &Map::new(), &snapshot).expect("planned") else { panic!("compliant") };
    let ApiCall::Http(http) = &plan.changes[0].request.call else { panic!("http") };
    assert!(http.path.ends_with("/parts/..%2F..%2Fevil%3Fx%3D1"), "{}", http.path);
}

#[test]
fn answers_are_taken_gone_or_refused() {
    let take = |response: ApiResponse| fix().take(0, &response, &mut Snapshot::default());
    assert_eq!(take(ApiResponse::fault(404, "ResourceNotFound", "x")).expect("known"), Observed::Gone);
    for (response, said) in [
        (ApiResponse::fault(404, "SubscriptionNotFound", "x"), "SubscriptionNotFound"),
        (ApiResponse::fault(403, "AuthorizationFailed", "x"), "403"),
        (ApiResponse::ok(json!({"properties": {}})), "no token"),
        (
            ApiResponse { headers: BTreeMap::from([("etag".into(), "e".into())]), ..ApiResponse::ok(json!({"nextLink": "https://more"})) },
            "more pages",
        ),
    ] {
        let error = take(response).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    for (from, to, expected) in [
        ("when: thing.open", "when: thng.open", "fix.yaml:18:7: `thng.open == true`: unknown variable `thng`"),
        ("activity: harden", "activty: harden", "fix.yaml:6:1:"),
        ("repeat: conditional", "repeat: sometimes", "fix.yaml:24:"),
        ("undo: exact", "undo: maybe", "`undo` says nothing known"),
        ("fix: azure-test-set-secret", "fix: Set_Secret", "is no fix name"),
        ("sets: {thing.open: false}", "sets: {thin.open: false}", "did you mean `thing`?"),
        ("permissions: [Microsoft.Test/things/read, Microsoft.Test/things/write]", "permissions: []", "`permissions` is empty"),
        ("remediates: [defender/key]", "remediates: [key]", "names no trigger"),
        ("call: GET ${resource.uid}", "call: FETCH ${resource.uid}", "is no HTTP call"),
        ("${token.thing.etag}", "W/${token.thing.etag}", "must stand alone"),
        ("activity: harden", "activity: isolate", "`expires_after`"),
        ("note: \"was ${thing.open}\"", "note: \"was ${thing.open\"", "without its `}`"),
    ] {
        assert!(FIX.contains(from), "{from}");
        let mistakes = Fix::parse("fix.yaml", &FIX.replacen(from, to, 1)).expect_err(to);
        let shown = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(shown.contains(expected), "{to}: {shown}");
    }
}

#[test]
fn a_change_without_its_way_back_is_refused() {
    let cut = FIX.split("    undo:\n").next().expect("a head");
    let mistakes = Fix::parse("fix.yaml", cut).expect_err("no undo");
    assert!(mistakes[0].to_string().contains("has no `undo`"), "{mistakes:?}");
}
