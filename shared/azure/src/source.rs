//! Defender for Cloud as a source: fetching a finding with our own credentials, and writing the status of alerts back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Finding, Millis, Source, SourceRef};
use stanch_core::normalize::Normalized;
use stanch_core::port::{ApiError, BoxFuture, CloudApi, FindingSource, Kind, Listed, Scope, SourceAnswer, SourceError, WriteBack};

use crate::arm::ArmId;
use crate::normalize::{normalize_alert, normalize_compliance, normalize_recommendation};
use crate::sign::HOSTS;

/// The newest versions whose descriptions Microsoft publishes for these operations.
const ALERTS: &str = "2022-01-01";
/// What is asked by its ARM id: each type of a source, the version of its API, and how the answer is read.
const BY_ID: &[ById] = &[
    // Severity, policy and guidance stand in the metadata, which only comes when asked for.
    by_id(Source::DefenderAssessment, "Microsoft.Security/assessments", "2021-06-01", Some("metadata")),
    by_id(Source::DefenderAssessment, "Microsoft.Security/complianceResults", "2017-08-01", None),
    by_id(Source::DefenderAssessment, "Microsoft.Security/locations/tasks", "2015-06-01-preview", None),
    by_id(Source::DefenderAssessment, "Microsoft.Advisor/recommendations", "2023-01-01", None),
    by_id(
        Source::DefenderAssessment,
        "Microsoft.Security/iotSecuritySolutions/analyticsModels/aggregatedRecommendations",
        "2019-08-01",
        None,
    ),
    by_id(Source::DefenderSubAssessment, "Microsoft.Security/assessments/subAssessments", "2019-01-01-preview", None),
    by_id(Source::DefenderSubAssessment, "Microsoft.Security/sqlVulnerabilityAssessments/scans/scanResults", "2023-02-01-preview", None),
    by_id(
        Source::DefenderCompliance,
        "Microsoft.Security/regulatoryComplianceStandards/regulatoryComplianceControls/regulatoryComplianceAssessments",
        "2019-01-01-preview",
        None,
    ),
];

struct ById {
    source: Source,
    kind: &'static str,
    version: &'static str,
    expand: Option<&'static str>,
}

const fn by_id(source: Source, kind: &'static str, version: &'static str, expand: Option<&'static str>) -> ById {
    ById { source, kind, version, expand }
}

pub(crate) const TIMEOUT_MS: u64 = 30_000;
/// Pages of a subscription's alerts that are searched for one whose location is not known.
pub(crate) const MAX_PAGES: usize = 50;

/// Defender for Cloud, asked and told through any [`CloudApi`] that carries Azure calls.
///
/// Only alerts have a status that can be written. Assessments, sub-assessments, compliance results and the states of Azure Policy
/// are measurements, which are repeated by themselves (minutes to days after a fix), so writing back to them does nothing and
/// succeeds. The alerts API takes no comment either: the note stays in our records.
pub struct DefenderSource {
    pub(crate) api: Arc<dyn CloudApi>,
    pub(crate) host: String,
}

impl DefenderSource {
    /// Defender in Azure's public cloud.
    pub fn new(api: Arc<dyn CloudApi>) -> Self {
        DefenderSource::at_host(api, HOSTS.first().copied().unwrap_or_default())
    }

    /// Defender behind another of [`HOSTS`].
    pub fn at_host(api: Arc<dyn CloudApi>, host: impl Into<String>) -> Self {
        DefenderSource { api, host: host.into() }
    }

    async fn fetch_alert(&self, ask: &Ask<'_>) -> Result<SourceAnswer, SourceError> {
        let alert = Alert::read(ask)?;
        let Some(location) = &alert.location else { return self.find_alert(ask, &alert).await };
        for scope in alert.scopes() {
            let answer = self.send(ask, Method::Get, &alert.path(&scope, location), &[("api-version", ALERTS)]).await?;
            if let Some(body) = held(ask, &answer)? {
                return found(ask, &body, normalize_alert, |finding| finding.uid.eq_ignore_ascii_case(alert.name_as_given));
            }
        }
        Ok(SourceAnswer::Absent)
    }

    /// Looks for an alert by name among all of its subscription, for events that do not say its location.
    async fn find_alert(&self, ask: &Ask<'_>, alert: &Alert<'_>) -> Result<SourceAnswer, SourceError> {
        let mut path = format!("/subscriptions/{}/providers/Microsoft.Security/alerts", alert.subscription);
        let mut query = BTreeMap::from([("api-version".to_owned(), ALERTS.to_owned())]);
        for _ in 0..MAX_PAGES {
            let answer = self.request(ask, Method::Get, path, query).await?;
            let Some(body) = held(ask, &answer)? else { return Ok(SourceAnswer::Absent) };
            let same =
                |field: Option<&Value>| field.and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(alert.name_as_given));
            let items = body.get("value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if let Some(item) = items.iter().find(|item| same(item.get("name")) || same(item.pointer("/properties/systemAlertId"))) {
                return found(ask, item, normalize_alert, |_| true);
            }
            let Some(link) = body.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()) else {
                return Ok(SourceAnswer::Absent);
            };
            (path, query) =
                self.next_page(link).ok_or_else(|| ask.failed(format!("page link `{link}` does not lead to {}", self.host), false))?;
        }
        Err(ask.failed(format!("its location is unknown and it is not among the first {MAX_PAGES} pages of alerts"), false))
    }

    async fn fetch_by_id(&self, ask: &Ask<'_>) -> Result<SourceAnswer, SourceError> {
        let id = ask.reference.id.as_ref();
        let mut of_source = BY_ID.iter().filter(|by_id| by_id.source == ask.source);
        let usual = of_source.clone().next().map_or("", |by_id| by_id.kind);
        let arm = ArmId::parse(id);
        let asked = of_source.find(|by_id| arm.as_ref().is_some_and(|arm| arm.is(by_id.kind)));
        let asked = asked.ok_or_else(|| ask.failed(format!("its id is no ARM id of {usual}"), false))?;
        let read = if ask.source == Source::DefenderCompliance { normalize_compliance } else { normalize_recommendation };
        let path = encoded(id).ok_or_else(|| ask.failed("its id holds characters that no ARM id has".to_owned(), false))?;
        let mut query = vec![("api-version", asked.version)];
        query.extend(asked.expand.map(|expand| ("$expand", expand)));
        let answer = self.send(ask, Method::Get, &path, &query).await?;
        match held(ask, &answer)? {
            Some(body) => {
                found(ask, &body, read, |finding| finding.source_ref.id.trim_matches('/').eq_ignore_ascii_case(id.trim_matches('/')))
            }
            None => Ok(SourceAnswer::Absent),
        }
    }

    async fn set_alert(&self, ask: &Ask<'_>, status: WriteBack) -> Result<(), SourceError> {
        let verb = match status {
            WriteBack::InProgress => "inProgress",
            WriteBack::Fixed => "resolve",
            WriteBack::Reopened => "activate",
        };
        let gone = || ask.failed("there is no such alert".to_owned(), false);
        let located;
        let looked_up;
        let mut alert = Alert::read(ask)?;
        if alert.location.is_none() {
            let SourceAnswer::Found(finding) = self.find_alert(ask, &alert).await? else { return Err(gone()) };
            located = finding.source_ref;
            looked_up = Ask { reference: &located, ..*ask };
            alert = Alert::read(&looked_up)?;
        }
        let Some(location) = alert.location.clone() else { return Err(ask.failed("its location is unknown".to_owned(), false)) };
        for scope in alert.scopes() {
            let path = format!("{}/{verb}", alert.path(&scope, &location));
            let answer = self.send(ask, Method::Post, &path, &[("api-version", ALERTS)]).await?;
            if held(ask, &answer)?.is_some() {
                return Ok(());
            }
        }
        Err(gone())
    }

    async fn send(&self, ask: &Ask<'_>, method: Method, path: &str, query: &[(&str, &str)]) -> Result<ApiResponse, SourceError> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.request(ask, method, path.to_owned(), query).await
    }

    pub(crate) async fn request(
        &self,
        ask: &Ask<'_>,
        method: Method,
        path: String,
        query: BTreeMap<String, String>,
    ) -> Result<ApiResponse, SourceError> {
        let http = HttpCall { method, host: self.host.clone(), path, query, headers: BTreeMap::new(), body: None };
        let reference = ask.reference;
        let account = reference.account.as_deref().or_else(|| ArmId::parse(&reference.id)?.subscription).unwrap_or_default().to_owned();
        let request = ApiRequest { cloud: Cloud::Azure, account, region: None, correlation: None, call: ApiCall::Http(http) };
        self.api.call(&request, TIMEOUT_MS).await.map_err(|error: ApiError| ask.failed(error.to_string(), error.kind() == Kind::Retry))
    }

    /// Path and query of a `nextLink`, when it stays on our host.
    pub(crate) fn next_page(&self, link: &str) -> Option<(String, BTreeMap<String, String>)> {
        let url = reqwest::Url::parse(link).ok()?;
        (url.scheme() == "https" && url.host_str() == Some(self.host.as_str()))
            .then(|| (url.path().to_owned(), url.query_pairs().into_owned().collect()))
    }
}

impl FindingSource for DefenderSource {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        Box::pin(async move {
            let ask = Ask { action: "fetch", source, reference };
            ask.check()?;
            match source {
                Source::DefenderAlert => self.fetch_alert(&ask).await,
                Source::AzurePolicy => self.fetch_state(&ask).await,
                _ => self.fetch_by_id(&ask).await,
            }
        })
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        _note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let ask = Ask { action: "update", source, reference };
            ask.check()?;
            if source == Source::DefenderAlert { self.set_alert(&ask, status).await } else { Ok(()) }
        })
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(self.page(scope, since, page))
    }
}

/// One question or order about one finding.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    action: &'static str,
    source: Source,
    pub(crate) reference: &'a SourceRef<'a>,
}

impl Ask<'_> {
    pub(crate) fn failed(&self, reason: String, retry: bool) -> SourceError {
        SourceError { action: self.action, finding: self.reference.id.to_string(), source_name: self.source, reason, retry }
    }

    fn check(&self) -> Result<(), SourceError> {
        let known = matches!(
            self.source,
            Source::DefenderAlert
                | Source::DefenderAssessment
                | Source::DefenderSubAssessment
                | Source::DefenderCompliance
                | Source::AzurePolicy
        );
        if known { Ok(()) } else { Err(self.failed("it comes from neither Defender for Cloud nor Azure Policy".to_owned(), false)) }
    }
}

/// Where an alert lives, its parts checked and encoded for a path.
struct Alert<'a> {
    name_as_given: &'a str,
    name: String,
    subscription: String,
    resource_group: Option<String>,
    location: Option<String>,
}

impl<'a> Alert<'a> {
    /// From a reference whose id is the alert's name or its ARM id.
    fn read(ask: &Ask<'a>) -> Result<Self, SourceError> {
        let reference = ask.reference;
        let arm = ArmId::parse(&reference.id).filter(|arm| arm.is("Microsoft.Security/locations/alerts"));
        let arm = arm.as_ref();
        let part = |what: &str, text: Option<&str>| match text {
            Some(text) => segment(text).map(Some).ok_or_else(|| ask.failed(format!("its {what} `{text}` is not usable in a path"), false)),
            None => Ok(None),
        };
        let missing = |what: &str| ask.failed(format!("its {what} is not known"), false);
        let name = arm.map_or(reference.id.as_ref(), |arm| arm.name);
        let subscription = reference.account.as_deref().or_else(|| arm?.subscription);
        Ok(Alert {
            name_as_given: name,
            name: part("name", Some(name))?.ok_or_else(|| missing("name"))?,
            subscription: part("subscription", subscription)?.ok_or_else(|| missing("subscription"))?,
            resource_group: part("resource group", reference.resource_group.as_deref().or_else(|| arm?.resource_group))?,
            location: part("location", reference.location.as_deref().or_else(|| arm?.parent("locations")))?,
        })
    }

    /// The levels at which the API may hold it, likeliest first. The group was often taken from the resource's id, and an
    /// alert that belongs to the subscription must not count as absent because of that.
    fn scopes(&self) -> Vec<String> {
        let subscription = format!("/subscriptions/{}", self.subscription);
        let group = self.resource_group.as_ref().map(|group| format!("{subscription}/resourceGroups/{group}"));
        group.into_iter().chain([subscription]).collect()
    }

    fn path(&self, scope: &str, location: &str) -> String {
        format!("{scope}/providers/Microsoft.Security/locations/{location}/alerts/{}", self.name)
    }
}

/// The body of a success, nothing for "no such finding", an error for every other refusal.
pub(crate) fn held(ask: &Ask<'_>, answer: &ApiResponse) -> Result<Option<Value>, SourceError> {
    let Some(fault) = &answer.fault else { return Ok(Some(answer.body.clone())) };
    // A subscription we cannot see also answers 404, and says nothing about the finding.
    if answer.status == 404 && !fault.code.to_ascii_lowercase().starts_with("subscription") {
        return Ok(None);
    }
    let role = if ask.action == "fetch" { "Security Reader" } else { "Security Admin" };
    let hint = if answer.status == 403 { format!(" (the role {role} on the subscription holds this right)") } else { String::new() };
    Err(ask.failed(format!("{} {}: {}{hint}", answer.status, fault.code, fault.message), answer.is_retryable()))
}

/// The finding in an answer's body, which must be the one asked for.
pub(crate) fn found(
    ask: &Ask<'_>,
    body: &Value,
    read: fn(&str) -> Normalized<'_>,
    is_asked: impl Fn(&Finding<'_>) -> bool,
) -> Result<SourceAnswer, SourceError> {
    let text = body.to_string();
    let reading = read(&text).map_err(|error| ask.failed(format!("the answer is not readable: {error}"), false))?;
    let finding =
        reading.findings.into_iter().find(is_asked).ok_or_else(|| ask.failed("the answer is about another finding".to_owned(), false))?;
    Ok(SourceAnswer::Found(Box::new(finding.into_owned())))
}

/// An ARM id as a path, each segment encoded.
pub(crate) fn encoded(id: &str) -> Option<String> {
    let segments: Option<Vec<String>> = id.trim_matches('/').split('/').map(segment).collect();
    Some(format!("/{}", segments?.join("/")))
}

/// One segment of a path, percent-encoded. Text that could change the path's shape is refused: events are not to be trusted.
fn segment(text: &str) -> Option<String> {
    let shapes = text.contains(['/', '\\', '?', '#', '%']) || text.contains(char::is_control) || text.chars().all(|c| c == '.');
    if shapes {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~()!$'*+,;=:@&".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(out)
}
