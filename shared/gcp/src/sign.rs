//! Carries calls to Google's APIs: checks, token, wire form, answer.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials as Identity};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use stanch_core::api::{ApiCall, ApiFault, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, chain};

/// The header that tells a loopback server which of Google's hosts a call was meant for.
pub const HOST_HEADER: &str = "x-stanch-host";

const DOMAIN: &str = ".googleapis.com";
/// The largest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How stanch names itself to Google.
const USER_AGENT: &str = concat!("stanch/", env!("CARGO_PKG_VERSION"));
const KEPT_HEADERS: &[&str] = &["etag", "retry-after"];
const REQUEST_ID_HEADERS: &[&str] = &["x-request-id", "x-goog-request-id", "x-guploader-uploadid"];
/// Headers that are ours to set.
const OWN_HEADERS: &[&str] = &["authorization", "host", "content-length", "transfer-encoding", "connection", HOST_HEADER];

/// Where bearer tokens come from.
#[derive(Clone)]
pub enum Credentials {
    /// Application default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names (a service account, an impersonation
    /// or an `external_account` of workload identity federation), else `gcloud auth application-default login`, else the
    /// metadata server.
    ApplicationDefault,
    /// A fixed token, for tests: accepted only together with [`Endpoint::Loopback`].
    Fixed(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::ApplicationDefault => f.write_str("ApplicationDefault"),
            Credentials::Fixed(_) => f.write_str("Fixed(..)"),
        }
    }
}

/// Where calls go.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The host each call names, over https.
    Cloud,
    /// A server on this machine, such as `http://127.0.0.1:8080`, whatever host the call names; [`HOST_HEADER`] carries that host.
    Loopback(String),
}

impl Endpoint {
    /// The address of a loopback endpoint, checked: this machine, plain http, nothing but host and port.
    pub(crate) fn loopback(&self) -> Result<Option<Url>, Error> {
        let Endpoint::Loopback(address) = self else { return Ok(None) };
        let url = Url::parse(address).ok().filter(|url| {
            let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            url.scheme() == "http" && here && bare && url.username().is_empty() && url.password().is_none()
        });
        url.map(Some).ok_or_else(|| Error::NotLoopback { endpoint: address.clone() })
    }
}

/// Google's APIs as a [`CloudApi`]. HTTP client and credential are built on first use.
pub struct GcpApi {
    credentials: Credentials,
    loopback: Option<Url>,
    client: OnceCell<Client>,
    identity: OnceCell<Identity>,
}

impl fmt::Debug for GcpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpApi").field("credentials", &self.credentials).field("loopback", &self.loopback).finish_non_exhaustive()
    }
}

impl GcpApi {
    /// Checks the settings; nothing is built or asked yet. A loopback endpoint takes a fixed token and nothing else does.
    pub fn new(credentials: Credentials, endpoint: Endpoint) -> Result<Self, Error> {
        let loopback = endpoint.loopback()?;
        match (&credentials, &loopback) {
            (Credentials::ApplicationDefault, Some(_)) => Err(Error::LoopbackNeedsFixedToken),
            (Credentials::Fixed(_), None) => Err(Error::FixedTokenNeedsLoopback),
            _ => Ok(GcpApi { credentials, loopback, client: OnceCell::new(), identity: OnceCell::new() }),
        }
    }

    async fn send(&self, request: &ApiRequest, timeout_ms: u64) -> Result<ApiResponse, ApiError> {
        let call = request.name();
        let not_sent = |reason: String, retry: bool| ApiError::NotSent { call: call.clone(), reason, retry };
        let unknown = |reason: String| ApiError::Unknown { call: call.clone(), reason };
        // A twentieth is kept back, so that the caller's own deadline is never the one that passes first.
        let deadline = Instant::now() + Duration::from_millis(timeout_ms - timeout_ms / 20);

        let ApiCall::Http(http) = &request.call else {
            return Err(not_sent("Google takes HTTP calls, not named operations".to_owned(), false));
        };
        let (host, url) = self.url(http).map_err(|reason| not_sent(reason, false))?;
        let mut headers = headers(http).map_err(|reason| not_sent(reason, false))?;
        for (name, value) in correlation(request) {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| not_sent(error.to_string(), false))?);
        }
        let client = self.client().await.map_err(|reason| not_sent(reason, false))?;
        match timeout_at(deadline, self.authorize(&mut headers)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(not_sent(error.reason, error.retry)),
            Err(_) => return Err(not_sent(format!("no token within {timeout_ms} ms"), true)),
        }
        if self.loopback.is_some() {
            headers.insert(
                HOST_HEADER,
                HeaderValue::from_str(&host).map_err(|_| not_sent(format!("host `{host}` is no header value"), false))?,
            );
        }

        let mut outgoing = client.request(method(http.method), url).headers(headers);
        if let Some(body) = &http.body {
            outgoing = outgoing.header("content-type", "application/json").body(body.to_string());
        } else if matches!(http.method, Method::Post | Method::Put | Method::Patch) {
            // Google's front end answers 411 to a write without a length.
            outgoing = outgoing.header("content-length", "0").body(Vec::new());
        }
        let exchange = async {
            let mut answer = outgoing.send().await.map_err(|error| {
                let error = error.without_url();
                let reason = chain(&error);
                if error.is_connect() {
                    not_sent(format!("cannot connect to {host}: {reason}"), true)
                } else if error.is_builder() {
                    not_sent(reason, false)
                } else {
                    unknown(reason)
                }
            })?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) =
                answer.chunk().await.map_err(|error| unknown(format!("the answer broke off: {}", chain(&error.without_url()))))?
            {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Err(unknown(format!("the answer with status {} has more than {MAX_BODY_BYTES} bytes", status.as_u16())));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(decode(status, &headers, &body))
        };
        let answer = match timeout_at(deadline, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(unknown(format!("no answer within {timeout_ms} ms"))),
        };
        tracing::debug!(call, status = answer.status, request_id = answer.request_id, "google answered");
        Ok(answer)
    }

    /// The call's host, one of Google's, and the address it is sent to.
    fn url(&self, http: &HttpCall) -> Result<(String, Url), String> {
        let host = http.host.to_ascii_lowercase();
        let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !host.strip_suffix(DOMAIN).is_some_and(|service| service.split('.').all(label)) {
            return Err(format!("host `{}` is not accepted; expected one that ends in {DOMAIN}", http.host));
        }
        check_path(&http.path)?;
        let mut url = match &self.loopback {
            Some(url) => url.clone(),
            None => Url::parse(&format!("https://{host}/")).map_err(|error| error.to_string())?,
        };
        url.set_path(&http.path);
        if !http.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&http.query);
        }
        Ok((host, url))
    }

    async fn client(&self) -> Result<&Client, String> {
        let build = || async {
            let mut builder =
                Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT).user_agent(USER_AGENT);
            builder = if self.loopback.is_some() { builder.no_proxy() } else { builder.https_only(true) };
            builder.build().map_err(|error| format!("cannot build the HTTP client: {}", chain(&error)))
        };
        self.client.get_or_try_init(build).await
    }

    /// Adds the bearer token and, for a person's credentials, the project that pays for the quota.
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), NoToken> {
        if let Credentials::Fixed(token) = &self.credentials {
            let broken = || NoToken { reason: "the fixed token is no header value".to_owned(), retry: false };
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| broken())?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
            return Ok(());
        }
        let build = || async {
            Builder::default().build().map_err(|error| NoToken { reason: format!("no credentials: {}", chain(&error)), retry: false })
        };
        let identity = self.identity.get_or_try_init(build).await?;
        #[expect(clippy::default_trait_access, reason = "the type belongs to a crate that is not ours to name")]
        let answer = identity.headers(Default::default()).await;
        match answer {
            Ok(CacheableResource::New { data, .. }) => headers.extend(data),
            Ok(CacheableResource::NotModified) => {
                return Err(NoToken { reason: "no token: the credentials gave none".to_owned(), retry: true });
            }
            Err(error) => return Err(NoToken { reason: format!("no token: {}", chain(&error)), retry: error.is_transient() }),
        }
        Ok(())
    }
}

impl CloudApi for GcpApi {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(self.send(request, timeout_ms))
    }
}

/// Why there is no token.
struct NoToken {
    reason: String,
    retry: bool,
}

/// Accepts only what stays the same path on the server: absolute, no dot segments (plain or encoded), no query, no backslash.
fn check_path(path: &str) -> Result<(), String> {
    let refused = |why: &str| Err(format!("path `{path}` {why}; expected an absolute path such as /storage/v1/b/{{bucket}}"));
    if !path.starts_with('/') || path.starts_with("//") {
        return refused("does not start with one `/`");
    }
    if path.contains(['?', '#', '\\']) || path.contains(char::is_control) {
        return refused("holds `?`, `#`, `\\` or a control character");
    }
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return refused("holds a dot segment");
    }
    Ok(())
}

fn headers(http: &HttpCall) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("header `{name}` is not accepted in a call"));
        }
        let bad = || format!("header `{name}` is not a valid HTTP header");
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(headers)
}

/// The correlation id for both who reads it: audit logs record the caller's user agent, and Google's own tracing takes the W3C
/// header, whose trace id has the 128 bits of a UUID. Unsampled, so that nobody is billed for spans.
fn correlation(request: &ApiRequest) -> Vec<(&'static str, String)> {
    let Some(id) = request.correlation else { return Vec::new() };
    let trace = id.simple().to_string();
    let span = trace.get(16..).unwrap_or_default();
    vec![("user-agent", format!("{USER_AGENT} (correlation/{id})")), ("traceparent", format!("00-{trace}-{span}-00"))]
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn decode(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiResponse {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kept: BTreeMap<String, String> = KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), header(name)?))).collect();
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned())),
    };
    let fault = (!status.is_success()).then(|| fault(status, &body));
    ApiResponse { status: status.as_u16(), body, headers: kept, request_id: REQUEST_ID_HEADERS.iter().find_map(|name| header(name)), fault }
}

/// `{"error": {"status", "message", "errors": [{"reason"}]}}`: newer APIs name a status, older ones a reason, and the token
/// service has `{"error": "invalid_grant", "error_description": …}`.
fn fault(status: StatusCode, body: &Value) -> ApiFault {
    let word = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let reason = word("/error/errors/0/reason");
    // Compute says 403 for too many requests; only the reason tells it from a missing permission.
    let throttled = reason.filter(|reason| matches!(*reason, "rateLimitExceeded" | "userRateLimitExceeded"));
    let code = throttled.or_else(|| word("/error/status")).or(reason).or_else(|| word("/error"));
    let text = || status.canonical_reason().map_or_else(|| format!("HTTP {}", status.as_u16()), str::to_owned);
    let message = word("/error/message").or_else(|| word("/error_description")).or_else(|| body.as_str()).unwrap_or_default();
    ApiFault { code: code.map_or_else(text, str::to_owned), message: message.chars().take(2000).collect() }
}
