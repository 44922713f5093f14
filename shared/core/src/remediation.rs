//! The case: one fault on one resource, from the first report to the proof that it is gone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::api::ApiFault;
use crate::chain::ChainHead;
use crate::cloud::{Cloud, Resource};
use crate::control::{Control, MatchedBy};
use crate::decide::Decision;
use crate::finding::{Finding, FindingClass, Millis, Source, SourceRef};
use crate::guard::GuardReport;
use crate::operation::Pending;
use crate::plan::{Plan, Snapshot};
use crate::state::State;

/// The id of a remediation: a UUIDv7, so that ids sort by the time of first report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemediationId(pub Uuid);

impl RemediationId {
    /// Reads the full UUID.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text.trim()).ok().map(RemediationId)
    }
}

impl fmt::Display for RemediationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The format of a stored [`Remediation`] that this program writes. It reads this one and the one before; rows of a later
/// format it leaves alone.
pub const REMEDIATION_FORMAT: u32 = if cfg!(feature = "next-format") { 3 } else { 2 };

fn first_format() -> u32 {
    1
}

/// What makes two findings the same fault: class, resource and control (or CVE, or the alert itself).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemediationKey(String);

/// Services of AWS whose settings of an account hold in every region; those of all others are one fault in each region.
const ACCOUNT_WIDE: &[&str] = &["account", "cloudfront", "cloudtrail", "cloudwatch", "iam", "organizations", "root", "route53", "s3"];

impl RemediationKey {
    /// The key of `finding` on `resource`. `control` is the canonical control where the library knows one; without it the
    /// source and its rule stand in. A detection is keyed by the alert itself: two alerts are two incidents. The account is
    /// part of it only where the resource's id is none without it: sources name one project by its number or by its id.
    pub fn of(finding: &Finding<'_>, resource: &Resource<'_>, control: Option<&str>) -> Self {
        let fault = fault(finding, control);
        let identity = resource.identity();
        let whole = resource.cloud == Cloud::Aws && identity.is_aws_account();
        let account = if whole || identity.is_global() { "-" } else { account(finding, resource) };
        let region = resource.region.as_ref().or(finding.region.as_ref()).filter(|_| whole && is_regional(&fault));
        let place = region.map_or_else(String::new, |region| format!("/{region}"));
        RemediationKey(format!("{}|{account}|{identity}{place}|{fault}", finding.class.as_str()))
    }

    /// The keys the same fault may have been given before, most likely first: when its control was not known yet, and when keys
    /// held every account and each source's own spelling of the resource. Cases keep the key they were opened under.
    pub fn former(finding: &Finding<'_>, resource: &Resource<'_>, control: Option<&str>) -> Vec<Self> {
        let (class, account) = (finding.class.as_str(), account(finding, resource));
        let spelt = |control| RemediationKey(format!("{class}|{account}|{}|{}", resource.canonical(), fault(finding, control)));
        let mut keys = vec![spelt(control)];
        if control.is_some() && finding.class == FindingClass::Compliance {
            keys.extend([spelt(None), Self::of(finding, resource, None)]);
        }
        let present = Self::of(finding, resource, control);
        keys.retain(|key| *key != present);
        keys
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong: the canonical control, a CVE, the alert, else what the source calls it.
fn fault(finding: &Finding<'_>, control: Option<&str>) -> String {
    let own = || {
        let named = finding.compliance.as_ref().and_then(|c| c.control.as_deref());
        format!("{}/{}", finding.source, finding.rule.as_deref().or(named).unwrap_or(&finding.uid))
    };
    match finding.class {
        FindingClass::Detection => format!("{}/{}", finding.source, finding.uid),
        FindingClass::Compliance => control.map_or_else(own, str::to_owned),
        FindingClass::Vulnerability => {
            let ids = || finding.vulnerabilities.iter();
            let advisory = || ids().find_map(|v| v.advisory.as_deref()).map(|id| format!("{}/{id}", finding.source));
            ids().find_map(|v| v.cve.as_deref()).map(str::to_owned).or_else(advisory).unwrap_or_else(own)
        }
    }
}

fn account<'f>(finding: &'f Finding<'_>, resource: &'f Resource<'_>) -> &'f str {
    resource.account.as_ref().or(finding.account.as_ref()).map_or("-", |account| account.uid.as_ref())
}

/// Whether a fault of an AWS account is one of its regions. The service is the second word of a canonical control
/// (`aws.guardduty.enabled`), else the beginning of the source's own id (`…/GuardDuty.1`, `prowler/guardduty_is_enabled`).
fn is_regional(fault: &str) -> bool {
    let id = fault.strip_prefix("aws.").or_else(|| fault.rsplit('/').next()).unwrap_or(fault);
    let service = id.split(['.', '_']).next().unwrap_or(id);
    !ACCOUNT_WIDE.iter().any(|wide| wide.eq_ignore_ascii_case(service))
}

/// One source that reported the fault; each is written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reporter {
    /// Who.
    pub source: Source,
    /// The provider's finding uid.
    pub uid: String,
    /// How to find it again there.
    #[serde(deserialize_with = "crate::finding::owned::source_ref")]
    pub source_ref: SourceRef<'static>,
    /// First and latest delivery.
    pub first_received: Millis,
    /// Latest delivery.
    pub last_received: Millis,
    /// Whether its latest word was that the fault stands.
    pub open: bool,
    /// The provider's own modification time of the latest word, to drop late deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Millis>,
    /// How its finding was matched with the control; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchedBy>,
    /// The same fault on the other resources this finding names: it is fixed when they are, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<RemediationKey>,
}

/// Who decided on a plan, and that it was this plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The hash of the plan that was approved; an approval holds for nothing else.
    pub plan_hash: String,
    /// Who, as authenticated by the door it came through (`cli:alice`, `rule:close-public-buckets`).
    pub by: String,
    /// When.
    pub at: Millis,
    /// How: by a person at a door, by the rule's mode, or by the one who also asked for it.
    pub how: ApprovalKind,
}

/// How an approval came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalKind {
    /// The rule's mode is `auto`.
    ByRule,
    /// A person answered a waiting plan.
    ByPerson,
    /// The person who asked for it typed the plan's hash.
    SelfApproved,
}

/// How far one change of a plan has come. The intent is stored before the write, the result after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Index of the change in the plan.
    pub change: usize,
    /// Counts the sends of this change, from 1.
    pub number: u32,
    /// When the intent was stored.
    pub intended_at: Millis,
    /// Nobody else touches this change before then: the sender gives up earlier.
    pub lease_until: Millis,
    /// The client token sent with it, where the change takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// The long-running operation the provider started for it, until that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Pending>,
    /// What the answer that started the operation said; it becomes the result when the operation ends well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AttemptResult>,
    /// When a look for what it made found nothing, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Millis>,
    /// The outcome; absent while it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AttemptResult>,
}

/// The outcome of one sent change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// When it was known.
    pub at: Millis,
    /// What happened.
    pub outcome: Outcome,
    /// HTTP status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The provider's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ApiFault>,
    /// Results later changes and undos refer to (`given.sg`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, Value>,
}

/// What became of a sent change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The provider answered success.
    Applied,
    /// The answer was lost, but a fresh read shows the intended state.
    AppliedByObservation,
    /// The provider refused it; nothing changed.
    Refused,
    /// It certainly was not sent, or the provider took nothing of it.
    NotApplied,
    /// No answer came, and a fresh read after the settle time shows the state as before.
    NotSeen,
}

impl Outcome {
    /// Whether the change took effect.
    pub fn is_applied(self) -> bool {
        matches!(self, Outcome::Applied | Outcome::AppliedByObservation)
    }
}

/// One plan on its way: the plan, who approved it, and how far each change has come. A fix and its undo are both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// Its hash, hex.
    pub hash: String,
    /// When it was made.
    pub planned_at: Millis,
    /// What the guards said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardReport>,
    /// Who allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Sends, oldest first.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// A cap slot was reserved for it; never given back.
    #[serde(default)]
    pub reserved: bool,
    /// The state found after verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Snapshot>,
}

impl Run {
    /// The latest send of a change.
    pub fn attempt(&self, change: usize) -> Option<&Attempt> {
        self.attempts.iter().rev().find(|a| a.change == change)
    }

    /// Whether a change took effect.
    pub fn is_applied(&self, change: usize) -> bool {
        self.attempt(change).and_then(|a| a.result.as_ref()).is_some_and(|r| r.outcome.is_applied())
    }

    /// Whether any change took effect.
    pub fn has_applied(&self) -> bool {
        (0..self.plan.changes.len()).any(|i| self.is_applied(i))
    }

    /// Everything the changes gave so far.
    pub fn given(&self) -> BTreeMap<String, Value> {
        self.attempts.iter().filter_map(|a| a.result.as_ref()).flat_map(|r| r.given.clone()).collect()
    }
}

/// When each thing happened, kept from the first version on; times to anything are differences of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The source saw the fault.
    pub detected: Option<Millis>,
    /// stanch got the event.
    pub received: Option<Millis>,
    /// A plan was made.
    pub planned: Option<Millis>,
    /// The plan was approved.
    pub approved: Option<Millis>,
    /// The last change took effect.
    pub applied: Option<Millis>,
    /// A change of a fix or of an undo took effect, the latest of all: reads may show how it was before for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Millis>,
    /// A fresh read proved the state.
    pub verified: Option<Millis>,
    /// The source closed its finding.
    pub closed: Option<Millis>,
}

/// The second clock of verification: after our own proof the source must close its finding, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondLook {
    /// The proof it follows ([`Times::verified`]); one that follows an older proof counts no more.
    pub of: Millis,
    /// When the sources are asked next, milliseconds since the epoch.
    pub at: Millis,
    /// How often they still reported it.
    #[serde(default)]
    pub looks: u32,
}

/// Priority of a remediation request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// `priority_id` 1 of OCSF.
    Low,
    /// `priority_id` 2.
    Medium,
    /// `priority_id` 3.
    High,
    /// `priority_id` 4.
    Critical,
}

/// What people agreed about a remediation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemediationRequest {
    /// Who answers for it.
    pub owner: Option<String>,
    /// How urgent.
    pub priority: Option<Priority>,
    /// Until when, milliseconds since the epoch.
    pub due: Option<Millis>,
    /// The due date that people were told has passed: each is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_told: Option<Millis>,
    /// Notes, oldest first.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// [`REMEDIATION_FORMAT`]; absent in rows of format 1.
    #[serde(default = "first_format")]
    pub format: u32,
    /// Id.
    pub id: RemediationId,
    /// Set by the store: 1 after the first commit, one more with each.
    pub version: u64,
    /// Identity.
    pub key: RemediationKey,
    /// Where it stands.
    pub state: State,
    /// Why it stands there, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The latest finding, without its raw bytes (those are kept under their digest).
    #[serde(deserialize_with = "crate::finding::owned::finding")]
    pub finding: Finding<'static>,
    /// The resource this case is about.
    #[serde(deserialize_with = "crate::finding::owned::resource")]
    pub resource: Resource<'static>,
    /// SHA-256 (hex) of the raw event that opened it.
    #[serde(default)]
    pub raw_digest: String,
    /// The canonical control, stored so that a newer equivalence map cannot re-key old cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Every source that reported the fault.
    pub reporters: Vec<Reporter>,
    /// What the rules said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The fix on its way, or done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Run>,
    /// Its undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Run>,
    /// What people agreed.
    #[serde(default)]
    pub request: RemediationRequest,
    /// Timestamps.
    #[serde(default)]
    pub times: Times,
    /// When the sources are asked whether they agree that it is fixed; absent until they were asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondLook>,
    /// How often the fault came back after it was resolved.
    #[serde(default)]
    pub recurrences: u32,
    /// Steps tried in the present state, for back-off.
    #[serde(default)]
    pub tries: u32,
    /// Who asked for it, when a person did (`cli:alice`); absent when an event opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// It was there before stanch first looked at its scope: only recorded, until a rule that takes a backlog matches it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backlog: bool,
    /// The correlation id of the event (or the person's request) that last moved it; goes with every call to a cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Uuid>,
    /// When it is to be looked at next, milliseconds since the epoch, as the store's index of due times has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Millis>,
    /// Runs with applied changes that a later run took the place of, oldest first: each can still be put back, last first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Run>,
    /// Head of its record.
    #[serde(default)]
    pub chain: ChainHead,
}

impl Remediation {
    /// The run that the present state is about: the undo while undoing and after it, else the fix.
    pub fn run(&self) -> Option<&Run> {
        match self.state {
            State::Undoing | State::RolledBack => self.undo.as_ref().or(self.fix.as_ref()),
            _ => self.fix.as_ref(),
        }
    }

    /// The run whose applied changes stand: the latest that is not put back.
    pub fn standing(&self) -> Option<&Run> {
        let put_back = self.undo.as_ref().is_some_and(|undo| undo.left.is_some());
        self.fix.as_ref().filter(|run| run.has_applied() && !put_back).or_else(|| self.earlier.last())
    }

    /// Makes room for a new run. One whose changes stand is kept, unless the new plan starts where that one had started: then
    /// somebody else has put it back. `observed` is what the new plan was made on.
    pub fn make_room(&mut self, observed: Option<&serde_json::Map<String, Value>>) {
        let put_back = self.undo.take().is_some_and(|undo| undo.left.is_some());
        if let Some(run) = self.fix.take()
            && run.has_applied()
            && !put_back
            && observed != Some(&run.plan.observed)
        {
            self.earlier.push(run);
        }
    }

    /// The control, and how the finding that opened the case was matched with it: `aws.s3.bpa_bucket (by control id)`.
    pub fn control_told(&self) -> Option<String> {
        let control = self.control.as_deref()?;
        let first = self.reporters.first().and_then(|r| Some((r.matched?, r.source)));
        Some(first.map_or_else(|| control.to_owned(), |(by, source)| Control { id: control.to_owned(), by }.told(source).to_string()))
    }

    /// The account the resource is in, else the finding's.
    pub fn account(&self) -> Option<&str> {
        self.resource.account.as_ref().or(self.finding.account.as_ref()).map(|a| a.uid.as_ref())
    }
}
