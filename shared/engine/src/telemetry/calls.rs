//! Every call to a cloud, counted and timed, with a span of its own. Wraps the port, so that no caller can forget it.

use std::sync::Arc;

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Meter};
use tracing::Instrument;
use tracing::field::Empty;

use super::{metrics, seconds, throttled};

/// A [`CloudApi`] that tells what it carries.
pub(crate) struct Calls {
    pub(crate) inner: Arc<dyn CloudApi>,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) clock: Arc<dyn Fn() -> Millis + Send + Sync>,
}

impl CloudApi for Calls {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        let cloud = request.cloud.as_str();
        let span = tracing::info_span!("call", cloud, call = request.name(), status = Empty, request_id = Empty);
        Box::pin(async move {
            let start = (self.clock)();
            let answer = self.inner.call(request, timeout_ms).instrument(span.clone()).await;
            self.meter.time(metrics::CALL_TIME.name, &[("cloud", cloud)], seconds((self.clock)() - start));
            self.meter.count(metrics::CALLS.name, &[("cloud", cloud), ("class", class(&answer))], 1);
            if let Ok(response) = &answer {
                span.record("status", response.status);
                if let Some(id) = &response.request_id {
                    span.record("request_id", id.as_str());
                }
                if is_throttle(response) {
                    let wait = response.retry_after().map(|s| s.saturating_mul(1000));
                    span.in_scope(|| throttled(self.meter.as_ref(), request.cloud, &request.quota(), wait));
                }
            }
            answer
        })
    }
}

fn class(answer: &Result<ApiResponse, ApiError>) -> &'static str {
    match answer {
        Ok(response) => match response.status {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        },
        Err(ApiError::NotSent { .. }) => "not-sent",
        Err(ApiError::Unknown { .. }) => "unknown",
    }
}

/// Whether the provider counts our calls and wants fewer. EC2 says so with a 503, others with a 400.
fn is_throttle(response: &ApiResponse) -> bool {
    let by_code = |code: &str| {
        let code = code.to_ascii_lowercase();
        ["throttl", "toomanyrequests", "requestlimitexceeded", "slowdown", "ratelimitexceeded", "resource_exhausted"]
            .iter()
            .any(|word| code.contains(word))
    };
    response.status == 429 || response.code().is_some_and(by_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_is_known_by_its_status_or_by_its_code() {
        for (status, code, expected) in [
            (429, "anything", true),
            (503, "RequestLimitExceeded", true),
            (503, "SlowDown", true),
            (400, "ThrottlingException", true),
            (403, "userRateLimitExceeded", true),
            (503, "ServiceUnavailable", false),
            (403, "AccessDenied", false),
        ] {
            assert_eq!(is_throttle(&ApiResponse::fault(status, code, "")), expected, "{status} {code}");
        }
    }
}
