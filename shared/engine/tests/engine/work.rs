//! The worker: messages are nudges, and none is lost, followed twice to effect, or able to stop the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::finding::Finding;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, NUDGE_FORMAT, Nudge, ParkedKind, Received, Store, StoreError, WorkQueue};
use stanch_core::remediation::RemediationId;
use stanch_core::state::{Resolution, State};
use stanch_engine::{Handled, MAX_DELIVERIES, Worked};
use stanch_sandbox::Sandbox;
use stanch_store::LocalQueue;

use crate::faulty::FaultyStore;
use crate::subjects::subject;
use crate::world::{World, auto_rules, is_write, now, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };
const HIDDEN_MS: i64 = 300_000;

/// Takes a finding in and runs nothing.
pub(crate) fn arrive(world: &World, finding: &Finding<'static>) -> RemediationId {
    world.source.put(finding.clone());
    let intakes = wait(world.engine.ingest(vec![finding.clone()])).expect("taken in");
    intakes.first().and_then(|intake| intake.remediation).expect("a remediation")
}

fn bucket() -> Finding<'static> {
    subject("aws-s3-block-public-access").finding()
}

fn body(id: RemediationId, version: u64) -> String {
    format!(r#"{{"format":2,"id":"{id}","version":{version}}}"#)
}

fn work(world: &World) -> Worked {
    wait(world.engine.work(100)).expect("the queue is read")
}

/// A cloud whose S3 makes our own code fail.
pub(crate) struct Panicking(pub(crate) Sandbox);

impl CloudApi for Panicking {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        if matches!(&request.call, ApiCall::Operation { service, .. } if service == "s3") {
            return Box::pin(async { panic!("a fault of ours") });
        }
        self.0.call(request, timeout_ms)
    }
}

pub(crate) fn panicking_world() -> World {
    let sandbox = Sandbox::seeded(now);
    World::through(sandbox.clone(), Arc::new(Panicking(sandbox)), &auto_rules())
}

#[test]
fn messages_alone_take_a_finding_to_its_proof_and_stale_ones_are_dropped() {
    let world = World::new();
    let id = arrive(&world, &bucket());
    let mut total = Worked::default();
    for _ in 0..60 {
        let worked = work(&world);
        total.ran += worked.ran;
        total.stale += worked.stale;
        assert_eq!((worked.left, worked.parked, worked.put_off), (0, 0, 0));
        turn_to(now() + 1_000);
    }
    assert_eq!((world.load(id).state, world.writes()), (FIXED, 1));
    assert!(total.ran >= 1 && total.stale >= 1, "{total:?}");
    assert_eq!(work(&world).taken(), 0, "every message was completed");
    assert_eq!(wait(world.engine.message(&body(id, 1), 1)).unwrap(), Handled::Stale);
}

/// A queue that, as Azure's, takes no request for no message.
struct Strict(LocalQueue);

impl WorkQueue for Strict {
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.send(nudge, delay_ms)
    }
    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        assert!((1..=32).contains(&limit), "{limit}");
        self.0.receive(limit, hide_ms)
    }
    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.complete(receipt)
    }
}

#[test]
fn a_worker_takes_as_many_messages_as_it_may_in_as_many_batches_as_that_needs() {
    let sandbox = Sandbox::seeded(now);
    let queue = Arc::new(Strict(LocalQueue::new(Arc::new(now)).0));
    let world = World::with_queue(sandbox.clone(), Arc::new(sandbox), queue, &auto_rules());
    let ask = |n| Nudge { format: NUDGE_FORMAT, id: RemediationId(uuid::Uuid::from_u128(n)), version: 1, correlation: None };
    for n in 0..60 {
        wait(world.ports.queue.send(&ask(n), 0)).unwrap();
    }
    for (limit, parked) in [(0, 0), (1, 1), (3, 3), (20, 20), (100, 36), (100, 0)] {
        let worked = wait(world.engine.work(limit)).expect("the queue is read");
        assert_eq!((worked.parked, worked.taken()), (parked, parked), "at most {limit}: {worked:?}");
    }
    assert_eq!(Worked { ran: 1, stale: 2, put_off: 3, parked: 4, left: 5, dropped: 6 }.taken(), 21);
}

#[test]
fn a_message_that_cannot_be_followed_is_parked_with_its_reason() {
    let world = World::new();
    let unknown = body(RemediationId(uuid::Uuid::from_u128(77)), 1);
    for (message, deliveries, why) in [
        (r#"{"format":3,"id":"x"}"#, 1, "format 3"),
        ("a stranger's message", 1, "not {\"id\""),
        (unknown.as_str(), 1, "no remediation"),
        (unknown.as_str(), MAX_DELIVERIES + 1, "never finished"),
    ] {
        assert_eq!(wait(world.engine.message(message, deliveries)).unwrap(), Handled::Parked, "{message}");
        let parked = wait(world.store.parked(9)).unwrap();
        let found = parked.iter().find(|p| p.body == message).unwrap();
        assert!(found.kind == ParkedKind::Message && found.why.contains(why), "{found:?}");
    }
    // Through the queue, a parked message does not come again.
    let newer = Nudge { format: NUDGE_FORMAT + 1, id: RemediationId(uuid::Uuid::from_u128(5)), version: 1, correlation: None };
    wait(world.ports.queue.send(&newer, 0)).unwrap();
    assert_eq!(work(&world).parked, 1);
    turn_to(now() + 10 * HIDDEN_MS);
    assert_eq!(work(&world).taken(), 0);
}

#[test]
fn a_message_is_delivered_again_until_the_store_is_back() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let id = arrive(&world, &bucket());
    store.set_down(true);
    for _ in 1..MAX_DELIVERIES {
        assert_eq!(work(&world).left, 1);
        assert_eq!(work(&world).taken(), 0, "it is hidden meanwhile");
        turn_to(now() + HIDDEN_MS);
    }
    store.set_down(false);
    assert_eq!(work(&world).ran, 1, "the fifth delivery is followed");
    assert!(world.load(id).version > 1);
    assert_eq!(wait(world.store.parked(9)).unwrap(), []);
}

#[test]
fn a_store_that_is_away_longer_than_all_deliveries_asks_nobody_about_a_message() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let id = arrive(&world, &bucket());
    store.set_down(true);
    for delivery in 1..=MAX_DELIVERIES {
        let worked = work(&world);
        assert_eq!((worked.left, worked.dropped), if delivery < MAX_DELIVERIES { (1, 0) } else { (0, 1) });
        turn_to(now() + HIDDEN_MS);
    }
    store.set_down(false);
    assert_eq!(work(&world).taken(), 0);
    assert_eq!(wait(world.engine.reconcile(10)).parked, 0);
    assert!(world.load(id).version > 1, "its due time brings it on");
}

#[test]
fn at_the_last_delivery_a_message_that_fails_is_parked_with_the_last_error() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let id = arrive(&world, &bucket());
    store.lock_row(id);
    assert!(wait(world.engine.message(&body(id, 1), MAX_DELIVERIES - 1)).is_err(), "it must come again");
    assert_eq!(wait(world.engine.message(&body(id, 1), MAX_DELIVERIES)).unwrap(), Handled::Parked);
    let parked = wait(world.store.parked(9)).unwrap();
    assert!(parked[0].why.contains("delivered 5 times") && parked[0].why.contains("locked by the test"), "{}", parked[0].why);
}

#[test]
fn a_fault_of_ours_costs_its_own_step_and_in_the_end_calls_a_person() {
    let world = panicking_world();
    let bad = arrive(&world, &bucket());
    let good = arrive(&world, &subject("aws-kms-enable-rotation").finding());
    let worked = work(&world);
    assert!(worked.put_off == 1 && worked.ran >= 1, "{worked:?}");
    let put_off = world.load(bad);
    assert_eq!((put_off.state, put_off.tries), (State::Open, 1));
    assert!(put_off.note.contains("a fault of ours"), "{}", put_off.note);
    for _ in 0..100 {
        work(&world);
        turn_to(now() + 300_000);
    }
    assert_eq!(world.load(good).state, FIXED);
    let stuck = world.load(bad);
    assert!(stuck.state == State::Stuck && stuck.note.contains("gave up after 9 tries"), "{}: {}", stuck.state, stuck.note);
}

#[test]
fn a_fault_of_ours_that_cannot_be_stored_is_not_taken_for_put_off() {
    let (world, store) = panicking_world().with_faults(&auto_rules());
    let id = arrive(&world, &bucket());
    store.fail("commit");
    assert!(wait(world.engine.message(&body(id, 1), 1)).is_err(), "it must come again");
    let round = wait(world.engine.reconcile(10));
    assert_eq!((round.ran, round.failed.iter().map(|(part, _)| *part).collect::<Vec<_>>()), (0, vec!["due"]));
    assert_eq!(world.load(id).tries, 0);
}

/// A cloud at whose first call a case cannot be read any more, and our own code fails.
struct Breaking(OnceLock<(Arc<FaultyStore>, RemediationId)>);

impl CloudApi for Breaking {
    fn call<'a>(&'a self, _: &'a ApiRequest, _: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async {
            let (store, id) = self.0.get().expect("what to break");
            store.break_row(*id);
            panic!("a fault of ours")
        })
    }
}

#[test]
fn a_message_whose_case_can_be_neither_taken_on_nor_put_off_is_parked() {
    let clouds = Arc::new(Breaking(OnceLock::new()));
    let (world, store) = World::through(Sandbox::seeded(now), clouds.clone(), &auto_rules()).with_faults(&auto_rules());
    let id = arrive(&world, &bucket());
    assert!(clouds.0.set((store, id)).is_ok());
    assert_eq!(wait(world.engine.message(&body(id, 1), 1)).expect("handled"), Handled::Parked);
    let parked = wait(world.store.parked(9)).unwrap();
    assert!(parked[0].why.contains("a fault of ours"), "{}", parked[0].why);
}

/// A cloud whose first write makes our own code fail once it was sent.
struct Stumbling(Sandbox, AtomicBool);

impl CloudApi for Stumbling {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let answer = self.0.call(request, timeout_ms).await;
            assert!(!is_write(request) || self.1.swap(true, Ordering::Relaxed), "a fault of ours");
            answer
        })
    }
}

#[test]
fn a_fault_of_ours_in_the_middle_of_a_write_costs_time_and_nothing_is_written_twice() {
    let sandbox = Sandbox::seeded(now);
    let world = World::through(sandbox.clone(), Arc::new(Stumbling(sandbox, AtomicBool::new(false))), &auto_rules());
    let id = arrive(&world, &bucket());
    assert_eq!(work(&world).put_off, 1);
    let put_off = world.load(id);
    assert_eq!((put_off.state, put_off.tries, put_off.next_at), (State::Applying, 1, Some(now() + 2_000)));
    for _ in 0..20 {
        world.reconcile();
        turn_to(now() + 10_000);
    }
    assert_eq!((world.load(id).state, world.writes()), (FIXED, 1), "{}", world.load(id).note);
}
