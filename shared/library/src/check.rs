//! Checks of a fix beyond its own syntax: the calls exist, their members are spelt as the vendor spells them, permissions
//! cover the calls.

use stanch_core::diagnostic::Diagnostic;
use stanch_core::fix::Fix;

/// Judges one call by the vendor's own description, as far as the program carries it. Implemented by the connectors.
pub trait CallCheck {
    /// What is wrong with a call: unknown operation, unknown or missing members. Empty when it is right or not known here.
    fn faults(&self, service: &str, operation: &str, members: &[String]) -> Vec<String>;
}

/// Checks a compiled fix. `calls` judges AWS operations.
pub fn check(file: &str, fix: &Fix, calls: &dyn CallCheck) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    for call in fix.operations() {
        let at = format!("{}.{}", call.service, call.operation);
        for fault in calls.faults(&call.service, &call.operation, &call.members) {
            mistakes.push(Diagnostic::of(file, format!("call `{at}`: {fault}")));
        }
    }
    for missing in fix.missing_permissions() {
        let message = format!("`permissions` lacks `{missing}`, which a call of this fix needs");
        mistakes.push(Diagnostic::of(file, message).hint("add it, so that roles made from the fix suffice"));
    }
    mistakes
}
