//! The work queue inside one process. It is lost with the process, which is harmless: what is due stands in the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Nudge, Received, StoreError, WorkQueue};
use tokio::sync::Notify;

/// More nudges than this are not kept: the due times in the store find what was dropped.
const MOST: usize = 65_536;

/// Carries nudges inside one process and rings a bell for its worker.
#[derive(Clone)]
pub struct LocalQueue {
    bell: Arc<Notify>,
    clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    waiting: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    receipts: u64,
}

struct Message {
    body: String,
    visible_at: Millis,
    deliveries: u32,
    receipt: u64,
}

impl LocalQueue {
    /// A queue and the bell its worker waits on. A nudge while nobody waits is kept; many of them count as one ring.
    pub fn new(clock: Arc<dyn Fn() -> Millis + Send + Sync>) -> (Self, Arc<Notify>) {
        let bell = Arc::new(Notify::new());
        (LocalQueue { bell: Arc::clone(&bell), clock, waiting: Arc::default() }, bell)
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WorkQueue for LocalQueue {
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let body = serde_json::to_string(nudge).map_err(|e| StoreError::Unavailable { reason: e.to_string() })?;
            let visible_at = (self.clock)().saturating_add_unsigned(delay_ms);
            self.with(|state| {
                if state.messages.len() < MOST {
                    state.messages.push_back(Message { body, visible_at, deliveries: 0, receipt: 0 });
                }
            });
            self.bell.notify_one();
            Ok(())
        })
    }

    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(async move {
            let now = (self.clock)();
            Ok(self.with(|state| {
                let State { messages, receipts } = state;
                let visible = messages.iter_mut().filter(|m| m.visible_at <= now).take(limit);
                visible
                    .map(|message| {
                        *receipts += 1;
                        message.receipt = *receipts;
                        message.deliveries += 1;
                        message.visible_at = now.saturating_add_unsigned(hide_ms);
                        Received { body: message.body.clone(), receipt: message.receipt.to_string(), deliveries: message.deliveries }
                    })
                    .collect()
            }))
        })
    }

    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.with(|state| state.messages.retain(|m| m.receipt == 0 || m.receipt.to_string() != receipt));
            Ok(())
        })
    }
}

impl std::fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue").finish_non_exhaustive()
    }
}
