//! What of a REST operation travels in path, query and headers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::table::{Kind, Location, Operation, Protocol, Ref, Scalar, Service};
use super::{WireRequest, json, percent, scalar_text, scalar_value, xml};

/// Fills path, query, headers and body. `input` has passed the check.
pub(super) fn encode(service: &Service, operation: &Operation, input: &Map<String, Value>, out: &mut WireRequest) {
    let (path, fixed) = operation.uri.split_once('?').unwrap_or((operation.uri, ""));
    let mut path = path.to_owned();
    let mut query: Vec<String> = fixed.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    for (name, member) in service.members(operation.input.as_ref().map_or("", |input| input.shape)) {
        let Some(value) = input.get(name) else { continue };
        let wire = member.wire(name);
        match member.location {
            Location::Uri => {
                let text = plain(service, member, value);
                path = path.replace(&format!("{{{wire}}}"), &percent(&text));
                let segments: Vec<String> = text.split('/').map(percent).collect();
                path = path.replace(&format!("{{{wire}+}}"), &segments.join("/"));
            }
            Location::Query => pairs(service, member, wire, value, &mut query),
            Location::Header => out.headers.push((wire.to_ascii_lowercase(), plain(service, member, value))),
            Location::Headers => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    out.headers.push((format!("{wire}{key}").to_ascii_lowercase(), value.as_str().unwrap_or_default().to_owned()));
                }
            }
            Location::Body | Location::Status => {}
        }
    }
    out.path = path;
    out.query = query.join("&");
    if let Some((content_type, body)) = body(service, operation, input) {
        out.headers.push(("content-type".to_owned(), content_type.to_owned()));
        out.body = body;
    }
}

/// Output members that came as headers or as the status.
pub(super) fn bound(service: &Service, shape: &str, status: u16, headers: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, member) in service.members(shape) {
        let wire = member.wire(name).to_ascii_lowercase();
        let value = match (member.location, service.kind(member.shape)) {
            (Location::Header, Kind::Scalar(scalar)) => headers.get(&wire).map(|text| scalar_value(scalar, text)),
            (Location::Headers, _) => {
                let named = headers.iter().filter_map(|(key, value)| Some((key.strip_prefix(&wire)?.to_owned(), value.clone().into())));
                Some(Value::Object(named.collect())).filter(|map| map.as_object().is_some_and(|map| !map.is_empty()))
            }
            (Location::Status, _) => Some(status.into()),
            _ => None,
        };
        out.extend(value.map(|value| (name.to_owned(), value)));
    }
    out
}

fn body(service: &Service, operation: &Operation, input: &Map<String, Value>) -> Option<(&'static str, Vec<u8>)> {
    let shape = operation.input.as_ref()?;
    let xml = service.protocol == Protocol::RestXml;
    if let Some(payload) = operation.payload {
        let member = service.members(shape.shape).find(|(name, _)| *name == payload)?.1;
        let value = input.get(payload)?;
        return Some(match service.kind(member.shape) {
            Kind::Scalar(Scalar::Blob) => ("application/octet-stream", BASE64.decode(value.as_str()?).ok()?),
            Kind::Scalar(Scalar::String) => ("text/plain", value.as_str()?.as_bytes().to_vec()),
            _ if xml => ("application/xml", xml::document(service, member, member.wire(payload), value).into_bytes()),
            _ => ("application/json", json::encode(service, member.shape, value).to_string().into_bytes()),
        });
    }
    let in_body = |(_, member): &(&str, &Ref)| member.location == Location::Body;
    if !service.members(shape.shape).any(|member| in_body(&member)) {
        return None;
    }
    if !xml {
        return Some(("application/json", Value::Object(json::encode_members(service, shape.shape, input)).to_string().into_bytes()));
    }
    let some = service.members(shape.shape).filter(in_body).any(|(name, _)| input.contains_key(name));
    let value = Value::Object(input.clone());
    some.then(|| ("application/xml", xml::document(service, shape, shape.wire(shape.shape), &value).into_bytes()))
}

fn pairs(service: &Service, member: &Ref, wire: &str, value: &Value, query: &mut Vec<String>) {
    match (service.kind(member.shape), value) {
        (Kind::List(item), Value::Array(items)) => {
            query.extend(items.iter().map(|value| format!("{}={}", percent(wire), percent(&plain(service, item, value)))));
        }
        (Kind::Map(_, item), Value::Object(object)) => {
            for (key, value) in object {
                pairs(service, item, key, value, query);
            }
        }
        _ => query.push(format!("{}={}", percent(wire), percent(&plain(service, member, value)))),
    }
}

fn plain(service: &Service, member: &Ref, value: &Value) -> String {
    match (service.kind(member.shape), value) {
        (Kind::Scalar(scalar), value) => scalar_text(scalar, value),
        (Kind::List(item), Value::Array(items)) => items.iter().map(|value| plain(service, item, value)).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}
