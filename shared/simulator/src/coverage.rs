//! What the runs met: faults, states, arrows.

use std::collections::{BTreeMap, BTreeSet};

use stanch_core::remediation::Remediation;
use stanch_core::state::{ARROWS, Node, Resolution, State};

use crate::faults::Fault;

/// What one run, or many, met. States and arrows are counted once for each run that reached them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How often each fault happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// Races between actors that were met.
    pub races: BTreeMap<&'static str, u64>,
    /// Runs that reached a state.
    pub states: BTreeMap<&'static str, u64>,
    /// Runs that took an arrow.
    pub arrows: BTreeMap<(&'static str, &'static str), u64>,
    /// Runs in which a fix (by name) was applied and proven.
    pub fixes: BTreeMap<String, u64>,
}

/// What one run has reached so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    pub(crate) states: BTreeSet<&'static str>,
    pub(crate) arrows: BTreeSet<(&'static str, &'static str)>,
    pub(crate) fixes: BTreeSet<String>,
}

impl Coverage {
    /// Counts a fault.
    pub(crate) fn met(&mut self, fault: Fault) {
        *self.faults.entry(fault.name()).or_default() += 1;
    }

    /// Counts a race.
    pub(crate) fn raced(&mut self, race: &'static str) {
        *self.races.entry(race).or_default() += 1;
    }

    /// Takes over what a run reached.
    pub(crate) fn reached(&mut self, reached: Reached) {
        reached.states.into_iter().for_each(|s| *self.states.entry(s).or_default() += 1);
        reached.arrows.into_iter().for_each(|a| *self.arrows.entry(a).or_default() += 1);
        reached.fixes.into_iter().for_each(|f| *self.fixes.entry(f).or_default() += 1);
    }

    /// Adds what other runs met.
    pub fn add(&mut self, other: Coverage) {
        other.faults.into_iter().for_each(|(k, n)| *self.faults.entry(k).or_default() += n);
        other.races.into_iter().for_each(|(k, n)| *self.races.entry(k).or_default() += n);
        other.states.into_iter().for_each(|(k, n)| *self.states.entry(k).or_default() += n);
        other.arrows.into_iter().for_each(|(k, n)| *self.arrows.entry(k).or_default() += n);
        other.fixes.into_iter().for_each(|(k, n)| *self.fixes.entry(k).or_default() += n);
    }

    /// Faults that no run met.
    pub fn faults_never_met(&self) -> Vec<&'static str> {
        Fault::ALL.iter().map(|f| f.name()).filter(|name| !self.faults.contains_key(name)).collect()
    }

    /// Arrows that no run took: from, event.
    pub fn arrows_never_taken(&self) -> Vec<(&'static str, &'static str)> {
        ARROWS.iter().map(|(from, event, _)| (from.name(), *event)).filter(|arrow| !self.arrows.contains_key(arrow)).collect()
    }
}

impl Reached {
    /// Notes the move of one commit. `false`: no arrow leads there, not even over one state in between.
    pub(crate) fn moved(&mut self, before: Option<&Remediation>, after: &Remediation) -> bool {
        let to = after.state.node();
        self.states.insert(to.name());
        if after.state == (State::Resolved { how: Resolution::Fixed })
            && let Some(run) = &after.fix
        {
            self.fixes.insert(run.plan.fix.clone());
        }
        let Some(before) = before else { return true };
        let from = before.state.node();
        if from == to && before.state == after.state {
            return true;
        }
        if let Some(event) = event(from, to, before, after) {
            self.arrows.insert((from.name(), event));
            return true;
        }
        // One commit may take two arrows, through a state that nobody else ever sees.
        let through = ARROWS.iter().filter(|(a, ..)| *a == from).find_map(|(_, first, middle)| {
            let second = ARROWS.iter().find(|(a, _, b)| a == middle && *b == to)?;
            Some([(from.name(), *first), (middle.name(), second.1)])
        });
        match through {
            Some(arrows) => {
                self.arrows.extend(arrows);
                true
            }
            None => from == to,
        }
    }
}

/// The event of a move, told apart by what else changed where several lead the same way.
fn event(from: Node, to: Node, before: &Remediation, after: &Remediation) -> Option<&'static str> {
    let all: Vec<&'static str> = ARROWS.iter().filter(|(a, _, b)| *a == from && *b == to).map(|(_, event, _)| *event).collect();
    let has = |event: &'static str| all.contains(&event).then_some(event);
    if let [only] = all.as_slice() {
        return Some(only);
    }
    let told = match after.state {
        State::Resolved { how: Resolution::Gone } => has("found-gone"),
        State::Resolved { how: Resolution::Compliant } => has("found-compliant"),
        State::Resolved { how: Resolution::ByOthers } => has("closed-at-source"),
        State::Stuck if after.note.contains("does not show it") => has("not-proved"),
        State::Stuck => has("unclear"),
        State::Open if after.recurrences > before.recurrences => has("recurred"),
        State::Open => has("reopened").or_else(|| has("replan")),
        _ => None,
    };
    told.or_else(|| all.first().copied())
}
