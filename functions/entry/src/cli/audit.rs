//! `stanch audit verify`, `stanch audit checkpoint`, and `stanch writes`.

use std::path::PathBuf;

use serde_json::json;
use stanch_engine::checkpoint::{Checkpointed, checkpoint as make};
use stanch_store::azure::CHECKPOINTS;
use stanch_store::{AuditReport, Checkpoints, Proof, audit_records};

use super::context::Context;
use super::export::Export;
use super::failure::{Code, Failure};
use super::output::{print, print_json};
use super::text::{clean, plural, time};
use crate::wiring;

/// What chains alone leave open.
const UNPROVEN: [&str; 3] =
    ["that no record was cut at its end", "that no end of a record was written anew with valid hashes", "that no remediation was deleted"];

/// What is wanted of the records.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Audit {
    /// Check every record against its hash chain and against checkpoints, offline
    #[command(
        after_help = "Without a checkpoint it is checked that each record is a whole chain. Only a checkpoint that was kept where\nnobody could rewrite it shows that nothing was cut off, deleted or written anew by one who knows the format.\n\nExamples:\n  stanch audit verify\n  stanch audit verify --checkpoint /mnt/worm/checkpoint-00000042.jsonl"
    )]
    Verify(Verify),
    /// Write the records as OCSF JSON Lines, with plans, approvals, before and after
    #[command(
        after_help = "Each entry has the text that was hashed in `raw_data`, its place and hash in `unmapped.stanch`. Before the entries\nof a remediation comes one line of kind `case` with its plans, approvals and calls.\n\nExamples:\n  stanch audit export > audit.jsonl\n  stanch audit export --since 2026-01-01 --state resolved"
    )]
    Export(Export),
    /// Write a checkpoint now: what the ends of all records are
    #[command(
        after_help = "A server writes one a day. STANCH_CHECKPOINTS names the folder; it proves most where the identity that applies\nfixes cannot rewrite files.\n\nExamples:\n  STANCH_CHECKPOINTS=/mnt/worm stanch audit checkpoint"
    )]
    Checkpoint,
}

/// Arguments of `audit verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Hold the records against this checkpoint and those before it in its folder; may be given more than once
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
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
pub(crate) async fn verify(context: &Context, arguments: &Verify) -> Result<(), Failure> {
    let out = context.out;
    if let Some(file) = arguments.checkpoints.iter().find(|file| !file.is_file()) {
        return Err(Failure::new(Code::Input, format!("there is no checkpoint `{}`", file.display())));
    }
    let checkpoints = if arguments.checkpoints.is_empty() { None } else { Some(Checkpoints::find(&arguments.checkpoints)?) };
    let report = if context.settings.account().is_some() {
        audit_records(context.kept_to_read().await?.store(), checkpoints.as_ref()).await?
    } else {
        let store = context.read_store(&context.kept_data())?;
        checkpoints.map_or_else(|| store.verify_all(), |checkpoints| store.verify_against(&checkpoints))?
    };
    if out.json {
        print_json(&as_json(&report))?;
    } else {
        print(&as_text(&report))?;
    }
    if report.faults.is_empty() { Ok(()) } else { Err(Failure::new(Code::Refused, "records were changed outside stanch")) }
}

fn as_json(report: &AuditReport) -> serde_json::Value {
    let faults: Vec<_> = report.faults.iter().map(|fault| json!({"remediation": fault.remediation, "fault": fault.what})).collect();
    let proof = report.proof.as_ref().map(|proof| {
        json!({
            "first_checkpoint": proof.first,
            "checkpoint": proof.last,
            "at": proof.at,
            "root": proof.root,
            "remediations": proof.count,
            "entries": proof.entries,
            "uncovered_remediations": proof.uncovered,
            "later_entries": proof.later,
        })
    });
    json!({
        "remediations": report.remediations,
        "entries": report.entries,
        "faults": faults,
        "more_faults": report.more_faults,
        "proof": proof,
        "unproven": if report.proof.is_none() { &UNPROVEN[..] } else { &[] },
    })
}

fn as_text(report: &AuditReport) -> String {
    let faults = report.faults.len() as u64 + report.more_faults;
    let mut text = format!("{}, {}: ", remediations(report.remediations), entries(report.entries, "record "));
    text.push_str(&match faults {
        0 => "every record holds\n".to_owned(),
        1 => "1 fault\n".to_owned(),
        _ => format!("{faults} faults\n"),
    });
    for fault in &report.faults {
        let subject = fault.remediation.as_ref().map_or_else(String::new, |id| format!("{id}: "));
        text.push_str(&format!("{}\n", clean(&format!("{subject}{}", fault.what))));
    }
    if report.more_faults > 0 {
        text.push_str(&format!("… and {} more\n", report.more_faults));
    }
    match &report.proof {
        None => text.push_str(&format!("not proven without a checkpoint: {}\n", UNPROVEN.join(",\n  "))),
        Some(proof) if faults == 0 => text.push_str(&proven(proof)),
        Some(_) => {}
    }
    text
}

fn proven(proof: &Proof) -> String {
    let (last, at) = (proof.last, time(proof.at));
    let covered = remediations(proof.count.saturating_sub(proof.uncovered));
    let mut text = format!("proven by checkpoint {last}: all that was recorded until {at} is there unchanged ({covered})\n");
    if proof.uncovered > 0 {
        text.push_str(&format!(
            "not covered: {} of checkpoint {last}, which only checkpoints before {} list; those are missing\n",
            remediations(proof.uncovered),
            proof.first
        ));
    }
    if proof.later > 0 {
        text.push_str(&format!("checked by their chain alone: {} that checkpoint {last} does not cover\n", entries(proof.later, "")));
    }
    text
}

/// So many remediations, in words.
pub(crate) fn remediations(count: u64) -> String {
    format!("{count} remediation{}", plural(usize::try_from(count).unwrap_or(2)))
}

/// So many entries of a kind, in words.
pub(crate) fn entries(count: u64, kind: &str) -> String {
    format!("{count} {kind}entr{}", if count == 1 { "y" } else { "ies" })
}

/// Makes a checkpoint. It only reads the store, so an auditor's identity can make one of their own.
pub(crate) async fn checkpoint(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let kept = context.kept_to_read().await?;
    let folder = match (context.settings.account(), &context.settings.checkpoints) {
        (Some(_), None) => PathBuf::from(CHECKPOINTS),
        _ => context.settings.checkpoint_folder(&kept.data),
    };
    let Checkpointed { written, changed, lost } = make(kept.store(), &*kept.state.vault, wiring::now()).await?;
    match &written {
        Some((name, header)) if out.json => print_json(&json!({"file": folder.join(name), "changed": changed, "header": header}))?,
        Some((name, header)) => {
            let (all, records) = (remediations(header.count), entries(header.entries, "record "));
            let file = clean(&folder.join(name).display().to_string());
            print(&format!(
                "checkpoint {} written to `{file}`: {all}, {records}; {changed} new or longer\nroot {}",
                header.number, header.root
            ))?;
        }
        None if out.json => print_json(&json!({"file": null, "changed": 0, "header": null}))?,
        None => print("nothing is new since the last checkpoint: none was written")?,
    }
    if lost.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = lost.iter().take(20).map(ToString::to_string).collect();
    let message = format!("{} no longer as earlier checkpoints saw them: {}", remediations(lost.len() as u64), ids.join(", "));
    Err(Failure::new(Code::Refused, message).hint("`stanch audit verify --checkpoint FILE` tells what was done to each"))
}

/// Turns the kill switch, or tells how it stands.
pub(crate) async fn writes(context: &Context, command: Writes) -> Result<(), Failure> {
    let out = context.out;
    let kept = match command {
        Writes::Status => context.kept().await?,
        Writes::On | Writes::Off => context.state().await?,
    };
    let store = kept.store();
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
    print(&format!("{}: writes are {what}", clean(&kept.state.place)))
}
