//! What every fuzz target checks.

use stanch_core::normalize::Normalized;
use stanch_core::ocsf::to_line;

/// Reads a text with a connector's reader. Whatever the text is, the reader ends, and what it gives can be used.
///
/// # Panics
///
/// Where a finding has no id, or cannot be written.
pub fn check(read: fn(&str) -> Normalized<'_>, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(reading) = read(text) else { return };
    for finding in &reading.findings {
        assert!(!finding.uid.trim().is_empty(), "a finding without an id");
        let line = to_line(finding, 0).expect("a finding can be written");
        serde_json::from_str::<serde_json::Value>(&line).expect("what is written is JSON");
    }
}
