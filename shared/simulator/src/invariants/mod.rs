//! What must hold, each under its own name: some at every moment, the rest once everything has come to rest.

pub(crate) mod live;
mod outbox;
mod record;
mod rest;
mod undo;

use std::sync::Arc;

use crate::stage::Stage;
use crate::world::World;

/// Every invariant and what it says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("accepted-is-kept", "each event that was accepted has a remediation that knows who reported it"),
    ("lost-is-found", "where sources are swept, an open finding whose event was lost is known in the end"),
    ("no-write-without-intent", "each write sent to a cloud is the change of a plan whose intent its sender had stored, and is sent once"),
    ("only-allowed-plans", "a plan is written only if a person approved its hash, or a rule of mode `auto` allowed it"),
    ("nothing-sent-after-its-lease", "a write is sent while its intent's lease lasts, never later"),
    ("attempts-are-kept", "what was stored about sends is never taken back, and a run with an open send is not dropped"),
    ("results-are-true", "a send stored as applied took effect, one stored as refused or not applied did not"),
    ("one-writer-per-version", "each stored version of a remediation follows the one before it"),
    ("only-known-arrows", "a remediation moves along the arrows of the state table"),
    ("no-effect-twice", "a change that is not safe to repeat takes effect once"),
    ("caps-held", "the first write of a fix needs a slot, and no window has more writers than slots"),
    ("kill-switch", "each write follows a look at the kill switch that said on; so each worker sends at most one after it is off"),
    ("resource-as-the-case-says", "a live resource is as before or as intended, unless a case is stuck over it or somebody edited it"),
    ("cases-leave-each-other-alone", "what one case did to a resource is not undone by another that is about the same resource"),
    ("recurrences-are-real", "a fault counts as back only if somebody touched the resource after the fix"),
    ("compliant-means-unwritten", "a case that ends as compliant or closed by others has written nothing in that run"),
    ("chain-verifies", "each record is one unbroken chain that ends where its remediation says"),
    ("writes-are-recorded", "each write that took effect stands in the record, with its plan and with what came of it"),
    ("everything-comes-to-rest", "nothing moves for ever, and nothing due in the past is left"),
    ("what-is-due-moves", "a case that is due is not taken up again and again without anything coming of it"),
    ("ends-say-why", "each remediation ends in a state that ends, with a note that is not empty"),
    ("stuck-is-told", "a stuck remediation has told a person, or the notice waits in the outbox"),
    ("fixed-is-told", "a fixed remediation has told every source that reported it, or the message waits in the outbox"),
    ("contained-ends", "a containment has a time at which it ends"),
    ("told-in-order", "messages of one remediation to one side arrive in their order"),
    ("last-word-stands", "the message that arrived last is the newest one that was sent"),
    ("sent-means-arrived", "a message marked as sent has arrived; one that is not says why"),
    ("undo-puts-back", "the undo of a fixed case ends with the resource as it was before"),
];

/// Everything that must hold once a run has come to rest.
pub(crate) fn at_rest(world: &Arc<World>, stage: &Stage) {
    let cases = world.store.cases();
    let broken = || world.with(|w| w.broken.is_some());
    rest::accepted(world, &cases);
    rest::swept(world, stage, &cases);
    rest::ends(world, &cases);
    rest::resources(world, stage, &cases);
    rest::recurrences(world, &cases);
    record::chains(world, &cases);
    record::writes(world, &cases);
    outbox::told(world);
    outbox::people_know(world, &cases);
    if !broken() {
        undo::audit(world, stage, &cases);
    }
}
