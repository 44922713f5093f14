//! What must hold of the remediations and of the live resources once everything has come to rest.

use std::sync::Arc;

use stanch_core::finding::{FindingClass, Millis};
use stanch_core::plan::{Plan, Snapshot, get};
use stanch_core::port::{FindingSource, SourceAnswer};
use stanch_core::remediation::{Remediation, RemediationKey, Run};
use stanch_core::rule::Mode;
use stanch_core::state::{Resolution, State};

use crate::actors::look;
use crate::clock::now;
use crate::ledger::Landed;
use crate::scheduler::finish;
use crate::stage::Stage;
use crate::subjects::SUBJECTS;
use crate::world::World;

pub(crate) type Cases = [(Remediation, Option<Millis>)];

/// Each accepted event has a remediation that knows its report.
pub(crate) fn accepted(world: &World, cases: &Cases) {
    for (key, source, uid) in world.with(|w| w.ledger.accepted.clone()) {
        let kept = cases.iter().find(|(r, _)| r.key == key);
        let known = kept.is_some_and(|(r, _)| r.reporters.iter().any(|p| p.source == source && p.uid == uid));
        if !known {
            let what = if kept.is_some() { "its remediation does not know it" } else { "there is no remediation for it" };
            world.broken("accepted-is-kept", format!("finding {uid} of {source} was accepted, and {what}"));
        }
    }
}

/// Where sources are swept, each finding that one of them holds open is known, even if its event never arrived.
pub(crate) fn swept(world: &World, stage: &Stage, cases: &Cases) {
    let (subjects, swept) = world.with(|w| (w.subjects.clone(), !w.scopes.is_empty()));
    for (n, subject) in subjects.iter().enumerate().filter(|_| swept) {
        let Some(finding) = SUBJECTS.get(*subject).map(|s| s.finding(n + 1)) else { continue };
        let held = finish(world.source.fetch(finding.source, &finding.source_ref));
        let open = matches!(held, Ok(SourceAnswer::Found(held)) if held.is_open());
        let Some(resource) = finding.resources.first() else { continue };
        let control = stage.library.control(&finding);
        let key = RemediationKey::of(&finding, resource, control.as_ref().map(|c| c.id.as_str()));
        let known = cases.iter().any(|(r, _)| r.key == key && r.reporters.iter().any(|p| p.uid == finding.uid));
        if open && !known {
            world.broken("lost-is-found", format!("{} is open at its source, and no remediation knows it", finding.uid));
        }
    }
}

/// Each remediation is where one may end.
pub(crate) fn ends(world: &World, cases: &Cases) {
    for (r, next_at) in cases {
        let label = world.label(r.id);
        let overdue = next_at.is_some_and(|at| at < now() - 60_000);
        if overdue {
            world.broken("everything-comes-to-rest", format!("{label} is {} and was due {} ms ago", r.state, now() - next_at.unwrap_or(0)));
        }
        let only_recorded = r.decision.as_ref().is_none_or(|d| d.mode == Mode::Record);
        let moving = match r.state {
            State::Open => !only_recorded,
            State::Applying | State::Verifying | State::Undoing => true,
            _ => false,
        };
        if moving {
            world.broken("everything-comes-to-rest", format!("{label} is left {}: {} (due {next_at:?})", r.state, r.note));
        }
        if matches!(r.state, State::Contained { .. } | State::Deferred { .. }) && next_at.is_none() {
            world.broken("contained-ends", format!("{label} is {} and nothing will ever look at it again", r.state));
        }
        if r.note.trim().is_empty() {
            world.broken("ends-say-why", format!("{label} is {} and does not say why", r.state));
        }
    }
}

/// Each live resource is as its case says.
pub(crate) fn resources(world: &Arc<World>, stage: &Stage, cases: &Cases) {
    for (r, _) in cases {
        let label = world.label(r.id);
        let wrote = world.with(|w| w.ledger.landed_for(r.id).count());
        if let State::Resolved { how: Resolution::Compliant | Resolution::ByOthers } = r.state {
            // What somebody took back by hand was no longer there to be seen.
            let landed = world.with(|w| {
                let begun = w.ledger.begun.get(&r.id).copied().unwrap_or(0);
                let mine = |l: &&Landed| l.at > begun && w.ledger.intents.get(l.intent).is_some_and(|i| i.run.id == r.id);
                let stands = |l: &&Landed| !w.ledger.edited_after(r.resource.cloud, &r.resource.canonical(), l.at);
                w.ledger.landed.iter().filter(mine).filter(stands).count()
            });
            if landed > 0 {
                let why = format!("{label} is {} ({}), and {landed} of its writes took effect", r.state, r.note);
                world.broken("compliant-means-unwritten", why);
            }
        }
        let Some(run) = &r.fix else { continue };
        // A plan that was never sent says nothing about the resource.
        if wrote == 0 || run.attempts.is_empty() || edited(world, r, run) {
            continue;
        }
        let Some(live) = look(world, stage, r) else { continue };
        let (before, after) = (is_before(&run.plan, &live), run.plan.is_done(&live));
        let fine = match r.state {
            State::Stuck => true,
            State::Resolved { how: Resolution::Fixed } | State::StillReported | State::Contained { .. } => after,
            State::RolledBack | State::Failed => before,
            _ => before || after,
        };
        if !fine {
            let others = world.with(|w| w.ledger.others_after(r.id, &run.plan));
            // As it was before is as that case found it: another that is put back later takes away what was its own.
            let put_back = matches!(r.state, State::RolledBack | State::Failed);
            if others && put_back {
                continue;
            }
            let name = if others { "cases-leave-each-other-alone" } else { "resource-as-the-case-says" };
            let values = serde_json::Value::Object(run.plan.projection(&live));
            let why = format!("{label} is {} ({}), and its resource is neither as that says nor edited by hand: {values}", r.state, r.note);
            world.broken(name, why);
        }
    }
}

/// A fault is back only if something brought it back.
pub(crate) fn recurrences(world: &World, cases: &Cases) {
    for (r, _) in cases.iter().filter(|(r, _)| r.recurrences > 0 && r.finding.class == FindingClass::Compliance) {
        let uid = r.resource.canonical();
        let touched = world.with(|w| {
            let undone =
                w.ledger.landed.iter().filter_map(|l| w.ledger.intents.get(l.intent)).any(|i| i.run.undo && i.plan.resource == uid);
            let reopened = r.reporters.iter().any(|p| w.ledger.reopened.contains(&p.uid));
            undone || reopened || w.ledger.edited_after(r.resource.cloud, &uid, 0)
        });
        if !touched {
            let why = format!("{} recurred {} times, and nobody touched its resource after the fix", world.label(r.id), r.recurrences);
            world.broken("recurrences-are-real", why);
        }
    }
}

/// Whether a person had a hand on the resource since the case was opened.
pub(crate) fn edited(world: &World, r: &Remediation, run: &Run) -> bool {
    world.with(|w| {
        let opened = w.ledger.opened.get(&r.id).copied().unwrap_or(0);
        w.ledger.edited_after(run.plan.cloud, &run.plan.resource, opened)
    })
}

/// Whether every value the plan sets is the one it found.
pub(crate) fn is_before(plan: &Plan, live: &Snapshot) -> bool {
    plan.changes.iter().flat_map(|c| &c.sets).all(|s| get(&live.values, &s.path) == get(&plan.observed, &s.path))
}
