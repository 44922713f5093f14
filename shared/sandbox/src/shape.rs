//! Closed descriptions of what a request may hold, so that a misspelt member is refused as the vendor would refuse it.

use serde_json::{Map, Value};

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// Accepted and left out of what is stored: members a GET shows and a PUT may repeat.
    ReadOnly,
    Text,
    Bool,
    Int,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// These members and no others; a `*` at the end of a name means required.
    Object(&'static [(&'static str, Shape)]),
    /// Text by any name (tags, labels).
    Texts,
}

/// What `null` means to a vendor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    /// The same as leaving the member out.
    Absent,
    /// A mistake.
    Wrong,
}

impl Shape {
    /// The first fault of a value, naming the member and what was expected.
    pub(crate) fn problem(&self, value: &Value, path: &str, null: Null) -> Option<String> {
        let expected = |what: &str| Some(format!("`{path}` must be {what}, not {value}"));
        match (self, value) {
            (Shape::Any | Shape::ReadOnly, _) | (Shape::Text, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => None,
            (_, Value::Null) if null == Null::Absent => None,
            (Shape::Int, Value::Number(n)) if n.is_i64() || n.is_u64() => None,
            (Shape::Text, _) => expected("text"),
            (Shape::Bool, _) => expected("true or false"),
            (Shape::Int, _) => expected("a whole number"),
            (Shape::OneOf(texts), _) => {
                let known = value.as_str().is_some_and(|text| texts.contains(&text));
                if known { None } else { expected(&format!("one of {}", texts.join(", "))) }
            }
            (Shape::List(item), Value::Array(items)) => {
                items.iter().enumerate().find_map(|(at, value)| item.problem(value, &format!("{path}[{at}]"), null))
            }
            (Shape::List(_), _) => expected("a list"),
            (Shape::Object(members), Value::Object(given)) => object(members, given, path, null),
            (Shape::Texts, Value::Object(given)) => {
                given.iter().find(|(_, v)| !v.is_string() && !v.is_null()).map(|(name, v)| format!("`{path}.{name}` must be text, not {v}"))
            }
            (Shape::Object(_) | Shape::Texts, _) => expected("an object"),
        }
    }

    /// A checked value without its read-only members and without nulls.
    pub(crate) fn writable(&self, value: &Value) -> Value {
        match (self, value) {
            (Shape::Object(members), Value::Object(given)) => {
                let kept = given.iter().filter(|(_, v)| !v.is_null()).filter_map(|(name, v)| match find(members, name)? {
                    (_, Shape::ReadOnly) => None,
                    (_, shape) => Some((name.clone(), shape.writable(v))),
                });
                Value::Object(kept.collect())
            }
            (Shape::List(item), Value::Array(items)) => items.iter().map(|v| item.writable(v)).collect(),
            _ => value.clone(),
        }
    }
}

fn object(members: &'static [(&'static str, Shape)], given: &Map<String, Value>, path: &str, null: Null) -> Option<String> {
    let full = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, value) in given {
        match find(members, name) {
            Some((_, shape)) => {
                if let Some(problem) = shape.problem(value, &full(name), null) {
                    return Some(problem);
                }
            }
            None => return Some(format!("`{}` is no member this call takes (or one the sandbox does not simulate)", full(name))),
        }
    }
    let missing = members.iter().filter_map(|(name, _)| name.strip_suffix('*')).find(|name| given.get(*name).is_none_or(Value::is_null))?;
    Some(format!("`{}` is required", full(missing)))
}

fn find(members: &'static [(&'static str, Shape)], name: &str) -> Option<(&'static str, Shape)> {
    members.iter().map(|(known, shape)| (known.trim_end_matches('*'), *shape)).find(|(known, _)| *known == name)
}
