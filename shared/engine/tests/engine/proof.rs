//! Proof: how long it is waited for, and what becomes of a case when it does not come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stanch_core::cloud::Cloud;
use stanch_core::finding::Millis;
use stanch_core::port::Store;
use stanch_core::remediation::RemediationId;
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::lag::{Lagging, clouds};
use crate::subjects::subject;
use crate::world::{World, auto_rules, now, turn_to, wait};
use crate::writing::{opened, settle};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const BUCKET: &str = "aws-s3-block-public-access";
const DATABASE: &str = "aws-rds-disable-public-access";
const KEY: &str = "aws-kms-enable-rotation";
const DAY: Millis = 86_400_000;

fn lagging() -> (World, Arc<Lagging>) {
    let sandbox = Sandbox::seeded(now);
    let clouds = Arc::new(clouds(&sandbox, 0));
    let rules = format!("{}  - notify: {{channel: ops}}\n", auto_rules());
    (World::through(sandbox, clouds.clone(), &rules), clouds)
}

/// A case whose fix, or whose undo, is written and not proven yet.
fn written(world: &World, fix: &str, undo: bool) -> RemediationId {
    let id = opened(world, fix);
    if undo {
        world.rest(id);
        turn_to(now() + DAY);
        wait(world.engine.undo(id, "test:ann")).expect("it is put back");
    }
    let writes = world.writes();
    while world.writes() == writes {
        wait(world.engine.step(id)).expect("a step");
    }
    if !undo {
        wait(world.engine.step(id)).expect("a step");
        assert_eq!(world.load(id).state, State::Verifying);
    }
    id
}

#[test]
fn what_does_not_show_is_read_ever_more_rarely_and_when_its_time_is_over_a_person_is_called() {
    for fix in [BUCKET, KEY] {
        for undo in [false, true] {
            let (world, clouds) = lagging();
            let id = if undo {
                let id = opened(&world, fix);
                world.rest(id);
                turn_to(now() + DAY);
                wait(world.engine.undo(id, "test:ann")).expect("it is put back");
                id
            } else {
                opened(&world, fix)
            };
            clouds.lag.store(DAY, Ordering::Relaxed);
            let (mut waits, begin) = (Vec::new(), now());
            while let Next::At(at) = wait(world.engine.run(id)).expect("a step") {
                waits.push((at - now()) / 1_000);
                turn_to(at);
            }
            let patience = settle(fix) / 1_000;
            let mut expected = Vec::new();
            for wait in [2, 4, 8, 16, 30, 30, 30, 30] {
                let left = patience - expected.iter().sum::<Millis>();
                expected.extend((left > 0).then_some(wait.min(left)));
            }
            assert_eq!((waits, now() - begin), (expected, settle(fix)), "{fix} undo={undo}");
            let end = world.load(id);
            assert_eq!(end.state, State::Stuck, "{}", end.note);
            let what = if undo { "the undo" } else { "the fix" };
            assert_eq!(end.note, format!("{what} was written, but a fresh read does not show it after {patience} s"));
            wait(world.engine.send_outbox(9)).expect("sent");
            assert!(world.post.titles().contains(&"A person is needed: written but not proven".to_owned()), "{:?}", world.post.titles());
        }
    }
}

#[test]
fn an_outage_of_the_proving_read_is_waited_out_and_a_refused_one_calls_a_person() {
    for undo in [false, true] {
        for (fault, next) in [(FaultKind::Unavailable, Some(2_000)), (FaultKind::Denied, None)] {
            let world = World::new();
            let id = written(&world, BUCKET, undo);
            world.sandbox.inject(Fault::once(fault, "s3.Get"));
            let expected = next.map_or(Next::Idle, |ms| Next::At(now() + ms));
            assert_eq!(wait(world.engine.step(id)).expect("a step"), expected, "{fault:?} undo={undo}");
            world.rest(id);
            let (end, proven) = (world.load(id), if undo { State::RolledBack } else { FIXED });
            assert_eq!(end.state, if next.is_some() { proven } else { State::Stuck }, "{fault:?} undo={undo}: {}", end.note);
        }
    }
}

#[test]
fn nothing_is_proven_before_the_provider_has_ended_its_work() {
    for undo in [false, true] {
        let world = World::new();
        let id = written(&world, DATABASE, undo);
        let state = |name: &str| {
            let edited = world.sandbox.edit(Cloud::Aws, subject(DATABASE).uid, |database| database["DBInstanceStatus"] = name.into());
            edited.expect("a database");
        };
        state("modifying");
        for _ in 0..3 {
            let Next::At(at) = wait(world.engine.run(id)).expect("a step") else { panic!("{}", world.load(id).note) };
            turn_to(at);
        }
        assert_eq!(world.load(id).state, if undo { State::Undoing } else { State::Verifying });
        state("available");
        world.rest(id);
        assert_eq!(world.load(id).state, if undo { State::RolledBack } else { FIXED }, "{}", world.load(id).note);
    }
}

#[test]
fn what_a_person_put_back_is_held_off_for_thirty_days() {
    for (days, state) in [(29, State::AwaitingApproval), (31, FIXED)] {
        let world = World::new();
        let fixed = world.open(&subject(BUCKET).finding());
        assert_eq!(world.undo(fixed.id).state, State::RolledBack);
        let (fix, resource) = fixed.fix.map(|run| (run.plan.fix, run.plan.resource)).expect("a run");
        let held = wait(world.store.held(&fix, &resource)).expect("reads").expect("a hold");
        assert_eq!((held.until, held.by.as_str()), (now() + 30 * DAY, "test:ann"));
        turn_to(now() + days * DAY);
        wait(world.engine.reopen(fixed.id, "test:ann")).expect("reopened");
        world.rest(fixed.id);
        assert_eq!(world.load(fixed.id).state, state, "after {days} days: {}", world.load(fixed.id).note);
    }
}
