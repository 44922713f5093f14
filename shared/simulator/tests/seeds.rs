//! Seeds in the ordinary test run: a run is the same every time, nothing breaks, and every built-in bug is found.

#![expect(clippy::expect_used, reason = "a test program; clippy knows only its test functions")]

use std::sync::LazyLock;

use stanch_simulator::{Fault, Options, Plant, Stage, run};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::load().expect("the library loads"));

#[test]
fn a_hundred_seeds_break_nothing() {
    for seed in 1..=100 {
        let outcome = run(seed, &STAGE, &Options::default());
        if let Some(broken) = outcome.broken {
            panic!("seed {seed}: {}: {}\nto read it: cargo xtask simulate --story --seeds 1 --from {seed}", broken.invariant, broken.why);
        }
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let told = Options { story: true, ..Options::default() };
    for seed in [1, 7, 42] {
        let (one, two, silent) = (run(seed, &STAGE, &told), run(seed, &STAGE, &told), run(seed, &STAGE, &Options::default()));
        assert_eq!(one.story, two.story, "seed {seed}");
        assert_eq!((one.fingerprint, one.steps), (silent.fingerprint, silent.steps), "telling seed {seed} changes it");
        assert!(one.story.len() > 10, "seed {seed} tells a story");
    }
    assert_ne!(run(1, &STAGE, &told).story, run(2, &STAGE, &told).story);
}

#[test]
fn faults_can_be_left_out() {
    let without = Fault::ALL.iter().copied().collect();
    let calm = Options { without, ..Options::default() };
    for seed in 1..=20 {
        let outcome = run(seed, &STAGE, &calm);
        assert_eq!(outcome.broken, None, "seed {seed}");
        assert_eq!(outcome.coverage.faults.len(), 0, "seed {seed}");
    }
}

/// Every bug that is built in on purpose is found, on a seed that is whole without it.
#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        let planted = Options { plant: Some(*plant), ..Options::default() };
        let found = (1..=1_500)
            .find(|seed| run(*seed, &STAGE, &planted).broken.is_some() && run(*seed, &STAGE, &Options::default()).broken.is_none());
        match found {
            Some(seed) => {
                let broken = run(seed, &STAGE, &planted).broken.expect("the same run breaks again");
                println!("{:<26} seed {seed:>5}  {}: {}", plant.name(), broken.invariant, broken.why);
            }
            None => missed.push(plant.name()),
        }
    }
    assert_eq!(missed, Vec::<&str>::new(), "not found in 1,500 seeds");
}
