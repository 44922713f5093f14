//! Faults that a test injects into calls.

use std::collections::BTreeMap;

use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;

use crate::{azure, gcp};

/// A fault for the next calls that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// Part of [`ApiRequest::name`]: `ec2.Revoke`, `PATCH management.azure.com`, a resource's name. Empty text matches every call.
    pub matching: String,
    /// How many calls it hits.
    pub times: u32,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429 with `retry-after` in seconds; nothing changes.
    Throttled {
        /// Seconds.
        retry_after: u64,
    },
    /// 500; nothing changes.
    InternalError,
    /// 503; nothing changes.
    Unavailable,
    /// The cloud did it, but no answer came back.
    TimeoutLanded,
    /// The call got lost on the way: no answer, and nothing changes.
    TimeoutLost,
    /// No connection: the call was certainly not sent.
    Refused,
    /// 409: somebody else is changing the resource.
    Conflict,
    /// 403 in the words of the service; nothing changes.
    Denied,
    /// The write is accepted as ever, but the long-running operation it starts ends badly, and what it wrote is gone again. Stays
    /// armed until a matching call starts an operation.
    OperationFails,
}

impl Fault {
    /// A fault that hits the next call whose name holds `matching`.
    pub fn once(kind: FaultKind, matching: impl Into<String>) -> Self {
        Fault { kind, matching: matching.into(), times: 1 }
    }

    /// A fault that hits the next `times` calls whose name holds `matching`.
    pub fn times(kind: FaultKind, matching: impl Into<String>, times: u32) -> Self {
        Fault { kind, matching: matching.into(), times }
    }
}

impl FaultKind {
    /// Whether the caller hears nothing.
    pub(crate) fn is_silent(self) -> bool {
        matches!(self, FaultKind::TimeoutLanded | FaultKind::TimeoutLost | FaultKind::Refused)
    }
}

/// A fault that still has calls to hit.
pub(crate) struct Armed {
    kind: FaultKind,
    matching: String,
    pub(crate) left: u32,
}

impl Armed {
    fn matches(&self, name: &str) -> bool {
        self.left > 0 && name.contains(&self.matching)
    }
}

impl From<Fault> for Armed {
    fn from(fault: Fault) -> Self {
        Armed { kind: fault.kind, matching: fault.matching, left: fault.times }
    }
}

/// Takes the oldest armed fault that matches a call. A failing operation is none of them: see [`take_operation`].
pub(crate) fn take(faults: &mut Vec<Armed>, name: &str) -> Option<FaultKind> {
    faults.retain(|f| f.left > 0);
    let armed = faults.iter_mut().find(|f| f.kind != FaultKind::OperationFails && f.matches(name))?;
    armed.left -= 1;
    Some(armed.kind)
}

/// Whether the operation that a call starts would fail.
pub(crate) fn fails_operation(faults: &[Armed], name: &str) -> bool {
    faults.iter().any(|f| f.kind == FaultKind::OperationFails && f.matches(name))
}

/// Uses up a failing operation.
pub(crate) fn take_operation(faults: &mut [Armed], name: &str) {
    if let Some(armed) = faults.iter_mut().find(|f| f.kind == FaultKind::OperationFails && f.matches(name)) {
        armed.left -= 1;
    }
}

/// The answer of a fault that answers, with the code the service uses.
pub(crate) fn response(kind: FaultKind, request: &ApiRequest) -> ApiResponse {
    let (status, message) = match kind {
        FaultKind::Throttled { .. } => (429, "Too many requests, slow down."),
        FaultKind::Unavailable => (503, "The service is unavailable, try again."),
        FaultKind::Conflict => (409, "Another operation on the resource is in progress."),
        FaultKind::Denied => (403, "The caller does not have permission to perform this action."),
        _ => (500, "The server encountered an internal error."),
    };
    let code = code(status, request);
    let mut response = match request.cloud {
        Cloud::Azure => azure::error(status, code, message),
        Cloud::Gcp => gcp::error(status, code, message),
        Cloud::Aws => ApiResponse::fault(status, code, message),
    };
    if let FaultKind::Throttled { retry_after } = kind {
        response.headers = BTreeMap::from([("retry-after".to_owned(), retry_after.to_string())]);
    }
    response
}

fn code(status: u16, request: &ApiRequest) -> &'static str {
    let service = match &request.call {
        ApiCall::Operation { service, .. } => service.as_str(),
        ApiCall::Http(_) => "",
    };
    match (request.cloud, status, service) {
        (Cloud::Azure, 429, _) => "TooManyRequests",
        (Cloud::Azure | Cloud::Aws, 503, _) => "ServiceUnavailable",
        (Cloud::Azure, 409, _) => "Conflict",
        (Cloud::Azure, 403, _) => "AuthorizationFailed",
        (Cloud::Azure, ..) => "InternalServerError",
        (Cloud::Gcp, 429, _) => "rateLimitExceeded",
        (Cloud::Gcp, 409, _) => "conflict",
        (Cloud::Gcp, 403, _) => "forbidden",
        (Cloud::Gcp, ..) => "backendError",
        (Cloud::Aws, 429, "ec2") => "RequestLimitExceeded",
        (Cloud::Aws, 429, "s3" | "s3control") => "SlowDown",
        (Cloud::Aws, 429, "lambda") => "TooManyRequestsException",
        (Cloud::Aws, 429, "iam" | "rds" | "sts") => "Throttling",
        (Cloud::Aws, 429, _) => "ThrottlingException",
        (Cloud::Aws, 409, "s3" | "s3control") => "OperationAborted",
        (Cloud::Aws, 409, _) => "ConflictException",
        (Cloud::Aws, 403, "ec2") => "UnauthorizedOperation",
        (Cloud::Aws, 403, "kms" | "lambda" | "cloudtrail") => "AccessDeniedException",
        (Cloud::Aws, 403, _) => "AccessDenied",
        (Cloud::Aws, ..) => "InternalError",
    }
}
