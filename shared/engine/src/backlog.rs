//! Faults that were there before stanch first looked: recorded, and left alone until a rule takes them.

use serde::{Deserialize, Serialize};
use stanch_core::decide::{Decision, decide};
use stanch_core::ocsf::ActivityStatus;
use stanch_core::port::StoreError;
use stanch_core::remediation::RemediationId;
use stanch_core::rule::Mode;
use stanch_core::state::State;

use crate::case::{Case, Entry};
use crate::{Engine, EngineError, Next};

/// The name under which the store keeps how far the backlog was decided.
const NAME: &str = "rules/backlog";
/// Remediations looked at in one round.
const PAGE: usize = 200;
/// Why a fault of the backlog is only recorded.
pub(crate) const WHY: &str = "it was there before stanch first looked, and no rule that is on takes a backlog";

/// How far the backlog was decided by a set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// The set's digest.
    rules: String,
    /// The last remediation looked at.
    #[serde(default)]
    after: Option<RemediationId>,
    /// Whether all were.
    #[serde(default)]
    done: bool,
}

impl Engine {
    /// Whether the rule behind a decision takes a backlog.
    pub(crate) fn takes_backlog(&self, decision: &Decision) -> bool {
        decision.rule.as_deref().and_then(|name| self.rules.get(name)).is_some_and(|rule| rule.backlog)
    }

    /// When the rules were changed: looks at the next page of remediations and lets those of the backlog go on that a rule which
    /// takes a backlog matches now. Gives how many went on.
    pub(crate) async fn decide_backlog(&self) -> Result<usize, EngineError> {
        let store = &self.ports.store;
        let stored = store.value(NAME).await?;
        let known: Progress = stored.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let rules = self.rules.digest();
        if known.rules == rules && known.done {
            return Ok(0);
        }
        let after = known.after.filter(|_| known.rules == rules);
        let heads = if self.rules.takes_backlog() { store.heads(after, PAGE).await? } else { Vec::new() };
        let mut taken_up = 0;
        for head in &heads {
            match self.take_up(head.id).await {
                Ok(true) => taken_up += 1,
                Ok(false) | Err(EngineError::Store(StoreError::Conflict { .. })) => {}
                // One row that cannot be read must not keep the others back.
                Err(error @ EngineError::Store(StoreError::Unreadable { .. })) => {
                    tracing::error!(remediation = %head.id, %error, "backlog not decided");
                }
                Err(error) => return Err(error),
            }
        }
        let last = heads.last().map(|head| head.id).or(after);
        let progress = Progress { rules: rules.to_owned(), after: last, done: heads.len() < PAGE };
        let text = serde_json::to_string(&progress).unwrap_or_default();
        // Another worker that was faster looked at the same page: that did no harm.
        store.set_value(NAME, stored.as_deref(), Some(&text)).await?;
        Ok(taken_up)
    }

    async fn take_up(&self, id: RemediationId) -> Result<bool, EngineError> {
        let mut case = Case::load(self, id).await?;
        if !case.remediation.backlog || case.state() != State::Open {
            return Ok(false);
        }
        let decision = decide(&self.rules, &case.remediation.finding, &case.remediation.resource, self.now());
        if !self.takes_backlog(&decision) {
            return Ok(false);
        }
        self.leave_backlog(&mut case, decision).await?;
        Ok(true)
    }

    /// Lets a fault of the backlog go on as if it had come today.
    pub(crate) async fn leave_backlog(&self, case: &mut Case, decision: Decision) -> Result<Next, EngineError> {
        let why = format!("taken up from the backlog: {}", decision.reasons.join("; "));
        let next = if decision.mode == Mode::Record { Next::Idle } else { Next::Now };
        case.remediation.backlog = false;
        case.remediation.note.clone_from(&why);
        case.remediation.decision = Some(decision);
        case.record(self, None, Entry::new(ActivityStatus::Other, "Taken up", why));
        if next == Next::Idle {
            case.notify(self, "A finding was recorded");
        }
        case.commit(self, next).await
    }
}
