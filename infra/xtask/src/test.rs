//! `cargo xtask test`: everything a fresh machine needs to run every test, and the verdict of independent judges.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::fault::Fault;
use crate::install::{self, Attempt};
use crate::repo::{Repo, run_quietly};
use crate::servers::{Azurite, Moto};
use crate::simulate;
use crate::specs::{self, Court, Session};
use crate::stages::Stages;

/// Runs `cargo test` on the whole workspace, or with `args` instead, and what belongs to it. The last line it prints is
/// `N passed, N failed`.
pub(crate) fn run(repo: &Repo, args: &[&str]) -> Result<ExitCode, Fault> {
    let mut stages = Stages::new(repo.ci);
    let count = tests(repo, args, &mut stages)?;
    stages.print();
    // A stage that failed outside the tests is a failure too: the last line must not look green.
    let failed = count.failed + stages.failures() - usize::from(count.failed > 0);
    println!("{} passed, {failed} failed", count.passed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The export of telemetry is built in: its tests need it, and one build serves all.
const WHOLE: &[&str] = &["--workspace", "--features", "stanch-entry/otlp"];

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
}

fn tests(repo: &Repo, args: &[&str], stages: &mut Stages) -> Result<Count, Fault> {
    let whole = args.is_empty();
    let selection = if whole { WHOLE } else { args };
    let again = format!("cargo test {}", selection.join(" "));

    // The downloads need the network, the compiler needs the processor.
    let (tools, compiled) = std::thread::scope(|scope| {
        let tools = scope.spawn(|| install::all(repo));
        let compiled = stages.run("compile the tests", &format!("{again} --no-run"), || {
            crate::repo::run(repo.cargo().args(["test", "--no-run"]).args(selection))
        });
        (tools.join(), compiled)
    });
    let tools = tools.map_err(|_| Fault::Missing("the installation ended early".to_owned()))?;
    let python = installed(stages, "install the Python packages", tools.python);
    let node_modules = installed(stages, "install the Node packages", tools.node_modules);
    if compiled.is_none() {
        return Ok(Count::default());
    }

    let records = fresh_records(repo)?;
    let mut cargo = repo.cargo();
    cargo.args(["test", "--no-fail-fast"]).args(selection).env("STANCH_RECORD_DIR", &records);
    for (name, what, folder) in [
        ("STANCH_SAMPLES", "tests over real payloads", repo.samples()),
        ("STANCH_SPECS", "judging Azure requests", repo.specs()),
        ("STANCH_FACTS", "the catalogue of fixes against the controls", repo.facts()),
    ] {
        match folder {
            Ok(folder) => drop(cargo.env(name, folder)),
            Err(why) => stages.skip(what, &why),
        }
    }
    let mut azurite = None;
    if let Some(modules) = &node_modules {
        cargo.env("STANCH_NODE_MODULES", modules);
        azurite = stages.run("start azurite", "cargo xtask test", || Azurite::start(repo, modules));
        if let Some(azurite) = &azurite {
            cargo.env("STANCH_AZURITE", azurite.url());
        }
    }
    let mut moto = None;
    if let Some(python) = &python {
        cargo.env("STANCH_PYTHON", python);
        let schemas = repo.scratch()?.join("ocsf");
        let made = stages.run("make the OCSF schemas", "cargo xtask test", || {
            run_quietly(Command::new(python).arg(repo.tool("py/ocsf_schema.py")).arg(&schemas))
        });
        if made.is_some() {
            cargo.env("STANCH_OCSF_SCHEMA", &schemas);
        }
        moto = stages.run("start moto", "cargo xtask test", || Moto::start(repo, python));
        if let Some(moto) = &moto {
            cargo.env("STANCH_MOTO", moto.url());
        }
    }
    let mut count = Count::default();
    let passed = stages.run("run the tests", &again, || counted(&mut cargo, &mut count)).is_some();
    drop((moto, azurite));
    let complete = whole && passed;
    if complete {
        crate::repo::write(&records.join(specs::COMPLETE), "")?;
    }

    if whole && let Some(python) = &python {
        stages.run("compare the AWS table", "cargo xtask gen --check", || crate::r#gen::aws_table(repo, python)?.check(repo));
    }
    if whole {
        let seeds = simulate::SEEDS.to_string();
        let again = format!("cargo xtask simulate --seeds {seeds}");
        stages.run("simulate", &again, || simulate::run(repo, &["--seeds", &seeds]));
    }
    let court = Court { repo, python, node_modules, specs: repo.specs().ok() };
    specs::hold(&court, &Session { selftest: true, records: Some(&records), complete, write_evidence: false }, stages);
    Ok(count)
}

/// What an installation gave; a machine without Python or Node skips what needs it.
fn installed(stages: &mut Stages, name: &str, attempt: Attempt) -> Option<PathBuf> {
    match attempt.result {
        Err(Fault::Missing(why)) => {
            stages.skip(name, &why);
            None
        }
        result => stages.record(name, "cargo xtask specs --selftest", attempt.took, result),
    }
}

/// A folder for the exchanges of this run, without those of the last.
fn fresh_records(repo: &Repo) -> Result<PathBuf, Fault> {
    let records = repo.records();
    std::fs::create_dir_all(&records).map_err(Fault::io(format!("make {}", records.display())))?;
    for name in specs::RECORDS {
        let path = records.join(name);
        if path.exists() {
            std::fs::remove_file(&path).map_err(Fault::io(format!("remove {}", path.display())))?;
        }
    }
    Ok(records)
}

/// Runs cargo, shows what it prints and adds up its results.
fn counted(cargo: &mut Command, count: &mut Count) -> Result<(), Fault> {
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(Fault::io("start cargo test"))?;
    let mut shown = std::io::stdout();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
            count.add(&String::from_utf8_lossy(&line));
            // A closed terminal must not end the tests.
            let _ = shown.write_all(&line).and_then(|()| shown.write_all(b"\n")).and_then(|()| shown.flush());
        }
    }
    let status = child.wait().map_err(Fault::io("wait for cargo test"))?;
    if status.success() {
        return Ok(());
    }
    if count.failed > 0 {
        return Err(Fault::Found(format!("{} tests failed", count.failed)));
    }
    // It did not compile, or a test program crashed without a result.
    count.failed = 1;
    Err(Fault::Found("cargo test failed, though no test did".to_owned()))
}

impl Count {
    /// Reads `test result: ok. 12 passed; 0 failed; …`; any other line counts nothing.
    fn add(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        let figure = |word: &str| {
            let before = rest.split(word).next().filter(|before| before.len() < rest.len())?;
            before.split_whitespace().last()?.parse::<usize>().ok()
        };
        self.passed += figure(" passed").unwrap_or(0);
        self.failed += figure(" failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_result_lines_count() {
        let mut count = Count::default();
        count.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s");
        count.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s");
        count.add("test tests::three_passed ... ok");
        count.add("7 passed; 7 failed");
        assert_eq!(count, Count { passed: 15, failed: 2 });
    }
}
