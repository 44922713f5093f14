//! `cargo xtask corpus`: what becomes of every published payload at hand.

use std::process::Command;

use crate::fault::Fault;
use crate::install;
use crate::repo::{Repo, run as run_command, run_quietly};

/// Runs the corpus tests and shows their tables; `write` renews the reference of mappings.
pub(crate) fn run(repo: &Repo, write: bool) -> Result<(), Fault> {
    let samples = repo.samples().map_err(Fault::Missing)?;
    let schemas = repo.scratch()?.join("ocsf");
    run_quietly(Command::new(install::python(repo)?).arg(repo.tool("py/ocsf_schema.py")).arg(&schemas))?;
    let mut cargo = repo.cargo();
    cargo.args(["test", "--quiet", "--package", "stanch-entry", "--test", "corpus", "--", "--nocapture", "--test-threads", "1"]);
    cargo.env("STANCH_SAMPLES", samples).env("STANCH_OCSF_SCHEMA", schemas);
    if write {
        cargo.env("STANCH_WRITE", "1");
    }
    run_command(&mut cargo)
}

/// `cargo xtask fuzz`: tries arbitrary and changed payloads on every reader, each target and kind for so many seconds.
pub(crate) fn fuzz(repo: &Repo, seconds: &str) -> Result<(), Fault> {
    let seconds: u32 = seconds.parse().map_err(|_| Fault::Usage(format!("`{seconds}` is no number of seconds")))?;
    let samples = repo.samples().map_err(Fault::Missing)?;
    let mut cargo = repo.cargo();
    cargo.args(["test", "--quiet", "--release", "--package", "stanch-entry", "--test", "corpus", "--", "mutate::", "--nocapture"]);
    run_command(cargo.env("STANCH_SAMPLES", samples).env("STANCH_FUZZ_SECONDS", seconds.to_string()))
}
