//! What every connector's normaliser takes and gives, and how a delivery is recognised.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::finding::Finding;

/// The largest delivery that is read, in bytes. Event Hubs and EventBridge stay far below it.
pub const MAX_DELIVERY_BYTES: usize = 16 * 1024 * 1024;

/// Why a delivery could not be turned into findings. Every message says what was expected.
#[derive(Debug, thiserror::Error)]
pub enum NormalizeError {
    /// The bytes are no JSON (truncated, nested too deep, wrong type).
    #[error("not readable JSON at line {line}, column {column}: {message}")]
    Json {
        /// 1-based line.
        line: usize,
        /// 1-based column.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// A field that identifies the finding is missing or has the wrong form.
    #[error("{kind}: field `{field}` is {problem}; expected {expected}")]
    Field {
        /// What the payload was taken for.
        kind: &'static str,
        /// Path of the field.
        field: Cow<'static, str>,
        /// `missing`, `empty`, `not a list` …
        problem: Cow<'static, str>,
        /// What would have been accepted.
        expected: Cow<'static, str>,
    },
    /// The payload is of no known kind.
    #[error("not a finding stanch knows: {looked_like}; accepted are {accepted}")]
    Unrecognised {
        /// What it looked like: its top-level fields.
        looked_like: String,
        /// The kinds that are accepted.
        accepted: &'static str,
    },
    /// The payload is known, and is by its nature no finding (a validation handshake, a score).
    #[error("{what} is not a finding: {why}")]
    NotAFinding {
        /// What it is.
        what: &'static str,
        /// By which rule.
        why: &'static str,
    },
    /// More bytes than [`MAX_DELIVERY_BYTES`].
    #[error("the delivery has {bytes} bytes; at most {MAX_DELIVERY_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl NormalizeError {
    /// From serde_json's error.
    pub fn json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head).to_owned();
        NormalizeError::Json { line: error.line(), column: error.column(), message }
    }
}

/// The result of a normaliser: the findings, each borrowing from the delivery.
pub type Normalized<'a> = Result<Vec<Finding<'a>>, NormalizeError>;

/// The top level of a JSON object, values unparsed, in the payload's order. Cheap: one pass over the bytes, nothing copied.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the top level of `json`. Anything but an object has no fields.
    pub fn read(json: &'a str) -> Result<Self, NormalizeError> {
        if json.trim_start().starts_with('{') {
            serde_json::from_str(json).map_err(|e| NormalizeError::json(&e))
        } else {
            serde_json::from_str::<&RawValue>(json).map_err(|e| NormalizeError::json(&e))?;
            Ok(Fields::default())
        }
    }

    /// A field's raw JSON, its name compared without case (vendors mix `Id`, `id` and `ID`, at times in one object: then the
    /// first that holds something counts).
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let mut named = self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, raw)| raw.get()).peekable();
        let first = named.peek().copied();
        named.find(|raw| !matches!(*raw, "null" | "\"\"")).or(first)
    }

    /// A field's text, when it is a JSON string.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.get(name)?;
        #[derive(Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        serde_json::from_str::<Borrowed<'a>>(raw).ok().map(|b| b.0)
    }

    /// Whether a field is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|raw| raw != "null")
    }

    /// The fields of an object inside this one; none when it is no object.
    #[must_use]
    pub fn object(&self, name: &str) -> Fields<'a> {
        self.get(name).and_then(|raw| Fields::read(raw).ok()).unwrap_or_default()
    }

    /// The names, for messages: the first twelve.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().take(12).map(|(key, _)| key.as_ref()).collect();
        if names.is_empty() { "JSON without top-level fields".to_owned() } else { format!("an object with {}", names.join(", ")) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut fields = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    fields.push((key, map.next_value::<&'de RawValue>()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(V)
    }
}

/// Splits a delivery into its events: one object, an array of objects, or `{"records": […]}`, as the platforms batch them.
/// Each item is the raw JSON of one event.
pub fn events(json: &str) -> Result<Vec<&str>, NormalizeError> {
    if json.len() > MAX_DELIVERY_BYTES {
        return Err(NormalizeError::TooLarge { bytes: json.len() });
    }
    let trimmed = json.trim_start_matches('\u{feff}').trim();
    if trimmed.starts_with('[') {
        return array(trimmed);
    }
    // Whether it is such a wrapper shows at once; what is none is read by whoever recognises it.
    if !first_name(trimmed).is_some_and(|name| name.eq_ignore_ascii_case("records")) {
        return Ok(vec![trimmed]);
    }
    let fields = Fields::read(trimmed)?;
    match fields.get("records") {
        Some(raw) if raw.starts_with('[') && fields.0.len() == 1 => array(raw),
        _ => Ok(vec![trimmed]),
    }
}

/// The first name in a JSON object, as it is written.
fn first_name(json: &str) -> Option<&str> {
    let name = json.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    name.split_once('"').map(|(name, _)| name)
}

fn array(json: &str) -> Result<Vec<&str>, NormalizeError> {
    let list: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| NormalizeError::json(&e))?;
    Ok(list.into_iter().map(RawValue::get).collect())
}
