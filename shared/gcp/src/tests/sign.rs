use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiCall, ApiRequest, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, CloudApi};
use tokio::net::TcpListener;

use super::loopback::Server;
use crate::{Credentials, Endpoint, Error, GcpApi};

fn api(address: &str) -> GcpApi {
    GcpApi::new(Credentials::Fixed("t0ken".to_owned()), Endpoint::Loopback(address.to_owned())).unwrap()
}

fn request(method: Method, host: &str, path: &str) -> (ApiRequest, HttpCall) {
    let http =
        HttpCall { method, host: host.to_owned(), path: path.to_owned(), query: BTreeMap::new(), headers: BTreeMap::new(), body: None };
    (wrap(http.clone()), http)
}

fn wrap(http: HttpCall) -> ApiRequest {
    ApiRequest { cloud: Cloud::Gcp, account: "billing-prod".to_owned(), region: None, correlation: None, call: ApiCall::Http(http) }
}

async fn refused(host: &str, path: &str) -> String {
    let (request, _) = request(Method::Get, host, path);
    match api("http://127.0.0.1:9").call(&request, 1000).await {
        Err(ApiError::NotSent { reason, retry: false, .. }) => reason,
        other => panic!("{host}{path}: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_goes_out_as_documented_and_its_answer_comes_back() {
    let server = Server::start(vec![
        (
            "200 OK",
            "etag: CAE=\r\nx-guploader-uploadid: up-1\r\nset-cookie: no\r\n",
            r#"{"iamConfiguration":{"publicAccessPrevention":"enforced"}}"#.to_owned(),
        ),
        ("204 No Content", "", String::new()),
    ])
    .await;
    let api = api(&server.address);

    let (_, mut http) = request(Method::Patch, "Storage.googleapis.com", "/storage/v1/b/invoices%2Feu");
    http.query = BTreeMap::from([("ifMetagenerationMatch".to_owned(), "7".to_owned()), ("fields".to_owned(), "a,b c".to_owned())]);
    http.headers = BTreeMap::from([("If-Match".to_owned(), "\"x\"".to_owned())]);
    http.body = Some(json!({"iamConfiguration": {"publicAccessPrevention": "enforced"}}));
    let answer = api.call(&wrap(http), 10_000).await.unwrap();
    assert_eq!((answer.status, answer.fault.as_ref()), (200, None));
    assert_eq!(answer.body["iamConfiguration"]["publicAccessPrevention"], "enforced");
    assert_eq!(answer.headers, BTreeMap::from([("etag".to_owned(), "CAE=".to_owned())]));
    assert_eq!(answer.request_id.as_deref(), Some("up-1"));

    let (request, _) =
        request(Method::Post, "iam.googleapis.com", "/v1/projects/p/serviceAccounts/s@p.iam.gserviceaccount.com/keys/k:disable");
    let answer = api.call(&request, 10_000).await.unwrap();
    assert_eq!((answer.status, answer.body), (204, Value::Null));

    let asked = server.asked().await;
    assert_eq!(asked[0].line, "PATCH /storage/v1/b/invoices%2Feu?fields=a%2Cb+c&ifMetagenerationMatch=7 HTTP/1.1");
    assert_eq!(asked[0].header("authorization"), Some("Bearer t0ken"));
    assert_eq!(asked[0].header("x-stanch-host"), Some("storage.googleapis.com"));
    assert_eq!(asked[0].header("if-match"), Some("\"x\""));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[0].json(), json!({"iamConfiguration": {"publicAccessPrevention": "enforced"}}));
    assert_eq!(asked[1].line, "POST /v1/projects/p/serviceAccounts/s@p.iam.gserviceaccount.com/keys/k:disable HTTP/1.1");
    assert_eq!(asked[1].header("content-length"), Some("0"));
}

#[tokio::test]
async fn the_correlation_id_goes_where_audit_logs_record_it_and_a_wait_comes_back() {
    const ID: &str = "0192f3a4-5b6c-7d8e-9f01-23456789abcd";
    let agent = concat!("stanch/", env!("CARGO_PKG_VERSION"));
    // Sun, 06 Nov 1994 08:49:37 GMT.
    let now = 784_111_777_000;
    let busy = ("503 Service Unavailable", "retry-after: Sun, 06 Nov 1994 08:50:37 GMT\r\n", String::new());
    let server = Server::start(vec![busy.clone(), busy]).await;
    let api = api(&server.address);
    let (mut request, _) = request(Method::Get, "storage.googleapis.com", "/storage/v1/b/x");
    for correlation in [None, Some(ID)] {
        request.correlation = correlation.map(|id| id.parse().unwrap());
        let answer = api.call(&request, 10_000).await.unwrap();
        assert_eq!((answer.status, answer.retry_after_ms(now)), (503, Some(60_000)));
    }
    let asked = server.asked().await;
    assert_eq!((asked[0].header("user-agent"), asked[0].header("traceparent")), (Some(agent), None));
    assert_eq!(asked[1].header("user-agent"), Some(format!("{agent} (correlation/{ID})").as_str()));
    assert_eq!(asked[1].header("traceparent"), Some("00-0192f3a45b6c7d8e9f0123456789abcd-9f0123456789abcd-00"));
}

#[tokio::test]
async fn refusals_are_answers_with_the_vendors_code() {
    let cases = [
        (
            "403 Forbidden",
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no","errors":[{"reason":"forbidden"}]}}"#,
            "PERMISSION_DENIED",
            "no",
        ),
        ("404 Not Found", r#"{"error":{"code":404,"message":"gone","errors":[{"reason":"notFound"}]}}"#, "notFound", "gone"),
        (
            "403 Forbidden",
            r#"{"error":{"status":"PERMISSION_DENIED","message":"slow","errors":[{"reason":"rateLimitExceeded"}]}}"#,
            "rateLimitExceeded",
            "slow",
        ),
        ("400 Bad Request", r#"{"error":"invalid_grant","error_description":"old"}"#, "invalid_grant", "old"),
        ("502 Bad Gateway", "<html>oops</html>", "Bad Gateway", "<html>oops</html>"),
        ("302 Found", "", "Found", ""),
    ];
    let answers = cases
        .iter()
        .map(|(status, body, ..)| (*status, "retry-after: 7\r\nlocation: http://127.0.0.1:9/\r\n", (*body).to_owned()))
        .collect();
    let server = Server::start(answers).await;
    let api = api(&server.address);
    let (request, _) = request(Method::Get, "compute.googleapis.com", "/compute/v1/projects/p");
    for (status, _, code, message) in cases {
        let answer = api.call(&request, 10_000).await.unwrap();
        let fault = answer.fault.as_ref().unwrap();
        assert_eq!((fault.code.as_str(), fault.message.as_str()), (code, message), "{status}");
        assert_eq!(answer.status.to_string(), status.split(' ').next().unwrap());
        assert_eq!(answer.retry_after(), Some(7));
        assert_eq!(answer.is_retryable(), matches!(code, "rateLimitExceeded" | "Bad Gateway"), "{status} {code}");
    }
}

#[tokio::test]
async fn only_googles_hosts_and_plain_paths_are_accepted() {
    for host in [
        "evil.example",
        "googleapis.com",
        "evilgoogleapis.com",
        "x/.googleapis.com",
        "storage.googleapis.com.evil.example",
        "a@b.googleapis.com",
        "..googleapis.com",
    ] {
        assert!(refused(host, "/v1/x").await.contains("expected one that ends in .googleapis.com"), "{host}");
    }
    for path in ["v1/x", "//evil", "/a/../b", "/a/%2E%2e/b", "/a/./b", "/a?b", "/a#b", "/a\\b", "/a\nb"] {
        assert!(refused("storage.googleapis.com", path).await.contains("path"), "{path}");
    }
    let operation = ApiRequest {
        cloud: Cloud::Gcp,
        account: String::new(),
        region: None,
        correlation: None,
        call: ApiCall::Operation { service: "ec2".to_owned(), operation: "DescribeInstances".to_owned(), input: Map::new() },
    };
    assert!(matches!(api("http://127.0.0.1:9").call(&operation, 1000).await, Err(ApiError::NotSent { retry: false, .. })));
    let (_, mut http) = request(Method::Get, "storage.googleapis.com", "/x");
    http.headers = BTreeMap::from([("Authorization".to_owned(), "Bearer mine".to_owned())]);
    assert!(matches!(api("http://127.0.0.1:9").call(&wrap(http), 1000).await, Err(ApiError::NotSent { retry: false, .. })));
}

#[tokio::test]
async fn what_was_not_sent_differs_from_what_got_no_answer() {
    let (request, _) = request(Method::Post, "storage.googleapis.com", "/x");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    assert!(matches!(api(&address).call(&request, 5000).await, Err(ApiError::NotSent { retry: true, .. })));

    // Takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    match api(&address).call(&request, 200).await {
        Err(ApiError::Unknown { reason, .. }) => assert_eq!(reason, "no answer within 200 ms"),
        other => panic!("{other:?}"),
    }

    let broken = Server::start(vec![("200 OK", "transfer-encoding: chunked\r\n", "5\r\nab".to_owned())]).await;
    assert!(matches!(api(&broken.address).call(&request, 5000).await, Err(ApiError::Unknown { .. })));

    let huge = Server::start(vec![("200 OK", "", format!("\"{}\"", "x".repeat(8 * 1024 * 1024)))]).await;
    match api(&huge.address).call(&request, 20_000).await {
        Err(ApiError::Unknown { reason, .. }) => assert!(reason.contains("more than 8388608 bytes"), "{reason}"),
        other => panic!("{:?}", other.map(|answer| answer.status)),
    }
}

#[test]
fn credentials_and_endpoints_belong_together() {
    let fixed = || Credentials::Fixed("secret".to_owned());
    let here = |address: &str| Endpoint::Loopback(address.to_owned());
    for address in ["http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1"] {
        assert!(GcpApi::new(fixed(), here(address)).is_ok(), "{address}");
    }
    for address in
        ["https://127.0.0.1:1", "http://10.0.0.1:1", "http://127.0.0.1.evil.example", "http://u@127.0.0.1:1", "http://127.0.0.1:1/x", "x"]
    {
        assert!(matches!(GcpApi::new(fixed(), here(address)), Err(Error::NotLoopback { .. })), "{address}");
    }
    assert!(matches!(GcpApi::new(Credentials::ApplicationDefault, here("http://127.0.0.1:1")), Err(Error::LoopbackNeedsFixedToken)));
    assert!(matches!(GcpApi::new(fixed(), Endpoint::Cloud), Err(Error::FixedTokenNeedsLoopback)));
    let api = GcpApi::new(fixed(), here("http://127.0.0.1:1")).unwrap();
    assert!(!format!("{api:?}").contains("secret"));
}
