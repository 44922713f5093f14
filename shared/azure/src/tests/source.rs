//! Defender as a source, asked through the real signer.

use std::sync::Arc;

use stanch_core::finding::{FindingStatus, Source, SourceRef};
use stanch_core::port::{FindingSource, SourceAnswer, WriteBack};

use super::server::{Server, answer};
use crate::{AzureApi, Credentials, DefenderSource, Endpoint};

const ALERT: &str = include_str!("../../fixtures/alert_arm.json");
const ASSESSMENT: &str = include_str!("../../fixtures/assessment_unhealthy.json");
const NAME: &str = "2517000000000000001_aaaaaaaa-0000-4000-8000-000000000001";
const SUB: &str = "/subscriptions/11111111-2222-4333-8444-555555555555";
const NOT_FOUND: &str = r#"{"error":{"code":"ResourceNotFound","message":"none"}}"#;
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

pub(super) async fn defender(answers: Vec<String>) -> (Server, DefenderSource) {
    let server = Server::start(answers).await;
    let api = AzureApi::new(Credentials::Fixed("t".to_owned()), Endpoint::Loopback(server.address.clone())).unwrap();
    (server, DefenderSource::new(Arc::new(api)))
}

fn reference() -> SourceRef<'static> {
    SourceRef {
        id: NAME.into(),
        product: None,
        location: Some("westeurope".into()),
        account: Some("11111111-2222-4333-8444-555555555555".into()),
        resource_group: Some("rg-shop".into()),
    }
}

fn asked(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}

#[tokio::test]
async fn an_alert_is_fetched_from_its_group() {
    let (server, defender) = defender(vec![answer(200, "", ALERT)]).await;
    let SourceAnswer::Found(finding) = defender.fetch(Source::DefenderAlert, &reference()).await.unwrap() else { panic!("absent") };
    assert_eq!((finding.uid.as_ref(), finding.status), (NAME, FindingStatus::New));
    assert_eq!(
        asked(&server),
        [format!(
            "GET {SUB}/resourceGroups/rg-shop/providers/Microsoft.Security/locations/westeurope/alerts/{NAME}?api-version=2022-01-01"
        )]
    );
}

#[tokio::test]
async fn an_alert_can_be_named_by_its_arm_id() {
    let (server, defender) = defender(vec![answer(200, "", ALERT)]).await;
    let id = format!("{SUB}/providers/Microsoft.Security/locations/centralus/alerts/{NAME}");
    let reference = SourceRef { id: id.clone().into(), ..SourceRef::default() };
    assert!(matches!(defender.fetch(Source::DefenderAlert, &reference).await.unwrap(), SourceAnswer::Found(_)));
    assert_eq!(asked(&server), [format!("GET {id}?api-version=2022-01-01")]);
}

#[tokio::test]
async fn an_alert_counts_as_absent_only_when_neither_level_holds_it() {
    let (server, defender) = defender(vec![answer(404, "", NOT_FOUND), answer(404, "", NOT_FOUND)]).await;
    assert_eq!(defender.fetch(Source::DefenderAlert, &reference()).await.unwrap(), SourceAnswer::Absent);
    assert_eq!(
        asked(&server)[1],
        format!("GET {SUB}/providers/Microsoft.Security/locations/westeurope/alerts/{NAME}?api-version=2022-01-01")
    );
}

#[tokio::test]
async fn an_invisible_subscription_or_a_refusal_is_not_absence() {
    let gone = r#"{"error":{"code":"SubscriptionNotFound","message":"not visible"}}"#;
    let denied = r#"{"error":{"code":"AuthorizationFailed","message":"no right"}}"#;
    for (status, body, expected, retry) in
        [(404, gone, "SubscriptionNotFound", false), (403, denied, "Security Reader", false), (429, "", "Http429", true)]
    {
        let (_server, defender) = defender(vec![answer(status, "", body)]).await;
        let error = defender.fetch(Source::DefenderAlert, &reference()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot fetch finding `{NAME}` at defender-alert: {status}")), "{error}");
        assert!(error.reason.contains(expected), "{error}");
        assert_eq!(error.retry, retry);
    }
}

#[tokio::test]
async fn an_alert_of_unknown_location_is_searched_page_by_page() {
    let first = format!(
        r#"{{"value":[{{"name":"other"}}],"nextLink":"https://management.azure.com{SUB}/providers/Microsoft.Security/alerts?api-version=2022-01-01&$skiptoken=p2"}}"#
    );
    let second = format!(r#"{{"value":[{ALERT}]}}"#);
    let (server, defender) = defender(vec![answer(200, "", &first), answer(200, "", &second)]).await;
    let reference = SourceRef { location: None, ..reference() };
    let SourceAnswer::Found(finding) = defender.fetch(Source::DefenderAlert, &reference).await.unwrap() else { panic!("absent") };
    assert_eq!(finding.source_ref.location.as_deref(), Some("westeurope"));
    assert_eq!(
        asked(&server),
        [
            format!("GET {SUB}/providers/Microsoft.Security/alerts?api-version=2022-01-01"),
            format!("GET {SUB}/providers/Microsoft.Security/alerts?%24skiptoken=p2&api-version=2022-01-01"),
        ]
    );
}

#[tokio::test]
async fn a_page_link_to_another_host_is_not_followed() {
    let page = r#"{"value":[],"nextLink":"https://example.com/x"}"#;
    let (server, defender) = defender(vec![answer(200, "", page)]).await;
    let error = defender.fetch(Source::DefenderAlert, &SourceRef { location: None, ..reference() }).await.unwrap_err();
    assert!(error.reason.contains("does not lead to management.azure.com"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_about_another_alert_proves_nothing() {
    let (_server, defender) = defender(vec![answer(200, "", &ALERT.replace(NAME, "another"))]).await;
    let error = defender.fetch(Source::DefenderAlert, &reference()).await.unwrap_err();
    assert!(error.reason.contains("another finding"), "{error}");
}

#[tokio::test]
async fn recommendations_are_fetched_by_id_with_their_metadata() {
    let finding = crate::normalize(ASSESSMENT).unwrap().findings.remove(0);
    let (server, defender) = defender(vec![answer(200, "", ASSESSMENT), answer(404, "", NOT_FOUND)]).await;
    let found = defender.fetch(Source::DefenderAssessment, &finding.source_ref).await.unwrap();
    assert!(matches!(found, SourceAnswer::Found(found) if found.uid == finding.uid));
    assert_eq!(defender.fetch(Source::DefenderAssessment, &finding.source_ref).await.unwrap(), SourceAnswer::Absent);
    assert_eq!(asked(&server)[0], format!("GET {}?%24expand=metadata&api-version=2021-06-01", finding.source_ref.id));
}

#[tokio::test]
async fn statuses_go_to_alerts_and_nowhere_else() {
    let (server, defender) = defender(vec![NO_CONTENT.to_owned(); 3]).await;
    for status in [WriteBack::InProgress, WriteBack::Fixed, WriteBack::Reopened] {
        defender.write_back(Source::DefenderAlert, &reference(), status, "note").await.unwrap();
    }
    for source in [Source::DefenderAssessment, Source::DefenderSubAssessment, Source::DefenderCompliance] {
        defender.write_back(source, &reference(), WriteBack::Fixed, "note").await.unwrap();
    }
    let alert = format!("POST {SUB}/resourceGroups/rg-shop/providers/Microsoft.Security/locations/westeurope/alerts/{NAME}");
    assert_eq!(asked(&server), ["inProgress", "resolve", "activate"].map(|verb| format!("{alert}/{verb}?api-version=2022-01-01")));
}

#[tokio::test]
async fn a_status_finds_its_way_without_a_location() {
    let (server, defender) = defender(vec![answer(200, "", &format!(r#"{{"value":[{ALERT}]}}"#)), NO_CONTENT.to_owned()]).await;
    let reference = SourceRef { location: None, resource_group: None, ..reference() };
    defender.write_back(Source::DefenderAlert, &reference, WriteBack::Fixed, "").await.unwrap();
    assert_eq!(
        asked(&server)[1],
        format!(
            "POST {SUB}/resourceGroups/rg-shop/providers/Microsoft.Security/locations/westeurope/alerts/{NAME}/resolve?api-version=2022-01-01"
        )
    );
}

#[tokio::test]
async fn references_that_would_change_the_path_are_refused() {
    let (server, defender) = defender(vec![answer(200, "", "{}")]).await;
    for id in ["..", "a/b", "a?x=1", "a%2f..", "a\\b"] {
        let error = defender.fetch(Source::DefenderAlert, &SourceRef { id: id.into(), ..reference() }).await.unwrap_err();
        assert!(!error.retry && error.reason.contains("not usable in a path"), "{error}");
    }
    for id in [
        "/subscriptions/s/providers/Microsoft.Compute/virtualMachines/vm",
        "x",
        "/subscriptions/s/../t/providers/Microsoft.Security/assessments/k",
    ] {
        let error = defender.fetch(Source::DefenderAssessment, &SourceRef { id: id.into(), ..reference() }).await.unwrap_err();
        assert!(!error.retry, "{error}");
    }
    assert!(defender.fetch(Source::Scc, &reference()).await.unwrap_err().reason.contains("Defender for Cloud"));
    assert!(server.seen().is_empty());
}
