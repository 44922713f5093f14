//! The ports as one actor sees them: the simulated ones, with a place to be interrupted at every call, and faults.

pub(crate) mod cloud;
mod notifier;
mod queue;
mod source;
mod store;

use std::sync::Arc;

use stanch_core::port::{NoMeter, Store};
use stanch_engine::{Engine, Ports};

use crate::plants;
use crate::stage::Stage;
use crate::world::{ActorId, World};

/// An engine in the hands of one actor, and the ports it works through.
pub(crate) struct Hands {
    pub(crate) engine: Engine,
    pub(crate) ports: Ports,
}

/// Gives an actor an engine.
pub(crate) fn engine(world: &Arc<World>, stage: &Stage, actor: ActorId) -> Hands {
    let store: Arc<dyn Store> = Arc::new(store::SimStore::new(world, actor));
    let clouds = Arc::new(cloud::SimCloud::new(world, actor));
    let queue = Arc::new(queue::SimQueue::new(world, actor));
    let (clock_of, ids) = (world.clone(), world.clone());
    let ports = Ports {
        clouds,
        sources: Arc::new(source::SimSource::new(world, actor)),
        store,
        queue,
        vault: None,
        notifier: Arc::new(notifier::SimNotifier::new(world, actor)),
        meter: Arc::new(NoMeter),
        fixes: stage.library.clone(),
        clock: Arc::new(move || clock_of.clock_of(actor)),
        new_id: Arc::new(move || ids.new_id()),
    };
    let ports = plants::plant(world, ports);
    Hands { engine: Engine::new(ports.clone(), world.rules.clone(), stage.protected.clone()), ports }
}
