//! What every connector's normaliser takes and gives, and how a delivery is recognised.

mod envelope;
mod mapping;
mod score;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::cloud::{Resource, Text};
use crate::finding::Finding;
use crate::json::{Doc, Json};
use crate::port::Scope;

pub use envelope::NO_FINDINGS;
pub use mapping::{Mapped, Mapping, mapped};
pub use score::Score;

/// The largest delivery that is read, in bytes. Event Hubs and EventBridge stay far below it.
pub const MAX_DELIVERY_BYTES: usize = 16 * 1024 * 1024;
/// The most resources, and the most vulnerabilities, that one finding may name: each resource becomes a case that knows the others.
/// ASFF allows 32 (<https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html>).
pub const MAX_PARTS: usize = 500;
/// The longest account id, account name or region, in bytes: what each resource of a finding repeats.
const MAX_REPEATED_BYTES: usize = 1_024;

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

/// A rule by which an event is, by its nature, no finding. It goes by the event's shape alone.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct NoFinding {
    /// The rule's name.
    pub rule: &'static str,
    /// What such an event is.
    pub what: &'static str,
    /// The fields by which it is known.
    pub shape: &'static str,
    /// Why it is none, and where the finding comes from if there is one.
    pub why: &'static str,
}

impl std::fmt::Display for NoFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not a finding: {}", self.what, self.why)
    }
}

/// What a delivery holds.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// The findings, each borrowing from the delivery.
    pub findings: Vec<Finding<'a>>,
    /// Scores of a scope, which are no findings.
    pub scores: Vec<Score>,
    /// Findings that the event names and does not hold: they are to be listed at their source.
    pub named: Vec<Scope>,
    /// Events that are by their nature no findings, each by its rule.
    pub passed_over: Vec<&'static NoFinding>,
    /// Parts that should be findings and cannot be read. The others stand all the same.
    pub faults: Vec<NormalizeError>,
    /// What the sender's protocol wants to hear (a handshake), as JSON.
    pub reply: Option<String>,
}

impl<'a> Reading<'a> {
    /// Takes a finding, or the reason why there is none.
    pub fn take(&mut self, read: Result<Finding<'a>, NormalizeError>) {
        match read.and_then(within_bounds) {
            Ok(finding) => self.findings.push(finding),
            Err(error) => self.faults.push(error),
        }
    }

    /// One event of several that cannot be read does not keep the others back.
    fn keep_fault(&mut self, result: Result<(), NormalizeError>, alone: bool) -> Result<(), NormalizeError> {
        match result {
            Err(error) if !alone => {
                self.faults.push(error);
                Ok(())
            }
            result => result,
        }
    }

    /// Takes everything of another reading, whose text may be gone after that.
    fn take_owned(&mut self, other: Reading<'_>) {
        self.findings.extend(other.findings.into_iter().map(|finding| -> Finding<'a> { finding.into_owned() }));
        self.scores.extend(other.scores);
        self.named.extend(other.named);
        self.passed_over.extend(other.passed_over);
        self.faults.extend(other.faults);
        self.reply = other.reply.or(self.reply.take());
    }
}

/// A finding that would grow out of proportion to its bytes is refused.
fn within_bounds(finding: Finding<'_>) -> Result<Finding<'_>, NormalizeError> {
    let wrong = |field: &'static str, problem: String, expected: String| NormalizeError::Field {
        kind: "a finding",
        field: field.into(),
        problem: problem.into(),
        expected: expected.into(),
    };
    for (field, count) in [("resources", finding.resources.len()), ("vulnerabilities", finding.vulnerabilities.len())] {
        if count > MAX_PARTS {
            return Err(wrong(field, format!("a list of {count}"), format!("at most {MAX_PARTS} in one finding")));
        }
    }
    let too_long = |text: &Text<'_>| text.len() > MAX_REPEATED_BYTES;
    let repeated = |resource: &Resource<'_>| {
        let account = resource.account.as_ref();
        account.is_some_and(|account| too_long(&account.uid) || account.name.as_ref().is_some_and(too_long))
            || resource.region.as_ref().is_some_and(too_long)
    };
    if finding.resources.iter().any(repeated) {
        let expected = format!("at most {MAX_REPEATED_BYTES} bytes");
        return Err(wrong("resources[].owner.account", "too long, or the region is".to_owned(), expected));
    }
    Ok(finding)
}

/// The result of a normaliser. An error: nothing of the delivery can be read.
pub type Normalized<'a> = Result<Reading<'a>, NormalizeError>;

/// How a connector reads one event into a [`Reading`]. [`NormalizeError::Unrecognised`] says that the event is of no shape it
/// knows, and that nothing was read.
pub trait Reader: for<'d, 'a> Fn(Json<'d, 'a>, &mut Reading<'a>) -> Result<(), NormalizeError> {}
impl<F: for<'d, 'a> Fn(Json<'d, 'a>, &mut Reading<'a>) -> Result<(), NormalizeError>> Reader for F {}

/// Reads a delivery with a connector's reader: each of its events, also inside the envelopes that transports put around them
/// (Event Grid, CloudEvents, Pub/Sub, SNS, SQS). An event that nobody knows is an error where it is the only one.
pub fn read<'a>(delivery: &'a str, reader: &impl Reader) -> Normalized<'a> {
    let mut reading = Reading::default();
    let events = events(delivery)?;
    let alone = events.len() == 1;
    for event in events {
        let result = Doc::read(event).and_then(|doc| read_event(doc.root(), reader, &mut reading));
        reading.keep_fault(result, alone)?;
    }
    Ok(reading)
}

/// [`read`] of one event that is parsed already.
pub fn read_event<'a>(event: Json<'_, 'a>, reader: &impl Reader, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    envelope::read(event, reader, reading, 0)
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
