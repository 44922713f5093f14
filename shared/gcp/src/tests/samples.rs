//! Real payloads of the publishers named in the samples' manifest, read at run time.

use std::path::PathBuf;

use serde_json::Value;
use stanch_core::cloud::Cloud;
use stanch_core::finding::{FindingClass, Severity};
use stanch_core::json::Doc;
use stanch_core::normalize::NormalizeError;

use crate::{normalize, recognize};

/// The folder of samples, or nothing when this machine has none. On a build server their absence is a failure.
fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
    let var = |name| std::env::var(name).ok();
    let Some(folder) = var("STANCH_SAMPLES") else {
        println!("skipped: STANCH_SAMPLES is not set");
        return None;
    };
    let folder = PathBuf::from(folder);
    assert!(folder.is_dir() || var("CI").is_none(), "STANCH_SAMPLES names no folder");
    folder.is_dir().then_some(folder)
}

pub(super) fn files(family: &str) -> Vec<(String, String)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder.join(family)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn word<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_str()).filter(|text| !text.is_empty())
}

#[test]
fn every_finding_of_the_samples_is_read() {
    let (mut read, mut refused, mut with_severity, mut with_account) = (0, 0, 0, 0);
    for (file, text) in files("scc") {
        let json: Value = serde_json::from_str(&text).unwrap();
        assert!(recognize(Doc::read(&text).unwrap().root()).is_some(), "{file}: not recognised");
        let Some(native) = json.get("finding") else {
            let error = normalize(&text).unwrap_err();
            assert!(matches!(error, NormalizeError::NotAFinding { .. }), "{file}: {error}");
            refused += 1;
            continue;
        };
        let findings = normalize(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let [finding] = findings.as_slice() else { panic!("{file}: {} findings", findings.len()) };

        read += 1;
        let name = native["name"].as_str().unwrap();
        assert_eq!(finding.source_ref.id, name, "{file}");
        assert_eq!(finding.uid, name.split_once('/').and_then(|(_, rest)| rest.split_once('/')).unwrap().1, "{file}");
        assert_eq!(finding.rule.as_deref(), native["category"].as_str(), "{file}");
        assert_eq!(finding.resources[0].cloud, Cloud::Gcp, "{file}");
        let resource = word(&json, &["/finding/resourceName", "/finding/resource/name", "/resource/name"]);
        assert_eq!(Some(finding.resources[0].uid.as_ref()), resource, "{file}");
        let expected = match (native["findingClass"].as_str(), native["category"].as_str().unwrap()) {
            (Some("THREAT"), _) => FindingClass::Detection,
            (None, category) if category.contains(": ") => FindingClass::Detection,
            _ => FindingClass::Compliance,
        };
        assert_eq!(finding.class, expected, "{file}");
        if native["severity"].is_string() {
            assert_eq!(finding.severity_original.as_deref(), native["severity"].as_str(), "{file}");
            assert_ne!(finding.severity, Severity::Unknown, "{file}");
            with_severity += 1;
        }
        assert!(finding.time.is_some() && finding.created.is_some(), "{file}: times");

        let project = |name: &str| name.split_once("/projects/").map(|(_, rest)| rest.split('/').next().unwrap().to_owned());
        let said = word(&json, &["/finding/sourceProperties/ProjectId"]).map(str::to_owned).or_else(|| resource.and_then(project));
        let display = word(&json, &["/finding/resource/project_display_name", "/resource/projectDisplayName"]).map(str::to_owned);
        if said.is_some() || display.is_some() {
            let account = finding.account.as_ref().unwrap_or_else(|| panic!("{file}: no account")).uid.as_ref();
            assert!([&said, &display].into_iter().flatten().any(|known| known == account), "{file}: {account}");
            let number = account.bytes().all(|b| b.is_ascii_digit());
            assert!(!number || (display.is_none() && said.as_deref() == Some(account)), "{file}: {account}");
            with_account += 1;
        }
    }
    println!("scc: {read} read, {refused} no findings, {with_severity} with severity, {with_account} with account");
}

#[test]
fn other_logs_of_google_are_not_taken_for_findings() {
    let files = files("gcp_log_other");
    for (file, text) in &files {
        assert_eq!(recognize(Doc::read(text).unwrap().root()), None, "{file}");
        assert!(matches!(normalize(text), Err(NormalizeError::Unrecognised { .. })), "{file}");
    }
    println!("gcp_log_other: {} refused", files.len());
}
