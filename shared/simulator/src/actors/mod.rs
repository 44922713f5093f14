//! Who acts in a run.

mod people;
mod sender;
mod worker;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use stanch_core::finding::Finding;
use stanch_core::fix::Observed;
use stanch_core::plan::Snapshot;
use stanch_core::port::{CloudApi, Store};
use stanch_core::remediation::Remediation;
use stanch_core::target::Target;

use crate::clock::now;
use crate::faults::Fault;
use crate::scheduler::{Scheduler, finish};
use crate::stage::Stage;
use crate::subjects::SUBJECTS;
use crate::world::{ActorId, World};

/// What an actor does. Its work can be begun again from this alone, as after a crash.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Takes nudges, steps remediations, reconciles.
    Worker,
    /// Hands one finding in until it is accepted.
    Delivery(Box<Finding<'static>>, bool),
    /// Approves, rejects, puts back, reopens, turns the kill switch, edits and deletes by hand.
    Person,
    /// Looks at the resources as the source does, and reports what changed.
    Evaluator,
}

/// The work of a role, from its beginning.
pub(crate) fn work(world: &Arc<World>, stage: &Stage, actor: ActorId, role: &Role) -> Pin<Box<dyn Future<Output = ()>>> {
    let (world, stage) = (world.clone(), stage.clone());
    match role.clone() {
        Role::Worker => Box::pin(worker::work(world, stage, actor)),
        Role::Delivery(finding, late) => Box::pin(sender::deliver(world, stage, actor, *finding, late)),
        Role::Person => Box::pin(people::act(world, stage, actor)),
        Role::Evaluator => Box::pin(sender::evaluate(world, stage, actor)),
    }
}

/// Puts everybody in their place.
pub(crate) fn set_the_stage(world: &Arc<World>, scheduler: &mut Scheduler) {
    let (subjects, workers, people) = world.with(|w| {
        let count = *w.rng.pick(&[1, 1, 1, 2, 2, 3, 4]).unwrap_or(&1);
        let mut subjects = Vec::new();
        for _ in 0..count {
            let subject = w.rng.below(SUBJECTS.len() as u64) as usize;
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        (subjects, w.rng.between(1, 3), w.rng.between(0, 2))
    });
    world.with(|w| {
        let faults = w.profile.names().join(", ");
        w.story.line(now(), "", &format!("{workers} workers, {people} people; what may go wrong: {faults}"));
        w.subjects.clone_from(&subjects);
    });
    for n in 1..=workers {
        let actor = world.enter(format!("worker {n}"));
        scheduler.start(actor, Role::Worker);
    }
    for (n, subject) in subjects.iter().enumerate() {
        let Some(subject) = SUBJECTS.get(*subject) else { continue };
        let finding = subject.finding(n + 1);
        world.source.put(finding.clone());
        let times = 1 + u32::from(world.fault(usize::MAX, Fault::DeliveryDuplicated, || finding.uid.to_string()));
        for _ in 0..times {
            let actor = world.enter(format!("finding {}", n + 1));
            scheduler.start(actor, Role::Delivery(Box::new(finding.clone()), true));
        }
    }
    let actor = world.enter("source");
    scheduler.start(actor, Role::Evaluator);
    for n in 1..=people {
        let actor = world.enter(if n == 1 { "alice" } else { "bob" });
        scheduler.start(actor, Role::Person);
    }
}

/// The faults are over: the switch is on again, the clocks are right, and people have gone home.
pub(crate) fn calm_down(world: &Arc<World>, scheduler: &mut Scheduler) {
    scheduler.dismiss(|role| matches!(role, Role::Person | Role::Evaluator));
    let _ = finish(world.store.allow_writes(true));
    world.sandbox.clear_faults();
    world.with(|w| {
        w.calm = true;
        w.actors.iter_mut().for_each(|a| {
            a.skew = 0;
            a.wake = a.wake.min(now());
        });
        w.story.line(now(), "", "-- nothing goes wrong from here on; everything must come to rest --");
    });
}

/// The sources look at every resource once more. `false`: they have nothing new to say.
pub(crate) fn evaluate_again(world: &Arc<World>, stage: &Stage, scheduler: &mut Scheduler) -> bool {
    let mut news = false;
    for n in 0..world.with(|w| w.subjects.len()) {
        if let Some(finding) = sender::reevaluated(world, stage, n) {
            news = true;
            let actor = world.enter(format!("finding {}", n + 1));
            scheduler.start(actor, Role::Delivery(Box::new(finding), false));
        }
    }
    news
}

/// The live resource of a remediation as its fix sees it once everything under way is done. `None`: it is gone, or there is no
/// fix that could look. Nobody else acts meanwhile.
pub(crate) fn look(world: &Arc<World>, stage: &Stage, r: &Remediation) -> Option<Snapshot> {
    let fix = stage.library.fix(&r.fix.as_ref()?.plan.fix).ok()?;
    let target = Target::of(&r.finding, &r.resource).ok()?;
    look_through(world, fix, &target)
}

/// What a fix reads of a target. Reading several times lets what is under way finish: the clouds count reads, not time.
pub(crate) fn look_through(world: &World, fix: &stanch_core::fix::Fix, target: &Target) -> Option<Snapshot> {
    let params = fix.params(&serde_json::Map::new()).ok()?;
    let mut last = None;
    for _ in 0..5 {
        let mut snapshot = Snapshot::default();
        for index in 0..fix.reads() {
            let request = fix.read(index, target, &params, &snapshot).ok()?;
            let response = finish(world.sandbox.call(&request, 0)).ok()?;
            if !matches!(fix.take(index, &response, &mut snapshot), Ok(Observed::Taken)) {
                return None;
            }
        }
        last = Some(snapshot);
    }
    last
}
