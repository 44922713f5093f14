//! Taking findings in: each (fault, resource) becomes one remediation, whoever reports it and however often.

use stanch_core::chain::ChainHead;
use stanch_core::cloud::{Resource, Text};
use stanch_core::control::Control;
use stanch_core::decide::{Decision, decide};
use stanch_core::digest::sha256_hex;
use stanch_core::finding::{Finding, FindingStatus, Millis};
use stanch_core::ocsf::ActivityStatus;
use stanch_core::port::{StoreError, WriteBack};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId, RemediationKey, RemediationRequest, Reporter, Times};
use stanch_core::rule::Mode;
use stanch_core::state::{Event, Resolution, State};
use uuid::Uuid;

use crate::case::{Case, Entry, told};
use crate::due::resting;
use crate::{Engine, EngineError, Next, backlog, telemetry};

/// What a source is told that reports a fault after it was found gone.
const ALREADY: &str = "stanch: a fresh read showed it gone before this report came";

/// What became of one finding on one resource.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// A new remediation that is only recorded: the finding names no resource, so it is kept under its account.
    NoResource,
}

/// How a finding came.
pub(crate) struct Delivery<'d> {
    /// SHA-256 (hex) of its raw bytes.
    pub(crate) digest: &'d str,
    /// Its raw bytes.
    pub(crate) raw: &'d str,
    /// When, milliseconds since the epoch.
    pub(crate) received: Millis,
    /// The person who asked for it (`cli:alice`), where one did.
    pub(crate) asked_by: Option<&'d str>,
    /// Whether it was listed when stanch first looked at its scope.
    pub(crate) first: bool,
    /// Names the delivery in logs and in every call that follows from it.
    pub(crate) correlation: Uuid,
}

impl Engine {
    /// Takes findings in. Repeating a delivery changes nothing.
    pub async fn ingest(&self, findings: Vec<Finding<'_>>) -> Result<Vec<Intake>, EngineError> {
        self.ingest_as(findings, (self.ports.new_id)()).await
    }

    /// Takes the findings of the delivery `correlation` in.
    pub(crate) async fn ingest_as(&self, findings: Vec<Finding<'_>>, correlation: Uuid) -> Result<Vec<Intake>, EngineError> {
        let mut all = Vec::new();
        for finding in findings {
            all.extend(self.ingest_one(finding, false, correlation).await?);
        }
        Ok(all)
    }

    /// Takes a finding in that a sweep listed; `first`: it was there before stanch first looked at its scope.
    pub(crate) async fn ingest_listed(&self, finding: Finding<'static>, first: bool) -> Result<Vec<Intake>, EngineError> {
        self.ingest_one(finding, first, (self.ports.new_id)()).await
    }

    async fn ingest_one(&self, finding: Finding<'_>, first: bool, correlation: Uuid) -> Result<Vec<Intake>, EngineError> {
        let raw = finding.raw.to_string();
        let digest = sha256_hex(raw.as_bytes());
        let finding = Finding { raw: Text::default(), ..finding }.into_owned();
        let delivery = Delivery { digest: &digest, raw: &raw, received: self.now(), asked_by: None, first, correlation };
        if finding.resources.is_empty() {
            return Ok(vec![self.take_in(&finding, &place_of(&finding), &delivery).await?]);
        }
        let mut all = Vec::new();
        for resource in &finding.resources {
            all.push(self.take_in(&finding, resource, &delivery).await?);
        }
        Ok(all)
    }

    /// Takes one finding on one of its resources in.
    pub(crate) async fn take_in(
        &self,
        finding: &Finding<'static>,
        resource: &Resource<'static>,
        delivery: &Delivery<'_>,
    ) -> Result<Intake, EngineError> {
        let control = self.ports.fixes.control(finding);
        let id = control.as_ref().map(|control| control.id.as_str());
        let key = RemediationKey::of(finding, resource, id);
        let several = finding.resources.iter().filter(|_| finding.resources.len() > 1);
        let mut others: Vec<_> = several.map(|other| RemediationKey::of(finding, other, id)).filter(|other| *other != key).collect();
        others.sort_unstable();
        others.dedup();
        let report = Report { finding, control, others };
        let intake =
            |remediation, taken| Intake { remediation, taken, finding: finding.uid.to_string(), resource: resource.uid.to_string() };
        // Two workers may take the same fault in at once: the store lets one insert, the other finds it and adds to it.
        for _ in 0..8 {
            let outcome = match self.known(&key, &report, resource).await? {
                Some(id) => self.add_report(id, &report, delivery).await.map(|taken| intake(Some(id), taken)),
                None if !finding.is_open() => Ok(intake(None, Taken::NotOpen)),
                None => {
                    let taken = if finding.resources.is_empty() { Taken::NoResource } else { Taken::Opened };
                    self.open(&key, &report, resource, delivery).await.map(|id| intake(Some(id), taken))
                }
            };
            match outcome {
                Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                Ok(intake) => {
                    telemetry::finding_received(self.meter(), finding, &intake);
                    return Ok(intake);
                }
                Err(other) => return Err(other),
            }
        }
        Err(StoreError::Conflict { id: key.as_str().to_owned() }.into())
    }

    /// The case of a fault; one that was opened under a former key keeps that.
    async fn known(
        &self,
        key: &RemediationKey,
        report: &Report<'_>,
        resource: &Resource<'static>,
    ) -> Result<Option<RemediationId>, EngineError> {
        if let Some(id) = self.ports.store.find(key).await? {
            return Ok(Some(id));
        }
        let control = report.control.as_ref().map(|control| control.id.as_str());
        for former in RemediationKey::former(report.finding, resource, control) {
            let Some(id) = self.ports.store.find(&former).await? else { continue };
            // Former keys said less: the case must still be one of this fault.
            let case = self.ports.store.load(id).await?;
            if case.is_some_and(|case| RemediationKey::of(&case.finding, &case.resource, control) == *key) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What the rules say. About a finding without a resource they are not asked: there is nothing to act on.
    fn decided(&self, finding: &Finding<'_>, resource: &Resource<'_>, at: Millis) -> Decision {
        if finding.resources.is_empty() {
            return Decision::record("the finding names no resource; it is kept under its account");
        }
        decide(&self.rules, finding, resource, at)
    }

    async fn open(
        &self,
        key: &RemediationKey,
        report: &Report<'_>,
        resource: &Resource<'static>,
        delivery: &Delivery<'_>,
    ) -> Result<RemediationId, EngineError> {
        let finding = report.finding;
        let mut decision = self.decided(finding, resource, delivery.received);
        let backlog = delivery.first && !self.takes_backlog(&decision);
        if backlog {
            decision = Decision::record(backlog::WHY);
        }
        let id = RemediationId((self.ports.new_id)());
        let acts = decision.mode != Mode::Record;
        let mut why = decision.reasons.join("; ");
        if let Some(control) = &report.control {
            why = format!("{why}; control {}", control.told(finding.source));
        }
        let mut case = Case::new(Remediation {
            raw_digest: delivery.digest.to_owned(),
            control: report.control.as_ref().map(|control| control.id.clone()),
            reporters: vec![report.reporter(delivery.received)],
            asked_by: delivery.asked_by.map(str::to_owned),
            backlog,
            correlation: Some(delivery.correlation),
            ..blank(id, key.clone(), finding, resource.clone(), decision, delivery.received)
        });
        case.body(delivery.digest.to_owned(), delivery.raw.to_owned());
        case.record(self, None, Entry::new(ActivityStatus::Other, "Received", format!("{}: {why}", finding.title)));
        if !acts && !backlog {
            case.notify(self, "A finding was recorded");
        }
        case.commit(self, if acts { Next::Now } else { Next::Idle }).await?;
        Ok(id)
    }

    async fn add_report(&self, id: RemediationId, report: &Report<'_>, delivery: &Delivery<'_>) -> Result<Taken, EngineError> {
        let (finding, received) = (report.finding, delivery.received);
        let mut case = Case::load(self, id).await?;
        let Some(heard) = hear(&mut case.remediation, report, received) else { return Ok(Taken::Known) };
        let closed_at = heard.stamp.unwrap_or(received);
        case.remediation.correlation = Some(delivery.correlation);
        match (case.state(), heard.open) {
            // A person who asks for a fault of the backlog does not wait for a rule that takes all of it.
            (State::Open, true) if case.remediation.backlog && delivery.asked_by.is_some() => {
                case.remediation.finding = finding.clone();
                case.remediation.asked_by = delivery.asked_by.map(str::to_owned);
                let decision = self.decided(finding, &case.remediation.resource, received);
                self.leave_backlog(&mut case, decision).await?;
                return Ok(Taken::Known);
            }
            (State::Resolved { .. } | State::StillReported, true) if heard.changed && is_news(&case.remediation, &heard) => {
                case.body(delivery.digest.to_owned(), delivery.raw.to_owned());
                return self.recurred(&mut case, finding, received).await;
            }
            // It comes late to a fault that is gone: its source is told what the others were told.
            (State::Resolved { how }, true) if heard.new && how != Resolution::ByOthers => {
                let status = case.remediation.fix.as_ref().map_or(WriteBack::Fixed, |run| told(run.plan.activity));
                case.write_back_to(self, |r| r.uid == finding.uid && r.source == finding.source, status, ALREADY);
                let next = resting(&case.remediation);
                case.commit(self, next).await?;
                return Ok(Taken::Known);
            }
            (State::Resolved { .. }, false) if heard.all_closed && case.remediation.times.closed.is_none() => {
                case.remediation.times.closed = Some(closed_at);
                case.record(self, None, Entry::new(ActivityStatus::Success, "Closed", heard.closing()));
            }
            (State::StillReported, false) if heard.all_closed => {
                case.advance(Event::SourceAgrees, heard.closing())?;
                case.remediation.times.closed = Some(closed_at);
            }
            (state, false) if heard.all_closed && waits(state) => {
                let why = format!("{} before stanch acted", heard.closing());
                case.advance(Event::ClosedAtSource, why.clone())?;
                case.remediation.times.closed = Some(closed_at);
                case.record(self, None, Entry::new(ActivityStatus::Other, "Closed", why));
            }
            (state, _) => {
                if state == State::Open && heard.open {
                    case.remediation.finding = finding.clone();
                }
                if heard.changed {
                    let next = resting(&case.remediation);
                    case.commit(self, next).await?;
                }
                return Ok(Taken::Known);
            }
        }
        case.commit(self, Next::Idle).await?;
        Ok(Taken::Closed)
    }

    /// The fault is back: decided and planned afresh, and counted.
    async fn recurred(&self, case: &mut Case, finding: &Finding<'static>, received: Millis) -> Result<Taken, EngineError> {
        case.remediation.recurrences += 1;
        case.remediation.finding = finding.clone();
        case.remediation.times.closed = None;
        case.remediation.backlog = false;
        case.remediation.decision = Some(self.decided(finding, &case.remediation.resource, received));
        case.advance(Event::Recurred, "reported again after it was resolved")?;
        let message = format!("reported again after it was resolved; recurrence {}", case.remediation.recurrences);
        case.record(self, None, Entry::new(ActivityStatus::Other, "Recurred", message));
        case.commit(self, Next::Now).await?;
        Ok(Taken::Recurred)
    }
}

impl Case {
    /// Begins a new chain of cause and effect: everything that follows from here carries one id.
    pub(crate) fn correlate(&mut self, engine: &Engine) {
        self.remediation.correlation = Some((engine.ports.new_id)());
    }
}

/// What a source said about one resource.
pub(crate) struct Report<'f> {
    finding: &'f Finding<'static>,
    control: Option<Control>,
    /// The same fault on the other resources the finding names.
    others: Vec<RemediationKey>,
}

impl Report<'_> {
    fn reporter(&self, received: Millis) -> Reporter {
        Reporter {
            matched: self.control.as_ref().map(|control| control.by),
            others: self.others.clone(),
            ..reporter(self.finding, received)
        }
    }
}

/// What a report added to what was known.
struct Heard {
    /// Whether the source says the fault stands. A row it deleted it reports no longer, whatever status the row still had.
    open: bool,
    /// The row is gone.
    deleted: bool,
    /// The source's own time of its word.
    stamp: Option<Millis>,
    /// It is one listing of all there is, and tells no change.
    snapshot: bool,
    /// The source's first word about the case.
    new: bool,
    /// Whether anything is new.
    changed: bool,
    /// Whether every source has closed its finding.
    all_closed: bool,
}

impl Heard {
    fn closing(&self) -> &'static str {
        if self.deleted { "the source deleted its finding, which proves no fix," } else { "the source closed its finding" }
    }
}

/// Adds a report to the case. `None`: a late delivery of an older word.
fn hear(remediation: &mut Remediation, report: &Report<'_>, received: Millis) -> Option<Heard> {
    let finding = report.finding;
    let stamp = finding.modified.or(finding.last_seen).or(finding.time);
    let (open, deleted) = (finding.is_open(), finding.status == FindingStatus::Deleted);
    let known = remediation.reporters.iter_mut().find(|r| r.source == finding.source && r.uid == finding.uid);
    let new = known.is_none();
    let changed = if let Some(known) = known {
        if let (Some(then), Some(now)) = (known.modified, stamp)
            && now < then
        {
            return None;
        }
        let changed = open != known.open || known.modified != stamp || known.others != report.others;
        known.last_received = received;
        known.modified = stamp.or(known.modified);
        known.open = open;
        known.others.clone_from(&report.others);
        changed
    } else {
        remediation.reporters.push(report.reporter(received));
        true
    };
    let all_closed = remediation.reporters.iter().all(|r| !r.open);
    Some(Heard { open, deleted, stamp, snapshot: finding.snapshot, new, changed, all_closed })
}

/// Where a finding that names no resource is kept: its account, else the one that reported it, else the finding itself.
fn place_of(finding: &Finding<'static>) -> Resource<'static> {
    let own = finding.account.as_ref().map(|account| account.uid.clone());
    let uid = own.or_else(|| finding.source_ref.account.clone()).unwrap_or_else(|| finding.uid.clone());
    Resource { account: finding.account.clone(), region: finding.region.clone(), ..Resource::new(finding.cloud, uid) }
}

/// Whether the case has written nothing and waits: a finding that its source closes ends it.
pub(crate) fn waits(state: State) -> bool {
    !matches!(
        state,
        State::Applying
            | State::Verifying
            | State::Undoing
            | State::Contained { .. }
            | State::RolledBack
            | State::Stuck
            | State::Resolved { .. }
            | State::StillReported
    )
}

/// Whether a report of a resolved fault is newer than our own proof. A heartbeat, or the echo of our own write-back, is not.
fn is_news(remediation: &Remediation, heard: &Heard) -> bool {
    if heard.snapshot {
        // A periodic listing repeats what was; only a change its source dates after all we know is one we missed.
        return newer(heard.stamp, remediation.times.verified.max(remediation.times.closed));
    }
    let by_others = remediation.state == State::Resolved { how: Resolution::ByOthers };
    by_others || newer(heard.stamp, remediation.times.verified)
}

/// Whether a word is newer than a proof.
fn newer(stamp: Option<Millis>, proven: Option<Millis>) -> bool {
    match (stamp, proven) {
        (Some(stamp), Some(proven)) => stamp > proven,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn reporter(finding: &Finding<'static>, received: Millis) -> Reporter {
    Reporter {
        source: finding.source,
        uid: finding.uid.to_string(),
        source_ref: finding.source_ref.clone(),
        first_received: received,
        last_received: received,
        open: finding.is_open(),
        modified: finding.modified.or(finding.last_seen).or(finding.time),
        matched: None,
        others: Vec::new(),
    }
}

/// A remediation that is not stored yet.
pub(crate) fn blank(
    id: RemediationId,
    key: RemediationKey,
    finding: &Finding<'static>,
    resource: stanch_core::cloud::Resource<'static>,
    decision: Decision,
    received: Millis,
) -> Remediation {
    Remediation {
        format: REMEDIATION_FORMAT,
        id,
        version: 0,
        key,
        state: State::Open,
        note: decision.reasons.join("; "),
        finding: finding.clone(),
        resource,
        raw_digest: String::new(),
        control: None,
        reporters: vec![reporter(finding, received)],
        decision: Some(decision),
        fix: None,
        undo: None,
        request: RemediationRequest::default(),
        second: None,
        times: Times { detected: finding.first_seen.or(finding.created).or(finding.time), received: Some(received), ..Times::default() },
        recurrences: 0,
        tries: 0,
        asked_by: None,
        backlog: false,
        correlation: None,
        next_at: None,
        earlier: Vec::new(),
        chain: ChainHead::default(),
    }
}
