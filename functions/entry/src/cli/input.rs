//! Files with findings: one JSON value, an array, or JSON Lines. Every fault names file, line and column.

use std::fs::File;
use std::io::{self, Read};

use serde_json::value::RawValue;
use stanch_core::finding::Finding;
use stanch_core::normalize::{NormalizeError, events};

use super::failure::{Code, Failure, Said};
use crate::recognize::{read_as, recognize};

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
const EXPECTED: &str = "expected JSON: one finding, an array of findings, or one finding a line";

/// A file's text.
#[derive(Debug)]
pub(crate) struct Document {
    name: String,
    text: String,
}

/// What a file's events gave.
#[derive(Debug, Default)]
pub(crate) struct Reading<'d> {
    /// Findings, in the file's order.
    pub(crate) findings: Vec<Finding<'d>>,
    /// Events that cannot be read.
    pub(crate) faults: Vec<Said>,
    /// Events that are by their nature no findings.
    pub(crate) passed_over: Vec<String>,
}

impl Document {
    /// Reads a file, or standard input for `-`.
    pub(crate) fn read(file: &str) -> Result<Self, Failure> {
        let bytes = if file == "-" {
            limited(io::stdin().lock(), "standard input")?
        } else {
            let fail = |e: &io::Error| Failure::new(Code::Input, format!("cannot read `{file}`: {e}"));
            let metadata = std::fs::metadata(file).map_err(|e| fail(&e))?;
            if metadata.is_dir() {
                let failure = Failure::new(Code::Input, format!("`{file}` is a directory; expected a file with findings"));
                return Err(failure.hint(format!("name the files in it, as {file}/*.json")));
            }
            limited(File::open(file).map_err(|e| fail(&e))?, file)?
        };
        let name = if file == "-" { "standard input".to_owned() } else { file.to_owned() };
        Document::from_bytes(name, bytes)
    }

    fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let wrong = |message: String, hint: Option<&str>| {
            let failure = Failure::new(Code::Input, message);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        };
        let packed = bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if packed {
            return Err(wrong(
                format!("{name}:1:1: a compressed file; {EXPECTED}"),
                Some("unpack it and pipe it in, as `gunzip -c FILE | stanch normalize -`"),
            ));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(wrong(format!("{name}:1:1: UTF-16 text; expected UTF-8"), Some("convert it, as `iconv -f UTF-16 -t UTF-8 FILE`")));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let bytes = e.as_bytes();
            let (line, column) = place(bytes, at);
            let byte = bytes.get(at).copied().unwrap_or_default();
            wrong(format!("{name}:{line}:{column}: byte 0x{byte:02x} is no UTF-8 text; {EXPECTED}"), None)
        })?;
        if let Some(at) = text.find('\0') {
            let (line, column) = place(text.as_bytes(), at);
            return Err(wrong(format!("{name}:{line}:{column}: a binary file; {EXPECTED}"), None));
        }
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        if text.trim().is_empty() {
            return Err(wrong(format!("{name}:1:1: nothing in it; {EXPECTED}"), None));
        }
        Ok(Document { name, text })
    }

    /// Reads every event, as the named source or as each looks like.
    pub(crate) fn findings(&self, source: Option<&str>) -> Reading<'_> {
        let mut reading = Reading::default();
        let mut stream = serde_json::Deserializer::from_str(&self.text).into_iter::<&RawValue>();
        loop {
            let item = match stream.next() {
                None => break,
                Some(Ok(item)) => item.get(),
                Some(Err(error)) => {
                    let said = Said::new(format!("{}:{}", self.name, at_place(&NormalizeError::json(&error), (1, 1))));
                    let hint = "the file ends too early: it may be cut off";
                    reading.faults.push(if error.is_eof() { said.hint(hint) } else { said });
                    break;
                }
            };
            match split(item) {
                Ok(events) => events.into_iter().for_each(|event| self.event(event, source, &mut reading)),
                Err(error) => reading.faults.push(self.fault(item, &error)),
            }
        }
        reading
    }

    /// Every finding, or everything that is wrong with the file.
    pub(crate) fn all_findings(&self, source: Option<&str>) -> Result<Reading<'_>, Failure> {
        let mut reading = self.findings(source);
        if reading.faults.is_empty() { Ok(reading) } else { Err(Failure::Said(Code::Input, std::mem::take(&mut reading.faults))) }
    }

    fn event<'d>(&'d self, event: &'d str, source: Option<&str>, reading: &mut Reading<'d>) {
        let read = match source {
            Some(name) => read_as(event, name),
            None => recognize(event),
        };
        match read {
            Ok(read) => {
                let (line, column) = self.place_of(event);
                reading.findings.extend(read.findings);
                reading.faults.extend(read.faults.iter().map(|error| self.fault(event, error)));
                let passed_over = read.passed_over.iter().map(|rule| format!("{}:{line}:{column}: {rule}", self.name));
                reading.passed_over.extend(passed_over);
            }
            Err(error) => {
                let fault = self.fault(event, &error);
                let hint = "`--source NAME` reads it as that source and says what is missing";
                let unknown = matches!(error, NormalizeError::Unrecognised { .. }) && source.is_none();
                reading.faults.push(if unknown { fault.hint(hint) } else { fault });
            }
        }
    }

    fn fault(&self, event: &str, error: &NormalizeError) -> Said {
        Said::new(format!("{}:{}", self.name, at_place(error, self.place_of(event))))
    }

    /// Where a part of the text starts.
    fn place_of(&self, part: &str) -> (usize, usize) {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        place(self.text.as_bytes(), offset)
    }
}

/// An error of an event that starts at `start`, with its place in the file in front.
fn at_place(error: &NormalizeError, start: (usize, usize)) -> String {
    match error {
        NormalizeError::Json { line, column, message } => {
            let column = if *line <= 1 { start.1 + column.saturating_sub(1) } else { *column };
            format!("{}:{}: not readable JSON: {message}", start.0 + line.saturating_sub(1), column.max(1))
        }
        other => format!("{}:{}: {other}", start.0, start.1),
    }
}

/// The events of one top-level value: the items of an array or of `records`, else the value itself.
fn split(item: &str) -> Result<Vec<&str>, NormalizeError> {
    if item.starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(item).map_err(|e| NormalizeError::json(&e))?;
        return Ok(list.into_iter().map(RawValue::get).collect());
    }
    events(item)
}

fn limited(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Failure::new(Code::Input, format!("cannot read `{name}`: {e}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES / 1024 / 1024;
        return Err(Failure::new(Code::Input, format!("`{name}` is larger than {most} MiB")).hint("split it; JSON Lines split at any line"));
    }
    Ok(bytes)
}

/// 1-based line and column (in characters) of a byte.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.split(|b| *b == b'\n').count();
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().iter().filter(|b| (**b & 0xc0) != 0x80).count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: &str = r#"{"class_uid":2004,"metadata":{"product":{"name":"Scanner"},"uid":"u"},"finding_info":{"uid":"u","title":"t"},"cloud":{"provider":"aws"},"resources":[{"uid":"arn:aws:s3:::b"}]}"#;

    fn document(text: &str) -> Document {
        Document { name: "f.json".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn one_value_an_array_records_and_lines_give_the_same_findings() {
        for (text, expected) in [
            (FINDING.to_owned(), 1),
            (format!("[{FINDING},{FINDING}]"), 2),
            (format!("{{\"records\":[{FINDING},{FINDING}]}}"), 2),
            (format!("{FINDING}\n{FINDING}\n\n{FINDING}\n"), 3),
            ("[]".to_owned(), 0),
        ] {
            let document = document(&text);
            let reading = document.findings(None);
            assert_eq!((reading.findings.len(), reading.faults.len()), (expected, 0), "{text}");
        }
    }

    #[test]
    fn a_bad_line_is_named_and_the_good_ones_are_read() {
        let text = format!("{FINDING}\n  {{\"hello\":1}}\n{FINDING}\n{{\"class_uid\":2004,");
        let document = document(&text);
        let reading = document.findings(None);
        assert_eq!(reading.findings.len(), 2);
        let faults: Vec<&str> = reading.faults.iter().map(|s| s.message.as_str()).collect();
        assert!(faults[0].starts_with("f.json:2:3: not a finding stanch knows: an object with hello; accepted are "), "{faults:?}");
        assert!(faults[1].starts_with("f.json:4:18: not readable JSON: EOF"), "{faults:?}");
    }

    #[test]
    fn what_is_no_text_is_said_so_with_its_place() {
        let error = |bytes: &[u8]| match Document::from_bytes("f".to_owned(), bytes.to_vec()) {
            Err(Failure::Said(Code::Input, said)) => said[0].message.clone(),
            other => panic!("{other:?}"),
        };
        assert!(error(b"").starts_with("f:1:1: nothing in it; expected JSON"));
        assert!(error(b"{\n \xff}").starts_with("f:2:2: byte 0xff is no UTF-8 text"));
        assert!(error(b"ab\0").starts_with("f:1:3: a binary file"));
        assert!(error(&[0x1f, 0x8b, 8]).starts_with("f:1:1: a compressed file"));
        assert!(error(&[0xff, 0xfe, b'{', 0]).starts_with("f:1:1: UTF-16 text"));
    }
}
