//! Inputs of calls: YAML in which `${…}` is CEL.
//!
//! A lone `${…}` keeps the type of its value, and a value that is absent leaves its member out. Inside longer text the value
//! becomes text. `${token.…}`, `${given.…}` and `${client_token}` are not known when a plan is made: they stay references in
//! the plan (and in its hash) and are bound just before the call is sent.

use serde_json::{Map, Value};

use super::node::{Node, NodeKind};
use crate::expr::{Dialect, Expr, ExprError, Scope};
use crate::plan::{Late, LateSource, SEALED};

/// A compiled input.
#[derive(Clone, Debug)]
pub(crate) enum Template {
    Literal(Value),
    Lone(Expr),
    Late(LateSource),
    Text(Vec<Part>),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Literal(String),
    Expr(Expr),
}

/// A mistake in a template and where.
pub(crate) struct TemplateError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Template {
    /// Compiles a YAML node.
    pub(crate) fn compile(node: &Node, dialect: &Dialect) -> Result<Template, TemplateError> {
        let error = |message: String| TemplateError { line: node.line, column: node.column, message };
        Ok(match &node.kind {
            NodeKind::Scalar(Value::String(text)) => Template::text(text, dialect).map_err(error)?,
            NodeKind::Scalar(value) => Template::Literal(value.clone()),
            NodeKind::List(items) => Template::List(items.iter().map(|n| Template::compile(n, dialect)).collect::<Result<_, _>>()?),
            NodeKind::Map(members) => {
                Template::Map(members.iter().map(|(k, n)| Template::compile(n, dialect).map(|t| (k.clone(), t))).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Compiles one text.
    pub(crate) fn text(text: &str, dialect: &Dialect) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (head, tail) = rest.split_at(at);
            if !head.is_empty() {
                parts.push(Part::Literal(head.to_owned()));
            }
            let tail = tail.get(2..).unwrap_or_default();
            let end = closing_brace(tail).ok_or_else(|| format!("`${{` without its `}}` in `{text}`"))?;
            let (source, after) = tail.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if let Some(late) = late(source.trim())? {
                if head.is_empty() && rest.is_empty() && parts.is_empty() {
                    return Ok(Template::Late(late));
                }
                return Err(format!("`${{{source}}}` is bound when the call is sent and must stand alone, not inside longer text"));
            }
            parts.push(Part::Expr(Expr::compile(source.trim(), dialect).map_err(|e| e.to_string())?));
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(match parts.as_slice() {
            [] => Template::Literal(Value::String(String::new())),
            [Part::Literal(text)] => Template::Literal(text.clone().into()),
            [Part::Expr(expr)] => Template::Lone(expr.clone()),
            _ => Template::Text(parts),
        })
    }

    /// Evaluates to a value; references that stay open are added to `late` under the JSON pointer `at`. `None`: absent.
    pub(crate) fn eval(&self, scope: &Scope<'_>, at: &str, late: &mut Vec<Late>) -> Result<Option<Value>, ExprError> {
        Ok(match self {
            Template::Literal(value) => Some(value.clone()),
            Template::Lone(expr) => present(expr.eval(scope)?).map(|value| seal_references(value, at, late)),
            Template::Late(from) => {
                late.push(Late { at: at.to_owned(), from: from.clone() });
                Some(Value::Null)
            }
            Template::Text(parts) => Some(text_of(parts, scope)?.into()),
            Template::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let pointer = format!("{at}/{}", list.len());
                    list.extend(item.eval(scope, &pointer, late)?);
                }
                Some(list.into())
            }
            Template::Map(members) => {
                let mut map = Map::new();
                for (key, member) in members {
                    let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    if let Some(value) = member.eval(scope, &pointer, late)? {
                        map.insert(key.clone(), value);
                    }
                }
                Some(map.into())
            }
        })
    }

    /// Adds what stays open until the call is sent.
    pub(crate) fn late<'t>(&'t self, open: &mut Vec<&'t LateSource>) {
        match self {
            Template::Late(from) => open.push(from),
            Template::List(items) => items.iter().for_each(|item| item.late(open)),
            Template::Map(members) => members.iter().for_each(|(_, member)| member.late(open)),
            Template::Literal(_) | Template::Lone(_) | Template::Text(_) => {}
        }
    }

    /// Evaluates to text for a URL path. Values are percent-encoded, slashes included, unless they are the resource's own
    /// path (`resource.uid`, `resource.path`): nothing read from a cloud can leave its segment.
    pub(crate) fn eval_path(&self, scope: &Scope<'_>) -> Result<String, ExprError> {
        let parts = match self {
            Template::Literal(Value::String(text)) => return Ok(text.clone()),
            Template::Lone(expr) => &[Part::Expr(expr.clone())],
            Template::Text(parts) => parts.as_slice(),
            _ => return Err(super::mistake("", "a path must be text")),
        };
        let mut path = String::new();
        for part in parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Expr(expr) => {
                    let text = scalar_text(expr, &expr.eval(scope)?)?;
                    let own_path = matches!(expr.source(), "resource.uid" | "resource.path");
                    path.push_str(&encode_segment(&text, own_path));
                }
            }
        }
        Ok(path)
    }
}

/// Computed `null`s are absent, at every depth: CEL has no other way to leave a member out.
pub(crate) fn present(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => Some(items.into_iter().filter_map(present).collect()),
        Value::Object(members) => Some(members.into_iter().filter_map(|(k, v)| present(v).map(|v| (k, v))).collect::<Map<_, _>>().into()),
        scalar => Some(scalar),
    }
}

/// Where a value carries sealed markers, the plan keeps a reference instead.
fn seal_references(value: Value, at: &str, late: &mut Vec<Late>) -> Value {
    match value {
        Value::Object(members) if members.contains_key(SEALED) => {
            if let Some(reference) = members.get(SEALED).and_then(Value::as_str) {
                late.push(Late { at: at.to_owned(), from: LateSource::Sealed { reference: reference.to_owned() } });
            }
            Value::Object(members)
        }
        Value::Object(members) => members
            .into_iter()
            .map(|(k, v)| {
                let pointer = format!("{at}/{}", k.replace('~', "~0").replace('/', "~1"));
                (k, seal_references(v, &pointer, late))
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().enumerate().map(|(i, v)| seal_references(v, &format!("{at}/{i}"), late)).collect(),
        scalar => scalar,
    }
}

fn text_of(parts: &[Part], scope: &Scope<'_>) -> Result<String, ExprError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Expr(expr) => text.push_str(&scalar_text(expr, &expr.eval(scope)?)?),
        }
    }
    Ok(text)
}

fn scalar_text(expr: &Expr, value: &Value) -> Result<String, ExprError> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(super::mistake(expr.source(), "must give text or a number here, and not nothing")),
    }
}

fn encode_segment(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let keep = byte.is_ascii_alphanumeric() || b"-._~@:()$".contains(&byte) || (keep_slashes && byte == b'/');
        if keep {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The position of the brace that closes an expression, quotes and inner braces respected.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            // Anything inside quotes, and any other character.
            _ => {}
        }
    }
    None
}

/// `token.<observe>.<name>`, `given.<name>`, `client_token`.
fn late(source: &str) -> Result<Option<LateSource>, String> {
    let mut words = source.split('.');
    let found = match (words.next(), words.next(), words.next(), words.next()) {
        (Some("client_token"), None, ..) => LateSource::ClientToken,
        (Some("given"), Some(name), None, _) => LateSource::Given { name: name.to_owned() },
        (Some("token"), Some(observe), Some(name), None) => LateSource::Token { observe: observe.to_owned(), name: name.to_owned() },
        (Some("token" | "given" | "client_token"), ..) => {
            return Err(format!("`{source}` must be `token.<observe>.<name>`, `given.<name>` or `client_token`"));
        }
        _ => return Ok(None),
    };
    Ok(Some(found))
}
