//! The reference pages.

use std::collections::BTreeMap;
use std::fmt::Write;

use stanch_core::cloud::Cloud;
use stanch_core::fix::{Disruption, Fix, UndoClass};
use stanch_core::state::ARROWS;
use stanch_engine::telemetry::{Metric, MetricKind};

use super::settings::Setting;

const CLOUDS: [(Cloud, &str); 3] = [(Cloud::Azure, "Azure"), (Cloud::Aws, "AWS"), (Cloud::Gcp, "Google Cloud")];
const START: &str = "<!-- arrows -->";
const END: &str = "<!-- /arrows -->";

/// What the connectors need to list findings; they ask for it by these names when it is missing.
const LISTING: &str = "
## To look for findings that never arrived

stanch can list what a source holds and take in what no event brought. The identity needs, for each source that is swept:

| source | permission | held by the role | on |
| --- | --- | --- | --- |
| Defender for Cloud | `Microsoft.ResourceGraph/resources/read`, `Microsoft.Security/*/read` | Reader | the subscription |
| Security Hub, both generations | `securityhub:GetFindings` | `AWSSecurityHubReadOnlyAccess` | the account, in each region |
| Security Command Center | `securitycenter.findings.list` | `roles/securitycenter.findingsViewer` | the organization, folder or project |

Resource Graph leaves out what the identity may not read, without a refusal: a sweep that finds nothing in a subscription with
findings means that the role is missing there.
";

/// `docs/fixes.md`: the catalogue.
pub(super) fn fixes(fixes: &[Fix]) -> String {
    let mut page = page("Fixes", "the fixes in `shared/library/fixes`");
    page.push_str("Undo is *exact* (everything is as before), *lossy* or *impossible*. Evidence says how far a fix is proven: ");
    page.push_str("*schema* = every request and answer agrees with the vendor's own description; *emulator* = applied, verified and ");
    page.push_str("undone against it; *live* = run against the real cloud on that date.\n");
    for (cloud, title) in CLOUDS {
        let mine: Vec<&Fix> = fixes.iter().filter(|fix| fix.cloud == cloud).collect();
        if mine.is_empty() {
            continue;
        }
        let _ = write!(page, "\n## {title}\n\n| fix | what it does | undo | disruption |\n| --- | --- | --- | --- |\n");
        for fix in &mine {
            let undo = undo(&fix.undo).0;
            let row = [format!("[`{0}`](#{0})", fix.name), cell(&fix.title), undo.to_owned(), disruption(fix.disruption).to_owned()];
            let _ = writeln!(page, "| {} |", row.join(" | "));
        }
        for fix in mine {
            page.push_str(&section(fix));
        }
    }
    page
}

/// `docs/permissions.md`: every permission and the fixes that need it.
pub(super) fn permissions(fixes: &[Fix]) -> String {
    let mut page = page("Permissions", "the `permissions` of the fixes in `shared/library/fixes`");
    page.push_str("Grant the identity of stanch only what the fixes you use need. Reading findings and writing their status needs more; ");
    page.push_str("see the deployment's roles.\n");
    for (cloud, title) in CLOUDS {
        let mut needed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for fix in fixes.iter().filter(|fix| fix.cloud == cloud) {
            for permission in &fix.permissions {
                needed.entry(permission).or_default().push(format!("`{}`", fix.name));
            }
        }
        if needed.is_empty() {
            continue;
        }
        let _ = write!(page, "\n## {title}\n\n| permission | needed by |\n| --- | --- |\n");
        for (permission, fixes) in needed {
            let _ = writeln!(page, "| `{permission}` | {} |", fixes.join(", "));
        }
    }
    page.push_str(LISTING);
    page
}

/// `docs/settings.md`: the environment variables.
pub(super) fn settings(settings: &[Setting]) -> String {
    let mut page = page("Settings", "`functions/entry/src/settings.rs`");
    page.push_str("All settings are environment variables; an empty one counts as absent.\n\n| variable | what it does |\n| --- | --- |\n");
    for setting in settings {
        let _ = writeln!(page, "| `{}` | {} |", setting.name, cell(&setting.about));
    }
    page
}

/// `docs/metrics.md`: what a program counts and measures.
pub(super) fn metrics(metrics: &[Metric]) -> String {
    let mut page = page("Metrics", "`shared/engine/src/telemetry/metrics.rs`");
    page.push_str("`stanch up` gives them at `GET /metrics` to a Prometheus server on the same machine. A program built with ");
    page.push_str("`--features otlp` also sends counters and histograms to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names; ");
    page.push_str("gauges are read from the store at a scrape. Counts are of one process since it started. No label ever holds an ");
    page.push_str("id, an account or a name that somebody chose.\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(|(name, values)| format!("`{name}`: {values}")).collect();
        let kind = match metric.kind {
            MetricKind::Histogram(bounds) => {
                let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
                format!("histogram, up to {} s", bounds.join(", "))
            }
            other => other.as_str().to_owned(),
        };
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, cell(&labels.join("; ")), cell(metric.about));
    }
    page
}

/// The architecture page with its table of arrows renewed. Without both marks, nothing is put anywhere.
pub(super) fn with_arrows(text: &str) -> Result<String, String> {
    let Some((before, rest)) = text.split_once(START) else { return Err(format!("there is no mark `{START}`")) };
    let Some((_, after)) = rest.split_once(END) else { return Err(format!("`{START}` stands without `{END}`")) };
    let mut table = String::from("| from | event | to |\n| --- | --- | --- |\n");
    for (from, event, to) in ARROWS {
        let _ = writeln!(table, "| {} | {event} | {} |", from.name(), to.name());
    }
    Ok(format!("{before}{START}\n{table}{END}{after}"))
}

fn page(title: &str, from: &str) -> String {
    format!("# {title}\n\nGenerated from {from} by `cargo xtask gen`; do not edit.\n\n")
}

fn section(fix: &Fix) -> String {
    let code = |items: &[String]| items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ");
    let (class, loss) = undo(&fix.undo);
    let mut rows = vec![
        ("resource", code(&fix.resource)),
        ("triggers", code(&fix.remediates)),
        ("undo", if loss.is_empty() { class.to_owned() } else { format!("{class}: {loss}") }),
        ("disruption", disruption(fix.disruption).to_owned()),
        ("permissions", code(&fix.permissions)),
        ("evidence", fix.evidence.to_string()),
        ("source", format!("<{}>", fix.source)),
    ];
    let params = fix.params.iter().map(|(name, param)| format!("`{name}` (default `{}`): {}", param.default, param.about));
    let params = params.collect::<Vec<_>>().join("; ");
    if !params.is_empty() {
        rows.insert(2, ("parameters", params));
    }
    if let Some(note) = &fix.note {
        rows.push(("note", note.clone()));
    }
    let mut out = format!("\n### {}\n\n{}\n\n| | |\n| --- | --- |\n", fix.name, fix.title.trim());
    for (name, value) in rows {
        let _ = writeln!(out, "| {name} | {} |", cell(&value));
    }
    out
}

fn undo(class: &UndoClass) -> (&'static str, &str) {
    match class {
        UndoClass::Exact => ("exact", ""),
        UndoClass::Lossy(loss) => ("lossy", loss),
        UndoClass::Impossible(why) => ("impossible", why),
    }
}

fn disruption(disruption: Disruption) -> &'static str {
    match disruption {
        Disruption::None => "none",
        Disruption::Low => "low",
        Disruption::MayBreakClients => "may break clients",
        Disruption::Outage => "outage",
    }
}

/// Text that stays inside one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_what_stood_between_the_marks_and_nothing_else() {
        let text = "# A\n\n<!-- arrows -->\nold\n<!-- /arrows -->\n\nrest\n";
        let made = with_arrows(text).unwrap();
        assert!(made.starts_with("# A\n\n<!-- arrows -->\n| from | event | to |\n"), "{made}");
        assert!(made.contains("\n| open | allowed | applying |\n"));
        assert!(!made.contains("old"));
        assert!(made.ends_with("|\n<!-- /arrows -->\n\nrest\n"));
        assert_eq!(with_arrows(&made).unwrap(), made, "renewing twice changes nothing");
        assert!(with_arrows("no marks").is_err());
    }

    #[test]
    fn a_cell_cannot_break_its_table() {
        assert_eq!(cell("a | b\n c"), "a \\| b c");
    }
}
