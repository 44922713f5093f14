//! A plan as a case writes it, and the comparison people can read.

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiCall, ApiRequest};
use stanch_core::plan::{Change, FieldDiff, Late, Plan};

/// Compares a plan with the changes and the diff a case expects.
pub(super) fn compare(plan: &Plan, changes: &[Value], diff: &[String]) -> Result<(), String> {
    let titled = |i: usize| changes.get(i).is_some_and(|c| c.get("title").is_some());
    let found: Vec<Value> = plan.changes.iter().enumerate().map(|(i, c)| change(c, titled(i))).collect();
    let found = json!({"changes": found, "diff": plan.diff().iter().map(line).collect::<Vec<_>>()});
    same("the plan", &json!({"changes": changes, "diff": diff}), &found)
}

/// Says in which lines two values differ, both written as YAML.
pub(super) fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (yaml(expected), yaml(found));
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a.iter().rev().zip(b.iter().rev()).take(a.len().min(b.len()) - head).take_while(|(x, y)| x == y).count();
    let mut text = format!("{what} is not as expected (- expected, + found):");
    let around = 4;
    let from = head.saturating_sub(around);
    a[from..head].iter().for_each(|l| text.push_str(&format!("\n    {l}")));
    a[head..a.len() - tail].iter().for_each(|l| text.push_str(&format!("\n  - {l}")));
    b[head..b.len() - tail].iter().for_each(|l| text.push_str(&format!("\n  + {l}")));
    b[b.len() - tail..].iter().take(around).for_each(|l| text.push_str(&format!("\n    {l}")));
    Err(text)
}

/// A request with only the parts it has.
pub(super) fn request(request: &ApiRequest, late: &[Late]) -> Value {
    let mut shown = Map::new();
    shown.insert("call".into(), request.name().into());
    let mut put = |name: &str, value: Value| {
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if !empty {
            shown.insert(name.into(), value);
        }
    };
    match &request.call {
        ApiCall::Operation { input, .. } => put("input", input.clone().into()),
        ApiCall::Http(http) => {
            put("query", json!(http.query));
            put("headers", json!(http.headers));
            put("body", http.body.clone().unwrap_or_default());
        }
    }
    if !late.is_empty() {
        let parts: Vec<String> = late.iter().map(|l| format!("{} {}", l.at, l.from.shown())).collect();
        shown.insert("late".into(), json!(parts));
    }
    shown.into()
}

fn change(change: &Change, titled: bool) -> Value {
    let mut shown = request(&change.request, &change.late);
    if titled {
        shown["title"] = change.title.clone().into();
    }
    if let Some(find) = &change.find {
        shown["find"] = request(&find.request, &find.late);
    }
    if !change.undo.is_empty() {
        shown["undo"] = change.undo.iter().map(|u| request(&u.request, &u.late)).collect();
    }
    shown
}

fn line(diff: &FieldDiff) -> String {
    let side = |value: &Option<Value>| match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    format!("{}: {} -> {}", diff.path, side(&diff.before), side(&diff.after))
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}
