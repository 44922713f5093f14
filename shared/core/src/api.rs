//! One logical call to a cloud's API, before encoding and signing, and its answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cloud::Cloud;

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
        const CODES: &[&str] = &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "TooManyRequests",
            "SlowDown",
            "RequestThrottled",
            // EC2 takes one snapshot of a volume in 15 seconds, and so many at a time.
            "SnapshotCreationPerVolumeRateExceeded",
            "ConcurrentSnapshotLimitExceeded",
            "rateLimitExceeded",
            "userRateLimitExceeded",
            "RESOURCE_EXHAUSTED",
            "ServiceUnavailable",
            "InternalError",
            "AnotherOperationInProgress",
            "operationInProgress",
            "RetryableError",
        ];
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504) || self.code().is_some_and(|code| CODES.contains(&code))
    }

    /// Seconds the provider asks us to wait.
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get("retry-after")?.trim().parse().ok()
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
