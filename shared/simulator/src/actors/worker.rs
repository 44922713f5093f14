//! A worker: the loop round the engine that every host runs in its own way.

use std::sync::Arc;

use stanch_engine::{Round, Worked};

use crate::ports::engine;
use crate::scheduler::{idle, sleep};
use crate::stage::Stage;
use crate::world::{ActorId, World};

/// Works for ever.
pub(crate) async fn work(world: Arc<World>, stage: Stage, actor: ActorId) {
    let engine = engine(&world, &stage, actor).engine;
    loop {
        let (calm, choice, limit) = world.with(|w| (w.calm, w.rng.below(10), w.rng.between(1, 4) as usize));
        let mut busy = false;
        if calm || choice < 6 {
            match engine.work(limit).await {
                Ok(Worked { ran, stale, put_off, parked, .. }) => busy |= ran + stale + put_off + parked > 0,
                Err(error) => world.tell(actor, || format!("could not work: {error}")),
            }
        }
        if calm || choice >= 6 {
            let Round { ran, sent, swept, failed, .. } = engine.reconcile(limit * 2).await;
            busy |= ran + sent + swept > 0;
            for (part, error) in failed {
                world.tell(actor, || format!("could not reconcile ({part}): {error}"));
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
