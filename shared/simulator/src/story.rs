//! A run as lines that can be read: when, who, what, and what went wrong on the way.

use stanch_core::finding::Millis;

use crate::clock::{DAY, HOUR, MINUTE, SECOND, START};

/// The lines of a run; nothing is kept unless somebody wants to read it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) wanted: bool,
    pub(crate) lines: Vec<String>,
}

impl Story {
    /// Adds a line.
    pub(crate) fn line(&mut self, at: Millis, who: &str, what: &str) {
        if self.wanted {
            self.lines.push(format!("{}  {who:<12} {what}", since_start(at)));
        }
    }
}

/// Time since the start of the run: `1d 02:03:04.005`.
fn since_start(at: Millis) -> String {
    let passed = at - START;
    let (days, rest) = (passed / DAY, passed % DAY);
    let clock = format!("{:02}:{:02}:{:02}.{:03}", rest / HOUR, rest / MINUTE % 60, rest / SECOND % 60, rest % SECOND);
    if days == 0 { format!("   {clock}") } else { format!("{days:>2}d{clock}") }
}

/// A length of time for people.
pub(crate) fn span(ms: Millis) -> String {
    match ms {
        _ if ms >= 2 * DAY => format!("{} days", ms / DAY),
        _ if ms >= 2 * HOUR => format!("{} h", ms / HOUR),
        _ if ms >= 2 * MINUTE => format!("{} min", ms / MINUTE),
        _ if ms >= 10 * SECOND => format!("{} s", ms / SECOND),
        _ => format!("{ms} ms"),
    }
}
