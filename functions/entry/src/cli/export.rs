//! `stanch audit export`.

use clap::builder::PossibleValuesParser;
use stanch_core::finding::Millis;
use stanch_core::ocsf::{exported_case, exported_entry};
use stanch_engine::EngineError;

use super::audit::{entries as record_entries, remediations};
use super::context::Context;
use super::failure::{Code, Failure};
use super::output::print_json;
use super::remediations::STATES;
use crate::times;

/// Ends of records read at once.
const PAGE: usize = 500;

/// Arguments of `audit export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Only remediations that changed since then, each with its whole record: `2026-01-31` (UTC) or `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = times::instant)]
    since: Option<Millis>,
    /// Only those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
}

/// Writes every remediation and its record, oldest first.
pub(crate) async fn run(context: &Context, arguments: &Export) -> Result<(), Failure> {
    let kept = context.kept_to_read().await?;
    let store = kept.store();
    let (mut cases, mut entries) = (0_u64, 0_u64);
    let mut after = None;
    loop {
        let page = store.heads(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for head in page.iter().filter(|head| arguments.since.is_none_or(|since| head.updated >= since)) {
            let case = store.load(head.id).await?.ok_or(EngineError::Unknown(head.id))?;
            if arguments.state.as_deref().is_some_and(|state| state != case.state.name()) {
                continue;
            }
            // Entries that a server adds meanwhile are not of the case as it was read.
            let mut record = store.record(head.id).await?;
            record.truncate(usize::try_from(case.chain.length).unwrap_or(usize::MAX));
            print_json(&exported_case(&case, head.updated).map_err(|e| Failure::of(Code::Outside, &e))?)?;
            record.iter().try_for_each(|entry| print_json(&exported_entry(head.id, entry)))?;
            cases += 1;
            entries += record.len() as u64;
        }
    }
    context.out.note(&format!("{}, {}", remediations(cases), record_entries(entries, "record ")));
    Ok(())
}
