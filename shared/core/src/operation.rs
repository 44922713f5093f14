//! Long-running operations: what a provider answers when a write is accepted now and done later, and how it is asked.
//! Pure; the facts are the vendors' (<https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>,
//! <https://cloud.google.com/compute/docs/api/how-tos/api-requests-responses>, <https://google.aip.dev/151>).

mod address;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use address::{ARM_HOSTS, arm_host};

use crate::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use crate::cloud::Cloud;
use crate::finding::Millis;

/// The code of [`Progress::Failed`] when the provider no longer tells how an operation ended: only a read of the resource can.
pub const UNKNOWN: &str = "OperationOutcomeUnknown";

/// Bounds of the time between two polls, whatever the provider says.
const LEAST_MS: Millis = 1_000;
const MOST_MS: Millis = 15 * 60_000;
/// Where Azure names no time: what its own SDKs wait.
const AZURE_MS: Millis = 30_000;
/// Where Google names no time (it never does): doubled with each poll, from a second to a minute.
const GOOGLE_MOST_MS: Millis = 60_000;
/// So many first polls may say "not found": an operation is not known everywhere at once.
const FORGIVEN_POLLS: u32 = 5;
/// Nobody waits longer for one write.
const LONGEST_MS: Millis = 24 * 3_600_000;

/// An operation that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The read that tells how far it is.
    pub poll: ApiRequest,
    /// How that read's answer is to be understood.
    pub style: Style,
    /// Not before then, milliseconds since the epoch.
    pub next_at: Millis,
    /// When it began.
    pub since: Millis,
    /// Polls so far.
    #[serde(default)]
    pub polls: u32,
}

/// How a poll's answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Azure: the body's `status`.
    AzureAsyncOperation,
    /// Azure: 202 until it is done, then 200, 201 or 204.
    AzureLocation,
    /// Azure: the resource's own `properties.provisioningState`.
    AzureProvisioningState,
    /// Google: `done` with `error` or `response`, or `status: DONE`.
    GoogleOperation,
}

/// What a poll told.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Still running; ask again then.
    Running(Box<Pending>),
    /// It ended well.
    Done,
    /// It ended badly: the vendor's code and message. With the code [`UNKNOWN`] nobody knows how it ended.
    Failed {
        /// The code.
        code: String,
        /// The message.
        message: String,
    },
}

/// The operation a successful answer to a write started, if it did. One that Google answers as failed already is given too:
/// its first poll says so.
///
/// An address that is not the provider's own, or that is in another subscription, is never asked; Azure's resource is polled
/// instead. AWS has no operations.
pub fn started(request: &ApiRequest, response: &ApiResponse, now: Millis) -> Option<Pending> {
    let ApiCall::Http(http) = &request.call else { return None };
    if response.fault.is_some() || matches!(http.method, Method::Get | Method::Head) {
        return None;
    }
    let (poll, style) = match request.cloud {
        Cloud::Azure => azure(http, &request.account, response)?,
        Cloud::Gcp => (google(http, &response.body)?, Style::GoogleOperation),
        Cloud::Aws => return None,
    };
    let poll = ApiRequest { call: ApiCall::Http(poll), ..request.clone() };
    Some(Pending { poll, style, next_at: next_at(style, 0, response, now), since: now, polls: 0 })
}

/// What the answer to a poll means. An answer that says "later" (throttled, overloaded) tells nothing about the operation.
pub fn progress(pending: &Pending, response: &ApiResponse, now: Millis) -> Progress {
    if response.is_retryable() {
        return later(pending, response, now);
    }
    if let Some(fault) = &response.fault {
        return match (response.status, pending.style) {
            (404, _) if pending.polls < FORGIVEN_POLLS => later(pending, response, now),
            // The last answer of a result address is that of the write itself, a refusal included.
            (status, Style::AzureLocation) if !matches!(status, 401 | 403 | 404 | 410) => {
                Progress::Failed { code: fault.code.clone(), message: fault.message.clone() }
            }
            (status, _) => unknown(format!("{} answered {status} {}", pending.poll.name(), fault.code)),
        };
    }
    let body = &response.body;
    let state = text(body, "/properties/provisioningState");
    match pending.style {
        Style::GoogleOperation if !is_operation(body) => unknown(format!("{} answered no operation", pending.poll.name())),
        Style::GoogleOperation if !has_ended(body) => later(pending, response, now),
        Style::GoogleOperation => google_end(body),
        Style::AzureAsyncOperation => match text(body, "/status").or(state) {
            Some(status) => azure_end(status, body).unwrap_or_else(|| later(pending, response, now)),
            None if response.status == 202 => later(pending, response, now),
            None if response.status == 204 => Progress::Done,
            None => unknown(format!("{} names no status", pending.poll.name())),
        },
        Style::AzureLocation | Style::AzureProvisioningState => match state {
            Some(state) => azure_end(state, body).unwrap_or_else(|| later(pending, response, now)),
            None if response.status == 202 => later(pending, response, now),
            // Without a state it is finished and succeeded.
            None => Progress::Done,
        },
    }
}

/// When a provider asks to come back, by `retry-after` in seconds or as a date: at least a second from now, at most 15 minutes.
pub fn retry_at(response: &ApiResponse, now: Millis) -> Option<Millis> {
    let wait = response.retry_after_ms(now)?;
    Some(now + wait.clamp(LEAST_MS, MOST_MS))
}

fn next_at(style: Style, polls: u32, response: &ApiResponse, now: Millis) -> Millis {
    retry_at(response, now).unwrap_or_else(|| {
        let wait = match style {
            Style::GoogleOperation => (LEAST_MS << polls.min(6)).min(GOOGLE_MOST_MS),
            _ => AZURE_MS,
        };
        now + wait
    })
}

fn later(pending: &Pending, response: &ApiResponse, now: Millis) -> Progress {
    if now - pending.since > LONGEST_MS {
        return unknown(format!("{} has not ended after {} hours", pending.poll.name(), LONGEST_MS / 3_600_000));
    }
    let mut next = pending.clone();
    next.polls += 1;
    next.next_at = next_at(pending.style, next.polls, response, now);
    // An operation may move to another address while it runs.
    let header = match pending.style {
        Style::AzureAsyncOperation => "azure-asyncoperation",
        Style::AzureLocation => "location",
        Style::AzureProvisioningState | Style::GoogleOperation => "",
    };
    if let (ApiCall::Http(http), Some(url)) = (&pending.poll.call, response.headers.get(header))
        && let Some(poll) = azure_address(http, &pending.poll.account, url)
    {
        next.poll.call = ApiCall::Http(poll);
    }
    Progress::Running(Box::new(next))
}

fn unknown(message: String) -> Progress {
    Progress::Failed { code: UNKNOWN.to_owned(), message }
}

fn azure(http: &HttpCall, account: &str, response: &ApiResponse) -> Option<(HttpCall, Style)> {
    let follow = |header: &str| azure_address(http, account, response.headers.get(header)?);
    if let Some(poll) = follow("azure-asyncoperation") {
        return Some((poll, Style::AzureAsyncOperation));
    }
    let accepted = matches!(response.status, 201 | 202);
    if let Some(poll) = accepted.then(|| follow("location")).flatten() {
        return Some((poll, Style::AzureLocation));
    }
    let unended = text(&response.body, "/properties/provisioningState").is_some_and(|state| azure_end(state, &response.body).is_none());
    let runs = unended || response.status == 202 || response.headers.contains_key("azure-asyncoperation");
    runs.then(|| (azure_resource(http), Style::AzureProvisioningState))
}

/// An address of the same cloud and, where it names one, the same subscription.
fn azure_address(http: &HttpCall, account: &str, url: &str) -> Option<HttpCall> {
    let poll = address::get(url)?;
    let subscription = poll.path.get(1..)?.split_once('/').filter(|(head, _)| head.eq_ignore_ascii_case("subscriptions"));
    let own = subscription.is_none_or(|(_, rest)| rest.split('/').next().is_some_and(|id| id.eq_ignore_ascii_case(account)));
    let host = arm_host(&poll.host)?;
    (own && arm_host(&http.host) == Some(host)).then_some(poll)
}

/// The read of what a write is about: an action's resource, else the resource itself.
fn azure_resource(http: &HttpCall) -> HttpCall {
    let path = match http.method {
        Method::Post => http.path.rsplit_once('/').map_or(http.path.as_str(), |(resource, _)| resource),
        _ => http.path.as_str(),
    };
    let version = http.query.iter().filter(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    address::read(&http.host, path.to_owned(), version.map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// How an operation or a provisioning ended; `None` while it runs. Any other word than these three means running.
fn azure_end(state: &str, body: &Value) -> Option<Progress> {
    match state.to_ascii_lowercase().as_str() {
        "succeeded" => Some(Progress::Done),
        "failed" | "canceled" | "cancelled" => {
            let error =
                |member: &str| text(body, &format!("/error/{member}")).or_else(|| text(body, &format!("/properties/error/{member}")));
            let message = error("message").map_or_else(|| format!("the operation ended as {state}"), str::to_owned);
            Some(Progress::Failed { code: error("code").unwrap_or(state).to_owned(), message })
        }
        _ => None,
    }
}

fn google(http: &HttpCall, body: &Value) -> Option<HttpCall> {
    if !is_operation(body) || (has_ended(body) && !has_failed(body)) {
        return None;
    }
    let link = text(body, "/selfLink").and_then(address::get).filter(|poll| address::is_google(&poll.host));
    link.or_else(|| google_named(http, text(body, "/name")?))
}

/// Where the operation of this name is, by the path of the write that started it.
fn google_named(http: &HttpCall, name: &str) -> Option<HttpCall> {
    let plain = |segment: &str| {
        !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:~".contains(&b))
    };
    if !name.split('/').all(plain) {
        return None;
    }
    let words: Vec<&str> = http.path.split('/').collect();
    let is_version = |word: &&str| word.strip_prefix('v').is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    let whole = name.contains('/');
    // A name with its collection stands below the version; a bare one in the project, and there in its zone or region.
    let mut depth = words.iter().position(is_version)? + 1;
    if !whole {
        depth = words.iter().position(|word| *word == "projects")? + 2;
        depth += match words.get(depth).copied() {
            Some("global") => 1,
            Some("zones" | "regions") => 2,
            _ => 0,
        };
    }
    let parent = words.get(..depth)?.join("/");
    let path = if whole { format!("{parent}/{name}") } else { format!("{parent}/operations/{name}") };
    Some(address::read(&http.host, path, std::collections::BTreeMap::new()))
}

/// `compute#operation`, `sql#operation`, or a name such as `operations/…` and `projects/…/operations/…`.
fn is_operation(body: &Value) -> bool {
    text(body, "/kind").is_some_and(|kind| kind.ends_with("#operation"))
        || text(body, "/name").is_some_and(|name| name.rsplit('/').nth(1) == Some("operations"))
}

/// `done` is left out while it is false.
fn has_ended(body: &Value) -> bool {
    body.get("done") == Some(&Value::Bool(true)) || text(body, "/status") == Some("DONE")
}

fn has_failed(body: &Value) -> bool {
    body.get("error").is_some_and(|error| !error.is_null())
}

/// `error` holds a list of `errors` in Compute Engine and Cloud SQL, elsewhere a `google.rpc.Status` with its number as code.
fn google_end(body: &Value) -> Progress {
    if !has_failed(body) {
        return Progress::Done;
    }
    let word = |member: &str| text(body, &format!("/error/errors/0/{member}")).or_else(|| text(body, &format!("/error/{member}")));
    let number = body.pointer("/error/code").and_then(Value::as_u64).and_then(|code| RPC_CODES.get(usize::try_from(code).ok()?));
    let code = word("code").or(number.copied()).unwrap_or("OPERATION_FAILED").to_owned();
    Progress::Failed { code, message: word("message").unwrap_or_default().to_owned() }
}

/// The codes of `google.rpc.Code` in their order.
const RPC_CODES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}
