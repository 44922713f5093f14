//! stanch-reconcile.
