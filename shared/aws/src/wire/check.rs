//! Judges an operation's input against the service model before anything is sent.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::table::{Kind, Members, Operation, Scalar, Service};

/// Every fault of the input, each naming the member and what was expected.
pub(super) fn check(service: &Service, operation: &Operation, input: &Map<String, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    match operation.input.as_ref().map(|input| service.kind(input.shape)) {
        Some(Kind::Structure(members)) => structure(service, members, input, "", &mut faults),
        _ => faults.extend(input.keys().map(|name| format!("unknown member `{name}`: the operation takes no input"))),
    }
    faults
}

/// The known name closest to a mistaken one, if any is close.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let reach = (wrong.len() / 3).max(2);
    known.map(|name| (distance(&wrong, &name.to_ascii_lowercase()), name)).filter(|(d, _)| *d <= reach).min().map(|(_, name)| name)
}

fn structure(service: &Service, members: &Members, input: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
    for (name, value) in input {
        let full = join(path, name);
        match members.get(name.as_str()) {
            Some(member) => {
                if member.location == super::table::Location::Uri && matches!(value.as_str(), Some("" | "." | "..")) {
                    faults.push(format!("member `{full}` is part of the path and cannot be {value}"));
                } else {
                    check_value(service, member.shape, value, &full, faults);
                }
            }
            None => faults.push(match nearest(name, members.keys().copied()) {
                Some(known) => format!("unknown member `{full}`, did you mean `{known}`?"),
                None => format!("unknown member `{full}`"),
            }),
        }
    }
    for (name, member) in members {
        if member.required && !input.contains_key(*name) {
            faults.push(format!("required member `{}` is missing", join(path, name)));
        }
    }
}

fn check_value(service: &Service, shape: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
    match (service.kind(shape), value) {
        (Kind::Structure(members), Value::Object(object)) => structure(service, members, object, path, faults),
        (Kind::List(item), Value::Array(items)) => {
            for (at, value) in items.iter().enumerate() {
                check_value(service, item.shape, value, &format!("{path}[{at}]"), faults);
            }
        }
        (Kind::Map(_, item), Value::Object(object)) => {
            for (key, value) in object {
                check_value(service, item.shape, value, &format!("{path}.{key}"), faults);
            }
        }
        (Kind::Scalar(scalar), value) if fits(scalar, value) => {}
        (kind, value) => faults.push(format!("member `{path}` must be {}, not {}", expected(kind), found(value))),
    }
}

fn fits(scalar: Scalar, value: &Value) -> bool {
    match scalar {
        Scalar::String => value.is_string(),
        Scalar::Integer => super::integral(value).is_some(),
        Scalar::Float => value.is_number(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Blob => value.as_str().is_some_and(|text| base64::engine::general_purpose::STANDARD.decode(text).is_ok()),
        Scalar::Document => true,
        Scalar::Timestamp(_) => value.is_number() || value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
    }
}

fn expected(kind: Kind<'_>) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Map(..) => "an object",
        Kind::List(_) => "a list",
        Kind::Scalar(Scalar::String) => "text",
        Kind::Scalar(Scalar::Integer) => "a whole number",
        Kind::Scalar(Scalar::Float) => "a number",
        Kind::Scalar(Scalar::Boolean) => "true or false",
        Kind::Scalar(Scalar::Blob) => "base64 text",
        Kind::Scalar(Scalar::Document) => "JSON",
        Kind::Scalar(Scalar::Timestamp(_)) => "an RFC 3339 time or epoch seconds",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (leave the member out)",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((above + 1).min(left + 1).min(diagonal + usize::from(x != *y)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
