//! `docs/mappings.md`: where each field of OCSF comes from, and what is no finding. It is made of what the connectors say of
//! themselves, and compared here because only a program with all of them knows.

use std::fmt::Write;
use std::path::PathBuf;

use stanch_core::normalize::Mapping;
use stanch_core::ocsf::VERSION;
use stanch_entry::recognize::{MAPPINGS, no_findings};

#[test]
fn the_reference_says_where_every_field_comes_from() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mappings.md"));
    let made = page();
    if std::env::var_os("STANCH_WRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/mappings.md is stale; renew it with `cargo xtask corpus --write`");
}

fn page() -> String {
    let mut page = String::from("# Mappings\n\nGenerated from the connectors by `cargo xtask corpus --write`; do not edit.\n\n");
    let _ = writeln!(
        page,
        "Every finding becomes OCSF {VERSION}, which the schemas of `ocsf-json-schema` 1.2.0 hold, the newest that validators carry. \
         Names in payloads are read in any case; of several paths the first that says something counts. What is not in the payload \
         stays absent, and what has no field of its own stays in `raw_data`.\n"
    );
    MAPPINGS.into_iter().flatten().for_each(|mapping| shape(&mut page, mapping));
    page.push_str(
        "## What is no finding\n\nDecided by an event's shape alone.\n\n| rule | what it is | shape | why |\n| --- | --- | --- | --- |\n",
    );
    for rule in no_findings() {
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", rule.rule, cell(rule.what), cell(rule.shape), cell(rule.why));
    }
    page
}

fn shape(page: &mut String, mapping: &Mapping) {
    let _ = writeln!(page, "## {}\n\nKnown by {}. Source: {}.\n", mapping.shape, mapping.known_by, mapping.source);
    page.push_str("| OCSF | payload | note |\n| --- | --- | --- |\n");
    for row in mapping.rows {
        let from: Vec<String> = row.from.iter().map(|path| format!("`{path}`")).collect();
        let _ = writeln!(page, "| `{}` | {} | {} |", row.field, from.join(", "), cell(row.note));
    }
    page.push('\n');
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
