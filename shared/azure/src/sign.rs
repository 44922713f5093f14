//! Carries calls to Azure Resource Manager: checks, token, wire form, answer.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::Value;
use stanch_core::api::{ApiCall, ApiFault, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::diagnostic::chain;
use stanch_core::operation::{ARM_HOSTS, arm_host};
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::token::{Credentials, Tokens};

/// The only hosts a call may go to, with the regional hosts below them: long-running operations are followed there.
pub const HOSTS: &[&str] = ARM_HOSTS;

/// The largest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEPT_HEADERS: &[&str] = &["etag", "retry-after", "azure-asyncoperation", "location"];
const REQUEST_ID_HEADERS: &[&str] = &["x-ms-request-id", "x-ms-correlation-request-id"];
/// The activity log shows the first as the event's correlation id; resource providers log the second as the caller's own id.
const CORRELATION_HEADERS: &[&str] = &["x-ms-correlation-request-id", "x-ms-client-request-id"];
/// Headers that are ours to set.
const OWN_HEADERS: &[&str] = &["authorization", "host", "content-length", "transfer-encoding", "connection"];

/// Where calls go.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The host each call names, over https.
    Cloud,
    /// A server on this machine, such as `http://127.0.0.1:8080`, whatever host the call names.
    Loopback(String),
}

/// Azure Resource Manager as a [`CloudApi`]. HTTP client and credential are built on first use.
pub struct AzureApi {
    tokens: Tokens,
    loopback: Option<Url>,
    client: OnceCell<Client>,
}

impl fmt::Debug for AzureApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureApi").field("tokens", &self.tokens).field("loopback", &self.loopback).finish_non_exhaustive()
    }
}

impl AzureApi {
    /// Checks the settings; nothing is built or asked yet. A loopback endpoint takes a fixed token and nothing else does.
    pub fn new(credentials: Credentials, endpoint: Endpoint) -> Result<Self, Error> {
        let loopback = match (&endpoint, &credentials) {
            (Endpoint::Loopback(address), Credentials::Fixed(_)) => {
                Some(loopback_url(address).ok_or_else(|| Error::NotLoopback { endpoint: address.clone() })?)
            }
            (Endpoint::Loopback(_), _) => return Err(Error::LoopbackNeedsFixedToken),
            (Endpoint::Cloud, Credentials::Fixed(_)) => return Err(Error::FixedTokenNeedsLoopback),
            (Endpoint::Cloud, _) => None,
        };
        Ok(AzureApi { tokens: Tokens::new(credentials), loopback, client: OnceCell::new() })
    }

    async fn send(&self, request: &ApiRequest, timeout_ms: u64) -> Result<ApiResponse, ApiError> {
        let call = request.name();
        let not_sent = |reason: String, retry: bool| ApiError::NotSent { call: call.clone(), reason, retry };
        let unknown = |reason: String| ApiError::Unknown { call: call.clone(), reason };
        // A twentieth is kept back, so that the caller's own deadline is never the one that passes first.
        let deadline = Instant::now() + Duration::from_millis(timeout_ms - timeout_ms / 20);

        let ApiCall::Http(http) = &request.call else {
            return Err(not_sent("Azure takes HTTP calls, not named operations".to_owned(), false));
        };
        let (host, url) = self.url(http).map_err(|reason| not_sent(reason, false))?;
        let mut headers = headers(http).map_err(|reason| not_sent(reason, false))?;
        if let Some(correlation) = request.correlation {
            let id = HeaderValue::from_str(&correlation.to_string()).map_err(|error| not_sent(error.to_string(), false))?;
            for name in CORRELATION_HEADERS {
                headers.insert(*name, id.clone());
            }
        }
        let client = self.client().await.map_err(|reason| not_sent(reason, false))?;
        let scope = format!("https://{host}/.default");
        let token = match timeout_at(deadline, self.tokens.token(&scope)).await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return Err(not_sent(error.reason, error.retry)),
            Err(_) => return Err(not_sent(format!("no token within {timeout_ms} ms"), true)),
        };

        let mut outgoing = client.request(method(http.method), url).headers(headers).bearer_auth(token);
        if let Some(body) = &http.body {
            outgoing = outgoing.header("content-type", "application/json").body(body.to_string());
        } else if matches!(http.method, Method::Post | Method::Put | Method::Patch) {
            // Resource Manager answers 411 to a write without a length.
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
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) =
                answer.chunk().await.map_err(|error| unknown(format!("the answer broke off: {}", chain(&error.without_url()))))?
            {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Err(unknown(format!("the answer with status {status} has more than {MAX_BODY_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(decode(status, &headers, &body))
        };
        let answer = match timeout_at(deadline, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(unknown(format!("no answer within {timeout_ms} ms"))),
        };
        tracing::debug!(call, status = answer.status, request_id = answer.request_id, "azure answered");
        Ok(answer)
    }

    /// The host out of [`HOSTS`] that the token is for, and the address the call is sent to.
    fn url(&self, http: &HttpCall) -> Result<(&'static str, Url), String> {
        let host =
            arm_host(&http.host).ok_or_else(|| format!("host `{}` is not accepted; expected one of {}", http.host, HOSTS.join(", ")))?;
        check_path(&http.path)?;
        let mut url = match &self.loopback {
            Some(url) => url.clone(),
            None => Url::parse(&format!("https://{}/", http.host)).map_err(|error| error.to_string())?,
        };
        url.set_path(&http.path);
        if !http.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&http.query);
        }
        Ok((host, url))
    }

    async fn client(&self) -> Result<&Client, String> {
        let build = || async {
            let mut builder = Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .user_agent(concat!("stanch/", env!("CARGO_PKG_VERSION")));
            builder = if self.loopback.is_some() { builder.no_proxy() } else { builder.https_only(true) };
            builder.build().map_err(|error| format!("cannot build the HTTP client: {}", chain(&error)))
        };
        self.client.get_or_try_init(build).await
    }
}

impl CloudApi for AzureApi {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(self.send(request, timeout_ms))
    }
}

fn loopback_url(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "http" && here && bare && nobody).then_some(url)
}

/// Accepts only what stays the same path on the server: absolute, no dot segments (plain or encoded), no query, no backslash.
fn check_path(path: &str) -> Result<(), String> {
    let refused = |why: &str| Err(format!("path `{path}` {why}; expected an absolute path such as /subscriptions/{{id}}"));
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
        let (Ok(key), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else {
            return Err(format!("header `{name}` is not a valid HTTP header"));
        };
        headers.insert(key, value);
    }
    Ok(headers)
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

fn decode(status: u16, headers: &HeaderMap, body: &[u8]) -> ApiResponse {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kept: BTreeMap<String, String> = KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), header(name)?))).collect();
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned())),
    };
    let fault = (!(200..300).contains(&status)).then(|| fault(status, &body));
    ApiResponse { status, body, headers: kept, request_id: REQUEST_ID_HEADERS.iter().find_map(|name| header(name)), fault }
}

/// `{"error": {"code", "message"}}`, or the same without the envelope as some providers answer.
fn fault(status: u16, body: &Value) -> ApiFault {
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    let word = |name: &str| error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    ApiFault { code: word("code").unwrap_or_else(|| format!("Http{status}")), message: word("message").unwrap_or_default() }
}
