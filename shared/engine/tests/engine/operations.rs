//! Writes that a provider accepts now and does later.

use stanch_core::cloud::Cloud;
use stanch_core::remediation::Outcome;
use stanch_core::state::{Resolution, State};
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{World, now, turn_to, wait};

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
    assert_eq!(world.writes(), 1, "accepted once");
}

#[test]
fn an_operation_that_fails_and_leaves_nothing_is_a_failed_fix() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::OperationFails, "Microsoft.Sql/servers/shop-sql-01"));
    let before = world.sandbox.state(Cloud::Azure, subject(TLS).uid);
    let failed = world.open(&subject(TLS).finding());
    assert_eq!(failed.state, State::Failed, "{}", failed.note);
    assert!(failed.note.contains("operation failed"), "{}", failed.note);
    let strip = |state: Option<serde_json::Value>| state.map(|s| s["properties"]["minimalTlsVersion"].clone());
    assert_eq!(strip(world.sandbox.state(Cloud::Azure, subject(TLS).uid)), strip(before));
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
