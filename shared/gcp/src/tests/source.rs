use serde_json::{Value, json};
use stanch_core::finding::{FindingStatus, Severity, Source, SourceRef};
use stanch_core::port::{FindingSource, SourceAnswer, WriteBack};

use super::loopback::{Asked, Server};
use crate::{Endpoint, SccSource};

const V1: &str = "organizations/900/sources/5511/findings/ab12";
const V2: &str = "organizations/900/sources/5511/locations/global/findings/ab12";

pub(super) fn source(server: &Server) -> SccSource {
    SccSource::new(Endpoint::Loopback(server.address.clone())).unwrap()
}

fn reference(id: &str) -> SourceRef<'_> {
    SourceRef { id: id.into(), ..SourceRef::default() }
}

pub(super) fn ok(body: &Value) -> (&'static str, &'static str, String) {
    ("200 OK", "", body.to_string())
}

/// Method, path and the decoded query parameters that are ours.
pub(super) fn target(asked: &Asked) -> (String, Vec<(String, String)>) {
    let mut words = asked.line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let url = reqwest::Url::parse(&format!("http://127.0.0.1{path}")).unwrap();
    let query =
        url.query_pairs().filter(|(key, _)| !key.starts_with('$')).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    (format!("{method} {}", url.path()), query)
}

fn mask(asked: &Asked) -> String {
    target(asked).1.into_iter().find(|(key, _)| key == "updateMask").unwrap().1
}

#[tokio::test]
async fn writing_back_touches_our_own_marks_only() {
    for (status, word, state) in
        [(WriteBack::InProgress, "in-progress", None), (WriteBack::Fixed, "fixed", Some(2)), (WriteBack::Reopened, "reopened", Some(1))]
    {
        let mut answers = vec![ok(&json!({}))];
        answers.extend(state.map(|_| ok(&json!({"name": V2}))));
        let server = Server::start(answers).await;
        source(&server).write_back(Source::Scc, &reference(V1), status, " plan 7f3a ").await.unwrap();
        let asked = server.asked().await;

        assert_eq!(target(&asked[0]).0, format!("PATCH /v2/{V2}/securityMarks"));
        assert_eq!(mask(&asked[0]), "marks.stanch,marks.stanch-note");
        assert_eq!(asked[0].json()["marks"], json!({"stanch": word, "stanch-note": "plan 7f3a"}));
        assert_eq!(asked[0].header("authorization"), None);
        if let Some(state) = state {
            assert_eq!(target(&asked[1]).0, format!("POST /v2/{V2}:setState"));
            assert_eq!(asked[1].json(), json!({"state": state}));
        }
    }
}

#[tokio::test]
async fn no_note_takes_an_old_note_away_and_a_long_one_is_cut() {
    let server = Server::start(vec![ok(&json!({})), ok(&json!({}))]).await;
    let source = source(&server);
    source.write_back(Source::Scc, &reference(V2), WriteBack::InProgress, "  ").await.unwrap();
    source.write_back(Source::Scc, &reference(V2), WriteBack::InProgress, &"ä".repeat(5000)).await.unwrap();
    let asked = server.asked().await;
    assert_eq!(mask(&asked[0]), "marks.stanch,marks.stanch-note");
    assert_eq!(asked[0].json()["marks"], json!({"stanch": "in-progress"}));
    assert_eq!(asked[1].json()["marks"]["stanch-note"].as_str().unwrap().chars().count(), 4096);
}

#[tokio::test]
async fn a_mute_is_set_and_lifted() {
    let server = Server::start(vec![ok(&json!({"name": V2})), ok(&json!({"name": V2}))]).await;
    let source = source(&server);
    source.mute(V1, true).await.unwrap();
    source.mute(V2, false).await.unwrap();
    let asked = server.asked().await;
    for (asked, mute) in asked.iter().zip([1, 2]) {
        assert_eq!(target(asked).0, format!("POST /v2/{V2}:setMute"));
        assert_eq!(asked.json(), json!({"mute": mute}));
    }
}

#[tokio::test]
async fn a_finding_is_fetched_by_name_whatever_form_the_enums_have() {
    let finding = |state: Value, severity: Value, mute: Value, class: Value| {
        json!({"listFindingsResults": [
            {"finding": {"name": "organizations/900/sources/5511/locations/global/findings/other", "category": "OPEN_FIREWALL"}},
            {"finding": {"name": V2, "category": "PUBLIC_BUCKET_ACL", "resourceName": "//storage.googleapis.com/invoices", "state": state,
                "severity": severity, "mute": mute, "findingClass": class, "eventTime": "2026-03-04T05:06:07Z"},
             "resource": {"name": "//storage.googleapis.com/invoices", "type": "google.cloud.storage.Bucket", "cloudProvider": 1,
                "location": "eu", "gcpMetadata": {"project": "//cloudresourcemanager.googleapis.com/projects/7", "projectDisplayName": "billing-prod"}}}
        ]})
    };
    let server = Server::start(vec![
        ok(&finding(json!(2), json!(2), json!(4), json!(3))),
        ok(&finding(json!("ACTIVE"), json!("CRITICAL"), json!("MUTED"), json!("MISCONFIGURATION"))),
    ])
    .await;
    let source = source(&server);
    let mut found = Vec::new();
    for _ in 0..2 {
        match source.fetch(Source::Scc, &reference(V1)).await.unwrap() {
            SourceAnswer::Found(finding) => found.push(finding),
            SourceAnswer::Absent => panic!("absent"),
        }
    }
    assert_eq!((found[0].status, found[0].severity), (FindingStatus::Resolved, Severity::High));
    assert_eq!((found[1].status, found[1].severity), (FindingStatus::Suppressed, Severity::Critical));
    for finding in &found {
        assert_eq!(finding.uid, "sources/5511/findings/ab12");
        assert_eq!(finding.rule.as_deref(), Some("PUBLIC_BUCKET_ACL"));
        assert_eq!(finding.resources[0].uid, "//storage.googleapis.com/invoices");
        assert_eq!(finding.resources[0].kind.as_deref(), Some("google.cloud.storage.Bucket"));
        assert_eq!(finding.account.as_ref().unwrap().uid, "billing-prod");
        assert_eq!(finding.region.as_deref(), Some("eu"));
        assert_eq!(finding.time, Some(1_772_600_767_000));
    }
    let (call, query) = target(&server.asked().await[0]);
    assert_eq!(call, "GET /v2/organizations/900/sources/5511/locations/global/findings");
    assert!(query.contains(&("filter".to_owned(), format!("name=\"{V2}\" OR name=\"{V1}\""))), "{query:?}");
}

#[tokio::test]
async fn an_empty_list_means_absent_and_pages_are_followed() {
    let name = "projects/billing-prod/sources/5511/locations/eu/findings/ab12";
    let server = Server::start(vec![ok(&json!({"nextPageToken": "p2"})), ok(&json!({}))]).await;
    assert_eq!(source(&server).fetch(Source::Scc, &reference(name)).await.unwrap(), SourceAnswer::Absent);
    let asked = server.asked().await;
    let (call, query) = target(&asked[0]);
    assert_eq!(call, "GET /v2/projects/billing-prod/sources/5511/locations/eu/findings");
    assert!(query.contains(&("filter".to_owned(), format!("name=\"{name}\""))), "{query:?}");
    assert!(target(&asked[1]).1.contains(&("pageToken".to_owned(), "p2".to_owned())));
}

#[tokio::test]
async fn refusals_say_whether_trying_again_can_help() {
    let server = Server::start(vec![
        (
            "403 Forbidden",
            "",
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"needs securitycenter.findings.list"}}"#.to_owned(),
        ),
        ("503 Service Unavailable", "", r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"later"}}"#.to_owned()),
    ])
    .await;
    let source = source(&server);
    let refused = source.fetch(Source::Scc, &reference(V1)).await.unwrap_err();
    assert!(!refused.retry);
    assert!(refused.to_string().contains("cannot fetch finding `organizations/900/sources/5511/findings/ab12` at scc"), "{refused}");
    assert!(refused.reason.contains("needs securitycenter.findings.list"), "{refused}");
    assert!(source.write_back(Source::Scc, &reference(V1), WriteBack::Fixed, "").await.unwrap_err().retry);

    for bad in ["ab12", "organizations/900/sources/5511/findings/a\" OR name=\"b", "organizations/../sources/1/findings/2"] {
        let error = source.fetch(Source::Scc, &reference(bad)).await.unwrap_err();
        assert!(!error.retry && error.reason.contains("expected {organizations|folders|projects}"), "{error}");
    }
    assert!(source.fetch(Source::SecurityHub, &reference(V1)).await.is_err());
    assert!(SccSource::new(Endpoint::Loopback("http://10.0.0.1".to_owned())).is_err());
}
