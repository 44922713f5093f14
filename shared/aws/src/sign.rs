//! Carries AWS operations: encodes by the table, signs with `SigV4`, sends, decodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use reqwest::{Client, Response, Url, redirect};
use serde_json::{Map, Value};
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Kind};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::credentials::{AwsCredentials, check_account, check_region};
use crate::endpoint::{Endpoint, target};
use crate::error::{AwsError, chain};
use crate::wire::{self, WireRequest};

/// Answers longer than this are not read to their end. The longest page AWS gives is far below.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// A host that does not take the connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How stanch names itself to AWS.
const USER_AGENT: &str = concat!("stanch/", env!("CARGO_PKG_VERSION"));

/// Where services that are not regional are called when the request names no region.
const DEFAULT_REGION: &str = "us-east-1";

/// Calls AWS operations, signed with the credentials of the account that each request names.
///
/// S3 is always told whose bucket is meant, so that a bucket that changed hands is left alone.
#[derive(Debug)]
pub struct AwsApi {
    credentials: Arc<AwsCredentials>,
    endpoint: Endpoint,
    clock: fn() -> SystemTime,
    client: OnceCell<Client>,
}

impl AwsApi {
    /// `clock` gives the time of the signatures, which AWS compares with its own: it must be the real one.
    pub fn new(credentials: Arc<AwsCredentials>, endpoint: Endpoint, clock: fn() -> SystemTime) -> Self {
        AwsApi { credentials, endpoint, clock, client: OnceCell::new() }
    }

    async fn run(&self, request: &ApiRequest, deadline: Instant) -> Result<ApiResponse, Failure> {
        let (service, operation, input) = operation(request)?;
        let (known, _) = wire::find(service, operation).map_err(Failure::refused)?;
        let region = match &request.region {
            Some(region) => region.as_str(),
            None if known.global.is_empty() => return Err(Failure::refused("the request names no region")),
            None => DEFAULT_REGION,
        };
        check_region(region).map_err(|e| Failure::refused(chain(&e)))?;
        check_account(&request.account).map_err(|e| Failure::refused(chain(&e)))?;
        let encoded = wire::encode(service, operation, input, &request.account).map_err(|faults| Failure::refused(faults.join("; ")))?;
        let target = target(&self.endpoint, known, &encoded, region).map_err(Failure::refused)?;

        let credentials = timeout_at(deadline, self.credentials.for_account(&request.account, region)).await;
        let credentials = credentials.map_err(|_| Failure::later("credentials took too long"))?.map_err(Failure::credentials)?;
        let mut url = format!("{}{}", target.origin, target.path);
        if !encoded.query.is_empty() {
            url.push('?');
            url.push_str(&encoded.query);
        }
        let url = Url::parse(&url).map_err(|e| Failure::refused(format!("`{url}` is no URL: {e}")))?;
        let scope = Scope { service: known.signing, region: &target.region, time: (self.clock)() };
        let signed = signature(&scope, credentials, &url, &encoded).map_err(Failure::refused)?;

        let client = self.client.get_or_try_init(|| async { self.client() }).await.map_err(|e| Failure::refused(chain(&e)))?;
        let method = reqwest::Method::from_bytes(encoded.method.as_bytes()).map_err(|e| Failure::refused(e.to_string()))?;
        let mut sent = client.request(method, url).timeout(deadline.saturating_duration_since(Instant::now())).body(encoded.body);
        for (name, value) in encoded.headers.iter().chain(&signed) {
            sent = sent.header(name, value);
        }
        if let Some(correlation) = request.correlation {
            // AWS has no header of its own for it; CloudTrail records the user agent of every call.
            sent = sent.header("user-agent", format!("{USER_AGENT} (correlation/{correlation})"));
        }
        let sent = sent.build().map_err(|e| Failure::refused(chain(&e.without_url())))?;
        let answer = client.execute(sent).await.map_err(Failure::sending)?;
        let status = answer.status().as_u16();
        let headers = headers(&answer);
        let body = bounded(answer).await?;
        let mut response = wire::decode(service, operation, status, &headers, &body).map_err(Failure::Unknown)?;
        response.fault.iter_mut().for_each(wire::with_hint);
        Ok(response)
    }

    fn client(&self) -> Result<Client, reqwest::Error> {
        let builder = Client::builder().redirect(redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT).user_agent(USER_AGENT);
        match self.endpoint {
            Endpoint::Aws => builder.https_only(true).build(),
            Endpoint::Loopback(_) => builder.no_proxy().build(),
        }
    }
}

impl CloudApi for AwsApi {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(timeout_ms);
            self.run(request, deadline).await.map_err(|failure| failure.of(request.name()))
        })
    }
}

/// Why a call has no answer, before it knows the call's name.
#[derive(Debug)]
enum Failure {
    NotSent { reason: String, retry: bool },
    Unknown(String),
}

impl Failure {
    fn refused(reason: impl Into<String>) -> Self {
        Failure::NotSent { reason: reason.into(), retry: false }
    }

    fn later(reason: impl Into<String>) -> Self {
        Failure::NotSent { reason: reason.into(), retry: true }
    }

    fn credentials(error: AwsError) -> Self {
        Failure::NotSent { retry: error.kind() == Kind::Retry, reason: error.chain() }
    }

    /// Only a connection that never stood proves that nothing was sent.
    fn sending(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect();
        let reason = chain(&error.without_url());
        if never_sent { Failure::later(reason) } else { Failure::Unknown(reason) }
    }

    fn of(self, call: String) -> ApiError {
        match self {
            Failure::NotSent { reason, retry } => ApiError::NotSent { call, reason, retry },
            Failure::Unknown(reason) => ApiError::Unknown { call, reason },
        }
    }
}

/// What a signature is valid for.
struct Scope<'a> {
    service: &'a str,
    region: &'a str,
    time: SystemTime,
}

/// The headers that sign a request.
fn signature(scope: &Scope<'_>, credentials: Credentials, url: &Url, request: &WireRequest) -> Result<Vec<(String, String)>, String> {
    let mut settings = SigningSettings::default();
    if scope.service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(settings)
        .build()
        .map_err(|e| chain(&e))?;
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable =
        SignableRequest::new(request.method, url.as_str(), headers, SignableBody::Bytes(&request.body)).map_err(|e| chain(&e))?;
    let (instructions, _) = sign(signable, &params.into()).map_err(|e| chain(&e))?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn operation(request: &ApiRequest) -> Result<(&str, &str, &Map<String, Value>), Failure> {
    match &request.call {
        ApiCall::Operation { service, operation, input } if request.cloud == Cloud::Aws => Ok((service, operation, input)),
        ApiCall::Operation { .. } => Err(Failure::refused(format!("a call of {} came to the signer of aws", request.cloud))),
        ApiCall::Http(_) => Err(Failure::refused("aws is called by operation (`ec2.DescribeInstances`), not by method and path")),
    }
}

fn headers(answer: &Response) -> BTreeMap<String, String> {
    let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    answer.headers().iter().filter_map(text).collect()
}

async fn bounded(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Failure::Unknown(chain(&e.without_url())))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Failure::Unknown(format!("the answer is longer than {MAX_BODY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stanch_core::api::{HttpCall, Method};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const ACCOUNT: &str = "123456789012";

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(498_679)
    }

    fn call(service: &str, operation: &str, input: Value) -> ApiRequest {
        let input = input.as_object().cloned().unwrap();
        ApiRequest {
            cloud: Cloud::Aws,
            account: ACCOUNT.to_owned(),
            region: Some("eu-west-1".to_owned()),
            correlation: None,
            call: ApiCall::Operation { service: service.to_owned(), operation: operation.to_owned(), input },
        }
    }

    fn api(endpoint: &str) -> AwsApi {
        AwsApi::new(Arc::new(AwsCredentials::fixed("AKID", "secret")), Endpoint::Loopback(endpoint.to_owned()), at)
    }

    /// Answers one connection with `answer` and gives what came in; an empty answer keeps silent until the other side leaves.
    async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 16 * 1024];
            let mut length = 0;
            while !is_whole(&seen[..length]) {
                length += stream.read(&mut seen[length..]).await.unwrap();
            }
            if answer.is_empty() {
                while stream.read(&mut seen[length..]).await.unwrap_or(0) > 0 {}
            } else {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            String::from_utf8_lossy(&seen[..length]).into_owned()
        });
        (url, task)
    }

    /// Whether head and body of a request are here: closing a socket with unread bytes would take the answer back.
    fn is_whole(seen: &[u8]) -> bool {
        let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        body.len() >= announced.unwrap_or(0)
    }

    fn signed(call: &str, input: Value, url: &str) -> BTreeMap<String, String> {
        let (service, operation) = call.split_once('.').unwrap();
        let request = wire::encode(service, operation, input.as_object().unwrap(), ACCOUNT).unwrap();
        let credentials =
            Credentials::builder().access_key_id("AKID").secret_access_key("secret").session_token("a-token").provider_name("test").build();
        let url = Url::parse(&format!("{url}{}?{}", request.path, request.query)).unwrap();
        let scope = Scope { service, region: "eu-west-1", time: at() };
        signature(&scope, credentials, &url, &request).unwrap().into_iter().collect()
    }

    #[test]
    fn the_session_token_the_owner_and_the_checksums_are_signed() {
        let input = json!({"Bucket": "b", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true}});
        let signed = signed("s3.PutPublicAccessBlock", input, "https://s3.eu-west-1.amazonaws.com");
        assert_eq!(signed["x-amz-date"], "20261121T070000Z");
        assert_eq!(signed["x-amz-security-token"], "a-token");
        assert_eq!(signed["x-amz-content-sha256"].len(), 64);
        let authorization = &signed["authorization"];
        assert!(authorization.contains("Credential=AKID/20261121/eu-west-1/s3/aws4_request"), "{authorization}");
        assert!(
            authorization.contains(
                "SignedHeaders=content-md5;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-expected-bucket-owner;x-amz-security-token"
            ),
            "{authorization}"
        );
    }

    /// The signatures are botocore's for the same requests: S3 escapes a path once, everyone else twice.
    #[test]
    fn escaped_paths_are_signed_as_botocore_signs_them() {
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:f";
        let input = json!({"FunctionName": function, "StatementId": "open", "RevisionId": "a/b c"});
        let lambda = signed("lambda.RemovePermission", input, "https://lambda.eu-west-1.amazonaws.com");
        let expected = "Signature=8aac0c758162bd320ee3f4dd679f283c2052c4f98fa03d3e7b74b6e7466031c0";
        assert!(lambda["authorization"].ends_with(expected), "{}", lambda["authorization"]);
        let s3 = signed("s3.GetBucketPolicy", json!({"Bucket": "a:b"}), "https://s3.eu-west-1.amazonaws.com");
        let expected = "Signature=4621f4e36899b7764480d89ba5b2309ab2d26fb4303210bc90cdb77d989cba81";
        assert!(s3["authorization"].ends_with(expected), "{}", s3["authorization"]);
    }

    #[tokio::test]
    async fn a_refusal_of_aws_is_an_answer_and_a_wrong_clock_gets_a_hint() {
        let (url, server) = server(
            "HTTP/1.1 403 Forbidden\r\nx-amzn-requestid: r-1\r\nconnection: close\r\n\r\n\
             {\"__type\":\"com.amazon.coral.service#InvalidSignatureException\",\"message\":\"expired\"}",
        )
        .await;
        let response = api(&url).call(&call("kms", "EnableKeyRotation", json!({"KeyId": "k"})), 5_000).await.unwrap();
        assert_eq!(
            (response.status, response.code(), response.request_id.as_deref()),
            (403, Some("InvalidSignatureException"), Some("r-1"))
        );
        assert_eq!(response.fault.unwrap().message, "expired (hint: check this machine's clock)");
        let seen = server.await.unwrap().to_ascii_lowercase();
        assert!(seen.starts_with("post / http/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("x-amz-target: trentservice.enablekeyrotation\r\n") && seen.contains("authorization: aws4-hmac-sha256 "),
            "{seen}"
        );
    }

    #[tokio::test]
    async fn the_correlation_id_goes_where_cloudtrail_records_it_and_a_wait_comes_back() {
        const ID: &str = "0192f3a4-5b6c-7d8e-9f01-23456789abcd";
        const SLOW: &str = "HTTP/1.1 503 Slow Down\r\nretry-after: 4\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let mut request = call("s3", "GetBucketPolicy", json!({"Bucket": "b"}));
        for (correlation, agent) in [(None, String::new()), (Some(ID), format!(" (correlation/{ID})"))] {
            request.correlation = correlation.map(|id| id.parse().unwrap());
            let (url, server) = server(SLOW).await;
            let response = api(&url).call(&request, 5_000).await.unwrap();
            assert_eq!((response.status, response.retry_after_ms(0)), (503, Some(4_000)));
            let seen = server.await.unwrap();
            let agents: Vec<&str> = seen.lines().filter(|line| line.to_ascii_lowercase().starts_with("user-agent:")).collect();
            assert_eq!(agents, [format!("user-agent: {USER_AGENT}{agent}")]);
        }
    }

    #[tokio::test]
    async fn a_redirect_is_a_fault_and_is_not_followed() {
        let (url, _server) = server(
            "HTTP/1.1 301 Moved Permanently\r\nlocation: http://127.0.0.1:9/\r\nx-amz-bucket-region: eu-west-1\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        let response = api(&url).call(&call("s3", "HeadBucket", json!({"Bucket": "b"})), 5_000).await.unwrap();
        assert_eq!((response.status, response.code()), (301, Some("MovedPermanently")));
        assert_eq!(response.headers["x-amz-bucket-region"], "eu-west-1");
    }

    #[tokio::test]
    async fn what_was_not_sent_is_told_from_what_may_have_been() {
        let describe = call("ec2", "DescribeVpcs", json!({}));
        let outcome = |url: String, request: ApiRequest, ms: u64| async move { api(&url).call(&request, ms).await.unwrap_err() };

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(outcome(closed, describe.clone(), 5_000).await, ApiError::NotSent { retry: true, .. }));

        let (silent, _server) = server("").await;
        assert!(matches!(outcome(silent, describe.clone(), 200).await, ApiError::Unknown { .. }));
        let (cut, _server) = server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<DescribeVpcs").await;
        assert!(matches!(outcome(cut, describe.clone(), 5_000).await, ApiError::Unknown { .. }));
        let (garbled, _server) = server("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").await;
        assert!(matches!(outcome(garbled, describe.clone(), 5_000).await, ApiError::Unknown { .. }));

        let nowhere = || "http://127.0.0.1:9".to_owned();
        let mistyped = call("ec2", "DescribeVpcs", json!({"VpcId": ["v"]}));
        let error = outcome(nowhere(), mistyped, 5_000).await;
        assert_eq!(error.to_string(), "ec2.DescribeVpcs was not sent: unknown member `VpcId`, did you mean `VpcIds`?");
        let mut elsewhere = describe.clone();
        elsewhere.region = Some("eu-west-1.evil.example/".to_owned());
        let mut azure = describe.clone();
        azure.cloud = Cloud::Azure;
        let mut http = describe.clone();
        http.call = ApiCall::Http(HttpCall {
            method: Method::Get,
            host: "ec2.amazonaws.com".to_owned(),
            path: "/".to_owned(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: None,
        });
        for refused in [elsewhere, azure, http] {
            assert!(matches!(outcome(nowhere(), refused, 5_000).await, ApiError::NotSent { retry: false, .. }));
        }
        let remote = outcome("https://evil.example".to_owned(), describe, 5_000).await;
        assert!(matches!(remote, ApiError::NotSent { retry: false, .. }));
    }
}
