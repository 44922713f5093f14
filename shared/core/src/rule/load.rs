//! From YAML to rules. Every message names file, line and column, and what was expected.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use serde::Deserialize;
use serde_saphyr::{Error, Location, Spanned};

use super::{Approvers, AutomationRule, Condition, FixRef, Limits, Mode, RuleError, ScopePattern, Step, Trigger};
use crate::diagnostic::Diagnostic;
use crate::expr::nearest;

/// A rule file, kept for the messages of conditions that are compiled later.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    rule: Text,
    description: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    on: Vec<Text>,
    #[serde(default)]
    scope: Vec<Text>,
    when: Option<Text>,
    #[serde(default = "order")]
    order: u32,
    mode: Text,
    #[serde(default, rename = "do")]
    steps: Vec<Spanned<RawStep>>,
    #[serde(default)]
    limits: RawLimits,
    expires: Option<Text>,
    #[serde(default)]
    accept_unproven: Vec<String>,
    #[serde(default)]
    approvers: Approvers,
    #[serde(default)]
    backlog: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    fix: Option<String>,
    notify: Option<RawNotify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNotify {
    channel: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    per_hour: Option<u32>,
    per_account: Option<u32>,
}

/// The rules of every file, or the mistakes of every file.
pub(super) fn load(files: impl Iterator<Item = File>) -> Result<Vec<AutomationRule>, Vec<RuleError>> {
    let mut rules = Vec::new();
    let mut mistakes = Vec::new();
    let mut places: HashMap<String, String> = HashMap::new();
    for file in files {
        let file = Arc::new(file);
        let documents: Vec<Raw> = match serde_saphyr::from_multiple(&file.text) {
            Ok(documents) => documents,
            Err(error) => {
                mistakes.push(RuleError::Mistake(file.yaml(&error)));
                continue;
            }
        };
        for raw in documents {
            let place = format!("{}:{}", file.name, raw.rule.defined.line());
            if let Some(first) = places.get(&raw.rule.value) {
                let (name, first) = (raw.rule.value.clone(), first.clone());
                mistakes.push(RuleError::Duplicate { name, first, second: place });
            } else {
                places.insert(raw.rule.value.clone(), place);
            }
            let mut reader = Reader { file: &file, mistakes: &mut mistakes };
            rules.extend(reader.rule(raw));
        }
    }
    if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
}

struct Reader<'r> {
    file: &'r Arc<File>,
    mistakes: &'r mut Vec<RuleError>,
}

impl Reader<'_> {
    /// `None` when there was a mistake.
    fn rule(&mut self, raw: Raw) -> Option<AutomationRule> {
        let before = self.mistakes.len();
        let name = raw.rule.value.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            self.mistake(raw.rule.defined, format!("`{name}` is no rule name"), "use letters, digits, `-`, `_` and `.`");
        }
        let on = raw.on.iter().filter_map(|text| self.trigger(text)).collect();
        let scope: Vec<ScopePattern> = raw.scope.iter().filter_map(|text| self.scope(text)).collect();
        let steps: Vec<Step> = raw.steps.into_iter().filter_map(|step| self.step(step)).collect();
        let mode = self.mode(&raw.mode);
        let expires = raw.expires.as_ref().and_then(|text| self.date(text));
        if self.mistakes.len() == before {
            if mode.writes_unasked() && scope.is_empty() {
                let message = format!("mode `{mode}` writes without asking, and the rule has no `scope`");
                self.mistake(raw.mode.defined, message, "name the accounts, or write `scope: ['*']` for everywhere");
            }
            if mode != Mode::Record && !steps.iter().any(|step| matches!(step, Step::Fix(_))) {
                let message = format!("mode `{mode}` needs a fix, and `do` names none");
                self.mistake(raw.mode.defined, message, "add `- fix: recommended` under `do`, or use mode `record`");
            }
        }
        let limits = Limits { per_hour: raw.limits.per_hour.unwrap_or(Limits::default().per_hour), per_account: raw.limits.per_account };
        let when = raw.when.map(|text| Condition {
            file: Arc::clone(self.file),
            start: first_byte(text.defined),
            source: text.value,
            compiled: OnceLock::new(),
        });
        (self.mistakes.len() == before).then(|| AutomationRule {
            name: raw.rule.value,
            description: raw.description,
            enabled: raw.enabled,
            on,
            scope,
            when,
            order: raw.order,
            mode,
            steps,
            limits,
            expires,
            accept_unproven: raw.accept_unproven,
            approvers: raw.approvers,
            backlog: raw.backlog,
            file: self.file.name.clone(),
        })
    }

    fn trigger(&mut self, text: &Text) -> Option<Trigger> {
        let found = Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == text.value);
        if found.is_none() {
            let names = Trigger::ALL.map(Trigger::as_str);
            self.mistake(text.defined, format!("`{}` is no kind of finding", text.value), &one_of(&text.value, &names));
        }
        found
    }

    fn scope(&mut self, text: &Text) -> Option<ScopePattern> {
        let found = ScopePattern::parse(&text.value);
        if found.is_none() {
            let hint = "write `*`, `azure/subscriptions/<id>`, `aws/<account>` or `gcp/projects/<id>`; an id may hold `*`";
            self.mistake(text.defined, format!("`{}` is no scope", text.value), hint);
        }
        found
    }

    fn step(&mut self, step: Spanned<RawStep>) -> Option<Step> {
        match (step.value.fix, step.value.notify) {
            (Some(fix), None) if !fix.trim().is_empty() => Some(Step::Fix(FixRef::from(fix))),
            (None, Some(notify)) => Some(Step::Notify { channel: notify.channel }),
            _ => {
                let hint = "write `- fix: recommended`, `- fix: <name>` or `- notify: {channel: <name>}`";
                self.mistake(step.defined, "a step is one fix or one notification".to_owned(), hint);
                None
            }
        }
    }

    fn mode(&mut self, text: &Text) -> Mode {
        Mode::parse(&text.value).unwrap_or_else(|| {
            let names = ["record", "plan", "approve", "auto"];
            self.mistake(text.defined, format!("`{}` is no mode", text.value), &one_of(&text.value, &names));
            Mode::Record
        })
    }

    fn date(&mut self, text: &Text) -> Option<Date> {
        let date = text.value.parse::<Date>().ok().filter(|_| text.value.len() == 10);
        if date.is_none() {
            self.mistake(text.defined, format!("`{}` is no date", text.value), "write the last day it applies, as in `2027-03-31`");
        }
        date
    }

    fn mistake(&mut self, place: Location, message: String, hint: &str) {
        let (line, column) = (place.line() as usize, place.column() as usize);
        let diagnostic = Diagnostic::at(&self.file.name, &self.file.text, line, column, message);
        self.mistakes.push(RuleError::Mistake(diagnostic.hint(hint)));
    }
}

impl File {
    /// A YAML error; a misspelt key comes with the nearest known one.
    fn yaml(&self, error: &Error) -> Diagnostic {
        let mut diagnostic = Diagnostic::yaml(&self.name, &self.text, error);
        match error.without_snippet() {
            Error::SerdeUnknownField { field, expected, .. } => {
                diagnostic.message = format!("unknown key `{field}`");
                diagnostic.hint(one_of(field, expected))
            }
            Error::SerdeMissingField { field, .. } => {
                diagnostic.message = format!("the key `{field}` is missing");
                diagnostic.hint(if *field == "rule" { "a rule begins with its name, as in `rule: close-public-buckets`" } else { "add it" })
            }
            Error::DuplicateMappingKey { key, .. } => {
                diagnostic.message = format!("the key `{}` stands twice", key.as_deref().unwrap_or("?"));
                diagnostic.hint("remove one; two rules in one file are divided by a line `---`")
            }
            Error::Unexpected { expected, .. } if expected.contains("sequence") => {
                "expected a list".clone_into(&mut diagnostic.message);
                diagnostic.hint("write it in brackets, as in `[a, b]`")
            }
            _ => diagnostic,
        }
    }

    /// The byte of the file that `offset` of a YAML string stands at. The string was unquoted, unindented and folded on its way
    /// here, so its characters are matched with the file's one by one, white space with white space.
    pub(super) fn locate(&self, start: usize, string: &str, offset: usize) -> usize {
        let raw = self.text.get(start..).unwrap_or_default();
        let (before, after) = string.split_at_checked(offset).unwrap_or((string, ""));
        let mut at = 0;
        for c in before.chars().chain(after.chars().next()) {
            let rest = raw.get(at..).unwrap_or_default();
            if c.is_whitespace() {
                at += rest.len() - rest.trim_start().len();
            } else if let Some(found) = rest.find(c) {
                at += found + c.len_utf8();
            } else {
                return start;
            }
        }
        // The last character matched is the one that stands there.
        let width = after.chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
        start + at - width
    }

    /// 1-based line and column (in characters) of a byte.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or_default();
        (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
    }
}

/// The byte a YAML node begins at.
fn first_byte(place: Location) -> usize {
    place.span().byte_offset().and_then(|at| usize::try_from(at).ok()).unwrap_or_default()
}

fn one_of(wanted: &str, names: &[&'static str]) -> String {
    match nearest(wanted, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of {}", names.join(", ")),
    }
}

fn yes() -> bool {
    true
}

fn order() -> u32 {
    100
}
