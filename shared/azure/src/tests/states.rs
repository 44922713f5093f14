//! Azure Policy as a source, asked through the real signer.

use stanch_core::finding::{FindingStatus, Source, SourceRef};
use stanch_core::port::{FindingSource, SourceAnswer, WriteBack};

use super::server::answer;
use super::source::defender;
use crate::normalize_policy;

const RESOURCE: &str =
    "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/rg-shop/providers/microsoft.keyvault/vaults/shop-kv";
const QUERY: &str = "/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults?%24top=1000&api-version=2019-10-01";

/// A state as one shape of it gives it, and its row.
fn state() -> (SourceRef<'static>, String) {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/posture.json")).unwrap();
    let event = all["policy event"].to_string();
    let reference = normalize_policy(&event).unwrap().findings.remove(0).into_owned().source_ref;
    (reference, all["policy row"].to_string())
}

#[tokio::test]
async fn a_state_that_an_event_told_is_found_among_the_rows_of_its_resource() {
    let (reference, row) = state();
    let other = row.replace("/policyAssignments/Bench", "/policyAssignments/Other");
    let first = format!(
        r#"{{"@odata.nextLink":"https://management.azure.com{RESOURCE}/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults?api-version=2019-10-01&$skiptoken=p2","value":[{other}]}}"#
    );
    let (server, source) = defender(vec![answer(200, "", &first), answer(200, "", &format!(r#"{{"value":[{other},{row}]}}"#))]).await;
    let SourceAnswer::Found(finding) = source.fetch(Source::AzurePolicy, &reference).await.unwrap() else { panic!("absent") };
    assert_eq!((finding.uid.as_ref(), finding.status), (reference.id.as_ref(), FindingStatus::New));
    let asked: Vec<String> = server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(asked[0], format!("POST {RESOURCE}{QUERY}"));
    assert!(asked[1].starts_with(&format!("POST {RESOURCE}/")) && asked[1].contains("skiptoken=p2"), "{asked:?}");
}

#[tokio::test]
async fn a_state_that_no_row_has_is_absent_and_an_answer_that_is_none_is_an_error() {
    let (reference, row) = state();
    let other = row.replace("keyVaultPurge", "another");
    let (_server, source) = defender(vec![answer(200, "", &format!(r#"{{"value":[{other}]}}"#))]).await;
    assert_eq!(source.fetch(Source::AzurePolicy, &reference).await.unwrap(), SourceAnswer::Absent);

    let denied = r#"{"error":{"code":"AuthorizationFailed","message":"no right"}}"#;
    for (status, body, retry) in [(200, "{}", false), (403, denied, false), (503, "{}", true)] {
        let (_server, source) = defender(vec![answer(status, "", body)]).await;
        let error = source.fetch(Source::AzurePolicy, &reference).await.unwrap_err();
        assert_eq!(error.retry, retry, "{error}");
    }
    let nameless = SourceRef { id: RESOURCE.into(), ..SourceRef::default() };
    let (server, source) = defender(vec![]).await;
    assert!(!source.fetch(Source::AzurePolicy, &nameless).await.unwrap_err().retry);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_measurement_is_told_nothing_and_holds_nothing_up() {
    let (reference, _) = state();
    let (server, source) = defender(vec![]).await;
    source.write_back(Source::AzurePolicy, &reference, WriteBack::Fixed, "fixed").await.unwrap();
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn older_forms_are_asked_by_their_own_ids() {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/posture.json")).unwrap();
    for (name, source, version) in [
        ("compliance result", Source::DefenderAssessment, "2017-08-01"),
        ("task", Source::DefenderAssessment, "2015-06-01-preview"),
        ("sql scan", Source::DefenderSubAssessment, "2023-02-01-preview"),
    ] {
        let text = all[name].to_string();
        let finding = crate::normalize(&text).unwrap().findings.remove(0).into_owned();
        let (server, defender) = defender(vec![answer(200, "", &text)]).await;
        let SourceAnswer::Found(found) = defender.fetch(source, &finding.source_ref).await.unwrap() else { panic!("{name}: absent") };
        assert_eq!(found.uid, finding.uid, "{name}");
        let target = &server.seen()[0].target;
        assert!(target.ends_with(&format!("?api-version={version}")), "{name}: {target}");
        assert!(name != "sql scan" || target.contains("/scans/latest/scanResults/VA2063"), "{target}");
    }
}
