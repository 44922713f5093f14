//! `stanch fixes`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use stanch_core::diagnostic::Diagnostic;
use stanch_core::fix::Fix;
use stanch_library::{CallCheck, Library, check, fix_files};

use super::context::Context;
use super::failure::{Code, Failure, Said};
use super::output::{print, print_json};
use super::show::{Page, disruption_text, undo_text};
use super::text::plural;
use crate::wiring;

/// What is wanted of the library.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Fixes {
    /// Every fix, one line each (--json: one JSON object a line)
    List,
    /// One fix: what it remediates, its permissions, how well it can be put back
    Show(Show),
    /// Check fix files: syntax, expressions, calls and their members, permissions
    Check(Check),
}

/// Arguments of `fixes show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The fix
    name: String,
    /// Print the fix file itself
    #[arg(long)]
    yaml: bool,
}

/// Arguments of `fixes check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// A folder with fixes (every `fix.yaml` below it) or one file; default: the library itself
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Lists, shows or checks.
pub(crate) fn run(context: &Context, command: &Fixes) -> Result<(), Failure> {
    match command {
        Fixes::List => list(context),
        Fixes::Show(arguments) => show(context, arguments),
        Fixes::Check(arguments) => checked(context, arguments.folder.as_deref()),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let library = wiring::library(&context.settings)?;
    let fixes: Vec<&Fix> = library.all().collect::<Result<_, _>>()?;
    if out.json {
        return fixes.iter().try_for_each(|fix| print_json(&as_json(fix)));
    }
    let width = fixes.iter().map(|fix| fix.name.len()).max().unwrap_or_default();
    let mut page = Page::new(out.colour);
    for fix in fixes {
        page.row(&format!("{:<width$}  {}", fix.name, fix.title));
        page.row(&format!("{:<width$}  proven by {}", "", fix.evidence));
    }
    print(&page.finish())
}

fn show(context: &Context, arguments: &Show) -> Result<(), Failure> {
    let out = context.out;
    let library = wiring::library(&context.settings)?;
    let fix = library.fix(&arguments.name)?;
    if arguments.yaml {
        return print(library.source(&arguments.name).map_or("", |(_, text)| text));
    }
    if out.json {
        return print_json(&as_json(fix));
    }
    let mut page = Page::new(out.colour);
    page.title(&fix.title);
    page.field(1, "fix", &fix.name);
    page.field(1, "file", library.source(&arguments.name).map_or("", |(file, _)| file));
    if let Some(control) = &fix.control {
        page.field(1, "control", control);
    }
    page.field(1, "remediates", &fix.remediates.join(", "));
    page.field(1, "resource", &fix.resource.join(", "));
    page.field(1, "undo", &undo_text(&fix.undo));
    page.field(1, "disruption", disruption_text(fix.disruption));
    page.field(1, "proven by", &fix.evidence.to_string());
    page.field(1, "permissions", &fix.permissions.join(", "));
    for (name, param) in &fix.params {
        page.field(1, "parameter", &format!("{name} = {}: {}", param.default, param.about));
    }
    if let Some(note) = &fix.note {
        page.field(1, "note", note);
    }
    page.field(1, "source", &fix.source);
    print(&page.finish())
}

fn as_json(fix: &Fix) -> Value {
    let params: Map<String, Value> =
        fix.params.iter().map(|(name, p)| (name.clone(), json!({"about": p.about, "default": p.default}))).collect();
    json!({
        "fix": fix.name, "title": fix.title, "control": fix.control, "remediates": fix.remediates, "cloud": fix.cloud,
        "resource": fix.resource, "activity": fix.activity, "undo": fix.undo, "disruption": fix.disruption,
        "permissions": fix.permissions, "params": params, "note": fix.note, "source": fix.source, "digest": fix.digest,
        "evidence": fix.evidence,
    })
}

fn checked(context: &Context, folder: Option<&Path>) -> Result<(), Failure> {
    let (count, mistakes) = match folder {
        Some(folder) => check_folder(folder)?,
        None => check_library(&wiring::library(&context.settings)?)?,
    };
    report(context, &mistakes, &format!("{count} fix{} checked: no mistakes", if count == 1 { "" } else { "es" }))
}

/// How many fix files a folder has, and what is wrong with them.
fn check_folder(folder: &Path) -> Result<(usize, Vec<Diagnostic>), Failure> {
    let files = fix_files(folder)?;
    if files.is_empty() {
        let failure = Failure::new(Code::Input, format!("there is no `fix.yaml` below `{}`", folder.display()));
        return Err(failure.hint("a fix stands in a folder of its own name, as `azure-storage-disallow-public-blob/fix.yaml`"));
    }
    let mut mistakes = Vec::new();
    for file in &files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|e| Failure::new(Code::Input, format!("cannot read `{name}`: {e}")))?;
        mistakes.extend(mistakes_of(&name, &text));
    }
    // A name may stand once, also beside what ships.
    if mistakes.is_empty()
        && let Err(error) = Library::builtin()?.add_folder(folder)
    {
        return Err(Failure::of(Code::Refused, &error));
    }
    Ok((files.len(), mistakes))
}

fn check_library(library: &Library) -> Result<(usize, Vec<Diagnostic>), Failure> {
    let mut mistakes = Vec::new();
    let mut count = 0;
    for fix in library.all() {
        let (file, text) = library.source(&fix?.name).unwrap_or_default();
        mistakes.extend(mistakes_of(file, text));
        count += 1;
    }
    Ok((count, mistakes))
}

fn mistakes_of(file: &str, text: &str) -> Vec<Diagnostic> {
    match Fix::parse(file, text) {
        Ok(fix) => check(file, &fix, &AwsCalls),
        Err(mistakes) => mistakes,
    }
}

/// Says what is wrong with files people write; nothing wrong is one line.
pub(crate) fn report(context: &Context, mistakes: &[Diagnostic], good: &str) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        for m in mistakes {
            print_json(&json!({"file": m.file, "line": m.line, "column": m.column, "message": m.message, "hint": m.hint}))?;
        }
    }
    if mistakes.is_empty() {
        out.note(good);
        return Ok(());
    }
    if out.json {
        return Err(Failure::Told(Code::Refused));
    }
    let mut messages: Vec<Said> = mistakes.iter().map(|m| Said::new(m.to_string())).collect();
    if messages.len() > 1 {
        messages.push(Said::new(format!("{} mistake{}", messages.len(), plural(messages.len()))));
    }
    Err(Failure::Said(Code::Refused, messages))
}

/// Judges AWS operations by the service models this program carries.
struct AwsCalls;

impl CallCheck for AwsCalls {
    /// Only the names are known, so each member stands for itself: what a value must be like is not judged.
    fn faults(&self, service: &str, operation: &str, members: &[String]) -> Vec<String> {
        let input: Map<String, Value> = members.iter().map(|name| (name.clone(), Value::Null)).collect();
        let faults = stanch_aws::check_input(service, operation, &input).err().unwrap_or_default();
        if !stanch_aws::operation_exists(service, operation) {
            return faults;
        }
        faults.into_iter().filter(|fault| fault.starts_with("unknown member ") || fault.starts_with("required member ")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_judged_by_operation_and_member_names_alone() {
        let faults = |operation: &str, members: &[&str]| {
            AwsCalls.faults("s3", operation, &members.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(faults("GetPublicAccessBlock", &["Bucket"]), Vec::<String>::new());
        assert_eq!(faults("GetPublicAccessBlock", &["Buckett", "Bucket"]), ["unknown member `Buckett`, did you mean `Bucket`?"]);
        assert_eq!(faults("GetPublicAccessBlock", &[]), ["required member `Bucket` is missing"]);
        assert_eq!(faults("GetPublicAccesBlock", &["Bucket"]).len(), 1);
    }
}
