//! Intake: one remediation for one fault, whoever reports it, however often and in whatever order.

use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::state::{Resolution, State};
use stanch_engine::Taken;

use crate::subjects::subject;
use crate::world::{World, now, turn_to};

const BUCKET: &str = "aws-s3-block-public-access";
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
    let world = World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n");
    let waiting = world.open(&bucket());
    let mut prowler = bucket();
    prowler.source = Source::SecurityHubV2;
    prowler.uid = "the-other-generation".into();
    prowler.source_ref.id = prowler.uid.clone();
    let other = world.report(&prowler);
    assert_eq!(other[0].remediation, Some(waiting.id));
    crate::world::wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    world.rest(waiting.id);
    crate::world::wait(world.engine.send_outbox(100)).expect("sent");
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
    late.modified = Some(crate::world::START - 86_400_000);
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
    let world = World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n");
    let waiting = world.open(&bucket());
    world.report(&closed(bucket(), now() + 5_000));
    assert_eq!(world.load(waiting.id).state, State::Resolved { how: Resolution::ByOthers });
    assert_eq!(world.writes(), 0);
}

#[test]
fn a_deleted_row_says_nothing_about_the_resource() {
    let world = World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n");
    let waiting = world.open(&bucket());
    let mut deleted = closed(bucket(), now() + 5_000);
    deleted.activity = Activity::Close;
    deleted.status = FindingStatus::Deleted;
    world.report(&deleted);
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
}

#[test]
fn passed_findings_samples_and_findings_without_a_resource_open_nothing_to_do() {
    let world = World::new();
    assert_eq!(world.report(&closed(bucket(), now()))[0].taken, Taken::NotOpen);
    let mut nowhere = bucket();
    nowhere.resources.clear();
    assert_eq!(world.report(&nowhere)[0].taken, Taken::NoResource);
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
        ("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n".to_owned(), "awaiting-approval"),
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
            assert_eq!(crate::world::wait(world.engine.ingest(vec![heartbeat])).unwrap()[0].taken, Taken::Known);
            world.reconcile();
        }
        let after = world.load(known.id);
        assert_eq!((after.version, world.sandbox.requests().len(), after.state.name()), (before.0, before.1, state));
    }
}
