//! Payloads as nobody sends them on purpose: arbitrary JSON, and published ones with fields dropped, renamed, retyped, nested and
//! blown up. Whatever comes, a reader ends without a panic, and a finding it gives has an id and can be written.
//!
//! A run tries `STANCH_CASES` cases a target (256); `cargo xtask fuzz` tries them for a time.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::{Map, Value, json};
use stanch_core::normalize::Normalized;
use stanch_core::ocsf::to_line;
use stanch_entry::recognize::recognize;

use crate::read_all;
use crate::sample::Sample;

/// A reader, and the families whose payloads it is fed, changed.
type Target = (&'static str, fn(&str) -> Normalized<'_>, &'static [&'static str]);

const TARGETS: &[Target] = &[
    ("azure", stanch_azure::normalize, &["defender", "azure", "sentinel", "graph", "eventgrid"]),
    ("aws", stanch_aws::normalize, &["asff", "aws", "securityhub"]),
    ("gcp", stanch_gcp::normalize, &["scc", "gcp"]),
    ("ocsf", stanch_core::ocsf::normalize, &["ocsf", "securityhub_v2"]),
    ("any", recognize, &[""]),
];

#[derive(Clone, Debug)]
enum Change {
    Drop,
    Rename(bool),
    Replace(Value),
    /// As text that holds the JSON.
    Fold,
    Nest(u8),
    Repeat(u16),
}

/// Where in a document, by a number a level, and what is changed there.
type Edit = (Vec<u16>, Change);

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        Just(json!(1e308)),
        Just(json!("")),
        Just(json!("/subscriptions/")),
        Just(json!("arn:aws:::")),
        Just(json!("//./projects//")),
        Just(json!("2026-02-30T25:61:61Z")),
        Just(json!("[{\"a\":")),
        "\\PC{0,12}".prop_map(Value::from),
        "[/:.{}\\[\\]\"\\\\<>&é𝄞-]{0,24}".prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-zA-Z]{1,8}",
        Just("id".to_owned()),
        Just("type".to_owned()),
        Just("properties".to_owned()),
        Just("finding".to_owned()),
        Just("detail".to_owned()),
        Just("class_uid".to_owned()),
        Just("metadata".to_owned()),
        Just("Resources".to_owned()),
    ];
    scalar().prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let change = prop_oneof![
        3 => Just(Change::Drop),
        2 => any::<bool>().prop_map(Change::Rename),
        4 => scalar().prop_map(Change::Replace),
        2 => tree().prop_map(Change::Replace),
        1 => Just(Change::Fold),
        1 => any::<u8>().prop_map(Change::Nest),
        1 => (0_u16..2_000).prop_map(Change::Repeat),
    ];
    prop::collection::vec((prop::collection::vec(any::<u16>(), 1..7), change), 1..5)
}

/// Goes down as far as the document goes, then changes what is there.
fn edit(value: &mut Value, path: &[u16], change: &Change) {
    let (Some((at, rest)), false) = (path.split_first(), is_leaf(value)) else { return apply(value, change) };
    match value {
        Value::Object(members) => {
            let Some(name) = members.keys().nth(usize::from(*at) % members.len()).cloned() else { return };
            match (rest.is_empty(), change) {
                (true, Change::Drop) => drop(members.remove(&name)),
                (true, Change::Rename(upper)) => {
                    let value = members.remove(&name).unwrap_or_default();
                    members.insert(if *upper { name.to_uppercase() } else { name.to_lowercase() }, value);
                }
                _ => edit(members.get_mut(&name).expect("it is there"), rest, change),
            }
        }
        Value::Array(items) => {
            let at = usize::from(*at) % items.len();
            edit(&mut items[at], rest, change);
        }
        _ => {}
    }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn apply(value: &mut Value, change: &Change) {
    *value = match change {
        Change::Drop | Change::Rename(_) => Value::Null,
        Change::Replace(other) => other.clone(),
        Change::Fold => Value::String(value.to_string()),
        Change::Nest(levels) => (0..*levels).fold(value.take(), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) }),
        Change::Repeat(times) => Value::Array(vec![value.take(); usize::from(*times)]),
    };
}

/// Fails where what a reader gives cannot be used.
fn check(read: fn(&str) -> Normalized<'_>, text: &str) -> Result<(), TestCaseError> {
    let Ok(reading) = read(text) else { return Ok(()) };
    for finding in &reading.findings {
        prop_assert!(!finding.uid.trim().is_empty(), "a finding without an id");
        prop_assert!(serde_json::from_str::<Value>(&finding.raw).is_ok(), "what is kept of it is no JSON");
        let line = to_line(finding, 0).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(serde_json::from_str::<Value>(&line).is_ok(), "what is written of it is no JSON");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the settings of this test")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Tries a property for as many cases, or for as long, as is asked for. Gives how many cases there were.
fn attempt<S: Strategy>(name: &str, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) -> u64 {
    let cases = number("STANCH_CASES").unwrap_or(256);
    let until = number("STANCH_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut tried = 0;
    loop {
        let config = Config { cases: cases as u32, failure_persistence: None, ..Config::default() };
        match TestRunner::new(config).run(strategy, &property) {
            Ok(()) => tried += cases,
            Err(TestError::Fail(why, input)) => panic!("{name}: {why}\n{input:?}"),
            Err(TestError::Abort(why)) => panic!("{name}: {why}"),
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            return tried;
        }
    }
}

#[test]
fn arbitrary_json_is_read_or_refused() {
    for (name, read, _) in TARGETS {
        let tried = attempt(name, &tree(), |value| check(*read, &value.to_string()));
        println!("{name}: {tried} arbitrary documents");
    }
}

#[test]
fn changed_payloads_are_read_or_refused() {
    let Some(all) = read_all() else { return };
    for (name, read, families) in TARGETS {
        let payloads: Vec<Value> = all.iter().filter(|s| families.iter().any(|f| s.family.starts_with(f))).map(Sample::value).collect();
        assert!(!payloads.is_empty(), "{name}: no payload to change");
        let strategy = (any::<prop::sample::Index>(), edits());
        let tried = attempt(name, &strategy, |(index, edits)| {
            let mut value = index.get(&payloads).clone();
            for (path, change) in &edits {
                edit(&mut value, path, change);
            }
            check(*read, &value.to_string())
        });
        println!("{name}: {tried} changed payloads of {}", payloads.len());
    }
}

/// Every published payload cut off at every eighth of its length.
#[test]
fn a_payload_that_is_cut_off_is_refused_with_its_place() {
    let Some(all) = read_all() else { return };
    for sample in &all {
        for part in 1..8 {
            let at = sample.text.trim_end().len() * part / 8;
            let Some(text) = sample.text.get(..at) else { continue };
            let error = recognize(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains("not readable JSON at line"), "{} up to byte {at}: {error}", sample.file);
        }
    }
}
