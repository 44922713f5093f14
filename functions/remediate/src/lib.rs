//! stanch-remediate.
