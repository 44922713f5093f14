//! What every connector's normaliser takes and gives, and how a delivery is recognised.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::finding::Finding;
use crate::json::{Doc, Json};

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
    let doc = Doc::read(trimmed)?;
    let records = doc.root().get("records");
    let alone = doc.root().members().count() == 1;
    Ok(if alone && records.is_list() { records.items().map(Json::raw).collect() } else { vec![trimmed] })
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
