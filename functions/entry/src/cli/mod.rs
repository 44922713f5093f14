//! The command line.
//!
//! Data goes to standard output, messages to standard error. Exit codes: 0 done, 1 refused by a gate or something wrong was
//! found, 2 bad input, 3 a cloud or the store failed.

mod answer;
mod apply;
mod audit;
mod backup;
mod bench;
mod context;
mod drive;
mod export;
mod failure;
mod fixes;
mod input;
mod normalize;
mod output;
mod parked;
mod plan;
mod remediations;
mod rules;
mod scores;
pub(crate) mod show;
mod show_case;
mod text;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory, Parser};

use crate::settings::Settings;
use crate::{log, recognize, times};
use context::{Context, quoted};
use failure::{Code, Failure};
use output::{Output, errors, print};

const EXAMPLES: &str = "\
Examples:
  stanch up --demo                                  try it: simulated clouds, no account needed
  stanch plan findings.json                         what would be done; changes nothing
  stanch apply findings.json                        take the findings in, as far as the rules allow
  stanch apply findings.json --approve 3f1c0a9be27d approve exactly that plan and apply it
  stanch remediations list --state stuck            what needs a person
  stanch undo 0198c0de-1f2a                         put a fix back
  stanch writes off                                 stop every write at once

Findings are JSON as Defender for Cloud, Security Hub, Security Command Center, Prowler or any OCSF
source sent them.

Exit codes:
  0  done
  1  refused by a gate, or something wrong was found
  2  bad input
  3  a cloud or the store failed

Settings are read from variables: STANCH_DATA, STANCH_RULES, STANCH_FIXES, STANCH_LOG and others.";

/// Closes cloud security findings: shows the exact change, applies what was allowed, proves it, can put it back.
#[derive(Debug, Parser)]
#[command(name = "stanch", version, after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Data folder [default: STANCH_DATA, else `stanch` below the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Machine-readable output: one JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// No progress and no notes on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Turn findings into OCSF, one a line
    #[command(after_help = "Examples:\n  stanch normalize event.json\n  gunzip -c prowler.json.gz | stanch normalize - --source prowler")]
    Normalize(normalize::Normalize),
    /// Show what would be done about findings; changes nothing
    #[command(
        after_help = "Reads the live state with your own credentials.\n--json gives the whole plan with its hash, one finding a line.\n\nExamples:\n  stanch plan findings.json\n  stanch plan findings.json --rules rules/ --json | jq .hash\n  stanch plan event.json --sandbox"
    )]
    Plan(plan::Plan),
    /// Take findings in and fix what the rules, or you, allow
    #[command(
        after_help = "The same gates as the server. A plan that needs approval is shown with the command that approves it.\nApproving what you asked for yourself is recorded as self-approval, and refused where the rule wants\nanother person.\n\nExamples:\n  stanch apply findings.json\n  stanch apply findings.json --approve 3f1c0a9be27d"
    )]
    Apply(apply::Apply),
    /// Approve a waiting plan
    #[command(after_help = "Examples:\n  stanch approve 0198c0de-1f2a --plan 3f1c0a9be27d")]
    Approve(answer::Approve),
    /// Decline a waiting plan
    #[command(after_help = "Examples:\n  stanch reject 0198c0de-1f2a --why 'serves our public web site'")]
    Reject(answer::Reject),
    /// Put a fix back; it is shown, guarded, recorded and proven like a fix
    #[command(
        after_help = "Afterwards the fix is held off this resource for 30 days.\n\nExamples:\n  stanch undo 0198c0de-1f2a --plan\n  stanch undo 0198c0de-1f2a"
    )]
    Undo(answer::Undo),
    /// Have a remediation that ended without a fix planned again
    #[command(after_help = "Examples:\n  stanch reopen 0198c0de-1f2a")]
    Reopen(answer::Reopen),
    /// Agree on a due date: when it passes and the case has not ended, people are told
    #[command(after_help = "Examples:\n  stanch due 0198c0de-1f2a 2026-01-31\n  stanch due 0198c0de-1f2a none")]
    Due(answer::Due),
    /// List remediations, or show one
    #[command(
        subcommand,
        after_help = "Examples:\n  stanch remediations list --state awaiting-approval\n  stanch remediations show 0198c0de-1f2a\n  stanch remediations list --json | jq -r .resource"
    )]
    Remediations(remediations::Remediations),
    /// The library of fixes: list, show, check
    #[command(
        subcommand,
        after_help = "Examples:\n  stanch fixes list\n  stanch fixes show aws-s3-block-public-access\n  stanch fixes check my-fixes/"
    )]
    Fixes(fixes::Fixes),
    /// Check rules
    #[command(subcommand, after_help = "Examples:\n  stanch rules check rules/")]
    Rules(rules::Rules),
    /// The records: verify, export, checkpoint
    #[command(
        subcommand,
        after_help = "Examples:\n  stanch audit verify --checkpoint /mnt/worm/checkpoint-00000042.jsonl\n  stanch audit export --since 2026-01-01 > audit.jsonl\n  stanch audit checkpoint"
    )]
    Audit(audit::Audit),
    /// What could not be taken in and was put aside: list, show, retry, drop
    #[command(
        subcommand,
        after_help = "Examples:\n  stanch parked list\n  stanch parked retry 3f1c0a9be27d\n  stanch parked drop 3f1c0a9be27d --why 'a test message'"
    )]
    Parked(parked::ParkedCommand),
    /// Secure scores of each scope, as Defender for Cloud last exported them
    #[command(after_help = "Examples:\n  stanch scores\n  stanch scores --json | jq 'select(.current < .max)'")]
    Scores,
    /// The kill switch: whether anything may be written to a cloud
    #[command(subcommand, after_help = "Examples:\n  stanch writes off\n  stanch writes status --json")]
    Writes(audit::Writes),
    /// Copy the data folder while others go on using it
    #[command(
        after_help = "The copy is a data folder as it was at one moment. Values that stanch captured under seal open only with `seal.key`,\nwhich is copied too: keep the copy as safe as the original.\n\nExamples:\n  stanch backup /backup/stanch-monday\n  stanch audit verify --data /backup/stanch-monday"
    )]
    Backup(backup::Backup),
    /// Measure what this machine can do
    #[command(
        subcommand,
        after_help = "Examples:\n  stanch bench ingest\n  stanch bench ingest --events 200000 --stored 1000000 --data /var/tmp"
    )]
    Bench(bench::Bench),
    /// Run the server on this machine
    #[command(
        after_help = "Examples:\n  stanch up --demo\n  stanch up --listen 127.0.0.1:8080 --data /var/lib/stanch --rules /etc/stanch/rules"
    )]
    Up(up::Up),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  stanch completions bash > ~/.local/share/bash-completion/completions/stanch")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct SourceArg {
    /// Read every event as this source instead of recognising it
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(recognize::names()))]
    source: Option<String>,
}

impl SourceArg {
    fn name(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

#[derive(Debug, clap::Args)]
struct RulesArg {
    /// Folder with rules (`*.yaml`), or one file [default: STANCH_RULES, else rules that only plan]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

impl RulesArg {
    fn folder(&self) -> Option<&Path> {
        self.rules.as_deref()
    }

    fn into_folder(self) -> Option<PathBuf> {
        self.rules
    }
}

#[derive(Debug, clap::Args)]
struct WaitArg {
    /// How long to wait until it is done and proven, as `30s` or `2m`; what is not done then goes on with `stanch up` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = times::duration)]
    wait: Option<Duration>,
}

impl WaitArg {
    fn get(&self) -> Duration {
        self.wait.unwrap_or(apply::WAIT)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A help text nobody reads, or an error with nowhere to show it, is no reason for another error.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let global = &arguments.global;
    let out = Output::new(global.json, global.quiet);
    let mut settings = Settings::from_env();
    if let Some(data) = &global.data {
        settings.keep_in(data.clone());
    }
    let data_again = global.data.as_ref().map_or_else(String::new, |data| format!(" --data {}", quoted(&data.display().to_string())));
    let context = Context { settings, out, data_again };
    match start(&context, arguments.command) {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Told(code)) => ExitCode::from(code as u8),
        Err(Failure::Said(code, messages)) => {
            errors(&messages);
            ExitCode::from(code as u8)
        }
    }
}

/// For commands: warnings, but not those of a credential chain that tries one door after the other.
const QUIET: &str = "warn,aws_config=error";

fn start(context: &Context, command: Command) -> Result<(), Failure> {
    let filter = if let Command::Up(up) = &command { up.log_level() } else { QUIET };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Code::Outside, format!("cannot start: {e}")))?;
    runtime.block_on(async {
        let usual = log::Usual { filter, format: log::Format::Text, stderr: true };
        let log = log::start(&context.settings, usual).map_err(|message| Failure::new(Code::Input, message))?;
        let ended = run(context, command).await;
        log.end().await;
        ended
    })
}

async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Normalize(arguments) => normalize::run(context, &arguments),
        Command::Plan(arguments) => plan::run(context, &arguments).await,
        Command::Apply(arguments) => apply::run(context, &arguments).await,
        Command::Approve(arguments) => answer::approve(context, &arguments).await,
        Command::Reject(arguments) => answer::reject(context, &arguments).await,
        Command::Undo(arguments) => answer::undo(context, &arguments).await,
        Command::Reopen(arguments) => answer::reopen(context, &arguments).await,
        Command::Due(arguments) => answer::due(context, &arguments).await,
        Command::Remediations(command) => remediations::run(context, &command).await,
        Command::Fixes(command) => fixes::run(context, &command),
        Command::Rules(command) => rules::run(context, &command),
        Command::Audit(audit::Audit::Verify(arguments)) => audit::verify(context, &arguments).await,
        Command::Audit(audit::Audit::Export(arguments)) => export::run(context, &arguments).await,
        Command::Audit(audit::Audit::Checkpoint) => audit::checkpoint(context).await,
        Command::Parked(command) => parked::run(context, &command).await,
        Command::Scores => scores::run(context).await,
        Command::Writes(command) => audit::writes(context, command).await,
        Command::Backup(arguments) => backup::run(context, &arguments),
        Command::Bench(bench::Bench::Ingest(arguments)) => bench::ingest(context, &arguments).await,
        Command::Up(arguments) => up::run(context, arguments).await,
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stanch", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Reads a plan hash or its beginning.
fn plan_hash(text: &str) -> Result<String, String> {
    let hash = text.trim().to_ascii_lowercase();
    if (12..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(hash)
    } else {
        Err("expected 12 to 64 hexadecimal digits, as `stanch plan` shows them".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn hashes_are_read_strictly() {
        assert_eq!(plan_hash("3F1C0A9BE27D").as_deref(), Ok("3f1c0a9be27d"));
        assert!(plan_hash("3f1c").is_err());
        assert!(plan_hash("xyz").is_err());
    }
}
