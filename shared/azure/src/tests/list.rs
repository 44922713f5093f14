//! Listing through Resource Graph, asked through the real signer.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{ComplianceStatus, FindingStatus, Source};
use stanch_core::port::{FindingSource, Listed, Scope};

use super::samples::{files, samples};
use super::server::{Server, answer};
use super::source::defender;

const SUB: &str = "11111111-2222-4333-8444-555555555555";
const SINCE: i64 = 1_772_600_767_000;

fn scope(source: Source) -> Scope {
    Scope { source, cloud: Cloud::Azure, account: SUB.to_owned(), region: None, having: None }
}

/// A document of the REST API as Resource Graph lays it out: the type in lower case, details of the resource in Pascal case.
fn row(document: &str) -> Value {
    let mut row: Value = serde_json::from_str(document).unwrap();
    if let Some(kind) = row["type"].as_str().map(str::to_ascii_lowercase) {
        row["type"] = kind.into();
    }
    if let Some(details) = row.pointer_mut("/properties/resourceDetails").and_then(Value::as_object_mut) {
        *details = details.iter().map(|(name, value)| (pascal(name), value.clone())).collect();
    }
    row
}

fn pascal(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

fn page(rows: &[Value], token: Option<&str>) -> String {
    let mut page = json!({"totalRecords": 3, "count": rows.len(), "data": rows, "facets": [], "resultTruncated": "false"});
    if let Some(token) = token {
        page["$skipToken"] = token.into();
    }
    answer(200, "x-ms-user-quota-remaining: 14\r\n", &page.to_string())
}

async fn list(server_page: String, source: Source) -> (Listed, Server) {
    let (server, defender) = defender(vec![server_page]).await;
    (defender.list(&scope(source), None, None).await.unwrap(), server)
}

fn query(server: &Server, at: usize) -> (Value, String) {
    let body: Value = serde_json::from_str(&server.seen()[at].body).unwrap();
    let query = body["query"].as_str().unwrap().to_owned();
    (body, query)
}

#[tokio::test]
async fn unhealthy_assessments_come_page_by_page() {
    let unhealthy = row(include_str!("../../fixtures/assessment_unhealthy.json"));
    let connected = row(include_str!("../../fixtures/assessment_aws.json"));
    let (server, defender) =
        defender(vec![page(std::slice::from_ref(&unhealthy), Some("t\"2")), page(std::slice::from_ref(&connected), None)]).await;
    let scope = scope(Source::DefenderAssessment);
    let first = defender.list(&scope, None, None).await.unwrap();
    let second = defender.list(&scope, None, first.next.as_deref()).await.unwrap();
    assert_eq!((first.next.as_deref(), second.next.as_deref()), (Some("t\"2"), None));

    // The same finding as by an event, under the same uid, so that nothing is taken in twice.
    let sent = crate::normalize(include_str!("../../fixtures/assessment_unhealthy.json")).unwrap().findings.remove(0);
    let listed = &first.findings[0];
    assert_eq!((&listed.uid, &listed.rule, &listed.resources[0].uid), (&sent.uid, &sent.rule, &sent.resources[0].uid));
    assert_eq!((listed.severity, listed.status), (sent.severity, FindingStatus::New));
    assert_eq!(listed.compliance.as_ref().unwrap().status, ComplianceStatus::Fail);
    assert_eq!(serde_json::from_str::<Value>(&listed.raw).unwrap(), unhealthy);
    assert_eq!(second.findings[0].cloud, Cloud::Aws);
    assert!(second.findings[0].resources[0].uid.starts_with("arn:"), "{}", second.findings[0].resources[0].uid);

    let seen = server.seen();
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].target, "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01");
    let (body, text) = query(&server, 0);
    assert_eq!((&body["subscriptions"], &body["options"]), (&json!([SUB]), &json!({"$top": 200, "resultFormat": "objectArray"})));
    assert_eq!(
        text,
        "securityresources | where type =~ 'microsoft.security/assessments' | where tostring(properties.status.code) =~ 'Unhealthy' \
         | project id, name, type, properties | order by id asc"
    );
    let (body, again) = query(&server, 1);
    assert_eq!((&body["options"]["$skipToken"], again), (&json!("t\"2"), text));
}

#[tokio::test]
async fn each_source_asks_for_its_own_rows_and_for_what_changed() {
    let cases = [
        (
            Source::DefenderAssessment,
            "=~ 'microsoft.security/assessments' ",
            " or todatetime(properties.status.statusChangeDate) >= datetime(2026-03-04T05:06:07Z) ",
        ),
        (
            Source::DefenderSubAssessment,
            "=~ 'microsoft.security/assessments/subassessments' ",
            " or todatetime(properties.timeGenerated) >= datetime(2026-03-04T05:06:07Z) ",
        ),
        (
            Source::DefenderCompliance,
            "/regulatorycompliancecontrols/regulatorycomplianceassessments' ",
            "tostring(properties.state) =~ 'Failed' |",
        ),
        (Source::DefenderAlert, "=~ 'microsoft.security/locations/alerts' ", " in~ ('Active', 'InProgress') |"),
    ];
    let (server, defender) = defender(vec![page(&[], None); cases.len()]).await;
    for (at, (source, kind, condition)) in cases.into_iter().enumerate() {
        assert_eq!(defender.list(&scope(source), Some(SINCE), None).await.unwrap(), Listed::default());
        let (_, text) = query(&server, at);
        assert!(text.contains(kind) && text.contains(condition), "{text}");
    }
    assert!(defender.list(&scope(Source::Scc), None, None).await.unwrap_err().reason.contains("Defender for Cloud"));
    let nowhere = Scope { account: String::new(), ..scope(Source::DefenderAlert) };
    assert!(defender.list(&nowhere, None, None).await.unwrap_err().reason.contains("no subscription"));
    assert_eq!(server.seen().len(), cases.len());
}

/// Resource Graph keeps alerts with the names of the export under `properties`.
#[tokio::test]
async fn an_alert_is_read_in_both_casings() {
    let camel = row(include_str!("../../fixtures/alert_arm.json"));
    let mut pascal_row = camel.clone();
    let properties = pascal_row["properties"].as_object_mut().unwrap();
    *properties = properties.iter().map(|(name, value)| (pascal(name), value.clone())).collect();
    let (listed, _server) = list(page(&[camel, pascal_row], None), Source::DefenderAlert).await;
    let [one, two] = listed.findings.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&one.uid, &one.title, &one.resources, &one.source_ref), (&two.uid, &two.title, &two.resources, &two.source_ref));
    assert_eq!((one.status, two.status), (FindingStatus::New, FindingStatus::New));
    assert_eq!(one.source_ref.location.as_deref(), Some("westeurope"));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_kept_and_one_that_is_no_finding_is_left_out() {
    let good = row(include_str!("../../fixtures/assessment_unhealthy.json"));
    let score = row(include_str!("../../fixtures/secure_score.json"));
    let nameless = json!({"type": "microsoft.security/assessments", "properties": {"status": {"code": "Unhealthy"}}});
    let rows = [nameless.clone(), good, score, json!({"id": "/subscriptions/s", "type": "microsoft.compute/disks"})];
    let (listed, _server) = list(page(&rows, None), Source::DefenderAssessment).await;
    assert_eq!(listed.findings.len(), 1);
    let [first, second] = listed.unread.as_slice() else { panic!("{:?}", listed.unread) };
    assert_eq!(serde_json::from_str::<Value>(&first.body).unwrap(), nameless);
    assert!(first.why.contains("field `id` is missing"), "{}", first.why);
    assert!(second.why.contains("microsoft.compute/disks"), "{}", second.why);
}

#[tokio::test]
async fn refusals_name_what_is_missing_and_waits_are_tried_again() {
    let cut = r#"{"data":[],"resultTruncated":"true"}"#;
    let cases = [
        (403, r#"{"error":{"code":"AuthorizationFailed","message":"no"}}"#, false, "Microsoft.ResourceGraph/resources/read"),
        (401, r#"{"error":{"code":"InvalidAuthenticationToken","message":"no"}}"#, false, "role Reader"),
        (400, r#"{"error":{"code":"BadRequest","message":"query"}}"#, false, "400 BadRequest: query"),
        (429, r#"{"error":{"code":"RateLimiting","message":"slow"}}"#, true, "429 RateLimiting"),
        (503, "", true, "503"),
        (200, r#"{"rows":1}"#, false, "no list of rows"),
        (200, cut, false, "no token for the next page"),
    ];
    for (status, body, retry, expected) in cases {
        let (_server, defender) = defender(vec![answer(status, "", body)]).await;
        let error = defender.list(&scope(Source::DefenderAlert), None, None).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot list finding `defender-alert/azure/{SUB}` at defender-alert")), "{error}");
        assert!(error.reason.contains(expected), "{error}");
        assert_eq!(error.retry, retry, "{error}");
    }
}

/// What others published in the form of the REST API, laid out as Resource Graph does: every row is a finding, none is lost.
#[tokio::test]
async fn published_rows_are_listed() {
    let Some(place) = samples() else { return };
    let mut total = 0;
    for (family, source) in [
        ("defender_assessment", Source::DefenderAssessment),
        ("defender_assessment", Source::DefenderSubAssessment),
        ("defender_compliance", Source::DefenderCompliance),
        ("defender_alert", Source::DefenderAlert),
    ] {
        let texts = files(&place.join(family)).into_iter().map(|file| std::fs::read_to_string(file).unwrap());
        let of_source = |text: &String| {
            crate::normalize(text).is_ok_and(|reading| reading.findings.first().is_some_and(|finding| finding.source == source))
        };
        let rows: Vec<Value> = texts.filter(of_source).map(|text| row(&text)).filter(|row| row["properties"].is_object()).collect();
        assert!(!rows.is_empty(), "{source}");
        let (listed, _server) = list(page(&rows, None), source).await;
        assert_eq!((listed.findings.len(), listed.unread.as_slice()), (rows.len(), [].as_slice()), "{source}");
        for (finding, row) in listed.findings.iter().zip(&rows) {
            let sent = crate::normalize(&finding.raw).unwrap().findings.remove(0);
            assert_eq!((finding.source, &finding.uid, &sent.uid), (source, &sent.uid, &finding.uid), "{row}");
            assert!(!finding.resources.is_empty(), "{row}");
        }
        total += rows.len();
    }
    assert!(total >= 10, "{total}");
}
