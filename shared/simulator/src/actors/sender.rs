//! Sources: they report findings, again and late, and look at the resources on their own.

use std::sync::Arc;

use stanch_core::finding::Finding;
use stanch_core::plan::{Outcome, plan};
use stanch_core::port::{FindingSource, SourceAnswer};
use stanch_core::remediation::RemediationKey;
use stanch_core::target::Target;
use stanch_engine::Engine;

use super::look_through;
use crate::clock::HOUR;
use crate::faults::Fault;
use crate::ports::engine;
use crate::scheduler::{finish, sleep};
use crate::stage::Stage;
use crate::subjects::SUBJECTS;
use crate::world::{ActorId, World};

/// Hands a finding in until somebody says that it was taken. `late`: it may be under way for a while.
pub(crate) async fn deliver(world: Arc<World>, stage: Stage, actor: ActorId, finding: Finding<'static>, late: bool) {
    let wait = world.with(|w| w.rng.between(0, 5_000));
    sleep(&world, actor, wait).await;
    if late && world.fault(actor, Fault::DeliveryDelayed, || finding.uid.to_string()) {
        let wait = world.with(|w| w.rng.between(10_000, 2 * HOUR));
        sleep(&world, actor, wait).await;
    }
    let engine = engine(&world, &stage, actor).engine;
    hand_in(&world, &stage, actor, &engine, &finding).await;
}

async fn hand_in(world: &World, stage: &Stage, actor: ActorId, engine: &Engine, finding: &Finding<'static>) {
    loop {
        match engine.ingest(vec![finding.clone()]).await {
            Ok(intakes) => {
                world.tell(actor, || format!("{} ({}) was accepted", finding.uid, finding.status.caption()));
                let control = stage.library.control(finding);
                let opened = intakes.iter().any(|i| i.remediation.is_some());
                for resource in finding.resources.iter().filter(|_| opened) {
                    let key = RemediationKey::of(finding, resource, control.as_ref().map(|c| c.id.as_str()));
                    world.with(|w| w.ledger.accepted.insert((key, finding.source, finding.uid.to_string())));
                }
                return;
            }
            Err(error) => {
                world.tell(actor, || format!("{} was not accepted: {error}", finding.uid));
                let wait = world.with(|w| w.rng.between(500, 30_000));
                sleep(world, actor, wait).await;
            }
        }
    }
}

/// The source's own look at the resources, now and then.
pub(crate) async fn evaluate(world: Arc<World>, stage: Stage, actor: ActorId) {
    let engine = engine(&world, &stage, actor).engine;
    let mut old: Vec<Finding<'static>> = Vec::new();
    loop {
        let wait = world.with(|w| w.rng.between(5_000, HOUR));
        sleep(&world, actor, wait).await;
        let subjects = world.with(|w| w.subjects.len() as u64);
        let n = world.with(|w| w.rng.below(subjects)) as usize;
        if !old.is_empty() && world.fault(actor, Fault::LateWord, String::new) {
            let word = world.with(|w| w.rng.pick(&old).cloned());
            if let Some(word) = word {
                hand_in(&world, &stage, actor, &engine, &word).await;
            }
        } else if let Some(finding) = reevaluated(&world, &stage, n) {
            old.push(finding.clone());
            hand_in(&world, &stage, actor, &engine, &finding).await;
        }
    }
}

/// What the source says about its `n`th finding after a look at the resource, if that is news. An alert is closed by chance:
/// no look at the resource tells whether it is over.
pub(crate) fn reevaluated(world: &World, stage: &Stage, n: usize) -> Option<Finding<'static>> {
    let subject = world.with(|w| w.subjects.get(n).copied()).and_then(|at| SUBJECTS.get(at))?;
    let mut finding = subject.finding(n + 1);
    let resource = finding.resources.first()?;
    let id = finding.source_ref.id.to_string();
    let held = match finish(world.source.fetch(finding.source, &finding.source_ref)).ok()? {
        SourceAnswer::Found(held) => *held,
        SourceAnswer::Absent => return None,
    };
    let fault = if subject.is_alert() {
        held.is_open() && world.with(|w| w.rng.chance(700))
    } else {
        let fix = stage.library.recommend(&finding, resource).ok().flatten()?;
        let target = Target::of(&finding, resource).ok()?;
        let params = fix.params(&serde_json::Map::new()).ok()?;
        look_through(world, fix, &target).is_some_and(|live| !matches!(plan(fix, &target, &params, &live), Ok(Outcome::Compliant)))
    };
    if fault == held.is_open() {
        return None;
    }
    if fault {
        world.source.reopen(&id);
        world.with(|w| w.ledger.reopened.insert(finding.uid.to_string()));
    } else {
        world.source.close(&id);
    }
    let answer = finish(world.source.fetch(finding.source, &finding.source_ref)).ok()?;
    if let SourceAnswer::Found(held) = answer {
        finding = *held;
    }
    Some(finding)
}
