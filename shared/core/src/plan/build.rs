//! From what was observed to a plan, and from a plan to its undo. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Change, FieldChange, FindCall, Late, LateSource, PLAN_FORMAT, Plan, PlanError, PlanKind, Snapshot, UndoCall, get, put};
use crate::expr::{Expr, ExprError};
use crate::fix::{Activity, ChangeSpec, Fix, UndoClass, mistake, present};
use crate::target::Target;

/// What planning found.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The fault is there; this would close it.
    Plan(Box<Plan>),
    /// The live state is right already.
    Compliant,
}

/// Plans a fix on what was observed.
pub fn plan(fix: &Fix, target: &Target, params: &Map<String, Value>, snapshot: &Snapshot) -> Result<Outcome, PlanError> {
    let param = Value::Object(params.clone());
    let fault = fix.when.test(&Fix::scope(target, &param, &snapshot.values)).map_err(|e| fix.error("when", e))?;
    if !fault {
        return Ok(Outcome::Compliant);
    }
    let mut builder = Builder { fix, target, param: &param, values: snapshot.values.clone(), changes: Vec::new() };
    for spec in &fix.changes {
        builder.spec(spec)?;
    }
    if builder.changes.is_empty() {
        return Err(PlanError::NothingToChange { fix: fix.name.clone() });
    }
    let changes = builder.changes;
    Ok(Outcome::Plan(Box::new(Plan {
        format: PLAN_FORMAT,
        kind: PlanKind::Fix,
        fix: fix.name.clone(),
        title: fix.title.clone(),
        fix_digest: fix.digest.clone(),
        activity: fix.activity,
        undo: fix.undo.clone(),
        disruption: fix.disruption,
        evidence: fix.evidence.clone(),
        params: params.clone(),
        cloud: target.cloud,
        account: target.account.clone(),
        region: target.region.clone(),
        resource: target.uid.clone(),
        observed: stable(fix, &snapshot.values),
        changes,
        expires_after_ms: fix.expires_after_ms,
    })))
}

/// The plan that puts back the `applied` changes (by index) of `plan`, last first, from the state `left`.
pub fn undo(fix: &Fix, plan: &Plan, applied: &[usize], left: &Snapshot, given: &BTreeMap<String, Value>) -> Result<Plan, PlanError> {
    if let UndoClass::Impossible(why) = &plan.undo {
        return Err(PlanError::Impossible { fix: plan.fix.clone(), why: why.clone() });
    }
    let mut changes = Vec::new();
    let mut order: Vec<usize> = applied.to_vec();
    order.sort_unstable();
    for (change, _) in order.iter().rev().filter_map(|i| plan.changes.get(*i).map(|c| (c, i))) {
        let last = change.undo.len();
        for (at, call) in change.undo.iter().enumerate() {
            let (request, late) = settle_given(call, given)?;
            let sets = if at + 1 == last {
                change.sets.iter().map(|s| FieldChange { path: s.path.clone(), before: s.after.clone(), after: s.before.clone() }).collect()
            } else {
                Vec::new()
            };
            changes.push(Change {
                title: format!("put back: {}", change.title),
                request,
                late,
                repeat: call.repeat,
                sets,
                gives: Vec::new(),
                find: None,
                ok: call.ok.clone(),
                undo: Vec::new(),
            });
        }
    }
    Ok(Plan {
        format: PLAN_FORMAT,
        kind: PlanKind::Undo(plan.hash()),
        activity: Activity::Restore,
        observed: stable(fix, &left.values),
        changes,
        expires_after_ms: None,
        ..plan.clone()
    })
}

/// A result the fix's own changes gave is known by now: the undo plan shows the value, not the reference.
fn settle_given(call: &UndoCall, given: &BTreeMap<String, Value>) -> Result<(crate::api::ApiRequest, Vec<Late>), PlanError> {
    let (known, open): (Vec<Late>, Vec<Late>) = call.late.iter().cloned().partition(|l| matches!(l.from, LateSource::Given { .. }));
    let nothing = Snapshot::default();
    let bindings = super::Bindings { snapshot: &nothing, given, client_token: "", sealed: &BTreeMap::new() };
    Ok((super::bind(&call.request, &known, bindings)?, open))
}

fn stable(fix: &Fix, values: &Map<String, Value>) -> Map<String, Value> {
    let volatile = |name: &str| fix.observe.iter().any(|o| o.name == name && o.volatile);
    values.iter().filter(|(name, _)| !volatile(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

struct Builder<'b> {
    fix: &'b Fix,
    target: &'b Target,
    param: &'b Value,
    /// The state before the change at hand: what was observed, with the changes so far done.
    values: Map<String, Value>,
    changes: Vec<Change>,
}

impl Builder<'_> {
    fn spec(&mut self, spec: &ChangeSpec) -> Result<(), PlanError> {
        let Some(for_each) = &spec.for_each else { return self.change(spec, None) };
        let list = for_each.eval(&Fix::scope(self.target, self.param, &self.values)).map_err(|e| self.error(e))?;
        match list {
            Value::Array(items) => items.iter().enumerate().try_for_each(|item| self.change(spec, Some(item))),
            Value::Null => Ok(()),
            _ => Err(self.error(mistake(for_each.source(), "`for_each` must give a list"))),
        }
    }

    /// Adds one change; with `for_each`, that of the item at this place of the list.
    fn change(&mut self, spec: &ChangeSpec, item: Option<(usize, &Value)>) -> Result<(), PlanError> {
        let values = self.values.clone();
        let mut scope = Fix::scope(self.target, self.param, &values);
        if let Some((_, item)) = item {
            scope = scope.json("item", item);
        }
        // Each item has results of its own.
        let own = |name: &str| item.map_or_else(|| name.to_owned(), |(at, _)| format!("{name}[{at}]"));
        let named = |gives: &[(String, Expr)]| gives.iter().map(|(name, expr)| (own(name), expr.source().to_owned())).collect::<Vec<_>>();
        if let Some(when) = &spec.when
            && !when.test(&scope).map_err(|e| self.error(e))?
        {
            return Ok(());
        }
        let none = &mut Vec::new();
        let title = match spec.title.eval(&scope, "", none).map_err(|e| self.error(e))? {
            Some(Value::String(text)) => text,
            other => other.unwrap_or_default().to_string(),
        };
        let (request, late) = spec.call.eval(self.target, &scope).map_err(|e| self.error(e))?;
        let mut sets = Vec::with_capacity(spec.sets.len());
        for (path, template) in &spec.sets {
            let after = template.eval(&scope, "", none).map_err(|e| self.error(e))?.and_then(present).unwrap_or(Value::Null);
            sets.push(FieldChange { path: path.clone(), before: get(&self.values, path).clone(), after });
        }
        let mut undo = Vec::new();
        for call in &spec.undo {
            if let Some(when) = &call.when
                && !when.test(&scope).map_err(|e| self.error(e))?
            {
                continue;
            }
            let (request, mut late) = call.call.eval(self.target, &scope).map_err(|e| self.error(e))?;
            for part in &mut late {
                if let LateSource::Given { name } = &mut part.from
                    && spec.gives.iter().any(|(given, _)| given == name)
                {
                    *name = own(name);
                }
            }
            undo.push(UndoCall { request, late, repeat: call.repeat, ok: call.ok.clone() });
        }
        if undo.is_empty() && !matches!(self.fix.undo, UndoClass::Impossible(_)) {
            return Err(PlanError::NoUndo { fix: self.fix.name.clone(), change: title });
        }
        let find = match &spec.find {
            Some(find) => {
                let (request, late) = find.call.eval(self.target, &scope).map_err(|e| self.error(e))?;
                Some(FindCall { request, late, gives: named(&find.gives), absent: find.absent.clone() })
            }
            None => None,
        };
        for set in &sets {
            put(&mut self.values, &set.path, &set.after);
        }
        let gives = named(&spec.gives);
        self.changes.push(Change { title, request, late, repeat: spec.repeat, sets, gives, find, ok: spec.ok.clone(), undo });
        Ok(())
    }

    fn error(&self, source: ExprError) -> PlanError {
        self.fix.error("change", source)
    }
}
