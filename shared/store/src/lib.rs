//! Where remediations are kept: one SQLite file in a data folder and the nudge that wakes the local worker, or a storage
//! account in Azure ([`azure`]).
//!
//! The command line and a running server may open the folder at once. Sensitive captured values are sealed with a key that
//! lies beside the database in its own file, so that a copy of the database alone gives none of them away.

mod audit;
pub mod azure;
mod commit;
mod folder;
mod kept;
mod queue;
mod row;
mod schema;
mod seal;
mod sqlite;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;

pub use audit::AuditReport;
pub use queue::LocalQueue;
pub use sqlite::SqliteStore;
