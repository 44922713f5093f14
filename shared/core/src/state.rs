//! The states of a remediation and the one function that owns every arrow between them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Millis;

/// How a remediation came to its good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// Our fix was applied and a fresh read proved it.
    Fixed,
    /// The resource no longer exists.
    Gone,
    /// The live state was already right; nothing was written.
    Compliant,
    /// The source closed the finding before we acted.
    ByOthers,
}

/// Where a remediation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum State {
    /// Known; nothing decided, or the rules only record it.
    Open,
    /// A plan stands; the rules go no further.
    Planned,
    /// A plan waits for a person.
    AwaitingApproval,
    /// Put off by a person or a window.
    Deferred {
        /// Until when, milliseconds since the epoch.
        until: Millis,
    },
    /// Changes are being written.
    Applying,
    /// Written; a fresh read must prove it.
    Verifying,
    /// A containment holds and ends by itself.
    Contained {
        /// When it is released, milliseconds since the epoch.
        until: Millis,
    },
    /// Fixed and proven, but the source still reports it after its usual delay.
    StillReported,
    /// The fix is being put back.
    Undoing,
    /// Everything is as it was before.
    RolledBack,
    /// Done.
    Resolved {
        /// How.
        how: Resolution,
    },
    /// An exemption covers it.
    Exempt,
    /// A person said no.
    Rejected,
    /// A gate said no.
    Refused,
    /// It did not work and nothing of it remains.
    Failed,
    /// A person is needed: the live state is neither as before nor as intended, or nobody can tell.
    Stuck,
}

/// A state without its data, for the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the state of the same name")]
pub enum Node {
    Open,
    Planned,
    AwaitingApproval,
    Deferred,
    Applying,
    Verifying,
    Contained,
    StillReported,
    Undoing,
    RolledBack,
    Resolved,
    Exempt,
    Rejected,
    Refused,
    Failed,
    Stuck,
}

/// What can happen to a remediation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A plan was made and the rule's mode ends there.
    PlanShown,
    /// A plan was made and needs a person.
    ApprovalNeeded,
    /// A plan was allowed (by its rule, or by a person).
    Allowed,
    /// A person, or a window, put it off until then.
    PutOff(Millis),
    /// The time it was put off to has come, or the world moved: plan again.
    Replan,
    /// A person said no.
    Declined,
    /// A gate said no.
    GateRefused,
    /// An exemption was found.
    Exempted,
    /// The live read says the resource is gone.
    FoundGone,
    /// The live read says nothing is wrong.
    FoundCompliant,
    /// The live read says that what a containment would do is done already; looked at again then.
    FoundContained(Millis),
    /// The source closed the finding before we acted.
    ClosedAtSource,
    /// Every change took effect.
    ChangesApplied,
    /// A change was refused or failed and what was done before it must be put back.
    ChangeFailed,
    /// A change was refused or failed and nothing was done before it.
    NothingApplied,
    /// The fresh read proved the fix.
    Proved,
    /// The fresh read proved a containment that ends then.
    ProvedUntil(Millis),
    /// The fresh read did not prove the fix within its time.
    NotProved,
    /// The source still reports it after its usual delay.
    ReportedAgain,
    /// The source closed its finding, as it should.
    SourceAgrees,
    /// An undo was asked for and its plan allowed, or a containment ends.
    UndoAllowed,
    /// The fresh read proved the undo.
    UndoProved,
    /// The outcome cannot be told, or the live state is neither as before nor as intended.
    Unclear,
    /// A new report of the same fault after it was resolved.
    Recurred,
    /// A person looked at it and wants it tried again.
    Reopened,
}

/// Every arrow: from, event, to. An event that is not listed for a state is illegal there.
pub const ARROWS: &[(Node, &str, Node)] = &[
    (Node::Open, "plan-shown", Node::Planned),
    (Node::Open, "approval-needed", Node::AwaitingApproval),
    (Node::Open, "allowed", Node::Applying),
    (Node::Open, "put-off", Node::Deferred),
    (Node::Open, "gate-refused", Node::Refused),
    (Node::Open, "exempted", Node::Exempt),
    (Node::Open, "found-gone", Node::Resolved),
    (Node::Open, "found-compliant", Node::Resolved),
    (Node::Open, "found-contained", Node::Contained),
    (Node::Open, "closed-at-source", Node::Resolved),
    (Node::Open, "unclear", Node::Stuck),
    (Node::Planned, "allowed", Node::Applying),
    (Node::Planned, "approval-needed", Node::AwaitingApproval),
    (Node::Planned, "replan", Node::Open),
    (Node::Planned, "declined", Node::Rejected),
    (Node::Planned, "closed-at-source", Node::Resolved),
    (Node::Planned, "undo-allowed", Node::Undoing),
    (Node::AwaitingApproval, "allowed", Node::Applying),
    (Node::AwaitingApproval, "put-off", Node::Deferred),
    (Node::AwaitingApproval, "declined", Node::Rejected),
    (Node::AwaitingApproval, "replan", Node::Open),
    (Node::AwaitingApproval, "closed-at-source", Node::Resolved),
    (Node::AwaitingApproval, "undo-allowed", Node::Undoing),
    (Node::Deferred, "replan", Node::Open),
    (Node::Deferred, "declined", Node::Rejected),
    (Node::Deferred, "closed-at-source", Node::Resolved),
    (Node::Applying, "changes-applied", Node::Verifying),
    (Node::Applying, "nothing-applied", Node::Failed),
    (Node::Applying, "change-failed", Node::Undoing),
    (Node::Applying, "replan", Node::Open),
    (Node::Applying, "gate-refused", Node::Refused),
    (Node::Applying, "found-gone", Node::Resolved),
    (Node::Applying, "found-compliant", Node::Resolved),
    (Node::Applying, "unclear", Node::Stuck),
    (Node::Verifying, "proved", Node::Resolved),
    (Node::Verifying, "proved-until", Node::Contained),
    (Node::Verifying, "not-proved", Node::Stuck),
    (Node::Verifying, "found-gone", Node::Resolved),
    (Node::Verifying, "unclear", Node::Stuck),
    (Node::Contained, "undo-allowed", Node::Undoing),
    (Node::Contained, "unclear", Node::Stuck),
    (Node::Contained, "replan", Node::Open),
    (Node::Contained, "closed-at-source", Node::Resolved),
    (Node::Resolved, "reported-again", Node::StillReported),
    (Node::Resolved, "undo-allowed", Node::Undoing),
    (Node::Resolved, "recurred", Node::Open),
    (Node::StillReported, "source-agrees", Node::Resolved),
    (Node::StillReported, "undo-allowed", Node::Undoing),
    (Node::StillReported, "reopened", Node::Open),
    (Node::StillReported, "recurred", Node::Open),
    (Node::Undoing, "undo-proved", Node::RolledBack),
    (Node::Undoing, "unclear", Node::Stuck),
    (Node::Undoing, "not-proved", Node::Stuck),
    (Node::Undoing, "found-gone", Node::Resolved),
    (Node::RolledBack, "reopened", Node::Open),
    (Node::RolledBack, "undo-allowed", Node::Undoing),
    (Node::Exempt, "reopened", Node::Open),
    (Node::Exempt, "closed-at-source", Node::Resolved),
    (Node::Rejected, "reopened", Node::Open),
    (Node::Rejected, "closed-at-source", Node::Resolved),
    (Node::Rejected, "undo-allowed", Node::Undoing),
    (Node::Refused, "reopened", Node::Open),
    (Node::Refused, "closed-at-source", Node::Resolved),
    (Node::Refused, "undo-allowed", Node::Undoing),
    (Node::Failed, "reopened", Node::Open),
    (Node::Failed, "closed-at-source", Node::Resolved),
    (Node::Failed, "undo-allowed", Node::Undoing),
    (Node::Stuck, "reopened", Node::Open),
    (Node::Stuck, "undo-allowed", Node::Undoing),
];

/// An event that the present state does not take. Nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a remediation that is `{from}` does not take `{event}`")]
pub struct IllegalMove {
    /// The present state.
    pub from: State,
    /// What happened.
    pub event: &'static str,
}

/// Moves a remediation. The only place that changes a state.
pub fn advance(from: State, event: Event) -> Result<State, IllegalMove> {
    let (node, name) = (from.node(), event.name());
    let target = ARROWS.iter().find(|(a, e, _)| *a == node && *e == name).map(|(_, _, b)| *b);
    let illegal = IllegalMove { from, event: name };
    Ok(match (target.ok_or(illegal)?, event) {
        (Node::Open, _) => State::Open,
        (Node::Planned, _) => State::Planned,
        (Node::AwaitingApproval, _) => State::AwaitingApproval,
        (Node::Deferred, Event::PutOff(until)) => State::Deferred { until },
        (Node::Applying, _) => State::Applying,
        (Node::Verifying, _) => State::Verifying,
        (Node::Contained, Event::ProvedUntil(until) | Event::FoundContained(until)) => State::Contained { until },
        (Node::StillReported, _) => State::StillReported,
        (Node::Undoing, _) => State::Undoing,
        (Node::RolledBack, _) => State::RolledBack,
        (Node::Resolved, Event::FoundGone) => State::Resolved { how: Resolution::Gone },
        (Node::Resolved, Event::FoundCompliant) => State::Resolved { how: Resolution::Compliant },
        (Node::Resolved, Event::ClosedAtSource) => State::Resolved { how: Resolution::ByOthers },
        (Node::Resolved, _) => State::Resolved { how: Resolution::Fixed },
        (Node::Exempt, _) => State::Exempt,
        (Node::Rejected, _) => State::Rejected,
        (Node::Refused, _) => State::Refused,
        (Node::Failed, _) => State::Failed,
        (Node::Stuck, _) => State::Stuck,
        (Node::Deferred | Node::Contained, _) => return Err(illegal),
    })
}

impl State {
    /// The state without its data.
    pub fn node(self) -> Node {
        match self {
            State::Open => Node::Open,
            State::Planned => Node::Planned,
            State::AwaitingApproval => Node::AwaitingApproval,
            State::Deferred { .. } => Node::Deferred,
            State::Applying => Node::Applying,
            State::Verifying => Node::Verifying,
            State::Contained { .. } => Node::Contained,
            State::StillReported => Node::StillReported,
            State::Undoing => Node::Undoing,
            State::RolledBack => Node::RolledBack,
            State::Resolved { .. } => Node::Resolved,
            State::Exempt => Node::Exempt,
            State::Rejected => Node::Rejected,
            State::Refused => Node::Refused,
            State::Failed => Node::Failed,
            State::Stuck => Node::Stuck,
        }
    }

    /// The kebab-case name, for filters and tables.
    pub fn name(self) -> &'static str {
        self.node().name()
    }

    /// Whether the engine has something to do without being asked.
    pub fn is_moving(self) -> bool {
        matches!(self, State::Applying | State::Verifying | State::Undoing | State::Contained { .. } | State::Deferred { .. })
    }

    /// Whether nothing more is to come of it unless the fault is reported again or a person asks.
    pub fn is_at_rest(self) -> bool {
        matches!(self, State::Resolved { .. } | State::RolledBack | State::Exempt | State::Rejected | State::Refused | State::Failed)
    }
}

impl Node {
    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Node::Open => "open",
            Node::Planned => "planned",
            Node::AwaitingApproval => "awaiting-approval",
            Node::Deferred => "deferred",
            Node::Applying => "applying",
            Node::Verifying => "verifying",
            Node::Contained => "contained",
            Node::StillReported => "still-reported",
            Node::Undoing => "undoing",
            Node::RolledBack => "rolled-back",
            Node::Resolved => "resolved",
            Node::Exempt => "exempt",
            Node::Rejected => "rejected",
            Node::Refused => "refused",
            Node::Failed => "failed",
            Node::Stuck => "stuck",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Resolved { how } => write!(
                f,
                "resolved ({})",
                match how {
                    Resolution::Fixed => "fixed",
                    Resolution::Gone => "gone",
                    Resolution::Compliant => "compliant",
                    Resolution::ByOthers => "by others",
                }
            ),
            other => f.write_str(other.name()),
        }
    }
}

impl Event {
    /// The kebab-case name used in the table.
    pub fn name(self) -> &'static str {
        match self {
            Event::PlanShown => "plan-shown",
            Event::ApprovalNeeded => "approval-needed",
            Event::Allowed => "allowed",
            Event::PutOff(_) => "put-off",
            Event::Replan => "replan",
            Event::Declined => "declined",
            Event::GateRefused => "gate-refused",
            Event::Exempted => "exempted",
            Event::FoundGone => "found-gone",
            Event::FoundCompliant => "found-compliant",
            Event::FoundContained(_) => "found-contained",
            Event::ClosedAtSource => "closed-at-source",
            Event::ChangesApplied => "changes-applied",
            Event::ChangeFailed => "change-failed",
            Event::NothingApplied => "nothing-applied",
            Event::Proved => "proved",
            Event::ProvedUntil(_) => "proved-until",
            Event::NotProved => "not-proved",
            Event::ReportedAgain => "reported-again",
            Event::SourceAgrees => "source-agrees",
            Event::UndoAllowed => "undo-allowed",
            Event::UndoProved => "undo-proved",
            Event::Unclear => "unclear",
            Event::Recurred => "recurred",
            Event::Reopened => "reopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_arrow_stands_once_and_every_node_can_be_left_or_is_an_end() {
        let mut seen = HashSet::new();
        for (from, event, _) in ARROWS {
            assert!(seen.insert((from.name(), *event)), "{} takes `{event}` twice", from.name());
        }
    }

    #[test]
    fn nothing_is_applied_without_having_been_allowed() {
        for (from, event, to) in ARROWS {
            if *to == Node::Applying {
                assert_eq!(*event, "allowed", "{} -> applying", from.name());
            }
            if *to == Node::Undoing {
                assert!(["undo-allowed", "change-failed"].contains(event), "{} -> undoing by `{event}`", from.name());
            }
        }
        assert!(advance(State::Rejected, Event::Allowed).is_err());
        assert!(advance(State::Refused, Event::Allowed).is_err());
        assert!(advance(State::Stuck, Event::Allowed).is_err());
    }

    #[test]
    fn nothing_that_has_ended_writes_again_by_itself() {
        // What only a person does, or a new report of the fault.
        let outside = ["reopened", "recurred", "allowed", "undo-allowed", "declined"];
        let ends =
            [Node::Resolved, Node::StillReported, Node::RolledBack, Node::Exempt, Node::Rejected, Node::Refused, Node::Failed, Node::Stuck];
        let mut reached: HashSet<Node> = ends.into();
        while let Some((_, _, to)) =
            ARROWS.iter().find(|(from, event, to)| reached.contains(from) && !outside.contains(event) && !reached.contains(to))
        {
            reached.insert(*to);
        }
        assert_eq!(reached, ends.into(), "an ended state is left by a person or a new report alone");
    }

    #[test]
    fn every_state_is_named_and_moves_rests_or_waits_for_a_person() {
        let resolved = |how| State::Resolved { how };
        for (state, name, shown, moves, rests) in [
            (State::Open, "open", "open", false, false),
            (State::Planned, "planned", "planned", false, false),
            (State::AwaitingApproval, "awaiting-approval", "awaiting-approval", false, false),
            (State::Deferred { until: 1 }, "deferred", "deferred", true, false),
            (State::Applying, "applying", "applying", true, false),
            (State::Verifying, "verifying", "verifying", true, false),
            (State::Contained { until: 1 }, "contained", "contained", true, false),
            (State::StillReported, "still-reported", "still-reported", false, false),
            (State::Undoing, "undoing", "undoing", true, false),
            (State::RolledBack, "rolled-back", "rolled-back", false, true),
            (resolved(Resolution::Fixed), "resolved", "resolved (fixed)", false, true),
            (resolved(Resolution::ByOthers), "resolved", "resolved (by others)", false, true),
            (State::Exempt, "exempt", "exempt", false, true),
            (State::Rejected, "rejected", "rejected", false, true),
            (State::Refused, "refused", "refused", false, true),
            (State::Failed, "failed", "failed", false, true),
            (State::Stuck, "stuck", "stuck", false, false),
        ] {
            let seen = (state.name(), state.to_string(), state.is_moving(), state.is_at_rest());
            assert_eq!(seen, (name, shown.to_owned(), moves, rests));
        }
    }

    #[test]
    fn a_resolved_case_says_how() {
        assert_eq!(advance(State::Open, Event::FoundGone), Ok(State::Resolved { how: Resolution::Gone }));
        assert_eq!(advance(State::Verifying, Event::Proved), Ok(State::Resolved { how: Resolution::Fixed }));
        assert_eq!(advance(State::Verifying, Event::ProvedUntil(7)), Ok(State::Contained { until: 7 }));
        assert_eq!(advance(State::Resolved { how: Resolution::Fixed }, Event::Recurred), Ok(State::Open));
    }
}
