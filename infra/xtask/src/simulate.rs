//! `cargo xtask simulate`: builds the simulator for speed and plays seeds.

use crate::fault::Fault;
use crate::repo::{Repo, run as run_command};

/// Seeds a whole test run plays.
pub(crate) const SEEDS: u64 = 2_000;

/// Builds the simulator, and what it stands on alone, and runs it with `flags`.
pub(crate) fn run(repo: &Repo, flags: &[&str]) -> Result<(), Fault> {
    run_command(repo.cargo().args(["build", "--release", "--quiet", "--package", "stanch-simulator"]))?;
    let program = repo.target.join("release").join(format!("simulate{}", std::env::consts::EXE_SUFFIX));
    run_command(std::process::Command::new(program).current_dir(&repo.root).args(flags))
}
