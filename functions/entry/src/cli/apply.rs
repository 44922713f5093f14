//! `stanch apply`.

use std::time::Duration;

use stanch_core::finding::Finding;
use stanch_core::port::{Fixes, Store};
use stanch_core::remediation::{Remediation, RemediationKey};
use stanch_core::state::State;
use stanch_engine::{Engine, PreviewOutcome};

use super::context::{Context, quoted};
use super::drive::{OUTBOX, deadline, drive, next_step, show, unfixed};
use super::failure::{Code, Failure, Said};
use super::input::Document;
use crate::wiring;

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// A file with findings (one JSON value, an array, or JSON Lines); `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    source: super::SourceArg,
    #[command(flatten)]
    rules: super::RulesArg,
    /// Approve the plan with this hash, as `stanch plan` shows it (at least 12 characters); only findings with that plan are
    /// touched
    #[arg(long, value_name = "PLAN-HASH", value_parser = super::plan_hash)]
    approve: Option<String>,
    #[command(flatten)]
    wait: super::WaitArg,
}

/// Takes findings in and goes as far as the gates allow.
pub(crate) async fn run(context: &Context, arguments: &Apply) -> Result<(), Failure> {
    let out = context.out;
    context.refuse_demo_data(&context.data())?;
    let document = Document::read(&arguments.file)?;
    let mut reading = document.all_findings(arguments.source.name())?;
    for what in &reading.passed_over {
        out.note(&format!("note: passed over: {what}"));
    }
    let kept = context.state().await?;
    let engine = context.engine(arguments.rules.folder(), &kept.state)?;
    if let Some(hash) = &arguments.approve {
        let library = wiring::library(&context.settings)?;
        reading.findings = with_plan(&engine, kept.store(), &library, reading.findings, hash).await?;
    }
    let by = context.by();
    let mut asked = engine.ask(reading.findings, &by).await?;
    asked.sort_by_key(|case| case.id);
    asked.dedup_by_key(|case| case.id);
    if asked.is_empty() {
        out.note("nothing to do: no open finding names a resource");
    }
    let mut cases = Vec::with_capacity(asked.len());
    for case in asked {
        if let Some(hash) = arguments.approve.as_deref().filter(|_| matches!(case.state, State::Planned | State::AwaitingApproval)) {
            engine.approve(case.id, &by, Some(hash)).await?;
        }
        cases.push(drive(&engine, case.id, deadline(arguments.wait.get()), out).await?);
    }
    engine.send_outbox(OUTBOX).await?;
    let shown = show(out, &cases);
    verdict(&cases, |case| approve_command(case, &by, arguments, context).or_else(|| next_step(case, &context.data_again)))?;
    shown
}

/// The exit code of the worst, and what to do about each that is not fixed.
fn verdict(cases: &[Remediation], next: impl Fn(&Remediation) -> Option<String>) -> Result<(), Failure> {
    let mut worst = None;
    let mut messages = Vec::new();
    for case in cases {
        let Some((code, message)) = unfixed(case) else { continue };
        worst = worst.max(Some(code));
        let said = Said::new(message);
        messages.push(match next(case) {
            Some(hint) => said.hint(hint),
            None => said,
        });
    }
    worst.map_or(Ok(()), |code| Err(Failure::Said(code, messages)))
}

/// The command that approves a waiting plan: this one with its hash, unless the rule wants another person or the findings
/// came from a pipe.
fn approve_command(case: &Remediation, by: &str, arguments: &Apply, context: &Context) -> Option<String> {
    let again = &context.data_again;
    let run = case.fix.as_ref().filter(|_| matches!(case.state, State::Planned | State::AwaitingApproval))?;
    let another = case.decision.as_ref().is_some_and(|d| d.approvers.another_person) && case.asked_by.as_deref() == Some(by);
    if another {
        return Some(format!("another person than {by} answers it, with `stanch approve {} --plan {}{again}`", case.id, run.hash));
    }
    if arguments.file == "-" {
        return None;
    }
    let rules = arguments.rules.folder().map_or_else(String::new, |rules| format!(" --rules {}", quoted(&rules.display().to_string())));
    let source = arguments.source.name().map_or_else(String::new, |source| format!(" --source {source}"));
    Some(format!("stanch apply {} --approve {}{rules}{source}{again}", quoted(&arguments.file), run.hash))
}

/// The findings, and of each the resources, whose plan has this hash: planned on the live state, or taken in under it before.
async fn with_plan<'a>(
    engine: &Engine,
    store: &dyn Store,
    library: &dyn Fixes,
    findings: Vec<Finding<'a>>,
    hash: &str,
) -> Result<Vec<Finding<'a>>, Failure> {
    let mut chosen = Vec::new();
    let mut instead = Vec::new();
    for finding in findings {
        let previews = engine.preview(vec![finding.clone()]).await;
        let control = library.control(&finding);
        let mut kept = Vec::new();
        for (resource, preview) in finding.resources.iter().zip(previews) {
            let known = match store.find(&RemediationKey::of(&finding, resource, control.as_ref().map(|c| c.id.as_str()))).await? {
                Some(id) => store.load(id).await?.and_then(|case| case.fix).is_some_and(|run| run.hash.starts_with(hash)),
                None => false,
            };
            match preview.outcome {
                PreviewOutcome::Plan { hash: now, .. } if now.starts_with(hash) => kept.push(resource.clone()),
                _ if known => kept.push(resource.clone()),
                PreviewOutcome::Plan { hash: now, .. } => instead.push(format!("`{}` now gives plan {now}", resource.uid)),
                PreviewOutcome::Compliant => instead.push(format!("`{}` is right already", resource.uid)),
                PreviewOutcome::Gone => instead.push(format!("`{}` is gone", resource.uid)),
                PreviewOutcome::Recorded(why) | PreviewOutcome::NoFix(why) => instead.push(format!("`{}`: {why}", resource.uid)),
                PreviewOutcome::Failed(error) => return Err(error.into()),
            }
        }
        if !kept.is_empty() {
            chosen.push(Finding { resources: kept, ..finding });
        }
    }
    if chosen.is_empty() {
        let why = if instead.is_empty() { "no finding names a resource".to_owned() } else { instead.join("; ") };
        let message = format!("nothing was applied: the live state does not give plan {hash}: {why}");
        return Err(Failure::new(Code::Refused, message).hint("look at the plan again with `stanch plan`, then approve the hash it shows"));
    }
    Ok(chosen)
}

/// How long a command waits for a remediation to rest, by default.
pub(crate) const WAIT: Duration = Duration::from_mins(2);
