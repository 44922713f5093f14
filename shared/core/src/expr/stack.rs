//! Stack for what recurses. Parser and evaluator of `cel` recurse once for each level of nesting, in debug builds with frames of
//! up to 100 KB; the caller's stack (2 MB on a worker thread) is not enough for what the limits allow, and an overflow would
//! abort the process.

use std::thread;

/// Reserved, not touched: only what is used costs memory.
const DEEP_BYTES: usize = 64 * 1024 * 1024;

/// Runs `work` on a thread with a deep stack. `None` when no thread can be had or `work` panicked.
pub(super) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| thread::Builder::new().stack_size(DEEP_BYTES).spawn_scoped(scope, work).ok()?.join().ok())
}
