//! An API that asks for patience gets it from every worker: for how long, and who comes back when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::remediation::RemediationId;
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::work::arrive;
use crate::world::{World, auto_rules, now, numbered, turn_to, wait};
use crate::writing::opened;

const BUCKET: &str = "aws-s3-block-public-access";
const QUARTER: i64 = 15 * 60_000;

/// A cloud that answers so many calls with "slow down", and does not say for how long.
struct Busy {
    sandbox: Sandbox,
    left: AtomicUsize,
}

impl CloudApi for Busy {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::ready(Ok(ApiResponse::fault(503, "SlowDown", "Please reduce your request rate."))));
        }
        self.sandbox.call(request, timeout_ms)
    }
}

/// Runs a case and gives when it comes back, milliseconds from now.
fn put_off(world: &World, id: RemediationId) -> i64 {
    match wait(world.engine.run(id)).expect("a step") {
        Next::At(at) => at - now(),
        other => panic!("{other:?}: {}", world.load(id).note),
    }
}

/// How long those wait who only hear of it, for each time in a row that the API complains.
#[test]
fn patience_with_an_api_that_names_no_time_grows_and_starts_over_after_a_quiet_while() {
    let sandbox = Sandbox::seeded(now);
    let clouds = Arc::new(Busy { sandbox: sandbox.clone(), left: AtomicUsize::new(6) });
    let world = World::through(sandbox, clouds.clone(), &auto_rules());
    let (told, hears) = (opened(&world, BUCKET), arrive(&world, &numbered(1)));
    let mut waits = Vec::new();
    for time in 0..6 {
        let again = put_off(&world, told);
        waits.push(put_off(&world, hears) / 1_000);
        // Once it is nearly forgiven.
        turn_to(now() + again + if time == 2 { QUARTER } else { 0 });
    }
    assert_eq!(waits, [2, 8, 32, 128, 512, 900]);
    assert_eq!(world.load(hears).tries, 0, "waiting is no failed try");
    world.rest(told);
    assert_eq!(world.load(told).state, State::Resolved { how: Resolution::Fixed }, "{}", world.load(told).note);

    turn_to(now() + QUARTER + 1);
    clouds.left.store(1, Ordering::Relaxed);
    put_off(&world, arrive(&world, &numbered(2)));
    assert_eq!(put_off(&world, arrive(&world, &numbered(3))) / 1_000, 2);
}

#[test]
fn those_who_wait_for_an_api_come_back_one_by_one_and_after_a_quarter_of_an_hour_at_most() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::Throttled { retry_after: 3_600 }, "s3."));
    put_off(&world, arrive(&world, &numbered(0)));
    let begin = now();
    let ids: Vec<_> = (1..6).map(|n| arrive(&world, &numbered(n))).collect();
    let waits: BTreeSet<i64> = ids.iter().map(|id| put_off(&world, *id) - QUARTER).collect();
    assert_eq!((waits.len(), world.sandbox.requests().len()), (ids.len(), 1), "{waits:?}");
    assert!(waits.iter().all(|spread| (0..5_000).contains(spread)), "{waits:?}");

    let late = arrive(&world, &numbered(9));
    turn_to(begin + QUARTER - 1);
    put_off(&world, late);
    assert_eq!(world.sandbox.requests().len(), 1);
    turn_to(begin + QUARTER);
    wait(world.engine.run(late)).expect("a step");
    assert!(world.sandbox.requests().len() > 1, "the time is over");
}
