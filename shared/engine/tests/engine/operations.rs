//! Writes that a provider accepts now and does later.

use std::sync::Arc;

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::remediation::Outcome;
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{World, auto_rules, now, turn_to, wait};
use crate::writing::{opened, outcomes};

const TLS: &str = "azure-sql-require-tls12";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

#[test]
fn an_accepted_write_counts_only_when_its_operation_has_ended() {
    let world = World::new();
    let id = wait(world.engine.ingest(vec![subject(TLS).finding()])).expect("taken in")[0].remediation.expect("opened");
    wait(world.engine.run(id)).expect("runs");
    let under_way = world.load(id);
    let attempt = under_way.fix.as_ref().and_then(|r| r.attempts.first()).expect("an attempt");
    assert_eq!(under_way.state, State::Applying, "{}", under_way.note);
    assert_eq!(attempt.result, None, "accepted is not done");
    let pending = attempt.operation.clone().expect("an operation");
    assert_eq!(under_way.next_at, Some(pending.next_at), "polled when the provider says");

    let calls = world.sandbox.requests().len();
    wait(world.engine.run(id)).expect("runs");
    assert_eq!(world.sandbox.requests().len(), calls, "nobody asks before then");

    turn_to(pending.next_at);
    world.rest(id);
    let fixed = world.load(id);
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    let result = fixed.fix.expect("a run").attempts[0].result.clone().expect("a result");
    assert_eq!((result.outcome, result.status, result.request_id.is_some()), (Outcome::Applied, Some(202), true));
    assert!(result.at >= pending.next_at, "it took effect when it ended, not when it was accepted");
    assert_eq!(world.writes(), 1, "accepted once");
}

#[test]
fn after_an_operation_that_failed_a_read_tells_what_it_did() {
    let version =
        |world: &World| world.sandbox.state(Cloud::Azure, subject(TLS).uid).expect("a server")["properties"]["minimalTlsVersion"].clone();
    for (shows, state, expected) in [
        ("1.0", State::Failed, Some((Outcome::Refused, Some("ProvisioningFailed")))),
        ("1.2", FIXED, Some((Outcome::AppliedByObservation, None))),
        ("1.1", State::Stuck, None),
    ] {
        let world = World::new();
        assert_eq!(version(&world), "1.0");
        world.sandbox.inject(Fault::once(FaultKind::OperationFails, "Microsoft.Sql/servers/shop-sql-01"));
        let id = opened(&world, TLS);
        wait(world.engine.run(id)).expect("runs");
        let edited = world.sandbox.edit(Cloud::Azure, subject(TLS).uid, |server| server["properties"]["minimalTlsVersion"] = shows.into());
        edited.expect("a server");
        world.rest(id);
        let end = world.load(id);
        assert_eq!((end.state, version(&world), world.writes()), (state, shows.into(), 1), "{shows}: {}", end.note);
        assert!(state == FIXED || end.note.contains("operation failed: ProvisioningFailed"), "{}", end.note);
        let result = end.fix.as_ref().and_then(|run| run.attempts[0].result.as_ref());
        assert_eq!(result.map(|r| (r.outcome, r.fault.as_ref().map(|f| f.code.as_str()))), expected, "{shows}");
    }
}

#[test]
fn a_poll_that_does_not_reach_the_provider_is_made_again_in_half_a_minute() {
    let world = World::new();
    let id = opened(&world, TLS);
    let Next::At(mut at) = wait(world.engine.run(id)).expect("runs") else { panic!("{}", world.load(id).note) };
    world.sandbox.inject(Fault::times(FaultKind::Refused, "GET management.azure.com", 3));
    for failed in 1..4 {
        turn_to(at);
        at = now() + 30_000;
        assert_eq!(wait(world.engine.run(id)).expect("runs"), Next::At(at));
        let pending = world.load(id).fix.expect("a run").attempts.remove(0).operation.expect("an operation");
        assert_eq!((pending.next_at, pending.polls), (at, failed), "it counts: what is not found for long is given up");
    }
    turn_to(at);
    world.rest(id);
    assert_eq!((world.load(id).state, world.writes()), (FIXED, 1), "{}", world.load(id).note);
}

/// A process that dies after the provider accepted and before that was stored: the lease is waited out, then a read tells.
#[test]
fn an_operation_nobody_knows_of_is_found_by_reading() {
    for subject in SUBJECTS.iter().filter(|s| s.cloud != Cloud::Aws) {
        let world = World::new();
        world.sandbox.inject(Fault::once(FaultKind::TimeoutLanded, "PATCH "));
        let end = world.open(&subject.finding());
        if end.state == State::AwaitingApproval {
            continue;
        }
        assert_eq!(end.state, FIXED, "{}: {}", subject.fix, end.note);
    }
}

#[test]
fn an_outage_while_an_operation_runs_costs_only_time() {
    let world = World::new();
    let id = wait(world.engine.ingest(vec![subject(TLS).finding()])).expect("taken in")[0].remediation.expect("opened");
    wait(world.engine.run(id)).expect("runs");
    world.sandbox.inject(Fault::times(FaultKind::Unavailable, "GET management.azure.com", 12));
    let start = now();
    world.rest(id);
    let fixed = world.load(id);
    assert_eq!((fixed.state, world.writes()), (FIXED, 1), "{}", fixed.note);
    assert!(now() > start + 60_000, "polls are apart");
}

#[test]
fn a_poll_is_held_back_while_others_are_told_to_leave_that_api_alone() {
    let world = World::new();
    let id = opened(&world, TLS);
    let Next::At(at) = wait(world.engine.run(id)).expect("runs") else { panic!("{}", world.load(id).note) };
    let until = now() + 600_000;
    world.sandbox.inject(Fault::once(FaultKind::Throttled { retry_after: 600 }, "GET management.azure.com"));
    wait(world.engine.run(opened(&world, "azure-sql-remove-any-address-rules"))).expect("runs");
    turn_to(at);
    let calls = world.sandbox.requests().len();
    assert_eq!(wait(world.engine.run(id)).expect("runs"), Next::At(until));
    assert_eq!((world.sandbox.requests().len(), world.load(id).next_at), (calls, Some(until)));
    turn_to(until);
    world.rest(id);
    assert_eq!((world.load(id).state, world.writes()), (FIXED, 1), "{}", world.load(id).note);
}

/// A cloud that tells nobody how its operations end. They go on all the same: in the sandbox, with each time they are asked about.
struct Secretive(Sandbox);

impl CloudApi for Secretive {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            if !request.name().contains("/locations/") {
                return self.0.call(request, timeout_ms).await;
            }
            for _ in 0..2 {
                self.0.call(request, timeout_ms).await?;
            }
            Ok(ApiResponse::fault(403, "AuthorizationFailed", "not yours to see"))
        })
    }
}

#[test]
fn an_operation_whose_end_nobody_tells_is_judged_by_a_read_and_done_again_where_it_did_nothing() {
    let sandbox = Sandbox::seeded(now);
    let world = World::through(sandbox.clone(), Arc::new(Secretive(sandbox)), &auto_rules());
    world.sandbox.inject(Fault::once(FaultKind::OperationFails, "Microsoft.Sql/servers/shop-sql-01"));
    let fixed = world.open(&subject(TLS).finding());
    assert_eq!((fixed.state, world.writes()), (FIXED, 2), "{}", fixed.note);
    assert_eq!(outcomes(&fixed), [Outcome::NotSeen, Outcome::AppliedByObservation]);
}
