//! The async shell round the core: takes findings in, moves remediations step by step, sends what waits in the outbox.
//!
//! Every step loads a remediation, does one thing, and commits. Nothing sleeps; a step that must wait says until when. Any step
//! may be repeated, killed or run late: what was intended is stored before each write, what came of it after.

mod apply;
mod ask;
mod backlog;
mod call;
mod case;
pub mod checkpoint;
mod command;
mod due;
mod error;
mod health;
mod ingest;
mod named;
mod observe;
mod others;
mod outbox;
mod outcome;
mod panic;
mod parked;
mod plan;
mod reconcile;
mod release;
mod rollback;
pub mod scores;
mod second;
mod spill;
mod step;
mod sweep;
pub mod telemetry;
pub mod trigger;
mod verify;
mod work;

use std::sync::Arc;

use stanch_core::finding::Millis;
use stanch_core::guard::Protected;
use stanch_core::port::{CloudApi, FindingSource, Fixes, Meter, Notifier, Store, Vault, WorkQueue};
use stanch_core::rule::RuleSet;

pub use case::Next;
pub use command::{Preview, PreviewOutcome};
pub use error::EngineError;
pub use health::Health;
pub use ingest::{Intake, Taken};
pub use reconcile::Round;
pub use spill::Reader;
pub use work::{Handled, MAX_DELIVERIES, Worked};

/// Everything the engine works through. `entry` alone names the implementations.
#[derive(Clone)]
pub struct Ports {
    /// Carries calls to all three clouds.
    pub clouds: Arc<dyn CloudApi>,
    /// Asks and tells all sources.
    pub sources: Arc<dyn FindingSource>,
    /// Keeps the remediations.
    pub store: Arc<dyn Store>,
    /// Wakes the worker.
    pub queue: Arc<dyn WorkQueue>,
    /// Keeps checkpoints; without one none are made.
    pub vault: Option<Arc<dyn Vault>>,
    /// Sends notices.
    pub notifier: Arc<dyn Notifier>,
    /// Counts what happens.
    pub meter: Arc<dyn Meter>,
    /// The library.
    pub fixes: Arc<dyn Fixes>,
    /// Milliseconds since the epoch, now.
    pub clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    /// A new UUIDv7.
    pub new_id: Arc<dyn Fn() -> uuid::Uuid + Send + Sync>,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) protected: Arc<Protected>,
    pub(crate) sweep: Arc<sweep::Sweep>,
    pub(crate) spilling: Option<spill::Spilling>,
}

/// How long one call may take before its sender gives up, milliseconds.
pub(crate) const CALL_TIMEOUT_MS: u64 = 25_000;
/// How much longer than the call its lease lasts, milliseconds: clocks and schedulers need room.
pub(crate) const LEASE_MARGIN_MS: i64 = 10_000;
/// Tries in one state before a person is called.
pub(crate) const MAX_TRIES: u32 = 9;

impl Engine {
    /// Puts an engine together.
    pub fn new(mut ports: Ports, rules: Arc<RuleSet>, protected: Arc<Protected>) -> Self {
        let (meter, clock) = (ports.meter.clone(), ports.clock.clone());
        ports.clouds = Arc::new(telemetry::Calls { inner: ports.clouds, meter, clock });
        Engine { ports, rules, protected, sweep: Arc::default(), spilling: None }
    }

    /// Counts what happens.
    pub fn meter(&self) -> &dyn Meter {
        self.ports.meter.as_ref()
    }

    pub(crate) fn now(&self) -> Millis {
        (self.ports.clock)()
    }

    /// How long to wait after `tries` failures, milliseconds: 2 s, 8 s, 32 s … at most an hour, so that all tries together
    /// outlast an outage of two hours before a person is called.
    pub(crate) fn back_off(tries: u32) -> i64 {
        (2_000_i64 << (2 * tries.saturating_sub(1)).min(20)).min(3_600_000)
    }
}
