//! `stanch parked`: what could not be taken in, kept until a person decides.

use std::path::Path;

use serde_json::json;
use stanch_core::port::{Parked, ParkedKind, Store};

use super::RulesArg;
use super::answer::Hand;
use super::context::{Context, Kept};
use super::failure::{Code, Failure, code_of, local_code};
use super::output::{print, print_json};
use super::text::{clean, clean_lines, plural, tail, time};
use crate::parked;

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
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// Lists, shows, tries again or drops.
pub(crate) async fn run(context: &Context, command: &ParkedCommand) -> Result<(), Failure> {
    let kept = context.kept().await?;
    match command {
        ParkedCommand::List { limit } => list(context, kept.store(), *limit).await,
        ParkedCommand::Show { id } => show(context, &find(kept.store(), id).await?),
        ParkedCommand::Drop { id, why } => drop_it(context, &kept, &find(kept.store(), id).await?, why).await,
        ParkedCommand::Retry { id, rules } => retry(context, &kept, &find(kept.store(), id).await?, rules.folder()).await,
    }
}

async fn retry(context: &Context, kept: &Kept, parked: &Parked, rules: Option<&Path>) -> Result<(), Failure> {
    let stays = |code, why: &dyn std::fmt::Display| Failure::new(code, format!("{} stays parked: {why}", short(parked)));
    let receipt = match Hand::new(context, kept, rules)? {
        Hand::Server(server) => {
            let path = format!("/api/parked/{}/retry", parked.id);
            server.post(&path, json!({})).await.map_err(|e| stays(local_code(&e), &e))?
        }
        Hand::Here(engine) => {
            let receipt = parked::retry(&engine, kept.store(), &parked.id).await.map_err(|e| stays(code_of(&e), &e))?;
            serde_json::to_value(receipt).unwrap_or_default()
        }
    };
    if context.out.json {
        print_json(&receipt)?;
    }
    context.out.note(&format!("{} taken in", short(parked)));
    Ok(())
}

async fn drop_it(context: &Context, kept: &Kept, parked: &Parked, why: &str) -> Result<(), Failure> {
    if why.trim().is_empty() {
        return Err(Failure::new(Code::Input, "`--why` is empty; it says why, for the record"));
    }
    match Hand::new(context, kept, None)? {
        Hand::Server(server) => drop(server.post(&format!("/api/parked/{}/drop", parked.id), json!({"why": why})).await?),
        Hand::Here(engine) => engine.drop_parked(&parked.id, &context.by(), why).await?,
    }
    context.out.note(&format!("{} dropped", short(parked)));
    if context.out.json { print_json(&json!({"dropped": parked.id, "why": why})) } else { Ok(()) }
}

async fn list(context: &Context, store: &dyn Store, limit: usize) -> Result<(), Failure> {
    let mut all = store.parked(limit.saturating_add(1)).await?;
    let more = all.len() > limit;
    all.truncate(limit);
    for parked in &all {
        if context.out.json {
            print_json(&parked::summary(parked))?;
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

fn short(parked: &Parked) -> String {
    let word = match parked.kind {
        ParkedKind::Event => "event",
        ParkedKind::Message => "message",
    };
    format!("{word} {}", parked.id.get(..12).unwrap_or(&parked.id))
}
