//! Security Command Center as a source: fetching a finding with our own credentials, listing findings, and writing back their state
//! and marks.

mod list;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::anonymous;
use google_cloud_auth::errors::CredentialsError;
use google_cloud_securitycenter_v2::client::SecurityCenter;
use google_cloud_securitycenter_v2::model::finding::{Mute, State};
use google_cloud_securitycenter_v2::model::list_findings_response::ListFindingsResult;
use google_cloud_securitycenter_v2::model::{SecurityMarks, UpdateSecurityMarksRequest};
use serde_json::Value;
use stanch_core::finding::{Finding, Millis, Source, SourceRef};
use stanch_core::port::{BoxFuture, FindingSource, Listed, Scope, SourceAnswer, SourceError, WriteBack};
use tokio::sync::OnceCell;

use crate::error::{Error, chain};
use crate::normalize::normalize;
use crate::payload::FindingName;
use crate::sign::{Credentials, Endpoint, GcpApi};

/// Our own mark keys. No underscore: the client library turns `a_b` into `aB` inside an update mask, which would name another key.
const STATE_MARK: &str = "stanch";
const NOTE_MARK: &str = "stanch-note";
/// The longest mark value Security Command Center takes, in characters.
const MAX_MARK_CHARS: usize = 4096;
const TIMEOUT: Duration = Duration::from_secs(30);
/// A filter by name has one match; more pages than this mean that the filter was not understood.
const MAX_PAGES: usize = 10;

/// Security Command Center, version 2 of its API, with application default credentials. The client is built on first use.
///
/// Names of version 1 are upgraded by the location `global`. Marks that others set are never touched: every update names just
/// `stanch` (`in-progress`, `fixed`, `reopened`) and `stanch-note`. Built-in scanners keep their own measure: Security Health
/// Analytics re-activates a finding whose fault is still there, whatever state was written.
pub struct SccSource {
    endpoint: Option<String>,
    client: OnceCell<SecurityCenter>,
    /// Lists are read as they come: the client library's types know fewer fields than a finding may have.
    api: GcpApi,
}

impl fmt::Debug for SccSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SccSource").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl SccSource {
    /// Checks the endpoint; nothing is built or asked yet. A loopback endpoint sees no real credential.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let url = endpoint.loopback()?.map(|url| url.as_str().trim_end_matches('/').to_owned());
        let credentials = if url.is_some() { Credentials::Fixed("none".to_owned()) } else { Credentials::ApplicationDefault };
        Ok(SccSource { endpoint: url, client: OnceCell::new(), api: GcpApi::new(credentials, endpoint)? })
    }

    /// Mutes a finding, or lifts the mute, by its name in version 1 or 2 form. Only ever on a person's explicit request: a mute
    /// hides the finding without anything being fixed.
    pub async fn mute(&self, name: &str, muted: bool) -> Result<(), SourceError> {
        let ask = Ask::read("update", Source::Scc, name)?;
        let mute = if muted { Mute::Muted } else { Mute::Unmuted };
        let client = self.client(&ask).await?;
        ask.within(client.set_mute().set_name(ask.name.v2()).set_mute(mute).send()).await?;
        Ok(())
    }

    async fn find(&self, ask: &Ask<'_>) -> Result<SourceAnswer, SourceError> {
        let client = self.client(ask).await?;
        let mut filter = format!("name=\"{}\"", ask.name.v2());
        if matches!(ask.name.location, None | Some("global")) {
            filter.push_str(&format!(" OR name=\"{}\"", ask.name.v1()));
        }
        let uid = ask.name.uid();
        let mut token = String::new();
        for _ in 0..MAX_PAGES {
            let list = client
                .list_findings()
                .set_parent(ask.name.v2_parent())
                .set_filter(filter.as_str())
                .set_page_size(100)
                .set_page_token(token);
            let page = ask.within(list.send()).await?;
            for result in &page.list_findings_results {
                if let Some(finding) = ask.finding(result, &uid)? {
                    return Ok(SourceAnswer::Found(Box::new(finding)));
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(SourceAnswer::Absent);
            }
            token = page.next_page_token;
        }
        Err(ask.failed(format!("it is not among the first {MAX_PAGES} pages of a list filtered by its name"), false))
    }

    async fn tell(&self, ask: &Ask<'_>, status: WriteBack, note: &str) -> Result<(), SourceError> {
        let (word, state) = match status {
            WriteBack::InProgress => ("in-progress", None),
            WriteBack::Fixed => ("fixed", Some(State::Inactive)),
            WriteBack::Reopened => ("reopened", Some(State::Active)),
        };
        let client = self.client(ask).await?;
        let mut marks = HashMap::from([(STATE_MARK.to_owned(), word.to_owned())]);
        let note: String = note.trim().chars().take(MAX_MARK_CHARS).collect();
        if !note.is_empty() {
            marks.insert(NOTE_MARK.to_owned(), note);
        }
        let marks = SecurityMarks::new().set_name(format!("{}/securityMarks", ask.name.v2())).set_marks(marks);
        let mut request = UpdateSecurityMarksRequest::new().set_security_marks(marks);
        // An empty mask would replace all marks. A key that is in the mask but not in the marks is deleted: an old note goes.
        let mask = Value::String(format!("marks.{STATE_MARK},marks.{NOTE_MARK}"));
        request.update_mask = Some(serde_json::from_value(mask).map_err(|error| ask.failed(error.to_string(), false))?);
        ask.within(client.update_security_marks().with_request(request).send()).await?;
        if let Some(state) = state {
            ask.within(client.set_finding_state().set_name(ask.name.v2()).set_state(state).send()).await?;
        }
        Ok(())
    }

    async fn client(&self, ask: &Ask<'_>) -> Result<&SecurityCenter, SourceError> {
        let build = || async {
            let mut builder = SecurityCenter::builder();
            if let Some(endpoint) = &self.endpoint {
                builder = builder.with_endpoint(endpoint.as_str()).with_credentials(anonymous::Builder::new().build());
            }
            builder.build().await.map_err(|error| ask.failed(format!("no client: {}", chain(&error)), false))
        };
        self.client.get_or_try_init(build).await
    }
}

impl FindingSource for SccSource {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        Box::pin(async move { self.find(&Ask::read("fetch", source, &reference.id)?).await })
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { self.tell(&Ask::read("update", source, &reference.id)?, status, note).await })
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(list::page(&self.api, scope, since, page))
    }
}

/// One question about one finding, for calls and errors alike.
struct Ask<'a> {
    action: &'static str,
    given: &'a str,
    name: FindingName<'a>,
}

impl<'a> Ask<'a> {
    fn read(action: &'static str, source: Source, given: &'a str) -> Result<Self, SourceError> {
        let failed =
            |reason: &str| SourceError { action, finding: given.to_owned(), source_name: source, reason: reason.to_owned(), retry: false };
        if source != Source::Scc {
            return Err(failed("it is not of Security Command Center"));
        }
        let name = FindingName::parse(given).ok_or_else(|| {
            failed("its id is not the name of a finding; expected {organizations|folders|projects}/…/sources/…/findings/…")
        })?;
        Ok(Ask { action, given, name })
    }

    fn failed(&self, reason: String, retry: bool) -> SourceError {
        SourceError { action: self.action, finding: self.given.to_owned(), source_name: Source::Scc, reason, retry }
    }

    async fn within<T>(&self, call: impl Future<Output = google_cloud_securitycenter_v2::Result<T>>) -> Result<T, SourceError> {
        match tokio::time::timeout(TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| self.failed(chain(&error), passes(&error))),
            Err(_) => Err(self.failed(format!("no answer within {} s", TIMEOUT.as_secs()), true)),
        }
    }

    /// One result of a list as a finding, if it is the one that was asked for.
    fn finding(&self, result: &ListFindingsResult, uid: &str) -> Result<Option<Finding<'static>>, SourceError> {
        let Some(finding) =
            result.finding.as_ref().filter(|finding| FindingName::parse(&finding.name).is_some_and(|name| name.uid() == uid))
        else {
            return Ok(None);
        };
        let unreadable = |reason: String| self.failed(format!("its answer cannot be read: {reason}"), false);
        let mut json = serde_json::to_value(result).map_err(|error| unreadable(error.to_string()))?;
        // The client library writes enums as numbers; notifications, which we read, carry their names.
        if let Some(fields) = json.get_mut("finding") {
            name_enum(fields, "state", finding.state.name());
            name_enum(fields, "severity", finding.severity.name());
            name_enum(fields, "mute", finding.mute.name());
            name_enum(fields, "findingClass", finding.finding_class.name());
        }
        if let (Some(fields), Some(resource)) = (json.get_mut("resource"), &result.resource) {
            name_enum(fields, "cloudProvider", resource.cloud_provider.name());
        }
        let json = json.to_string();
        let reading = normalize(&json).map_err(|error| unreadable(error.to_string()))?;
        Ok(reading.findings.into_iter().next().map(Finding::into_owned))
    }
}

fn name_enum(object: &mut Value, field: &str, name: Option<&str>) {
    let name = name.filter(|name| !name.ends_with("_UNSPECIFIED"));
    if let Some(slot) = object.get_mut(field) {
        *slot = name.map_or(Value::Null, Value::from);
    }
}

/// Whether trying again can help: no answer, too many requests, a broken server, or a token that is late.
fn passes(error: &google_cloud_securitycenter_v2::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(credentials) = error.downcast_ref::<CredentialsError>() {
            return credentials.is_transient();
        }
        cause = error.source();
    }
    match error.http_status_code() {
        Some(status) => matches!(status, 408 | 409 | 429) || status >= 500,
        None => !error.is_deserialization() && !error.is_serialization(),
    }
}
