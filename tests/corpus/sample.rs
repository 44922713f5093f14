//! One published file and what was read of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stanch_core::finding::Finding;
use stanch_core::normalize::events;
use stanch_core::ocsf::to_line;
use stanch_engine::trigger::Invocation;
use stanch_entry::recognize::recognize;

/// When the payloads are said to have come, milliseconds since the epoch: 28 November 2026.
const RECEIVED: i64 = 1_795_824_000_000;

/// A file.
pub(crate) struct Sample {
    /// `asff/001_….json`.
    pub(crate) file: String,
    /// Its folder.
    pub(crate) family: String,
    pub(crate) text: String,
    pub(crate) findings: Vec<Read>,
    pub(crate) scores: usize,
    /// Rules by which something in it is no finding, each with how often.
    pub(crate) rules: BTreeMap<&'static str, usize>,
    /// What no reader takes, and why.
    pub(crate) faults: Vec<String>,
}

/// A finding, and the line of OCSF that is written of it.
pub(crate) struct Read {
    pub(crate) finding: Finding<'static>,
    pub(crate) line: Value,
}

/// All of them, in order.
pub(crate) fn samples(folder: &Path) -> Vec<Sample> {
    let mut all = Vec::new();
    let mut families: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    families.sort();
    for path in families.iter().filter(|path| path.file_name().is_some_and(|name| name != "schemas")) {
        let family = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            let name = format!("{family}/{}", file.file_name().unwrap().to_string_lossy());
            all.push(Sample::read(name, family.clone(), fs::read_to_string(file).unwrap()));
        }
    }
    all
}

impl Sample {
    fn read(file: String, family: String, text: String) -> Self {
        let (findings, rules, faults) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut sample = Sample { file, family, text, findings, scores: 0, rules, faults };
        for event in sample.events() {
            sample.event(&event);
        }
        sample
    }

    /// The same file once more.
    pub(crate) fn read_again(&self) -> Self {
        Sample::read(self.file.clone(), self.family.clone(), self.text.clone())
    }

    /// The whole file.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(self.text.trim_start_matches('\u{feff}')).unwrap()
    }

    /// What the host hands to a function is unwrapped as the function does it.
    fn events(&self) -> Vec<String> {
        let value = self.value();
        if self.family.starts_with("functions_") {
            let body = if value.get("Data").is_some() { value } else { json!({"Data": {"events": value}}) };
            let invocation = Invocation::read(body.to_string().as_bytes()).unwrap();
            return invocation.data.keys().filter_map(|binding| invocation.events(binding).ok()).flatten().collect();
        }
        vec![self.text.clone()]
    }

    fn event(&mut self, delivery: &str) {
        let Ok(events) = events(delivery) else {
            self.faults.push("not one event can be told from the next".to_owned());
            return;
        };
        for event in events {
            match recognize(event) {
                Ok(reading) => {
                    self.scores += reading.scores.len();
                    for rule in reading.passed_over {
                        *self.rules.entry(rule.rule).or_default() += 1;
                    }
                    self.faults.extend(reading.faults.iter().map(ToString::to_string));
                    for finding in reading.findings {
                        let line = serde_json::from_str(&to_line(&finding, RECEIVED).unwrap()).unwrap();
                        self.findings.push(Read { finding: finding.into_owned(), line });
                    }
                }
                Err(error) => self.faults.push(error.to_string()),
            }
        }
    }
}
