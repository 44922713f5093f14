//! stanch-ocsf-finding.
