//! The second clock of verification: the source must agree in its own time.

use stanch_core::finding::{ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::port::Store;
use stanch_core::remediation::Remediation;
use stanch_core::state::{Resolution, State};
use stanch_engine::Taken;

use crate::doctored::Doctored;
use crate::subjects::subject;
use crate::world::{World, auto_rules, now, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const LATENCY: i64 = 25 * HOUR;

fn world() -> World {
    World::with_rules(&format!("{}  - notify: {{channel: ops}}\n", auto_rules()))
}

fn finding() -> Finding<'static> {
    subject("aws-s3-block-public-access").finding()
}

fn told(world: &World) -> usize {
    wait(world.engine.send_outbox(100)).expect("sent");
    world.post.titles().iter().filter(|title| title.contains("still reported")).count()
}

/// A fixed case, at the time its source is asked first.
fn fixed(world: &World) -> Remediation {
    let fixed = world.open(&finding());
    assert_eq!((fixed.state, fixed.times.closed), (FIXED, None));
    let verified = fixed.times.verified.expect("proven");
    turn_to(verified + LATENCY - 1);
    assert_eq!(world.reconcile().ran, 0, "the source has its own delay");
    turn_to(verified + LATENCY);
    fixed
}

#[test]
fn a_source_that_agrees_closes_the_second_clock() {
    for gone in [false, true] {
        let world = world();
        let case = fixed(&world);
        let id = finding().source_ref.id;
        assert!(if gone { world.source.remove(&id) } else { world.source.close(&id) });
        assert_eq!(world.reconcile().ran, 1);
        let agreed = world.load(case.id);
        assert_eq!((agreed.state, agreed.times.closed, told(&world), world.writes()), (FIXED, Some(now()), 0, 1));
        assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), [], "nothing is left to do");
        assert!(wait(world.store.record(case.id)).unwrap().last().unwrap().body.contains("the source agrees"));
    }
}

#[test]
fn fixed_but_still_reported_is_told_once_and_looked_at_ever_more_rarely() {
    let world = world();
    let case = fixed(&world);
    let (mut days, requests) = (Vec::new(), world.sandbox.requests().len());
    for _ in 0..5 {
        assert_eq!(world.reconcile().ran, 1);
        let still = world.load(case.id);
        assert_eq!(still.state, State::StillReported, "{}", still.note);
        let at = still.second.expect("a next look").at;
        days.push((at - now()) / DAY);
        // A heartbeat of the source that says nothing new does not disturb it.
        let mut heartbeat = finding();
        heartbeat.modified = case.finding.modified;
        world.report(&heartbeat);
        turn_to(at - 1);
        assert_eq!(world.reconcile().ran, 0);
        turn_to(at);
    }
    assert_eq!((days, told(&world)), (vec![1, 2, 4, 7, 7], 1));

    world.source.close(&finding().source_ref.id);
    world.reconcile();
    let agreed = world.load(case.id);
    assert_eq!((agreed.state, agreed.times.closed.is_some()), (FIXED, true));
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
    assert_eq!((world.sandbox.requests().len(), world.writes()), (requests, 1), "no cloud was called");
}

#[test]
fn a_source_out_of_reach_is_asked_again_and_accused_of_nothing() {
    let world = world();
    let case = fixed(&world);
    world.source.set_available(false);
    let mut minutes = Vec::new();
    for _ in 0..8 {
        world.reconcile();
        let at = world.load(case.id).next_at.expect("another look");
        minutes.push((at - now()) / 60_000);
        turn_to(at);
    }
    assert_eq!(minutes, [2, 4, 8, 16, 32, 60, 60, 60]);
    let waiting = world.load(case.id);
    assert_eq!((waiting.state, waiting.times.closed, told(&world)), (FIXED, None, 0));
    world.source.set_available(true);
    world.source.close(&finding().source_ref.id);
    world.reconcile();
    assert_eq!(world.load(case.id).times.closed, Some(now()));
}

#[test]
fn a_source_that_cannot_be_asked_is_not_waited_for() {
    let world = world();
    let fixed = world.open(&subject("azure-sql-remove-any-address-rules").finding()); // Prowler
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
}

#[test]
fn a_source_that_refuses_to_be_asked_is_asked_again_the_next_day_and_that_is_on_record() {
    let (world, source) = Doctored::world(|_, _| {});
    let case = fixed(&world);
    source.shut.lock().unwrap().push(finding().source_ref.id.to_string());
    assert_eq!(world.reconcile().ran, 1);
    let waiting = world.load(case.id);
    assert_eq!((waiting.state, waiting.times.closed, waiting.next_at), (FIXED, None, Some(now() + DAY)));
    let record = wait(world.store.record(case.id)).unwrap();
    let last = &record.last().unwrap().body;
    assert!(last.contains("cannot be found out") && last.contains("403 AccessDenied"), "{last}");
}

#[test]
fn only_those_sources_are_asked_that_can_be_and_have_not_closed_it() {
    let world = world();
    let case = fixed(&world);
    let prowler = (Source::Prowler, "s3_bucket_level_public_access_block");
    let reports = [(prowler, "cannot-be-asked"), ((Source::SecurityHub, "S3.8"), "closed-long-ago")].map(|((source, rule), id)| {
        let mut other = finding();
        (other.source, other.rule, other.uid, other.source_ref.id) = (source, Some(rule.into()), id.into(), id.into());
        other.modified = case.finding.modified;
        world.source.put(other.clone());
        wait(world.engine.ingest(vec![other.clone()])).expect("taken in");
        other
    });
    let [_, mut closed] = reports;
    closed.modified = Some(now());
    closed.compliance.as_mut().unwrap().status = ComplianceStatus::Pass;
    wait(world.engine.ingest(vec![closed])).expect("taken in"); // and what the source holds of it still says the contrary
    assert_eq!(world.load(case.id).reporters.iter().map(|r| r.open).collect::<Vec<_>>(), [true, true, false]);
    assert!(world.source.close(&finding().source_ref.id));
    world.reconcile();
    let agreed = world.load(case.id);
    assert_eq!((agreed.state, agreed.times.closed), (FIXED, Some(now())), "{}", agreed.note);
}

#[test]
fn a_person_may_put_back_what_is_still_reported_and_the_clock_stops() {
    let world = world();
    let case = fixed(&world);
    world.reconcile();
    assert_eq!(world.load(case.id).state, State::StillReported);
    assert_eq!(world.undo(case.id).state, State::RolledBack);
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
}

#[test]
fn sources_that_close_what_they_still_reported_end_the_clock_by_their_own_word_when_all_have() {
    let world = world();
    let case = fixed(&world);
    let mut other = finding();
    (other.uid, other.source_ref.id) = ("another-detector".into(), "another-detector".into());
    other.modified = case.finding.modified;
    world.report(&other);
    world.reconcile();
    assert_eq!(world.load(case.id).state, State::StillReported);
    for (mut closed, state, taken) in [(other, State::StillReported, Taken::Known), (finding(), FIXED, Taken::Closed)] {
        (closed.status, closed.modified) = (FindingStatus::Resolved, Some(now() + 7_000));
        closed.compliance.as_mut().unwrap().status = ComplianceStatus::Pass;
        assert_eq!(world.report(&closed)[0].taken, taken);
        let after = world.load(case.id);
        assert_eq!((after.state, after.times.closed), (state, (state == FIXED).then_some(now() + 7_000)), "{}", after.note);
    }
    assert_eq!(wait(world.store.due(i64::MAX, 9)).unwrap(), []);
}
