//! Where remediations are kept: one SQLite file in a data folder and the nudge that wakes the local worker, or a storage
//! account in Azure ([`azure`]).
//!
//! The command line and a running server may open the folder at once. Sensitive captured values are sealed with a key that
//! lies beside the database in its own file, so that a copy of the database alone gives none of them away.

mod audit;
pub mod azure;
mod backup;
mod body;
mod checkpoints;
mod commit;
mod floor;
mod folder;
mod kept;
mod outbox;
mod prune;
mod queue;
mod row;
mod schema;
mod seal;
mod spill;
mod sqlite;
mod vault;
mod writer;

#[cfg(test)]
mod attacks;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "contract"))]
pub mod queue_contract;
#[cfg(test)]
mod tests;

pub use audit::{AuditReport, Fault, Proof, audit_records};
pub use backup::{BackedUp, backup};
pub use checkpoints::Checkpoints;
pub use floor::Floor;
pub use queue::LocalQueue;
pub use spill::FileSpill;
pub use sqlite::SqliteStore;
pub use vault::FileVault;
