//! stanch-sandbox.
