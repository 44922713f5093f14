//! From an open remediation to a plan that is allowed, waits, or is refused.

use serde_json::Map;
use stanch_core::decide::Decision;
use stanch_core::fix::Fix;
use stanch_core::guard::{Facts, GuardReport, Verdict, guard};
use stanch_core::ocsf::ActivityStatus;
use stanch_core::plan::{Outcome, Plan, PlanError, plan};
use stanch_core::port::{Cap, Kind, WriteBack};
use stanch_core::remediation::{Approval, ApprovalKind, Remediation, Run};
use stanch_core::rule::{FixRef, Mode, Step};
use stanch_core::state::Event;
use stanch_core::target::Target;

use crate::ask::Confirmation;
use crate::case::{Case, Entry, describe, told};
use crate::observe::Live;
use crate::{Engine, EngineError, Next};

const HOUR_MS: i64 = 3_600_000;

/// What planning on the live state found.
pub(crate) enum Planned<'f> {
    /// A plan, and the guards' word on it.
    Plan { plan: Box<Plan>, guard: GuardReport, sealed: std::collections::BTreeMap<String, serde_json::Value> },
    /// The resource is gone.
    Gone(&'f Fix),
    /// Nothing is wrong.
    Compliant(&'f Fix),
    /// The rules want nothing done.
    Recorded(String),
    /// There is nothing that could be done.
    NoFix(String),
}

impl Engine {
    /// The step of an open remediation.
    pub(crate) async fn plan_step(&self, case: &mut Case) -> Result<Next, EngineError> {
        let planned = match self.plan_case(&case.remediation).await {
            Ok(planned) => planned,
            Err(error) if error.kind() == Kind::Retry => return case.again_later(self, &error).await,
            Err(error @ EngineError::Plan { error: PlanError::NothingToChange { .. } }) => {
                return case.refuse(self, error.to_string()).await;
            }
            Err(error) => return case.stuck(self, describe(&error)).await,
        };
        let now = self.now();
        // What we wrote a moment ago may not show yet: nothing is concluded from that.
        if let Planned::Compliant(fix) | Planned::Gone(fix) = &planned
            && let Some(until) = case.remediation.times.written.map(|at| at + self.lag(&fix.name)).filter(|until| now < *until)
        {
            return case.keep_until(self, until).await;
        }
        match planned {
            Planned::Recorded(why) => {
                case.remediation.note = why;
                case.commit(self, Next::Idle).await
            }
            Planned::NoFix(why) => case.refuse(self, why).await,
            Planned::Gone(fix) => {
                case.advance(Event::FoundGone, "the resource is gone; nothing was written")?;
                case.record(
                    self,
                    None,
                    Entry::new(ActivityStatus::DoesNotExist, "Gone", format!("fix {}: the resource is gone", fix.name)),
                );
                case.remediation.times.verified = Some(now);
                case.write_back(self, WriteBack::Fixed, "stanch: the resource is gone; nothing was written");
                case.commit(self, Next::Idle).await
            }
            // Another alert's case holds it, or somebody does: it must stay so while this alert stands, too.
            Planned::Compliant(fix) if fix.activity.is_containment() => {
                let why = "the resource is contained already; nothing was written";
                let until = now + i64::try_from(fix.expires_after_ms.unwrap_or(HOUR_MS.unsigned_abs())).unwrap_or(HOUR_MS);
                case.remediation.make_room(None);
                case.advance(Event::FoundContained(until), why)?;
                case.record(self, None, Entry::new(ActivityStatus::Success, "Contained", format!("fix {}: {why}", fix.name)));
                case.write_back(self, WriteBack::InProgress, "stanch: a fresh read shows the resource contained; nothing was written");
                case.commit(self, Next::At(until)).await
            }
            Planned::Compliant(fix) => {
                case.advance(Event::FoundCompliant, "the live state is right already; nothing was written")?;
                let message = format!("fix {}: the live state is right already", fix.name);
                case.record(self, None, Entry::new(ActivityStatus::Success, "Compliant", message));
                case.remediation.times.verified = Some(now);
                case.write_back(self, told(fix.activity), "stanch: a fresh read shows the resource compliant; nothing was written");
                case.commit(self, Next::Idle).await
            }
            Planned::Plan { plan, guard, sealed } => self.settle_plan(case, *plan, guard, &sealed).await,
        }
    }

    async fn settle_plan(
        &self,
        case: &mut Case,
        plan: Plan,
        report: GuardReport,
        sealed: &std::collections::BTreeMap<String, serde_json::Value>,
    ) -> Result<Next, EngineError> {
        let now = self.now();
        let hash = plan.hash();
        let (verdict, why) = (report.verdict(), report.why());
        case.seal(sealed);
        case.remediation.times.planned = Some(now);
        case.remediation.make_room(Some(&plan.observed));
        let approval = (verdict == Verdict::Pass).then(|| Approval {
            plan_hash: hash.clone(),
            by: format!("rule:{}", case.remediation.decision.as_ref().and_then(|d| d.rule.as_deref()).unwrap_or("-")),
            at: now,
            how: ApprovalKind::ByRule,
        });
        let message = format!("plan {} of fix {}: {} change(s); {why}", short(&hash), plan.fix, plan.changes.len());
        let mut entry = Entry::new(ActivityStatus::Other, "Planned", message);
        entry.before = Some(serde_json::Value::Object(plan.observed.clone()));
        entry.after = Some(serde_json::Value::Object(plan.expected(plan.changes.len())));
        case.record(self, Some(&plan), entry);
        case.remediation.fix = Some(Run {
            plan,
            hash,
            planned_at: now,
            guard: Some(report),
            approval: approval.clone(),
            attempts: Vec::new(),
            reserved: false,
            left: None,
        });
        let only_shown = case.remediation.decision.as_ref().is_some_and(|d| d.mode == Mode::Plan);
        match verdict {
            Verdict::Refuse => case.refuse(self, why).await,
            Verdict::Ask if only_shown => {
                case.advance(Event::PlanShown, why)?;
                case.notify(self, "A plan was made");
                case.commit(self, Next::Idle).await
            }
            Verdict::Ask => {
                case.advance(Event::ApprovalNeeded, why)?;
                case.notify(self, "A plan waits for approval");
                case.commit(self, Next::Idle).await
            }
            Verdict::Pass => {
                case.remediation.times.approved = approval.map(|a| a.at);
                case.advance(Event::Allowed, why)?;
                case.write_back(self, WriteBack::InProgress, "stanch is fixing this");
                case.commit(self, Next::Now).await
            }
        }
    }

    /// Reads the live state and plans; writes nothing anywhere.
    pub(crate) async fn plan_case(&self, remediation: &Remediation) -> Result<Planned<'_>, EngineError> {
        let Some(decision) = &remediation.decision else {
            return Ok(Planned::Recorded("nothing was decided".into()));
        };
        if decision.mode == Mode::Record {
            return Ok(Planned::Recorded(decision.reasons.join("; ")));
        }
        let Some(fix) = self.choose(decision, remediation)? else {
            return Ok(Planned::NoFix("no fix in the library takes this finding on this resource".into()));
        };
        let target = Target::of(&remediation.finding, &remediation.resource)?;
        if fix.cloud != target.cloud || !fix.takes(&target.kind) {
            return Ok(Planned::NoFix(format!("fix `{}` does not take resources of type `{}`", fix.name, target.kind)));
        }
        let params = fix.params(&Map::new()).map_err(EngineError::Refused)?;
        let snapshot = match self.observe(fix, &target, &params, remediation.correlation).await? {
            Live::Gone => return Ok(Planned::Gone(fix)),
            Live::State(snapshot) => snapshot,
        };
        match plan(fix, &target, &params, &snapshot)? {
            Outcome::Compliant => Ok(Planned::Compliant(fix)),
            Outcome::Plan(plan) => {
                let guard = self.ask_guards(&plan, decision, remediation).await?;
                Ok(Planned::Plan { plan, guard, sealed: snapshot.sealed })
            }
        }
    }

    fn choose(&self, decision: &Decision, remediation: &Remediation) -> Result<Option<&Fix>, EngineError> {
        let fix = decision.steps.iter().find_map(|s| if let Step::Fix(fix) = s { Some(fix) } else { None });
        match fix {
            Some(FixRef::Named(name)) => Ok(Some(self.ports.fixes.fix(name)?)),
            Some(FixRef::Recommended) => Ok(self.ports.fixes.recommend(&remediation.finding, &remediation.resource)?),
            None => Ok(None),
        }
    }

    /// Gathers the facts and asks the guards.
    pub(crate) async fn ask_guards(&self, plan: &Plan, decision: &Decision, remediation: &Remediation) -> Result<GuardReport, EngineError> {
        let store = &self.ports.store;
        let writes_allowed = store.writes_allowed().await.ok();
        let mut cap_left = Some(u32::MAX);
        for cap in self.caps(decision, remediation) {
            let left = store.reserved(&cap).await.ok().map(|taken| cap.limit.saturating_sub(taken));
            cap_left = cap_left.zip(left).map(|(a, b)| a.min(b));
        }
        let hold = store.held(&plan.fix, &plan.resource).await?;
        let confirmed = if plan.activity.is_containment() {
            Some(match self.confirm(remediation).await? {
                Confirmation::Confirmed => Ok(()),
                Confirmation::Denied(why) | Confirmation::Unclear(why) => Err(format!("not contained: {why}")),
            })
        } else {
            None
        };
        let facts = Facts {
            writes_allowed,
            cap_left,
            hold: hold.as_ref(),
            confirmed,
            tags: &remediation.resource.tags,
            protected: &self.protected,
            now: self.now(),
        };
        Ok(guard(plan, decision, &facts))
    }

    /// The budgets a write of this remediation counts against, in the present hour.
    pub(crate) fn caps(&self, decision: &Decision, remediation: &Remediation) -> Vec<Cap> {
        let window = self.now() - self.now().rem_euclid(HOUR_MS);
        let rule = decision.rule.as_deref().unwrap_or("-");
        let mut caps = vec![Cap { name: format!("rule:{rule}"), window, limit: decision.limits.per_hour }];
        if let (Some(limit), Some(account)) = (decision.limits.per_account, remediation.account()) {
            caps.push(Cap { name: format!("rule:{rule}/account:{account}"), window, limit });
        }
        caps
    }
}

/// The first twelve characters of a hash, for people.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
