//! How much of what a payload holds is filled. Where a field comes from is said by the connectors' mappings, which the reference
//! shows as well: a field that is in the payload, and not in what is written of it, is a fault of one of both.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::json::{Doc, Json};
use stanch_core::normalize::Mapping;
use stanch_entry::recognize::mappings;

use crate::sample::{Read, Sample};

/// The fields that rules and fixes stand on.
pub(crate) const KEY_FIELDS: &[&str] = &[
    "resources[].uid",
    "resources[].type",
    "resources[].region",
    "cloud.account.uid",
    "compliance.control",
    "severity_id",
    "status_id",
    "time",
];

/// One field over all findings.
pub(crate) struct Rate {
    pub(crate) field: &'static str,
    /// Findings whose payload holds it, and those where it is filled.
    pub(crate) held: usize,
    pub(crate) filled: usize,
    /// Files where it is held and not filled, with the path in the payload.
    pub(crate) missing: Vec<String>,
}

pub(crate) fn rates(samples: &[Sample]) -> Vec<Rate> {
    let mut rates: BTreeMap<&'static str, Rate> = BTreeMap::new();
    for sample in samples {
        for read in &sample.findings {
            let doc = Doc::read(&read.finding.raw).unwrap_or_else(|e| panic!("{}: what is kept of it is no JSON: {e}", sample.file));
            let Some(mapping) = mapping_of(read, doc.root()) else { panic!("{}: no mapping says how it is known", sample.file) };
            for row in mapping.rows {
                let Some(path) = row.from.iter().find(|path| holds(doc.root(), path)) else { continue };
                let rate = rates.entry(row.field).or_insert(Rate { field: row.field, held: 0, filled: 0, missing: Vec::new() });
                rate.held += 1;
                if is_filled(read, row.field) {
                    rate.filled += 1;
                } else {
                    rate.missing.push(format!("{} ({path})", sample.file));
                }
            }
        }
    }
    rates.into_values().collect()
}

fn mapping_of(read: &Read, payload: Json<'_, '_>) -> Option<&'static Mapping> {
    mappings(read.finding.source).iter().find(|mapping| mapping.marks.iter().any(|marks| marks.iter().all(|mark| holds(payload, mark))))
}

/// Whether a payload has something at a path such as `Resources[].Details`. Text that holds JSON is looked into.
fn holds(value: Json<'_, '_>, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (name, each) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let found = value.get(name);
    let here = |value: Json<'_, '_>| rest.map_or_else(|| says_something(value), |rest| holds(value, rest));
    if let Some(text) = found.text().filter(|text| (rest.is_some() || each) && text.trim_start().starts_with(['{', '['])) {
        return Doc::read(&text).is_ok_and(|doc| if each { doc.root().items().any(here) } else { here(doc.root()) });
    }
    if each && found.is_list() { found.items().any(here) } else { here(found) }
}

fn says_something(value: Json<'_, '_>) -> bool {
    if value.is_object() {
        return value.members().next().is_some();
    }
    if value.is_list() {
        return value.items().next().is_some();
    }
    value.is_present()
}

fn is_filled(read: &Read, field: &str) -> bool {
    fn at(value: &Value, path: &str) -> bool {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let (name, each) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let Some(found) = value.get(name) else { return false };
        let here = |value: &Value| rest.map_or(!value.is_null(), |rest| at(value, rest));
        if each { found.as_array().is_some_and(|list| list.iter().any(here)) } else { here(found) }
    }
    let id = |pointer: &str| read.line.pointer(&format!("/{pointer}")).and_then(Value::as_u64).is_some_and(|id| id != 0);
    match field {
        // `Unknown` is written for what the payload does not say.
        "severity_id" | "status_id" => id(field),
        // Some words for a check's outcome mean neither pass nor fail (`NotApplicable`): then the word stands beside the number.
        "compliance.status_id" => id("compliance/status_id") || at(&read.line, "compliance.status_code"),
        _ => at(&read.line, field),
    }
}
