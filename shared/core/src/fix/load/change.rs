//! The changes of a fix file: what they send, make true, give, and how they are found again and put back.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::node::{Node, NodeKind, Place};
use super::super::{ChangeSpec, FindSpec, Repeat, Template, UndoSpec};
use super::{Code, Load};
use crate::cloud::Cloud;
use crate::expr::{Dialect, Expr};
use crate::plan::LateSource;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChange {
    title: Place<String>,
    call: Place<String>,
    #[serde(default)]
    input: Option<Node>,
    #[serde(default)]
    query: Option<Node>,
    #[serde(default)]
    headers: Option<Node>,
    #[serde(default)]
    body: Option<Node>,
    #[serde(default)]
    when: Option<Place<String>>,
    #[serde(default)]
    for_each: Option<Place<String>>,
    repeat: Repeat,
    sets: Place<Node>,
    #[serde(default)]
    gives: BTreeMap<String, Place<String>>,
    #[serde(default)]
    find: Option<Place<RawFind>>,
    #[serde(default)]
    ok: Vec<Code>,
    #[serde(default)]
    undo: Vec<Place<RawUndo>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUndo {
    #[serde(default)]
    when: Option<Place<String>>,
    call: Place<String>,
    #[serde(default)]
    input: Option<Node>,
    #[serde(default)]
    query: Option<Node>,
    #[serde(default)]
    headers: Option<Node>,
    #[serde(default)]
    body: Option<Node>,
    #[serde(default)]
    repeat: Option<Repeat>,
    #[serde(default)]
    ok: Vec<Code>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFind {
    call: Place<String>,
    #[serde(default)]
    input: Option<Node>,
    #[serde(default)]
    query: Option<Node>,
    #[serde(default)]
    headers: Option<Node>,
    #[serde(default)]
    body: Option<Node>,
    gives: BTreeMap<String, Place<String>>,
    #[serde(default)]
    absent: Vec<Code>,
}

impl Load<'_> {
    /// Every change, each seeing what the ones before it give.
    pub(super) fn changes(
        &mut self,
        cloud: Cloud,
        raw: Vec<Place<RawChange>>,
        roots: &[String],
        impossible: bool,
    ) -> Option<Vec<ChangeSpec>> {
        let mut changes: Vec<ChangeSpec> = Vec::with_capacity(raw.len());
        let mut whole = true;
        for raw in raw {
            let (line, column) = (raw.line, raw.column);
            match self.change(cloud, raw, roots, impossible) {
                Some(change) => {
                    if let Some(wrong) = wrong_result(&changes, &change) {
                        let hint = "name a result of an earlier change without `for_each`; an undo may name those of its own change";
                        self.mistake(line, column, wrong, hint);
                    }
                    changes.push(change);
                }
                None => whole = false,
            }
        }
        whole.then_some(changes)
    }

    fn change(&mut self, cloud: Cloud, raw: Place<RawChange>, roots: &[String], impossible: bool) -> Option<ChangeSpec> {
        let (line, column, raw) = (raw.line, raw.column, raw.value);
        let outer = Dialect::fix(roots.iter().cloned());
        let for_each = raw.for_each.as_ref().map(|e| self.expr(e, &outer));
        let mut inner = roots.to_vec();
        if for_each.is_some() {
            inner.push("item".to_owned());
        }
        let dialect = Dialect::fix(inner);
        let title = self.template_text(&raw.title, &dialect);
        let call = self.call(cloud, &raw.call, raw.input.as_ref(), raw.query.as_ref(), raw.headers.as_ref(), raw.body.as_ref(), &dialect);
        let when = raw.when.as_ref().map(|e| self.expr(e, &dialect));
        let sets = self.sets(raw.sets, roots, &dialect);
        let gives = self.gives(&raw.gives);
        let find = raw.find.map(|find| self.find(cloud, find, &raw.gives, &dialect));
        if !raw.gives.is_empty() && find.is_none() && raw.repeat == Repeat::Conditional {
            self.mistake(
                line,
                column,
                "this change gives results, is `repeat: conditional`, and has no `find`",
                "declare the read that finds what it made, or say `repeat: never`: without its answer a person is called",
            );
        }
        if raw.undo.is_empty() && !impossible {
            self.mistake(
                line,
                column,
                "this change has no `undo`",
                "declare the call that puts it back, or `undo: {impossible: why}` for the fix",
            );
        }
        let undo = raw
            .undo
            .into_iter()
            .map(|u| {
                let u = u.value;
                let when = u.when.as_ref().map(|e| self.expr(e, &dialect));
                let call = self.call(cloud, &u.call, u.input.as_ref(), u.query.as_ref(), u.headers.as_ref(), u.body.as_ref(), &dialect);
                Some(UndoSpec {
                    when: when.map_or(Some(None), |w| w.map(Some))?,
                    call: call?,
                    repeat: u.repeat.unwrap_or(raw.repeat),
                    ok: u.ok.into_iter().map(Code::text).collect(),
                })
            })
            .collect::<Option<Vec<_>>>();
        Some(ChangeSpec {
            title: title?,
            call: call?,
            when: when.map_or(Some(None), |w| w.map(Some))?,
            for_each: for_each.map_or(Some(None), |w| w.map(Some))?,
            repeat: raw.repeat,
            sets: sets?,
            gives,
            find: find.map_or(Some(None), |f| f.map(Some))?,
            ok: raw.ok.into_iter().map(Code::text).collect(),
            undo: undo?,
        })
    }

    fn gives(&mut self, raw: &BTreeMap<String, Place<String>>) -> Vec<(String, Expr)> {
        let dialect = Dialect::fix(["response".to_owned(), "header".to_owned()]);
        raw.iter().filter_map(|(name, e)| self.expr(e, &dialect).map(|e| (name.clone(), e))).collect()
    }

    fn find(&mut self, cloud: Cloud, raw: Place<RawFind>, given: &BTreeMap<String, Place<String>>, dialect: &Dialect) -> Option<FindSpec> {
        let (line, column, raw) = (raw.line, raw.column, raw.value);
        if given.is_empty() || !raw.gives.keys().eq(given.keys()) {
            let names = given.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let hint = if names.is_empty() { "the change has no `gives`".to_owned() } else { format!("give {names}") };
            self.mistake(line, column, "`find` must give the results of its change, each and no others", &hint);
        }
        let call = self.call(cloud, &raw.call, raw.input.as_ref(), raw.query.as_ref(), raw.headers.as_ref(), raw.body.as_ref(), dialect)?;
        if !call.is_read() {
            self.mistake(raw.call.line, raw.call.column, "`find` changes something", "name a call that only reads");
        }
        Some(FindSpec { call, gives: self.gives(&raw.gives), absent: raw.absent.into_iter().map(Code::text).collect() })
    }

    fn sets(&mut self, raw: Place<Node>, roots: &[String], dialect: &Dialect) -> Option<Vec<(String, Template)>> {
        let (line, column) = (raw.line, raw.column);
        let NodeKind::Map(members) = raw.value.kind else {
            self.mistake(line, column, "`sets` is no map", "write what the change makes true, as in `options.HttpTokens: required`");
            return None;
        };
        let mut sets = Vec::new();
        for (path, node) in members {
            let root = path.split('.').next().unwrap_or_default();
            if !roots.iter().skip(2).any(|r| r == root) {
                let near = crate::expr::nearest(root, roots.iter().skip(2).map(String::as_str));
                let hint = near.map_or_else(|| "name one of the observed values".to_owned(), |n| format!("did you mean `{n}`?"));
                self.mistake(node.line, node.column, format!("`sets` names `{root}`, which is not observed"), &hint);
                continue;
            }
            match Template::compile(&node, dialect) {
                Ok(template) => sets.push((path, template)),
                Err(e) => self.mistake(e.line, e.column, e.message, ""),
            }
        }
        if sets.is_empty() {
            self.mistake(line, column, "`sets` is empty", "say which observed values the change makes true; it is the diff people see");
            return None;
        }
        Some(sets)
    }
}

/// A result that a change names and nobody gives, or that two changes give.
fn wrong_result(before: &[ChangeSpec], change: &ChangeSpec) -> Option<String> {
    // One for each item is nothing a later change could mean.
    let single = |name: &str| before.iter().any(|c| c.for_each.is_none() && c.gives.iter().any(|(given, _)| given == name));
    let own = |name: &str| change.gives.iter().any(|(given, _)| given == name);
    if let Some((name, _)) = change.gives.iter().find(|(name, _)| before.iter().any(|c| c.gives.iter().any(|(given, _)| given == name))) {
        return Some(format!("an earlier change gives `{name}` already"));
    }
    let sent = [Some(&change.call), change.find.as_ref().map(|f| &f.call)].into_iter().flatten().map(|call| (call, false));
    let undone = change.undo.iter().map(|u| (&u.call, true));
    sent.chain(undone).flat_map(|(call, undo)| call.late().into_iter().map(move |late| (late, undo))).find_map(|(late, undo)| match late {
        LateSource::Given { name } if !(single(name) || (undo && own(name))) => Some(format!("nothing that is known here gives `{name}`")),
        _ => None,
    })
}
