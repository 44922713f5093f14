//! Many runs, on several threads; each run stays on one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Broken, Coverage, Options, Stage, run};

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Threads.
    pub jobs: usize,
    /// Failures after which it ends.
    pub failures: usize,
    /// How each run is made.
    pub options: Options,
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs played.
    pub runs: u64,
    /// Steps, commits and writes of all.
    pub steps: u64,
    /// Commits that reached the store.
    pub commits: u64,
    /// Writes that reached a cloud.
    pub writes: u64,
    /// What was met.
    pub coverage: Coverage,
    /// Seeds with a broken invariant, by seed.
    pub failures: Vec<(u64, Broken)>,
}

impl Campaign {
    /// Plays it. `progress` is told how many runs are done, from any thread.
    pub fn play(&self, stage: &Stage, progress: impl Fn(u64) + Sync) -> Report {
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let total = Mutex::new(Report::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.thread(stage, &next, &stop, &total, &progress));
            }
        });
        let mut report = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures.sort_by_key(|(seed, _)| *seed);
        report
    }

    fn thread(&self, stage: &Stage, next: &AtomicU64, stop: &AtomicBool, total: &Mutex<Report>, progress: &(impl Fn(u64) + Sync)) {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.seeds {
                return;
            }
            let outcome = run(self.from + number, stage, &self.options);
            let runs = {
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.runs += 1;
                total.steps += outcome.steps;
                total.commits += outcome.commits;
                total.writes += outcome.writes;
                total.coverage.add(outcome.coverage);
                if let Some(broken) = outcome.broken {
                    total.failures.push((outcome.seed, broken));
                    if total.failures.len() >= self.failures {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                total.runs
            };
            progress(runs);
        }
    }
}
