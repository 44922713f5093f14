//! XML bodies: a small tree for reading, and writing and reading by shape.

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::table::{Kind, Location, Ref, Service};
use super::{scalar_text, scalar_value};

/// Deeper nesting is no answer of AWS; it bounds the recursion of the readers.
const MAX_DEPTH: usize = 64;

/// An element: local name, attributes, children, text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Node>,
    pub(super) text: String,
}

impl Node {
    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name.
    pub(super) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

/// Parses a document and gives its root.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Node> = Vec::new();
    loop {
        let event = reader.read_event().map_err(|e| format!("not XML at byte {}: {e}", reader.error_position()))?;
        let closed = match event {
            Event::Start(start) if open.len() < MAX_DEPTH => {
                open.push(node(&start)?);
                continue;
            }
            Event::Start(_) => return Err(format!("XML nested deeper than {MAX_DEPTH}")),
            Event::Empty(start) => node(&start)?,
            Event::End(_) => match open.pop() {
                Some(node) => node,
                None => return Err("an end tag without its start".to_owned()),
            },
            Event::Text(text) => {
                append(&mut open, &text.xml10_content().map_err(|e| e.to_string())?);
                continue;
            }
            Event::CData(text) => {
                append(&mut open, &text.xml10_content().map_err(|e| e.to_string())?);
                continue;
            }
            Event::GeneralRef(entity) => {
                let character = entity.resolve_char_ref().map_err(|e| e.to_string())?;
                let name = entity.decode().map_err(|e| e.to_string())?;
                match (character, resolve_predefined_entity(&name)) {
                    (Some(character), _) => append(&mut open, character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => append(&mut open, text),
                    (None, None) => return Err(format!("unknown entity `{name}`")),
                }
                continue;
            }
            Event::Eof => return Err("the document ends early".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

/// Reads a value of a shape out of an element.
pub(super) fn decode(service: &Service, used: &Ref, node: &Node) -> Value {
    match service.kind(used.shape) {
        Kind::Structure(_) => Value::Object(decode_members(service, used.shape, node)),
        Kind::List(item) => node.children.iter().map(|child| decode(service, item, child)).collect(),
        Kind::Map(key, value) => entries(service, key, value, node.children.iter()),
        Kind::Scalar(scalar) => scalar_value(scalar, &node.text),
    }
}

/// Reads the members of a structure that travel in the body; absent elements stay absent.
pub(super) fn decode_members(service: &Service, shape: &str, node: &Node) -> Map<String, Value> {
    let body = service.members(shape).filter(|(_, member)| member.location == Location::Body);
    body.filter_map(|(name, member)| Some((name.to_owned(), decode_member(service, member, member.wire(name), node)?))).collect()
}

/// A whole document whose root is `root`.
pub(super) fn document(service: &Service, used: &Ref, root: &str, value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, service, used, root, value);
    out
}

fn node(start: &BytesStart<'_>) -> Result<Node, String> {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "a name that is not UTF-8".to_owned());
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| e.to_string())?;
        attributes.push((utf8(attribute.key.as_ref())?, value.into_owned()));
    }
    Ok(Node { name: utf8(start.local_name().as_ref())?, attributes, ..Node::default() })
}

fn append(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

fn decode_member(service: &Service, member: &Ref, wire: &str, node: &Node) -> Option<Value> {
    if member.attr {
        let (_, text) = node.attributes.iter().find(|(name, _)| name == wire)?;
        return Some(Value::String(text.clone()));
    }
    let mut same = node.children.iter().filter(|child| child.name == wire).peekable();
    let first = *same.peek()?;
    Some(match (member.flat, service.kind(member.shape)) {
        (true, Kind::List(item)) => same.map(|child| decode(service, item, child)).collect(),
        (true, Kind::Map(key, value)) => entries(service, key, value, same),
        _ => decode(service, member, first),
    })
}

fn entries<'n>(service: &Service, key: &Ref, value: &Ref, nodes: impl Iterator<Item = &'n Node>) -> Value {
    let entry = |node: &Node| {
        let name = node.child_text(key.wire("key"))?.to_owned();
        Some((name, decode(service, value, node.child(value.wire("value"))?)))
    };
    nodes.filter_map(entry).collect()
}

fn write(out: &mut String, service: &Service, used: &Ref, name: &str, value: &Value) {
    match (service.kind(used.shape), value) {
        (Kind::Structure(members), Value::Object(object)) => {
            open(out, used, name);
            for (member_name, member) in members.iter().filter(|(_, member)| member.attr) {
                if let Some(text) = object.get(*member_name).and_then(Value::as_str) {
                    out.push_str(&format!(" {}=\"{}\"", member.wire(member_name), escape(text)));
                }
            }
            out.push('>');
            for (member_name, member) in members.iter().filter(|(_, member)| !member.attr && member.location == Location::Body) {
                if let Some(value) = object.get(*member_name) {
                    write(out, service, member, member.wire(member_name), value);
                }
            }
            close(out, name);
        }
        (Kind::List(item), Value::Array(items)) if used.flat => {
            for value in items {
                write(out, service, item, name, value);
            }
        }
        (Kind::List(item), Value::Array(items)) => {
            open(out, used, name);
            out.push('>');
            for value in items {
                write(out, service, item, item.wire("member"), value);
            }
            close(out, name);
        }
        (Kind::Map(key, item), Value::Object(object)) => {
            for (entry, value) in object {
                out.push_str(&format!("<{name}><{0}>{1}</{0}>", key.wire("key"), escape(entry.as_str())));
                write(out, service, item, item.wire("value"), value);
                close(out, name);
            }
        }
        (Kind::Scalar(scalar), value) => {
            open(out, used, name);
            out.push('>');
            out.push_str(&escape(scalar_text(scalar, value)));
            close(out, name);
        }
        _ => {}
    }
}

fn open(out: &mut String, used: &Ref, name: &str) {
    out.push_str(&format!("<{name}"));
    if let Some(uri) = used.ns {
        let colon = if used.prefix.is_some() { ":" } else { "" };
        out.push_str(&format!(" xmlns{colon}{}=\"{uri}\"", used.prefix.unwrap_or_default()));
    }
}

fn close(out: &mut String, name: &str) {
    out.push_str(&format!("</{name}>"));
}
