//! Reads that lag behind our own writes: what was written a moment ago does not show yet, and that is nobody else's doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{Denying, Subject, World, auto_rules, is_write, library, now, turn_to, wait};
use crate::writing::opened;

const FIXED: State = State::Resolved { how: Resolution::Fixed };

/// A cloud that answers a read as it was before the last write, for `lag` milliseconds after that.
pub(crate) struct Lagging {
    sandbox: Sandbox,
    pub(crate) lag: AtomicI64,
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
            let hidden = self.wrote.lock().expect("a lock").is_some_and(|at| now() < at + self.lag.load(Ordering::Relaxed));
            let mut answers = self.answers.lock().expect("a lock");
            let answer = answers.entry(format!("{:?}", request.call)).or_insert_with(|| fresh.clone());
            if !hidden {
                *answer = fresh;
            }
            Ok(answer.clone())
        })
    }
}

pub(crate) fn clouds(sandbox: &Sandbox, lag: Millis) -> Lagging {
    Lagging { sandbox: sandbox.clone(), lag: lag.into(), wrote: Mutex::default(), answers: Mutex::default() }
}

fn lagging(lag: Millis) -> World {
    let sandbox = Sandbox::seeded(now);
    let clouds = clouds(&sandbox, lag);
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

#[test]
fn a_failure_after_any_change_puts_back_what_was_done_though_reads_lag_behind_it() {
    for subject in SUBJECTS {
        let lag = longest(subject) - 1;
        let changes = lagging(lag).open(&subject.finding()).fix.expect("a run").plan.changes.len();
        for failing in 1..changes {
            let sandbox = Sandbox::seeded(now);
            let clouds = Denying::new(Arc::new(clouds(&sandbox, lag)), failing);
            let world = World::through(sandbox, Arc::new(clouds), &auto_rules());
            let end = world.open(&subject.finding());
            let told = format!("{} change {}: {}", subject.fix, failing + 1, end.note);
            assert_eq!(end.state, State::RolledBack, "{told}");
            let (fix, undo) = (end.fix.expect("a fix"), end.undo.expect("an undo"));
            assert_eq!(undo.plan.projection(undo.left.as_ref().expect("what it left")), fix.plan.observed, "{told}");
            assert_eq!(world.writes(), failing + undo.plan.changes.len(), "{told}");
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

/// A cloud with a replica that is behind: while it answers, reads show what they showed first.
struct Behind {
    sandbox: Sandbox,
    behind: AtomicBool,
    first: Mutex<BTreeMap<String, ApiResponse>>,
}

impl CloudApi for Behind {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let fresh = self.sandbox.call(request, timeout_ms).await?;
            if is_write(request) {
                return Ok(fresh);
            }
            let mut first = self.first.lock().expect("a lock");
            let old = first.entry(format!("{:?}", request.call)).or_insert_with(|| fresh.clone()).clone();
            Ok(if self.behind.load(Ordering::Relaxed) { old } else { fresh })
        })
    }
}

/// The read that proved the fix and the one the undo was planned on came from one replica, the next ones come from another: to
/// that, all that is to be put back looks as if it were put back already.
#[test]
fn an_undo_right_after_its_fix_is_neither_taken_for_done_nor_held_up() {
    for subject in SUBJECTS {
        let sandbox = Sandbox::seeded(now);
        let clouds = Arc::new(Behind { sandbox: sandbox.clone(), behind: false.into(), first: Mutex::default() });
        let world = World::through(sandbox, clouds.clone(), &auto_rules());
        let fixed = world.open(&subject.finding());
        if wait(world.engine.undo(fixed.id, "test:ann")).is_err() {
            continue;
        }
        let before = world.writes();
        let planned = world.load(fixed.id).undo.expect("an undo").plan.changes.len();
        for done in 0..planned {
            clouds.behind.store(true, Ordering::Relaxed);
            let looked = wait(world.engine.step(fixed.id)).expect("a step");
            let waiting = world.load(fixed.id);
            assert!(matches!(looked, Next::At(_)), "{}: {looked:?} {}", subject.fix, waiting.note);
            assert_eq!(world.writes() - before, done, "{}", subject.fix);
            clouds.behind.store(false, Ordering::Relaxed);
            wait(world.engine.step(fixed.id)).expect("a step");
            assert_eq!(world.writes() - before, done + 1, "{}: written as soon as a read shows the fix", subject.fix);
        }
        world.rest(fixed.id);
        let undone = world.load(fixed.id);
        assert_eq!((undone.state, world.writes() - before), (State::RolledBack, planned), "{}: {}", subject.fix, undone.note);
    }
}

/// The way back is not planned on a replica that may be behind: what is there to be put back would look as if somebody had
/// changed it meanwhile.
#[test]
fn the_way_back_from_half_a_fix_is_planned_on_what_every_replica_shows() {
    for subject in SUBJECTS {
        let sandbox = Sandbox::seeded(now);
        let behind = Arc::new(Behind { sandbox: sandbox.clone(), behind: false.into(), first: Mutex::default() });
        let world = World::through(sandbox, Arc::new(Denying::new(behind.clone(), 1)), &auto_rules());
        world.source.put(subject.finding());
        let id = opened(&world, subject.fix);
        while matches!(world.load(id).state, State::Open | State::Applying) {
            if let Next::At(at) = wait(world.engine.step(id)).expect("a step") {
                turn_to(at);
            }
        }
        if world.load(id).state != State::Undoing {
            continue;
        }
        behind.behind.store(true, Ordering::Relaxed);
        wait(world.engine.step(id)).expect("a step");
        behind.behind.store(false, Ordering::Relaxed);
        world.rest(id);
        let end = world.load(id);
        assert_eq!(end.state, State::RolledBack, "{}: {}", subject.fix, end.note);
    }
}

/// How long reads may lag: what the fix says it takes, of which at most half a minute is put down to reads. Milliseconds.
fn longest(subject: &Subject) -> Millis {
    library().fix(subject.fix).expect("the fix").settle_ms.min(30_000) as Millis
}
