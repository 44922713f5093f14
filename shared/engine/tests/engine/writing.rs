//! One change at a time: what is checked before each, who is waited for, and when a person is called instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Filter, Store};
use stanch_core::remediation::{Outcome, Remediation, RemediationId, Run};
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};
use stanch_store::SqliteStore;

use crate::reconcile::store;
use crate::subjects::subject;
use crate::world::{World, auto_rules, is_write, library, now, turn_to, wait};

const BUCKET: &str = "aws-s3-block-public-access";
/// Its plan has several changes.
const INGRESS: &str = "aws-ec2-revoke-world-ingress";
const FIXED: State = State::Resolved { how: Resolution::Fixed };
const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";

pub(crate) fn opened(world: &World, fix: &str) -> RemediationId {
    wait(world.engine.ingest(vec![subject(fix).finding()])).expect("taken in").iter().find_map(|intake| intake.remediation).expect("opened")
}

pub(crate) fn settle(fix: &str) -> Millis {
    library().fix(fix).expect("the fix").settle_ms as Millis
}

pub(crate) fn outcomes(remediation: &Remediation) -> Vec<Outcome> {
    remediation.fix.iter().flat_map(|run| &run.attempts).filter_map(|a| a.result.as_ref()).map(|r| r.outcome).collect()
}

/// A cloud that cannot be reached for the second write.
struct Interrupted {
    sandbox: Sandbox,
    writes: AtomicUsize,
}

impl CloudApi for Interrupted {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        if is_write(request) && self.writes.fetch_add(1, Ordering::Relaxed) == 1 {
            let error = ApiError::NotSent { call: request.name(), reason: "no connection".into(), retry: true };
            return Box::pin(std::future::ready(Err(error)));
        }
        self.sandbox.call(request, timeout_ms)
    }
}

/// A case whose first change of several is written.
fn first_of_several() -> (World, RemediationId) {
    let sandbox = Sandbox::seeded(now);
    let clouds = Interrupted { sandbox: sandbox.clone(), writes: AtomicUsize::new(0) };
    let world = World::through(sandbox, Arc::new(clouds), &auto_rules());
    let id = opened(&world, INGRESS);
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(now() + 2_000));
    let case = world.load(id);
    assert_eq!((case.state, world.writes()), (State::Applying, 1), "{}", case.note);
    (world, id)
}

#[test]
fn a_plan_that_is_not_the_approved_one_is_never_written() {
    let tamper: [fn(&mut Run); 3] = [
        |run| run.approval.as_mut().expect("an approval").plan_hash = "another".into(),
        |run| run.approval = None,
        |run| run.plan.changes[0].ok.push("AnyFault".into()),
    ];
    for tamper in tamper {
        let world = World::with_rules(ASK);
        let waiting = world.open(&subject(BUCKET).finding());
        wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
        let mut remediation = world.load(waiting.id);
        tamper(remediation.fix.as_mut().expect("a run"));
        let next_at = remediation.next_at;
        store(&world, remediation, next_at);
        world.rest(waiting.id);
        let stuck = world.load(waiting.id);
        assert_eq!((stuck.state, world.writes()), (State::Stuck, 0), "{}", stuck.note);
        assert!(stuck.note.contains("not the one that was approved"), "{}", stuck.note);
    }
}

#[test]
fn nobody_looks_for_a_lost_write_before_its_lease_and_the_settle_time_are_over() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, "s3.PutPublicAccessBlock"));
    let id = opened(&world, BUCKET);
    wait(world.engine.run(id)).expect("a step");
    let attempt = world.load(id).fix.expect("a run").attempts.remove(0);
    assert_eq!(attempt.lease_until, attempt.intended_at + 35_000, "25 s for the call, 10 s for slow clocks");
    let ready = attempt.lease_until + settle(BUCKET);
    for early in [attempt.lease_until, ready - 1] {
        turn_to(early);
        let calls = world.sandbox.requests().len();
        assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(ready));
        assert_eq!(world.sandbox.requests().len(), calls);
    }
    turn_to(ready);
    wait(world.engine.run(id)).expect("a step");
    let ended = world.load(id);
    assert_eq!(outcomes(&ended), [Outcome::NotSeen, Outcome::Applied]);
    let sends: Vec<_> = ended.fix.iter().flat_map(|run| &run.attempts).map(|a| (a.number, a.client_token.clone())).collect();
    assert_eq!(sends, [(1, attempt.client_token.clone()), (2, attempt.client_token.clone())], "the same token at every send of a change");
    assert!(attempt.client_token.is_some_and(|token| token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit())));
}

/// A cloud that looks, at each write, when the case comes back should its worker die right now.
struct Peeking {
    sandbox: Sandbox,
    store: OnceLock<Arc<SqliteStore>>,
    seen: Mutex<Vec<(Option<Millis>, Option<String>)>>,
}

impl CloudApi for Peeking {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            if let Some(store) = self.store.get().filter(|_| is_write(request)) {
                let id = store.list(&Filter::default()).await.expect("rows").first().expect("a case").id;
                let case = store.load(id).await.expect("reads").expect("a case");
                let token = case.fix.and_then(|run| run.attempts.last()?.client_token.clone());
                self.seen.lock().expect("a lock").push((case.next_at, token));
            }
            self.sandbox.call(request, timeout_ms).await
        })
    }
}

#[test]
fn at_each_write_the_store_knows_when_to_look_for_it_and_by_which_token() {
    let sandbox = Sandbox::seeded(now);
    let clouds = Arc::new(Peeking { sandbox: sandbox.clone(), store: OnceLock::new(), seen: Mutex::default() });
    let world = World::through(sandbox, clouds.clone(), &auto_rules());
    assert!(clouds.store.set(world.store.clone()).is_ok());
    assert_eq!(world.open(&subject(INGRESS).finding()).state, FIXED);
    let seen = clouds.seen.lock().expect("a lock").clone();
    let [(first_at, first), (second_at, second)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((*first_at, *second_at), (Some(now() + 35_000 + settle(INGRESS)), Some(now() + 35_000 + settle(INGRESS))));
    assert!(first.is_some() && second.is_some() && first != second, "each change has a token of its own: {seen:?}");
}

#[test]
fn before_a_write_an_outage_is_waited_out_and_a_refused_read_calls_a_person() {
    for (fault, ends, writes) in [(FaultKind::Unavailable, FIXED, 1), (FaultKind::Denied, State::Stuck, 0)] {
        let world = World::with_rules(ASK);
        let waiting = world.open(&subject(BUCKET).finding());
        wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
        world.sandbox.inject(Fault::once(fault, "s3.Get"));
        wait(world.engine.run(waiting.id)).expect("a step");
        let then = world.load(waiting.id);
        assert_eq!(then.state, if ends == FIXED { State::Applying } else { ends }, "{fault:?}: {}", then.note);
        world.rest(waiting.id);
        assert_eq!((world.load(waiting.id).state, world.writes()), (ends, writes), "{fault:?}");
    }
}

#[test]
fn what_somebody_else_does_meanwhile_is_not_done_again() {
    let done = World::new();
    done.open(&subject(INGRESS).finding());
    let (world, id) = first_of_several();
    let whole = done.sandbox.state(subject(INGRESS).cloud, subject(INGRESS).uid).expect("a group");
    world.sandbox.put(subject(INGRESS).cloud, subject(INGRESS).uid, whole);
    world.rest(id);
    let fixed = world.load(id);
    assert_eq!((fixed.state, world.writes()), (FIXED, 1), "{}", fixed.note);
    assert_eq!(outcomes(&fixed), [Outcome::Applied, Outcome::NotApplied, Outcome::AppliedByObservation]);
}

/// It looks the same whether a read lags or somebody put it back: only time tells.
#[test]
fn a_change_that_is_gone_again_is_waited_for_as_long_as_reads_lag_and_then_a_person_is_called() {
    let before = World::new().sandbox.state(subject(INGRESS).cloud, subject(INGRESS).uid).expect("a group");
    let (world, id) = first_of_several();
    let applied = world.load(id).fix.expect("a run").attempts[0].result.clone().expect("a result").at;
    world.sandbox.put(subject(INGRESS).cloud, subject(INGRESS).uid, before);
    turn_to(applied + 5_000);
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(now() + 5_000), "a young write is looked for soon");
    let patience = settle(INGRESS).min(120_000);
    turn_to(applied + patience - 1);
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(now() + (patience - 1).clamp(2_000, 30_000)));
    assert_eq!(world.load(id).state, State::Applying);
    turn_to(applied + patience);
    wait(world.engine.run(id)).expect("a step");
    let stuck = world.load(id);
    assert_eq!((stuck.state, world.writes()), (State::Stuck, 1), "{}", stuck.note);
    assert!(stuck.note.contains("somebody changed the resource"), "{}", stuck.note);
}

#[test]
fn a_run_of_several_changes_and_its_undo_take_one_slot_of_the_cap() {
    let world = World::with_rules(&auto_rules().replace("per_hour: 100", "per_hour: 1"));
    let fixed = world.open(&subject(INGRESS).finding());
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    assert_eq!(world.undo(fixed.id).state, State::RolledBack);
    assert_eq!(world.open(&subject(BUCKET).finding()).state, State::Refused, "the slot is used up");
}

#[test]
fn a_held_write_is_tried_again_in_a_minute() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&subject(BUCKET).finding());
    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    wait(world.store.allow_writes(false)).expect("switched");
    assert_eq!(wait(world.engine.run(waiting.id)).expect("a step"), Next::At(now() + 60_000));
    world.tally.check(&[("stanch_writes_held_total", "gate=kill-switch", 1)]);
}

#[test]
fn every_call_names_what_it_follows_from() {
    let world = World::new();
    let fixed = world.open(&subject(INGRESS).finding());
    let calls = world.sandbox.requests();
    assert!(calls.len() > 2 && fixed.correlation.is_some());
    for call in calls {
        assert_eq!(call.request.correlation, fixed.correlation, "{}", call.request.name());
    }
}

#[test]
fn patience_grows_fourfold_to_an_hour_and_ends_after_nine_tries() {
    let world = World::new();
    world.sandbox.inject(Fault::times(FaultKind::Unavailable, "s3.Get", 1_000));
    let id = opened(&world, BUCKET);
    let mut waits = Vec::new();
    while let Next::At(at) = wait(world.engine.run(id)).expect("a step") {
        waits.push((at - now()) / 1_000);
        turn_to(at);
    }
    assert_eq!(waits, [2, 8, 32, 128, 512, 2_048, 3_600, 3_600]);
    assert_eq!((world.load(id).state, world.writes()), (State::Stuck, 0));
}
