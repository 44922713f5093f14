//! stanch-defender-alert.
