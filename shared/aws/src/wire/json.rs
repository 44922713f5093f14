//! JSON bodies, both ways: members are renamed by the shape, values keep the types the service gave them.

use serde_json::{Map, Number, Value};

use super::table::{Kind, Location, Scalar, Service};
use super::{integral, timestamp};

/// A value as the service wants it.
pub(super) fn encode(service: &Service, shape: &str, value: &Value) -> Value {
    match (service.kind(shape), value) {
        (Kind::Structure(_), Value::Object(object)) => Value::Object(encode_members(service, shape, object)),
        (Kind::List(item), Value::Array(items)) => items.iter().map(|value| encode(service, item.shape, value)).collect(),
        (Kind::Map(_, item), Value::Object(object)) => {
            object.iter().map(|(key, value)| (key.clone(), encode(service, item.shape, value))).collect()
        }
        (Kind::Scalar(Scalar::Integer), value) => integral(value).map_or_else(|| value.clone(), |n| Value::Number(Number::from(n))),
        (Kind::Scalar(Scalar::Timestamp(format)), value) => timestamp(format, value),
        _ => value.clone(),
    }
}

/// The members of a structure that travel in the body.
pub(super) fn encode_members(service: &Service, shape: &str, input: &Map<String, Value>) -> Map<String, Value> {
    let body = service.members(shape).filter(|(_, member)| member.location == Location::Body);
    body.filter_map(|(name, member)| Some((member.wire(name).to_owned(), encode(service, member.shape, input.get(name)?)))).collect()
}

/// A value of an answer under the model's names. What the model does not know, and `null`, is left out.
pub(super) fn decode(service: &Service, shape: &str, value: Value) -> Value {
    match (service.kind(shape), value) {
        (Kind::Structure(_), Value::Object(mut object)) => {
            let body = service.members(shape).filter(|(_, member)| member.location == Location::Body);
            body.filter_map(|(name, member)| {
                let value = object.remove(member.wire(name)).filter(|value| !value.is_null())?;
                Some((name.to_owned(), decode(service, member.shape, value)))
            })
            .collect()
        }
        (Kind::List(item), Value::Array(items)) => items.into_iter().map(|value| decode(service, item.shape, value)).collect(),
        (Kind::Map(_, item), Value::Object(object)) => {
            object.into_iter().map(|(key, value)| (key, decode(service, item.shape, value))).collect()
        }
        (_, value) => value,
    }
}
