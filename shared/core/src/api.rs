//! One logical call to a cloud's API, before encoding and signing, and its answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cloud::Cloud;
use crate::finding::Millis;

/// A call as the vendor documents it. How it is put on the wire and signed is inside each `CloudApi`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiRequest {
    /// Which signer carries it.
    pub cloud: Cloud,
    /// Subscription, account or project whose credentials are used.
    pub account: String,
    /// AWS region; for the other clouds only informative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What is called.
    #[serde(flatten)]
    pub call: ApiCall,
    /// The correlation id sent with it; never part of a plan.
    #[serde(skip)]
    pub correlation: Option<uuid::Uuid>,
}

/// What is called: an AWS operation by name, or an HTTP request as Microsoft and Google document it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ApiCall {
    /// `ec2.ModifyInstanceMetadataOptions` with its input members, spelt as in the service model.
    Operation {
        /// The service's client name (`ec2`, `s3`, `s3control`, `iam`).
        service: String,
        /// The operation.
        operation: String,
        /// Input members.
        #[serde(default)]
        input: Map<String, Value>,
    },
    /// `PATCH /subscriptions/…?api-version=…` with a JSON body.
    Http(HttpCall),
}

/// One HTTP request of Azure Resource Manager or a Google API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpCall {
    /// Verb.
    pub method: Method,
    /// `management.azure.com`, `storage.googleapis.com` …: only the cloud's own hosts are accepted by the signers.
    pub host: String,
    /// Absolute path, already percent-encoded where the vendor demands it.
    pub path: String,
    /// Query parameters, decoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Extra headers such as `If-Match`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// An HTTP verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the verbs are their own documentation")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Upper-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Reads an upper-case verb.
    pub fn parse(text: &str) -> Option<Self> {
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete].into_iter().find(|m| m.as_str() == text)
    }
}

impl ApiRequest {
    /// A call for an account, without region and correlation.
    pub fn new(cloud: Cloud, account: impl Into<String>, call: ApiCall) -> Self {
        ApiRequest { cloud, account: account.into(), region: None, call, correlation: None }
    }

    /// What providers count calls by: cloud, account, region and service (or provider namespace, or host). Workers back off by it.
    pub fn quota(&self) -> String {
        let service = match &self.call {
            ApiCall::Operation { service, .. } => service.as_str(),
            // Resource Manager counts by subscription and resource provider.
            ApiCall::Http(http) if self.cloud == Cloud::Azure => {
                let path = http.path.rsplit_once("/providers/").map_or("", |(_, provider)| provider);
                path.split('/').next().filter(|p| !p.is_empty()).unwrap_or("arm")
            }
            ApiCall::Http(http) => http.host.as_str(),
        };
        let region = self.region.as_deref().unwrap_or("-");
        format!("{}/{}/{region}/{service}", self.cloud, self.account).to_ascii_lowercase()
    }

    /// A short name for logs and errors: `ec2.DescribeInstances`, `PATCH management.azure.com/subscriptions/…`.
    pub fn name(&self) -> String {
        match &self.call {
            ApiCall::Operation { service, operation, .. } => format!("{service}.{operation}"),
            ApiCall::Http(http) => format!("{} {}{}", http.method.as_str(), http.host, http.path),
        }
    }
}

/// An answer of a cloud, success or fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// The decoded body; `null` when empty. AWS XML answers are decoded by the operation's output shape.
    #[serde(default)]
    pub body: Value,
    /// Headers that matter, names in lower case: `etag`, `retry-after`, `azure-asyncoperation`, `location`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The provider's request id, for the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Set when the call failed: the vendor's error code and message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ApiFault>,
}

impl ApiResponse {
    /// A success with a JSON body.
    pub fn ok(body: Value) -> Self {
        ApiResponse { status: 200, body, ..ApiResponse::default() }
    }

    /// A fault with the vendor's code.
    pub fn fault(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        ApiResponse { status, fault: Some(ApiFault { code: code.into(), message: message.into() }), ..ApiResponse::default() }
    }

    /// The vendor's error code of a failed call.
    pub fn code(&self) -> Option<&str> {
        self.fault.as_ref().map(|f| f.code.as_str())
    }

    /// Whether the provider asks us to come back later: throttled, overloaded, or briefly broken.
    pub fn is_retryable(&self) -> bool {
        // Names of passing trouble in answers whose status does not say so.
        const CODES: &[&str] = &[
            "ServiceUnavailable",
            // EC2 makes so many snapshots at a time.
            "ConcurrentSnapshotLimitExceeded",
            "InternalError",
            "RequestTimeout",
            "RequestTimeoutException",
            "AnotherOperationInProgress",
            "operationInProgress",
            "RetryableError",
        ];
        self.is_throttled() || matches!(self.status, 408 | 500 | 502 | 503 | 504) || self.code().is_some_and(|code| CODES.contains(&code))
    }

    /// Whether the provider counts our calls and we made too many: what workers back off from together. A broken or overloaded
    /// service is none of it, and neither is a used-up allowance of resources (`quotaExceeded`, `LimitExceededException`), which
    /// no waiting brings back.
    pub fn is_throttled(&self) -> bool {
        // The first group is what AWS's own clients retry as throttling (without `LimitExceededException`, which KMS, IAM and
        // CloudTrail give for too many resources); many come with status 400 or 503. Then Azure Storage (503) and Resource
        // Manager, and the reasons and status of Google's APIs (Compute gives them with 403).
        const CODES: &[&str] = &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "EC2ThrottledException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "ProvisionedThroughputExceededException",
            "PriorRequestNotComplete",
            // EC2 takes one snapshot of a volume in 15 seconds.
            "SnapshotCreationPerVolumeRateExceeded",
            "TooManyRequestsException",
            "SlowDown",
            "TooManyRequests",
            "SubscriptionRequestsThrottled",
            "ServerBusy",
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "RESOURCE_EXHAUSTED",
        ];
        self.status == 429 || self.code().is_some_and(|code| CODES.contains(&code))
    }

    /// Seconds the provider asks us to wait, when it says so in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get("retry-after")?.trim().parse().ok()
    }

    /// Milliseconds from `now` that the provider asks us to wait, from a `Retry-After` in either of its forms: seconds, or an HTTP
    /// date (RFC 9110, 10.2.3). A date that has passed is 0.
    pub fn retry_after_ms(&self, now: Millis) -> Option<Millis> {
        if let Some(seconds) = self.retry_after() {
            return Some(Millis::try_from(seconds).unwrap_or(Millis::MAX).saturating_mul(1000));
        }
        let said = self.headers.get("retry-after")?.trim();
        let date = jiff::fmt::rfc2822::parse(said).ok()?;
        Some(date.timestamp().as_millisecond().saturating_sub(now).max(0))
    }
}

/// A failed call, in the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFault {
    /// `NoSuchBucket`, `AuthorizationFailed`, `PERMISSION_DENIED` …
    pub code: String,
    /// The message.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_from_trouble_and_from_what_waiting_does_not_help() {
        // Status, code, throttled, worth another try.
        const TABLE: &[(u16, &str, bool, bool)] = &[
            (429, "", true, true),
            (400, "Throttling", true, true),
            (400, "ThrottlingException", true, true),
            (503, "RequestLimitExceeded", true, true),
            (503, "SlowDown", true, true),
            (400, "ProvisionedThroughputExceededException", true, true),
            (400, "TooManyRequestsException", true, true),
            (503, "ServerBusy", true, true),
            (403, "rateLimitExceeded", true, true),
            (403, "userRateLimitExceeded", true, true),
            (429, "RESOURCE_EXHAUSTED", true, true),
            (500, "InternalError", false, true),
            (503, "ServiceUnavailable", false, true),
            (502, "", false, true),
            (504, "", false, true),
            (400, "RequestTimeout", false, true),
            (409, "AnotherOperationInProgress", false, true),
            (403, "quotaExceeded", false, false),
            (400, "LimitExceededException", false, false),
            (403, "AccessDenied", false, false),
            (404, "NoSuchBucket", false, false),
            (501, "NotImplemented", false, false),
        ];
        for (status, code, throttled, retryable) in TABLE {
            let answer = ApiResponse::fault(*status, *code, "");
            assert_eq!((answer.is_throttled(), answer.is_retryable()), (*throttled, *retryable), "{status} {code}");
        }
        let fine = ApiResponse::ok(Value::Null);
        assert!(!fine.is_throttled() && !fine.is_retryable());
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        const NOW: Millis = 784_111_777_000;
        const TABLE: &[(&str, Option<Millis>)] = &[
            ("120", Some(120_000)),
            (" 7 ", Some(7_000)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 07:00:00 GMT", Some(0)),
            ("18446744073709551615", Some(Millis::MAX)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (header, wait) in TABLE {
            let headers = BTreeMap::from([("retry-after".to_owned(), (*header).to_owned())]);
            let answer = ApiResponse { status: 503, headers, ..ApiResponse::default() };
            assert_eq!(answer.retry_after_ms(NOW), *wait, "{header}");
        }
        assert_eq!(ApiResponse::default().retry_after_ms(NOW), None);
    }
}
