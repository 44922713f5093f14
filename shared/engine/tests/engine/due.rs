//! Due dates: told once each, and never in the way of what the case does by itself.

use stanch_core::finding::Finding;
use stanch_core::port::Store;
use stanch_core::state::{Event, State, advance};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind};

use crate::reconcile::store;
use crate::subjects::subject;
use crate::world::{World, auto_rules, now, turn_to, wait};

const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n  - notify: {channel: ops}\n";
const DAY: i64 = 86_400_000;

fn finding() -> Finding<'static> {
    subject("aws-kms-enable-rotation").finding()
}

fn overdue(world: &World) -> usize {
    wait(world.engine.send_outbox(100)).expect("sent");
    world.post.titles().iter().filter(|title| title.contains("overdue")).count()
}

#[test]
fn a_due_date_that_passes_is_told_once_and_another_one_again() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&finding());
    let due = now() + DAY;
    wait(world.engine.set_due(waiting.id, Some(due), "test:ann")).unwrap();
    turn_to(due - 1);
    world.reconcile();
    assert_eq!(overdue(&world), 0);

    // A report in between does not lose the date.
    let mut again = finding();
    again.modified = Some(now());
    world.report(&again);
    turn_to(due + 3 * 3_600_000);
    for _ in 0..3 {
        world.reconcile();
        turn_to(now() + DAY);
    }
    assert_eq!(overdue(&world), 1);
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
    let record = wait(world.store.record(waiting.id)).unwrap();
    assert_eq!(record.iter().filter(|entry| entry.body.contains("the due date passed 3 h ago")).count(), 1);

    wait(world.engine.set_due(waiting.id, Some(now() + DAY), "test:ann")).unwrap();
    turn_to(now() + 2 * DAY);
    world.reconcile();
    world.reconcile();
    assert_eq!(overdue(&world), 2);
}

#[test]
fn nobody_is_told_of_a_date_that_a_case_ended_before_or_that_was_taken_away() {
    let world = World::with_rules(ASK);
    let ended = world.open(&finding());
    let free = world.open(&subject("aws-s3-block-public-access").finding());
    for id in [ended.id, free.id] {
        wait(world.engine.set_due(id, Some(now() + DAY), "test:ann")).unwrap();
    }
    wait(world.engine.reject(ended.id, "test:ann", "a false alarm")).unwrap();
    wait(world.engine.set_due(free.id, None, "test:ann")).unwrap();
    turn_to(now() + 3 * DAY);
    world.reconcile();
    assert_eq!(overdue(&world), 0);
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
}

#[test]
fn a_case_that_is_under_way_is_told_and_goes_on() {
    let world = World::with_rules(&format!("{}  - notify: {{channel: ops}}\n", auto_rules()));
    wait(world.store.allow_writes(true)).unwrap();
    let id = crate::work::arrive(&world, &finding());
    wait(world.engine.set_due(id, Some(now() - 1), "test:ann")).unwrap();
    for _ in 0..20 {
        world.reconcile();
        turn_to(now() + 5_000);
    }
    assert_eq!((overdue(&world), world.load(id).state.name(), world.writes()), (1, "resolved", 1));
}

#[test]
fn a_case_that_was_put_off_is_planned_again_when_its_time_has_come_and_not_before() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&finding());
    let until = now() + DAY;
    let mut remediation = waiting.clone();
    remediation.state = advance(waiting.state, Event::PutOff(until)).expect("a waiting case can be put off");
    store(&world, remediation, Some(until));
    let read = world.sandbox.requests().len();
    turn_to(until - 1);
    assert_eq!(wait(world.engine.run(waiting.id)).expect("a step"), Next::At(until));
    assert_eq!((world.load(waiting.id).state, world.sandbox.requests().len()), (State::Deferred { until }, read));
    turn_to(until);
    wait(world.engine.run(waiting.id)).expect("a step");
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
    assert!(world.sandbox.requests().len() > read, "planned on what is there now");
}

#[test]
fn a_report_does_not_disturb_a_write_that_is_under_way() {
    for undo in [false, true] {
        let world = World::new();
        let mut finding = subject("aws-s3-block-public-access").finding();
        let id = if undo {
            let fixed = world.open(&finding);
            turn_to(now() + 60_000);
            let (plan, _) = wait(world.engine.undo_plan(fixed.id)).expect("a plan");
            world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, plan.changes[0].request.name()));
            wait(world.engine.undo(fixed.id, "test:ann")).expect("it is put back");
            fixed.id
        } else {
            world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, "s3.PutPublicAccessBlock"));
            crate::work::arrive(&world, &finding)
        };
        wait(world.engine.run(id)).expect("a step");
        let lost = world.load(id);
        assert_eq!(lost.state, if undo { State::Undoing } else { State::Applying }, "{}", lost.note);
        finding.modified = Some(now());
        wait(world.engine.ingest(vec![finding])).expect("taken in");
        let (after, run) = (world.load(id), if undo { lost.undo } else { lost.fix });
        assert!(after.version > lost.version, "the report was added");
        let (lease, ready) = (run.expect("a run").attempts[0].lease_until, lost.next_at.expect("a time"));
        assert_eq!(after.next_at, Some(lease), "nobody looks before the lease is over");
        // Then the time of the step itself is stored again, once.
        turn_to(lease);
        for version in [after.version + 1; 2] {
            assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(ready));
            assert_eq!((world.load(id).next_at, world.load(id).version), (Some(ready), version));
        }
    }
}

#[test]
fn a_report_while_a_fix_is_being_proven_does_not_end_the_proving() {
    let world = World::new();
    let mut finding = subject("aws-rds-disable-public-access").finding();
    let id = crate::work::arrive(&world, &finding);
    wait(world.engine.run(id)).expect("steps");
    assert_eq!(world.load(id).state, State::Verifying, "{}", world.load(id).note);
    finding.modified = Some(now());
    wait(world.engine.ingest(vec![finding])).expect("taken in");
    for _ in 0..10 {
        world.reconcile();
        turn_to(now() + 30_000);
    }
    assert_eq!((world.load(id).state.name(), world.writes()), ("resolved", 1), "{}", world.load(id).note);
}
