//! stanch-manual-run.
