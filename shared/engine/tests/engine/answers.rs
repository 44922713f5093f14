//! What the answer to a write means, and what it means that none came: what is concluded, when it goes on, when it ends.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Store};
use stanch_core::remediation::{Outcome, RemediationId};
use stanch_core::state::{Resolution, State};
use stanch_engine::{Engine, Next};
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::subject;
use crate::world::{World, auto_rules, is_write, now, turn_to, wait};
use crate::writing::{opened, outcomes, settle};

const BUCKET: &str = "aws-s3-block-public-access";
const DATABASE: &str = "aws-rds-disable-public-access";
const PUT: &str = "s3.PutPublicAccessBlock";
const FIXED: State = State::Resolved { how: Resolution::Fixed };
/// How long nobody touches a write without an answer, milliseconds.
const LEASE: i64 = 35_000;

/// What the provider certainly did not take is sent again soon; where it may have taken it, a read tells after the lease.
#[test]
fn what_becomes_of_a_write_follows_from_its_answer() {
    let unknown = (LEASE + settle(BUCKET), Outcome::NotSeen);
    for (fault, (wait_ms, outcome)) in [
        (FaultKind::Throttled { retry_after: 3 }, (3_000, Outcome::NotApplied)),
        (FaultKind::Refused, (2_000, Outcome::NotApplied)),
        (FaultKind::InternalError, unknown),
        (FaultKind::Unavailable, unknown),
        (FaultKind::TimeoutLost, unknown),
    ] {
        let world = World::new();
        world.sandbox.inject(Fault::once(fault, PUT));
        let id = opened(&world, BUCKET);
        assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(now() + wait_ms), "{fault:?}");
        world.rest(id);
        let fixed = world.load(id);
        assert_eq!((fixed.state, world.writes()), (FIXED, 1), "{fault:?}: {}", fixed.note);
        assert_eq!(outcomes(&fixed), [outcome, Outcome::Applied], "{fault:?}");
        let record = wait(world.store.record(id)).expect("a record");
        let applied = record.iter().find(|entry| entry.body.contains("\"Applied\"")).expect("an entry");
        let applied: serde_json::Value = serde_json::from_str(&applied.body).expect("an OCSF event");
        let sent = world.sandbox.writes().pop().and_then(|write| write.response).expect("an answer");
        assert_eq!((&applied["api"]["operation"], &applied["api"]["response"]["code"]), (&PUT.into(), &200.into()));
        assert_eq!(applied["api"]["request"]["uid"].as_str(), sent.request_id.as_deref(), "an auditor finds it in the provider's log");
    }
}

#[test]
fn a_write_that_is_never_taken_is_a_failed_fix_after_nine_sends() {
    for (fault, expected) in
        [(FaultKind::Throttled { retry_after: 3 }, [3; 8]), (FaultKind::Refused, [2, 8, 32, 128, 512, 2_048, 3_600, 3_600])]
    {
        let world = World::new();
        world.sandbox.inject(Fault::times(fault, PUT, 1_000));
        let id = opened(&world, BUCKET);
        let mut waits = Vec::new();
        while let Next::At(at) = wait(world.engine.run(id)).expect("a step") {
            waits.push((at - now()) / 1_000);
            turn_to(at);
        }
        let failed = world.load(id);
        assert_eq!((failed.state, world.writes()), (State::Failed, 0), "{fault:?}: {}", failed.note);
        assert_eq!((outcomes(&failed), waits.as_slice()), (vec![Outcome::NotApplied; 9], expected.as_slice()), "{fault:?}");
    }
}

/// A cloud that does what it is asked and, to one of its calls, answers something else.
struct Twisted {
    sandbox: Sandbox,
    call: &'static str,
    answer: ApiResponse,
}

impl CloudApi for Twisted {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let answer = self.sandbox.call(request, timeout_ms).await?;
            Ok(if request.name() == self.call { self.answer.clone() } else { answer })
        })
    }
}

/// The first does not say what it made; the second is the answer to a call that a proxy sent twice.
#[test]
fn an_answer_that_names_nothing_has_it_looked_for_and_one_that_says_it_is_so_already_is_taken_for_done() {
    for (call, answer, outcome) in [
        ("ec2.CreateSecurityGroup", ApiResponse::ok(serde_json::json!({})), Outcome::AppliedByObservation),
        ("ec2.RevokeSecurityGroupEgress", ApiResponse::fault(400, "InvalidPermission.NotFound", "no such rule"), Outcome::Applied),
    ] {
        let sandbox = Sandbox::seeded(now);
        let world = World::through(sandbox.clone(), Arc::new(Twisted { sandbox, call, answer }), &auto_rules());
        let held = world.open(&subject("aws-ec2-quarantine-instance").finding());
        assert!(matches!(held.state, State::Contained { .. }), "{}: {}", held.state, held.note);
        let sent = world.sandbox.writes().iter().filter(|w| w.request.name() == call).count();
        let index = held.fix.as_ref().and_then(|run| run.plan.changes.iter().position(|change| change.request.name() == call));
        assert_eq!((sent, outcomes(&held)[index.expect("a change")]), (1, outcome), "{call}");
        assert_eq!(world.undo(held.id).state, State::RolledBack, "what was found can be put back");
    }
}

/// A cloud whose first write takes so long to answer that another worker finds out what became of it.
struct Late {
    sandbox: Sandbox,
    other: OnceLock<(Engine, RemediationId)>,
    answered: AtomicBool,
}

impl CloudApi for Late {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let answer = self.sandbox.call(request, timeout_ms).await;
            if is_write(request)
                && let Some((other, id)) = self.other.get()
                && !self.answered.swap(true, Ordering::Relaxed)
            {
                turn_to(now() + LEASE + settle(BUCKET));
                other.run(*id).await.expect("the other worker goes on");
            }
            answer
        })
    }
}

#[test]
fn an_answer_that_comes_after_another_worker_found_the_outcome_changes_nothing() {
    let sandbox = Sandbox::seeded(now);
    let clouds = Arc::new(Late { sandbox: sandbox.clone(), other: OnceLock::new(), answered: AtomicBool::new(false) });
    let world = World::through(sandbox, clouds.clone(), &auto_rules());
    let id = opened(&world, BUCKET);
    drop(clouds.other.set((world.engine.clone(), id)));
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::Idle);
    let fixed = world.load(id);
    assert_eq!((fixed.state, world.writes()), (FIXED, 1), "{}", fixed.note);
    assert_eq!(outcomes(&fixed), [Outcome::AppliedByObservation]);
    let record = wait(world.store.record(id)).expect("a record");
    assert_eq!(record.iter().filter(|entry| entry.body.contains("\"Applied")).count(), 1, "it stands in the record once");
}

#[test]
fn a_resource_that_is_still_busy_tells_nothing_about_a_lost_write_for_nine_looks() {
    for looks in [3, 9] {
        let world = World::new();
        world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, "rds.ModifyDBInstance"));
        let id = opened(&world, DATABASE);
        let Next::At(ready) = wait(world.engine.run(id)).expect("a step") else { panic!("{}", world.load(id).note) };
        let say = |status: &'static str| {
            let edited = world.sandbox.edit(Cloud::Aws, subject(DATABASE).uid, |database| database["DBInstanceStatus"] = status.into());
            edited.expect("a database");
        };
        say("modifying");
        turn_to(ready);
        for seconds in [2, 8, 32, 128, 512, 2_048, 3_600, 3_600, 3_600].into_iter().take(looks) {
            assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(now() + seconds * 1_000));
            assert_eq!(outcomes(&world.load(id)), [], "nothing is concluded while it is busy");
            turn_to(now() + seconds * 1_000);
        }
        if looks < 9 {
            say("available");
        }
        wait(world.engine.run(id)).expect("a step");
        assert_eq!(outcomes(&world.load(id))[..2], [Outcome::NotSeen, Outcome::Applied]);
        assert_eq!(world.writes(), 1);
    }
}
