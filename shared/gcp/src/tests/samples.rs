//! Published payloads: values written by hand from them alone, and the mapping table as the judge of all of them.

use std::path::PathBuf;

use serde_json::{Value, json};
use stanch_core::normalize::{Mapping, Reading};
use stanch_core::ocsf::to_line;

use crate::{MAPPINGS, normalize};

const EXPECTED: &str = include_str!("../../tests/expected/scc.json");
const RECEIVED: i64 = 1_767_312_000_000;

/// The folder of samples, or nothing when none is named. On a build server their absence is a failure.
fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
    let var = |name| std::env::var(name).ok();
    let Some(folder) = var("STANCH_SAMPLES") else {
        assert!(var("CI").is_none(), "STANCH_SAMPLES must be set in CI");
        println!("skipped: STANCH_SAMPLES is not set");
        return None;
    };
    let folder = PathBuf::from(folder);
    assert!(folder.is_dir(), "STANCH_SAMPLES names no folder");
    Some(folder)
}

pub(super) fn files(family: &str) -> Vec<(String, String)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder.join(family)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{family} is empty");
    files
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// The values at a path like `resources[].uid` or `resources[0].uid`, names in any case; only those that say something.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut values = vec![value];
    for name in path.split('.') {
        let (name, index) = name.strip_suffix(']').and_then(|n| n.split_once('[')).map_or((name, None), |(n, i)| (n, Some(i)));
        let member = |value: &'v Value| value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        values = values.into_iter().filter_map(member).collect();
        values = match index {
            None => values,
            Some("") => values.into_iter().flat_map(|v| v.as_array().map_or(std::slice::from_ref(v), Vec::as_slice)).collect(),
            Some(index) => values.into_iter().filter_map(|v| v.get(index.parse::<usize>().unwrap())).collect(),
        };
    }
    let empty = [json!(null), json!([]), json!({})];
    values.retain(|value| !empty.contains(value) && value.as_str().is_none_or(|text| !text.trim().is_empty()));
    values
}

/// The rows of a table whose source fields a payload has and whose target the written event lacks.
pub(super) fn unfilled(mappings: &[Mapping], payload: &Value, event: &Value) -> Vec<String> {
    let rows = mappings.iter().flat_map(|mapping| mapping.rows);
    let lacking = rows.filter(|row| row.from.iter().any(|path| !at(payload, path).is_empty()) && at(event, row.field).is_empty());
    lacking.map(|row| format!("{} from {:?}", row.field, row.from)).collect()
}

/// What a delivery gives, as it is written: findings, then rules.
fn written(reading: &Reading<'_>) -> Vec<Value> {
    let events = reading.findings.iter().map(|f| serde_json::from_str(&to_line(f, RECEIVED).unwrap()).unwrap());
    events.chain(reading.passed_over.iter().map(|rule| json!({"passed_over": rule.rule}))).collect()
}

#[test]
fn published_samples_give_what_a_person_reads_in_them() {
    let Some(folder) = folder() else { return };
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let mut values = 0;
    for (file, findings) in expected.as_object().unwrap() {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let reading = normalize(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        let events = written(&reading);
        let findings = findings.as_array().unwrap();
        assert_eq!((events.len(), reading.faults.len()), (findings.len(), 0), "{file}");
        for (event, fields) in events.iter().zip(findings) {
            for (path, value) in fields.as_object().unwrap() {
                assert_eq!(at(event, path), [value], "{file}: {path} of {event:#}");
                values += 1;
            }
        }
    }
    println!("{values} values as written by hand");
    assert!(values > 100);
}

#[test]
fn whatever_the_table_names_is_filled() {
    let (mut findings, mut others) = (0, 0);
    for (file, text) in ["scc", "gcp_log_other"].into_iter().flat_map(files) {
        let reading = normalize(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(reading.faults.is_empty(), "{file}: {:?}", reading.faults);
        others += reading.passed_over.len();
        for (f, event) in reading.findings.iter().zip(written(&reading)) {
            let payload: Value = serde_json::from_str(&f.raw).unwrap();
            assert_eq!(unfilled(MAPPINGS, &payload, &event), Vec::<String>::new(), "{file}");
            assert!(f.time.is_some() && f.created.is_some() && !f.resources.is_empty(), "{file}");
            findings += 1;
        }
    }
    println!("{findings} findings, {others} passed over");
    let payload = json!({"finding": {"category": "A"}});
    assert!(!unfilled(MAPPINGS, &payload, &json!({})).is_empty(), "the judge finds what is missing");
}
