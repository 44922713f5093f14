//! HTTP to a storage account: where it is, who we are, what is tried again, and what a refusal means to people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aead::Generate;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use stanch_core::diagnostic::chain;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, StoreError};

use super::key::{self, DEVELOPMENT_ACCOUNT};

/// The version of the service that every request asks for.
const VERSION: &str = "2020-12-06";
/// Tokens for every storage account, in every Azure cloud.
pub const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";
/// The clouds an account may be in: public, US Government, China.
const SUFFIXES: [&str; 3] = ["core.windows.net", "core.usgovcloudapi.net", "core.chinacloudapi.cn"];
/// How often one request is sent at most.
const ATTEMPTS: u32 = 4;
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause the service may ask for before a request is given up.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes: the largest body of an event, and some.
const MOST: usize = 64 * 1024 * 1024;

/// Gives bearer tokens for [`STORAGE_SCOPE`].
pub trait TokenSource: Send + Sync {
    /// A token that is still good for some minutes, or why there is none.
    fn token(&self) -> BoxFuture<'_, Result<String, String>>;
}

/// Milliseconds since the epoch, now.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Which of the account's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Blob,
    Queue,
    Table,
}

/// A storage account and who we are to it.
#[derive(Clone)]
pub struct Account {
    name: String,
    pub(crate) blob: Url,
    pub(crate) queue: Url,
    pub(crate) table: Url,
    tokens: Option<Arc<dyn TokenSource>>,
}

impl Account {
    /// An account in Azure: its name, or `name.core.usgovcloudapi.net` and the like for another cloud than the public one.
    pub fn cloud(account: &str, tokens: Arc<dyn TokenSource>) -> Result<Self, StoreError> {
        let (name, suffix) = account.split_once('.').unwrap_or((account, SUFFIXES[0]));
        let known = SUFFIXES.contains(&suffix);
        let named = (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !known || !named {
            return Err(unavailable(format!(
                "`{account}` is no storage account; expected its name (3 to 24 lower-case letters and digits), optionally with one of: {}",
                SUFFIXES.join(", ")
            )));
        }
        let url = |service: &str| Url::parse(&format!("https://{name}.{service}.{suffix}")).map_err(|e| unavailable(e.to_string()));
        Ok(Account { name: name.to_owned(), blob: url("blob")?, queue: url("queue")?, table: url("table")?, tokens: Some(tokens) })
    }

    /// Azurite on this machine: the address of its blob service; queue and table are on the next two ports, as Azurite has
    /// them. Only here is a shared key used, and only the published one.
    pub fn loopback(address: &str) -> Result<Self, StoreError> {
        let refused = || {
            unavailable(format!(
                "endpoint `{address}` is not usable: expected `http://127.0.0.1:<port>`, the address of Azurite's blob service"
            ))
        };
        let url = Url::parse(address).map_err(|_| refused())?;
        let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let (true, true, "http", Some(port)) = (here, bare, url.scheme(), url.port()) else { return Err(refused()) };
        let at = |offset: u16| {
            let mut url = url.clone();
            url.set_port(Some(port.checked_add(offset).ok_or_else(refused)?)).map_err(|()| refused())?;
            url.set_path(DEVELOPMENT_ACCOUNT);
            Ok(url)
        };
        Ok(Account { name: DEVELOPMENT_ACCOUNT.to_owned(), blob: at(0)?, queue: at(1)?, table: at(2)?, tokens: None })
    }

    fn url(&self, service: Service) -> &Url {
        match service {
            Service::Blob => &self.blob,
            Service::Queue => &self.queue,
            Service::Table => &self.table,
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: Method,
    /// Below the account, encoded, with its leading slash.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(service: Service, method: Method, path: impl Into<String>) -> Self {
        Call { service, method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }
}

/// What the service said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// An earlier attempt got no answer: it may have taken effect, and this answer may be about that.
    pub(crate) repeated: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The service's word for what is wrong.
    pub(crate) fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let json = || {
            let read: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
            read.get("odata.error")?.get("code")?.as_str().map(str::to_owned)
        };
        let xml = || body.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code.to_owned());
        self.header("x-ms-error-code").map(str::to_owned).or_else(json).or_else(xml).unwrap_or_else(|| "no code".to_owned())
    }
}

/// Sends requests to one account.
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) account: Account,
    pub(crate) clock: Clock,
}

impl Client {
    pub(crate) fn new(account: Account, clock: Clock) -> Result<Self, StoreError> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("stanch/", env!("CARGO_PKG_VERSION")));
        let builder = if account.tokens.is_none() { builder.no_proxy() } else { builder.https_only(true) };
        let http = builder.build().map_err(|e| unavailable(format!("cannot build the HTTP client: {}", chain(&e))))?;
        Ok(Client { http, account, clock })
    }

    /// Sends a request until it is answered by something else than "later", a few times at most.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, StoreError> {
        let mut repeated = false;
        let mut attempt = 1;
        loop {
            let (failed, pause) = match self.attempt(call).await? {
                Ok(answer) if !is_later(answer.status) => return Ok(Answer { repeated, ..answer }),
                Ok(answer) => {
                    // A throttled request was not carried out; of a broken one nobody knows.
                    repeated |= answer.status != StatusCode::TOO_MANY_REQUESTS;
                    let asked = answer.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
                    (format!("{} {}", answer.status.as_u16(), answer.code()), asked)
                }
                Err(error) => {
                    repeated |= !error.is_connect();
                    (chain(&error.without_url()), None)
                }
            };
            if attempt == ATTEMPTS || pause.is_some_and(|pause| pause > LONGEST_PAUSE) {
                return Err(unavailable(format!("storage account `{}` does not answer: {failed}", self.account.name)));
            }
            let back_off = Duration::from_millis(100 << attempt) + jitter(100);
            tokio::time::sleep(pause.unwrap_or_default().max(back_off)).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Result<Answer, reqwest::Error>, StoreError> {
        let mut url = self.account.url(call.service).clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), call.path);
        url.set_path(&path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut headers = call.headers.clone();
        headers.push(("x-ms-date", date((self.clock)())?));
        headers.push(("x-ms-version", VERSION.to_owned()));
        let authorization = match &self.account.tokens {
            Some(tokens) => {
                let token = tokio::time::timeout(TIMEOUT, tokens.token()).await;
                let token = token.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
                let token = token.map_err(|e| unavailable(format!("no token for storage account `{}`: {e}", self.account.name)))?;
                format!("Bearer {token}")
            }
            None => key::authorization(&key::Signed {
                service: call.service,
                method: call.method.as_str(),
                path: url.path(),
                query: &call.query,
                headers: &headers,
                length: call.body.len(),
            }),
        };
        let mut request = self.http.request(call.method.clone(), url).header("authorization", authorization);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if call.method != Method::GET && call.method != Method::HEAD {
            request = request.header("content-length", call.body.len()).body(call.body.clone());
        }
        let exchange = async {
            let mut answer = request.send().await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > MOST {
                    return Ok(None);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(Answer { status, headers, body, repeated: false }))
        };
        match exchange.await {
            Ok(Some(answer)) => Ok(Ok(answer)),
            Ok(None) => Err(unavailable(format!("storage account `{}` sent an answer of more than {MOST} bytes", self.account.name))),
            Err(error) => Ok(Err(error)),
        }
    }

    /// What an answer that was not expected means. `what` completes "cannot …".
    pub(crate) fn fault(&self, what: &str, answer: &Answer) -> StoreError {
        let code = answer.code();
        let hint = match (answer.status.as_u16(), code.as_str()) {
            (403, "AuthenticationFailed") => "\nhint: the token was not accepted; check the clock and the tenant",
            (403, _) => {
                "\nhint: grant `Storage Table Data Contributor`, `Storage Queue Data Contributor` and `Storage Blob Data Contributor` \
                 on the account to the identity of this program, and let the network in"
            }
            (507, _) => "\nhint: the account is full",
            _ => "",
        };
        unavailable(format!("cannot {what} in storage account `{}`: {} {code}{hint}", self.account.name, answer.status.as_u16()))
    }
}

/// "Later": throttled, or something in between broke.
fn is_later(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Up to so many milliseconds, so that those who collided do not collide again.
pub(crate) fn jitter(most_ms: u64) -> Duration {
    let random: [u8; 2] = Generate::try_generate().unwrap_or_default();
    Duration::from_millis(u64::from(u16::from_be_bytes(random)) % most_ms.max(1))
}

fn date(now: Millis) -> Result<String, StoreError> {
    let wrong = |e: jiff::Error| unavailable(format!("the clock says {now}, which is no time: {e}"));
    let time = Timestamp::from_millisecond(now).map_err(wrong)?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).map_err(wrong)
}

/// The store cannot be used now.
pub(crate) fn unavailable(reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable { reason: reason.into() }
}
