//! `stanch parked`: what could not be taken in, kept until a person decides.

use serde_json::{Value, json};
use stanch_core::port::{Parked, ParkedKind, Store};

use super::RulesArg;
use super::context::Context;
use super::failure::{Code, Failure, code_of};
use super::output::{print, print_json};
use super::text::{clean, clean_lines, plural, tail, time};
use crate::{functions, recognize};

/// Columns for why, in the list.
const WHY: usize = 48;

/// What is wanted of parked things.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ParkedCommand {
    /// One line each, oldest first (--json: one JSON object a line)
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Everything about one, with exactly what came
    Show {
        /// Its id, or at least 6 of its first digits
        id: String,
    },
    /// Have it tried again; it stays parked unless it is taken in
    Retry {
        /// Its id, or at least 6 of its first digits
        id: String,
        #[command(flatten)]
        rules: RulesArg,
    },
    /// Take it out for good
    Drop {
        /// Its id, or at least 6 of its first digits
        id: String,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// Lists, shows, tries again or drops.
pub(crate) async fn run(context: &Context, command: &ParkedCommand) -> Result<(), Failure> {
    let data = context.kept_data();
    let store = context.kept_store(&data)?;
    match command {
        ParkedCommand::List { limit } => list(context, &*store, *limit).await,
        ParkedCommand::Show { id } => show(context, &find(&*store, id).await?),
        ParkedCommand::Drop { id, why } => {
            let parked = find(&*store, id).await?;
            gone(store.unpark(&parked.id).await?, &parked)?;
            tracing::warn!(parked = %parked.id, origin = %parked.origin, by = %context.by(), %why, "parked thing dropped");
            context.out.note(&format!("{} dropped", short(&parked)));
            if context.out.json { print_json(&json!({"dropped": parked.id, "by": context.by(), "why": why})) } else { Ok(()) }
        }
        ParkedCommand::Retry { id, rules } => {
            let parked = find(&*store, id).await?;
            Context::refuse_demo_data(&data)?;
            let engine = context.engine(rules.folder(), store.clone())?;
            if parked.kind == ParkedKind::Message {
                // No reader of events is needed for it.
                let receipt = engine.retry_parked(&parked.id, recognize::recognize).await;
                let receipt = receipt.map_err(|e| Failure::new(code_of(&e), format!("{} stays parked: {e}", short(&parked))))?;
                if context.out.json {
                    print_json(&receipt)?;
                }
                context.out.note(&format!("{} taken in", short(&parked)));
                return Ok(());
            }
            let function = functions::find(&parked.origin).ok_or_else(|| {
                let message = format!("{} came to `{}`, which is no function of this stanch", short(&parked), parked.origin);
                Failure::new(Code::Refused, message).hint(format!("the functions are {}", functions::names()))
            })?;
            let answer = function.run_raw(&engine, parked.body.clone()).await?;
            if context.out.json {
                print_json(&answer.body)?;
            }
            if answer.refused {
                let why =
                    answer.body.get("refused").and_then(Value::as_array).and_then(|all| all.first()?.as_str()).unwrap_or("it was refused");
                return Err(Failure::new(Code::Refused, format!("{} stays parked: {why}", short(&parked))));
            }
            // Somebody who was quicker took in the same thing, which is as good.
            store.unpark(&parked.id).await?;
            context.out.note(&format!("{} taken in", short(&parked)));
            Ok(())
        }
    }
}

async fn list(context: &Context, store: &dyn Store, limit: usize) -> Result<(), Failure> {
    let mut all = store.parked(limit.saturating_add(1)).await?;
    let more = all.len() > limit;
    all.truncate(limit);
    for parked in &all {
        if context.out.json {
            print_json(&json!({
                "id": parked.id, "kind": parked.kind, "origin": parked.origin, "why": parked.why, "at": parked.at, "times": parked.times,
                "bytes": parked.body.len(),
            }))?;
        } else {
            let (id, why) = (parked.id.get(..12).unwrap_or(&parked.id), clean(&parked.why));
            let why: String = if why.chars().count() > WHY { why.chars().take(WHY - 1).chain(['…']).collect() } else { why };
            print(&format!("{id}  {}  {:<24}  {why}", time(parked.at), tail(&clean(&parked.origin), 24)))?;
        }
    }
    if more {
        context.out.note(&format!("note: only the oldest {limit} are shown; `--limit N` shows more"));
    }
    Ok(())
}

fn show(context: &Context, parked: &Parked) -> Result<(), Failure> {
    if context.out.json {
        return print_json(parked);
    }
    let lines = [
        ("id", parked.id.clone()),
        ("came to", parked.origin.clone()),
        ("parked", format!("{} time{}, last {}", parked.times, plural(parked.times as usize), time(parked.at))),
        ("why", parked.why.clone()),
    ];
    let head: Vec<String> = lines.iter().map(|(name, value)| format!("{name:<8}  {}", clean(value))).collect();
    print(&format!("{}\n\n{}", head.join("\n"), clean_lines(&parked.body)))
}

/// The parked thing a person means by an id or its beginning.
async fn find(store: &dyn Store, text: &str) -> Result<Parked, Failure> {
    let text = text.trim().to_ascii_lowercase();
    let wrong = |message: String| Failure::new(Code::Input, message).hint("`stanch parked list` shows all");
    if text.len() < 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong(format!("`{text}` is no id of something parked; expected at least 6 hexadecimal digits")));
    }
    let mut found = store.parked(usize::MAX).await?.into_iter().filter(|parked| parked.id.starts_with(&text));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(wrong(format!("nothing is parked under `{text}`"))),
        (Some(_), Some(_)) => Err(wrong(format!("`{text}` is the beginning of more than one id"))),
    }
}

fn gone(taken: bool, parked: &Parked) -> Result<(), Failure> {
    if taken { Ok(()) } else { Err(Failure::new(Code::Refused, format!("{} was taken out by somebody else meanwhile", short(parked)))) }
}

fn short(parked: &Parked) -> String {
    let word = match parked.kind {
        ParkedKind::Event => "event",
        ParkedKind::Message => "message",
    };
    format!("{word} {}", parked.id.get(..12).unwrap_or(&parked.id))
}
