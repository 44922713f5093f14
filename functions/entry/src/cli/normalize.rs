//! `stanch normalize`.

use stanch_core::ocsf::to_line;

use super::context::Context;
use super::failure::{Code, Failure, Said};
use super::input::Document;
use super::output::{errors, print};
use super::text::plural;
use crate::wiring::now;

/// Arguments of `normalize`.
#[derive(Debug, clap::Args)]
pub(crate) struct Normalize {
    /// Files with findings (one JSON value, an array, or JSON Lines); `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    source: super::SourceArg,
}

/// Prints every finding as one line of OCSF. What cannot be read is told, and does not keep the rest back.
pub(crate) fn run(context: &Context, arguments: &Normalize) -> Result<(), Failure> {
    let out = context.out;
    let mut bad = false;
    for file in &arguments.files {
        let document = match Document::read(file) {
            Ok(document) => document,
            Err(Failure::Said(_, messages)) => {
                errors(&messages);
                bad = true;
                continue;
            }
            Err(other) => return Err(other),
        };
        let reading = document.findings(arguments.source.name());
        let received = now();
        let mut lines = String::new();
        for finding in &reading.findings {
            lines.push_str(&to_line(finding, received).map_err(|e| Failure::of(Code::Outside, &e))?);
            lines.push('\n');
        }
        print(&lines)?;
        // A file of nothing but handshakes and scores holds no finding; that is not what was asked for.
        let nothing = reading.findings.is_empty() && reading.faults.is_empty() && !reading.passed_over.is_empty();
        if nothing {
            errors(&reading.passed_over.iter().map(Said::new).collect::<Vec<_>>());
        } else {
            reading.passed_over.iter().for_each(|what| out.note(&format!("note: passed over: {what}")));
        }
        errors(&reading.faults);
        bad |= nothing || !reading.faults.is_empty();
        if reading.faults.is_empty() && !nothing {
            out.note(&format!("{} finding{}", reading.findings.len(), plural(reading.findings.len())));
        }
    }
    if bad { Err(Failure::Told(Code::Input)) } else { Ok(()) }
}
