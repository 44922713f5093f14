//! Payloads published by others, read where `STANCH_SAMPLES` points.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stanch_core::finding::Source;
use stanch_core::normalize::NormalizeError;

use super::posture::unkept;
use crate::normalize;

#[expect(clippy::disallowed_methods, reason = "the samples' place is a setting of the test run, not of the product")]
pub(super) fn samples() -> Option<PathBuf> {
    let place = std::env::var("STANCH_SAMPLES").ok().map(PathBuf::from);
    if let Some(place) = &place {
        assert!(place.is_dir(), "STANCH_SAMPLES is no folder: {}", place.display());
    } else {
        assert!(std::env::var("CI").is_err(), "STANCH_SAMPLES must point to the samples in CI");
        println!("skipped: STANCH_SAMPLES is not set");
    }
    place
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "json"));
    files.sort();
    files
}

const POSTURE: &[&str] = &["defender_assessment", "defender_compliance", "defender_misc", "azure_policy"];
const ENVELOPES: &[&str] = &["eventgrid_native", "eventgrid_cloudevents", "functions_binding", "functions_custom_handler", "automations"];

/// What each file of a family turned out to be: sources, rules, scores or errors, with how many.
#[test]
fn every_published_measurement_is_read_or_passed_over_by_a_rule() {
    let Some(place) = samples() else { return };
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for family in POSTURE.iter().chain(ENVELOPES) {
        for file in files(&place.join(family)) {
            let json = std::fs::read_to_string(&file).unwrap();
            let file = file.display();
            let mut count = |what: String| *counts.entry((family, what)).or_default() += 1;
            let reading = match normalize(&json) {
                Ok(reading) => reading,
                // The specification of CloudEvents has words where the base64 would be.
                Err(NormalizeError::Field { field, .. }) if field == "data_base64" && ENVELOPES.contains(family) => {
                    count("unreadable".to_owned());
                    continue;
                }
                Err(error) => {
                    // Only what gives itself no type can be unknown: bodies of requests, descriptions of an API.
                    assert!(matches!(error, NormalizeError::Unrecognised { .. }), "{file}: {error}");
                    let value: Value = serde_json::from_str(&json).unwrap();
                    assert!(
                        value.get("type").is_none() && value.get("id").is_none() && value.get("eventType").is_none(),
                        "{file}: {error}"
                    );
                    count("unknown".to_owned());
                    continue;
                }
            };
            assert!(reading.faults.is_empty(), "{file}: {:?}", reading.faults);
            assert!(reading.findings.len() + reading.scores.len() + reading.passed_over.len() > 0, "{file}: nothing");
            reading.scores.iter().for_each(|_| count("score".to_owned()));
            reading.passed_over.iter().for_each(|rule| count(rule.rule.to_owned()));
            for finding in &reading.findings {
                count(finding.source.to_string());
                assert!(!finding.uid.is_empty() && !finding.title.is_empty(), "{file}");
                assert!(finding.rule.is_some() && finding.compliance.is_some() && finding.account.is_some(), "{file}");
                assert!(finding.resources.iter().all(|r| r.uid.contains('/') && r.kind.is_some()), "{file}");
                assert_eq!(finding.resources.len(), 1, "{file}");
                let line: Value = serde_json::from_str(&stanch_core::ocsf::to_line(finding, 0).unwrap()).unwrap();
                assert_eq!(unkept(&serde_json::from_str(&finding.raw).unwrap(), &line), Vec::<String>::new(), "{file}");
            }
        }
    }
    for ((family, what), count) in &counts {
        println!("{family}: {count} {what}");
    }
    let of = |family, what: &str| counts.get(&(family, what.to_owned())).copied().unwrap_or_default();
    assert!(of("defender_assessment", Source::DefenderAssessment.as_str()) >= 3);
    assert!(of("defender_assessment", Source::DefenderSubAssessment.as_str()) >= 2);
    assert!(of("defender_compliance", Source::DefenderCompliance.as_str()) >= 1);
    assert!(of("defender_misc", "score") >= 10);
    assert!(of("azure_policy", Source::AzurePolicy.as_str()) >= 10);
    assert!(of("eventgrid_native", Source::AzurePolicy.as_str()) >= 1);
    assert!(of("eventgrid_native", "event-grid-handshake") >= 1);
}
