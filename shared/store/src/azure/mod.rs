//! State in a storage account: one table, one container of large texts, one queue, one container of checkpoints. The client is
//! our own and small: Azure has no maintained crate for tables, and the others would bring a pipeline each for a few requests.
//!
//! # Rows
//!
//! | partition | row | holds |
//! | --- | --- | --- |
//! | `r-<id>` | `case` | the remediation: what is asked for in columns, its JSON in `b0`, `b1`, … or in a blob |
//! | | `log-<last>` | the record entries of one commit, up to that sequence |
//! | | `out-<version>` | the messages of one commit and what became of each |
//! | | `seal-<version>` | the values one commit sealed |
//! | `key-<sha256>` | `row` | the id that a key leads to |
//! | `due` | `<time>-<id>-<version>` | announces: that version is due then |
//! | `outbox` | `<time>-<committed>-<id>-<version>-<revision>` | announces: those messages are due then |
//! | `newest` | `<id turned round>` | nothing: its order is that of a listing |
//! | `cap` | `<window>-<sha256>` | the slots taken of a cap |
//! | `value-…`, `hold-…`, `body-…` | `row` | named values, holds, bodies |
//! | `parked`, `setting` | | what is parked; the kill switch |
//!
//! A partition takes about 2,000 rows a second, which bounds `due`, `outbox`, `newest` and `cap`, and so the store.
//!
//! # A commit is atomic
//!
//! All rows of `r-<id>` that a commit writes, four at most, go in one entity-group transaction, under the ETag of `case` (or
//! its absence). What cannot be in that transaction is written before it and counts only with it:
//!
//! - *Announcements* name the version they announce. Whoever reads one compares it with the remediation: it counts when the
//!   remediation has exactly this version and wants exactly this time. At a later version, or at this one with another time,
//!   it can never count again and is removed. At an earlier one its commit may be under way, so it stays (for a day at most;
//!   a commit gives up after five minutes). So no due time is ever missed: its announcement was there before it was due.
//! - *Bodies* and *large texts* are looked at only through rows that name them; `prune` removes what no row names.
//!
//! A transaction without an answer is sent again, under the same ETag. When it is refused then, or no answer comes at all, the
//! `case` row tells by the commit's token whether it was this commit that took effect.
//!
//! # A key leads to one remediation
//!
//! The key's row is inserted first, with the id that the commit is going to use. `find` gives that id only when its remediation
//! is there. A worker that finds the key of an id without a remediation waits a moment for its owner. Then it puts a `case` row
//! of version 0 under that id, which is no remediation but makes the owner's insert fail from then on, however late it comes;
//! if the owner was quicker, this insert fails instead, and the owner has won. Only then the key is pointed at the worker's own
//! id, under the ETag it was read with, so of several workers one gets it. Whoever died in between, the next one does the same.
//!
//! # What things cost
//!
//! A commit is one read (an insert: one write for the key), its announcements at once, and the transaction: three round trips.
//! `due` and `outbox` read the announcements up to now and, for each, the remediation. A listing reads ids from the newest on,
//! and of the remediations between them all rows, filtered by the service. `heads` and `prune` read the table once through.

mod batch;
mod blob;
mod cap;
mod case;
mod client;
mod commit;
mod due;
mod entity;
mod kept;
mod key;
mod list;
mod names;
mod outbox;
mod parked;
mod prune;
mod queue;
mod store;
mod table;
mod together;
mod vault;

#[cfg(test)]
pub(crate) mod tests;

pub use client::{Account, Clock, STORAGE_SCOPE, TokenSource};
pub use queue::{AzureQueue, WORK_QUEUE};
pub use store::{AzureStore, Names};
pub use vault::{AzureVault, CHECKPOINTS};
