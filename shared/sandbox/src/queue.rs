//! A work queue in memory: at least once, in no promised order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Nudge, Received, StoreError, WorkQueue};

/// Carries nudges by a clock that its owner turns.
pub struct MemoryQueue {
    clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    receipts: u64,
}

struct Message {
    body: String,
    visible_at: Millis,
    deliveries: u32,
    /// The receipt of the latest delivery; 0 before the first.
    receipt: u64,
}

impl MemoryQueue {
    /// An empty queue. `clock` gives milliseconds since the epoch.
    pub fn new(clock: Arc<dyn Fn() -> Millis + Send + Sync>) -> Self {
        MemoryQueue { clock, inner: Mutex::default() }
    }

    /// Puts any text into the queue, as somebody else might.
    pub fn put(&self, body: String, delay_ms: u64) {
        let visible_at = (self.clock)().saturating_add_unsigned(delay_ms);
        self.lock().messages.push_back(Message { body, visible_at, deliveries: 0, receipt: 0 });
    }

    /// Messages that are not completed yet.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether every message is completed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the next message can be received, milliseconds since the epoch.
    pub fn next_visible(&self) -> Option<Millis> {
        self.lock().messages.iter().map(|m| m.visible_at).min()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkQueue for MemoryQueue {
    fn send<'a>(&'a self, nudge: &'a Nudge, delay_ms: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let body = serde_json::to_string(nudge).map_err(|e| StoreError::Unavailable { reason: e.to_string() })?;
            self.put(body, delay_ms);
            Ok(())
        })
    }

    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(async move {
            let now = (self.clock)();
            let Inner { messages, receipts } = &mut *self.lock();
            let visible = messages.iter_mut().filter(|m| m.visible_at <= now).take(limit);
            Ok(visible
                .map(|message| {
                    *receipts += 1;
                    message.receipt = *receipts;
                    message.deliveries += 1;
                    message.visible_at = now.saturating_add_unsigned(hide_ms);
                    Received { body: message.body.clone(), receipt: message.receipt.to_string(), deliveries: message.deliveries }
                })
                .collect())
        })
    }

    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().messages.retain(|m| m.receipt == 0 || m.receipt.to_string() != receipt);
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").field("messages", &self.len()).finish_non_exhaustive()
    }
}
