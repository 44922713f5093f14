//! Gates: what stops a write, and that nothing passes them by.

use stanch_core::cloud::Cloud;
use stanch_core::port::Store;
use stanch_core::remediation::ApprovalKind;
use stanch_core::state::{Resolution, State};

use crate::subjects::subject;
use crate::world::{World, now, turn_to, wait};

const BUCKET: &str = "aws-s3-block-public-access";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

fn approve_rules() -> String {
    "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n".into()
}

#[test]
fn the_default_rules_plan_and_write_nothing() {
    let world = World::with_rules(stanch_library::DEFAULT_RULES);
    let planned = world.open(&subject(BUCKET).finding());
    assert_eq!(planned.state, State::Planned, "{}", planned.note);
    assert_eq!(world.writes(), 0);
    assert!(planned.fix.is_some_and(|run| run.approval.is_none()));
}

#[test]
fn a_plan_waits_for_a_person_and_runs_when_that_plan_is_approved() {
    let world = World::with_rules(&approve_rules());
    let waiting = world.open(&subject(BUCKET).finding());
    assert_eq!((waiting.state, world.writes()), (State::AwaitingApproval, 0));
    let hash = waiting.fix.as_ref().expect("a plan").hash.clone();

    for wrong in ["000000000000", hash.get(..11).expect("a long hash")] {
        let refused = wait(world.engine.approve(waiting.id, "test:ann", Some(wrong))).unwrap_err();
        assert!(refused.to_string().contains(&hash), "{refused}");
    }
    wait(world.engine.approve(waiting.id, "test:ann", hash.get(..12))).expect("approved by its first twelve characters");
    world.rest(waiting.id);
    let fixed = world.load(waiting.id);
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    let approval = fixed.fix.and_then(|run| run.approval).expect("an approval");
    assert_eq!((approval.by.as_str(), approval.how), ("test:ann", ApprovalKind::ByPerson));
}

#[test]
fn a_plan_approved_for_one_state_is_refused_on_another() {
    let world = World::with_rules(&approve_rules());
    let waiting = world.open(&subject(BUCKET).finding());
    let old = waiting.fix.as_ref().expect("a plan").hash.clone();
    wait(world.engine.approve(waiting.id, "test:ann", Some(&old))).expect("approved");
    world
        .sandbox
        .edit(Cloud::Aws, subject(BUCKET).uid, |bucket| {
            bucket["PublicAccessBlockConfiguration"] =
                serde_json::json!({"BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": false, "RestrictPublicBuckets": false});
        })
        .expect("the bucket is there");
    world.rest(waiting.id);
    let again = world.load(waiting.id);
    assert_eq!((again.state, world.writes()), (State::AwaitingApproval, 0), "{}", again.note);
    assert_ne!(again.fix.expect("a new plan").hash, old);
}

#[test]
fn the_kill_switch_stops_before_the_write_and_the_work_goes_on_after_it() {
    let world = World::with_rules(&approve_rules());
    let waiting = world.open(&subject(BUCKET).finding());
    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    wait(world.store.allow_writes(false)).expect("switched");
    wait(world.engine.run(waiting.id)).expect("a step");
    let held = world.load(waiting.id);
    assert_eq!((held.state, world.writes()), (State::Applying, 0));
    assert!(held.note.contains("kill switch"), "{}", held.note);

    wait(world.store.allow_writes(true)).expect("switched");
    turn_to(now() + 60_000);
    world.rest(waiting.id);
    assert_eq!(world.load(waiting.id).state, FIXED);
}

#[test]
fn with_the_kill_switch_on_nothing_new_is_allowed() {
    let world = World::new();
    wait(world.store.allow_writes(false)).expect("switched");
    let refused = world.open(&subject(BUCKET).finding());
    assert_eq!((refused.state, world.writes()), (State::Refused, 0));
    assert!(refused.note.contains("kill switch"), "{}", refused.note);
}

#[test]
fn a_cap_lets_so_many_through_an_hour_and_no_more() {
    let rules = crate::world::auto_rules().replace("per_hour: 100", "per_hour: 2");
    let world = World::with_rules(&rules);
    let states: Vec<State> = [BUCKET, "aws-kms-enable-rotation", "aws-cloudtrail-enable-log-validation"]
        .iter()
        .map(|fix| world.open(&subject(fix).finding()).state)
        .collect();
    assert_eq!(states, [FIXED, FIXED, State::Refused]);
}

#[test]
fn auto_wants_evidence_of_a_run_unless_the_rule_names_the_fix() {
    let rules = "rule: all\nmode: auto\nscope: ['*']\ndo:\n  - fix: recommended\n";
    let world = World::with_rules(rules);
    let unproven =
        stanch_library::Library::builtin().expect("library").all().flatten().find(|f| !f.evidence.is_run()).map(|f| f.name.clone());
    let Some(name) = unproven else { return };
    let asked = world.open(&subject(&name).finding());
    assert_eq!((asked.state, world.writes()), (State::AwaitingApproval, 0), "{}", asked.note);
}

#[test]
fn who_asked_may_approve_only_where_the_rule_allows_it_and_it_is_recorded() {
    let rules = "rule: ask\nmode: approve\napprovers: {another_person: true}\ndo:\n  - fix: recommended\n";
    for (rules, allowed) in [(rules.to_owned(), false), (approve_rules(), true)] {
        let world = World::with_rules(&rules);
        let asked = wait(world.engine.ask(vec![subject(BUCKET).finding()], "test:ann")).expect("asked").remove(0);
        let answer = wait(world.engine.approve(asked.id, "test:ann", None));
        assert_eq!(answer.is_ok(), allowed, "{answer:?}");
        if allowed {
            let how = world.load(asked.id).fix.and_then(|r| r.approval).map(|a| a.how);
            assert_eq!(how, Some(ApprovalKind::SelfApproved));
        } else {
            wait(world.engine.approve(asked.id, "test:bob", None)).expect("another person may");
        }
    }
}

#[test]
fn a_missing_permission_says_what_to_grant() {
    let world = World::denying(0);
    let failed = world.open(&subject(BUCKET).finding());
    assert_eq!(failed.state, State::Failed);
    assert!(failed.note.contains("403") && failed.note.contains("AccessDenied"), "{}", failed.note);
}

#[test]
fn a_fix_for_other_resources_is_refused_before_anything_is_read() {
    for named in ["aws-kms-enable-rotation", "azure-sql-require-tls12"] {
        let world = World::with_rules(&approve_rules().replace("recommended", named));
        let refused = world.open(&subject(BUCKET).finding());
        assert_eq!((refused.state, world.sandbox.requests().len()), (State::Refused, 0), "{}", refused.note);
        assert!(refused.note.contains(&format!("fix `{named}` does not take resources of type `awss3bucket`")), "{}", refused.note);
    }
}

#[test]
fn a_protected_resource_is_never_touched() {
    let world = World::new();
    let mut finding = subject(BUCKET).finding();
    finding.resources[0].tags.push(("Stanch-Protected".into(), "yes".into()));
    let refused = world.open(&finding);
    assert_eq!((refused.state, world.writes()), (State::Refused, 0));
    assert!(refused.note.contains("protected by its tag"), "{}", refused.note);
}
