//! Taking findings in: each (fault, resource) becomes one remediation, whoever reports it and however often.

use stanch_core::chain::sha256_hex;
use stanch_core::cloud::{Resource, Text};
use stanch_core::decide::decide;
use stanch_core::finding::{Finding, FindingStatus, Millis};
use stanch_core::ocsf::ActivityStatus;
use stanch_core::port::StoreError;
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey, Reporter};
use stanch_core::rule::Mode;
use stanch_core::state::{Event, Resolution, State};

use crate::case::{Case, Entry};
use crate::command::blank;
use crate::{Engine, EngineError, Next};

/// What became of one finding on one resource.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Intake {
    /// The remediation, unless nothing was opened.
    pub remediation: Option<RemediationId>,
    /// What happened.
    pub taken: Taken,
    /// The finding's uid.
    pub finding: String,
    /// The resource, or a dash.
    pub resource: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// A new remediation.
    Opened,
    /// A known one; the report was added to it.
    Known,
    /// A known one, resolved before: the fault is back.
    Recurred,
    /// A known one: the source closed its finding.
    Closed,
    /// Nothing to do: the finding is not open and nobody waits for it.
    NotOpen,
    /// Nothing to do: the finding names no resource.
    NoResource,
}

impl Engine {
    /// Takes findings in. Repeating a delivery changes nothing.
    pub async fn ingest(&self, findings: Vec<Finding<'_>>) -> Result<Vec<Intake>, EngineError> {
        let mut all = Vec::new();
        for finding in findings {
            let received = self.now();
            let raw = finding.raw.to_string();
            let digest = sha256_hex(raw.as_bytes());
            let finding = Finding { raw: Text::default(), ..finding }.into_owned();
            if finding.resources.is_empty() {
                let finding = finding.uid.to_string();
                all.push(Intake { remediation: None, taken: Taken::NoResource, finding, resource: "-".into() });
            } else {
                for resource in &finding.resources {
                    all.push(self.take_in(&finding, resource, &digest, &raw, received, None).await?);
                }
            }
        }
        Ok(all)
    }

    /// Takes one finding on one of its resources in. `asked_by` is set when a person asked for it.
    pub(crate) async fn take_in(
        &self,
        finding: &Finding<'static>,
        resource: &Resource<'static>,
        digest: &str,
        raw: &str,
        received: Millis,
        asked_by: Option<&str>,
    ) -> Result<Intake, EngineError> {
        let control = self.ports.fixes.control(finding);
        let key = RemediationKey::of(finding, resource, control.as_deref());
        let intake =
            |remediation, taken| Intake { remediation, taken, finding: finding.uid.to_string(), resource: resource.uid.to_string() };
        // Two workers may take the same fault in at once: the store lets one insert, the other finds it and adds to it.
        for _ in 0..8 {
            let outcome = match self.ports.store.find(&key).await? {
                Some(id) => self.add_report(id, finding, digest, raw, received).await.map(|taken| intake(Some(id), taken)),
                None if !finding.is_open() => return Ok(intake(None, Taken::NotOpen)),
                None => self
                    .open(&key, control.clone(), finding, resource, digest, raw, received, asked_by)
                    .await
                    .map(|id| intake(Some(id), Taken::Opened)),
            };
            match outcome {
                Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                other => return other,
            }
        }
        Err(StoreError::Conflict { id: key.as_str().to_owned() }.into())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one new row")]
    async fn open(
        &self,
        key: &RemediationKey,
        control: Option<String>,
        finding: &Finding<'static>,
        resource: &Resource<'static>,
        digest: &str,
        raw: &str,
        received: Millis,
        asked_by: Option<&str>,
    ) -> Result<RemediationId, EngineError> {
        let decision = decide(&self.rules, finding, resource, received);
        let id = RemediationId((self.ports.new_id)());
        let acts = decision.mode != Mode::Record;
        let why = decision.reasons.join("; ");
        let mut case = Case::new(Remediation {
            raw_digest: digest.to_owned(),
            control,
            asked_by: asked_by.map(str::to_owned),
            ..blank(id, key.clone(), finding, resource.clone(), decision, received)
        });
        case.body(digest.to_owned(), raw.to_owned());
        case.record(self, None, Entry::new(ActivityStatus::Other, "Received", format!("{}: {why}", finding.title)));
        if !acts {
            case.notify(self, "A finding was recorded");
        }
        case.commit(self, if acts { Next::Now } else { Next::Idle }).await?;
        tracing::info!(remediation = %id, finding = %finding.uid, "finding received");
        Ok(id)
    }

    async fn add_report(
        &self,
        id: RemediationId,
        finding: &Finding<'static>,
        digest: &str,
        raw: &str,
        received: Millis,
    ) -> Result<Taken, EngineError> {
        let mut case = Case::load(self, id).await?;
        let stamp = finding.modified.or(finding.last_seen).or(finding.time);
        let known = case.remediation.reporters.iter().position(|r| r.source == finding.source && r.uid == finding.uid);
        if let Some(reporter) = known.and_then(|at| case.remediation.reporters.get(at))
            && let (Some(then), Some(now)) = (reporter.modified, stamp)
            && now < then
        {
            return Ok(Taken::Known); // a late delivery of an older word
        }
        // The row of a deleted finding says nothing about the resource.
        let open = if finding.status == FindingStatus::Deleted { None } else { Some(finding.is_open()) };
        let changed = match known.and_then(|at| case.remediation.reporters.get_mut(at)) {
            Some(reporter) => {
                let changed = open.is_some_and(|o| o != reporter.open) || reporter.modified != stamp;
                reporter.last_received = received;
                reporter.modified = stamp.or(reporter.modified);
                reporter.open = open.unwrap_or(reporter.open);
                changed
            }
            None => {
                case.remediation.reporters.push(reporter(finding, received));
                true
            }
        };
        let all_closed = case.remediation.reporters.iter().all(|r| !r.open);
        let proven = case.remediation.times.verified;
        match (case.state(), open) {
            (State::Resolved { how }, Some(true)) if how != Resolution::ByOthers && !newer(stamp, proven) => {}
            (State::Resolved { .. } | State::StillReported, Some(true)) if changed => {
                case.remediation.recurrences += 1;
                case.remediation.finding = finding.clone();
                let closed = case.remediation.times.closed.take();
                case.remediation.decision = Some(decide(&self.rules, finding, &case.remediation.resource, received));
                case.body(digest.to_owned(), raw.to_owned());
                case.advance(Event::Recurred, "reported again after it was resolved")?;
                let message = format!("reported again; recurrence {} (closed before: {})", case.remediation.recurrences, closed.is_some());
                case.record(self, None, Entry::new(ActivityStatus::Other, "Recurred", message));
                case.commit(self, Next::Now).await?;
                return Ok(Taken::Recurred);
            }
            (State::Resolved { .. }, Some(false)) if all_closed && case.remediation.times.closed.is_none() => {
                case.remediation.times.closed = Some(stamp.unwrap_or(received));
                case.record(self, None, Entry::new(ActivityStatus::Success, "Closed", "the source closed its finding"));
                case.commit(self, Next::Idle).await?;
                return Ok(Taken::Closed);
            }
            (State::StillReported, Some(false)) if all_closed => {
                case.advance(Event::SourceAgrees, "the source closed its finding")?;
                case.remediation.times.closed = Some(stamp.unwrap_or(received));
                case.commit(self, Next::Idle).await?;
                return Ok(Taken::Closed);
            }
            (State::Applying | State::Verifying | State::Undoing | State::Contained { .. } | State::RolledBack | State::Stuck, _) => {}
            (State::Resolved { .. } | State::StillReported, _) => {}
            (_, Some(false)) if all_closed => {
                case.advance(Event::ClosedAtSource, "the source closed the finding before stanch acted")?;
                case.remediation.times.closed = Some(stamp.unwrap_or(received));
                case.record(self, None, Entry::new(ActivityStatus::Other, "Closed", "the source closed the finding before stanch acted"));
                case.commit(self, Next::Idle).await?;
                return Ok(Taken::Closed);
            }
            (State::Open, Some(true)) => {
                case.remediation.finding = finding.clone();
            }
            _ => {}
        }
        if changed {
            let next = if case.state() == State::Open && case.remediation.decision.as_ref().is_some_and(|d| d.mode != Mode::Record) {
                Next::Now
            } else {
                self.keep_due(&case)
            };
            case.commit(self, next).await?;
        }
        Ok(Taken::Known)
    }

    /// A report must not disturb when a moving remediation is looked at next.
    fn keep_due(&self, case: &Case) -> Next {
        match case.state() {
            State::Contained { until } | State::Deferred { until } => Next::At(until),
            state if state.is_moving() => Next::Now,
            _ => Next::Idle,
        }
    }
}

/// Whether the source's word is newer than our own proof. A heartbeat or the echo of our own write-back is not.
fn newer(stamp: Option<Millis>, proven: Option<Millis>) -> bool {
    match (stamp, proven) {
        (Some(stamp), Some(proven)) => stamp > proven,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

pub(crate) fn reporter(finding: &Finding<'static>, received: Millis) -> Reporter {
    Reporter {
        source: finding.source,
        uid: finding.uid.to_string(),
        source_ref: finding.source_ref.clone(),
        first_received: received,
        last_received: received,
        open: finding.is_open(),
        modified: finding.modified.or(finding.last_seen).or(finding.time),
    }
}
