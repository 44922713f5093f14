//! Sweeps: what never arrived is found at its source, and what was there before is left alone.

use stanch_core::chain::ChainHead;
use stanch_core::cloud::{Account, Cloud};
use stanch_core::finding::{Finding, Source};
use stanch_core::port::{Listed, ParkedKind, Scope, Store, Unread};
use stanch_core::remediation::{RemediationId, RemediationKey};
use stanch_core::state::{Resolution, State};

use crate::doctored::Doctored;
use crate::reconcile::store;
use crate::subjects::subject;
use crate::world::{World, auto_rules, now, numbered, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const EVERY: i64 = 6 * 3_600_000;
const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";
const BUCKET: &str = "aws-s3-block-public-access";

fn scope() -> Scope {
    Scope { source: Source::SecurityHub, cloud: Cloud::Aws, account: "111122223333".into(), region: Some("eu-west-1".into()), having: None }
}

fn cursor() -> String {
    "sweep/security-hub/aws/111122223333/eu-west-1".into()
}

fn finding() -> Finding<'static> {
    subject(BUCKET).finding()
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
    let world = swept(World::with_rules(ASK));
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
    let world = swept(World::with_rules(ASK));
    let (gone, stays) = (world.open(&finding()), world.open(&subject("aws-kms-enable-rotation").finding()));
    assert!(world.source.remove(&finding().source_ref.id));
    world.reconcile();
    assert_eq!(world.load(gone.id).state, State::Resolved { how: Resolution::ByOthers });
    assert_eq!((world.load(stays.id).state, world.writes()), (State::AwaitingApproval, 0));
}

#[test]
fn a_case_that_cannot_be_read_does_not_keep_others_from_being_checked() {
    let (world, store) = World::with_rules(ASK).with_faults(ASK);
    let world = swept(world);
    let (broken, gone) = (world.open(&subject("aws-kms-enable-rotation").finding()), world.open(&finding()));
    assert!(broken.id < gone.id, "it comes first");
    store.break_row(broken.id);
    assert!(world.source.remove(&finding().source_ref.id));
    assert_eq!(world.reconcile().swept, 1);
    assert_eq!(world.load(gone.id).state, State::Resolved { how: Resolution::ByOthers });
}

/// So many cases that wait for approval, each of a finding of its own that its source holds.
fn waiting(world: &World, count: usize) -> Vec<RemediationId> {
    let one = world.open(&finding());
    assert_eq!(one.state, State::AwaitingApproval, "{}", one.note);
    let like_it = |n: usize| {
        let numbered = numbered(n);
        let mut case = one.clone();
        (case.version, case.chain) = (0, ChainHead::default());
        case.id = RemediationId(uuid::Uuid::from_u128(1_000_000 + n as u128));
        for resource in &numbered.resources {
            case.key = RemediationKey::of(&numbered, resource, None);
        }
        for reporter in &mut case.reporters {
            reporter.source_ref = numbered.source_ref.clone();
        }
        store(world, case.clone(), None);
        world.source.put(numbered);
        case.id
    };
    (0..count).map(like_it).chain([one.id]).collect()
}

#[test]
fn however_many_cases_wait_each_is_asked_for_in_its_turn_and_fifty_at_a_time() {
    let nothing = |listed: &mut Listed, _| (listed.findings, listed.next) = (Vec::new(), None);
    let (mut world, source) = Doctored::world(nothing);
    world.set_rules(ASK);
    let world = swept(world);
    let cases = waiting(&world, 1_099);
    let vanished = [0, 60, 1_098];
    for n in vanished {
        assert!(world.source.remove(&numbered(n).source_ref.id));
    }
    for _ in 0..22 {
        source.asked.lock().unwrap().clear();
        world.reconcile();
        assert_eq!(source.asked.lock().unwrap().len(), 50);
        turn_to(now() + EVERY);
    }
    let ended: Vec<_> = (0..cases.len()).filter(|n| world.load(cases[*n]).state != State::AwaitingApproval).collect();
    assert_eq!(ended, vanished);
}

#[test]
fn only_cases_of_the_scope_are_asked_for() {
    let own = subject("aws-kms-enable-rotation").finding();
    let mut account = own.clone();
    (account.uid, account.source_ref.id) = ("another-account".into(), "another-account".into());
    account.account = Some(Account { uid: "444455556666".into(), name: None });
    account.resources[0].account.clone_from(&account.account);
    let key = own.resources[0].uid.to_string();
    let other_key = key.replace("111122223333", "444455556666");
    account.resources[0].uid = other_key.clone().into();
    let mut source = finding();
    source.source = Source::SecurityHubV2;
    source.uid = "another-source".into();
    source.source_ref.id = source.uid.clone();
    let own_id = own.source_ref.id.to_string();
    for (swept_account, expected) in
        [("111122223333", vec![own_id.as_str()]), ("organizations/o-1", vec![own_id.as_str(), "another-account"]), ("777788889999", vec![])]
    {
        let (mut world, asking) = Doctored::world(|listed, _| listed.findings.clear());
        world.set_rules(ASK);
        world.sandbox.put(Cloud::Aws, &other_key, world.sandbox.state(Cloud::Aws, &key).unwrap());
        let opened = [&own, &account, &source].map(|finding| world.open(finding));
        assert_eq!(opened.map(|case| case.state), [State::AwaitingApproval; 3]);
        let scope = Scope { account: swept_account.into(), ..scope() };
        world.engine = world.engine.clone().with_sweep(vec![scope], EVERY.unsigned_abs());
        world.reconcile();
        assert_eq!(*asking.asked.lock().unwrap(), expected, "{swept_account}");
    }
}

#[test]
fn a_source_that_fails_is_left_alone_ever_longer_and_after_five_times_read_anew() {
    let world = sweeping(World::new());
    (0..300).for_each(|n| world.source.put(numbered(n)));
    assert_eq!(world.reconcile().swept, 250);
    world.source.set_available(false);
    for minutes in [2, 4, 8, 16, 32, 64, 64] {
        let round = wait(world.engine.reconcile(10));
        assert_eq!(round.failed.iter().map(|(part, _)| *part).collect::<Vec<_>>(), ["sweep"]);
        turn_to(now() + minutes * 60_000 - 1);
        assert_eq!(world.reconcile().swept, 0, "left alone for {minutes} min");
        turn_to(now() + 1);
    }
    world.source.set_available(true);
    assert_eq!(world.reconcile().swept, 250, "the page may be what it does not take any more");
    world.tally.check(&[("stanch_sweeps_total", "outcome=done", 2), ("stanch_sweeps_total", "outcome=failed", 7)]);
}

/// It may be at it still: nobody else goes on with its page before its lease is over.
#[test]
fn a_worker_that_fails_in_the_middle_of_a_page_holds_it_for_ten_minutes() {
    let world = sweeping(Doctored::world(|_, _| panic!("a fault of ours")).0);
    world.source.put(finding());
    let failed = || wait(world.engine.reconcile(10)).failed.len();
    assert_eq!(failed(), 1);
    turn_to(now() + 599_999);
    assert_eq!(failed(), 0);
    turn_to(now() + 1);
    assert_eq!(failed(), 1);
}

#[test]
fn a_listed_finding_whose_case_is_locked_is_listed_again_and_one_that_cannot_be_read_is_parked() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let world = sweeping(world);
    let case = world.open(&finding());
    for (locked, parked) in [(true, 0), (false, 1)] {
        if locked {
            store.lock_row(case.id);
        } else {
            store.break_row(case.id);
        }
        let round = wait(world.engine.reconcile(10));
        assert_eq!(round.failed.len(), usize::from(locked), "{:?}", round.failed);
        assert_eq!(round.parked, parked, "what no time mends is shown to people");
        store.unlock_row(case.id);
        turn_to(now() + EVERY);
    }
}

#[test]
fn a_store_that_fails_while_cases_are_checked_has_the_sweep_repeated() {
    let (world, store) = World::with_rules(ASK).with_faults(ASK);
    let world = swept(world);
    let gone = world.open(&finding());
    assert!(world.source.remove(&finding().source_ref.id));
    store.lock_row(gone.id);
    assert_eq!(wait(world.engine.reconcile(10)).failed.len(), 1);
    store.unlock_row(gone.id);
    turn_to(now() + 600_000);
    world.reconcile();
    assert_eq!(world.load(gone.id).state, State::Resolved { how: Resolution::ByOthers });
}

#[test]
fn a_sweep_goes_back_an_hour_before_the_last_one_and_counts_what_was_missed() {
    let (world, _) = Doctored::world(|listed, since| listed.findings.retain(|finding| finding.modified >= since));
    let world = sweeping(world);
    let last = now();
    world.reconcile();
    for (n, before) in [(0, 3_600_001), (1, 3_600_000), (2, 0)] {
        let mut late = numbered(n);
        late.modified = Some(last - before);
        world.source.put(late);
    }
    turn_to(now() + EVERY - 1);
    assert_eq!(world.reconcile().swept, 0);
    turn_to(now() + 1);
    assert_eq!((world.reconcile().swept, rows(&world)), (2, 2));
    turn_to(now() + EVERY);
    world.tally.check(&[
        ("stanch_sweeps_total", "outcome=done", 2),
        ("stanch_swept_findings_total", "outcome=listed", 2),
        ("stanch_swept_findings_total", "outcome=missed", 2),
    ]);
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
