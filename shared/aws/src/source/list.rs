//! What Security Hub holds of one account in one region, a page at a time.

use aws_sdk_securityhub::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_securityhub::types::{
    AllowedOperators, AwsSecurityFindingFilters, CompositeFilter, DateFilter, NumberFilter, OcsfDateField, OcsfDateFilter,
    OcsfFindingFilters, OcsfNumberField, OcsfNumberFilter, OcsfStringField, OcsfStringFilter, SortCriterion, SortOrder,
};
use aws_smithy_runtime_api::http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use stanch_core::finding::{Finding, Millis, Source, SourceRef};
use stanch_core::port::{Listed, Scope};

use super::insight::having;
use super::{Answer, Failure, SecurityHubSource, equals, foreign};
use crate::normalize::normalize;

/// Rows a page: the most Security Hub gives. A finding has up to 240 KB, most a few.
pub(super) const ROWS: i32 = 100;

/// A filter by date without an end is refused, and one whose end moves makes the token of the next page void: it ends ten years after
/// its start.
const FILTER_LENGTH_MS: Millis = 3_650 * 24 * 3_600_000;

impl SecurityHubSource {
    /// One page of the open findings, those changed longest ago first: one that changes meanwhile moves to the end and is seen again,
    /// and none is skipped.
    pub(super) async fn page(&self, scope: &Scope, since: Option<Millis>, token: Option<&str>) -> Result<Listed, Failure> {
        let place = SourceRef {
            account: Some(scope.account.as_str().into()),
            location: scope.region.as_deref().map(Into::into),
            ..SourceRef::default()
        };
        let token = token.map(str::to_owned);
        let answer = Answer::default();
        let failure = match scope.source {
            Source::SecurityHub => {
                let filters = match &scope.having {
                    None => open(scope, since),
                    Some(wanted) => having(wanted).ok_or_else(|| Failure {
                        reason: format!("Security Hub does not filter findings by `{}`", wanted.attribute),
                        retry: false,
                    })?,
                };
                let call = self.client(&place).await?.get_findings().filters(filters).sort_criteria(oldest("UpdatedAt"));
                let call = call.max_results(ROWS).set_next_token(token).customize().interceptor(answer.clone());
                unread(call.send().await)?
            }
            Source::SecurityHubV2 => {
                let call = self.client(&place).await?.get_findings_v2().filters(open_v2(scope, since));
                let call = call.sort_criteria(oldest("finding_info.modified_time_dt"));
                let call = call.max_results(ROWS).set_next_token(token).customize().interceptor(answer.clone());
                unread(call.send().await)?
            }
            other => return Err(foreign(other)),
        };
        let all = scope.having.is_some();
        listed(&answer.text(), failure, |finding| all || is_wanted(finding, scope, since))
    }
}

/// The findings of a page that are `wanted`, each row read by itself.
pub(super) fn listed(text: &str, failure: Option<Failure>, wanted: impl Fn(&Finding<'_>) -> bool) -> Result<Listed, Failure> {
    let page: Page<'_> = match (serde_json::from_str(text), failure) {
        (Ok(page), _) => page,
        (Err(_), Some(failure)) => return Err(failure),
        (Err(error), None) => return Err(Failure { reason: format!("the answer is not readable: {error}"), retry: false }),
    };
    let mut listed = Listed { next: page.next_token.filter(|token| !token.is_empty()), ..Listed::default() };
    for row in page.findings {
        let read = normalize(row.get()).map(|mut reading| {
            reading.findings.retain(&wanted);
            reading
        });
        listed.take(row.get(), read);
    }
    Ok(listed)
}

/// An answer, its findings left as they came.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, rename = "Findings")]
    findings: Vec<&'a RawValue>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
}

/// Emulators ignore filters, and an administrator's account also sees the findings of its members: those of an insight it means to.
fn is_wanted(finding: &Finding<'_>, scope: &Scope, since: Option<Millis>) -> bool {
    let ours = finding.source_ref.account.as_deref() == Some(scope.account.as_str());
    let changed = match (since, finding.modified) {
        (Some(since), Some(modified)) => modified >= since,
        _ => true,
    };
    ours && changed
}

/// What there is to say about a call, if its answer turns out not to be readable. A success that the SDK could not bring into its
/// types is none yet: one odd row must not hide the others of its page.
pub(super) fn unread<T, E>(result: Result<T, SdkError<E, Response>>) -> Result<Option<Failure>, Failure>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let Err(error) = result else { return Ok(None) };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let not_enabled = error.code() == Some("InvalidAccessException");
    let mut failure = Failure::from(error);
    match status {
        200..300 => return Ok(Some(failure)),
        401 | 403 if not_enabled => failure.reason.push_str("\nhint: switch Security Hub on in this account and region"),
        // One permission for both generations.
        401 | 403 => failure.reason.push_str("\nhint: give stanch's role securityhub:GetFindings in this account"),
        _ => {}
    }
    Err(failure)
}

fn open(scope: &Scope, since: Option<Millis>) -> AwsSecurityFindingFilters {
    AwsSecurityFindingFilters::builder()
        .aws_account_id(equals(&scope.account))
        .record_state(equals("ACTIVE"))
        .workflow_status(equals("NEW"))
        .workflow_status(equals("NOTIFIED"))
        .set_updated_at(changed(since).map(|filter| vec![filter]))
        .build()
}

/// The same in OCSF's terms: status New (1) or In Progress (2).
fn open_v2(scope: &Scope, since: Option<Millis>) -> OcsfFindingFilters {
    let account = OcsfStringFilter::builder().field_name(OcsfStringField::CloudAccountUid).filter(equals(&scope.account)).build();
    let changed =
        changed(since).map(|filter| OcsfDateFilter::builder().field_name(OcsfDateField::FindingInfoModifiedTimeDt).filter(filter).build());
    let status =
        |id: f64| OcsfNumberFilter::builder().field_name(OcsfNumberField::StatusId).filter(NumberFilter::builder().eq(id).build()).build();
    let held = CompositeFilter::builder()
        .string_filters(account)
        .set_date_filters(changed.map(|filter| vec![filter]))
        .operator(AllowedOperators::And)
        .build();
    let open = CompositeFilter::builder().number_filters(status(1.0)).number_filters(status(2.0)).operator(AllowedOperators::Or).build();
    OcsfFindingFilters::builder().composite_filters(held).composite_filters(open).composite_operator(AllowedOperators::And).build()
}

fn changed(since: Option<Millis>) -> Option<DateFilter> {
    let since = since?;
    let time = |at: Millis| jiff::Timestamp::from_millisecond(at).ok().map(|at| format!("{at:.3}"));
    Some(DateFilter::builder().start(time(since)?).end(time(since.saturating_add(FILTER_LENGTH_MS))?).build())
}

fn oldest(field: &str) -> SortCriterion {
    SortCriterion::builder().field(field).sort_order(SortOrder::Ascending).build()
}
