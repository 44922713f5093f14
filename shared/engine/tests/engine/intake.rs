//! Intake: one remediation for one fault, whoever reports it, however often and in whatever order.

use stanch_core::finding::{ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::port::{Store, WriteBack};
use stanch_core::state::{Resolution, State};
use stanch_engine::Taken;
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::subject;
use crate::world::{START, World, now, turn_to, wait};

const BUCKET: &str = "aws-s3-block-public-access";
const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

fn bucket() -> Finding<'static> {
    subject(BUCKET).finding()
}

fn closed(mut finding: Finding<'static>, modified: i64) -> Finding<'static> {
    finding.status = FindingStatus::Resolved;
    finding.modified = Some(modified);
    if let Some(compliance) = &mut finding.compliance {
        compliance.status = ComplianceStatus::Pass;
    }
    finding
}

#[test]
fn the_same_event_twice_makes_one_remediation_and_one_set_of_writes() {
    let world = World::new();
    let first = world.report(&bucket());
    let second = world.report(&bucket());
    assert_eq!(first[0].remediation, second[0].remediation);
    assert_eq!((first[0].taken, second[0].taken), (Taken::Opened, Taken::Known));
    assert_eq!(world.writes(), 1);
}

#[test]
fn two_sources_of_one_fault_share_a_remediation_and_are_both_told() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&bucket());
    let mut prowler = bucket();
    prowler.source = Source::SecurityHubV2;
    prowler.uid = "the-other-generation".into();
    prowler.source_ref.id = prowler.uid.clone();
    let other = world.report(&prowler);
    assert_eq!(other[0].remediation, Some(waiting.id));
    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    world.rest(waiting.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    let told: std::collections::BTreeSet<String> = world.source.written().into_iter().map(|(_, id, _, _)| id).collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn our_own_write_back_coming_round_changes_nothing() {
    let world = World::new();
    let fixed = world.open(&bucket());
    assert_eq!(fixed.state, FIXED);
    let mut echo = bucket();
    echo.status = FindingStatus::InProgress;
    echo.status_original = Some("NOTIFIED".into());
    let (writes, version) = (world.writes(), world.load(fixed.id).version);
    assert_eq!(world.report(&echo)[0].taken, Taken::Known);
    let after = world.load(fixed.id);
    assert_eq!((after.state, after.recurrences, world.writes()), (FIXED, 0, writes));
    assert_eq!(after.version, version, "an unchanged heartbeat commits nothing");
}

#[test]
fn a_fault_that_comes_back_reopens_its_remediation_and_is_counted() {
    let world = World::new();
    let fixed = world.open(&bucket());
    turn_to(now() + 86_400_000);
    world
        .sandbox
        .edit(stanch_core::cloud::Cloud::Aws, subject(BUCKET).uid, |b| {
            drop(b.as_object_mut().unwrap().remove("PublicAccessBlockConfiguration"));
        })
        .unwrap();
    let mut again = bucket();
    again.modified = Some(now());
    assert_eq!(world.report(&again)[0].taken, Taken::Recurred);
    let after = world.load(fixed.id);
    assert_eq!((after.state, after.recurrences), (FIXED, 1), "{}", after.note);
    assert_eq!(world.writes(), 2);
}

#[test]
fn a_late_delivery_of_an_older_word_changes_nothing() {
    let world = World::new();
    let fixed = world.open(&bucket());
    let mut late = bucket();
    late.modified = Some(START - 86_400_000);
    assert_eq!(world.report(&late)[0].taken, Taken::Known);
    assert_eq!(world.load(fixed.id).state, FIXED);
}

#[test]
fn the_source_closing_its_finding_is_the_second_proof() {
    let world = World::new();
    let fixed = world.open(&bucket());
    assert_eq!(fixed.times.closed, None);
    world.report(&closed(bucket(), now() + 5_000));
    assert_eq!(world.load(fixed.id).times.closed, Some(now() + 5_000));
}

#[test]
fn a_finding_closed_before_we_act_ends_the_wait() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&bucket());
    world.report(&closed(bucket(), now() + 5_000));
    assert_eq!(world.load(waiting.id).state, State::Resolved { how: Resolution::ByOthers });
    assert_eq!(world.writes(), 0);
}

#[test]
fn passed_findings_and_samples_open_nothing_to_do() {
    let world = World::new();
    assert_eq!(world.report(&closed(bucket(), now()))[0].taken, Taken::NotOpen);
    let mut sample = bucket();
    sample.sample = true;
    let recorded = world.open(&sample);
    assert_eq!(recorded.state, State::Open, "{}", recorded.note);
    assert_eq!(world.writes(), 0);
}

#[test]
fn an_unchanged_heartbeat_calls_no_cloud_and_commits_nothing() {
    for (rules, state) in [
        (crate::world::auto_rules(), "resolved"),
        (ASK.to_owned(), "awaiting-approval"),
        (stanch_library::DEFAULT_RULES.to_owned(), "planned"),
        ("rule: keep\nmode: record\n".to_owned(), "open"),
    ] {
        let world = World::with_rules(&rules);
        let known = world.open(&bucket());
        let before = (world.load(known.id).version, world.sandbox.requests().len());
        for _ in 0..3 {
            turn_to(now() + 600_000);
            world.source.put(bucket());
            let mut heartbeat = bucket();
            heartbeat.modified = known.finding.modified;
            assert_eq!(wait(world.engine.ingest(vec![heartbeat])).unwrap()[0].taken, Taken::Known);
            world.reconcile();
        }
        let after = world.load(known.id);
        assert_eq!((after.version, world.sandbox.requests().len(), after.state.name()), (before.0, before.1, state));
    }
}

#[test]
fn only_word_that_is_newer_than_our_proof_reopens_a_fixed_case() {
    for (after, taken) in [(-1, Taken::Known), (0, Taken::Known), (1, Taken::Recurred)] {
        let world = World::new();
        turn_to(now() + 60_000);
        let fixed = world.open(&bucket());
        let mut again = bucket();
        again.modified = fixed.times.verified.map(|at| at + after);
        assert_eq!(world.report(&again)[0].taken, taken, "{after} ms after the proof");
        assert_eq!(world.load(fixed.id).recurrences, u32::from(taken == Taken::Recurred));
    }
}

#[test]
fn a_fixed_case_is_closed_once_and_only_when_every_source_has_closed_its_finding() {
    let world = World::new();
    let mut other = bucket();
    other.uid = "another-detector".into();
    other.source_ref.id = other.uid.clone();
    let fixed = world.open(&bucket());
    world.report(&other);
    let closed_at = |finding: &Finding<'static>, modified: i64| {
        let taken = world.report(&closed(finding.clone(), modified))[0].taken;
        let record = wait(world.store.record(fixed.id)).expect("a record");
        let entries = record.iter().filter(|entry| entry.body.contains("the source closed its finding")).count();
        (taken, world.load(fixed.id).times.closed, entries)
    };
    let first = now() + 5_000;
    assert_eq!(closed_at(&bucket(), first), (Taken::Known, None, 0), "the other one still reports it");
    assert_eq!(closed_at(&other, first + 1), (Taken::Closed, Some(first + 1), 1));
    assert_eq!(closed_at(&other, first + 2), (Taken::Known, Some(first + 1), 1), "it was closed already");
}

#[test]
fn a_recorded_case_shows_the_latest_word_and_a_plan_the_one_it_was_made_on() {
    for (rules, title) in [("rule: keep\nmode: record\n", "another title"), (ASK, "")] {
        let world = World::with_rules(rules);
        let case = world.open(&bucket());
        let mut again = bucket();
        (again.title, again.modified) = ("another title".into(), Some(now()));
        wait(world.engine.ingest(vec![again])).expect("taken in");
        let expected = if title.is_empty() { bucket().title } else { title.into() };
        assert_eq!(world.load(case.id).finding.title, expected, "{}", case.state);
        assert_eq!(wait(world.store.due(i64::MAX, 9)).expect("a list"), [], "it rests as before");
    }
}

#[test]
fn a_source_closes_by_a_word_of_the_same_time_but_not_by_an_older_one_that_comes_late() {
    for (older, state) in [(0, State::Resolved { how: Resolution::ByOthers }), (1, State::AwaitingApproval)] {
        let world = World::with_rules(ASK);
        let waiting = world.open(&bucket());
        let before = world.load(waiting.id).version;
        world.report(&closed(bucket(), bucket().modified.unwrap() - older));
        let after = world.load(waiting.id);
        assert_eq!((after.state, after.version == before), (state, older > 0), "{older} ms older");
    }
}

#[test]
fn a_source_that_names_no_times_may_report_again_what_it_had_closed() {
    let world = World::with_rules(ASK);
    let timeless = |status| Finding { modified: None, last_seen: None, time: None, status, ..bucket() };
    let waiting = world.open(&timeless(FindingStatus::New));
    let mut closed = timeless(FindingStatus::Resolved);
    closed.compliance.as_mut().unwrap().status = ComplianceStatus::Pass;
    world.report(&closed);
    assert_eq!(world.load(waiting.id).state, State::Resolved { how: Resolution::ByOthers });
    assert_eq!(world.report(&timeless(FindingStatus::New))[0].taken, Taken::Recurred);
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
}

/// Something of ours is written, or was put back, or a person looks at it: that does not end because the source closes its finding.
#[test]
fn a_case_that_has_written_does_not_end_by_its_source_s_word() {
    let lost = Fault::once(FaultKind::TimeoutLost, "s3.PutPublicAccessBlock");
    let denied = Fault::once(FaultKind::Denied, "s3.Get");
    for (fault, undo, state) in [(Some(lost), false, "applying"), (Some(denied), false, "stuck"), (None, true, "rolled-back")] {
        let world = World::new();
        if let Some(fault) = fault {
            world.sandbox.inject(fault);
        }
        let id = crate::work::arrive(&world, &bucket());
        if undo {
            world.rest(id);
            world.undo(id);
        }
        wait(world.engine.run(id)).expect("a step");
        let next = world.load(id).next_at;
        let taken = wait(world.engine.ingest(vec![closed(bucket(), now() + 5_000)])).expect("taken in");
        let after = world.load(id);
        assert_eq!((taken[0].taken, after.state.name()), (Taken::Known, state), "{}", after.note);
        assert_eq!(after.next_at.is_some(), next.is_some(), "it goes on as it would have");
    }
}

#[test]
fn a_source_that_closed_its_finding_is_told_of_the_proof_and_not_of_the_work() {
    let world = World::with_rules(ASK);
    let mut other = bucket();
    other.uid = "another-detector".into();
    other.source_ref.id = other.uid.clone();
    let waiting = world.open(&bucket());
    world.report(&other);
    world.report(&closed(other, now() + 1));
    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    world.rest(waiting.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    let told = world.source.written();
    let of = |id: &str| told.iter().filter(|(_, to, ..)| to == id).map(|(_, _, status, _)| *status).collect::<Vec<_>>();
    assert_eq!(of(&bucket().source_ref.id), [WriteBack::InProgress, WriteBack::Fixed]);
    assert_eq!(of("another-detector"), [WriteBack::Fixed]);
}
