//! The work queue inside one process. It is lost with the process, which is harmless: what is due stands in the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Nudge, Received, StoreError, WorkQueue};
use tokio::sync::Notify;

/// More nudges than this are not kept, so that a burst takes about 4 MB at most: the due times in the store find the rest.
const MOST: usize = 16_384;

/// Carries nudges inside one process and rings a bell for its worker.
#[derive(Clone)]
pub struct LocalQueue {
    bell: Arc<Notify>,
    clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    waiting: Arc<Mutex<State>>,
}

/// When a message can be seen, and a number that tells it from others of the same moment.
type Place = (Millis, u64);

#[derive(Default)]
struct State {
    messages: BTreeMap<Place, Message>,
    /// Where the message of a receipt stands, while it is the latest one.
    receipts: HashMap<u64, Place>,
    numbers: u64,
}

struct Message {
    nudge: Nudge,
    deliveries: u32,
    /// The receipt of its latest delivery; 0 before the first.
    receipt: u64,
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn put(&mut self, visible_at: Millis, message: Message) {
        let place = (visible_at, self.number());
        if message.receipt != 0 {
            self.receipts.insert(message.receipt, place);
        }
        self.messages.insert(place, message);
    }

    /// Takes the message that could be seen longest, and hides it until then.
    fn take(&mut self, now: Millis, hidden_until: Millis) -> Option<Message> {
        let first = self.messages.first_entry().filter(|entry| entry.key().0 <= now)?;
        let mut message = first.remove();
        self.receipts.remove(&message.receipt);
        message.receipt = self.number();
        message.deliveries = message.deliveries.saturating_add(1);
        let held = Message { nudge: message.nudge.clone(), ..message };
        self.put(hidden_until, held);
        Some(message)
    }
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
            let visible_at = (self.clock)().saturating_add_unsigned(delay_ms);
            self.with(|state| {
                if state.messages.len() < MOST {
                    state.put(visible_at, Message { nudge: nudge.clone(), deliveries: 0, receipt: 0 });
                }
            });
            self.bell.notify_one();
            Ok(())
        })
    }

    fn receive(&self, limit: usize, hide_ms: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(async move {
            let now = (self.clock)();
            // At least a moment, so that one call never takes a message twice.
            let hidden_until = now.saturating_add_unsigned(hide_ms.max(1));
            let taken: Vec<Message> = self.with(|state| std::iter::from_fn(|| state.take(now, hidden_until)).take(limit).collect());
            let received = |message: Message| {
                let body = serde_json::to_string(&message.nudge).map_err(|e| StoreError::Unavailable { reason: e.to_string() })?;
                Ok(Received { body, receipt: message.receipt.to_string(), deliveries: message.deliveries })
            };
            taken.into_iter().map(received).collect()
        })
    }

    fn complete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if let Ok(receipt) = receipt.parse::<u64>() {
                self.with(|state| {
                    if let Some(place) = state.receipts.remove(&receipt) {
                        state.messages.remove(&place);
                    }
                });
            }
            Ok(())
        })
    }
}

impl std::fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::{Duration, Instant};

    use stanch_core::port::NUDGE_FORMAT;
    use stanch_core::remediation::RemediationId;
    use uuid::Uuid;

    use super::*;
    use crate::contract::now;

    mod contract {
        use super::*;

        async fn open() -> Option<((), LocalQueue, impl AsyncFn(u64))> {
            let clock = Arc::new(AtomicI64::new(1_000));
            let read = Arc::clone(&clock);
            let (queue, _bell) = LocalQueue::new(Arc::new(move || read.load(Ordering::Relaxed)));
            let turn = async move |ms: u64| {
                clock.fetch_add(i64::try_from(ms).unwrap(), Ordering::Relaxed);
            };
            Some(((), queue, turn))
        }
        crate::queue_contract!(open);
    }

    fn nudge(n: u128) -> Nudge {
        Nudge { format: NUDGE_FORMAT, id: RemediationId(Uuid::from_u128(n)), version: 1, correlation: None }
    }

    #[test]
    fn a_burst_is_bounded_and_worked_off_in_time_that_grows_with_it() {
        let (queue, bell) = LocalQueue::new(Arc::new(|| 0));
        let begun = Instant::now();
        for n in 0..100_000 {
            now(async { queue.send(&nudge(n), 0).await }).unwrap();
        }
        now(bell.notified());
        let mut done = 0;
        while let taken = now(queue.receive(64, 60_000)).unwrap()
            && !taken.is_empty()
        {
            for message in taken {
                now(queue.complete(&message.receipt)).unwrap();
                done += 1;
            }
        }
        assert_eq!(done, MOST, "the rest is found by its due time");
        assert!(queue.with(|state| state.messages.is_empty() && state.receipts.is_empty()), "nothing is left behind");
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    }
}
