//! The Python and Node packages the tests need, installed once per lock.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::repo::{Repo, read, run_quietly, write};

/// Environments as a test run finds them.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The interpreter of the environment with moto, botocore and the judges.
    pub(crate) python: Attempt,
    /// `node_modules` with Microsoft's validator and storage emulator.
    pub(crate) node_modules: Attempt,
}

/// One installation: what it gave and how long it took.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The path, or why there is none.
    pub(crate) result: Result<PathBuf, Fault>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Installs both, at the same time.
pub(crate) fn all(repo: &Repo) -> Tools {
    std::thread::scope(|scope| {
        let node = scope.spawn(|| timed(|| node_modules(repo)));
        let python = timed(|| python(repo));
        let lost = || Attempt { result: Err(Fault::Missing("the installation ended early".to_owned())), took: Duration::ZERO };
        Tools { python, node_modules: node.join().unwrap_or_else(|_| lost()) }
    })
}

/// The Python interpreter of the environment, installed if need be.
pub(crate) fn python(repo: &Repo) -> Result<PathBuf, Fault> {
    environment(repo, "py", "py/requirements.txt", &[], "moto, OCSF schemas, the AWS and Google judges")
}

/// An interpreter with Prowler's step to OCSF, for measuring beside it. Its many cloud SDKs stay away.
pub(crate) fn prowler(repo: &Repo) -> Result<PathBuf, Fault> {
    environment(repo, "prowler", "py/prowler.txt", &["--no-deps"], "measuring beside Prowler")
}

/// The interpreter of the environment `name`, which holds what `lock` lists; installed again when either has changed.
fn environment(repo: &Repo, name: &str, lock: &str, flags: &[&str], needed_for: &str) -> Result<PathBuf, Fault> {
    let version = version("python3", "Python 3", needed_for)?;
    let home = repo.cache.join(name);
    let interpreter = home.join("bin/python");
    let lock = repo.tool(lock);
    let wanted = format!("{version}\n{}", read(&lock)?);
    if !is_current(&home, &wanted, &interpreter) {
        clear(&home)?;
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        let mut pip = Command::new(&interpreter);
        run_quietly(pip.args(["-m", "pip", "install", "--quiet"]).args(flags).arg("--requirement").arg(&lock))?;
        write(&home.join("stamp"), &wanted)?;
    }
    Ok(interpreter)
}

/// The interpreter if it is installed already and fits the lock.
pub(crate) fn python_at_hand(repo: &Repo) -> Option<PathBuf> {
    let home = repo.cache.join("py");
    let interpreter = home.join("bin/python");
    let lock = read(&repo.tool("py/requirements.txt")).ok()?;
    let stamp = read(&home.join("stamp")).ok()?;
    (stamp.ends_with(&lock) && interpreter.exists()).then_some(interpreter)
}

/// `node_modules`, installed if need be.
pub(crate) fn node_modules(repo: &Repo) -> Result<PathBuf, Fault> {
    let version = version("node", "Node", "the Azure judge and Azurite")?;
    let home = repo.cache.join("js");
    let modules = home.join("node_modules");
    let manifest = read(&repo.tool("js/package.json"))?;
    let lock = read(&repo.tool("js/package-lock.json"))?;
    let wanted = format!("{version}\n{manifest}{lock}");
    if !is_current(&home, &wanted, &modules) {
        clear(&home)?;
        write(&home.join("package.json"), &manifest)?;
        write(&home.join("package-lock.json"), &lock)?;
        run_quietly(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home))?;
        write(&home.join("stamp"), &wanted)?;
    }
    Ok(modules)
}

fn timed(work: impl FnOnce() -> Result<PathBuf, Fault>) -> Attempt {
    let start = Instant::now();
    let result = work();
    Attempt { result, took: start.elapsed() }
}

/// What a program says its version is; `Missing` when it is not there.
fn version(program: &str, name: &str, needed_for: &str) -> Result<String, Fault> {
    let missing = || Fault::Missing(format!("{name} is not installed (no `{program}` on the path); needed for {needed_for}"));
    run_quietly(Command::new(program).arg("--version")).map(|text| text.trim().to_owned()).map_err(|_| missing())
}

/// The stamp holds everything the installation was made from.
fn is_current(home: &Path, wanted: &str, result: &Path) -> bool {
    result.exists() && read(&home.join("stamp")).is_ok_and(|stamp| stamp == wanted)
}

fn clear(home: &Path) -> Result<(), Fault> {
    if home.exists() {
        std::fs::remove_dir_all(home).map_err(Fault::io(format!("remove {}", home.display())))?;
    }
    std::fs::create_dir_all(home).map_err(Fault::io(format!("make {}", home.display())))
}
