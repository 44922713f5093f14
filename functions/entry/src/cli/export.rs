//! `stanch audit export`.

use clap::builder::PossibleValuesParser;
use stanch_core::finding::Millis;
use stanch_core::ocsf::{exported_case, exported_entry};
use stanch_core::port::Store;
use stanch_engine::EngineError;

use super::audit::{entries as record_entries, remediations};
use super::context::Context;
use super::failure::{Code, Failure};
use super::output::print_json;
use super::remediations::STATES;

/// Ends of records read at once.
const PAGE: usize = 500;

/// Arguments of `audit export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Only remediations that changed since then, each with its whole record: `2026-01-31` (UTC) or `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Millis>,
    /// Only those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
}

/// Writes every remediation and its record, oldest first.
pub(crate) async fn run(context: &Context, arguments: &Export) -> Result<(), Failure> {
    let store = context.read_store(&context.kept_data())?;
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

/// Reads a date or a time with its zone.
fn instant(text: &str) -> Result<Millis, String> {
    // A time without a zone could be meant in any: it is not taken for its day.
    let midnight = || {
        Some(
            Some(text)
                .filter(|text| text.len() == 10)?
                .parse::<jiff::civil::Date>()
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    };
    let read = text.parse::<jiff::Timestamp>().ok().or_else(midnight);
    read.map(jiff::Timestamp::as_millisecond).ok_or_else(|| format!("`{text}` is no time; expected `2026-01-31` or `2026-01-31T08:00:00Z`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_instants() {
        for (text, expected) in [
            ("2026-01-31", Some(1_769_817_600_000)),
            ("2026-01-31T08:00:00Z", Some(1_769_846_400_000)),
            ("2026-01-31T08:00:00+01:00", Some(1_769_842_800_000)),
            ("2026-01-31T08:00:00", None),
            ("yesterday", None),
            ("2026-02-30", None),
        ] {
            assert_eq!(instant(text).ok(), expected, "{text}");
        }
    }
}
