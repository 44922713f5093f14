//! A fix that failed halfway: the way back.

use stanch_core::remediation::RemediationId;
use stanch_core::state::State;
use stanch_engine::Next;
use stanch_sandbox::{Fault, FaultKind};

use crate::world::{World, now, turn_to, wait};
use crate::writing::opened;

/// Its plan has several changes.
const INGRESS: &str = "aws-ec2-revoke-world-ingress";

/// The first change of several is written, the second one was refused.
fn halfway() -> (World, RemediationId) {
    let world = World::denying(1);
    let id = opened(&world, INGRESS);
    while world.load(id).state != State::Undoing {
        if let Next::At(at) = wait(world.engine.step(id)).expect("a step") {
            turn_to(at);
        }
    }
    if let Next::At(at) = wait(world.engine.step(id)).expect("a step") {
        turn_to(at);
    }
    assert_eq!((world.writes(), world.load(id).undo), (1, None));
    (world, id)
}

#[test]
fn before_the_way_back_an_outage_is_waited_out_and_a_refused_read_calls_a_person() {
    for (fault, next, tries, ends, writes) in
        [(FaultKind::Unavailable, Some(2_000), 1, State::RolledBack, 2), (FaultKind::Denied, None, 0, State::Stuck, 1)]
    {
        let (world, id) = halfway();
        world.sandbox.inject(Fault::once(fault, "ec2.Describe"));
        let expected = next.map_or(Next::Idle, |ms| Next::At(now() + ms));
        assert_eq!(wait(world.engine.step(id)).expect("a step"), expected, "{fault:?}");
        assert_eq!(world.load(id).tries, tries, "{fault:?}");
        world.rest(id);
        let end = world.load(id);
        assert_eq!((end.state, world.writes()), (ends, writes), "{fault:?}: {}", end.note);
    }
}
