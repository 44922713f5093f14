//! What is known to have happened, written down from the outside: by the store's side of a commit, by the cloud's side of a call.

use std::collections::{BTreeMap, BTreeSet};

use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::{Millis, Source};
use stanch_core::plan::Plan;
use stanch_core::port::{Cap, OutboxItem};
use stanch_core::remediation::{Attempt, RemediationId, RemediationKey, Run};

use uuid::Uuid;

use crate::world::ActorId;

/// One run of a plan: a remediation, the hash of the plan, when it was planned, and whether it puts back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub(crate) id: RemediationId,
    pub(crate) hash: String,
    pub(crate) planned_at: Millis,
    pub(crate) undo: bool,
}

/// An intent that the store holds.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) run: RunKey,
    pub(crate) plan: Plan,
    pub(crate) change: usize,
    pub(crate) number: u32,
    pub(crate) lease_until: Millis,
    /// Who committed it.
    pub(crate) actor: ActorId,
    /// It was sent.
    pub(crate) used: bool,
    /// The provider answered its sender that it did not do it.
    pub(crate) refused: bool,
    /// It took effect.
    pub(crate) landed: bool,
}

impl Intent {
    /// Whether it is this send of a run.
    pub(crate) fn is_of(&self, id: RemediationId, run: &Run, attempt: &Attempt) -> bool {
        let same_run = self.run.id == id && self.run.hash == run.hash && self.run.planned_at == run.planned_at;
        same_run && (self.change, self.number) == (attempt.change, attempt.number)
    }
}

/// A write that reached a cloud.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    /// Index of its intent.
    pub(crate) intent: usize,
    pub(crate) at: u64,
}

/// One message that arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) remediation: RemediationId,
    pub(crate) lane: String,
    /// Index in [`Ledger::messages`].
    pub(crate) message: usize,
}

/// Everything that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Counts everything that happens, for before and after.
    clock: u64,
    pub(crate) intents: Vec<Intent>,
    pub(crate) landed: Vec<Landed>,
    /// Edits by hand: resource and when.
    pub(crate) edits: Vec<(Cloud, ResourceUid, u64)>,
    /// Plans a person asked to be applied, before anything came of it.
    pub(crate) approvals: BTreeSet<(RemediationId, String)>,
    /// Remediations of which a person asked that whatever waits be applied.
    pub(crate) approved_any: BTreeSet<RemediationId>,
    /// Remediations a person asked to be put back.
    pub(crate) undo_asked: BTreeSet<RemediationId>,
    /// When each remediation was seen first.
    pub(crate) opened: BTreeMap<RemediationId, u64>,
    /// When each remediation was opened last, anew or again; planning again in the middle of a fix is no new beginning.
    pub(crate) begun: BTreeMap<RemediationId, u64>,
    /// Slots each run of a fix holds.
    pub(crate) slots: BTreeMap<RunKey, Vec<Cap>>,
    /// Events that were taken in: the key they belong to, and the report.
    pub(crate) accepted: BTreeSet<(RemediationKey, Source, String)>,
    /// Everything that was ever put into an outbox, in order.
    pub(crate) messages: Vec<(RemediationId, OutboxItem)>,
    /// Notices that a channel refused for good.
    pub(crate) refused: BTreeSet<Uuid>,
    /// Messages that were given up after they had been refused for good.
    pub(crate) given_up: BTreeSet<usize>,
    /// Findings that their source closed and opened again.
    pub(crate) reopened: BTreeSet<String>,
    /// What arrived, in order.
    pub(crate) arrived: Vec<Arrived>,
    /// Commits that reached the store.
    pub(crate) commits: u64,
}

impl Ledger {
    /// The next moment.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Notes a hand on a resource.
    pub(crate) fn edited(&mut self, cloud: Cloud, id: &str) {
        let at = self.tick();
        self.edits.push((cloud, ResourceUid::canonical(cloud, id), at));
    }

    /// Whether somebody had a hand on a resource, or on a part of it, after a moment.
    pub(crate) fn edited_after(&self, cloud: Cloud, uid: &ResourceUid, moment: u64) -> bool {
        let part = format!("{}/", uid.as_str());
        self.edits.iter().any(|(c, edited, at)| *c == cloud && *at >= moment && (edited == uid || edited.as_str().starts_with(&part)))
    }

    /// A message that should have arrived before this one and did not.
    pub(crate) fn missing_before(&self, at: usize) -> Option<usize> {
        let (remediation, item) = self.messages.get(at)?;
        let lane = item.message.lane();
        let earlier = self.messages.iter().enumerate().take(at).filter(|(_, (r, i))| r == remediation && i.message.lane() == lane);
        earlier.map(|(index, _)| index).find(|index| self.arrived.iter().all(|a| a.message != *index) && !self.given_up.contains(index))
    }

    /// Whether another case wrote to the resource of a plan after this case last did.
    pub(crate) fn others_after(&self, id: RemediationId, plan: &Plan) -> bool {
        let here = || {
            self.landed.iter().filter_map(|l| Some((self.intents.get(l.intent)?, l.at))).filter(|(i, _)| i.plan.resource == plan.resource)
        };
        let last = here().filter(|(i, _)| i.run.id == id).map(|(_, at)| at).max().unwrap_or(0);
        here().any(|(i, at)| i.run.id != id && at > last)
    }

    /// Writes of a run that reached a cloud.
    pub(crate) fn landed_of<'l>(&'l self, run: &'l RunKey) -> impl Iterator<Item = (&'l Intent, &'l Landed)> {
        self.landed.iter().filter_map(|l| Some((self.intents.get(l.intent)?, l))).filter(move |(i, _)| i.run == *run)
    }

    /// Writes of any run of a remediation that reached a cloud.
    pub(crate) fn landed_for(&self, id: RemediationId) -> impl Iterator<Item = &Intent> {
        self.landed.iter().filter_map(|l| self.intents.get(l.intent)).filter(move |i| i.run.id == id)
    }
}
