//! People: they answer, put back, reopen, turn the kill switch, and have their hands on the resources.

use std::sync::Arc;

use stanch_core::cloud::ResourceUid;
use stanch_core::remediation::Remediation;
use stanch_core::state::State;
use stanch_engine::{Engine, EngineError, Next};

use crate::faults::Fault;
use crate::ports::engine;
use crate::scheduler::sleep;
use crate::stage::Stage;
use crate::subjects::{SUBJECTS, set_at};
use crate::world::{ActorId, World};

/// Acts now and then.
pub(crate) async fn act(world: Arc<World>, stage: Stage, actor: ActorId) {
    let engine = engine(&world, &stage, actor);
    let (engine, store) = (engine.engine, engine.ports.store);
    loop {
        let wait = world.with(|w| w.rng.between(50, 20_000));
        sleep(&world, actor, wait).await;
        if world.fault(actor, Fault::HumanEdit, String::new) {
            edit(&world, actor);
        } else if world.fault(actor, Fault::HumanDelete, String::new) {
            delete(&world, actor);
        } else if world.fault(actor, Fault::KillSwitch, String::new) {
            let allowed = world.with(|w| w.rng.chance(500));
            world.tell(actor, || format!("turns writes {}", if allowed { "on" } else { "off" }));
            let _ = store.allow_writes(allowed).await;
        } else {
            answer(&world, actor, &engine).await;
        }
    }
}

/// Does what can be done about one of the remediations.
async fn answer(world: &World, actor: ActorId, engine: &Engine) {
    let cases = world.store.cases();
    let Some(r) = world.with(|w| w.rng.pick(&cases).map(|(r, _)| r.clone())) else { return };
    let (name, choice) = world.with(|w| (w.actors.get(actor).map(|a| format!("cli:{}", a.name)).unwrap_or_default(), w.rng.below(100)));
    let label = world.label(r.id);
    let (what, result) = match r.state {
        State::AwaitingApproval | State::Planned if choice < 70 => ("approves", approve(world, engine, &r, &name, choice < 50).await),
        State::AwaitingApproval | State::Planned if choice < 80 => ("rejects", engine.reject(r.id, &name, "not now").await),
        State::Deferred { .. } if choice < 10 => ("rejects", engine.reject(r.id, &name, "not now").await),
        State::Resolved { .. } | State::StillReported | State::Contained { .. } | State::Stuck if choice < 25 => {
            world.with(|w| w.ledger.undo_asked.insert(r.id));
            ("puts back", engine.undo(r.id, &name).await)
        }
        State::Stuck | State::Failed | State::Refused | State::Rejected | State::RolledBack | State::StillReported if choice < 45 => {
            ("reopens", engine.reopen(r.id, &name).await)
        }
        State::Failed | State::Refused | State::Rejected | State::RolledBack if choice < 70 => {
            world.with(|w| w.ledger.undo_asked.insert(r.id));
            ("puts back", engine.undo(r.id, &name).await)
        }
        // Too late or too early, on purpose: it must be refused.
        _ if choice > 94 => {
            world.with(|w| {
                w.ledger.undo_asked.insert(r.id);
                w.coverage.raced("an undo while a fix is applied");
            });
            ("puts back", engine.undo(r.id, &name).await)
        }
        _ => return,
    };
    if matches!(result, Err(EngineError::Store(stanch_core::port::StoreError::Conflict { .. }))) {
        world.with(|w| w.coverage.raced("a person's word against a worker's step"));
    }
    world.tell(actor, || match result {
        Ok(_) => format!("{what} {label}"),
        Err(error) => format!("{what} {label}: {}", error.to_string().lines().next().unwrap_or_default()),
    });
}

async fn approve(world: &World, engine: &Engine, r: &Remediation, by: &str, exactly: bool) -> Result<Next, EngineError> {
    // Without a hash a person approves whatever waits by then.
    let seen = r.fix.as_ref().map(|run| run.hash.clone()).unwrap_or_default();
    if exactly {
        world.with(|w| w.ledger.approvals.insert((r.id, seen.clone())));
        return engine.approve(r.id, by, Some(&seen)).await;
    }
    world.with(|w| w.ledger.approved_any.insert(r.id));
    engine.approve(r.id, by, None).await
}

/// Sets something of a resource by hand.
fn edit(world: &World, actor: ActorId) {
    let Some((cloud, (uid, pointer, new))) = world.with(|w| {
        let subject = w.rng.pick(&w.subjects.clone()).and_then(|at| SUBJECTS.get(*at))?;
        Some((subject.cloud, *w.rng.pick(subject.edits)?))
    }) else {
        return;
    };
    let before = world.sandbox.state(cloud, uid);
    if world.sandbox.edit(cloud, uid, |value| set_at(value, pointer, new)).is_err() {
        return;
    }
    world.with(|w| {
        w.ledger.edited(cloud, uid);
        w.seen.changed(cloud);
        let canonical = ResourceUid::canonical(cloud, uid);
        let waits = w.ledger.intents.iter().any(|i| i.plan.resource == canonical);
        if waits && before.is_some() {
            w.coverage.raced("a hand on a resource that a plan is about");
        }
    });
    world.tell(actor, || format!("sets {pointer} of {uid} to {new} by hand"));
}

fn delete(world: &World, actor: ActorId) {
    let subject = world.with(|w| w.rng.pick(&w.subjects.clone()).and_then(|at| SUBJECTS.get(*at)));
    let Some(subject) = subject.filter(|s| !s.uid.starts_with("AWS::")) else { return };
    if world.sandbox.delete(subject.cloud, subject.uid).is_ok() {
        world.with(|w| {
            w.ledger.edited(subject.cloud, subject.uid);
            w.seen.changed(subject.cloud);
        });
        world.tell(actor, || format!("deletes {} by hand", subject.uid));
    }
}
