//! Reads that lag behind our own writes: what was written a moment ago does not show yet, and that is nobody else's doing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::state::{Resolution, State};
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{Subject, World, auto_rules, is_write, library, now, turn_to, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };

/// A cloud that answers a read as it was before the last write, for `lag` milliseconds after that.
struct Lagging {
    sandbox: Sandbox,
    lag: Millis,
    wrote: Mutex<Option<Millis>>,
    /// What each read answered last.
    answers: Mutex<BTreeMap<String, ApiResponse>>,
}

impl CloudApi for Lagging {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let fresh = self.sandbox.call(request, timeout_ms).await?;
            if is_write(request) || fresh.status == 403 {
                if is_write(request) && fresh.fault.is_none() {
                    *self.wrote.lock().expect("a lock") = Some(now());
                }
                return Ok(fresh);
            }
            let hidden = self.wrote.lock().expect("a lock").is_some_and(|at| now() < at + self.lag);
            let mut answers = self.answers.lock().expect("a lock");
            let answer = answers.entry(format!("{:?}", request.call)).or_insert_with(|| fresh.clone());
            if !hidden {
                *answer = fresh;
            }
            Ok(answer.clone())
        })
    }
}

fn lagging(lag: Millis) -> World {
    let sandbox = Sandbox::seeded(now);
    let clouds = Lagging { sandbox: sandbox.clone(), lag, wrote: Mutex::default(), answers: Mutex::default() };
    World::through(sandbox, Arc::new(clouds), &auto_rules())
}

#[test]
fn every_fix_is_applied_once_and_put_back_though_reads_lag_behind_its_writes() {
    for subject in SUBJECTS {
        let world = lagging(longest(subject) - 1);
        let opened = world.open(&subject.finding());
        if opened.state == State::AwaitingApproval {
            wait(world.engine.approve(opened.id, "test:ann", None)).expect("approved");
            world.rest(opened.id);
        }
        let end = world.load(opened.id);
        assert!(end.state == FIXED || matches!(end.state, State::Contained { .. }), "{}: {} {}", subject.fix, end.state, end.note);
        assert_eq!(world.writes(), end.fix.expect("a run").plan.changes.len(), "{}", subject.fix);
        if wait(world.engine.undo_plan(end.id)).is_ok() {
            let undone = world.undo(end.id);
            assert_eq!(undone.state, State::RolledBack, "{}: {}", subject.fix, undone.note);
        }
    }
}

/// An undo was written, and before a read could prove it a person was called, who has it planned again at once.
#[test]
fn a_case_that_is_planned_again_right_after_a_write_is_not_taken_for_what_it_was_before() {
    let bucket = subject("aws-s3-block-public-access");
    let world = lagging(longest(bucket) - 1);
    let fixed = world.open(&bucket.finding());
    turn_to(now() + 60_000);
    wait(world.engine.undo(fixed.id, "test:ann")).expect("it is put back");
    wait(world.engine.step(fixed.id)).expect("a step");
    assert_eq!(world.writes(), 2);
    world.sandbox.inject(Fault::once(FaultKind::Denied, "s3.Get"));
    wait(world.engine.step(fixed.id)).expect("a step");
    assert_eq!(world.load(fixed.id).state, State::Stuck);
    wait(world.engine.reopen(fixed.id, "test:ann")).expect("reopened");
    world.rest(fixed.id);
    let again = world.load(fixed.id);
    assert_eq!((again.state, world.writes()), (FIXED, 3), "{}", again.note);
}

/// How long reads may lag: what the fix says it takes, of which at most half a minute is put down to reads. Milliseconds.
fn longest(subject: &Subject) -> Millis {
    library().fix(subject.fix).expect("the fix").settle_ms.min(30_000) as Millis
}
