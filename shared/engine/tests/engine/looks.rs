//! Looking for what a write without an answer made, before it may be sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_core::remediation::{Outcome, Remediation, RemediationId};
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind, Sandbox};

use crate::subjects::subject;
use crate::world::{World, auto_rules, is_write, now, turn_to, wait};
use crate::writing::{opened, outcomes, settle};

const BUCKET: &str = "aws-s3-block-public-access";
const QUARANTINE: &str = "aws-ec2-quarantine-instance";
/// Its writes may never be sent twice.
const EVIDENCE: &str = "aws-ec2-snapshot-volumes";

/// A cloud that refuses so many looks for what a change made, with this status.
struct Hiding {
    sandbox: Sandbox,
    status: u16,
    left: AtomicUsize,
}

impl CloudApi for Hiding {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        let looks = !is_write(request) && format!("{:?}", request.call).contains("tag:stanch:change");
        if looks && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::ready(Ok(ApiResponse::fault(self.status, "Fault", "not now"))));
        }
        self.sandbox.call(request, timeout_ms)
    }
}

fn made(world: &World, call: &str) -> usize {
    world.sandbox.writes().iter().filter(|w| w.request.name() == call).count()
}

/// A case whose first write was lost or lost its answer, at the time it may be looked for.
fn unanswered(world: &World, fix: &str, kind: FaultKind, call: &str) -> RemediationId {
    world.sandbox.inject(Fault::once(kind, call));
    let finding = subject(fix).finding();
    world.source.put(finding);
    let id = opened(world, fix);
    let Next::At(ready) = wait(world.engine.run(id)).expect("a step") else { panic!("{}", world.load(id).note) };
    let attempt = world.load(id).fix.expect("a run").attempts.remove(0);
    assert_eq!(ready, attempt.lease_until + settle(fix));
    turn_to(ready);
    id
}

#[test]
fn an_outage_of_a_look_is_waited_out_and_a_refused_one_calls_a_person() {
    for (status, tries) in [(503, 1), (403, 0)] {
        let sandbox = Sandbox::seeded(now);
        let clouds = Hiding { sandbox: sandbox.clone(), status, left: AtomicUsize::new(1) };
        let world = World::through(sandbox, Arc::new(clouds), &auto_rules());
        let id = unanswered(&world, QUARANTINE, FaultKind::TimeoutLanded, "ec2.CreateSecurityGroup");
        let next = wait(world.engine.run(id)).expect("a step");
        let then = world.load(id);
        assert_eq!((next, then.tries), if tries > 0 { (Next::At(now() + 2_000), 1) } else { (Next::Idle, 0) }, "{status}: {}", then.note);
        world.rest(id);
        let end = world.load(id);
        let expected = if tries > 0 { "contained" } else { "stuck" };
        assert_eq!((end.state.name(), made(&world, "ec2.CreateSecurityGroup")), (expected, 1), "{status}: {}", end.note);
        assert!(tries > 0 || end.note.contains("cannot be looked for"), "{}", end.note);
    }
}

#[test]
fn what_may_never_be_done_twice_is_sent_again_only_after_two_looks_a_settle_time_apart() {
    let world = World::new();
    let id = unanswered(&world, EVIDENCE, FaultKind::TimeoutLost, "ec2.CreateSnapshot");
    let looked = |case: &Remediation| case.fix.as_ref().and_then(|run| run.attempts[0].looked_at);
    let second = now() + settle(EVIDENCE).max(60_000);
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(second));
    let case = world.load(id);
    assert_eq!((looked(&case), outcomes(&case), made(&world, "ec2.CreateSnapshot")), (Some(now()), vec![], 1));

    // A report in between has the case looked at early; that is no second look.
    turn_to(second - 1);
    let mut again = subject(EVIDENCE).finding();
    again.modified = Some(now());
    wait(world.engine.ingest(vec![again])).expect("taken in");
    assert_eq!(wait(world.engine.run(id)).expect("a step"), Next::At(second));
    assert_eq!((outcomes(&world.load(id)), made(&world, "ec2.CreateSnapshot")), (vec![], 1));
    assert_eq!(world.load(id).next_at, Some(second));

    turn_to(second);
    wait(world.engine.run(id)).expect("a step");
    assert_eq!(outcomes(&world.load(id))[..2], [Outcome::NotSeen, Outcome::Applied]);
    world.rest(id);
    assert_eq!(world.load(id).state, State::Resolved { how: Resolution::Fixed }, "{}", world.load(id).note);
    assert_eq!(world.writes(), 2, "one snapshot of each volume");
}

#[test]
fn a_lost_write_to_a_resource_that_somebody_changed_meanwhile_calls_a_person() {
    let world = World::new();
    let id = unanswered(&world, BUCKET, FaultKind::TimeoutLost, "s3.PutPublicAccessBlock");
    let edited = world.sandbox.edit(Cloud::Aws, subject(BUCKET).uid, |bucket| {
        bucket["PublicAccessBlockConfiguration"] =
            serde_json::json!({"BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": false, "RestrictPublicBuckets": false});
    });
    edited.expect("a bucket");
    world.rest(id);
    let stuck = world.load(id);
    assert_eq!((stuck.state, world.writes(), outcomes(&stuck)), (State::Stuck, 0, vec![]), "{}", stuck.note);
    assert!(stuck.note.contains("does not tell whether it took effect"), "{}", stuck.note);
}

/// The tag tells whose group it is; that there is one of the name does not.
#[test]
fn what_somebody_else_made_under_the_same_name_is_not_taken_for_what_a_lost_write_made() {
    let world = World::new();
    let id = unanswered(&world, QUARANTINE, FaultKind::TimeoutLost, "ec2.CreateSecurityGroup");
    let group = serde_json::json!({
        "GroupId": "sg-0f0f0f0f0f0f0f0f0",
        "GroupName": "stanch-quarantine-i-0123456789abcdef0",
        "OwnerId": "111122223333",
        "VpcId": world.sandbox.state(Cloud::Aws, subject(QUARANTINE).uid).expect("an instance")["VpcId"],
        "Rules": [{"SecurityGroupRuleId": "sgr-0f0f", "IsEgress": true, "IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "CidrIpv4": "0.0.0.0/0"}],
    });
    world.sandbox.put(Cloud::Aws, "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0f0f0f0f0f0f0f0f0", group);
    world.rest(id);
    let stuck = world.load(id);
    assert_eq!((stuck.state, world.writes(), outcomes(&stuck)), (State::Stuck, 0, vec![]), "{}", stuck.note);
    assert!(stuck.note.contains("does not tell whether it took effect"), "{}", stuck.note);
}
