use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{FindingStatus, Severity, Source};
use stanch_core::port::{FindingSource, Listed, Scope};

use super::loopback::Server;
use super::samples::files;
use super::source::{ok, source, target};

fn scope(account: &str) -> Scope {
    Scope { source: Source::Scc, cloud: Cloud::Gcp, account: account.to_owned(), region: None, having: None }
}

/// A row as the API publishes it, with a field no client library knows.
fn row(id: &str) -> Value {
    json!({
        "finding": {"name": format!("organizations/900/sources/5511/locations/global/findings/{id}"), "category": "PUBLIC_BUCKET_ACL",
            "parent": "organizations/900/sources/5511/locations/global", "resourceName": "//storage.googleapis.com/invoices",
            "state": "ACTIVE", "severity": "HIGH", "findingClass": "MISCONFIGURATION", "mute": "UNDEFINED",
            "eventTime": "2026-03-04T05:06:07Z", "createTime": "2026-03-04T05:06:08Z", "aNewField": {"x": 1}},
        "stateChange": "UNUSED",
        "resource": {"name": "//storage.googleapis.com/invoices", "type": "google.cloud.storage.Bucket", "location": "eu",
            "cloudProvider": "GOOGLE_CLOUD_PLATFORM",
            "gcpMetadata": {"project": "//cloudresourcemanager.googleapis.com/projects/7", "projectDisplayName": "billing-prod"}},
    })
}

#[tokio::test]
async fn active_findings_are_listed_page_by_page() {
    let server = Server::start(vec![
        ok(&json!({"listFindingsResults": [row("a"), row("b")], "nextPageToken": "p 2", "totalSize": 3})),
        ok(&json!({"listFindingsResults": [row("c")], "totalSize": 3})),
        ok(&json!({})),
    ])
    .await;
    let source = source(&server);
    let scope = scope("organizations/900");
    let first = source.list(&scope, Some(1_772_600_767_000), None).await.unwrap();
    let second = source.list(&scope, Some(1_772_600_767_000), first.next.as_deref()).await.unwrap();
    assert_eq!((first.findings.len(), first.next.as_deref()), (2, Some("p 2")));
    assert_eq!((second.findings.len(), second.next.as_deref()), (1, None));
    let regional = Scope { region: Some("eu".to_owned()), ..self::scope("projects/billing-prod") };
    assert_eq!(source.list(&regional, None, None).await.unwrap(), Listed::default());

    // As a notification says it, and with all its fields.
    let finding = &second.findings[0];
    let notified = crate::normalize(&row("c").to_string()).unwrap().findings.remove(0).into_owned();
    assert_eq!((&finding.uid, &finding.resources, &finding.source_ref), (&notified.uid, &notified.resources, &notified.source_ref));
    assert_eq!((finding.status, finding.severity), (FindingStatus::New, Severity::High));
    assert_eq!(finding.account.as_ref().unwrap().uid, "billing-prod");
    assert_eq!(serde_json::from_str::<Value>(&finding.raw).unwrap(), row("c"));

    let asked = server.asked().await;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let (call, query) = target(&asked[0]);
    assert_eq!(call, "GET /v2/organizations/900/sources/-/locations/global/findings");
    let filter = pair("filter", "state=\"ACTIVE\" AND event_time >= 1772600767000");
    assert_eq!(query, [filter.clone(), pair("orderBy", "name"), pair("pageSize", "200")]);
    assert_eq!(target(&asked[1]).1, [filter, pair("orderBy", "name"), pair("pageSize", "200"), pair("pageToken", "p 2")]);
    let (call, query) = target(&asked[2]);
    assert_eq!(call, "GET /v2/projects/billing-prod/sources/-/locations/eu/findings");
    assert_eq!(query[0], pair("filter", "state=\"ACTIVE\""));
    assert_eq!(asked[0].header("x-stanch-host"), Some("securitycenter.googleapis.com"));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_kept_and_a_scanners_own_error_is_left_out() {
    let mut broken = row("b");
    broken["finding"]["name"] = json!("not a name");
    let mut error = row("c");
    error["finding"]["findingClass"] = json!("SCC_ERROR");
    let server = Server::start(vec![ok(&json!({"listFindingsResults": [row("a"), broken, error, {"finding": {}}]}))]).await;
    let listed = source(&server).list(&scope("folders/12"), None, None).await.unwrap();
    assert_eq!(listed.findings.len(), 1);
    let [first, second] = listed.unread.as_slice() else { panic!("{:?}", listed.unread) };
    assert_eq!(serde_json::from_str::<Value>(&first.body).unwrap(), broken);
    assert!(first.why.contains("`finding.name` is not the name of a finding"), "{}", first.why);
    assert!(second.why.starts_with("not a finding stanch knows"), "{}", second.why);
}

#[tokio::test]
async fn refusals_name_what_is_missing_and_waits_are_tried_again() {
    let fault =
        |status: &str, reason: &str| json!({"error": {"status": status, "message": "m", "errors": [{"reason": reason}]}}).to_string();
    let cases = [
        (
            "403 Forbidden",
            fault("PERMISSION_DENIED", "forbidden"),
            false,
            "securitycenter.findings.list (roles/securitycenter.findingsViewer) on projects/p",
        ),
        ("401 Unauthorized", fault("UNAUTHENTICATED", "authError"), false, "hint: give stanch's identity securitycenter.findings.list"),
        ("400 Bad Request", fault("INVALID_ARGUMENT", "badRequest"), false, "400 INVALID_ARGUMENT: m"),
        ("429 Too Many Requests", fault("RESOURCE_EXHAUSTED", "quota"), true, "429 RESOURCE_EXHAUSTED: m"),
        ("503 Service Unavailable", String::new(), true, "503"),
        ("200 OK", "[]".to_owned(), false, "no list of findings"),
    ];
    for (status, body, retry, expected) in cases {
        let server = Server::start(vec![(status, "", body)]).await;
        let error = source(&server).list(&scope("projects/p"), None, None).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot list finding `scc/gcp/projects/p` at scc"), "{error}");
        assert!(error.reason.contains(expected), "{error}");
        assert_eq!(error.retry, retry, "{error}");
    }

    let server = Server::start(Vec::new()).await;
    for account in ["billing-prod", "projects/", "projects/..", "projects/a/b", "projects/a?x", "organizations/1/sources/2", ""] {
        let error = source(&server).list(&scope(account), None, None).await.unwrap_err();
        assert!(!error.retry && error.reason.contains("expected organizations/…"), "{error}");
    }
    let elsewhere = Scope { region: Some("eu/../x".to_owned()), ..scope("projects/p") };
    assert!(source(&server).list(&elsewhere, None, None).await.unwrap_err().reason.contains("is no scope"));
    let foreign = Scope { source: Source::SecurityHub, ..scope("projects/p") };
    assert!(source(&server).list(&foreign, None, None).await.unwrap_err().reason.contains("not of Security Command Center"));
    assert!(server.asked().await.is_empty());
}

/// Published notifications as rows of a list: what reads as a notification reads as a row.
#[tokio::test]
async fn published_findings_are_listed() {
    let published = files("scc");
    if published.is_empty() {
        return;
    }
    let rows: Vec<Value> = published
        .into_iter()
        .map(|(_, text)| serde_json::from_str::<Value>(&text).unwrap())
        .filter(|event| {
            event["finding"].is_object() && crate::normalize(&event.to_string()).is_ok_and(|reading| reading.findings.len() == 1)
        })
        .map(|event| json!({"finding": event["finding"], "resource": event["resource"]}))
        .collect();
    assert!(rows.len() >= 10, "{}", rows.len());
    let server = Server::start(vec![ok(&json!({"listFindingsResults": rows}))]).await;
    let listed = source(&server).list(&scope("organizations/1"), None, None).await.unwrap();
    assert_eq!((listed.findings.len(), listed.unread.as_slice()), (rows.len(), [].as_slice()));
    assert!(listed.findings.iter().all(|finding| !finding.uid.is_empty() && !finding.title.is_empty()));
}
