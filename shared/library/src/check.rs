//! Checks of a fix beyond its own syntax: the calls exist, their members are spelt as the vendor spells them, permissions
//! cover the calls.

use stanch_core::diagnostic::Diagnostic;
use stanch_core::fix::Fix;

use crate::controls::{IdKind, of_id};

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
    // A fix without a control closes what it is named for; one with another than its ids have would split one fault in two.
    for (trigger, control) in fix.control.as_deref().into_iter().flat_map(|own| strays(fix, own)) {
        let message = format!("`{trigger}` is control `{control}`, not `{}`", fix.control.as_deref().unwrap_or_default());
        mistakes.push(Diagnostic::of(file, message).hint("name the fix's control so, or take the id off `remediates`"));
    }
    mistakes
}

/// The ids of `remediates` that the equivalence map has under a control which `own` neither is nor contains.
fn strays<'f>(fix: &'f Fix, own: &'f str) -> impl Iterator<Item = (&'f str, &'static str)> {
    let known = fix.remediates.iter().filter_map(|trigger| {
        let (column, id) = trigger.split_once('/')?;
        let kind = IdKind::ALL.into_iter().find(|kind| kind.column() == column)?;
        Some((trigger.as_str(), of_id(kind, fix.cloud, id)?))
    });
    known.filter(move |(_, control)| control.strip_prefix(own).is_none_or(|rest| !(rest.is_empty() || rest.starts_with('.'))))
}
