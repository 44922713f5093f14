//! Form bodies of the `query` and `ec2` protocols.

use serde_json::{Map, Value};

use super::table::{Kind, Operation, Protocol, Ref, Service};
use super::{percent, scalar_text};

/// `Action=…&Version=…&…`, members in the table's order.
pub(super) fn body(service: &Service, name: &str, operation: &Operation, input: &Map<String, Value>) -> String {
    let mut form =
        Form { service, pairs: vec![("Action".to_owned(), name.to_owned()), ("Version".to_owned(), service.version.to_owned())] };
    if let Some(shape) = &operation.input {
        form.structure("", shape.shape, input);
    }
    form.pairs.iter().map(|(key, value)| format!("{}={}", percent(key), percent(value))).collect::<Vec<_>>().join("&")
}

struct Form<'a> {
    service: &'a Service,
    pairs: Vec<(String, String)>,
}

impl Form<'_> {
    fn structure(&mut self, prefix: &str, shape: &str, input: &Map<String, Value>) {
        let service = self.service;
        for (name, member) in service.members(shape) {
            if let Some(value) = input.get(name) {
                self.value(&dotted(prefix, member.query.unwrap_or(name)), member, value);
            }
        }
    }

    fn value(&mut self, key: &str, used: &Ref, value: &Value) {
        match (self.service.kind(used.shape), value) {
            (Kind::Structure(_), Value::Object(object)) => self.structure(key, used.shape, object),
            (Kind::List(item), Value::Array(items)) => self.list(key, used, item, items),
            (Kind::Map(map_key, map_value), Value::Object(object)) => {
                let base = if used.flat { key.to_owned() } else { format!("{key}.entry") };
                for (at, (name, value)) in object.iter().enumerate() {
                    let at = at + 1;
                    self.pairs.push((format!("{base}.{at}.{}", map_key.wire("key")), name.clone()));
                    self.value(&format!("{base}.{at}.{}", map_value.wire("value")), map_value, value);
                }
            }
            (Kind::Scalar(scalar), value) => self.pairs.push((key.to_owned(), scalar_text(scalar, value))),
            _ => {}
        }
    }

    fn list(&mut self, key: &str, used: &Ref, item: &Ref, items: &[Value]) {
        let ec2 = self.service.protocol == Protocol::Ec2;
        if items.is_empty() && !ec2 {
            self.pairs.push((key.to_owned(), String::new()));
        }
        let base = if ec2 || used.flat { key.to_owned() } else { format!("{key}.{}", item.wire("member")) };
        for (at, value) in items.iter().enumerate() {
            self.value(&format!("{base}.{}", at + 1), item, value);
        }
    }
}

fn dotted(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
