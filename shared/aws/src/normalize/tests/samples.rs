//! Real events: what an analyst reads in them, written by hand from the payload alone, and every mapping on every finding.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stanch_core::normalize::Mapping;

use super::*;

/// What each file of a family holds: a list of findings, each by fields of OCSF as JSON pointers, or the rules by which it is none.
type Expected = BTreeMap<String, Value>;

const FAMILIES: &[&str] = &[
    "asff",
    "asff_resource_fragment",
    "aws_eventbridge_other",
    "aws_native_finding",
    "securityhub_api",
    "securityhub_eventbridge",
    "securityhub_v2_ocsf",
];

/// What real payloads hold and nobody can read: a file, a field of OCSF.
const UNREADABLE: &[(&str, &str)] = &[
    // `1977-06-02T122:29:47`: there is no such hour.
    ("260_jonrau1-outputs.json", "finding_info.first_seen_time"),
];

#[test]
fn real_events_say_what_an_analyst_reads_in_them() {
    let Some(samples) = samples() else { return };
    for family in FAMILIES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(format!("{family}.json"));
        let expected: Expected = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(!expected.is_empty(), "{family}");
        for (file, expected) in expected {
            let path = samples.join(family).join(&file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let reading = normalize(&text).unwrap_or_else(|e| panic!("{family}/{file}: {e}"));
            assert!(reading.faults.is_empty(), "{family}/{file}: {:?}", reading.faults);
            if let Some(rule) = expected.as_str() {
                assert!(reading.findings.is_empty(), "{family}/{file}");
                assert_eq!(passed_over(&reading), [rule], "{family}/{file}");
                continue;
            }
            let expected = expected.as_array().unwrap();
            assert_eq!(reading.findings.len(), expected.len(), "{family}/{file}");
            for (finding, expected) in reading.findings.iter().zip(expected) {
                let line: Value = serde_json::from_str(&stanch_core::ocsf::to_line(finding, 0).unwrap()).unwrap();
                for (field, value) in expected.as_object().unwrap() {
                    let got = line.pointer(field).unwrap_or(&Value::Null);
                    assert_eq!(got, value, "{family}/{file}: {field}");
                }
            }
        }
    }
}

#[test]
fn whatever_a_real_finding_says_reaches_the_field_the_mapping_names() {
    let Some(samples) = samples() else { return };
    let (mut missing, mut total) = (Vec::new(), 0);
    for family in FAMILIES {
        let (mut files, mut findings, mut none) = (0, 0, 0);
        for path in json_files(&samples.join(family)) {
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let reading = normalize(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(reading.faults.is_empty(), "{}: {:?}", path.display(), reading.faults);
            none += reading.passed_over.len();
            findings += reading.findings.len();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap();
            let lost = reading.findings.iter().flat_map(lost).filter(|(field, _)| !UNREADABLE.contains(&(name, field)));
            missing.extend(lost.map(|(field, shape)| format!("{}: {field} of {shape}", path.display())));
        }
        println!("{family}: {files} files, {findings} findings, {none} events that are none");
        assert!(files > 0, "{family} is empty");
        total += findings;
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(total > 100, "{total}");
}

#[test]
fn whatever_our_own_fixtures_say_reaches_the_field_the_mapping_names() {
    for fixture in super::mutated::FIXTURES {
        for finding in &normalize(fixture).unwrap().findings {
            assert_eq!(lost(finding), [], "{}", finding.uid);
        }
    }
}

/// The fields of OCSF that a finding's own payload fills, says its mapping, and that are not there; and the shape.
fn lost(finding: &Finding<'_>) -> Vec<(&'static str, &'static str)> {
    let raw: Value = serde_json::from_str(&finding.raw).unwrap();
    let line: Value = serde_json::from_str(&stanch_core::ocsf::to_line(finding, 0).unwrap()).unwrap();
    let mapping = mapping_of(&raw);
    let lost = mapping.rows.iter().filter(|row| row.from.iter().any(|from| holds(&raw, from)) && !holds(&line, row.field));
    lost.map(|row| (row.field, mapping.shape)).collect()
}

/// The first mapping that has the payload's marks, as for every other reader.
fn mapping_of(raw: &Value) -> &'static Mapping {
    let has = |marks: &&[&str]| marks.iter().all(|mark| holds(raw, mark));
    MAPPINGS.iter().find(|mapping| mapping.marks.iter().any(has)).unwrap()
}

/// Whether something is said at a path, names in any case. Keys of a product's own may have dots and slashes.
fn holds(value: &Value, path: &str) -> bool {
    let Some((step, rest)) = path.split_once('.').map_or((!path.is_empty()).then_some((path, "")), Some) else {
        return match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
    };
    let (name, each) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let Some(map) = value.as_object() else { return false };
    map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).any(|(_, value)| match value {
        Value::Array(list) if each => list.iter().any(|item| holds(item, rest)),
        value => holds(value, rest),
    })
}

#[test]
fn every_file_of_the_expected_values_has_ten_where_so_many_are_published() {
    for (family, least) in [("asff", 10), ("asff_resource_fragment", 10), ("securityhub_eventbridge", 10), ("aws_native_finding", 10)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(format!("{family}.json"));
        let expected: Expected = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(expected.len() >= least, "{family}: {}", expected.len());
    }
}

#[expect(clippy::disallowed_methods, reason = "tests alone look for the samples")]
fn samples() -> Option<PathBuf> {
    let Ok(folder) = std::env::var("STANCH_SAMPLES") else {
        println!("skipped: STANCH_SAMPLES is not set");
        return None;
    };
    let folder = PathBuf::from(folder);
    assert!(folder.is_dir(), "STANCH_SAMPLES names no folder: {}", folder.display());
    Some(folder)
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
}
