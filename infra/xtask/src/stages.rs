//! Stages of a long command: seconds of each, what failed and how to repeat it, what was skipped.

use std::time::{Duration, Instant};

use crate::fault::Fault;

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<(String, Duration)>,
    failed: Vec<Failure>,
    skipped: Vec<String>,
    strict: bool,
}

#[derive(Debug)]
struct Failure {
    stage: String,
    why: String,
    repeat: String,
}

impl Stages {
    /// With `strict` a skip is a failure.
    pub(crate) fn new(strict: bool) -> Self {
        Stages { strict, ..Stages::default() }
    }

    /// Runs one stage. `repeat` is the command that repeats it alone.
    pub(crate) fn run<T>(&mut self, name: &str, repeat: &str, work: impl FnOnce() -> Result<T, Fault>) -> Option<T> {
        println!("--- {name}");
        let start = Instant::now();
        let result = work();
        self.record(name, repeat, start.elapsed(), result)
    }

    /// Records a stage that ran elsewhere.
    pub(crate) fn record<T>(&mut self, name: &str, repeat: &str, took: Duration, result: Result<T, Fault>) -> Option<T> {
        self.done.push((name.to_owned(), took));
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                println!("{name}: {}", fault.chain());
                self.fail(name, &fault.chain(), repeat);
                None
            }
        }
    }

    /// Says that something is not done, and why.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("skipped: {what}: {why}");
        if self.strict {
            self.fail(what, &format!("{why} (nothing may be skipped when CI is set)"), "cargo xtask test");
        } else {
            self.skipped.push(format!("{what}: {why}"));
        }
    }

    /// How many stages failed.
    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Seconds per stage, skips, failures.
    pub(crate) fn print(&self) {
        println!("\n{:<36} seconds", "stage");
        for (name, took) in &self.done {
            println!("{name:<36} {:>7.1}", took.as_secs_f64());
        }
        for line in &self.skipped {
            println!("skipped: {line}");
        }
        for failure in &self.failed {
            println!("FAILED: {}: {}\n  to repeat it alone: {}", failure.stage, first_line(&failure.why), failure.repeat);
        }
        println!();
    }

    fn fail(&mut self, stage: &str, why: &str, repeat: &str) {
        self.failed.push(Failure { stage: stage.to_owned(), why: why.to_owned(), repeat: repeat.to_owned() });
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
