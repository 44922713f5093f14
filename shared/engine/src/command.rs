//! What people ask for: show a plan, apply, approve, reject, undo, look. The same gates as for events.

use stanch_core::decide::{Decision, decide};
use stanch_core::digest::sha256_hex;
use stanch_core::finding::Finding;
use stanch_core::guard::{GuardReport, Verdict};
use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::{Plan, undo};
use stanch_core::remediation::{Approval, ApprovalKind, Remediation, RemediationId, RemediationKey};
use stanch_core::state::{Event, State};

use crate::apply::new_run;
use crate::case::{Case, Entry};
use crate::ingest::{Delivery, blank};
use crate::observe::Live;
use crate::plan::Planned;
use crate::{Engine, EngineError, Next};

/// What would be done about one finding on one resource.
#[derive(Debug)]
pub struct Preview {
    /// The finding's title.
    pub title: String,
    /// The native resource id.
    pub resource: String,
    /// What the rules say.
    pub decision: Decision,
    /// What planning on the live state found.
    pub outcome: PreviewOutcome,
}

/// What planning found.
#[derive(Debug)]
pub enum PreviewOutcome {
    /// This would be written, if the guards let it.
    Plan {
        /// The plan.
        plan: Box<Plan>,
        /// Its hash.
        hash: String,
        /// The guards' word.
        guard: GuardReport,
    },
    /// The resource is gone.
    Gone,
    /// The live state is right already.
    Compliant,
    /// The rules want nothing done; why.
    Recorded(String),
    /// No fix; why.
    NoFix(String),
    /// It could not be found out.
    Failed(EngineError),
}

/// How often a person's answer is tried again when a worker committed in between: each time it is judged afresh.
pub(crate) const ANSWER_TRIES: usize = 5;

macro_rules! answered {
    ($engine:ident.$answer:ident($($argument:expr),*)) => {{
        for _ in 1..$crate::command::ANSWER_TRIES {
            match $engine.$answer($($argument),*).await {
                Err($crate::EngineError::Store(stanch_core::port::StoreError::Conflict { .. })) => {}
                other => return other,
            }
        }
        $engine.$answer($($argument),*).await
    }};
}
pub(crate) use answered;

/// The person behind a door: `alice` of `cli:alice` and of `local:alice`.
fn person(by: &str) -> &str {
    by.rsplit(':').next().unwrap_or(by)
}

impl Engine {
    /// Shows what would be done about findings. Reads the clouds, writes nothing anywhere.
    pub async fn preview(&self, findings: Vec<Finding<'_>>) -> Vec<Preview> {
        let mut all = Vec::new();
        for finding in findings {
            let finding = finding.into_owned();
            for resource in &finding.resources {
                let now = self.now();
                let decision = decide(&self.rules, &finding, resource, now);
                let key = RemediationKey::of(&finding, resource, None);
                let case = blank(RemediationId((self.ports.new_id)()), key, &finding, resource.clone(), decision.clone(), now);
                let outcome = match self.plan_case(&case).await {
                    Ok(Planned::Plan { plan, guard, .. }) => PreviewOutcome::Plan { hash: plan.hash(), plan, guard },
                    Ok(Planned::Gone(_)) => PreviewOutcome::Gone,
                    Ok(Planned::Compliant(_)) => PreviewOutcome::Compliant,
                    Ok(Planned::Recorded(why)) => PreviewOutcome::Recorded(why),
                    Ok(Planned::NoFix(why)) => PreviewOutcome::NoFix(why),
                    Err(error) => PreviewOutcome::Failed(error),
                };
                all.push(Preview { title: finding.title.to_string(), resource: resource.uid.to_string(), decision, outcome });
            }
        }
        all
    }

    /// Takes findings in because a person asks. `by` is that person as the door authenticated them (`cli:alice`). Gives the
    /// remediations, each taken as far as it goes without approval.
    pub async fn ask(&self, findings: Vec<Finding<'_>>, by: &str) -> Result<Vec<Remediation>, EngineError> {
        let mut all = Vec::new();
        for finding in findings {
            let raw = finding.raw.to_string();
            let digest = sha256_hex(raw.as_bytes());
            let finding = Finding { raw: std::borrow::Cow::Borrowed(""), ..finding }.into_owned();
            let correlation = (self.ports.new_id)();
            let delivery = Delivery { digest: &digest, raw: &raw, received: self.now(), asked_by: Some(by), first: false, correlation };
            for resource in &finding.resources {
                let intake = self.take_in(&finding, resource, &delivery).await?;
                let Some(id) = intake.remediation else { continue };
                self.run(id).await?;
                all.push(self.load(id).await?);
            }
        }
        Ok(all)
    }

    /// Approves a waiting plan. With `hash`, only that plan. The person who asked for it may approve only where the rule does
    /// not want another person, and it is recorded as self-approval.
    pub async fn approve(&self, id: RemediationId, by: &str, hash: Option<&str>) -> Result<Next, EngineError> {
        answered!(self.approve_once(id, by, hash))
    }

    async fn approve_once(&self, id: RemediationId, by: &str, hash: Option<&str>) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        case.correlate(self);
        let state = case.state();
        let Some(run) = case.remediation.fix.as_mut().filter(|_| matches!(state, State::AwaitingApproval | State::Planned)) else {
            return Err(EngineError::Refused(format!("remediation {id} is `{state}`; only a waiting plan can be approved")));
        };
        if let Some(hash) = hash
            && (hash.len() < 12 || !run.hash.starts_with(hash))
        {
            let have = run.hash.clone();
            return Err(EngineError::Refused(format!(
                "plan {hash} is not the one that waits: the live state now gives {have}\nhint: look at it with `stanch remediations show {id}` and approve that hash (at least 12 characters)"
            )));
        }
        let itself = case.remediation.asked_by.as_deref().map(person) == Some(person(by));
        if itself && case.remediation.decision.as_ref().is_some_and(|d| d.approvers.another_person) {
            return Err(EngineError::Refused(format!("the rule wants another person than {by}, who asked for it")));
        }
        let how = if itself { ApprovalKind::SelfApproved } else { ApprovalKind::ByPerson };
        let now = self.now();
        run.approval = Some(Approval { plan_hash: run.hash.clone(), by: by.to_owned(), at: now, how });
        let plan = run.plan.clone();
        case.remediation.times.approved = Some(now);
        case.advance(Event::Allowed, format!("approved by {by}"))?;
        let detail = if itself { "Self-approved" } else { "Approved" };
        let mut entry = Entry::new(ActivityStatus::Other, detail, format!("plan approved by {by}"));
        entry.actor = Some(by);
        case.record(self, Some(&plan), entry);
        case.write_back(self, stanch_core::port::WriteBack::InProgress, "stanch is fixing this");
        case.commit(self, Next::Now).await
    }

    /// Declines a waiting plan.
    pub async fn reject(&self, id: RemediationId, by: &str, why: &str) -> Result<Next, EngineError> {
        answered!(self.reject_once(id, by, why))
    }

    async fn reject_once(&self, id: RemediationId, by: &str, why: &str) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        case.correlate(self);
        let plan = case.remediation.fix.as_ref().map(|r| r.plan.clone());
        case.advance(Event::Declined, format!("rejected by {by}: {why}"))?;
        let mut entry = Entry::new(ActivityStatus::Other, "Rejected", format!("rejected by {by}: {why}"));
        entry.actor = Some(by);
        case.record(self, plan.as_ref(), entry);
        case.commit(self, Next::Idle).await
    }

    /// Has a remediation that ended without a fix, or that needs a person, planned again.
    pub async fn reopen(&self, id: RemediationId, by: &str) -> Result<Next, EngineError> {
        answered!(self.reopen_once(id, by))
    }

    async fn reopen_once(&self, id: RemediationId, by: &str) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        case.correlate(self);
        case.advance(Event::Reopened, format!("reopened by {by}"))?;
        let mut entry = Entry::new(ActivityStatus::Other, "Reopened", format!("reopened by {by}"));
        entry.actor = Some(by);
        case.record(self, None, entry);
        let (finding, resource) = (case.remediation.finding.clone(), case.remediation.resource.clone());
        case.remediation.decision = Some(decide(&self.rules, &finding, &resource, self.now()));
        case.remediation.make_room(None);
        case.commit(self, Next::Now).await
    }

    /// The plan that would put a remediation's fix back, and the guards' word on it. Writes nothing.
    pub async fn undo_plan(&self, id: RemediationId) -> Result<(Plan, GuardReport), EngineError> {
        let case = Case::load(self, id).await?;
        self.plan_undo(&case.remediation).await
    }

    /// Puts a remediation's fix back: planned, guarded, recorded, and held off afterwards.
    pub async fn undo(&self, id: RemediationId, by: &str) -> Result<Next, EngineError> {
        answered!(self.undo_once(id, by))
    }

    async fn undo_once(&self, id: RemediationId, by: &str) -> Result<Next, EngineError> {
        let mut case = Case::load(self, id).await?;
        case.correlate(self);
        let (plan, guard) = self.plan_undo(&case.remediation).await?;
        if guard.verdict() == Verdict::Refuse {
            return Err(EngineError::Refused(guard.why()));
        }
        let (hash, now) = (plan.hash(), self.now());
        let approval = Approval { plan_hash: hash.clone(), by: by.to_owned(), at: now, how: ApprovalKind::ByPerson };
        let in_front = case.remediation.standing() == case.remediation.fix.as_ref();
        if !in_front {
            case.remediation.fix = case.remediation.earlier.pop();
        }
        case.advance(Event::UndoAllowed, format!("{by} puts it back"))?;
        let mut entry = Entry::new(ActivityStatus::Other, "Planned", format!("{by} puts it back"));
        entry.actor = Some(by);
        case.record(self, Some(&plan), entry);
        let mut run = new_run(plan, hash, now, Some(approval));
        run.guard = Some(guard);
        case.remediation.undo = Some(run);
        case.commit(self, Next::Now).await
    }

    /// A remediation.
    pub async fn load(&self, id: RemediationId) -> Result<Remediation, EngineError> {
        self.ports.store.load(id).await?.ok_or(EngineError::Unknown(id))
    }

    async fn plan_undo(&self, remediation: &Remediation) -> Result<(Plan, GuardReport), EngineError> {
        let state = remediation.state;
        let moving = matches!(state, State::Open | State::Applying | State::Verifying | State::Undoing);
        let Some(run) = remediation.standing().filter(|_| !moving) else {
            return Err(EngineError::Refused(format!("remediation {} is `{state}`: there is nothing of ours to put back", remediation.id)));
        };
        let (fix, target) = self.subject(remediation, &run.plan.fix)?;
        let live = match self.observe(fix, &target, &run.plan.params, remediation.correlation).await? {
            Live::Gone => return Err(EngineError::Refused("the resource is gone; there is nothing to put back".into())),
            Live::State(snapshot) => snapshot,
        };
        let applied: Vec<usize> = (0..run.plan.changes.len()).filter(|i| run.is_applied(*i)).collect();
        let left = run.left.as_ref().map_or_else(|| run.plan.expected(applied.len()), |left| run.plan.projection(left));
        let now = run.plan.projection(&live);
        if now != left {
            return Err(EngineError::Refused(format!(
                "the resource was changed after the fix; putting back would overwrite that\n  before the fix: {}\n  after the fix:  {}\n  now:            {}\nhint: put it right by hand, or bring it back to the state after the fix and undo again",
                serde_json::Value::Object(run.plan.observed.clone()),
                serde_json::Value::Object(left),
                serde_json::Value::Object(now)
            )));
        }
        let plan = undo(fix, &run.plan, &applied, &live, &run.given())?;
        let decision = remediation.decision.clone().unwrap_or_default();
        let guard = self.ask_guards(&plan, &decision, remediation).await?;
        Ok((plan, guard))
    }
}
