//! Findings that were tampered with in every way: read or refused, never a panic, and nothing made up.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;
use stanch_core::normalize::MAX_PARTS;

use super::*;

pub(super) const FIXTURES: &[&str] = &[
    CONTROL,
    CONTROL_V2,
    VULNERABILITY,
    DETECTION,
    CIS,
    AZURE,
    include_str!("../../../fixtures/guardduty_event.json"),
    include_str!("../../../fixtures/inspector_event.json"),
    include_str!("../../../fixtures/exposure_v2.json"),
    include_str!("../../../fixtures/coverage_v2.json"),
    include_str!("../../../fixtures/insight_event.json"),
];

#[derive(Clone, Debug)]
enum Change {
    Drop,
    Rename(bool),
    Twice,
    Retype(Value),
    Nest(usize),
    Repeat(usize),
    Lengthen(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[-:/.a-zé ]{0,24}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[{"a": [null]}], "x", 7])),
        Just(json!({"Id": {"Id": "x"}, "": "", "arn:": "arn:::"})),
        Just(json!("arn:aws:s3")),
        Just(json!("9999999999999999999999999")),
        Just(json!("+99999-12-31T99:99:99Z")),
    ];
    prop_oneof![
        Just(Change::Drop),
        any::<bool>().prop_map(Change::Rename),
        Just(Change::Twice),
        odd.prop_map(Change::Retype),
        (1_usize..140).prop_map(Change::Nest),
        (1_usize..300).prop_map(Change::Repeat),
        (1_usize..40_000).prop_map(Change::Lengthen),
    ]
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(nodes).sum(),
        Value::Array(list) => list.iter().map(nodes).sum(),
        _ => 0,
    }
}

/// Changes the value that is the nth below this one; `at` counts down to it.
fn apply(value: &mut Value, at: &mut usize, change: &Change) {
    if let Value::Object(map) = value {
        let names: Vec<String> = map.keys().cloned().collect();
        for name in names {
            if *at == 1 {
                *at = 0;
                return member(map, &name, change);
            }
            let inner = map.get_mut(&name).unwrap();
            *at -= 1;
            apply(inner, at, change);
            if *at == 0 {
                return;
            }
        }
    } else if let Value::Array(list) = value {
        for item in list {
            if *at == 1 {
                *at = 0;
                return alter(item, change);
            }
            *at -= 1;
            apply(item, at, change);
            if *at == 0 {
                return;
            }
        }
    }
}

fn member(map: &mut Map<String, Value>, name: &str, change: &Change) {
    match change {
        Change::Drop => drop(map.remove(name)),
        Change::Rename(upper) => {
            let value = map.remove(name).unwrap();
            map.insert(if *upper { name.to_uppercase() } else { name.to_lowercase() }, value);
        }
        Change::Twice => drop(map.insert(name.to_uppercase(), json!({"other": [1]}))),
        other => alter(map.get_mut(name).unwrap(), other),
    }
}

fn alter(value: &mut Value, change: &Change) {
    match change {
        Change::Drop | Change::Rename(_) | Change::Twice => *value = Value::Null,
        Change::Retype(odd) => *value = odd.clone(),
        Change::Nest(depth) => {
            *value = (0..*depth).fold(value.take(), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({"a": inner}) });
        }
        Change::Repeat(times) => *value = Value::Array(vec![value.clone(); *times]),
        Change::Lengthen(length) => *value = Value::String("é/:".repeat(*length)),
    }
}

/// Whatever is read can be written, and stands in the delivery.
fn check(text: &str) {
    let Ok(reading) = normalize(text) else { return };
    for finding in &reading.findings {
        assert!(!finding.uid.is_empty(), "{finding:?}");
        assert!(text.contains(&*finding.raw), "{}", finding.raw);
        let line = stanch_core::ocsf::to_line(finding, 0).unwrap();
        assert!(!line.contains('\n'), "{line}");
    }
}

/// What is said once and belongs to many is not kept many times over.
#[test]
fn a_long_text_beside_a_long_list_does_not_multiply() {
    let long = "\u{1}é".repeat(100_000);
    let asff = minimal(|f| {
        f["AwsAccountId"] = json!(long);
        f["AwsAccountName"] = json!(long);
        f["Resources"] = json!(vec![json!({"Id": "x"}); MAX_PARTS]);
    });
    let guardduty = json!({
        "arn": "arn:aws:guardduty:r:1:detector/d/finding/f", "partition": long, "region": long, "accountId": long,
        "resource": {"s3BucketDetails": vec![json!({"name": "b"}); MAX_PARTS]},
    });
    let inspector = json!({
        "findingArn": "arn:aws:inspector2:r:1:finding/f", "awsAccountId": long,
        "resources": vec![json!({"id": "i-1", "type": "AWS_EC2_INSTANCE", "region": "r"}); MAX_PARTS],
    });
    let mut exposure: Value = serde_json::from_str(include_str!("../../../fixtures/exposure_v2.json")).unwrap();
    let values: Vec<_> = (0..MAX_PARTS).map(|n| n.to_string()).collect();
    exposure["finding_info"]["related_events"] = json!([{"tags": [{"name": long, "values": values}]}]);
    for text in [asff, guardduty.to_string(), inspector.to_string(), exposure.to_string()] {
        let f = one(&text);
        assert!(f.resources.len() == MAX_PARTS || f.risk.as_ref().unwrap().factors.len() == MAX_PARTS);
        let line = stanch_core::ocsf::to_line(&f, 0).unwrap();
        assert!(line.len() < 12 * text.len(), "{} of {}", line.len(), text.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tampered_findings_never_panic(fixture in 0..FIXTURES.len(), changes in vec((any::<prop::sample::Index>(), change()), 1..6)) {
        let mut value: Value = serde_json::from_str(FIXTURES[fixture]).unwrap();
        for (at, change) in &changes {
            // What was repeated once is not repeated again and again.
            if nodes(&value) < 50_000 {
                match at.index(nodes(&value)) {
                    0 => alter(&mut value, change),
                    mut at => apply(&mut value, &mut at, change),
                }
            }
        }
        check(&value.to_string());
    }

    #[test]
    fn truncated_and_garbled_text_never_panics(fixture in 0..FIXTURES.len(), at in any::<prop::sample::Index>(), with in "\\PC{0,3}") {
        let text = FIXTURES[fixture];
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (head, tail) = text.split_at(at);
        check(head);
        check(&format!("{head}{with}{tail}"));
    }

    #[test]
    fn names_in_any_case_give_the_same_finding(upper in any::<bool>(), at in any::<prop::sample::Index>()) {
        // Keys of a product's own and tags are not names of the format.
        fn recased(value: &Value, upper: bool, at: usize) -> Value {
            match value {
                Value::Object(map) => map.iter().map(|(name, value)| {
                    let new = if name.len() % 3 == at { name.clone() } else if upper { name.to_uppercase() } else { name.to_lowercase() };
                    let own = ["ProductFields", "Tags"].contains(&name.as_str());
                    (new, if own { value.clone() } else { recased(value, upper, at) })
                }).collect(),
                Value::Array(list) => list.iter().map(|value| recased(value, upper, at)).collect(),
                other => other.clone(),
            }
        }
        for fixture in [VULNERABILITY, DETECTION, CIS, AZURE] {
            let value: Value = serde_json::from_str(fixture).unwrap();
            let text = recased(&value, upper, at.index(3)).to_string();
            let (mut changed, mut plain) = (one(&text), one(fixture));
            (changed.raw, plain.raw) = Default::default();
            prop_assert_eq!(changed, plain);
        }
    }
}
