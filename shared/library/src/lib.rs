//! The content: fixes as data, what triggers each, the rules and protected targets that ship with stanch.

mod check;
pub mod controls;
mod error;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use stanch_core::cloud::Resource;
use stanch_core::control::{Control, MatchedBy};
use stanch_core::diagnostic::Diagnostic;
use stanch_core::finding::{Finding, FindingClass, Source};
use stanch_core::fix::{Evidence, Fix};
use stanch_core::guard::{Protected, glob};
use stanch_core::port::{Fixes, FixesError};
use stanch_core::target::canonical_kind;

pub use check::{CallCheck, check};
pub use error::LibraryError;

static FIXES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/fixes");
const EVIDENCE: &str = include_str!("../evidence.json");
const PROTECTED: &str = include_str!("../protected.yaml");

/// The rules stanch runs with when none are given: they record, they never write.
pub const DEFAULT_RULES: &str = include_str!("../rules/default.yaml");

/// Fixes by name, each compiled on first need.
#[derive(Debug)]
pub struct Library {
    entries: BTreeMap<String, Entry>,
    evidence: BTreeMap<String, Evidence>,
}

#[derive(Debug)]
struct Entry {
    file: String,
    text: String,
    head: Head,
    fix: OnceLock<Result<Fix, Vec<Diagnostic>>>,
}

/// The part of a fix that finding the right one needs; read without compiling anything.
#[derive(Debug, Deserialize)]
struct Head {
    fix: String,
    #[serde(default)]
    control: Option<String>,
    remediates: Vec<String>,
}

impl Library {
    /// The fixes that ship with stanch.
    pub fn builtin() -> Result<Self, LibraryError> {
        let mut library = Library { entries: BTreeMap::new(), evidence: read_evidence()? };
        let mut files = Vec::new();
        collect(&FIXES, &mut files);
        for file in files {
            let name = file.path().display().to_string();
            let text =
                file.contents_utf8().ok_or_else(|| LibraryError::Read { file: name.clone(), reason: "it is no UTF-8 text".into() })?;
            library.add(&name, text.to_owned())?;
        }
        Ok(library)
    }

    /// Adds the fixes of a folder: every `fix.yaml` below it. A name that stands already is refused, naming both files.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), LibraryError> {
        for file in fix_files(folder)? {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|e| LibraryError::Read { file: name.clone(), reason: e.to_string() })?;
            self.add(&name, text)?;
        }
        Ok(())
    }

    /// Adds one fix file.
    pub fn add(&mut self, file: &str, text: String) -> Result<(), LibraryError> {
        // Everything else is checked when the fix is compiled; here only what is needed to find it.
        let head: Head = match lenient_head(&text) {
            Some(head) => head,
            None => match Fix::parse(file, &text) {
                Err(mistakes) => return Err(LibraryError::Fix { mistakes }),
                Ok(fix) => Head { fix: fix.name, control: fix.control, remediates: fix.remediates },
            },
        };
        if let Some(other) = self.entries.get(&head.fix) {
            return Err(LibraryError::Duplicate { name: head.fix, first: other.file.clone(), second: file.to_owned() });
        }
        self.entries.insert(head.fix.clone(), Entry { file: file.to_owned(), text, head, fix: OnceLock::new() });
        Ok(())
    }

    /// A fix by name, compiled.
    pub fn fix(&self, name: &str) -> Result<&Fix, LibraryError> {
        let unknown = || {
            let near = stanch_core::expr::nearest(name, self.entries.keys().map(String::as_str)).map(str::to_owned);
            LibraryError::Unknown { name: name.to_owned(), near }
        };
        let entry = self.entries.get(name).ok_or_else(unknown)?;
        let compiled = entry.fix.get_or_init(|| {
            Fix::parse(&entry.file, &entry.text).map(|mut fix| {
                if let Some(evidence) = self.evidence.get(name).filter(|e| e.digest == fix.digest) {
                    fix.evidence = evidence.clone();
                }
                fix
            })
        });
        compiled.as_ref().map_err(|mistakes| LibraryError::Fix { mistakes: mistakes.clone() })
    }

    /// Every fix, by name, compiled.
    pub fn all(&self) -> impl Iterator<Item = Result<&Fix, LibraryError>> {
        self.entries.keys().map(|name| self.fix(name))
    }

    /// The file of a fix and its text.
    pub fn source(&self, name: &str) -> Option<(&str, &str)> {
        self.entries.get(name).map(|e| (e.file.as_str(), e.text.as_str()))
    }

    /// The canonical control a finding speaks about, and how that was told: by the source's own id, as the equivalence map or
    /// a fix has it, else by the policy it names, else by its title.
    pub fn control(&self, finding: &Finding<'_>) -> Option<Control> {
        let by_fix = || {
            let known = self.entries.values().find_map(|e| Some((e.head.triggers(finding)?, e.head.control.as_deref()?)));
            known.map(|(by, id)| Control { id: id.to_owned(), by })
        };
        controls::by_key(finding).or_else(by_fix).or_else(|| controls::by_policy(finding)).or_else(|| controls::by_name(finding))
    }

    /// The fix recommended for a finding on a resource: its trigger names the finding, or it closes the finding's control, and
    /// it takes that type of resource.
    pub fn recommend(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> Result<Option<&Fix>, LibraryError> {
        let kind = canonical_kind(resource.cloud, resource.kind.as_deref(), &resource.full_uid());
        let control = self.control(finding);
        let closes = |e: &&Entry| control.as_ref().is_some_and(|control| e.head.closes(&control.id));
        let named = self.entries.values().filter(|e| e.head.triggers(finding).is_some());
        for entry in named.chain(self.entries.values().filter(closes)) {
            let fix = self.fix(&entry.head.fix)?;
            if fix.cloud == resource.cloud && kind.as_deref().is_some_and(|k| fix.takes(k)) {
                return Ok(Some(fix));
            }
        }
        Ok(None)
    }
}

impl Head {
    /// Whether the fix closes a control: its own, or a part of it (`gcp.sql.flags` closes `gcp.sql.flags.local_infile`).
    fn closes(&self, control: &str) -> bool {
        let own = self.control.as_deref();
        own.is_some_and(|own| control.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Whether the fix names the finding, and by what.
    fn triggers(&self, finding: &Finding<'_>) -> Option<MatchedBy> {
        let control = finding.compliance.as_ref().and_then(|c| c.control.as_deref());
        let rule = finding.rule.as_deref();
        let names = |id: &str| control.is_some_and(|c| c.eq_ignore_ascii_case(id)) || rule.is_some_and(|r| r.eq_ignore_ascii_case(id));
        let matches = |kind: &str, id: &str| match (kind, finding.source) {
            ("securityhub", Source::SecurityHub | Source::SecurityHubV2)
            | ("scc", Source::Scc)
            | ("prowler", Source::Prowler)
            | ("defender", Source::DefenderAssessment | Source::DefenderCompliance) => names(id),
            // Its control is the parent assessment, which many different rules share.
            ("defender", Source::DefenderSubAssessment) => rule.is_some_and(|r| r.eq_ignore_ascii_case(id)),
            ("policy", Source::DefenderAssessment) => finding.policy.as_deref().is_some_and(|p| p.eq_ignore_ascii_case(id)),
            ("alert", source) if finding.class == FindingClass::Detection && source != Source::Prowler => {
                rule.is_some_and(|r| glob(id, r)) || finding.types.iter().any(|t| glob(id, t))
            }
            _ => false,
        };
        let (kind, _) = self.remediates.iter().filter_map(|r| r.split_once('/')).find(|(kind, id)| matches(kind, id))?;
        Some(if kind == "policy" { MatchedBy::Policy } else { MatchedBy::Key })
    }
}

impl Fixes for Library {
    fn fix(&self, name: &str) -> Result<&Fix, FixesError> {
        Library::fix(self, name).map_err(|e| FixesError(e.to_string()))
    }
    fn recommend(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> Result<Option<&Fix>, FixesError> {
        Library::recommend(self, finding, resource).map_err(|e| FixesError(e.to_string()))
    }
    fn control(&self, finding: &Finding<'_>) -> Option<Control> {
        Library::control(self, finding)
    }
}

/// What is never touched unless the deployment's own list says otherwise.
pub fn protected() -> Result<Protected, LibraryError> {
    serde_saphyr::from_str(PROTECTED).map_err(|e| LibraryError::Read { file: "protected.yaml".into(), reason: e.to_string() })
}

/// Every `fix.yaml` below a folder, sorted; a file is taken as it is.
pub fn fix_files(folder: &Path) -> Result<Vec<std::path::PathBuf>, LibraryError> {
    let read = |e: std::io::Error, path: &Path| LibraryError::Read { file: path.display().to_string(), reason: e.to_string() };
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).map_err(|e| read(e, &path))? {
            let path = entry.map_err(|e| read(e, folder))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|n| n == "fix.yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn lenient_head(text: &str) -> Option<Head> {
    serde_saphyr::from_str(text).ok()
}

fn read_evidence() -> Result<BTreeMap<String, Evidence>, LibraryError> {
    serde_json::from_str(EVIDENCE).map_err(|e| LibraryError::Read { file: "evidence.json".into(), reason: e.to_string() })
}

fn collect<'d>(dir: &'d Dir<'d>, files: &mut Vec<&'d include_dir::File<'d>>) {
    files.extend(dir.files().filter(|f| f.path().file_name().is_some_and(|n| n == "fix.yaml")));
    for sub in dir.dirs() {
        collect(sub, files);
    }
}
