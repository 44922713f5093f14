//! The simulated time. A run lives on one thread from its beginning to its end, so the time is the thread's.

use std::cell::Cell;

use stanch_core::finding::Millis;

/// When every run begins: 2026-09-21T14:13:20Z.
pub(crate) const START: Millis = 1_790_000_000_000;
pub(crate) const SECOND: Millis = 1_000;
pub(crate) const MINUTE: Millis = 60 * SECOND;
pub(crate) const HOUR: Millis = 60 * MINUTE;
pub(crate) const DAY: Millis = 24 * HOUR;

thread_local! {
    static NOW: Cell<Millis> = const { Cell::new(START) };
}

/// The true time, milliseconds since the epoch. Workers see it through clocks that are a little off.
pub(crate) fn now() -> Millis {
    NOW.get()
}

/// Turns the clock; it never goes back.
pub(crate) fn turn_to(at: Millis) {
    NOW.set(now().max(at));
}

/// A new run begins.
pub(crate) fn reset() {
    NOW.set(START);
}
