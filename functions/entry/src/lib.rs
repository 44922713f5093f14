//! stanch-entry.
