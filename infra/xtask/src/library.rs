//! The fixes as they stand on disk. The copy inside this program may be older than a fix just added.

use std::collections::BTreeMap;
use std::path::Path;

use stanch_core::fix::{Evidence, Fix};

use crate::fault::Fault;
use crate::repo::{Repo, read};

/// Where evidence is kept, below the root.
pub(crate) const EVIDENCE: &str = "shared/library/evidence.json";

/// Every fix of the library with its evidence, by name.
pub(crate) fn fixes(repo: &Repo) -> Result<Vec<Fix>, Fault> {
    let evidence = evidence(repo)?;
    let files = stanch_library::fix_files(&repo.root.join("shared/library/fixes"));
    let files = files.map_err(|e| Fault::Content { file: "shared/library/fixes".to_owned(), reason: e.to_string() })?;
    let mut fixes = files.iter().map(|file| fix(file, &evidence)).collect::<Result<Vec<_>, _>>()?;
    fixes.sort_by(|a, b| (a.cloud, &a.name).cmp(&(b.cloud, &b.name)));
    Ok(fixes)
}

/// What is proven about each fix, by name.
pub(crate) fn evidence(repo: &Repo) -> Result<BTreeMap<String, Evidence>, Fault> {
    let path = repo.root.join(EVIDENCE);
    serde_json::from_str(&read(&path)?).map_err(Fault::content(&path))
}

fn fix(file: &Path, evidence: &BTreeMap<String, Evidence>) -> Result<Fix, Fault> {
    let parsed = Fix::parse(&file.display().to_string(), &read(file)?);
    let mut fix = parsed.map_err(|mistakes| Fault::Found(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    if let Some(found) = evidence.get(&fix.name).filter(|e| e.digest == fix.digest) {
        fix.evidence = found.clone();
    }
    Ok(fix)
}
