//! Payloads published by others, read where `STANCH_SAMPLES` points.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stanch_core::finding::{Severity, Source};
use stanch_core::json::Doc;

use crate::{normalize, recognize};

#[expect(clippy::disallowed_methods, reason = "the samples' place is a setting of the test run, not of the product")]
pub(super) fn samples() -> Option<PathBuf> {
    let place = std::env::var("STANCH_SAMPLES").ok().map(PathBuf::from).filter(|place| place.is_dir());
    if place.is_none() {
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

#[test]
fn every_published_defender_event_normalises() {
    let Some(place) = samples() else { return };
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for family in ["defender_alert", "defender_alert_loganalytics", "defender_assessment", "defender_compliance", "defender_misc"] {
        for file in files(&place.join(family)) {
            let json = std::fs::read_to_string(&file).unwrap();
            let source = recognize(Doc::read(&json).unwrap().root());
            *counts.entry((family, source.map_or("other".to_owned(), |s| s.to_string()))).or_default() += 1;
            let Some(source) = source else {
                assert!(normalize(&json).is_err(), "{}", file.display());
                continue;
            };
            let findings = normalize(&json).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let [finding] = findings.as_slice() else { panic!("{}: {} findings", file.display(), findings.len()) };
            let file = file.display();
            assert_eq!(finding.source, source, "{file}");
            assert!(!finding.uid.is_empty() && !finding.title.is_empty(), "{file}");
            assert!(finding.rule.is_some(), "{file}");
            assert!(finding.account.as_ref().is_some_and(|a| a.uid.len() == 36), "{file}: {:?}", finding.account);
            assert!(
                finding.resources.iter().all(|r| r.uid.starts_with("/subscriptions/") || r.uid.starts_with("/SUBSCRIPTIONS/")),
                "{file}"
            );
            assert!(!finding.resources.is_empty(), "{file}");
            let says_severity = json.to_ascii_lowercase().contains("severity\":") && source != Source::DefenderCompliance;
            assert_eq!(finding.severity != Severity::Unknown, says_severity, "{file}: {:?}", finding.severity_original);
            if source == Source::DefenderAlert {
                assert!(finding.first_seen.is_some() && finding.time.is_some(), "{file}");
            } else {
                assert!(finding.compliance.is_some(), "{file}");
            }
        }
    }
    for ((family, kind), count) in &counts {
        println!("{family}: {count} {kind}");
    }
    let of = |family, kind: Source| counts.get(&(family, kind.to_string())).copied().unwrap_or_default();
    assert_eq!(of("defender_alert_loganalytics", Source::DefenderAlert), files(&place.join("defender_alert_loganalytics")).len());
    assert!(of("defender_alert", Source::DefenderAlert) >= 9);
    assert!(of("defender_assessment", Source::DefenderAssessment) >= 5);
    assert!(of("defender_assessment", Source::DefenderSubAssessment) >= 2);
    assert!(of("defender_compliance", Source::DefenderCompliance) >= 3);
}
