use serde_json::json;
use stanch_core::api::ApiResponse;
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, Kind};

use super::{arm, arm_request, aws, google, operation, outcome, seeded, send};
use crate::{Fault, FaultKind, Sandbox};

const BUCKET: &str = "arn:aws:s3:::shop-invoices-archive";
const BLOCK: &str = "PublicAccessBlockConfiguration";

fn put() -> stanch_core::api::ApiRequest {
    let block = json!({"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true});
    operation("s3.PutPublicAccessBlock", json!({"Bucket": "shop-invoices-archive", "PublicAccessBlockConfiguration": block}))
}

fn landed(sandbox: &Sandbox) -> bool {
    sandbox.state(Cloud::Aws, BUCKET).unwrap().get(BLOCK).is_some()
}

#[test]
fn a_throttled_call_says_when_to_come_back_and_changes_nothing() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::Throttled { retry_after: 7 }, "s3.Put"));
    let answer = send(&sandbox, &put()).unwrap();
    assert_eq!((outcome(&answer).as_str(), answer.retry_after(), answer.is_retryable()), ("429 SlowDown", Some(7), true));
    assert!(!landed(&sandbox));
    assert_eq!(outcome(&send(&sandbox, &put()).unwrap()), "200 -");
    assert!(landed(&sandbox));
}

#[test]
fn a_timeout_may_have_landed_or_not_and_the_caller_cannot_tell() {
    for (kind, lands) in [(FaultKind::TimeoutLanded, true), (FaultKind::TimeoutLost, false)] {
        let sandbox = seeded();
        sandbox.inject(Fault::once(kind, "s3.PutPublicAccessBlock"));
        let error = send(&sandbox, &put()).unwrap_err();
        assert!(matches!(error, ApiError::Unknown { .. }), "{error}");
        assert_eq!(landed(&sandbox), lands);
        let log = sandbox.writes();
        assert_eq!((log.len(), log[0].status(), log[0].injected), (1, lands.then_some(200), Some(kind)));
    }
}

#[test]
fn a_refused_connection_was_certainly_not_sent() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::Refused, ""));
    let error = send(&sandbox, &put()).unwrap_err();
    assert!(matches!(error, ApiError::NotSent { retry: true, .. }));
    assert_eq!(error.kind(), Kind::Retry);
    assert!(sandbox.requests().is_empty() && !landed(&sandbox));
}

#[test]
fn a_fault_hits_only_what_it_matches_and_only_so_often() {
    let sandbox = seeded();
    sandbox.inject(Fault::times(FaultKind::InternalError, "PATCH management.azure.com", 2));
    let body = || Some(json!({"properties": {"allowBlobPublicAccess": false}}));
    let line = "PATCH Microsoft.Storage/storageAccounts/shopinvoices0001";
    assert_eq!(outcome(&arm(&sandbox, "GET Microsoft.Storage/storageAccounts/shopinvoices0001", None)), "200 -");
    assert_eq!(sandbox.faults_left(), 2);
    let seen: Vec<String> = (0..3).map(|_| outcome(&arm(&sandbox, line, body()))).collect();
    assert_eq!(seen, ["500 InternalServerError", "500 InternalServerError", "200 -"]);

    sandbox.inject(Fault::times(FaultKind::Denied, "", 9));
    sandbox.clear_faults();
    assert_eq!((sandbox.faults_left(), outcome(&arm(&sandbox, line, body()))), (0, "200 -".to_owned()));
}

#[test]
fn faults_fire_in_the_order_they_were_armed() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::Unavailable, "s3."));
    sandbox.inject(Fault::once(FaultKind::Denied, "s3.Put"));
    let seen: Vec<String> = (0..3).map(|_| outcome(&send(&sandbox, &put()).unwrap())).collect();
    assert_eq!(seen, ["503 ServiceUnavailable", "403 AccessDenied", "200 -"]);
}

type Calls = [(&'static str, fn(&Sandbox) -> ApiResponse); 6];

#[test]
fn each_service_refuses_in_its_own_words() {
    let calls: Calls = [
        ("ec2", |s| aws(s, "ec2.DescribeInstances", json!({}))),
        ("kms", |s| aws(s, "kms.DescribeKey", json!({"KeyId": "alias/shop"}))),
        ("iam", |s| aws(s, "iam.GetAccountPasswordPolicy", json!({}))),
        ("lambda", |s| aws(s, "lambda.GetPolicy", json!({"FunctionName": "shop-checkout"}))),
        ("azure", |s| send(s, &arm_request("GET Microsoft.KeyVault/vaults/shop-kv", None)).unwrap()),
        ("google", |s| google(s, "GET storage.googleapis.com/storage/v1/b/shop-exports", None)),
    ];
    let table = |kind: FaultKind| {
        calls
            .iter()
            .map(|(name, call)| {
                let sandbox = seeded();
                sandbox.inject(Fault::once(kind, ""));
                format!("{name} {}", outcome(&call(&sandbox)))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        table(FaultKind::Denied),
        [
            "ec2 403 UnauthorizedOperation",
            "kms 403 AccessDeniedException",
            "iam 403 AccessDenied",
            "lambda 403 AccessDeniedException",
            "azure 403 AuthorizationFailed",
            "google 403 forbidden"
        ]
    );
    assert_eq!(
        table(FaultKind::Throttled { retry_after: 1 }),
        [
            "ec2 429 RequestLimitExceeded",
            "kms 429 ThrottlingException",
            "iam 429 Throttling",
            "lambda 429 TooManyRequestsException",
            "azure 429 TooManyRequests",
            "google 429 rateLimitExceeded"
        ]
    );
    assert_eq!(table(FaultKind::Conflict)[4..], ["azure 409 Conflict", "google 409 conflict"]);
}

#[test]
fn a_fault_of_azure_and_google_has_the_vendors_body() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::Denied, "Microsoft.KeyVault"));
    sandbox.inject(Fault::once(FaultKind::Conflict, "storage.googleapis.com"));
    let azure = arm(&sandbox, "GET Microsoft.KeyVault/vaults/shop-kv", None);
    assert_eq!(azure.body["error"]["code"], "AuthorizationFailed");
    let google = google(&sandbox, "GET storage.googleapis.com/storage/v1/b/shop-exports", None);
    assert_eq!((&google.body["error"]["code"], &google.body["error"]["errors"][0]["reason"]), (&json!(409), &json!("conflict")));
}
