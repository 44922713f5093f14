//! The signer over loopback: what goes out, and what each kind of answer or silence becomes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiCall, ApiRequest, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, CloudApi};
use tokio::net::TcpListener;

use super::server::{Server, answer};
use crate::{AzureApi, Credentials, Endpoint, Error};

const TOKEN: &str = "token-for-tests";

fn api(address: &str) -> AzureApi {
    AzureApi::new(Credentials::Fixed(TOKEN.to_owned()), Endpoint::Loopback(address.to_owned())).unwrap()
}

fn get(path: &str) -> ApiRequest {
    request(HttpCall {
        method: Method::Get,
        host: "management.azure.com".to_owned(),
        path: path.to_owned(),
        query: BTreeMap::from([("api-version".to_owned(), "2023-01-01".to_owned())]),
        headers: BTreeMap::new(),
        body: None,
    })
}

fn request(http: HttpCall) -> ApiRequest {
    ApiRequest { cloud: Cloud::Azure, account: "s".to_owned(), region: None, correlation: None, call: ApiCall::Http(http) }
}

/// The changed call is refused before anything is sent, and trying again would not help.
async fn refused(change: impl FnOnce(&mut HttpCall)) -> String {
    let server = Server::start(vec![answer(200, "", "{}")]).await;
    let mut request = get("/subscriptions/s");
    if let ApiCall::Http(http) = &mut request.call {
        change(http);
    }
    let error = api(&server.address).call(&request, 2_000).await.unwrap_err();
    assert!(server.seen().is_empty());
    match error {
        ApiError::NotSent { reason, retry: false, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_call_goes_out_signed_and_whole() {
    let headers =
        "ETag: \"7\"\r\nRetry-After: 9\r\nAzure-AsyncOperation: https://management.azure.com/op\r\nx-ms-request-id: r-1\r\nx-other: no\r\n";
    let server = Server::start(vec![answer(202, headers, r#"{"properties":{"state":"ok"}}"#)]).await;
    let call = request(HttpCall {
        method: Method::Patch,
        host: "management.azure.com".to_owned(),
        path: "/subscriptions/s/resourceGroups/my%20group/providers/Microsoft.Storage/storageAccounts/a".to_owned(),
        query: BTreeMap::from([("api-version".to_owned(), "2023-01-01".to_owned()), ("x".to_owned(), "a&b c".to_owned())]),
        headers: BTreeMap::from([("If-Match".to_owned(), "\"6\"".to_owned())]),
        body: Some(json!({"properties": {"supportsHttpsTrafficOnly": true}})),
    });
    let response = api(&server.address).call(&call, 5_000).await.unwrap();

    let seen = &server.seen()[0];
    assert_eq!(seen.method, "PATCH");
    assert_eq!(
        seen.target,
        "/subscriptions/s/resourceGroups/my%20group/providers/Microsoft.Storage/storageAccounts/a?api-version=2023-01-01&x=a%26b+c"
    );
    assert_eq!(seen.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(seen.headers["if-match"], "\"6\"");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), json!({"properties": {"supportsHttpsTrafficOnly": true}}));

    assert_eq!((response.status, response.fault.clone()), (202, None));
    assert_eq!(response.body["properties"]["state"], "ok");
    assert_eq!(response.request_id.as_deref(), Some("r-1"));
    assert_eq!(response.retry_after(), Some(9));
    assert_eq!(response.headers.keys().collect::<Vec<_>>(), ["azure-asyncoperation", "etag", "retry-after"]);
}

#[tokio::test]
async fn the_correlation_id_goes_where_the_activity_log_shows_it() {
    const ID: &str = "0192f3a4-5b6c-7d8e-9f01-23456789abcd";
    let server = Server::start(vec![answer(200, "", "{}"); 2]).await;
    let mut call = get("/subscriptions/s");
    api(&server.address).call(&call, 5_000).await.unwrap();
    call.correlation = Some(ID.parse().unwrap());
    api(&server.address).call(&call, 5_000).await.unwrap();
    let seen = server.seen();
    for header in ["x-ms-correlation-request-id", "x-ms-client-request-id"] {
        assert_eq!(seen[0].headers.get(header), None);
        assert_eq!(seen[1].headers[header], ID);
    }
}

#[tokio::test]
async fn a_wait_is_kept_whatever_the_status_and_the_form() {
    // Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: i64 = 784_111_777_000;
    let cases = [(429, "17", 17_000), (503, "Sun, 06 Nov 1994 08:50:37 GMT", 60_000), (202, "3", 3_000), (409, "5", 5_000)];
    let server = Server::start(cases.map(|(status, wait, _)| answer(status, &format!("Retry-After: {wait}\r\n"), "{}")).to_vec()).await;
    for (status, _, wait) in cases {
        let response = api(&server.address).call(&get("/subscriptions/s"), 5_000).await.unwrap();
        assert_eq!((response.status, response.retry_after_ms(NOW)), (status, Some(wait)));
    }
}

#[tokio::test]
async fn a_post_without_a_body_says_its_length() {
    let server =
        Server::start(vec!["HTTP/1.1 204 No Content\r\nx-ms-correlation-request-id: c-1\r\nconnection: close\r\n\r\n".to_owned()]).await;
    let mut call = get("/subscriptions/s/x");
    if let ApiCall::Http(http) = &mut call.call {
        http.method = Method::Post;
    }
    let response = api(&server.address).call(&call, 5_000).await.unwrap();
    assert_eq!((response.status, response.body, response.request_id.as_deref()), (204, Value::Null, Some("c-1")));
    assert_eq!(server.seen()[0].headers["content-length"], "0");
}

#[tokio::test]
async fn refusals_keep_the_vendors_words() {
    let cases = [
        (403, r#"{"error":{"code":"AuthorizationFailed","message":"no right"}}"#, "AuthorizationFailed", "no right"),
        (409, r#"{"code":"Conflict","message":"busy"}"#, "Conflict", "busy"),
        (502, "<html>bad gateway</html>", "Http502", ""),
        (500, "", "Http500", ""),
    ];
    let server = Server::start(cases.iter().map(|(status, body, ..)| answer(*status, "", body)).collect()).await;
    let api = api(&server.address);
    for (status, _, code, message) in cases {
        let response = api.call(&get("/subscriptions/s"), 5_000).await.unwrap();
        let fault = response.fault.as_ref().unwrap();
        assert_eq!((response.status, fault.code.as_str(), fault.message.as_str()), (status, code, message));
        assert_eq!(response.is_retryable(), status >= 500);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(vec![answer(200, "", "{}")]).await;
    let server = Server::start(vec![answer(302, &format!("Location: {}/stolen\r\n", other.address), "")]).await;
    let response = api(&server.address).call(&get("/subscriptions/s"), 5_000).await.unwrap();
    assert_eq!((response.status, response.code()), (302, Some("Http302")));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn silence_and_broken_answers_leave_the_outcome_unknown() {
    let cases = [
        (String::new(), 200, "no answer within 200 ms"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_owned(), 5_000, "the answer broke off"),
        (format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(8 * 1024 * 1024 + 1)), 20_000, "more than 8388608 bytes"),
    ];
    for (given, timeout, expected) in cases {
        let server = Server::start(vec![given]).await;
        let error = api(&server.address).call(&get("/subscriptions/s"), timeout).await.unwrap_err();
        assert!(matches!(&error, ApiError::Unknown { reason, .. } if reason.contains(expected)), "{error}");
        assert!(!error.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = api(&address).call(&get("/subscriptions/s"), 5_000).await.unwrap_err();
    assert!(matches!(&error, ApiError::NotSent { retry: true, reason, .. } if reason.contains("cannot connect")), "{error}");
}

#[tokio::test]
async fn calls_that_leave_azure_or_change_their_path_are_refused() {
    for host in [
        "example.com",
        "management.azure.com.example.com",
        "evilmanagement.azure.com",
        "a..management.azure.com",
        "example.com/.management.azure.com",
        "management.azure.com:8443",
        "user@management.azure.com",
        "",
    ] {
        assert!(refused(|call| call.host = host.to_owned()).await.contains("is not accepted"), "{host}");
    }
    for path in [
        "subscriptions/s",
        "https://example.com/x",
        "//example.com/x",
        "/a/../b",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a/./b",
        "/a?b=c",
        "/a#b",
        "/a\\..\\b",
        "/a\nb",
        "",
    ] {
        assert!(refused(|call| call.path = path.to_owned()).await.contains("expected an absolute path"), "{path}");
    }
    for name in ["Authorization", "host", "Content-Length", "bad name"] {
        assert!(refused(|call| drop(call.headers.insert(name.to_owned(), "x".to_owned()))).await.contains(name));
    }
    assert!(refused(|call| drop(call.headers.insert("If-Match".to_owned(), "a\r\nb: c".to_owned()))).await.contains("If-Match"));
}

#[tokio::test]
async fn a_regional_host_is_accepted() {
    let server = Server::start(vec![answer(200, "", r#"{"status":"Succeeded"}"#)]).await;
    let mut request = get("/subscriptions/s/providers/Microsoft.Sql/locations/westeurope/operations/1");
    if let ApiCall::Http(http) = &mut request.call {
        http.host = "westeurope.management.azure.com".to_owned();
    }
    let response = api(&server.address).call(&request, 2_000).await.unwrap();
    assert_eq!((response.status, server.seen().len()), (200, 1));
}

#[tokio::test]
async fn a_named_operation_is_refused() {
    let call = ApiCall::Operation { service: "ec2".to_owned(), operation: "StopInstances".to_owned(), input: Map::new() };
    let request = ApiRequest { cloud: Cloud::Azure, account: String::new(), region: None, correlation: None, call };
    let error = api("http://localhost:9").call(&request, 1_000).await.unwrap_err();
    assert!(matches!(error, ApiError::NotSent { retry: false, .. }));
}

#[test]
fn tokens_and_endpoints_cannot_be_mixed_up() {
    let fixed = || Credentials::Fixed(TOKEN.to_owned());
    let at = |address: &str| Endpoint::Loopback(address.to_owned());
    for good in ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:8080"] {
        assert!(AzureApi::new(fixed(), at(good)).is_ok(), "{good}");
    }
    for bad in [
        "https://127.0.0.1:1",
        "http://127.0.0.2:1",
        "http://example.com",
        "http://localhost.example.com",
        "http://x@localhost",
        "http://localhost/p",
        "localhost",
    ] {
        assert!(matches!(AzureApi::new(fixed(), at(bad)), Err(Error::NotLoopback { .. })), "{bad}");
    }
    assert!(matches!(AzureApi::new(fixed(), Endpoint::Cloud), Err(Error::FixedTokenNeedsLoopback)));
    assert!(matches!(AzureApi::new(Credentials::DeveloperTools, at("http://localhost:1")), Err(Error::LoopbackNeedsFixedToken)));
    assert!(AzureApi::new(Credentials::ManagedIdentity { client_id: None }, Endpoint::Cloud).is_ok());
    assert!(!format!("{:?}", AzureApi::new(fixed(), at("http://localhost:1")).unwrap()).contains(TOKEN));
}
