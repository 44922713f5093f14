//! The task runner: `cargo xtask <command>`. One program for tests, checks, generated files and measurements.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod bench;
mod corpus;
mod fault;
mod r#gen;
mod install;
mod kills;
mod library;
mod repo;
mod servers;
mod simulate;
mod specs;
mod stages;
mod test;
mod tidy;

use std::process::ExitCode;

use fault::Fault;
use repo::Repo;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [-- ARGS]         install the counterparties, run every test, judge what the tests sent to the clouds;
                         ARGS go to `cargo test` and replace `--workspace --features stanch-entry/otlp`
  tidy                   who may know whom, folders, files, words, and whether generated files are fresh
  gen [--check]          write (or only compare) the generated files
  specs [--selftest] [--write-evidence]
                         judge the exchanges the last test run recorded; or prove the judges themselves
  kills [--count N]      kill -9 the real programs N times (500) under load against moto and Azurite, and hold their records
                         against what a recording proxy saw
  versions               two builds, the second one format ahead, on one data folder with work in flight
  simulate [FLAGS]       play simulated runs of the engine: --seeds N, --from SEED, --story; `simulate --help` tells the rest
  corpus [--write]       read every published payload at hand; show per family what became of it, and how much of what each
                         payload holds was filled; --write renews docs/mappings.md
  fuzz [--seconds N]     arbitrary and changed payloads on every connector's reader, each for N seconds (60)
  bench [--profile NAME] start-up time, memory and sizes of the programs, ready for the README
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("error: {}", fault.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<ExitCode, Fault> {
    let repo = Repo::find()?;
    match args {
        ["test"] => test::run(&repo, &[]),
        ["test", "--", cargo @ ..] => test::run(&repo, cargo),
        ["tidy"] => tidy::run(&repo).map(|()| ExitCode::SUCCESS),
        ["gen"] => r#gen::run(&repo, r#gen::Mode::Write).map(|()| ExitCode::SUCCESS),
        ["gen", "--check"] => r#gen::run(&repo, r#gen::Mode::Check).map(|()| ExitCode::SUCCESS),
        ["specs", flags @ ..] => specs::run(&repo, flags).map(|()| ExitCode::SUCCESS),
        ["kills"] => kills::run(&repo, None).map(|()| ExitCode::SUCCESS),
        ["kills", "--count", count] => kills::run(&repo, Some(count)).map(|()| ExitCode::SUCCESS),
        ["versions"] => kills::versions(&repo).map(|()| ExitCode::SUCCESS),
        ["simulate", flags @ ..] => simulate::run(&repo, flags).map(|()| ExitCode::SUCCESS),
        ["corpus"] => corpus::run(&repo, false).map(|()| ExitCode::SUCCESS),
        ["corpus", "--write"] => corpus::run(&repo, true).map(|()| ExitCode::SUCCESS),
        ["fuzz"] => corpus::fuzz(&repo, "60").map(|()| ExitCode::SUCCESS),
        ["fuzz", "--seconds", seconds] => corpus::fuzz(&repo, seconds).map(|()| ExitCode::SUCCESS),
        ["bench"] => bench::run(&repo, "release").map(|()| ExitCode::SUCCESS),
        ["bench", "--profile", profile] => bench::run(&repo, profile).map(|()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Fault::Usage(format!("cannot read `cargo xtask {}`\n\n{USAGE}", args.join(" ")))),
    }
}
