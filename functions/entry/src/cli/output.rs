//! Data to standard output, messages to standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::failure::{Code, Failure, Said};
use super::text::clean_lines;

/// How many errors of one run are shown in full.
const SHOWN_ERRORS: usize = 20;

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Machine-readable output was asked for.
    pub(crate) json: bool,
    /// Progress and notes are left out.
    pub(crate) quiet: bool,
    /// Whether standard output takes colour.
    pub(crate) colour: bool,
}

impl Output {
    /// Standard output takes colour when it is a terminal and `NO_COLOR` is unset.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Output { json, quiet, colour: io::stdout().is_terminal() && crate::settings::named("NO_COLOR").is_none() }
    }

    /// A message that is not data; `--quiet` leaves it out.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            say(&clean_lines(text));
        }
    }
}

/// Writes data; a missing line feed at its end is added.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush()).map_err(|e| lost(&e))
}

/// Writes one JSON value on a line of its own.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|e| Failure::of(Code::Outside, &e))?;
    print(&line)
}

/// Errors, each with its hint after a blank line; the first of very many.
pub(crate) fn errors(all: &[Said]) {
    let shown: Vec<&Said> = all.iter().take(SHOWN_ERRORS).collect();
    for (at, said) in shown.iter().enumerate() {
        say(&format!("error: {}", clean_lines(&said.message)));
        let next = shown.get(at + 1);
        // Neighbours with one and the same hint share it.
        if let Some(hint) = said.hint.as_ref().filter(|hint| next.is_none_or(|next| next.hint.as_ref() != Some(*hint))) {
            say(&format!("\nhint: {}{}", clean_lines(hint), if next.is_some() { "\n" } else { "" }));
        }
    }
    if let Some(more) = all.len().checked_sub(SHOWN_ERRORS).filter(|more| *more > 0) {
        say(&format!("error: … and {more} more"));
    }
}

/// Nobody to tell is no reason to stop.
fn say(text: &str) {
    let mut err = io::stderr().lock();
    drop(writeln!(err, "{text}"));
}

fn lost(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        Failure::Closed
    } else {
        Failure::new(Code::Outside, format!("cannot write to standard output: {error}"))
    }
}
