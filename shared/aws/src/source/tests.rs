use serde_json::{Value, json};

use stanch_core::cloud::Cloud;
use stanch_core::port::Having;

use super::*;
use crate::loopback::Loopback;

const CONTROL: &str = "arn:aws:securityhub:eu-west-1::product/aws/securityhub";
const GUARDDUTY: &str = "arn:aws:securityhub:eu-west-1::product/aws/guardduty";

async fn hub(answers: Vec<(u16, Value)>) -> Loopback {
    Loopback::start(answers.into_iter().map(|(status, answer)| (status, answer.to_string())).collect()).await
}

fn source(hub: &Loopback) -> SecurityHubSource {
    SecurityHubSource::new(Arc::new(AwsCredentials::fixed("AKID", "secret")), Some(hub.endpoint.clone()))
}

fn reference(product: &'static str) -> SourceRef<'static> {
    SourceRef {
        id: "finding-1".into(),
        product: Some(product.into()),
        location: Some("eu-west-1".into()),
        account: Some("111122223333".into()),
        resource_group: None,
    }
}

fn processed() -> (u16, Value) {
    (200, json!({"ProcessedFindings": [{"Id": "finding-1", "ProductArn": CONTROL}], "UnprocessedFindings": []}))
}

fn unprocessed(code: &str) -> (u16, Value) {
    let refused = json!({
        "FindingIdentifier": {"Id": "finding-1", "ProductArn": CONTROL}, "ErrorCode": code, "ErrorMessage": "the reason",
    });
    (200, json!({"ProcessedFindings": [], "UnprocessedFindings": [refused]}))
}

#[tokio::test]
async fn a_control_is_never_written_resolved() {
    let hub = hub(vec![processed(), processed(), processed()]).await;
    let (source, reference) = (source(&hub), reference(CONTROL));
    for status in [WriteBack::InProgress, WriteBack::Fixed, WriteBack::Reopened] {
        source.write_back(Source::SecurityHub, &reference, status, "public access is blocked").await.unwrap();
    }
    let asked = hub.asked();
    assert!(asked.iter().all(|a| a.call() == "PATCH /findings/batchupdate" && a.head.contains("AWS4-HMAC-SHA256")), "{asked:?}");
    let body = asked[1].json();
    assert_eq!(body["FindingIdentifiers"], json!([{"Id": "finding-1", "ProductArn": CONTROL}]));
    assert_eq!(body["Note"], json!({"Text": "public access is blocked", "UpdatedBy": "stanch"}));
    let workflows: Vec<_> = asked.iter().map(|a| a.json()["Workflow"]["Status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(workflows, ["NOTIFIED", "NOTIFIED", "NEW"]);
    assert!(!format!("{asked:?}").contains("RESOLVED"));
}

#[tokio::test]
async fn findings_of_other_products_are_resolved_and_long_notes_are_cut() {
    let hub = hub(vec![processed()]).await;
    source(&hub).write_back(Source::SecurityHub, &reference(GUARDDUTY), WriteBack::Fixed, &"ä".repeat(600)).await.unwrap();
    let body = hub.asked()[0].json();
    assert_eq!(body["Workflow"]["Status"], "RESOLVED");
    assert_eq!(body["Note"]["Text"].as_str().unwrap().chars().count(), 512);
}

#[tokio::test]
async fn an_unprocessed_finding_is_an_error_though_the_call_was_answered_with_200() {
    for (code, retry) in [("ConcurrentUpdateError", true), ("InternalFailure", true), ("FindingNotFound", false), ("InvalidInput", false)] {
        let hub = hub(vec![unprocessed(code)]).await;
        let error = source(&hub).write_back(Source::SecurityHub, &reference(CONTROL), WriteBack::Fixed, "done").await.unwrap_err();
        assert_eq!(error.retry, retry, "{code}");
        assert_eq!(error.to_string(), format!("cannot update finding `finding-1` at security-hub: not processed: {code}: the reason"));
    }
}

#[tokio::test]
async fn the_second_generation_takes_ids_of_status() {
    let done = || (200, json!({"ProcessedFindings": [], "UnprocessedFindings": []}));
    let conflict = json!({"MetadataUid": "finding-1", "ErrorCode": "ConflictException", "ErrorMessage": "busy"});
    let hub = hub(vec![done(), done(), done(), (200, json!({"UnprocessedFindings": [conflict]}))]).await;
    let source = source(&hub);
    let control = reference("arn:aws:securityhub:eu-west-1::productv2/aws/securityhub");
    let mut detection = reference("arn:aws:securityhub:eu-west-1::productv2/aws/guardduty");
    source.write_back(Source::SecurityHubV2, &control, WriteBack::Fixed, "done").await.unwrap();
    source.write_back(Source::SecurityHubV2, &control, WriteBack::Reopened, "").await.unwrap();
    detection.id = "arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/f".into();
    source.write_back(Source::SecurityHubV2, &detection, WriteBack::Fixed, "done").await.unwrap();
    assert!(source.write_back(Source::SecurityHubV2, &control, WriteBack::Fixed, "done").await.unwrap_err().retry);

    let asked = hub.asked();
    assert_eq!(asked[0].call(), "PATCH /findingsv2/batchupdatev2");
    assert_eq!(asked[0].json(), json!({"MetadataUids": ["finding-1"], "StatusId": 2, "Comment": "done"}));
    assert_eq!(asked[1].json()["StatusId"], 1);
    assert!(!asked[1].json()["Comment"].as_str().unwrap().is_empty());
    assert_eq!(asked[2].json()["StatusId"], 4);
    assert_eq!(asked[2].json()["FindingIdentifiers"][0]["FindingInfoUid"], json!(detection.id));
}

/// An emulator that ignores filters: the finding asked for comes second, on the second page.
#[tokio::test]
async fn a_finding_is_fetched_by_its_own_id_only() {
    let finding = |id: &str, workflow: &str| {
        json!({
            "SchemaVersion": "2018-10-08", "Id": id, "ProductArn": CONTROL, "GeneratorId": "security-control/S3.8",
            "AwsAccountId": "111122223333", "Region": "eu-west-1", "Title": "t", "Description": "d",
            "CreatedAt": "2026-11-20T09:15:00Z", "UpdatedAt": "2026-11-20T09:15:00Z", "Severity": {"Label": "HIGH"},
            "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::shop-logs"}],
            "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"}, "Workflow": {"Status": workflow}, "RecordState": "ACTIVE",
        })
    };
    let first = json!({"Findings": [finding("finding-0", "NEW")], "NextToken": "more"});
    let second = json!({"Findings": [finding("finding-2", "NEW"), finding("finding-1", "NOTIFIED")]});
    let hub = hub(vec![(200, first), (200, second), (200, json!({"Findings": []}))]).await;
    let (source, reference) = (source(&hub), reference(CONTROL));
    let SourceAnswer::Found(found) = source.fetch(Source::SecurityHub, &reference).await.unwrap() else { panic!("absent") };
    assert_eq!((&*found.uid, found.status), ("finding-1", stanch_core::finding::FindingStatus::InProgress));
    assert_eq!(found.compliance.unwrap().control.as_deref(), Some("S3.8"));
    assert_eq!(source.fetch(Source::SecurityHub, &reference).await.unwrap(), SourceAnswer::Absent);

    let asked = hub.asked();
    assert_eq!(asked[0].call(), "POST /findings");
    assert_eq!(asked[0].json()["Filters"]["Id"], json!([{"Value": "finding-1", "Comparison": "EQUALS"}]));
    assert_eq!(asked[0].json()["Filters"]["ProductArn"], json!([{"Value": CONTROL, "Comparison": "EQUALS"}]));
    assert_eq!(asked[1].json()["NextToken"], "more");
}

#[tokio::test]
async fn a_finding_of_the_second_generation_is_fetched_by_metadata_uid() {
    let event: Value = serde_json::from_str(include_str!("../../fixtures/control_v2_event.json")).unwrap();
    let finding = event["detail"]["findings"][0].clone();
    let id = finding["metadata"]["uid"].as_str().unwrap().to_owned();
    let hub = hub(vec![(200, json!({"Findings": [finding]}))]).await;
    let mut reference = reference("arn:aws:securityhub:eu-west-1::productv2/aws/securityhub");
    reference.id = id.clone().into();
    let SourceAnswer::Found(found) = source(&hub).fetch(Source::SecurityHubV2, &reference).await.unwrap() else { panic!("absent") };
    assert_eq!((found.source, &*found.source_ref.id), (Source::SecurityHubV2, id.as_str()));

    let asked = hub.asked().remove(0);
    assert_eq!(asked.call(), "POST /findingsv2");
    let filter = &asked.json()["Filters"]["CompositeFilters"][0]["StringFilters"][0];
    assert_eq!(*filter, json!({"FieldName": "metadata.uid", "Filter": {"Value": id, "Comparison": "EQUALS"}}));
}

fn asff(id: &str, account: &str, updated: &str) -> Value {
    json!({
        "SchemaVersion": "2018-10-08", "Id": id, "ProductArn": CONTROL, "GeneratorId": "security-control/S3.8", "AwsAccountId": account,
        "Region": "eu-west-1", "Title": "t", "Description": "d", "CreatedAt": "2026-11-20T09:15:00Z", "UpdatedAt": updated,
        "Severity": {"Label": "HIGH"}, "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::shop-logs"}],
        "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"}, "Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE",
    })
}

fn scope(source: Source) -> Scope {
    Scope { source, cloud: Cloud::Aws, account: "111122223333".to_owned(), region: Some("eu-west-1".to_owned()), having: None }
}

fn ids(listed: &Listed) -> Vec<&str> {
    listed.findings.iter().map(|finding| &*finding.uid).collect()
}

/// A hub that ignores its filters: what belongs to another account or is too old is left out all the same.
#[tokio::test]
async fn open_findings_are_listed_page_by_page() {
    let since = "2026-11-21T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let mine = asff("mine", "111122223333", "2026-11-21T07:00:00Z");
    let first = json!({"Findings": [mine, asff("theirs", "999988887777", "2026-11-21T07:00:00Z")], "NextToken": "t2"});
    let second =
        json!({"Findings": [asff("old", "111122223333", "2026-11-20T23:59:59.999Z"), asff("due", "111122223333", "2026-11-21T00:00:00Z")]});
    let hub = hub(vec![(200, first), (200, second), (200, json!({"Findings": []}))]).await;
    let (source, scope) = (source(&hub), scope(Source::SecurityHub));
    let first = source.list(&scope, Some(since), None).await.unwrap();
    let second = source.list(&scope, Some(since), first.next.as_deref()).await.unwrap();
    assert_eq!((ids(&first), first.next.as_deref(), ids(&second), second.next.as_deref()), (vec!["mine"], Some("t2"), vec!["due"], None));
    assert_eq!(first.findings[0].raw, mine.to_string(), "the row's own bytes");
    assert_eq!(source.list(&scope, None, None).await.unwrap(), Listed::default());

    let asked = hub.asked();
    assert!(asked.iter().all(|a| a.call() == "POST /findings" && a.head.contains("AWS4-HMAC-SHA256")), "{asked:?}");
    let body = asked[0].json();
    let is = |value: &str| json!({"Value": value, "Comparison": "EQUALS"});
    assert_eq!(
        body["Filters"],
        json!({
            "AwsAccountId": [is("111122223333")], "RecordState": [is("ACTIVE")], "WorkflowStatus": [is("NEW"), is("NOTIFIED")],
            "UpdatedAt": [{"Start": "2026-11-21T00:00:00.000Z", "End": "2036-11-18T00:00:00.000Z"}],
        })
    );
    assert_eq!((&body["SortCriteria"], &body["MaxResults"]), (&json!([{"Field": "UpdatedAt", "SortOrder": "asc"}]), &json!(100)));
    assert_eq!((&body["NextToken"], &asked[1].json()["NextToken"]), (&Value::Null, &json!("t2")));
    assert_eq!(asked[2].json()["Filters"].get("UpdatedAt"), None);
}

/// The second row breaks both the SDK's types and the normaliser; the third only the SDK's.
#[tokio::test]
async fn an_odd_row_does_not_hide_its_neighbours() {
    let mut loose = asff("loose", "111122223333", "2026-11-21T07:00:00Z");
    loose["Severity"] = json!({"Label": "HIGH", "Original": 8.0, "Normalized": "70"});
    let broken = json!({"ProductArn": CONTROL, "SchemaVersion": 3, "Resources": "none"});
    let rows = json!({"Findings": [asff("plain", "111122223333", "2026-11-21T07:00:00Z"), broken, loose], "NextToken": "t2"});
    let hub = hub(vec![(200, rows)]).await;
    let listed = source(&hub).list(&scope(Source::SecurityHub), None, None).await.unwrap();
    assert_eq!((ids(&listed), listed.next.as_deref()), (vec!["plain", "loose"], Some("t2")));
    let [unread] = listed.unread.as_slice() else { panic!("{:?}", listed.unread) };
    assert_eq!(serde_json::from_str::<Value>(&unread.body).unwrap(), broken);
    assert!(unread.why.contains("expected"), "{}", unread.why);
}

#[tokio::test]
async fn the_second_generation_is_listed_in_its_own_terms() {
    let event: Value = serde_json::from_str(include_str!("../../fixtures/control_v2_event.json")).unwrap();
    let finding = event["detail"]["findings"][0].clone();
    let account = finding["cloud"]["account"]["uid"].as_str().unwrap().to_owned();
    let hub = hub(vec![(200, json!({"Findings": [finding]}))]).await;
    let scope = Scope { account: account.clone(), ..scope(Source::SecurityHubV2) };
    let listed = source(&hub).list(&scope, Some(0), None).await.unwrap();
    assert_eq!((listed.findings.len(), listed.findings[0].source), (1, Source::SecurityHubV2));

    let asked = hub.asked().remove(0);
    assert_eq!(asked.call(), "POST /findingsv2");
    let status = |id: f64| json!({"FieldName": "status_id", "Filter": {"Eq": id}});
    assert_eq!(
        asked.json()["Filters"],
        json!({"CompositeOperator": "AND", "CompositeFilters": [
            {"Operator": "AND",
             "StringFilters": [{"FieldName": "cloud.account.uid", "Filter": {"Value": account, "Comparison": "EQUALS"}}],
             "DateFilters": [{"FieldName": "finding_info.modified_time_dt",
                "Filter": {"Start": "1970-01-01T00:00:00.000Z", "End": "1979-12-30T00:00:00.000Z"}}]},
            {"Operator": "OR", "NumberFilters": [status(1.0), status(2.0)]},
        ]})
    );
}

#[tokio::test]
async fn the_findings_behind_each_id_of_an_insight_are_fetched() {
    let event = include_str!("../../fixtures/insight_event.json");
    let named = crate::normalize(event).unwrap().named;
    // An administrator's insight names findings of its members, too.
    let rows = json!({"Findings": [asff("one", "444455556666", "2026-11-21T07:00:00Z")], "NextToken": "t2"});
    let hub = hub(vec![(200, rows), (200, json!({"Findings": []}))]).await;
    let source = source(&hub);
    let first = source.list(&named[0], None, None).await.unwrap();
    assert_eq!((ids(&first), first.next.as_deref()), (vec!["one"], Some("t2")));
    assert_eq!(source.list(&named[1], None, Some("t2")).await.unwrap(), Listed::default());

    let (asked, is) = (hub.asked(), |value: &str| json!([{"Value": value, "Comparison": "EQUALS"}]));
    assert!(asked[0].head.contains("/eu-west-1/securityhub/"), "{}", asked[0].head);
    assert_eq!(asked[0].json()["Filters"], json!({"ResourceId": is("arn:aws:s3:::shop-logs"), "RecordState": is("ACTIVE")}));
    assert_eq!((&asked[1].json()["Filters"]["ResourceId"], &asked[1].json()["NextToken"]), (&is("arn:aws:s3:::shop-media"), &json!("t2")));

    let odd = Scope { having: Some(Having { attribute: "Mood".into(), value: "bad".into() }), ..named[0].clone() };
    let error = source.list(&odd, None, None).await.unwrap_err();
    assert!(error.reason.contains("`Mood`") && !error.retry, "{error}");
}

#[tokio::test]
async fn a_list_that_is_refused_names_what_is_missing() {
    let says = |status: u16, code: &str| (status, json!({"__type": code, "message": "no"}));
    let cases = [
        (says(403, "AccessDeniedException"), false, "hint: give stanch's role securityhub:GetFindings in this account"),
        (says(401, "InvalidAccessException"), false, "hint: switch Security Hub on in this account and region"),
        (says(400, "InvalidInputException"), false, "400 InvalidInputException: no"),
    ];
    for (answer, retry, expected) in cases {
        let hub = hub(vec![answer]).await;
        let error = source(&hub).list(&scope(Source::SecurityHub), None, None).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot list finding `security-hub/aws/111122223333/eu-west-1` at security-hub"), "{error}");
        assert!(error.reason.contains(expected), "{error}");
        assert_eq!(error.retry, retry, "{error}");
    }
    // The SDK tries three times by itself before it gives up.
    let hub = hub(vec![says(429, "LimitExceededException"), says(503, "ServiceUnavailable"), says(503, "ServiceUnavailable")]).await;
    assert!(source(&hub).list(&scope(Source::SecurityHub), None, None).await.unwrap_err().retry);
    let nowhere = Scope { region: None, ..scope(Source::SecurityHub) };
    assert!(source(&hub).list(&nowhere, None, None).await.unwrap_err().reason.contains("no region"));
    assert!(source(&hub).list(&scope(Source::Scc), None, None).await.unwrap_err().reason.contains("`scc`"));
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_names_its_code() {
    let hub = hub(vec![(403, json!({"__type": "AccessDeniedException", "message": "not allowed"}))]).await;
    let error = source(&hub).fetch(Source::SecurityHub, &reference(CONTROL)).await.unwrap_err();
    assert!(!error.retry);
    assert!(error.reason.contains("403 AccessDeniedException"), "{error}");

    let mut nowhere = reference(CONTROL);
    nowhere.account = None;
    let error = source(&hub).fetch(Source::SecurityHub, &nowhere).await.unwrap_err();
    assert!(error.reason.contains("no account") && !error.retry, "{error}");
    let error = source(&hub).fetch(Source::Scc, &reference(CONTROL)).await.unwrap_err();
    assert!(error.reason.contains("`scc`"), "{error}");
}
