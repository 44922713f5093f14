//! The fix language: what is accepted, what is refused and how it is said, and what planning makes of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Fix, Observed};
use crate::api::{ApiCall, ApiResponse};
use crate::cloud::{Cloud, Resource};
use crate::finding::{Finding, FindingClass, Product, Source};
use crate::plan::{Bindings, FindError, Late, LateSource, Outcome, Plan, Snapshot, bind, found, plan, undo};
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

const MAKES: &str = r#"
fix: aws-test-copy-things
title: A fix that makes something for each thing
remediates: [alert/Test]
resource: AwsTestThing
activity: harden
undo: exact
disruption: none
permissions: [test:DescribeThings, test:CreateThing, test:DescribeMade, test:DeleteThing]
source: https://example.com/doc
observe:
  things:
    call: test.DescribeThings
    take: "{'missing': response.Missing}"
when: size(things.missing) > 0
change:
  - title: Copy ${item}
    for_each: things.missing
    call: test.CreateThing
    input: {Of: "${item}", Tag: "${client_token}"}
    repeat: never
    gives: {copy: response.Id, at: response.Time}
    find:
      call: test.DescribeMade
      input: {Of: "${item}", Tag: "${client_token}"}
      gives: {copy: "response.Made[0].Id", at: "response.Made[0].Time"}
      absent: [NoSuchThing, 404]
    sets: {things.missing: "${without(things.missing, [item])}"}
    undo:
      - call: test.DeleteThing
        input: {Id: "${given.copy}"}
"#;

fn makes() -> Plan {
    let fix = Fix::parse("fix.yaml", MAKES).unwrap_or_else(|m| panic!("{m:?}"));
    let snapshot =
        Snapshot { values: json!({"things": {"missing": ["a", "b"]}}).as_object().expect("a map").clone(), ..Snapshot::default() };
    let product = Product { name: "x".into(), vendor: "x".into(), uid: None, version: None };
    let finding = Finding::new(Source::SecurityHub, FindingClass::Detection, Cloud::Aws, "u", product);
    let resource =
        Resource { kind: Some("AwsTestThing".into()), ..Resource::new(Cloud::Aws, "arn:aws:test:eu-west-1:111122223333:thing/t") };
    let Outcome::Plan(made) = plan(&fix, &Target::of(&finding, &resource).expect("a target"), &Map::new(), &snapshot).expect("planned")
    else {
        panic!("compliant")
    };
    *made
}

#[test]
fn each_item_has_results_of_its_own_and_is_put_back_by_them() {
    let made = makes();
    let names: Vec<Vec<&str>> = made.changes.iter().map(|c| c.gives.iter().map(|(name, _)| name.as_str()).collect()).collect();
    assert_eq!(names, [["at[0]", "copy[0]"], ["at[1]", "copy[1]"]]);
    let given: BTreeMap<String, Value> = ["copy[0]", "copy[1]"].map(|name| (name.to_owned(), json!(format!("id of {name}")))).into();
    let fix = Fix::parse("fix.yaml", MAKES).expect("parses");
    let back = undo(&fix, &made, &[0, 1], &Snapshot::default(), &given).expect("an undo");
    let inputs: Vec<Value> = back.changes.iter().map(|c| serde_json::to_value(&c.request).expect("json")["input"].clone()).collect();
    assert_eq!(inputs, [json!({"Id": "id of copy[1]"}), json!({"Id": "id of copy[0]"})]);
}

#[test]
fn what_a_lost_write_made_is_found_by_its_token() {
    let made = makes();
    let find = made.changes[1].find.clone().expect("a find");
    assert_eq!(find.late, [Late { at: "/input/Tag".into(), from: LateSource::ClientToken }]);
    let nothing = Snapshot::default();
    let bindings = Bindings { snapshot: &nothing, given: &BTreeMap::new(), client_token: "t-1", sealed: &BTreeMap::new() };
    let sent = bind(&find.request, &find.late, bindings).expect("bound");
    assert_eq!(serde_json::to_value(&sent).expect("json")["input"], json!({"Of": "b", "Tag": "t-1"}));

    let answers = |body: Value| found(&find, &ApiResponse::ok(body));
    let there = answers(json!({"Made": [{"Id": "i", "Time": 7}]})).expect("told").expect("found");
    assert_eq!(there, BTreeMap::from([("at[1]".to_owned(), json!(7)), ("copy[1]".to_owned(), json!("i"))]));
    assert_eq!(answers(json!({"Made": []})).expect("told"), None);
    assert_eq!(found(&find, &ApiResponse::fault(400, "NoSuchThing", "")).expect("told"), None);
    assert_eq!(found(&find, &ApiResponse::fault(404, "AnyCode", "")).expect("told"), None);
    assert!(matches!(answers(json!({"Made": [{"Id": "i"}]})), Err(FindError::Partial { missing, .. }) if missing == ["at[1]"]));
    assert!(matches!(answers(json!({"Made": [], "NextToken": "more"})), Err(FindError::MorePages { .. })), "half a list is no list");
    assert!(matches!(found(&find, &ApiResponse::fault(403, "Denied", "")), Err(FindError::Refused { status: 403, .. })));
    assert!(matches!(answers(json!("text")), Err(FindError::Expression(_))));
}

#[test]
fn a_find_is_part_of_the_hash_and_of_the_permissions_and_plans_without_keep_their_form() {
    let made = makes();
    let mut other = made.clone();
    other.changes[0].find.as_mut().expect("a find").absent.clear();
    assert_ne!(other.hash(), made.hash());
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&made).expect("json")).expect("a plan");
    assert_eq!((&stored, stored.hash()), (&made, made.hash()));
    assert!(!serde_json::to_string(&planned(&open())).expect("json").contains("find"), "a plan stored before there was any reads the same");
    let fix = Fix::parse("fix.yaml", &MAKES.replace("test:DescribeMade, ", "")).expect("parses");
    assert_eq!(fix.missing_permissions(), ["test:DescribeMade"]);
}

#[test]
fn a_find_or_a_result_that_cannot_be_is_shown() {
    for (from, to, expected) in [
        ("gives: {copy: \"response.Made[0].Id\", at: \"response.Made[0].Time\"}", "gives: {copy: response.Id}", "give `at`, `copy`"),
        ("    gives: {copy: response.Id, at: response.Time}\n", "", "`find` must give the results"),
        ("call: test.DescribeMade", "call: test.DeleteMade", "`find` changes something"),
        ("Id: \"${given.copy}\"", "Id: \"${given.cpy}\"", "nothing that is known here gives `cpy`"),
        ("input: {Of: \"${item}\", Tag: \"${client_token}\"}", "input: {Of: \"${given.copy}\"}", "nothing that is known here gives `copy`"),
        ("Made[0].Id", "Mad[0].", "Mad[0]."),
    ] {
        assert!(MAKES.contains(from), "{from}");
        let mistakes = Fix::parse("fix.yaml", &MAKES.replacen(from, to, 1)).expect_err(to);
        let shown = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(shown.contains(expected), "{to}: {shown}");
    }
    let (head, find) = MAKES.split_once("    find:").expect("a find");
    let without = format!("{head}    sets:{}", find.split_once("    sets:").expect("sets").1);
    Fix::parse("fix.yaml", &without).expect("a change that is never sent again may go without");
    let mistakes = Fix::parse("fix.yaml", &without.replace("repeat: never", "repeat: conditional")).expect_err("no find");
    assert!(mistakes[0].to_string().contains("has no `find`"), "{mistakes:?}");
    let change = MAKES.split_once("change:\n").expect("a change").1;
    let twice = Fix::parse("fix.yaml", &format!("{MAKES}{change}")).expect_err("twice");
    assert!(twice[0].to_string().contains("gives `at` already"), "{twice:?}");
    let later = change.replace("Of: \"${item}\"", "Of: \"${given.copy}\"").replace("copy:", "more:").replace(" at:", " then:");
    let later = Fix::parse("fix.yaml", &format!("{MAKES}{later}")).expect_err("one for each item");
    assert!(later[0].to_string().contains("gives `copy`"), "{later:?}");
}
