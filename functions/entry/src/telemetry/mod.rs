//! What a process counts, and where that goes: `GET /metrics`, and a collector where one is set.

mod exposition;
mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;

use std::sync::{Arc, LazyLock};

pub use exposition::{CONTENT_TYPE, render};
pub use metrics::Metrics;

/// The counters of this process. One process counts in one place, whatever engines it puts together.
static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new(crate::wiring::now)));

/// The counters of this process.
pub fn metrics() -> Arc<Metrics> {
    METRICS.clone()
}
