//! A deterministic simulation of the whole engine: several workers over one store, one queue and three simulated clouds, people,
//! time, and everything that can go wrong between them. One seed is one run, the same on every machine, readable as a story.
//!
//! Nothing here sleeps, reads a clock or starts a thread. Every call of a port is a place where the scheduler decides who goes on.
//! What happened is judged from the outside: by what reached the clouds and what the store holds, never by what the engine says.

mod actors;
mod campaign;
mod clock;
mod coverage;
mod faults;
mod invariants;
mod ledger;
mod plants;
mod ports;
mod rng;
mod scheduler;
mod stage;
mod story;
mod subjects;
mod world;

use std::collections::BTreeSet;

pub use campaign::{Campaign, Report};
pub use coverage::Coverage;
pub use faults::Fault;
pub use invariants::INVARIANTS;
pub use plants::Plant;
pub use stage::Stage;

use scheduler::Scheduler;
use world::World;

/// How a run is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keep the story.
    pub story: bool,
    /// A bug that is built in on purpose.
    pub plant: Option<Plant>,
    /// Faults that never happen.
    pub without: BTreeSet<Fault>,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub invariant: &'static str,
    /// What was found.
    pub why: String,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The invariant that broke, if one did.
    pub broken: Option<Broken>,
    /// What the run met.
    pub coverage: Coverage,
    /// The story, when it was wanted.
    pub story: Vec<String>,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Commits that reached the store.
    pub commits: u64,
    /// Writes that reached a cloud.
    pub writes: u64,
    /// The same for two runs of one seed.
    pub fingerprint: u64,
}

/// Plays the run of a seed.
pub fn run(seed: u64, stage: &Stage, options: &Options) -> Outcome {
    clock::reset();
    let world = World::new(seed, stage, options);
    let mut scheduler = Scheduler::new(world.clone(), stage.clone());
    actors::set_the_stage(&world, &mut scheduler);
    let steps = world.with(|w| w.rng.between(100, 800)) as u64;
    scheduler.chaos(steps);
    actors::calm_down(&world, &mut scheduler);
    for _ in 0..3 {
        scheduler.calm();
        if !actors::evaluate_again(&world, stage, &mut scheduler) {
            break;
        }
    }
    invariants::at_rest(&world, stage);
    world.with(|w| {
        let mut coverage = std::mem::take(&mut w.coverage);
        coverage.reached(std::mem::take(&mut w.reached));
        Outcome {
            seed,
            broken: w.broken.take(),
            coverage,
            story: std::mem::take(&mut w.story.lines),
            steps: scheduler.steps,
            commits: w.ledger.commits,
            writes: w.ledger.landed.len() as u64,
            fingerprint: w.fingerprint(),
        }
    })
}
