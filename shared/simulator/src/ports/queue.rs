//! The queue: messages are lost, doubled, late, out of order, or not ours.

use std::sync::Arc;

use stanch_core::port::{BoxFuture, Nudge, Received, StoreError, WorkQueue};

use crate::faults::Fault;
use crate::world::{ActorId, World};

/// The queue in the hands of one actor.
pub(crate) struct SimQueue {
    world: Arc<World>,
    actor: ActorId,
}

impl SimQueue {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId) -> Self {
        SimQueue { world: world.clone(), actor }
    }

    async fn before(&self, op: &'static str) -> Result<(), StoreError> {
        self.world.point(self.actor, Fault::CrashBeforeQueue, || format!("before queue.{op}")).await;
        if self.world.fault(self.actor, Fault::QueueUnavailable, || format!("queue.{op}")) {
            return Err(StoreError::Unavailable { reason: "the queue cannot be reached".to_owned() });
        }
        Ok(())
    }

    async fn after(&self, op: &'static str) {
        self.world.point(self.actor, Fault::CrashAfterQueue, || format!("after queue.{op}")).await;
    }

    async fn send_now(&self, nudge: &Nudge, delay_ms: u64) -> Result<(), StoreError> {
        self.before("send").await?;
        let of = || format!("nudge for {} at version {}", self.world.label(nudge.id), nudge.version);
        let mut delay = delay_ms;
        if self.world.fault(self.actor, Fault::MessageDelayed, of) {
            delay += self.world.with(|w| w.rng.between(1_000, 600_000)) as u64;
        }
        if !self.world.fault(self.actor, Fault::MessageLost, of) {
            self.world.queue.send(nudge, delay).await?;
        }
        if self.world.fault(self.actor, Fault::MessageDuplicated, of) {
            let late = self.world.with(|w| w.rng.between(0, 60_000)) as u64;
            self.world.queue.send(nudge, delay + late).await?;
        }
        if self.world.fault(self.actor, Fault::MessageForeign, String::new) {
            let odd = self.world.with(|w| w.rng.pick(&["hello", "{\"format\":99,\"id\":7}", "{}"]).copied());
            self.world.queue.put(odd.unwrap_or_default().to_owned(), 0);
        }
        self.after("send").await;
        Ok(())
    }
}

impl WorkQueue for SimQueue {
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.send_now(nudge, delay_ms))
    }

    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(async move {
            self.before("receive").await?;
            let mut received = self.world.queue.receive(limit, hide_ms).await?;
            if received.len() > 1 && self.world.fault(self.actor, Fault::MessagesReordered, || format!("{} messages", received.len())) {
                received.reverse();
            }
            self.after("receive").await;
            Ok(received)
        })
    }

    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.before("complete").await?;
            if !self.world.fault(self.actor, Fault::CompletionLost, || format!("receipt {receipt}")) {
                self.world.queue.complete(receipt).await?;
            }
            self.after("complete").await;
            Ok(())
        })
    }
}
