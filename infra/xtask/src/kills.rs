//! `cargo xtask kills` and `cargo xtask versions`: the real programs killed under load, and two builds side by side.

use crate::fault::Fault;
use crate::install;
use crate::repo::{self, Repo};
use crate::servers::{Azurite, Moto};

/// How often processes are killed in all unless it is said.
const COUNT: usize = 500;

/// Kills processes of the programs, built in dev, `count` times during a load against moto: half of them with their state in the
/// data folder, half with it in Azurite.
pub(crate) fn run(repo: &Repo, count: Option<&str>) -> Result<(), Fault> {
    let count = match count {
        None => COUNT,
        Some(text) => text.parse().map_err(|_| Fault::Usage(format!("`--count {text}`: expected a number")))?,
    };
    let python = install::python(repo)?;
    let modules = install::node_modules(repo)?;
    let (moto, azurite) = (Moto::start(repo, &python)?, Azurite::start(repo, &modules)?);
    let mut cargo = test(repo, "killed_again_and_again");
    cargo.env("STANCH_MOTO", moto.url()).env("STANCH_AZURITE", azurite.url()).env("STANCH_KILLS", count.to_string());
    repo::run(&mut cargo)
}

/// Builds a `stanch` whose rows and messages are one format ahead, and runs it beside the one of today.
pub(crate) fn versions(repo: &Repo) -> Result<(), Fault> {
    let python = install::python(repo)?;
    // In the same target folder, so that nothing of others is compiled again; the build of today takes the name back below.
    repo::run(repo.cargo().args(["build", "-p", "stanch-entry", "--bin", "stanch", "--features", "stanch-core/next-format"]))?;
    let next = repo.target.join("next").join("stanch");
    std::fs::create_dir_all(repo.target.join("next")).map_err(Fault::io("make the folder of the next build"))?;
    std::fs::copy(repo.target.join("debug/stanch"), &next).map_err(Fault::io(format!("write {}", next.display())))?;
    let moto = Moto::start(repo, &python)?;
    let mut cargo = test(repo, "the_next_build");
    repo::run(cargo.env("STANCH_MOTO", moto.url()).env("STANCH_NEXT_BIN", &next))
}

/// The tests of that name, telling what they see.
fn test(repo: &Repo, name: &str) -> std::process::Command {
    let mut cargo = repo.cargo();
    cargo.args(["test", "-p", "stanch-entry", "--test", "kills", "--", name, "--nocapture"]);
    cargo
}
