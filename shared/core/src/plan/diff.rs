//! Before and after, field by field.

use serde_json::Value;

/// One field that changes. `None` is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDiff {
    /// Dotted path; list elements carry no index, since lists are compared as sets of elements.
    pub path: String,
    /// Before.
    pub before: Option<Value>,
    /// After.
    pub after: Option<Value>,
}

/// The leaves that differ. Objects are taken apart; of lists, elements that left or came are shown.
pub fn fields(path: &str, before: &Value, after: &Value) -> Vec<FieldDiff> {
    let mut all = Vec::new();
    walk(path, before, after, &mut all);
    all
}

fn walk(path: &str, before: &Value, after: &Value, all: &mut Vec<FieldDiff>) {
    match (before, after) {
        (a, b) if a == b => {}
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let sub = format!("{path}.{key}");
                walk(&sub, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), all);
            }
        }
        (Value::Object(a), Value::Null) if !a.is_empty() => {
            for (key, value) in a {
                walk(&format!("{path}.{key}"), value, &Value::Null, all);
            }
        }
        (Value::Null, Value::Object(b)) if !b.is_empty() => {
            for (key, value) in b {
                walk(&format!("{path}.{key}"), &Value::Null, value, all);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for gone in a.iter().filter(|v| !b.contains(v)) {
                all.push(FieldDiff { path: format!("{path}[]"), before: Some(gone.clone()), after: None });
            }
            for new in b.iter().filter(|v| !a.contains(v)) {
                all.push(FieldDiff { path: format!("{path}[]"), before: None, after: Some(new.clone()) });
            }
        }
        (a, b) => all.push(FieldDiff {
            path: path.to_owned(),
            before: (!a.is_null()).then(|| a.clone()),
            after: (!b.is_null()).then(|| b.clone()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_and_list_elements_are_shown_and_equal_parts_are_not() {
        let shown = |a: Value, b: Value| -> Vec<(String, Option<Value>, Option<Value>)> {
            fields("x", &a, &b).into_iter().map(|d| (d.path, d.before, d.after)).collect()
        };
        assert_eq!(shown(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3})), [("x.b".into(), Some(json!(2)), Some(json!(3)))]);
        assert_eq!(shown(json!(null), json!({"a": true})), [("x.a".into(), None, Some(json!(true)))]);
        assert_eq!(shown(json!([1, 2]), json!([2])), [("x[]".into(), Some(json!(1)), None)]);
    }
}
