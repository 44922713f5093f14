//! The backlog: what was there before stanch first looked is recorded, and no more, until a rule takes it.

use stanch_core::port::{Filter, Store};
use stanch_core::remediation::RemediationId;
use stanch_core::state::{Resolution, State};

use crate::subjects::subject;
use crate::sweep::sweeping;
use crate::world::{World, auto_rules, now, numbered, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const SUBJECTS: [&str; 3] = ["aws-s3-block-public-access", "aws-kms-enable-rotation", "aws-cloudtrail-enable-log-validation"];

fn rules() -> String {
    format!("{}  - notify: {{channel: ops}}\n", auto_rules())
}

/// A world that found three faults when it first looked.
fn world() -> (World, Vec<RemediationId>) {
    let world = sweeping(World::with_rules(&rules()));
    for name in SUBJECTS {
        world.source.put(subject(name).finding());
    }
    assert_eq!(world.reconcile().swept, 3);
    let ids = wait(world.store.list(&Filter::default())).expect("a list").iter().map(|row| row.id).collect();
    (world, ids)
}

fn settle(world: &World) {
    for _ in 0..20 {
        world.reconcile();
        turn_to(now() + 5_000);
    }
}

#[test]
fn the_first_look_records_and_does_nothing_else() {
    let (world, ids) = world();
    settle(&world);
    for id in &ids {
        let case = world.load(*id);
        assert!(case.backlog && case.state == State::Open && case.note.contains("before stanch first looked"), "{}", case.note);
        wait(world.engine.set_due(*id, Some(now() - 1), "test:ann")).unwrap();
    }
    settle(&world);
    assert_eq!(ids.len(), 3);
    assert_eq!(world.sandbox.requests(), [], "no live read");
    assert!(world.post.titles().is_empty() && world.source.written().is_empty(), "nobody was told anything");
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
}

#[test]
fn a_changed_rule_takes_up_only_what_it_matches_and_only_if_it_takes_a_backlog() {
    let (mut world, ids) = world();
    world.set_rules(&rules().replace("rule: everything", "rule: renamed"));
    settle(&world);
    assert!(ids.iter().all(|id| world.load(*id).backlog) && world.writes() == 0, "a changed rule alone takes nothing up");

    world.set_rules(&rules().replace("mode: auto", "mode: auto\nbacklog: true\nwhen: finding.rule == 'KMS.4'"));
    settle(&world);
    let states: Vec<_> = ids.iter().map(|id| world.load(*id)).map(|case| (case.backlog, case.state == FIXED)).collect();
    assert_eq!(states.iter().filter(|state| **state == (false, true)).count(), 1, "{states:?}");
    assert_eq!((states.iter().filter(|state| **state == (true, false)).count(), world.writes()), (2, 1));

    // A rule before it that does not take a backlog shields what it matches.
    let shield = "rule: never\nmode: record\norder: 1\nwhen: finding.rule == 'S3.8'\n---\n";
    world.set_rules(&format!("{shield}{}", rules().replace("mode: auto", "mode: auto\nbacklog: true")));
    settle(&world);
    let open: Vec<_> = ids.iter().map(|id| world.load(*id)).filter(|case| case.backlog).collect();
    assert_eq!((open.len(), open[0].finding.rule.as_deref(), world.writes()), (1, Some("S3.8"), 2));
}

#[test]
fn a_rule_that_takes_a_backlog_from_the_start_acts_at_once() {
    let world = sweeping(World::with_rules(&rules().replace("mode: auto", "mode: auto\nbacklog: true")));
    world.source.put(subject(SUBJECTS[1]).finding());
    settle(&world);
    assert_eq!(world.writes(), 1);
}

#[test]
fn a_person_who_asks_need_not_wait_for_a_rule() {
    let (world, _) = world();
    let asked = wait(world.engine.ask(vec![subject(SUBJECTS[1]).finding()], "test:ann")).unwrap().remove(0);
    world.rest(asked.id);
    let case = world.load(asked.id);
    assert_eq!((case.backlog, case.state, case.asked_by.as_deref()), (false, FIXED, Some("test:ann")));
}

#[test]
fn word_of_a_fault_of_the_backlog_or_a_question_about_a_recorded_one_takes_nothing_up() {
    let (mut world, ids) = world();
    let mut again = subject(SUBJECTS[1]).finding();
    again.modified = Some(now());
    world.report(&again);
    settle(&world);
    assert!(ids.iter().all(|id| world.load(*id).backlog) && world.writes() == 0);

    world.set_rules("rule: keep\nmode: record\n");
    let recorded = world.open(&subject("aws-ec2-revoke-world-ingress").finding());
    world.set_rules(&rules());
    wait(world.engine.ask(vec![subject("aws-ec2-revoke-world-ingress").finding()], "test:ann")).unwrap();
    settle(&world);
    let after = world.load(recorded.id);
    assert_eq!((after.state, after.asked_by, world.writes()), (State::Open, None, 0), "{}", after.note);
}

#[test]
fn a_fault_of_the_backlog_that_its_source_closes_is_closed() {
    let (world, ids) = world();
    world.source.close(&subject(SUBJECTS[0]).finding().source_ref.id);
    turn_to(now() + 6 * 3_600_000);
    world.reconcile();
    let closed = ids.iter().filter(|id| world.load(**id).state == State::Resolved { how: Resolution::ByOthers }).count();
    assert_eq!((closed, world.writes()), (1, 0));
}

#[test]
fn a_rule_takes_up_only_what_waits_in_the_backlog() {
    let (world, ids) = world();
    // Of the three of the backlog one is closed at its source; another fault came later and is only recorded.
    world.source.close(&subject(SUBJECTS[0]).finding().source_ref.id);
    turn_to(now() + 6 * 3_600_000);
    world.reconcile();
    let mut world = world;
    world.set_rules("rule: keep\nmode: record\n");
    let late = world.open(&subject("aws-ec2-revoke-world-ingress").finding());
    let taken = |world: &World, id: RemediationId| {
        wait(world.store.record(id)).unwrap().iter().filter(|entry| entry.body.contains("taken up from the backlog")).count()
    };
    world.set_rules(&rules().replace("mode: auto", "mode: auto\nbacklog: true"));
    settle(&world);
    let closed = State::Resolved { how: Resolution::ByOthers };
    let mut ends: Vec<_> = ids.iter().map(|id| (world.load(*id).state, taken(&world, *id))).collect();
    ends.sort_by_key(|(_, taken)| *taken);
    assert_eq!(ends, [(closed, 0), (FIXED, 1), (FIXED, 1)]);
    assert_eq!((world.load(late.id).state, taken(&world, late.id), world.writes()), (State::Open, 0, 2));
}

#[test]
fn a_large_backlog_is_decided_page_by_page_and_each_fault_told_where_a_rule_only_records() {
    let (world, store) = World::new().with_faults(&rules());
    let mut world = sweeping(world);
    (0..210).for_each(|n| world.source.put(numbered(n)));
    assert_eq!(world.reconcile().swept, 210);
    world.set_rules("rule: keep\nmode: record\nbacklog: true\ndo:\n  - notify: {channel: ops}\n");
    for (taken_up, expected) in [(200, 200), (10, 210), (0, 210)] {
        assert_eq!(world.reconcile().taken_up, taken_up);
        let rows = wait(world.store.list(&Filter::default())).unwrap();
        assert_eq!(rows.iter().filter(|row| !world.load(row.id).backlog).count(), expected);
    }
    while wait(world.engine.send_outbox(100)).unwrap() > 0 {}
    assert_eq!(world.post.titles(), ["A finding was recorded"; 210]);
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), [], "and nothing more is done about them");
    store.fail("heads");
    world.reconcile(); // no part fails: what was decided once is not read again
}
