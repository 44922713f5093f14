//! `simulate`: plays seeds, and tells what broke, what was met, and how to see it again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use stanch_core::state::ARROWS;
use stanch_simulator::{Campaign, Coverage, Fault, INVARIANTS, Options, Plant, Report, Stage, run};

const USAGE: &str = "\
usage: simulate [--seeds N] [--from SEED] [--jobs J] [--story] [--plant NAME] [--without FAULT]... [--failures N]

  --seeds N        play so many seeds (1000)
  --from SEED      the first of them (1)
  --jobs J         threads (one for each processor)
  --story          print each run as lines to read, on one thread
  --plant NAME     build a bug in; `--plant list` names them
  --without FAULT  never let that go wrong; `--without list` names what can
  --failures N     end after so many broken seeds (10)
";

struct Asked {
    campaign: Campaign,
    story: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = match read(&args) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let stage = match Stage::load() {
        Ok(stage) => stage,
        Err(why) => {
            eprintln!("error: the library cannot be loaded: {why}");
            return ExitCode::from(2);
        }
    };
    if asked.story { tell(&asked.campaign, &stage) } else { play(&asked.campaign, &stage) }
}

fn read(args: &[String]) -> Result<Option<Asked>, String> {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut campaign = Campaign { from: 1, seeds: 1000, jobs, failures: 10, options: Options::default() };
    let mut story = false;
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{flag}` wants a value"));
        let number = |text: &String| text.replace('_', "").parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        match flag.as_str() {
            "--seeds" => campaign.seeds = number(value()?)?,
            "--from" => campaign.from = number(value()?)?,
            "--jobs" => campaign.jobs = number(value()?)? as usize,
            "--failures" => campaign.failures = number(value()?)? as usize,
            "--story" => story = true,
            "--plant" => {
                let name = value()?;
                if name == "list" {
                    for plant in Plant::ALL {
                        println!("{:<24} {}", plant.name(), plant.what());
                    }
                    return Ok(None);
                }
                campaign.options.plant = Some(Plant::named(name).ok_or_else(|| format!("there is no plant `{name}`"))?);
            }
            "--without" => {
                let name = value()?;
                if name == "list" {
                    for fault in Fault::ALL {
                        println!("{}", fault.name());
                    }
                    return Ok(None);
                }
                campaign.options.without.insert(Fault::named(name).ok_or_else(|| format!("there is no fault `{name}`"))?);
            }
            "--help" | "-h" => {
                print!("{USAGE}");
                return Ok(None);
            }
            other => return Err(format!("cannot read `{other}`")),
        }
    }
    Ok(Some(Asked { campaign, story }))
}

/// Prints each run as a story.
fn tell(campaign: &Campaign, stage: &Stage) -> ExitCode {
    let options = Options { story: true, ..campaign.options.clone() };
    let mut whole = true;
    for seed in campaign.from..campaign.from.saturating_add(campaign.seeds) {
        let outcome = run(seed, stage, &options);
        println!("=== seed {seed}");
        for line in &outcome.story {
            println!("{line}");
        }
        println!(
            "=== {} steps, {} commits, {} writes, fingerprint {:016x}",
            outcome.steps, outcome.commits, outcome.writes, outcome.fingerprint
        );
        if let Some(broken) = outcome.broken {
            println!("BROKEN {}: {}", broken.invariant, broken.why);
            whole = false;
        }
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(campaign: &Campaign, stage: &Stage) -> ExitCode {
    let start = Instant::now();
    let every = (campaign.seeds / 20).max(1);
    let report = campaign.play(stage, |done| {
        if done % every == 0 {
            println!("{done:>8} of {} seeds, {:.0} a second", campaign.seeds, done as f64 / start.elapsed().as_secs_f64());
        }
    });
    met(&report);
    for (seed, broken) in &report.failures {
        println!("BROKEN seed {seed}: {}: {}", broken.invariant, broken.why);
        println!("  to read it: cargo xtask simulate --story --seeds 1 --from {seed}{}", flags(&campaign.options));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} seeds from {}, {} steps, {} commits, {} writes, {} invariants, {} broken; {seconds:.1} s, {:.0} seeds a second on {} threads",
        report.runs,
        campaign.from,
        report.steps,
        report.commits,
        report.writes,
        INVARIANTS.len(),
        report.failures.len(),
        report.runs as f64 / seconds,
        campaign.jobs,
    );
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn flags(options: &Options) -> String {
    let plant = options.plant.map(|p| format!(" --plant {}", p.name())).unwrap_or_default();
    options.without.iter().fold(plant, |all, fault| format!("{all} --without {}", fault.name()))
}

fn met(report: &Report) {
    let Coverage { faults, races, states, arrows, fixes } = &report.coverage;
    let table = |title: &str, rows: Vec<(String, u64)>| {
        println!("\n{title}");
        for (name, count) in rows {
            println!("  {name:<52} {count:>9}");
        }
    };
    let rows = |map: &BTreeMap<&'static str, u64>| map.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect();
    table("faults, times", rows(faults));
    table("races, times", rows(races));
    table("states, runs", rows(states));
    let to = |from: &str, event: &str| ARROWS.iter().find(|(a, e, _)| a.name() == from && *e == event).map_or("?", |(.., b)| b.name());
    table("arrows, runs", arrows.iter().map(|((from, event), n)| (format!("{from} --{event}--> {}", to(from, event)), *n)).collect());
    table("fixes proven, runs", fixes.iter().map(|(k, n)| (k.clone(), *n)).collect());
    let never = |title: &str, names: Vec<String>| {
        println!("\n{title}: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
    };
    never("faults never met", report.coverage.faults_never_met().iter().map(ToString::to_string).collect());
    never("arrows never taken", report.coverage.arrows_never_taken().iter().map(|(a, e)| format!("{a} --{e}-->")).collect());
    println!();
}
