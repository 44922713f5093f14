//! The timer's round: what is due runs, whatever stands in its way.

use std::collections::BTreeMap;

use stanch_core::finding::{Finding, Millis};
use stanch_core::port::{Commit, ParkedKind, Store};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::state::{Resolution, State};

use crate::subjects::subject;
use crate::work::{arrive, panicking_world};
use crate::world::{World, auto_rules, now, numbered, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const DAY: i64 = 86_400_000;
const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";

fn kms() -> Finding<'static> {
    subject("aws-kms-enable-rotation").finding()
}

/// Makes a remediation due now, as a message that was lost leaves it.
pub(crate) fn make_due(world: &World, id: RemediationId) {
    store(world, world.load(id), Some(now()));
}

/// Stores a remediation as it stands.
pub(crate) fn store(world: &World, remediation: Remediation, next_at: Option<Millis>) {
    let commit = Commit {
        expected_version: remediation.version,
        remediation,
        at: now(),
        log: Vec::new(),
        outbox: Vec::new(),
        next_at,
        sealed: BTreeMap::new(),
        bodies: Vec::new(),
    };
    wait(world.store.commit(commit)).expect("committed");
}

#[test]
fn a_lost_message_is_made_up_for() {
    let world = World::new();
    let id = arrive(&world, &kms()); // nobody reads the queue
    for _ in 0..20 {
        world.reconcile();
        turn_to(now() + 10_000);
    }
    assert_eq!(world.load(id).state, FIXED);
}

#[test]
fn rows_that_all_fail_do_not_starve_the_later_ones() {
    let world = panicking_world();
    let failing: Vec<_> = (0..6).map(|n| arrive(&world, &numbered(n))).collect();
    turn_to(now() + 1);
    let good = arrive(&world, &kms());
    for _ in 0..4 {
        assert!(wait(world.engine.reconcile(2)).failed.is_empty());
    }
    assert_ne!(world.load(good).state, State::Open, "its turn came although six older ones fail");
    assert!(failing.iter().all(|id| world.load(*id).tries == 1), "each failed once and was put off");
}

#[test]
fn a_row_that_cannot_be_read_keeps_nothing_back_and_is_shown_once() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let broken = arrive(&world, &subject("aws-s3-block-public-access").finding());
    turn_to(now() + 1);
    let good = arrive(&world, &kms());
    store.break_row(broken);
    for _ in 0..20 {
        assert!(wait(world.engine.reconcile(1)).failed.is_empty());
        turn_to(now() + 10_000);
    }
    assert_eq!(world.load(good).state, FIXED);
    let parked = wait(world.store.parked(9)).unwrap();
    assert_eq!((parked.len(), parked[0].times, parked[0].kind), (1, 1, ParkedKind::Message));
    assert!(parked[0].body.contains(&broken.to_string()) && parked[0].why.contains("broken by the test"), "{parked:?}");

    store.mend_row(broken);
    wait(world.engine.retry_parked(&parked[0].id, stanch_core::ocsf::normalize)).expect("it is followed now");
    assert_eq!(wait(world.store.parked(9)).unwrap(), []);
    assert_ne!(world.load(broken).state, State::Open);
}

#[test]
fn a_due_time_that_leads_to_nothing_is_taken_away() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&kms());
    make_due(&world, waiting.id);
    world.reconcile();
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
    assert_eq!(wait(world.store.due(now(), 9)).unwrap(), []);
}

#[test]
fn one_part_that_fails_does_not_stop_the_others() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let id = arrive(&world, &kms());
    store.fail("outbox");
    let round = wait(world.engine.reconcile(10));
    assert_eq!(round.failed.iter().map(|(part, _)| *part).collect::<Vec<_>>(), ["outbox"]);
    assert_eq!(round.ran, 1);
    assert_ne!(world.load(id).state, State::Open);
    assert!(wait(world.store.value("prune")).unwrap().is_some(), "what comes after the failed part was done");
}

#[test]
fn what_nobody_needs_is_removed_once_a_day() {
    let world = World::new();
    let last = || wait(world.store.value("prune")).unwrap();
    world.reconcile();
    let first = last();
    turn_to(now() + DAY - 1);
    world.reconcile();
    assert_eq!(last(), first);
    turn_to(now() + 1);
    world.reconcile();
    assert_ne!(last(), first);
}

#[test]
fn what_was_sent_is_kept_for_ninety_days() {
    let world = World::with_rules("rule: tell\nmode: record\ndo:\n  - notify: {channel: team}\n");
    let told = world.open(&kms());
    assert_eq!(world.post.titles().len(), 1);
    let updated = told.times.received.expect("received");
    for (days, pruned) in [(0, 0), (1, 0), (89, 0), (91, 1), (93, 0)] {
        turn_to(updated + days * DAY);
        assert_eq!(world.reconcile().pruned, pruned, "after {days} days");
    }
}

#[test]
fn a_round_takes_on_no_more_than_it_may_though_some_rows_cannot_be_moved() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let all: Vec<_> = (0..5)
        .map(|n| {
            turn_to(now() + 1);
            arrive(&world, &numbered(n))
        })
        .collect();
    store.break_row(all[1]);
    assert_eq!(wait(world.engine.reconcile(2)).ran, 2);
    let begun = |id: &RemediationId| world.load(*id).state != State::Open;
    assert_eq!(all.iter().filter(|id| **id != all[1] && begun(id)).collect::<Vec<_>>(), [&all[0], &all[2]]);
}

#[test]
fn a_round_gives_up_after_a_thousand_rows_that_cannot_be_moved() {
    let (world, store) = World::new().with_faults(&auto_rules());
    for n in 0..1_000 {
        store.break_row(arrive(&world, &numbered(n)));
    }
    turn_to(now() + 1);
    let last = arrive(&world, &kms());
    assert_eq!((wait(world.engine.reconcile(1_000)).ran, world.load(last).state), (0, State::Open));
    assert_eq!(wait(world.store.parked(2_000)).unwrap().len(), 1_000, "each is shown to people");
}
