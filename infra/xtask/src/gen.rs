//! Generated files: the AWS table and the reference part of the documentation.

mod docs;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

use stanch_engine::telemetry::METRICS;

use crate::fault::Fault;
use crate::install;
use crate::library;
use crate::repo::{Repo, read, run_quietly, write};

/// Whether generated files are written or only compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write those that differ.
    Write,
    /// Name those that differ.
    Check,
}

/// A generated file as it should be.
#[derive(Debug)]
pub(crate) struct Made {
    /// Where, below the root.
    path: PathBuf,
    /// What it holds.
    text: String,
}

/// `cargo xtask gen`.
pub(crate) fn run(repo: &Repo, mode: Mode) -> Result<(), Fault> {
    let mut files = documents(repo)?;
    // Comparing must not install anything: `tidy` runs without a network.
    match (mode, install::python_at_hand(repo)) {
        (_, Some(python)) => files.push(aws_table(repo, &python)?),
        (Mode::Write, None) => files.push(aws_table(repo, &install::python(repo)?)?),
        (Mode::Check, None) => {
            println!("skipped: shared/aws/operations.json: botocore is not installed yet; `cargo xtask test` compares it");
        }
    }
    let mut stale = Vec::new();
    for file in &files {
        match (mode, file.check(repo)) {
            (_, Ok(())) => {}
            (Mode::Check, Err(fault)) => stale.push(fault.to_string()),
            (Mode::Write, Err(_)) => {
                write(&repo.root.join(&file.path), &file.text)?;
                println!("wrote {}", file.path.display());
            }
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(Fault::Found(stale.join("\n"))) }
}

/// The wire form of the AWS operations the library uses.
pub(crate) fn aws_table(repo: &Repo, python: &Path) -> Result<Made, Fault> {
    let path = PathBuf::from("shared/aws/operations.json");
    let out = repo.scratch()?.join("operations.json");
    let list = repo.root.join("shared/aws/operations.txt");
    run_quietly(Command::new(python).arg(repo.tool("py/aws_operations.py")).arg(list).arg(&out))?;
    Ok(Made { path, text: read(&out)? })
}

impl Made {
    /// Whether the file in the repository is the same.
    pub(crate) fn check(&self, repo: &Repo) -> Result<(), Fault> {
        match read(&repo.root.join(&self.path)) {
            Ok(text) if text == self.text => Ok(()),
            _ => Err(Fault::Found(format!("{} is stale; renew it with `cargo xtask gen`", self.path.display()))),
        }
    }
}

fn documents(repo: &Repo) -> Result<Vec<Made>, Fault> {
    let fixes = library::fixes(repo)?;
    let settings = settings::read_list(&repo.root.join("functions/entry/src/settings.rs"))?;
    let mut made = vec![
        Made { path: "docs/fixes.md".into(), text: docs::fixes(&fixes) },
        Made { path: "docs/permissions.md".into(), text: docs::permissions(&fixes) },
        Made { path: "docs/metrics.md".into(), text: docs::metrics(METRICS) },
        Made { path: "docs/settings.md".into(), text: docs::settings(&settings) },
    ];
    let architecture = repo.root.join("ARCHITECTURE.md");
    if architecture.exists() {
        let text = docs::with_arrows(&read(&architecture)?).map_err(Fault::content(&architecture))?;
        made.push(Made { path: "ARCHITECTURE.md".into(), text });
    }
    Ok(made)
}
