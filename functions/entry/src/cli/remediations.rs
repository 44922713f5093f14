//! `stanch remediations`.

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::port::{Filter, Store};

use super::context::{Context, find};
use super::failure::Failure;
use super::output::{print, print_json};
use super::show::Page;
use super::show_case::list as listing;

/// Every state, by the name `--state` takes.
pub(crate) const STATES: [&str; 16] = [
    "open",
    "planned",
    "awaiting-approval",
    "deferred",
    "applying",
    "verifying",
    "contained",
    "still-reported",
    "undoing",
    "rolled-back",
    "resolved",
    "exempt",
    "rejected",
    "refused",
    "failed",
    "stuck",
];

/// What is wanted of the remediations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Remediations {
    /// One line each, newest first (--json: one JSON object a line)
    List(List),
    /// Everything about one: state, times, reporters, plan, attempts, record
    Show(Show),
}

/// Arguments of `remediations list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Only those in this cloud
    #[arg(long, value_parser = PossibleValuesParser::new(["azure", "aws", "gcp"]))]
    cloud: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

/// Arguments of `remediations show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
}

/// Lists or shows.
pub(crate) async fn run(context: &Context, command: &Remediations) -> Result<(), Failure> {
    let kept = context.kept().await?;
    match command {
        Remediations::List(arguments) => list(context, kept.store(), arguments).await,
        Remediations::Show(arguments) => show(context, kept.store(), &arguments.remediation).await,
    }
}

async fn list(context: &Context, store: &dyn Store, arguments: &List) -> Result<(), Failure> {
    let out = context.out;
    let cloud = arguments.cloud.as_deref().and_then(Cloud::parse);
    // One more than is shown tells whether there are more.
    let filter = Filter { state: arguments.state.clone(), cloud, limit: Some(arguments.limit.saturating_add(1)) };
    let mut rows = store.list(&filter).await?;
    let more = rows.len() > arguments.limit;
    rows.truncate(arguments.limit);
    if out.json {
        rows.iter().try_for_each(print_json)?;
    } else {
        print(&listing(&rows))?;
    }
    if more {
        out.note(&format!("note: only the newest {} are shown; `--limit N` shows more", arguments.limit));
    }
    Ok(())
}

async fn show(context: &Context, store: &dyn Store, text: &str) -> Result<(), Failure> {
    let out = context.out;
    let id = find(store, text).await?;
    let case = store.load(id).await?.ok_or(stanch_engine::EngineError::Unknown(id))?;
    let record = store.record(id).await?;
    if out.json {
        let entries: Vec<Value> = record
            .iter()
            .map(|entry| {
                let event = serde_json::from_str(&entry.body).unwrap_or_else(|_| Value::from(entry.body.clone()));
                json!({"sequence": entry.sequence, "hash": entry.hash, "event": event})
            })
            .collect();
        return print_json(&json!({"remediation": case, "record": entries}));
    }
    let mut page = Page::new(out.colour);
    page.case(&case, &record);
    print(&page.finish())
}

#[cfg(test)]
mod tests {
    use super::STATES;
    use stanch_core::state::ARROWS;

    #[test]
    fn every_state_can_be_filtered_by() {
        for (from, _, to) in ARROWS {
            for node in [from, to] {
                assert!(STATES.contains(&node.name()), "{}", node.name());
            }
        }
    }
}
