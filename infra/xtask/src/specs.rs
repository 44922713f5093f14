//! Independent judges of what the tests sent to the clouds and of what the tests' own servers answered: Microsoft's
//! validator, Google's discovery documents, botocore's service models.

mod evidence;
mod selftest;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;
use stanch_core::cloud::Cloud;

use crate::fault::Fault;
use crate::install;
use crate::repo::{Repo, read, run_quietly};
use crate::stages::Stages;

/// `cargo xtask specs`.
pub(crate) fn run(repo: &Repo, flags: &[&str]) -> Result<(), Fault> {
    if let Some(flag) = flags.iter().find(|flag| !["--selftest", "--write-evidence"].contains(flag)) {
        return Err(Fault::Usage(format!("`specs` has no flag `{flag}`; it has --selftest and --write-evidence")));
    }
    let mut stages = Stages::new(repo.ci);
    let mut have = |name: &str, result: Result<PathBuf, Fault>| result.map_err(|fault| stages.skip(name, &fault.chain())).ok();
    let python = have("judging AWS and Google", install::python(repo));
    let node_modules = have("judging Azure", install::node_modules(repo));
    let court = Court { repo, python, node_modules, specs: repo.specs().ok() };
    let selftest = flags.contains(&"--selftest");
    let records = repo.records();
    if !selftest && !RECORDS.iter().any(|name| records.join(name).exists()) {
        return Err(Fault::Missing(format!("there are no exchanges in {}; run `cargo xtask test` first", records.display())));
    }
    let session = Session {
        selftest,
        records: (!selftest).then_some(records.as_path()),
        complete: records.join(COMPLETE).exists(),
        write_evidence: flags.contains(&"--write-evidence"),
    };
    hold(&court, &session, &mut stages);
    stages.print();
    if stages.failures() == 0 { Ok(()) } else { Err(Fault::Found("the judges are not content; see FAILED above".to_owned())) }
}

/// What the judges need.
#[derive(Debug)]
pub(crate) struct Court<'r> {
    /// The repository.
    pub(crate) repo: &'r Repo,
    /// Interpreter with the AWS and Google judges' packages.
    pub(crate) python: Option<PathBuf>,
    /// Folder with Microsoft's validator.
    pub(crate) node_modules: Option<PathBuf>,
    /// Microsoft's API descriptions.
    pub(crate) specs: Option<PathBuf>,
}

/// What is asked of the judges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session<'s> {
    /// Prove that each judge both accepts and refuses.
    pub(crate) selftest: bool,
    /// Folder with recorded exchanges to judge.
    pub(crate) records: Option<&'s Path>,
    /// Whether the records come from all tests, and all passed: every cloud must be among them, and they are evidence.
    pub(crate) complete: bool,
    /// Write what the records prove into the library.
    pub(crate) write_evidence: bool,
}

/// One exchange, judged.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verdict {
    /// Its line in the records, from 1.
    line: usize,
    /// The operation the judge took it for.
    operation: String,
    /// What judged it, with its version.
    label: String,
    /// The validator's own codes (Azure only).
    #[serde(default)]
    codes: Vec<String>,
    /// What is wrong; empty when the judge was content.
    faults: Vec<String>,
}

/// An exchange as recorded, with its verdict.
#[derive(Clone, Debug)]
struct Judged {
    record: Value,
    verdict: Verdict,
}

/// Files of recorded exchanges.
pub(crate) const RECORDS: [&str; 5] = ["azure.jsonl", "aws.jsonl", "gcp.jsonl", "emulator.jsonl", COMPLETE];
/// Stands beside them when all tests ran and passed.
pub(crate) const COMPLETE: &str = "complete";
const CLOUDS: [Cloud; 3] = [Cloud::Azure, Cloud::Aws, Cloud::Gcp];

/// Holds the session, cloud by cloud.
pub(crate) fn hold(court: &Court<'_>, session: &Session<'_>, stages: &mut Stages) {
    let mut proven = Vec::new();
    let mut judged_all = true;
    for cloud in CLOUDS {
        if let Err(why) = court.sits(cloud) {
            stages.skip(&format!("judge {cloud}"), &why);
            judged_all = false;
            continue;
        }
        if session.selftest {
            stages.run(&format!("prove the {cloud} judge"), "cargo xtask specs --selftest", || selftest::prove(court, cloud));
        }
        let Some(folder) = session.records else { continue };
        let file = folder.join(format!("{cloud}.jsonl"));
        if file.is_file() {
            let judged = stages.run(&format!("judge {cloud}"), "cargo xtask specs", || judge_and_print(court, cloud, &file));
            judged_all &= judged.is_some();
            proven.extend(judged.unwrap_or_default());
        } else {
            judged_all = false;
            if session.complete {
                stages.skip(&format!("judge {cloud}"), &format!("no exchanges in {}; run `cargo xtask test` first", file.display()));
            }
        }
    }
    match session.records {
        Some(folder) if judged_all && session.complete => {
            stages.run("evidence of the fixes", "cargo xtask specs --write-evidence", || {
                evidence::settle(court.repo, &proven, &folder.join("emulator.jsonl"), session.write_evidence)
            });
        }
        _ if session.write_evidence => {
            let why = "it takes the exchanges of a whole `cargo xtask test`, all passed and all judged right";
            stages.run("evidence of the fixes", "cargo xtask test", || Err::<(), _>(Fault::Missing(why.to_owned())));
        }
        _ => {}
    }
}

impl Court<'_> {
    /// Whether the judge of a cloud can work; else why not.
    fn sits(&self, cloud: Cloud) -> Result<(), String> {
        match cloud {
            Cloud::Azure if self.node_modules.is_none() => Err("the Node packages are not installed".to_owned()),
            Cloud::Azure => match self.specs {
                Some(_) => Ok(()),
                None => self.repo.specs().map(drop),
            },
            Cloud::Aws | Cloud::Gcp if self.python.is_none() => Err("the Python packages are not installed".to_owned()),
            Cloud::Aws | Cloud::Gcp => Ok(()),
        }
    }

    /// Judges every line of a file.
    fn judge(&self, cloud: Cloud, records: &Path) -> Result<Vec<Judged>, Fault> {
        let scratch = self.repo.scratch()?;
        let verdicts = scratch.join(format!("verdicts-{cloud}.jsonl"));
        let missing = || Fault::Missing(format!("the {cloud} judge is not installed"));
        let mut judge = match cloud {
            Cloud::Azure => {
                let mut node = Command::new("node");
                node.env("NODE_PATH", self.node_modules.as_ref().ok_or_else(missing)?).arg(self.repo.tool("js/judge_azure.js"));
                node.arg(self.specs.as_ref().ok_or_else(missing)?).arg(scratch.join("specs"));
                node
            }
            Cloud::Aws | Cloud::Gcp => {
                let mut python = Command::new(self.python.as_ref().ok_or_else(missing)?);
                python.arg(self.repo.tool(&format!("py/judge_{cloud}.py")));
                python
            }
        };
        run_quietly(judge.arg(records).arg(&verdicts))?;
        let lines: Vec<(usize, Value)> = json_lines(records)?;
        let verdicts: Vec<(usize, Verdict)> = json_lines(&verdicts)?;
        if lines.len() != verdicts.len() {
            let reason = format!("{} exchanges got {} verdicts", lines.len(), verdicts.len());
            return Err(Fault::content(records)(reason));
        }
        let pairs = lines.into_iter().zip(verdicts);
        pairs
            .map(|((line, record), (_, verdict))| {
                let lost = || Fault::content(records)(format!("line {line} got the verdict of line {}", verdict.line));
                if line == verdict.line { Ok(Judged { record, verdict: verdict.clone() }) } else { Err(lost()) }
            })
            .collect()
    }
}

fn judge_and_print(court: &Court<'_>, cloud: Cloud, records: &Path) -> Result<Vec<Judged>, Fault> {
    let judged = court.judge(cloud, records)?;
    let mut operations: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &judged {
        *operations.entry(&one.verdict.operation).or_default() += 1;
    }
    let refused: Vec<&Judged> = judged.iter().filter(|one| !one.verdict.faults.is_empty()).collect();
    println!("{cloud}: {} exchanges judged, {} refused", judged.len(), refused.len());
    for (operation, count) in operations {
        println!("  {count:>4}  {operation}");
    }
    for one in &refused {
        let fix = one.record.get("fix").and_then(Value::as_str).unwrap_or("no fix named");
        println!("  refused: {}:{} {} ({fix})", records.display(), one.verdict.line, one.verdict.operation);
        for fault in &one.verdict.faults {
            println!("    {fault}");
        }
    }
    match refused.len() {
        0 if judged.is_empty() => Err(Fault::Found(format!("{} holds no exchange", records.display()))),
        0 => Ok(judged),
        n => Err(Fault::Found(format!("{n} exchanges are not as the vendor describes them"))),
    }
}

/// The values of a JSON Lines file with their line numbers, from 1. Blank lines are passed over.
fn json_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>, Fault> {
    let text = read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let wrong = |e: serde_json::Error| Fault::content(path)(format!("line {}: {e}", index + 1));
            Ok((index + 1, serde_json::from_str(line).map_err(wrong)?))
        })
        .collect()
}
