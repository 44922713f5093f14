//! Published payloads against values that were written by hand from the payload alone: `tests/expected/{family}.json` names, for
//! each file of the family, the findings it holds, in order, as paths in the OCSF event and what stands there (`null`: nothing);
//! or the rules by which it holds none, with the scores in it.

use std::path::Path;

use serde_json::{Map, Value};
use stanch_core::ocsf::to_line;

use super::samples::{files, samples};
use crate::normalize;

/// A time nothing in the samples has, so that it shows where a finding holds no time of its own.
const RECEIVED: i64 = 1;

fn check(file: &str, json: &str, expected: &Value, wrong: &mut Vec<String>) -> usize {
    let reading = normalize(json).unwrap_or_else(|error| panic!("{file}: {error}"));
    wrong.extend(reading.faults.iter().map(|fault| format!("{file}: {fault}")));
    let rules =
        |key: &str| expected.get(key).map(|rules| rules.as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect::<Vec<_>>());
    if let Some(rules) = rules("passed_over") {
        let got: Vec<_> = reading.passed_over.iter().map(|rule| rule.rule).collect();
        if got != rules || !reading.findings.is_empty() {
            wrong.push(format!("{file}: {} findings, passed over by {got:?}, expected {rules:?}", reading.findings.len()));
        }
        if let Some(scores) = expected.get("scores") {
            let got = serde_json::to_value(&reading.scores).unwrap();
            if got != *scores {
                wrong.push(format!("{file}: scores {got}, expected {scores}"));
            }
        }
        return 1;
    }
    let findings = expected.as_array().unwrap_or_else(|| panic!("{file}: neither a list of findings nor `passed_over`"));
    if findings.len() != reading.findings.len() {
        wrong.push(format!("{file}: {} findings, expected {}", reading.findings.len(), findings.len()));
    }
    for (finding, fields) in reading.findings.iter().zip(findings) {
        let line: Value = serde_json::from_str(&to_line(finding, RECEIVED).unwrap()).unwrap();
        for (path, value) in fields.as_object().unwrap() {
            let got = line.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
            if got != value {
                wrong.push(format!("{file}: {path} is {got}, expected {value}"));
            }
        }
    }
    findings.iter().map(|fields| fields.as_object().map_or(0, Map::len)).sum()
}

#[test]
fn published_payloads_become_what_an_analyst_expects() {
    let Some(place) = samples() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let (mut wrong, mut values, mut read) = (Vec::new(), 0, 0);
    for list in files(&folder) {
        let family = list.file_stem().unwrap().to_str().unwrap();
        let expected: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(&list).unwrap()).unwrap();
        for (file, expected) in &expected {
            let path = place.join(family).join(file);
            let json = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            values += check(&format!("{family}/{file}"), &json, expected, &mut wrong);
            read += 1;
        }
        println!("{family}: {} files", expected.len());
    }
    assert!(wrong.is_empty(), "{} of {values} values in {read} files:\n{}", wrong.len(), wrong.join("\n"));
    assert!(values >= 10 * read.min(10), "{values} values in {read} files");
    println!("{values} values in {read} files");
}
