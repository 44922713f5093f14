//! What is kept: of an event every byte; of a read when it was made, and nothing secret. What is secret comes back all the same.

use std::sync::Arc;

use serde_json::json;
use stanch_core::cloud::Cloud;
use stanch_core::finding::Finding;
use stanch_core::port::Store;
use stanch_core::state::{Resolution, State};
use stanch_library::Library;

use crate::subjects::subject;
use crate::world::{START, World, auto_rules, library, now, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const TRAIL: &str = "aws-cloudtrail-enable-log-validation";

/// A fix that overwrites a value nobody may see.
const FIX: &str = r#"
fix: aws-test-move-logs
title: Move the logs of a trail
remediates: [securityhub/CloudTrail.99]
resource: AwsCloudTrailTrail
activity: harden
undo: exact
disruption: none
permissions: [cloudtrail:GetTrail, cloudtrail:UpdateTrail]
source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html
observe:
  trail:
    call: cloudtrail.GetTrail
    input: {Name: "${resource.uid}"}
    take: "{'valid': response.Trail.LogFileValidationEnabled == true, 'prefix': response.Trail.S3KeyPrefix}"
    sensitive: [prefix]
    gone: [TrailNotFoundException]
when: trail.valid != true
change:
  - title: Move the logs of ${resource.name}
    call: cloudtrail.UpdateTrail
    input: {Name: "${resource.uid}", EnableLogFileValidation: true, S3KeyPrefix: elsewhere}
    repeat: safe
    sets: {trail.valid: true}
    undo:
      - call: cloudtrail.UpdateTrail
        input: {Name: "${resource.uid}", EnableLogFileValidation: "${trail.valid}", S3KeyPrefix: "${trail.prefix}"}
"#;

fn world(fix: &str) -> World {
    let mut library = Library::builtin().expect("the library loads");
    library.add("test.yaml", fix.into()).expect("a fix");
    let mut world = World::new();
    world.ports.fixes = Arc::new(library);
    world.set_rules(&auto_rules().replace("accept_unproven: [", "accept_unproven: [aws-test-move-logs, "));
    world
}

fn finding() -> Finding<'static> {
    Finding { rule: Some("CloudTrail.99".into()), compliance: None, ..subject(TRAIL).finding() }
}

#[test]
fn a_sensitive_value_is_put_back_and_stands_nowhere_in_the_open() {
    let world = world(FIX);
    let trail = subject(TRAIL).uid;
    world.sandbox.edit(Cloud::Aws, trail, |trail| trail["S3KeyPrefix"] = json!("hunter2")).expect("a trail");
    let before = world.sandbox.state(Cloud::Aws, trail);
    let fixed = world.open(&finding());
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    assert_eq!(world.sandbox.state(Cloud::Aws, trail).expect("a trail")["S3KeyPrefix"], "elsewhere");

    let undone = world.undo(fixed.id);
    assert_eq!(undone.state, State::RolledBack, "{}", undone.note);
    assert_eq!(world.sandbox.state(Cloud::Aws, trail), before);
    let record = wait(world.store.record(fixed.id)).expect("a record");
    let shown = [serde_json::to_string(&undone).unwrap(), serde_json::to_string(&fixed).unwrap()];
    assert!(record.iter().map(|entry| &entry.body).chain(&shown).all(|text| !text.contains("hunter2")));
}

#[test]
fn the_state_a_fix_and_its_undo_left_is_dated_by_the_read_that_proved_it() {
    let world = World::new();
    let fixed = world.open(&subject(TRAIL).finding());
    assert_eq!(fixed.fix.and_then(|run| run.left).map(|left| left.at), fixed.times.verified);
    let undone = world.undo(fixed.id).undo.expect("an undo");
    let written = undone.attempts[0].intended_at;
    assert!(undone.left.is_some_and(|left| left.at >= written), "it was read after the write");
}

#[test]
fn a_case_keeps_what_opened_it_byte_for_byte_and_since_when_its_fault_is_seen() {
    let raw = r#"{"as":  "it was sent"}"#;
    for (first_seen, created, time, detected) in
        [(Some(1), Some(2), Some(3), Some(1)), (None, Some(2), Some(3), Some(2)), (None, None, Some(3), Some(3)), (None, None, None, None)]
    {
        let finding = Finding { raw: raw.into(), first_seen, created, time, ..subject(TRAIL).finding() };
        for asked in [false, true] {
            let world = World::new();
            let case = if asked {
                wait(world.engine.ask(vec![finding.clone()], "test:ann")).expect("asked").remove(0)
            } else {
                world.open(&finding)
            };
            assert_eq!(case.times.received, Some(START));
            assert_eq!((case.times.detected, case.control.clone()), (detected, library().control(&finding).map(|c| c.id)));
            assert_eq!(wait(world.store.body(case.id, &case.raw_digest)).expect("a body").as_deref(), Some(raw));
            assert_eq!(case.finding.raw, "", "once is enough");
        }
    }
}

#[test]
fn an_answer_that_lacks_what_only_it_could_tell_calls_a_person_at_once() {
    let world = world(&FIX.replace("    repeat: safe\n    sets", "    gives: {job: response.JobId}\n    repeat: safe\n    sets"));
    let begin = now();
    let stuck = world.open(&finding());
    assert_eq!((stuck.state, world.writes(), now()), (State::Stuck, 1, begin), "{}", stuck.note);
    assert!(stuck.note.contains("was applied, but the answer does not give `job`"), "{}", stuck.note);
}
