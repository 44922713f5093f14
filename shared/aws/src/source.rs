//! Security Hub as a source: asks for a finding with our own credentials, lists findings, and writes their status back.

mod insight;
mod list;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_securityhub::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_securityhub::config::{BehaviorVersion, ConfigBag, Intercept, Region, RuntimeComponents};
use aws_sdk_securityhub::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_securityhub::types::{
    AwsSecurityFindingFilters, AwsSecurityFindingIdentifier, CompositeFilter, NoteUpdate, OcsfFindingFilters, OcsfFindingIdentifier,
    OcsfStringField, OcsfStringFilter, StringFilter, StringFilterComparison, WorkflowStatus, WorkflowUpdate,
};
use aws_sdk_securityhub::{Client, Config};
use aws_smithy_runtime_api::http::Response;
use stanch_core::finding::{Finding, Millis, Source, SourceRef};
use stanch_core::port::{BoxFuture, FindingSource, Kind, Listed, Scope, SourceAnswer, SourceError, WriteBack};

use crate::credentials::{AwsCredentials, check_loopback};
use crate::error::{AwsError, chain};
use crate::normalize::{normalize, product_slug};

/// Who wrote the note, as Security Hub shows it.
const UPDATED_BY: &str = "stanch";

/// The longest note and comment Security Hub takes, in characters.
const NOTE_CHARS: usize = 512;

/// How long one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Pages of an answer that are read in search of one finding. An exact filter gives one; some emulators ignore filters.
const MAX_PAGES: usize = 10;

/// Security Hub CSPM (ASFF) and Security Hub (OCSF), through the account and region a finding is held in.
#[derive(Debug)]
pub struct SecurityHubSource {
    credentials: Arc<AwsCredentials>,
    endpoint: Option<String>,
    clients: Mutex<HashMap<(String, String), Client>>,
}

impl SecurityHubSource {
    /// A source that signs with these credentials. `endpoint` (a URL) takes the place of AWS, for an emulator on this machine;
    /// any other is refused.
    pub fn new(credentials: Arc<AwsCredentials>, endpoint: Option<String>) -> Self {
        SecurityHubSource { credentials, endpoint, clients: Mutex::default() }
    }

    /// The client for the place of a finding; built at first use. Credentials are asked for here too, so that their absence is
    /// told as what it is.
    async fn client(&self, reference: &SourceRef<'_>) -> Result<Client, Failure> {
        let missing = |field: &str| Failure { reason: format!("the reference to the finding holds no {field}"), retry: false };
        let account = reference.account.as_deref().ok_or_else(|| missing("account"))?;
        let region = reference.location.as_deref().ok_or_else(|| missing("region"))?;
        self.endpoint.as_deref().map_or(Ok(()), check_loopback)?;
        self.credentials.for_account(account, region).await?;

        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry((account.to_owned(), region.to_owned())).or_insert_with(|| {
            let provider =
                AccountProvider { credentials: self.credentials.clone(), account: account.to_owned(), region: region.to_owned() };
            let mut config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region.to_owned()))
                .credentials_provider(provider)
                .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build());
            config.set_endpoint_url(self.endpoint.clone());
            Client::from_conf(config.build())
        });
        Ok(client.clone())
    }

    async fn ask(&self, source: Source, reference: &SourceRef<'_>) -> Result<SourceAnswer, Failure> {
        let client = self.client(reference).await?;
        let mut token = None;
        for _ in 0..MAX_PAGES {
            let answer = Answer::default();
            token = match source {
                Source::SecurityHub => {
                    let page = client.get_findings().filters(filters(reference)).max_results(100).set_next_token(token);
                    page.customize().interceptor(answer.clone()).send().await?.next_token
                }
                Source::SecurityHubV2 => {
                    let page = client.get_findings_v2().filters(filters_v2(reference)).max_results(100).set_next_token(token);
                    page.customize().interceptor(answer.clone()).send().await?.next_token
                }
                other => return Err(foreign(other)),
            };
            if let Some(finding) = find(&answer.text(), source, reference)? {
                return Ok(SourceAnswer::Found(Box::new(finding)));
            }
            if token.is_none() {
                return Ok(SourceAnswer::Absent);
            }
        }
        Err(Failure { reason: format!("the answer goes on for more than {MAX_PAGES} pages"), retry: false })
    }

    async fn tell(&self, source: Source, reference: &SourceRef<'_>, status: WriteBack, note: &str) -> Result<(), Failure> {
        match source {
            Source::SecurityHub => self.write_v1(reference, status, note).await,
            Source::SecurityHubV2 => self.write_v2(reference, status, note).await,
            other => Err(foreign(other)),
        }
    }

    async fn write_v1(&self, reference: &SourceRef<'_>, status: WriteBack, note: &str) -> Result<(), Failure> {
        let product = reference.product.as_deref();
        let Some(product) = product else {
            return Err(Failure { reason: "the reference to the finding holds no ProductArn".to_owned(), retry: false });
        };
        let identifier = AwsSecurityFindingIdentifier::builder().id(&*reference.id).product_arn(product).build();
        let answer = self
            .client(reference)
            .await?
            .batch_update_findings()
            .finding_identifiers(identifier)
            .workflow(WorkflowUpdate::builder().status(workflow(product, status)).build())
            .note(NoteUpdate::builder().text(note_text(status, note)).updated_by(UPDATED_BY).build())
            .send()
            .await?;
        match answer.unprocessed_findings().first() {
            None => Ok(()),
            Some(refused) => {
                let code = refused.error_code().unwrap_or("no error code");
                let message = refused.error_message().unwrap_or("no message");
                Err(Failure::unprocessed(code, message, &["ConcurrentUpdateError", "InternalFailure"]))
            }
        }
    }

    async fn write_v2(&self, reference: &SourceRef<'_>, status: WriteBack, note: &str) -> Result<(), Failure> {
        let mut update = self
            .client(reference)
            .await?
            .batch_update_findings_v2()
            .status_id(status_id(reference.product.as_deref().unwrap_or(""), status))
            .comment(note_text(status, note));
        update = if is_arn(&reference.id) {
            let identifier = OcsfFindingIdentifier::builder()
                .set_cloud_account_uid(reference.account.as_deref().map(str::to_owned))
                .finding_info_uid(&*reference.id)
                .set_metadata_product_uid(reference.product.as_deref().map(str::to_owned));
            update.finding_identifiers(identifier.build())
        } else {
            update.metadata_uids(&*reference.id)
        };
        let answer = update.send().await?;
        match answer.unprocessed_findings().first() {
            None => Ok(()),
            Some(refused) => {
                let code = refused.error_code().map_or("no error code", |code| code.as_str());
                let message = refused.error_message().unwrap_or("no message");
                Err(Failure::unprocessed(code, message, &["ConflictException", "InternalServerException"]))
            }
        }
    }
}

impl FindingSource for SecurityHubSource {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        Box::pin(async move { self.ask(source, reference).await.map_err(|e| e.told("fetch", source, reference)) })
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { self.tell(source, reference, status, note).await.map_err(|e| e.told("update", source, reference)) })
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(async move {
            let whole = SourceRef { id: scope.to_string().into(), ..SourceRef::default() };
            self.page(scope, since, page).await.map_err(|e| e.told("list", scope.source, &whole))
        })
    }
}

/// The status of the workflow. A control's finding is closed by Security Hub itself, when its check passes: written by us,
/// `RESOLVED` would only hide a check that still fails.
fn workflow(product: &str, status: WriteBack) -> WorkflowStatus {
    match status {
        WriteBack::InProgress => WorkflowStatus::Notified,
        WriteBack::Fixed if is_control(product) => WorkflowStatus::Notified,
        WriteBack::Fixed => WorkflowStatus::Resolved,
        WriteBack::Reopened => WorkflowStatus::New,
    }
}

/// The same as OCSF's `status_id`: 1 New, 2 In Progress, 4 Resolved.
fn status_id(product: &str, status: WriteBack) -> i32 {
    match status {
        WriteBack::InProgress => 2,
        WriteBack::Fixed if is_control(product) => 2,
        WriteBack::Fixed => 4,
        WriteBack::Reopened => 1,
    }
}

fn is_control(product: &str) -> bool {
    product_slug(product) == "aws/securityhub"
}

/// Findings of the second generation go by `metadata.uid`, a digest; where an event had none, by the provider's ARN.
fn is_arn(id: &str) -> bool {
    id.starts_with("arn:")
}

/// Security Hub takes no empty note, and none over its limit.
fn note_text(status: WriteBack, note: &str) -> String {
    let note = note.trim();
    if note.is_empty() {
        let text = match status {
            WriteBack::InProgress => "stanch works on this finding",
            WriteBack::Fixed => "stanch fixed the resource",
            WriteBack::Reopened => "the fix did not last; the finding stands",
        };
        return text.to_owned();
    }
    note.chars().take(NOTE_CHARS).collect()
}

fn equals(value: &str) -> StringFilter {
    StringFilter::builder().value(value).comparison(StringFilterComparison::Equals).build()
}

fn filters(reference: &SourceRef<'_>) -> AwsSecurityFindingFilters {
    let filters = AwsSecurityFindingFilters::builder().id(equals(&reference.id));
    match reference.product.as_deref() {
        Some(product) => filters.product_arn(equals(product)).build(),
        None => filters.build(),
    }
}

fn filters_v2(reference: &SourceRef<'_>) -> OcsfFindingFilters {
    let field = if is_arn(&reference.id) { OcsfStringField::FindingInfoUid } else { OcsfStringField::MetadataUid };
    let filter = OcsfStringFilter::builder().field_name(field).filter(equals(&reference.id)).build();
    OcsfFindingFilters::builder().composite_filters(CompositeFilter::builder().string_filters(filter).build()).build()
}

/// The one finding that was asked for. The answer itself is read, as an event would be: the typed answer knows fewer fields.
fn find(answer: &str, source: Source, reference: &SourceRef<'_>) -> Result<Option<Finding<'static>>, Failure> {
    let unreadable =
        |e: &(dyn std::error::Error + 'static)| Failure { reason: format!("the answer is not readable: {}", chain(e)), retry: false };
    let findings = normalize(answer).map_err(|e| unreadable(&e))?.findings;
    let wanted = |f: &Finding<'_>| {
        f.source == source && f.source_ref.id == reference.id && (reference.product.is_none() || f.source_ref.product == reference.product)
    };
    Ok(findings.into_iter().find(wanted).map(Finding::into_owned))
}

fn foreign(source: Source) -> Failure {
    Failure { reason: format!("`{source}` is not a source of AWS"), retry: false }
}

/// A failed call, before it is told whose it was.
struct Failure {
    reason: String,
    retry: bool,
}

impl Failure {
    fn unprocessed(code: &str, message: &str, retried: &[&str]) -> Self {
        Failure { reason: format!("not processed: {code}: {message}"), retry: retried.contains(&code) }
    }

    fn told(self, action: &'static str, source: Source, reference: &SourceRef<'_>) -> SourceError {
        SourceError { action, finding: reference.id.clone().into_owned(), source_name: source, reason: self.reason, retry: self.retry }
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Failure { retry: error.kind() == Kind::Retry, reason: error.chain() }
    }
}

impl<E> From<SdkError<E, Response>> for Failure
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, Response>) -> Self {
        let status = error.raw_response().map_or(0, |r| r.status().as_u16());
        let retry = match &error {
            SdkError::ConstructionFailure(_) => false,
            SdkError::ServiceError(_) => {
                status == 429 || status >= 500 || error.code().is_some_and(|c| c.contains("Throttl") || c == "LimitExceededException")
            }
            _ => true,
        };
        let reason = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{status} {code}: {message}"),
            (Some(code), None) => format!("{status} {code}"),
            _ => chain(&error),
        };
        Failure { reason, retry }
    }
}

/// Hands our credentials to the SDK, which keeps them until they expire and then asks again.
#[derive(Debug)]
struct AccountProvider {
    credentials: Arc<AwsCredentials>,
    account: String,
    region: String,
}

impl ProvideCredentials for AccountProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let got = async { self.credentials.for_account(&self.account, &self.region).await.map_err(CredentialsError::provider_error) };
        future::ProvideCredentials::new(got)
    }
}

/// Keeps the text of an answer beside the typed one.
#[derive(Clone, Debug, Default)]
struct Answer(Arc<Mutex<String>>);

impl Answer {
    fn text(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "answer text"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(bytes).into_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
