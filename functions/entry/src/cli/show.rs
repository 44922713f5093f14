//! Plans as people read them.

use std::fmt::Write as _;

use serde_json::Value;
use stanch_core::api::ApiCall;
use stanch_core::fix::{Disruption, UndoClass};
use stanch_core::guard::{GuardReport, Verdict};
use stanch_core::plan::{Change, Plan, PlanKind, fields};

use super::text::{WIDTH, clean, clean_lines, duration, plural, veil, wrap};

/// Columns a field's name takes.
const LABEL: usize = 12;

/// A text that grows line by line.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Tone {
    Bold,
    Red,
    Green,
    Yellow,
}

impl Page {
    /// An empty page. Colour adds nothing that the text does not say.
    pub(crate) fn new(colour: bool) -> Self {
        Page { text: String::new(), colour }
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// A headline.
    pub(crate) fn title(&mut self, text: &str) {
        let lines = wrap(&clean(text), "", "");
        self.toned(Tone::Bold, &lines);
    }

    /// A line at a depth of two blanks each; broken where it is too long.
    pub(crate) fn line(&mut self, depth: usize, text: &str) {
        let lead = "  ".repeat(depth);
        let lines = wrap(&clean_lines(text), &lead, &format!("{lead}  "));
        self.push(&lines);
    }

    /// A row of a table, never broken.
    pub(crate) fn row(&mut self, text: &str) {
        self.push(&clean(text));
    }

    /// A named value at a depth.
    pub(crate) fn field(&mut self, depth: usize, name: &str, value: &str) {
        self.lead(&format!("{}{name:<LABEL$}", "  ".repeat(depth)), value);
    }

    /// A text after its lead; further lines stand under the first.
    pub(crate) fn lead(&mut self, lead: &str, text: &str) {
        let lead = clean(lead);
        let rest = " ".repeat(lead.chars().count());
        self.push(&wrap(&clean_lines(text), &lead, &rest));
    }

    /// An empty line, unless the page is empty or ends with one.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A plan: what it is about, each change field by field, how it can be put back, what stands against it, its hash.
    pub(crate) fn plan(&mut self, plan: &Plan, hash: &str, guard: Option<&GuardReport>) {
        match &plan.kind {
            PlanKind::Fix => self.title(&plan.title),
            PlanKind::Undo(of) => self.title(&format!("Put back: {} (plan {})", plan.title, of.get(..12).unwrap_or(of))),
        }
        self.field(1, "fix", &plan.fix);
        self.field(1, "proven by", &plan.evidence.to_string());
        self.field(1, "resource", plan.resource.as_str());
        let region = plan.region.as_ref().map(|r| format!(", {r}")).unwrap_or_default();
        self.field(1, "account", &format!("{} {}{region}", plan.cloud, plan.account));
        for (name, value) in &plan.params {
            self.field(1, "parameter", &format!("{name} = {value}"));
        }
        if plan.kind == PlanKind::Fix {
            self.field(1, "undo", &undo_text(&plan.undo));
        }
        self.field(1, "disruption", disruption_text(plan.disruption));
        if let Some(life) = plan.expires_after_ms {
            self.field(1, "released", &format!("{} after it is proven, when the source no longer reports it", duration(life)));
        }
        for (at, change) in (1..).zip(&plan.changes) {
            self.change(at, plan.changes.len(), change);
        }
        self.gap();
        if let Some(guard) = guard {
            self.guards(guard);
        }
        self.field(1, "plan hash", hash);
    }

    fn change(&mut self, at: usize, of: usize, change: &Change) {
        self.gap();
        self.line(1, &format!("change {at} of {of}: {}", change.title));
        self.line(2, &change.request.name());
        if let ApiCall::Http(http) = &change.request.call
            && !http.query.is_empty()
        {
            let query: Vec<String> = http.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.line(3, &format!("?{}", query.join("&")));
        }
        for late in &change.late {
            self.line(2, &format!("{} = {}", late.at.trim_start_matches('/').replace('/', "."), late.from.shown()));
        }
        let mut empty = true;
        for set in &change.sets {
            for field in fields(&set.path, &veil(&set.before), &veil(&set.after)) {
                empty = false;
                if let Some(before) = &field.before {
                    self.side(Tone::Red, '-', &field.path, before);
                }
                if let Some(after) = &field.after {
                    self.side(Tone::Green, '+', &field.path, after);
                }
            }
        }
        if empty {
            self.line(2, "changes nothing that is read back");
        }
    }

    /// One side of a field's difference.
    fn side(&mut self, tone: Tone, sign: char, path: &str, value: &Value) {
        let lead = format!("    {sign} ");
        let rest = format!("    {sign}     ");
        let short = format!("{path}: {value}");
        let fits = lead.len() + short.chars().count() <= WIDTH;
        let lines = if fits || !(value.is_object() || value.is_array()) {
            wrap(&clean(&short), &lead, &rest)
        } else {
            let mut lines = format!("{lead}{}:", clean(path));
            for line in serde_json::to_string_pretty(value).unwrap_or_default().lines() {
                let _ = write!(lines, "\n{}", wrap(&clean(line), &format!("{lead}  "), &rest));
            }
            lines
        };
        self.toned(tone, &lines);
    }

    /// What the guards ask or refuse.
    fn guards(&mut self, guard: &GuardReport) {
        let objections: Vec<_> = guard.checks.iter().filter(|c| c.verdict != Verdict::Pass).collect();
        if objections.is_empty() {
            let count = guard.checks.len();
            self.field(1, "guards", &if count == 0 { "none was asked: refused".to_owned() } else { format!("all {count} pass") });
        }
        for check in objections {
            let (word, tone) = if check.verdict == Verdict::Refuse { ("refuses", Tone::Red) } else { ("asks", Tone::Yellow) };
            let lead = format!("  {word:<LABEL$}");
            let lines = wrap(&clean(&format!("{}: {}", check.guard, check.why)), &lead, &" ".repeat(LABEL + 2));
            self.toned(tone, &lines);
        }
    }

    fn push(&mut self, lines: &str) {
        self.text.push_str(lines);
        self.text.push('\n');
    }

    fn toned(&mut self, tone: Tone, lines: &str) {
        if !self.colour {
            return self.push(lines);
        }
        let code = match tone {
            Tone::Bold => 1,
            Tone::Red => 31,
            Tone::Green => 32,
            Tone::Yellow => 33,
        };
        for line in lines.lines() {
            self.push(&format!("\u{1b}[{code}m{line}\u{1b}[0m"));
        }
    }
}

/// How well it can be put back.
pub(crate) fn undo_text(undo: &UndoClass) -> String {
    match undo {
        UndoClass::Exact => "exact: everything as before".to_owned(),
        UndoClass::Lossy(what) => format!("lossy: {what}"),
        UndoClass::Impossible(why) => format!("impossible: {why}"),
    }
}

/// Who may notice.
pub(crate) fn disruption_text(disruption: Disruption) -> &'static str {
    match disruption {
        Disruption::None => "none",
        Disruption::Low => "low: cost or logs at most",
        Disruption::MayBreakClients => "may break clients that relied on the fault",
        Disruption::Outage => "an outage while it runs",
    }
}

/// `3 findings: the check passes (2), no rule matches (1)`.
pub(crate) fn left_alone(reasons: &[String]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for reason in reasons {
        match counted.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => counted.push((reason, 1)),
        }
    }
    let parts: Vec<String> = counted.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
    format!("{} finding{} left alone: {}", reasons.len(), plural(reasons.len()), parts.join("; "))
}

#[cfg(test)]
mod tests;
