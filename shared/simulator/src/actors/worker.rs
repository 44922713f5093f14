//! A worker: the loop round the engine that every host runs in its own way.

use std::sync::Arc;

use stanch_core::port::{Nudge, Parked, ParkedKind, Received};
use stanch_engine::Engine;

use crate::ports::engine;
use crate::scheduler::{idle, sleep};
use crate::stage::Stage;
use crate::world::{ActorId, World};

/// How long a message that was taken is hidden from others, milliseconds.
const HIDDEN_MS: u64 = 60_000;

/// Works for ever.
pub(crate) async fn work(world: Arc<World>, stage: Stage, actor: ActorId) {
    let ports = engine(&world, &stage, actor);
    let (engine, parts) = (ports.engine, ports.ports);
    loop {
        let (calm, choice, limit) = world.with(|w| (w.calm, w.rng.below(10), w.rng.between(1, 4) as usize));
        let mut busy = false;
        if calm || choice < 6 {
            if let Ok(messages) = parts.queue.receive(limit, HIDDEN_MS).await {
                busy = !messages.is_empty();
                for message in messages {
                    if handle(&engine, &parts, &message).await.is_ok() {
                        let _ = parts.queue.complete(&message.receipt).await;
                    }
                }
            }
        }
        if calm || choice >= 6 {
            match engine.reconcile(limit * 2).await {
                Ok(moved) => busy |= moved > 0,
                Err(error) => world.tell(actor, || format!("could not reconcile: {error}")),
            }
        }
        if calm && !busy {
            idle(&world, actor).await;
        } else {
            let wait = world.with(|w| w.rng.between(1, 3_000));
            sleep(&world, actor, wait).await;
        }
    }
}

/// What the trigger of the queue does with one message. A message that is not understood is parked.
async fn handle(engine: &Engine, ports: &stanch_engine::Ports, message: &Received) -> Result<(), ()> {
    let Ok(nudge) = serde_json::from_str::<Nudge>(&message.body) else {
        let parked = Parked::new(ParkedKind::Message, "work", "it is no nudge", message.body.clone(), (ports.clock)());
        return ports.store.park(parked).await.map_err(drop);
    };
    let stored = engine.load(nudge.id).await.map_err(drop)?;
    if stored.version > nudge.version {
        return Ok(());
    }
    engine.run(nudge.id).await.map(drop).map_err(drop)
}
