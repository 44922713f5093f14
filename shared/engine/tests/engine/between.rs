//! What happens between two steps, or in the middle of one: reports, waiting, other workers' knowledge, a slow store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::finding::Finding;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Nudge, Received, StoreError, WorkQueue};
use stanch_core::remediation::Outcome;
use stanch_core::state::{Resolution, State};
use stanch_engine::Engine;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::subject;
use crate::world::{START, World, auto_rules, is_write, now, turn_to, wait};
use crate::writing::outcomes;

const BUCKET: &str = "aws-s3-block-public-access";
const FIXED: State = State::Resolved { how: Resolution::Fixed };
const ARCHIVE: &str = "arn:aws:s3:::shop-invoices-archive";

fn calls(world: &World) -> usize {
    world.sandbox.requests().len()
}

#[test]
fn one_worker_s_throttling_keeps_every_worker_away_from_that_api_alone() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::Throttled { retry_after: 120 }, "s3."));
    let first = subject(BUCKET).finding();
    wait(world.engine.ingest(vec![first.clone()])).expect("taken in");
    assert!(wait(world.engine.reconcile(10)).failed.is_empty());
    assert_eq!(calls(&world), 1, "the throttled one");

    let mut second = first;
    second.uid = "second".into();
    second.resources[0].uid = "arn:aws:s3:::shop-web-assets".into();
    let other_api = subject("aws-kms-enable-rotation").finding();
    let intakes = wait(world.engine.ingest(vec![second, other_api])).expect("taken in");
    turn_to(now() + 60_000);
    assert!(wait(world.engine.reconcile(10)).failed.is_empty());
    let s3 = world.sandbox.requests().iter().filter(|r| r.request.name().starts_with("s3.")).count();
    assert_eq!(s3, 1, "nobody calls s3 before the two minutes are over");
    assert_eq!(world.load(intakes[1].remediation.expect("opened")).state, FIXED, "another service is not held up");

    let waiting = world.load(intakes[0].remediation.expect("opened"));
    assert_eq!((waiting.state, waiting.tries), (State::Open, 0), "waiting is no failed try: {}", waiting.note);
    turn_to(START + 130_000);
    assert!(wait(world.engine.reconcile(10)).failed.is_empty());
    assert_eq!(world.load(waiting.id).state, FIXED);
}

/// A cloud that takes a write and, before it answers, has something else happen.
struct Meanwhile {
    sandbox: Sandbox,
    engine: OnceLock<Engine>,
    report: Finding<'static>,
}

impl CloudApi for Meanwhile {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let answer = self.sandbox.call(request, timeout_ms).await;
            if is_write(request)
                && let Some(engine) = self.engine.get()
            {
                engine.ingest(vec![self.report.clone()]).await.expect("the report is taken in");
            }
            answer
        })
    }
}

#[test]
fn a_report_during_a_write_does_not_cost_its_result() {
    let finding = subject(BUCKET).finding();
    let mut other = finding.clone();
    other.uid = "seen-by-another-detector".into();
    other.source_ref.id = "seen-by-another-detector".into();
    let sandbox = Sandbox::seeded(now);
    let clouds = Arc::new(Meanwhile { sandbox: sandbox.clone(), engine: OnceLock::new(), report: other });
    let world = World::through(sandbox, clouds.clone(), &auto_rules());
    drop(clouds.engine.set(world.engine.clone()));
    let fixed = world.open(&finding);
    assert_eq!((fixed.state, fixed.reporters.len()), (FIXED, 2), "{}", fixed.note);
    assert_eq!(outcomes(&fixed), [Outcome::Applied], "the answer itself, not a later guess");
}

/// A queue whose first message of a remediation that is being written takes so long to send, milliseconds.
struct Slow(AtomicU32, i64);

impl WorkQueue for Slow {
    fn send<'a>(&'a self, _: &'a Nudge, _: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        // Messages: opened, planned, intended.
        if self.0.fetch_add(1, Ordering::Relaxed) == 2 {
            turn_to(now() + self.1);
        }
        Box::pin(std::future::ready(Ok(())))
    }
    fn receive(&self, _: usize, _: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn complete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A cloud that notes how long each write may take, milliseconds.
struct Timed {
    sandbox: Sandbox,
    timeouts: Mutex<Vec<u64>>,
}

impl CloudApi for Timed {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        if is_write(request) {
            self.timeouts.lock().expect("a lock").push(timeout_ms);
        }
        self.sandbox.call(request, timeout_ms)
    }
}

#[test]
fn a_write_ends_before_its_lease_and_is_not_sent_when_that_is_nearly_over() {
    for (stored_in, expected) in
        [(0, vec![25_000]), (5_000, vec![25_000]), (10_000, vec![20_000]), (28_000, vec![2_000]), (28_001, vec![]), (33_000, vec![])]
    {
        let sandbox = Sandbox::seeded(now);
        let clouds = Arc::new(Timed { sandbox: sandbox.clone(), timeouts: Mutex::default() });
        let world = World::with_queue(sandbox, clouds.clone(), Arc::new(Slow(0.into(), stored_in)), &auto_rules());
        let id = wait(world.engine.ingest(vec![subject(BUCKET).finding()])).expect("taken in")[0].remediation.expect("opened");
        wait(world.engine.run(id)).expect("a step");
        assert_eq!(*clouds.timeouts.lock().expect("a lock"), expected, "{stored_in}");
        let note = world.load(id).note;
        assert!(!expected.is_empty() || note.contains(&format!("the intent took {} s to store", stored_in / 1_000)), "{note}");
        world.rest(id);
        let fixed = world.load(id);
        assert_eq!((fixed.state, world.writes()), (FIXED, 1), "{}", fixed.note);
        let sends: &[Outcome] = if expected.is_empty() { &[Outcome::NotApplied, Outcome::Applied] } else { &[Outcome::Applied] };
        assert_eq!(outcomes(&fixed), sends);
    }
}

#[test]
fn a_fix_on_top_of_half_a_fix_can_be_put_back_step_by_step() {
    let world = World::new();
    let finding = subject(BUCKET).finding();
    let before = world.sandbox.state(Cloud::Aws, ARCHIVE);
    let first = world.open(&finding);
    assert_eq!(first.state, FIXED, "{}", first.note);
    let whole = world.sandbox.state(Cloud::Aws, ARCHIVE);
    // Somebody takes half of it back, and the source sees the fault again.
    world
        .sandbox
        .edit(Cloud::Aws, ARCHIVE, |bucket| bucket["PublicAccessBlockConfiguration"]["BlockPublicAcls"] = false.into())
        .expect("edited");
    let half = world.sandbox.state(Cloud::Aws, ARCHIVE);
    turn_to(now() + 3_600_000);
    let mut again = finding;
    again.modified = Some(now());
    world.report(&again);
    let second = world.load(first.id);
    assert_eq!((second.state, second.recurrences, second.earlier.len()), (FIXED, 1, 1), "{}", second.note);
    assert_eq!(world.sandbox.state(Cloud::Aws, ARCHIVE), whole);

    assert_eq!(world.undo(first.id).state, State::RolledBack);
    assert_eq!(world.sandbox.state(Cloud::Aws, ARCHIVE), half);
    // The first fix left another state than this one: putting it back would overwrite what somebody did since.
    let refused = wait(world.engine.undo(first.id, "test:ann")).unwrap_err().to_string();
    assert!(refused.contains("was changed after the fix"), "{refused}");
    world.sandbox.put(Cloud::Aws, ARCHIVE, whole.expect("a bucket"));
    assert_eq!(world.undo(first.id).state, State::RolledBack);
    assert_eq!(world.sandbox.state(Cloud::Aws, ARCHIVE), before);
    let nothing = wait(world.engine.undo(first.id, "test:ann")).unwrap_err().to_string();
    assert!(nothing.contains("nothing of ours to put back"), "{nothing}");
}
