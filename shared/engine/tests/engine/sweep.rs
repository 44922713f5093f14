//! Sweeps: what never arrived is found at its source, and what was there before is left alone.

use stanch_core::cloud::Cloud;
use stanch_core::finding::{Finding, Source};
use stanch_core::port::{Listed, ParkedKind, Scope, Store, Unread};
use stanch_core::state::{Resolution, State};

use crate::doctored::Doctored;
use crate::subjects::subject;
use crate::world::{World, now, numbered, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const EVERY: i64 = 6 * 3_600_000;

fn scope() -> Scope {
    Scope { source: Source::SecurityHub, cloud: Cloud::Aws, account: "111122223333".into(), region: Some("eu-west-1".into()) }
}

fn cursor() -> String {
    "sweep/security-hub/aws/111122223333/eu-west-1".into()
}

fn finding() -> Finding<'static> {
    subject("aws-s3-block-public-access").finding()
}

pub(crate) fn sweeping(mut world: World) -> World {
    world.engine = world.engine.clone().with_sweep(vec![scope()], EVERY.unsigned_abs());
    world
}

/// A world whose scope was swept before, when there was nothing in it.
fn swept(world: World) -> World {
    let world = sweeping(world);
    world.reconcile();
    turn_to(now() + EVERY);
    world
}

fn rows(world: &World) -> usize {
    wait(world.store.list(&stanch_core::port::Filter::default())).expect("a list").len()
}

#[test]
fn a_finding_whose_event_never_arrived_is_found_and_fixed() {
    let world = swept(World::new());
    world.source.put(finding());
    assert_eq!(world.reconcile().swept, 1);
    for _ in 0..10 {
        world.reconcile();
        turn_to(now() + 5_000);
    }
    let all = wait(world.store.list(&stanch_core::port::Filter::default())).unwrap();
    assert_eq!((all.len(), all[0].state, world.writes()), (1, FIXED, 1));
}

#[test]
fn between_sweeps_nothing_is_listed_and_a_sweep_of_known_findings_writes_nothing() {
    let world = swept(World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n"));
    let waiting = world.open(&finding());
    let (version, requests) = (world.load(waiting.id).version, world.sandbox.requests().len());
    assert_eq!(world.reconcile().swept, 1);
    assert_eq!(world.reconcile().swept, 0, "swept a moment ago");
    turn_to(now() + EVERY);
    assert_eq!(world.reconcile().swept, 1);
    assert_eq!((world.load(waiting.id).version, world.sandbox.requests().len()), (version, requests));
}

#[test]
fn a_failing_page_keeps_its_place_and_the_other_parts_go_on() {
    let world = sweeping(World::new());
    (0..300).for_each(|n| world.source.put(numbered(n)));
    assert_eq!(world.reconcile().swept, 250, "five pages a round");
    world.source.set_available(false);
    let round = wait(world.engine.reconcile(10));
    assert_eq!(round.failed.iter().map(|(part, _)| *part).collect::<Vec<_>>(), ["sweep"]);
    world.source.set_available(true);
    assert_eq!(world.reconcile().swept, 0, "the source is left alone for a moment");
    turn_to(now() + 120_000);
    assert_eq!(world.reconcile().swept, 50, "only what is left");
    assert_eq!(rows(&world), 300);
    assert_eq!(world.reconcile().swept, 0, "complete");
}

#[test]
fn a_scope_in_the_hands_of_another_worker_is_left_to_it_until_its_lease_ends() {
    let world = sweeping(World::new());
    world.source.put(finding());
    let lease = format!(r#"{{"held_until":{},"started":{}}}"#, now() + 600_000, now());
    assert!(wait(world.store.set_value(&cursor(), None, Some(&lease))).unwrap());
    assert_eq!(world.reconcile().swept, 0);
    turn_to(now() + 600_000);
    assert_eq!(world.reconcile().swept, 1);
}

#[test]
fn a_cursor_of_another_program_is_not_overwritten() {
    let world = sweeping(World::new());
    assert!(wait(world.store.set_value(&cursor(), None, Some(r#"{"completed":"yesterday"}"#))).unwrap());
    let round = wait(world.engine.reconcile(10));
    assert!(round.failed[0].1.to_string().contains("cannot be read"), "{:?}", round.failed);
    assert_eq!(wait(world.store.value(&cursor())).unwrap().as_deref(), Some(r#"{"completed":"yesterday"}"#));
}

#[test]
fn a_waiting_case_whose_finding_vanished_is_closed_and_the_others_wait_on() {
    let world = swept(World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n"));
    let (gone, stays) = (world.open(&finding()), world.open(&subject("aws-kms-enable-rotation").finding()));
    assert!(world.source.remove(&finding().source_ref.id));
    world.reconcile();
    assert_eq!(world.load(gone.id).state, State::Resolved { how: Resolution::ByOthers });
    assert_eq!((world.load(stays.id).state, world.writes()), (State::AwaitingApproval, 0));
}

#[test]
fn a_case_that_cannot_be_read_does_not_keep_others_from_being_checked() {
    let rules = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";
    let (world, store) = World::with_rules(rules).with_faults(rules);
    let world = swept(world);
    let (broken, gone) = (world.open(&subject("aws-kms-enable-rotation").finding()), world.open(&finding()));
    assert!(broken.id < gone.id, "it comes first");
    store.break_row(broken.id);
    assert!(world.source.remove(&finding().source_ref.id));
    assert_eq!(world.reconcile().swept, 1);
    assert_eq!(world.load(gone.id).state, State::Resolved { how: Resolution::ByOthers });
}

#[test]
fn a_finding_that_its_source_showed_late_is_found_by_the_next_sweep() {
    // Security Hub and Security Command Center list only what was changed since.
    let (world, _) = Doctored::world(|listed, since| listed.findings.retain(|finding| finding.modified >= since));
    let world = sweeping(world);
    let mut late = finding();
    late.modified = Some(now() - 20 * 60_000);
    world.reconcile();
    world.source.put(late);
    turn_to(now() + EVERY);
    assert_eq!((world.reconcile().swept, rows(&world)), (1, 1));
}

#[test]
fn a_listed_row_that_cannot_be_read_is_parked_and_the_page_goes_on() {
    let odd = |listed: &mut Listed, _| listed.unread.push(Unread { body: "{\"odd\":1}".into(), why: "no id".into() });
    let world = sweeping(Doctored::world(odd).0);
    world.source.put(finding());
    assert_eq!(world.reconcile().parked, 1);
    assert_eq!(rows(&world), 1);
    let parked = wait(world.store.parked(9)).unwrap().remove(0);
    assert_eq!((parked.kind, parked.origin.as_str(), parked.body.as_str()), (ParkedKind::Event, "security-hub", "{\"odd\":1}"));
}
