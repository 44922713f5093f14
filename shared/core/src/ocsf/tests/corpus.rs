//! Published samples: values written by hand from their payloads alone, and the mapping table as the judge of all of them.

use super::*;
use crate::normalize::{Mapping, Reading};

const EXPECTED: &str = include_str!("../../../tests/expected/ocsf.json");

/// The values at a path like `resources[].uid` or `resources[0].uid`, names in any case; only those that say something.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
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
fn unfilled(mappings: &[Mapping], payload: &Value, event: &Value) -> Vec<String> {
    let rows = mappings.iter().flat_map(|mapping| mapping.rows);
    let lacking = rows.filter(|row| row.from.iter().any(|path| !at(payload, path).is_empty()) && at(event, row.field).is_empty());
    lacking.map(|row| format!("{} from {:?}", row.field, row.from)).collect()
}

fn texts_of(family: &str) -> Vec<(String, String)> {
    let Some(samples) = folder("STANCH_SAMPLES") else { return Vec::new() };
    let mut files: Vec<PathBuf> = fs::read_dir(samples.join(family)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{family} is empty");
    files.into_iter().map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(file).unwrap())).collect()
}

fn read_all(text: &str) -> Reading<'_> {
    normalize(text).unwrap()
}

#[test]
fn published_samples_give_what_a_person_reads_in_them() {
    let Some(samples) = folder("STANCH_SAMPLES") else { return };
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let mut values = 0;
    for (file, findings) in expected.as_object().unwrap() {
        let text = fs::read_to_string(samples.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let reading = read_all(&text);
        let rules: Vec<Value> = reading.passed_over.iter().map(|rule| json!({"passed_over": rule.rule})).collect();
        let events: Vec<Value> = reading.findings.iter().map(|f| written(&Ocsf::new(f, RECEIVED))).chain(rules).collect();
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
fn whatever_the_table_names_is_filled_and_valid() {
    let schemas = folder("STANCH_OCSF_SCHEMA").map(|f| Schemas::read(&f));
    let own = [COMPLIANCE, DETECTION, VULNERABILITY, PROWLER, SECURITY_HUB_V2].map(|text| ("own".to_owned(), text.to_owned()));
    let published = ["ocsf", "securityhub_v2_ocsf"].into_iter().flat_map(texts_of);
    let (mut findings, mut elsewhere) = (0, 0);
    for (file, text) in own.into_iter().chain(published) {
        let reading = read_all(&text);
        assert_eq!(reading.faults.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new(), "{file}");
        elsewhere += reading.passed_over.len();
        for f in &reading.findings {
            let (payload, event) = (serde_json::from_str(&f.raw).unwrap(), written(&Ocsf::new(f, RECEIVED)));
            assert_eq!(unfilled(MAPPINGS, &payload, &event), Vec::<String>::new(), "{file}");
            if file != "own" {
                is_as_in_the_payload(f, &payload, &file);
            }
            if let Some(schemas) = &schemas {
                assert_eq!(schemas.problems(&event), Vec::<String>::new(), "{file}");
            }
            findings += 1;
        }
    }
    println!("{findings} findings, {elsewhere} passed over");
    let payload = json!({"class_uid": 2003, "severity_id": 4, "time": 1});
    assert!(
        unfilled(MAPPINGS, &payload, &json!({"class_uid": 2003})).iter().any(|row| row.starts_with("severity_id")),
        "the judge finds what is missing"
    );
}

fn is_as_in_the_payload(f: &Finding<'_>, payload: &Value, name: &str) {
    assert_eq!(payload["severity_id"], f.severity.id(), "{name}");
    assert_eq!(f.time.is_some(), payload.get("time").or(payload.get("time_dt")).is_some(), "{name}");
    assert!(!f.title.is_empty() && !f.uid.is_empty() && !f.product.name.is_empty(), "{name}");
    let uids =
        payload["resources"].as_array().map_or(0, |list| list.iter().filter(|r| r["uid"].is_string() || r["name"].is_string()).count());
    assert!(f.resources.len() >= uids, "{name}");
    if let Some(account) = payload["cloud"]["account"]["uid"].as_str().or(payload["cloud"]["account_uid"].as_str()) {
        assert_eq!(f.account.as_ref().unwrap().uid, account, "{name}");
        assert!(f.resources.iter().all(|r| r.account.is_some()), "{name}");
    }
    if payload["status_code"].is_string() {
        assert_eq!(f.class, FindingClass::Compliance, "{name}");
        assert_eq!(f.compliance.as_ref().unwrap().status == ComplianceStatus::Fail, payload["status_code"] == "FAIL", "{name}");
    }
}
