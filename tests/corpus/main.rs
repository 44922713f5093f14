//! Every published payload at hand, through the readers that the functions use: what became of each, what was filled of what it
//! holds, and whether what is written is valid OCSF. `cargo xtask corpus` prints the tables.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test program; clippy knows only its test functions"
)]

mod fill;
mod mutate;
mod reference;
mod sample;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sample::{Sample, samples};
use serde_json::Value;

/// Files that a reader refuses, and why that is right.
const REFUSED: &[(&str, &str)] = &[
    (
        "defender_assessment/010_createassessmentsmetadata-subscription-2019-01-01-preview.json",
        "the body of a request, without an id or a type",
    ),
    ("defender_assessment/028_customassessmentautomationcreate-2021-07-01-preview.json", "the body of a request, without an id or a type"),
    ("eventgrid_cloudevents/098_spec-com-example-someevent.json", "a word stands where base64 should be"),
    ("functions_custom_handler/006_azure-docs-request-req.json", "the body is an order of another application"),
];

/// What a payload holds and nobody can read, and why.
const UNREADABLE: &[(&str, &str, &str)] = &[("finding_info.first_seen_time", "asff/260_jonrau1-outputs.json", "the hour is 122")];

#[expect(clippy::disallowed_methods, reason = "the settings of this test")]
fn folder(variable: &str) -> Option<PathBuf> {
    let Ok(path) = std::env::var(variable) else {
        assert!(std::env::var("CI").is_err(), "{variable} is not set, and CI runs this test");
        println!("skipped: {variable} is not set");
        return None;
    };
    let path = PathBuf::from(path);
    assert!(path.is_dir(), "{variable} names no folder: {}", path.display());
    Some(path)
}

fn read_all() -> Option<Vec<Sample>> {
    let all = samples(&folder("STANCH_SAMPLES")?);
    assert!(!all.is_empty(), "STANCH_SAMPLES holds no file");
    Some(all)
}

#[test]
fn every_file_is_findings_or_scores_or_passed_over_by_a_rule() {
    let Some(all) = read_all() else { return };
    print!("{}", table::families(&all));
    let known = |sample: &Sample| REFUSED.iter().any(|(file, _)| *file == sample.file);
    let lost: Vec<String> = all
        .iter()
        .filter(|sample| !known(sample))
        .flat_map(|sample| sample.faults.iter().map(move |fault| format!("{}: {fault}", sample.file)))
        .collect();
    assert!(lost.is_empty(), "{} files with what no reader takes:\n{}", lost.len(), lost.join("\n"));
}

#[test]
fn what_a_payload_holds_is_filled() {
    let Some(all) = read_all() else { return };
    let rates = fill::rates(&all);
    print!("{}", table::rates(&rates));
    let unreadable = |field: &str, file: &str| UNREADABLE.iter().any(|(of, name, _)| *of == field && file.starts_with(name));
    let missing = rates.iter().flat_map(|rate| rate.missing.iter().map(|file| (rate.field, file)));
    let missing: Vec<String> =
        missing.filter(|(field, file)| !unreadable(field, file)).map(|(field, file)| format!("{field}: {file}")).collect();
    assert!(missing.is_empty(), "held and not filled:\n{}", missing.join("\n"));
    let unseen: Vec<&str> = fill::KEY_FIELDS.iter().filter(|field| rates.iter().all(|rate| rate.field != **field)).copied().collect();
    assert!(unseen.is_empty(), "no payload holds {unseen:?}: the mappings do not say where they come from");
}

/// One finding is known by one id, in whichever shape and however often it comes.
#[test]
fn one_file_read_twice_gives_the_same_ids_and_two_findings_of_it_have_two() {
    let Some(all) = read_all() else { return };
    for sample in &all {
        let again = sample.read_again();
        let uids = |sample: &Sample| sample.findings.iter().map(|read| read.finding.uid.to_string()).collect::<Vec<_>>();
        assert_eq!(uids(sample), uids(&again), "{}", sample.file);
        assert!(sample.findings.iter().all(|read| !read.finding.uid.trim().is_empty()), "{}", sample.file);
    }
}

#[test]
fn every_finding_is_written_as_valid_ocsf() {
    let (Some(all), Some(schemas)) = (read_all(), folder("STANCH_OCSF_SCHEMA")) else { return };
    let schemas = BTreeMap::from([
        (2002, schema(&schemas, "vulnerability_finding")),
        (2003, schema(&schemas, "compliance_finding")),
        (2004, schema(&schemas, "detection_finding")),
    ]);
    let (mut valid, mut wrong) = (0, Vec::new());
    for (file, line) in all.iter().flat_map(|sample| sample.findings.iter().map(|read| (&sample.file, &read.line))) {
        let class = line["class_uid"].as_u64().unwrap_or_default();
        match schemas[&class].iter_errors(line).next() {
            Some(error) => wrong.push(format!("{file}: {}: {error}", error.instance_path())),
            None => valid += 1,
        }
    }
    println!("{valid} findings are valid OCSF {}", stanch_core::ocsf::VERSION);
    assert!(wrong.is_empty(), "{} are not:\n{}", wrong.len(), wrong.join("\n"));
}

fn schema(folder: &Path, name: &str) -> jsonschema::Validator {
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}
