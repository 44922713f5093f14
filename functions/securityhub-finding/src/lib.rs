//! stanch-securityhub-finding.
