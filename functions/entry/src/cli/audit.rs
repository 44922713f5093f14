//! `stanch audit` and `stanch writes`.

use serde_json::json;
use stanch_core::port::Store;

use super::context::Context;
use super::failure::{Code, Failure};
use super::output::{print, print_json};
use super::text::{clean, plural};

/// What is wanted of the records.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Audit {
    /// Check every record against its hash chain, offline
    Verify,
}

/// What is wanted of the kill switch.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(crate) enum Writes {
    /// Allow writes to clouds
    On,
    /// Stop every write to every cloud, also of remediations under way
    Off,
    /// Say whether writes are allowed
    Status,
}

/// Verifies every record.
pub(crate) fn verify(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let report = context.kept_store(&context.kept_data())?.verify_all()?;
    if out.json {
        let faults: Vec<_> = report.faults.iter().map(|(id, fault)| json!({"remediation": id, "fault": fault})).collect();
        print_json(&json!({"remediations": report.remediations, "entries": report.entries, "faults": faults}))?;
    } else {
        let (remediations, entries) = (report.remediations, report.entries);
        let mut text = format!("{remediations} remediation{}, ", plural(usize::try_from(remediations).unwrap_or(2)));
        text.push_str(&format!("{entries} record entr{}: ", if entries == 1 { "y" } else { "ies" }));
        text.push_str(&if report.faults.is_empty() {
            "every record holds\n".to_owned()
        } else {
            format!("{} do not hold\n", report.faults.len())
        });
        for (id, fault) in &report.faults {
            text.push_str(&format!("{id}: {fault}\n"));
        }
        print(&text)?;
    }
    if report.faults.is_empty() { Ok(()) } else { Err(Failure::new(Code::Refused, "records were changed outside stanch")) }
}

/// Turns the kill switch, or tells how it stands.
pub(crate) async fn writes(context: &Context, command: Writes) -> Result<(), Failure> {
    let (out, data) = (context.out, context.data());
    let store = match command {
        Writes::Status => context.kept_store(&data)?,
        Writes::On | Writes::Off => Context::store(&data)?,
    };
    match command {
        Writes::On => store.allow_writes(true).await?,
        Writes::Off => store.allow_writes(false).await?,
        Writes::Status => {}
    }
    let allowed = store.writes_allowed().await?;
    if out.json {
        return print_json(&json!({"writes": allowed}));
    }
    let what = if allowed { "on" } else { "off: stanch reads, plans and records, and changes nothing" };
    print(&format!("data folder `{}`: writes are {what}", clean(&data.display().to_string())))
}
