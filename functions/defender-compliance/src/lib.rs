//! stanch-defender-compliance.
