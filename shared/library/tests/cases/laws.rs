//! What the engine relies on, whatever the case: one state has one hash; each change leads from its before to its after; the
//! undo is the changes backwards and gives the observed values back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stanch_core::fix::{Fix, UndoClass};
use stanch_core::plan::{Bindings, LateSource, Outcome, Plan, Snapshot, bind, plan, undo as undo_of};
use stanch_core::target::Target;

/// Every snapshot of one state, whatever its order and tokens, gives a plan with the same hash.
pub(super) fn hash(fix: &Fix, target: &Target, first: &Plan, snapshots: &[&Snapshot]) -> Result<(), String> {
    for (snapshot, what) in snapshots.iter().zip(["planned again", "with its lists in another order", "with other tokens"]) {
        let Ok(Outcome::Plan(again)) = plan(fix, target, &first.params, snapshot) else {
            return Err(format!("{what}: there is no plan any more"));
        };
        if again.hash() != first.hash() {
            return Err(format!("{what}: the hash is another one"));
        }
    }
    Ok(())
}

/// Every change can be bound and sent, sets what it says, and in the end the fault is gone.
pub(super) fn apply(fix: &Fix, target: &Target, plan: &Plan, read: &Snapshot, proved: bool) -> Result<(), String> {
    let given = given(plan);
    for (index, change) in plan.changes.iter().enumerate() {
        let bindings = Bindings { snapshot: read, given: &given, client_token: "token", sealed: &BTreeMap::new() };
        bind(&change.request, &change.late, bindings).map_err(|e| format!("change {}: {e}", index + 1))?;
        if let Some(find) = &change.find {
            bind(&find.request, &find.late, bindings).map_err(|e| format!("the find of change {}: {e}", index + 1))?;
        }
        let (before, after) = (state(plan.expected(index)), state(plan.expected(index + 1)));
        if !plan.is_before(index, &before) || !plan.is_after(index, &after) {
            return Err(format!("change {} does not lead from its before to its after", index + 1));
        }
        if change.sets.iter().all(|s| s.before == s.after) {
            return Err(format!("change {} ({}) sets nothing that is not so already", index + 1, change.title));
        }
    }
    let last = state(plan.expected(plan.changes.len()));
    if !plan.is_done(&last) {
        return Err("the state after all changes is not done".into());
    }
    let found = fix.is_proved(target, &plan.params, &last).map_err(|e| super::chain(&e))?;
    if found == proved {
        Ok(())
    } else {
        Err(format!("after all changes, proved is {found}: `when` or `verify` does not follow from `sets`"))
    }
}

/// The undo runs backwards and its `sets`, folded over what was left, give back what was observed.
pub(super) fn undo(fix: &Fix, target: &Target, made: &Plan, read: &Snapshot) -> Result<(), String> {
    let given = given(made);
    let left = state(made.expected(made.changes.len()));
    let all: Vec<usize> = (0..made.changes.len()).collect();
    let undo = match (undo_of(fix, made, &all, &left, &given), &made.undo) {
        (Err(_), UndoClass::Impossible(_)) => return Ok(()),
        (Ok(_), UndoClass::Impossible(_)) => return Err("an undo was planned though it is impossible".into()),
        (undo, _) => undo.map_err(|e| super::chain(&e))?,
    };
    let mut backwards = Vec::new();
    for call in made.changes.iter().rev().flat_map(|c| &c.undo) {
        let known: Vec<_> = call.late.iter().filter(|l| matches!(l.from, LateSource::Given { .. })).cloned().collect();
        let bindings = Bindings { snapshot: read, given: &given, client_token: "", sealed: &BTreeMap::new() };
        backwards.push(bind(&call.request, &known, bindings).map_err(|e| format!("an undo cannot be bound: {e}"))?);
    }
    let planned: Vec<_> = undo.changes.iter().map(|c| c.request.clone()).collect();
    if planned != backwards {
        return Err("the undo is not the changes backwards".into());
    }
    if made.undo != UndoClass::Exact {
        return Ok(());
    }
    let back = undo.expected(undo.changes.len());
    super::shown::same("the state after the undo", &made.observed.clone().into(), &back.clone().into())?;
    let mut values = read.values.clone();
    values.extend(back);
    match plan(fix, target, &made.params, &state(values)) {
        Ok(Outcome::Plan(again)) if again.hash() == made.hash() => Ok(()),
        _ => Err("the state after the undo gives another plan than before".into()),
    }
}

/// A result for each name that a change gives.
fn given(plan: &Plan) -> BTreeMap<String, Value> {
    plan.changes.iter().flat_map(|c| &c.gives).map(|(name, _)| (name.clone(), Value::from(format!("given-{name}")))).collect()
}

fn state(values: Map<String, Value>) -> Snapshot {
    Snapshot { values, ..Snapshot::default() }
}
