//! `stanch rules`.

use std::path::{Path, PathBuf};

use stanch_core::diagnostic::Diagnostic;
use stanch_core::expr::nearest;
use stanch_core::rule::{FixRef, RuleError, RuleSet, Step};
use stanch_library::Library;

use super::context::Context;
use super::failure::{Code, Failure};
use super::fixes::report;
use super::text::plural;
use crate::wiring::{self, WiringError};

/// What is wanted of the rules.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Rules {
    /// Check rule files: syntax, conditions, fixes they name
    Check(Check),
}

/// Arguments of `rules check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// A folder with rules (its `*.yaml` files) or one file; default: the rules in use
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Checks.
pub(crate) fn run(context: &Context, command: &Rules) -> Result<(), Failure> {
    let Rules::Check(arguments) = command;
    let folder = arguments.folder.as_deref().or(context.settings.rules.as_deref());
    let rules = match wiring::rules(folder) {
        Ok(rules) => rules,
        Err(WiringError::Rules(mistakes)) => return report(context, &mistakes.iter().map(diagnostic).collect::<Vec<_>>(), ""),
        Err(other) => return Err(other.into()),
    };
    if rules.is_empty() {
        let place = folder.map(Path::display).map(|f| f.to_string()).unwrap_or_default();
        return Err(
            Failure::new(Code::Input, format!("there is no rule in `{place}`")).hint("rules stand in `*.yaml` files of the folder itself")
        );
    }
    let library = wiring::library(&context.settings)?;
    let mut mistakes: Vec<Diagnostic> = rules.check().iter().map(diagnostic).collect();
    mistakes.extend(unknown_fixes(&rules, &library));
    for rule in rules.expired(wiring::now()) {
        let last = rule.expires.map(|day| day.to_string()).unwrap_or_default();
        context.out.note(&format!("note: {}: rule `{}` applies no more: its last day was {last}", rule.file, rule.name));
    }
    report(context, &mistakes, &format!("{} rule{} checked: no mistakes", rules.len(), plural(rules.len())))
}

fn diagnostic(error: &RuleError) -> Diagnostic {
    match error {
        RuleError::Mistake(mistake) => mistake.clone(),
        RuleError::Duplicate { name, first, second } => Diagnostic::of(second, format!("a rule named `{name}` stands already in {first}"))
            .hint("rename one; records and caps refer to rules by name"),
    }
}

fn unknown_fixes(rules: &RuleSet, library: &Library) -> Vec<Diagnostic> {
    let names: Vec<&str> = library.all().filter_map(Result::ok).map(|fix| fix.name.as_str()).collect();
    let mut mistakes = Vec::new();
    for rule in rules.iter() {
        let steps = rule.steps.iter().filter_map(|step| match step {
            Step::Fix(FixRef::Named(name)) => Some(name),
            _ => None,
        });
        for name in steps.chain(&rule.accept_unproven).filter(|name| library.source(name).is_none()) {
            let mistake = Diagnostic::of(&rule.file, format!("rule `{}` names fix `{name}`, which is not in the library", rule.name));
            mistakes.push(match nearest(name, names.iter().copied()) {
                Some(near) => mistake.hint(format!("did you mean `{near}`?")),
                None => mistake.hint("`stanch fixes list` shows all"),
            });
        }
    }
    mistakes
}
