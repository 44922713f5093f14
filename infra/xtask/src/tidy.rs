//! `cargo xtask tidy`: the invariants of the repository that a machine can check.

mod graph;
mod layout;
mod text;

use std::process::Command;

use serde::Deserialize;

use crate::fault::Fault;
use crate::r#gen;
use crate::repo::{Repo, read, run_quietly};

/// A crate of the workspace, as `cargo metadata` tells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

/// One line of a crate's dependencies.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
    /// Set for crates of this workspace.
    path: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// Prints every fault with its place.
pub(crate) fn run(repo: &Repo) -> Result<(), Fault> {
    let listed = run_quietly(repo.cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Metadata =
        serde_json::from_str(&listed).map_err(|e| Fault::Content { file: "cargo metadata".to_owned(), reason: e.to_string() })?;
    let mut faults = graph::faults(&metadata.packages);
    faults.extend(layout::function_folders(&repo.root, &metadata.packages));
    faults.extend(layout::reasons(&read(&repo.root.join("Cargo.toml"))?));
    for path in files(repo)? {
        // What is no text, or was just removed, has no lines to check.
        if let Ok(content) = read(&repo.root.join(&path)) {
            faults.extend(text::faults(&path, &content));
        }
    }
    if let Err(fault) = r#gen::run(repo, r#gen::Mode::Check) {
        faults.push(fault.chain());
    }
    for fault in &faults {
        println!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        n => Err(Fault::Found(format!("tidy found {n} faults"))),
    }
}

/// Every file that is tracked, or would be by `git add`.
fn files(repo: &Repo) -> Result<Vec<String>, Fault> {
    let mut git = Command::new("git");
    git.current_dir(&repo.root).args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    Ok(run_quietly(&mut git)?.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
