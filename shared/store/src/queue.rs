//! The nudge inside one process.

use std::sync::Arc;

use stanch_core::port::{BoxFuture, StoreError, WorkQueue};
use stanch_core::remediation::RemediationId;
use tokio::sync::Notify;

/// Wakes the worker of the same process. It carries no list: what is due stands in the store.
#[derive(Clone, Debug)]
pub struct LocalQueue {
    bell: Arc<Notify>,
}

impl LocalQueue {
    /// A queue and the bell its worker waits on. A nudge while nobody waits is kept; many of them count as one.
    pub fn new() -> (Self, Arc<Notify>) {
        let bell = Arc::new(Notify::new());
        (LocalQueue { bell: Arc::clone(&bell) }, bell)
    }
}

impl WorkQueue for LocalQueue {
    /// Rings at once whatever the delay: a look that comes too early finds nothing due and costs one query.
    fn nudge(&self, _id: RemediationId, _version: u64, _delay_ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.bell.notify_one();
            Ok(())
        })
    }
}
