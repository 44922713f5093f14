//! One face for three clouds and for all sources, each built on first use: a process that never calls a cloud pays nothing.

use std::sync::Arc;

use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Millis, Source, SourceRef};
use stanch_core::port::{ApiError, BoxFuture, CloudApi, FindingSource, Listed, Scope, SourceAnswer, SourceError, WriteBack};

/// Carries each call by its cloud's signer.
pub struct Clouds {
    /// Azure.
    pub azure: Arc<dyn CloudApi>,
    /// AWS.
    pub aws: Arc<dyn CloudApi>,
    /// Google Cloud.
    pub gcp: Arc<dyn CloudApi>,
}

impl CloudApi for Clouds {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        match request.cloud {
            Cloud::Azure => self.azure.call(request, timeout_ms),
            Cloud::Aws => self.aws.call(request, timeout_ms),
            Cloud::Gcp => self.gcp.call(request, timeout_ms),
        }
    }
}

/// Asks and tells each source by its own API.
pub struct Sources {
    /// Defender for Cloud.
    pub defender: Arc<dyn FindingSource>,
    /// Security Hub, both generations.
    pub security_hub: Arc<dyn FindingSource>,
    /// Security Command Center.
    pub scc: Arc<dyn FindingSource>,
}

impl Sources {
    fn of(&self, source: Source) -> Option<&Arc<dyn FindingSource>> {
        match source {
            Source::DefenderAlert
            | Source::DefenderAssessment
            | Source::DefenderSubAssessment
            | Source::DefenderCompliance
            | Source::AzurePolicy => Some(&self.defender),
            Source::SecurityHub | Source::SecurityHubV2 => Some(&self.security_hub),
            Source::Scc => Some(&self.scc),
            Source::DefenderXdr | Source::Prowler | Source::Ocsf => None,
        }
    }
}

impl FindingSource for Sources {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        match self.of(source) {
            Some(api) => api.fetch(source, reference),
            None => Box::pin(std::future::ready(Err(SourceError {
                action: "fetch",
                finding: reference.id.to_string(),
                source_name: source,
                reason: "a scanner's output file has no API to ask".into(),
                retry: false,
            }))),
        }
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        match self.of(source) {
            Some(api) => api.write_back(source, reference, status, note),
            // A scanner sees the new state at its next run; there is nobody to tell.
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        match self.of(scope.source) {
            Some(api) => api.list(scope, since, page),
            None => Box::pin(std::future::ready(Err(SourceError {
                action: "list",
                finding: "*".into(),
                source_name: scope.source,
                reason: "a scanner's output file has no API to ask".into(),
                retry: false,
            }))),
        }
    }
}
