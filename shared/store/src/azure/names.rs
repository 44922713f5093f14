//! Where each row is: partitions and row keys, of letters, digits and dashes only, so that nothing in them is ever encoded.

use stanch_core::digest::sha256_hex;
use stanch_core::finding::Millis;
use stanch_core::remediation::RemediationId;
use uuid::Uuid;

/// Row of the remediation itself, in its partition.
pub(crate) const CASE: &str = "case";
/// Partition of due times.
pub(crate) const DUE: &str = "due";
/// Partition of due messages.
pub(crate) const OUTBOX: &str = "outbox";
/// Partition of all ids, newest first.
pub(crate) const NEWEST: &str = "newest";
/// Partition of cap windows.
pub(crate) const CAP: &str = "cap";
/// Partition of what is parked.
pub(crate) const PARKED: &str = "parked";
/// Partition of the settings kept here.
pub(crate) const SETTING: &str = "setting";
/// Row of the kill switch.
pub(crate) const WRITES: &str = "writes";
/// Row of a partition that has only one.
pub(crate) const ONLY: &str = "row";

/// Partition of a remediation.
pub(crate) fn case(id: RemediationId) -> String {
    format!("r-{id}")
}

/// The remediation of a partition.
pub(crate) fn case_id(partition: &str) -> Option<RemediationId> {
    RemediationId::parse(partition.strip_prefix("r-")?)
}

/// A partition of one row, named by text that may hold anything.
pub(crate) fn hashed(kind: &str, text: &str) -> String {
    format!("{kind}-{}", sha256_hex(text.as_bytes()))
}

/// Partition of a body of a remediation.
pub(crate) fn body(id: RemediationId, digest: &str) -> String {
    hashed("body", &format!("{id}/{digest}"))
}

/// Where an earlier stanch kept a body, once for all remediations that had it.
pub(crate) fn shared_body(digest: &str) -> String {
    hashed("body", digest)
}

/// Row of the record entries up to and with this one.
pub(crate) fn log(last: u64) -> String {
    format!("log-{last:012}")
}

/// Row of the messages that version brought.
pub(crate) fn messages(version: u64) -> String {
    format!("out-{version:012}")
}

/// Row of the values that version sealed.
pub(crate) fn sealed(version: u64) -> String {
    format!("seal-{version:012}")
}

/// A time as it sorts; before the epoch counts as the epoch.
pub(crate) fn time(at: Millis) -> String {
    format!("{:016}", at.max(0))
}

/// Row of an id in [`NEWEST`]: the id turned round, so that the latest comes first.
pub(crate) fn newest(id: RemediationId) -> String {
    Uuid::from_u128(!id.0.as_u128()).to_string()
}

/// The id of a row of [`NEWEST`].
pub(crate) fn newest_id(row: &str) -> Option<RemediationId> {
    Some(RemediationId(Uuid::from_u128(!Uuid::parse_str(row).ok()?.as_u128())))
}

/// Row that announces: `version` of `id` is due at `at`.
pub(crate) fn due(at: Millis, id: RemediationId, version: u64) -> String {
    format!("{}-{id}-{version:012}", time(at))
}

/// Row that announces: revision `revision` of the messages `version` brought at `committed` is due at `at`.
pub(crate) fn outbox(at: Millis, committed: Millis, id: RemediationId, version: u64, revision: i64) -> String {
    format!("{}-{}-{id}-{version:012}-{revision:08}", time(at), time(committed))
}
