//! Writes whose outcome is unknown, throttling, and a process that dies between intent and result.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::fix::Repeat;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::remediation::Outcome;
use stanch_core::state::{Resolution, State};
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{World, auto_rules, now, wait};

const BUCKET: &str = "aws-s3-block-public-access";
const FIXED: State = State::Resolved { how: Resolution::Fixed };
const PUT: &str = "s3.PutPublicAccessBlock";

#[test]
fn a_write_that_landed_without_an_answer_is_found_by_reading_and_not_sent_again() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLanded, PUT));
    let fixed = world.open(&subject(BUCKET).finding());
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    assert_eq!(world.sandbox.writes().len(), 1, "sent once");
    let result = fixed.fix.expect("a run").attempts[0].result.clone().expect("a result");
    assert_eq!(result.outcome, Outcome::AppliedByObservation);
}

#[test]
fn a_write_that_got_lost_is_sent_again_after_its_lease() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, PUT));
    let fixed = world.open(&subject(BUCKET).finding());
    assert_eq!(fixed.state, FIXED, "{}", fixed.note);
    let run = fixed.fix.expect("a run");
    let outcomes: Vec<Outcome> = run.attempts.iter().filter_map(|a| a.result.as_ref()).map(|r| r.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotSeen, Outcome::Applied]);
    assert!(run.attempts[1].intended_at >= run.attempts[0].lease_until, "nobody touches it before the lease is over");
}

#[test]
fn throttling_and_outages_are_waited_out() {
    for kind in [FaultKind::Throttled { retry_after: 3 }, FaultKind::InternalError, FaultKind::Unavailable, FaultKind::Refused] {
        let world = World::new();
        world.sandbox.inject(Fault::times(kind, "s3.", 3));
        let fixed = world.open(&subject(BUCKET).finding());
        assert_eq!(fixed.state, FIXED, "{kind:?}: {}", fixed.note);
        assert_eq!(world.writes(), 1, "{kind:?}");
    }
}

#[test]
fn an_outage_that_does_not_end_calls_a_person_and_writes_nothing() {
    let world = World::new();
    world.sandbox.inject(Fault::times(FaultKind::Unavailable, "s3.Get", 1_000));
    let stuck = world.open(&subject(BUCKET).finding());
    assert_eq!((stuck.state, world.writes()), (State::Stuck, 0), "{}", stuck.note);
}

#[test]
fn what_a_lost_answer_made_is_found_and_not_made_twice() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLanded, "ec2.CreateSecurityGroup"));
    let held = world.open(&subject("aws-ec2-quarantine-instance").finding());
    assert!(matches!(held.state, State::Contained { .. }), "{}: {}", held.state, held.note);
    let made = world.sandbox.writes().iter().filter(|w| w.request.name() == "ec2.CreateSecurityGroup").count();
    assert_eq!(made, 1, "found, not made again");
    let run = held.fix.as_ref().expect("a run");
    let result = run.attempts[0].result.clone().expect("a result");
    assert_eq!(result.outcome, Outcome::AppliedByObservation);
    assert!(result.given.contains_key("sg"), "{:?}", result.given);
    assert_eq!(world.undo(held.id).state, State::RolledBack, "what was found can be put back");
}

#[test]
fn what_a_lost_write_did_not_make_is_made_afterwards() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLost, "ec2.CreateSecurityGroup"));
    let held = world.open(&subject("aws-ec2-quarantine-instance").finding());
    assert!(matches!(held.state, State::Contained { .. }), "{}: {}", held.state, held.note);
}

/// Dying right after the intent was stored, for every change of every fix: the next process finds the truth by reading.
#[test]
fn dying_between_intent_and_result_ends_right_with_nothing_applied_twice() {
    for subject in SUBJECTS {
        for landed in [true, false] {
            let world = World::new();
            let kind = if landed { FaultKind::TimeoutLanded } else { FaultKind::TimeoutLost };
            let probe = World::new();
            let plan = {
                let r = probe.open(&subject.finding());
                r.fix.expect("a run").plan
            };
            for change in &plan.changes {
                world.sandbox.inject(Fault::once(kind, change.request.name()));
            }
            let remediation = world.open(&subject.finding());
            if remediation.state == State::AwaitingApproval {
                wait(world.engine.approve(remediation.id, "test:ann", None)).expect("approved");
                world.rest(remediation.id);
            }
            let end = world.load(remediation.id);
            // A change that is the same twice as once may be sent again when a read does not show it yet; no other may.
            let once: Vec<String> = plan.changes.iter().filter(|c| c.repeat != Repeat::Safe).map(|c| c.request.name()).collect();
            let writes = world.sandbox.writes();
            let applied = writes
                .iter()
                .filter(|w| w.response.as_ref().is_some_and(|r| r.fault.is_none()) && once.contains(&w.request.name()))
                .count();
            match end.state {
                State::Resolved { how: Resolution::Fixed } | State::Contained { .. } => {
                    assert_eq!(applied, once.len(), "{} landed={landed}: {:?}", subject.fix, end.note);
                }
                // A change that may not be repeated and cannot be read back needs a person; it must not have been repeated.
                State::Stuck => assert!(applied <= once.len(), "{}: {}", subject.fix, end.note),
                other => panic!("{} landed={landed}: {other} {}", subject.fix, end.note),
            }
        }
    }
}

/// A cloud whose lists do not show a group that was made the first times they are asked; `then` comes of the look for it that
/// is the first to show it.
struct Lagging {
    sandbox: Sandbox,
    hidden: AtomicUsize,
    then: Mutex<Option<FaultKind>>,
}

impl CloudApi for Lagging {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        let made = self.sandbox.writes().iter().any(|w| w.request.name() == "ec2.CreateSecurityGroup");
        let listed = made && request.name() == "ec2.DescribeSecurityGroups";
        if listed && self.hidden.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::ready(Ok(ApiResponse::ok(json!({"SecurityGroups": []})))));
        }
        if listed
            && format!("{:?}", request.call).contains("tag:stanch:change")
            && let Some(kind) = self.then.lock().expect("a lock").take()
        {
            self.sandbox.inject(Fault::once(kind, request.name()));
        }
        self.sandbox.call(request, timeout_ms)
    }
}

fn lagging(then: Option<FaultKind>) -> World {
    let sandbox = Sandbox::seeded(now);
    let clouds = Lagging { sandbox: sandbox.clone(), hidden: AtomicUsize::new(2), then: Mutex::new(then) };
    let world = World::through(sandbox, Arc::new(clouds), &auto_rules());
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLanded, "ec2.CreateSecurityGroup"));
    world
}

/// It is to be sent again; the read and the look right before that show what the first send made.
#[test]
fn what_a_lost_answer_made_and_lists_show_late_is_found_with_what_it_gives() {
    for then in [None, Some(FaultKind::Unavailable)] {
        let world = lagging(then);
        let held = world.open(&subject("aws-ec2-quarantine-instance").finding());
        assert!(matches!(held.state, State::Contained { .. }), "{then:?}: {}: {}", held.state, held.note);
        let made = world.sandbox.writes().iter().filter(|w| w.request.name() == "ec2.CreateSecurityGroup").count();
        let results = held.fix.iter().flat_map(|run| &run.attempts).filter_map(|a| Some((a.change, a.result.as_ref()?.outcome)));
        let results: Vec<_> = results.collect();
        assert_eq!(made, 1, "{then:?}: {results:?}");
        assert_eq!(results[..2], [(0, Outcome::NotSeen), (0, Outcome::AppliedByObservation)], "{then:?}");
        assert_eq!(world.undo(held.id).state, State::RolledBack, "what was found can be put back");
    }
}

#[test]
fn a_look_that_is_refused_calls_a_person_and_nothing_is_sent_again() {
    let world = lagging(Some(FaultKind::Denied));
    let stuck = world.open(&subject("aws-ec2-quarantine-instance").finding());
    assert_eq!((stuck.state, world.sandbox.writes().len()), (State::Stuck, 1), "{}", stuck.note);
    assert!(stuck.note.contains("what change 1 made cannot be looked for"), "{}", stuck.note);
}
