//! A channel to people: what arrives is written down.

use std::sync::Arc;

use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Notice, Notifier, NotifyError};
use uuid::Uuid;

use crate::faults::Fault;
use crate::invariants::live;
use crate::world::{ActorId, World};

/// The channels in the hands of one actor.
pub(crate) struct SimNotifier {
    world: Arc<World>,
    actor: ActorId,
}

impl SimNotifier {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId) -> Self {
        SimNotifier { world: world.clone(), actor }
    }
}

impl Notifier for SimNotifier {
    fn send<'a>(&'a self, channel: &'a str, key: Uuid, notice: &'a Notice, _: Millis) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let (world, actor) = (&self.world, self.actor);
            world.point(actor, Fault::CrashAtTelling, || "before a notice".to_owned()).await;
            let failed = |reason: &str, retry| Err(NotifyError { channel: channel.to_owned(), reason: reason.to_owned(), retry });
            if world.fault(actor, Fault::NotifierDown, || notice.title.clone()) {
                return failed("answered 503", true);
            }
            if world.fault(actor, Fault::NotifierRefuses, || notice.title.clone()) {
                world.with(|w| w.ledger.refused.insert(key));
                return failed("answered 410 Gone", false);
            }
            live::notice_arrived(world, actor, channel, key, notice);
            world.point(actor, Fault::CrashAtTelling, || "after a notice".to_owned()).await;
            Ok(())
        })
    }
}
