//! `stanch plan`.

use std::sync::Arc;

use serde_json::{Value, json};
use stanch_engine::{Engine, Preview, PreviewOutcome};
use stanch_store::SqliteStore;

use super::context::Context;
use super::failure::{Code, Failure, Said, chain, code_of};
use super::input::Document;
use super::output::{print, print_json};
use super::show::{Page, left_alone};
use crate::wiring;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// A file with findings (one JSON value, an array, or JSON Lines); `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    source: super::SourceArg,
    #[command(flatten)]
    rules: super::RulesArg,
    /// Plan against the demo's simulated clouds instead of real ones
    #[arg(long)]
    sandbox: bool,
}

/// Shows decision, plan and difference of every finding. Writes nothing anywhere.
pub(crate) async fn run(context: &Context, arguments: &Plan) -> Result<(), Failure> {
    let out = context.out;
    if !arguments.sandbox {
        context
            .refuse_demo_data(&context.data())
            .map_err(|failure| failure.hint("`--sandbox` plans against the simulated clouds; `--data DIR` names another folder"))?;
    }
    let document = Document::read(&arguments.file)?;
    let reading = document.all_findings(arguments.source.name())?;
    for what in &reading.passed_over {
        out.note(&format!("note: passed over: {what}"));
    }
    for finding in reading.findings.iter().filter(|f| f.resources.is_empty()) {
        out.note(&format!("note: `{}` names no resource: there is nothing to plan on", finding.title));
    }
    let engine = engine(context, arguments).await?;
    let previews = engine.preview(reading.findings).await;
    if previews.is_empty() {
        out.note("nothing to plan");
    }
    if out.json {
        previews.iter().try_for_each(|preview| print_json(&as_json(preview)))?;
    } else {
        print(&shown(&previews, out.colour))?;
    }
    let mut failed = Vec::new();
    let mut worst = Code::Refused;
    for preview in &previews {
        if let PreviewOutcome::Failed(error) = &preview.outcome {
            worst = worst.max(code_of(error));
            let said = Said::new(format!("cannot plan for `{}`: {}", preview.resource, chain(error)));
            failed.push(match error.hint() {
                Some(hint) => said.hint(hint),
                None => said,
            });
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Said(worst, failed)) }
}

async fn engine(context: &Context, arguments: &Plan) -> Result<Engine, Failure> {
    let rules = arguments.rules.folder();
    if arguments.sandbox {
        let (sandbox, sources) = wiring::sandbox();
        let kept = context.in_folder(context.data(), Arc::new(SqliteStore::in_memory()?));
        return context.engine_over(rules, (Arc::new(sandbox), Arc::new(sources)), &kept.state);
    }
    // Holds, caps and the kill switch count where there are any; a folder is not made just to look.
    if context.settings.account().is_some() {
        return context.engine(rules, &context.state().await?.state);
    }
    let data = context.data();
    let store = if data.join("stanch.db").exists() { SqliteStore::open(&data)? } else { SqliteStore::in_memory()? };
    context.engine(rules, &context.in_folder(data, Arc::new(store)).state)
}

fn shown(previews: &[Preview], colour: bool) -> String {
    let mut page = Page::new(colour);
    let mut alone = Vec::new();
    for preview in previews {
        let said = match &preview.outcome {
            PreviewOutcome::Plan { plan, hash, guard } => {
                page.gap();
                head(&mut page, preview);
                page.gap();
                page.plan(plan, hash, Some(guard));
                continue;
            }
            PreviewOutcome::Recorded(why) => {
                alone.push(why.clone());
                continue;
            }
            PreviewOutcome::Failed(_) => continue,
            PreviewOutcome::Gone => "the resource is gone: nothing to do".to_owned(),
            PreviewOutcome::Compliant => "the live state is right already: nothing to do".to_owned(),
            PreviewOutcome::NoFix(why) => why.clone(),
        };
        page.gap();
        head(&mut page, preview);
        page.field(1, "outcome", &said);
    }
    if !alone.is_empty() {
        page.gap();
        page.line(0, &left_alone(&alone));
    }
    page.finish()
}

fn head(page: &mut Page, preview: &Preview) {
    let decision = &preview.decision;
    page.title(&format!("Finding: {}", preview.title));
    page.field(1, "resource", &preview.resource);
    page.field(1, "rule", &format!("{} (mode {})", decision.rule.as_deref().unwrap_or("none"), decision.mode));
    for reason in &decision.reasons {
        page.field(1, "because", reason);
    }
    for skipped in &decision.skipped {
        page.field(1, "skipped", &format!("rule `{}`: {}", skipped.rule, skipped.why));
    }
}

fn as_json(preview: &Preview) -> Value {
    let mut line = json!({"title": preview.title, "resource": preview.resource, "decision": preview.decision});
    let outcome = match &preview.outcome {
        PreviewOutcome::Plan { plan, hash, guard } => json!({"outcome": "plan", "hash": hash, "plan": plan, "guard": guard}),
        PreviewOutcome::Gone => json!({"outcome": "gone"}),
        PreviewOutcome::Compliant => json!({"outcome": "compliant"}),
        PreviewOutcome::Recorded(why) => json!({"outcome": "recorded", "why": why}),
        PreviewOutcome::NoFix(why) => json!({"outcome": "no-fix", "why": why}),
        PreviewOutcome::Failed(error) => json!({"outcome": "failed", "why": chain(error)}),
    };
    if let (Value::Object(line), Value::Object(outcome)) = (&mut line, outcome) {
        line.extend(outcome);
    }
    line
}
