//! stanch-scc-finding.
