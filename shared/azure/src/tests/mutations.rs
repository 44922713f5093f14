//! Payloads changed at random, from seeds that are always the same: whatever comes, it is answered.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::normalize::MAX_PARTS;
use stanch_core::ocsf::to_line;

use super::carried::payloads;
use crate::{MAPPINGS, normalize};

const ALERTS: &[&str] = &[
    include_str!("../../fixtures/alert_export.json"),
    include_str!("../../fixtures/alert_arm.json"),
    include_str!("../../fixtures/alert_loganalytics.json"),
    include_str!("../../fixtures/alert_aws.json"),
    include_str!("../../fixtures/alert_subscription_sample.json"),
];
const ROUNDS: u64 = 150;

fn samples() -> Vec<Value> {
    ALERTS.iter().map(|json| serde_json::from_str(json).unwrap()).chain(payloads().into_iter().map(|(_, payload)| payload)).collect()
}

/// Xorshift: enough to reach every place, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides.max(1)
    }
}

fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out));
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| places(value, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

fn renamed(map: &Map<String, Value>, dice: &mut Dice) -> Map<String, Value> {
    let how = dice.roll(3);
    let rename = |name: &String| match how {
        0 => name.to_uppercase(),
        1 => name.to_lowercase(),
        _ => name.chars().map(|c| if c.is_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }).collect(),
    };
    map.iter().map(|(name, value)| (rename(name), value.clone())).collect()
}

fn change(value: &mut Value, dice: &mut Dice) {
    let old = value.take();
    *value = match (dice.roll(12), old) {
        (0 | 1, Value::Object(mut map)) => {
            let dropped = map.keys().nth(dice.roll(map.len())).cloned();
            dropped.map(|name| map.remove(&name));
            Value::Object(map)
        }
        (2, Value::Object(map)) => Value::Object(renamed(&map, dice)),
        (3, old) => Value::String(old.to_string()),
        (4, Value::String(text)) => Value::String(text.chars().rev().collect()),
        (5, old) => json!([old.clone(), old, null, {"$ref": "1"}]),
        (6, old) => json!({"value": old}),
        (7, old) => (0..90).fold(old, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"a": inner}) }),
        (8, Value::String(text)) => Value::String(text.repeat(500)),
        (8, old) => Value::Array(vec![old; 100]),
        (9, Value::Object(mut map)) => {
            (0..300).for_each(|i| drop(map.insert(format!("odd{i}"), json!("\u{fc}<&\u{0}[{"))));
            Value::Object(map)
        }
        (10, _) => json!([-1, 1e300, true, "", "\u{1f980}/subscriptions//providers/", "arn:::", "projects/"])[dice.roll(7)].clone(),
        (_, _) => Value::Null,
    };
}

#[test]
fn whatever_is_changed_an_answer_comes_and_each_finding_can_be_written() {
    let (mut read, mut none, mut refused) = (0, 0, 0);
    for (number, sample) in samples().iter().enumerate() {
        for round in 0..ROUNDS {
            let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (number as u64 * ROUNDS + round + 1));
            let mut payload = sample.clone();
            for _ in 0..=dice.roll(3) {
                let mut all = Vec::new();
                places(&payload, "", &mut all);
                let place = all.swap_remove(dice.roll(all.len()));
                change(payload.pointer_mut(&place).unwrap(), &mut dice);
            }
            let text = payload.to_string();
            let Ok(reading) = normalize(&text) else {
                refused += 1;
                continue;
            };
            for finding in &reading.findings {
                assert!(!finding.uid.is_empty() && !finding.raw.is_empty(), "{text}");
                let line = to_line(finding, 1).unwrap();
                assert!(serde_json::from_str::<Value>(&line).unwrap().is_object(), "{line}");
            }
            read += reading.findings.len();
            none += reading.passed_over.len();
        }
    }
    // Most changes cost one field, not the finding.
    assert!(read > 1_500 && none > 50 && refused > 50, "{read} findings, {none} passed over, {refused} refused");
}

/// What the mappings say is filled from the payload is filled. Unchanged payloads, and those with one field dropped.
#[test]
fn what_the_mappings_promise_is_written() {
    fn holds(value: &Value, path: &str) -> bool {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let (name, each) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let parsed;
        let value = match value {
            Value::String(text) => {
                parsed = serde_json::from_str(text).unwrap_or(Value::Null);
                &parsed
            }
            value => value,
        };
        let Some(map) = value.as_object() else { return false };
        let mut found = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let here = |value: &Value| match rest {
            Some(rest) => holds(value, rest),
            None => match value {
                Value::Null => false,
                Value::String(text) => !text.trim().is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty(),
                _ => true,
            },
        };
        found.any(|value| match value {
            Value::String(text) if each => serde_json::from_str::<Vec<Value>>(text).is_ok_and(|list| list.iter().any(here)),
            Value::Array(list) if each => list.iter().any(here),
            value => here(value),
        })
    }
    fn filled(line: &Value, field: &str) -> bool {
        let (name, rest) = field.split_once('.').map_or((field, None), |(name, rest)| (name, Some(rest)));
        let found = &line[name.trim_end_matches("[]")];
        let here = |value: &Value| rest.map_or(!value.is_null() && (name != "severity_id" || *value != 0), |rest| filled(value, rest));
        found.as_array().filter(|_| name.ends_with("[]")).map_or_else(|| here(found), |list| list.iter().any(here))
    }
    let mut wrong = String::new();
    let mut checked = 0;
    for sample in samples() {
        let mut payloads = vec![sample.clone()];
        for body in ["", "/properties", "/object/properties/alerts/0/properties"] {
            let names: Vec<String> =
                sample.pointer(body).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.clone()).collect();
            // Without `properties` there is nothing to fill from.
            for name in names.into_iter().filter(|name| name != "properties") {
                let mut payload = sample.clone();
                payload.pointer_mut(body).and_then(Value::as_object_mut).unwrap().remove(&name);
                payloads.push(payload);
            }
        }
        for payload in payloads {
            let text = payload.to_string();
            let Ok(reading) = normalize(&text) else { continue };
            for finding in &reading.findings {
                let raw: Value = serde_json::from_str(&finding.raw).unwrap();
                let line: Value = serde_json::from_str(&to_line(finding, 1).unwrap()).unwrap();
                let marked = |marks: &&[&str]| marks.iter().all(|mark| holds(&raw, mark));
                let Some(mapping) = MAPPINGS.iter().find(|mapping| mapping.marks.iter().any(marked)) else {
                    writeln!(wrong, "no mapping knows {raw}").unwrap();
                    continue;
                };
                for row in mapping.rows {
                    // Types and subscriptions are read off ARM ids; ids of other clouds do not tell them all.
                    let foreign = finding.cloud != Cloud::Azure && ["resources[].type", "cloud.account.uid"].contains(&row.field);
                    if foreign {
                        continue;
                    }
                    if let Some(path) = row.from.iter().find(|path| holds(&raw, path)) {
                        checked += 1;
                        if !filled(&line, row.field) {
                            writeln!(wrong, "{}: {} is not filled from {path}: {raw}", mapping.shape, row.field).unwrap();
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked > 3_000, "{checked}");
}

/// Ten thousand times the same resource, or as many different ones as a finding may name.
#[test]
fn many_resources_are_each_kept_once() {
    let id = |n: usize| format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm{n}");
    for (given, same, expected) in [(10_000, true, 1), (MAX_PARTS, false, MAX_PARTS)] {
        let named: Vec<Value> = (0..given).map(|n| json!({"AzureResourceId": id(if same { 0 } else { n })})).collect();
        let text = json!({"SystemAlertId": "a", "ResourceIdentifiers": named}).to_string();
        assert_eq!(normalize(&text).unwrap().findings[0].resources.len(), expected);
        let evidence: Vec<Value> = (0..given).map(|n| json!({"resourceId": id(if same { 0 } else { n })})).collect();
        let text = json!({"@odata.type": "#microsoft.graph.security.alert", "id": "a", "evidence": evidence}).to_string();
        assert_eq!(normalize(&text).unwrap().findings[0].resources.len(), expected);
    }
}
