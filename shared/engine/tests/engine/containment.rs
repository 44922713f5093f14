//! Containment: only on the source's own word, with an end, and never released while the alert stands.

use stanch_core::cloud::Cloud;
use stanch_core::finding::{Finding, Source};
use stanch_core::port::WriteBack;
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;

use crate::doctored::Doctored;
use crate::subjects::subject;
use crate::world::{World, now, turn_to, wait};

const QUARANTINE: &str = "aws-ec2-quarantine-instance";

#[test]
fn a_source_that_refuses_to_be_asked_contains_nothing() {
    let (world, source) = Doctored::world(|_, _| {});
    let finding = subject(QUARANTINE).finding();
    source.shut.lock().unwrap().push(finding.source_ref.id.to_string());
    let refused = world.open(&finding);
    assert_eq!((refused.state, world.writes()), (State::Refused, 0), "{}", refused.note);
    assert!(refused.note.contains("403 AccessDenied"), "{}", refused.note);
}

#[test]
fn while_a_source_refuses_to_be_asked_about_one_of_its_alerts_nothing_is_released() {
    for (own, mended) in [(true, true), (true, false), (false, true), (false, false)] {
        let (world, source) = Doctored::world(|_, _| {});
        let finding = subject(QUARANTINE).finding();
        let mut second = finding.clone();
        (second.uid, second.source_ref.id) = ("second-alert".into(), "second-alert".into());
        let (holder, _) = (world.open(&finding), world.open(&second));
        let held = world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid);
        let (shut, closed) = if own { (&finding, &second) } else { (&second, &finding) };
        source.shut.lock().unwrap().push(shut.source_ref.id.to_string());
        world.source.close(&closed.source_ref.id);
        turn_to(now() + 5 * 3_600_000);
        world.reconcile();
        let waiting = world.load(holder.id);
        assert!(matches!(waiting.state, State::Contained { .. }), "{}: {}", waiting.state, waiting.note);
        assert!(waiting.note.contains("cannot be found out") && waiting.note.contains("403 AccessDenied"), "{}", waiting.note);
        if mended {
            world.source.close(&shut.source_ref.id);
            source.shut.lock().unwrap().clear();
        }
        for _ in 0..20 {
            turn_to(now() + 3_600_000);
            world.reconcile();
        }
        let (end, expected) = (world.load(holder.id), if mended { "rolled-back" } else { "stuck" });
        assert_eq!(end.state.name(), expected, "{}", end.note);
        assert_eq!(world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid) == held, !mended);
    }
}

#[test]
fn an_alert_the_source_does_not_hold_contains_nothing() {
    let world = World::new();
    let finding = subject(QUARANTINE).finding();
    let intake = wait(world.engine.ingest(vec![finding])).expect("taken in"); // the source was not given it
    let id = intake[0].remediation.expect("a remediation");
    world.rest(id);
    let refused = world.load(id);
    assert_eq!((refused.state, world.writes()), (State::Refused, 0), "{}", refused.note);
    assert!(refused.note.contains("holds no such finding"), "{}", refused.note);
}

#[test]
fn an_alert_that_is_about_another_resource_closed_or_a_sample_at_the_source_contains_nothing() {
    let world = World::new();
    let finding = subject(QUARANTINE).finding();
    let mut other = finding.clone();
    other.resources[0].uid = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0fedcba9876543210".into();
    world.source.put(other);
    let id = wait(world.engine.ingest(vec![finding.clone()])).expect("taken in")[0].remediation.expect("a remediation");
    world.rest(id);
    assert!(world.load(id).note.contains("another resource"), "{}", world.load(id).note);

    let world = World::new();
    world.source.put(finding.clone());
    world.source.close(&finding.source_ref.id);
    let id = wait(world.engine.ingest(vec![finding.clone()])).expect("taken in")[0].remediation.expect("a remediation");
    world.rest(id);
    assert!(world.load(id).note.contains("closed"), "{}", world.load(id).note);
    assert_eq!(world.writes(), 0);

    let world = World::new();
    world.source.put(Finding { sample: true, ..finding.clone() });
    let id = wait(world.engine.ingest(vec![finding])).expect("taken in")[0].remediation.expect("a remediation");
    world.rest(id);
    assert!(world.load(id).note.contains("a sample"), "{}", world.load(id).note);
    assert_eq!(world.writes(), 0);
}

#[test]
fn a_source_that_cannot_be_asked_never_contains_by_itself() {
    let world = World::new();
    let mut finding = subject(QUARANTINE).finding();
    finding.source = Source::Ocsf;
    let refused = world.open(&finding);
    assert_eq!((refused.state, world.writes()), (State::Refused, 0), "{}", refused.note);
}

#[test]
fn it_is_released_at_its_end_only_when_the_source_no_longer_reports_it() {
    let world = World::new();
    let finding = subject(QUARANTINE).finding();
    let contained = world.open(&finding);
    let State::Contained { until } = contained.state else { panic!("{}: {}", contained.state, contained.note) };
    let requests = world.sandbox.requests().len();
    turn_to(until - 1);
    assert_eq!(wait(world.engine.run(contained.id)).expect("a step"), Next::At(until));
    assert_eq!(world.sandbox.requests().len(), requests, "before its end nothing is looked at");

    turn_to(until);
    world.rest(contained.id);
    let kept = world.load(contained.id);
    assert!(matches!(kept.state, State::Contained { .. }), "{}", kept.note);
    assert!(kept.note.contains("still reports"), "{}", kept.note);

    world.source.close(&finding.source_ref.id);
    turn_to(now() + 5 * 3_600_000);
    world.rest(contained.id);
    let released = world.load(contained.id);
    assert_eq!(released.state, State::RolledBack, "{}", released.note);
}

#[test]
fn a_resource_that_two_alerts_hold_is_let_go_with_the_last() {
    let world = World::new();
    let first = subject(QUARANTINE).finding();
    let mut second = first.clone();
    (second.uid, second.source_ref.id) = ("second-alert".into(), "second-alert".into());
    let holder = world.open(&first);
    let watcher = world.open(&second);
    let State::Contained { until } = watcher.state else { panic!("{}: {}", watcher.state, watcher.note) };
    let held = world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid);
    let writes = world.writes();

    world.source.close(&first.source_ref.id);
    turn_to(until);
    world.reconcile();
    let kept = world.load(holder.id);
    assert!(
        matches!(kept.state, State::Contained { .. }) && kept.note.contains("holds the same resource"),
        "{}: {}",
        kept.state,
        kept.note
    );
    assert_eq!((world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid), world.writes()), (held, writes));

    world.source.close(&second.source_ref.id);
    for _ in 0..4 {
        turn_to(now() + 5 * 3_600_000);
        world.reconcile();
        world.rest(holder.id);
    }
    assert_eq!(world.load(holder.id).state, State::RolledBack, "{}", world.load(holder.id).note);
    assert_eq!(world.load(watcher.id).state, State::Resolved { how: Resolution::ByOthers });
}

#[test]
fn a_containment_that_somebody_undid_is_told_while_the_alert_stands() {
    let world = World::new();
    let finding = subject(QUARANTINE).finding();
    let before = world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid).expect("an instance");
    let contained = world.open(&finding);
    world.sandbox.put(Cloud::Aws, subject(QUARANTINE).uid, before);
    turn_to(now() + 5 * 3_600_000);
    world.reconcile();
    let stuck = world.load(contained.id);
    assert_eq!(stuck.state, State::Stuck, "{}", stuck.note);
    assert!(stuck.note.contains("somebody changed the contained resource"), "{}", stuck.note);
}

/// The alert is closed, and the resource is not as the containment left it.
#[test]
fn a_containment_that_somebody_undid_ends_with_its_alert_and_one_that_somebody_changed_calls_a_person() {
    for undone in [true, false] {
        let world = World::new();
        let finding = subject(QUARANTINE).finding();
        let before = world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid).expect("an instance");
        let contained = world.open(&finding);
        let mut now_is = before;
        if !undone {
            let group = serde_json::json!([{"GroupId": "sg-0f0f0f0f0f0f0f0f0", "GroupName": "for-forensics"}]);
            (now_is["SecurityGroups"], now_is["NetworkInterfaces"][0]["Groups"]) = (group.clone(), group);
        }
        world.sandbox.put(Cloud::Aws, subject(QUARANTINE).uid, now_is.clone());
        if undone {
            let group = world.sandbox.writes()[0].response.as_ref().expect("an answer").body["GroupId"].as_str().expect("an id").to_owned();
            let uid = format!("arn:aws:ec2:eu-west-1:111122223333:security-group/{group}");
            world.sandbox.delete(Cloud::Aws, &uid).expect("deleted");
        }
        let writes = world.writes();
        world.source.close(&finding.source_ref.id);
        turn_to(now() + 5 * 3_600_000);
        world.rest(contained.id);
        let end = world.load(contained.id);
        assert_eq!(end.state, if undone { State::RolledBack } else { State::Stuck }, "{}", end.note);
        assert_eq!((world.writes(), world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid)), (writes, Some(now_is)));
        assert!(undone || end.note.contains("not released by itself"), "{}", end.note);
    }
}

#[test]
fn an_alert_about_another_resource_keeps_nothing_contained() {
    let world = World::new();
    let uid = subject(QUARANTINE).uid;
    let other_uid = uid.replace("i-0123456789abcdef0", "i-0fedcba9876543210");
    let mut instance = world.sandbox.state(Cloud::Aws, uid).expect("an instance");
    instance["InstanceId"] = "i-0fedcba9876543210".into();
    world.sandbox.put(Cloud::Aws, &other_uid, instance);
    let first = subject(QUARANTINE).finding();
    let mut second = first.clone();
    (second.uid, second.source_ref.id) = ("second-alert".into(), "second-alert".into());
    second.resources[0].uid = other_uid.into();
    let (done, standing) = (world.open(&first), world.open(&second));
    world.source.close(&first.source_ref.id);
    turn_to(now() + 5 * 3_600_000);
    world.rest(done.id);
    let states = [done.id, standing.id].map(|id| world.load(id).state.name());
    assert_eq!(states, ["rolled-back", "contained"], "{}", world.load(done.id).note);
}

#[test]
fn kept_evidence_does_not_close_the_alert() {
    let world = World::new();
    let finding = subject("aws-ec2-snapshot-volumes").finding();
    let kept = world.open(&finding);
    assert_eq!(world.writes(), 2, "a snapshot of each volume: {} {}", kept.state, kept.note);
    let other = World::on(world.sandbox.clone(), &crate::world::auto_rules());
    let already = other.open(&finding);
    assert_eq!(other.writes(), 2, "none is taken again: {} {}", already.state, already.note);
    for told in [world.source.written(), other.source.written()] {
        assert!(!told.is_empty() && told.iter().all(|(_, _, status, _)| *status == WriteBack::InProgress), "{told:?}");
    }
}

#[test]
fn a_source_out_of_reach_neither_contains_nor_releases() {
    let world = World::new();
    let finding = subject(QUARANTINE).finding();
    world.source.put(finding.clone());
    world.source.set_available(false);
    let id = wait(world.engine.ingest(vec![finding.clone()])).expect("taken in")[0].remediation.expect("a remediation");
    wait(world.engine.run(id)).expect("a step");
    let waiting = world.load(id);
    assert_eq!((waiting.state, waiting.tries, world.writes()), (State::Open, 1, 0), "{}", waiting.note);

    world.source.set_available(true);
    world.rest(id);
    let State::Contained { until } = world.load(id).state else { panic!("{}", world.load(id).note) };
    let writes = world.writes();
    world.source.set_available(false);
    turn_to(until);
    world.reconcile();
    let held = world.load(id);
    assert!(matches!(held.state, State::Contained { .. }), "{}: {}", held.state, held.note);
    assert_eq!(world.writes(), writes);
}

#[test]
fn another_report_of_the_alert_does_not_keep_the_release_from_its_time() {
    let world = World::new();
    let mut finding = subject(QUARANTINE).finding();
    let contained = world.open(&finding);
    let State::Contained { until } = contained.state else { panic!("{}: {}", contained.state, contained.note) };
    finding.modified = Some(now());
    world.report(&finding);
    let told = world.load(contained.id);
    assert!(told.version > contained.version && told.next_at == Some(until), "the report was added, and no more");
    world.source.close(&finding.source_ref.id);
    turn_to(until);
    for _ in 0..30 {
        world.reconcile();
        turn_to(now() + 60_000);
    }
    assert_eq!(world.load(contained.id).state, State::RolledBack, "{}", world.load(contained.id).note);
}
