//! What a run proves about each fix, kept in the library beside the digest of the fix it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use stanch_core::fix::{Evidence, Fix};

use super::{Judged, json_lines};
use crate::fault::Fault;
use crate::library::{self, EVIDENCE};
use crate::repo::{Repo, write};

/// Compares what the run proves with what the library says, or writes it there.
pub(super) fn settle(repo: &Repo, judged: &[Judged], emulator: &Path, write_it: bool) -> Result<(), Fault> {
    let before = library::evidence(repo)?;
    let runs: Vec<Value> = if emulator.is_file() { json_lines(emulator)?.into_iter().map(|(_, run)| run).collect() } else { Vec::new() };
    let mut after = BTreeMap::new();
    for fix in library::fixes(repo)? {
        let evidence = proven(&fix, judged, &runs, before.get(&fix.name));
        println!("  {}: {evidence}", fix.name);
        if evidence.schema.is_some() || evidence.is_run() {
            after.insert(fix.name, evidence);
        }
    }
    if write_it {
        let text = serde_json::to_string_pretty(&after).map_err(Fault::content(Path::new(EVIDENCE)))?;
        return write(&repo.root.join(EVIDENCE), &format!("{text}\n"));
    }
    if before == after {
        return Ok(());
    }
    Err(Fault::Found(format!("{EVIDENCE} is not what this run proves; renew it with `cargo xtask specs --write-evidence`")))
}

/// The evidence for one fix. Records about another version of it count for nothing.
fn proven(fix: &Fix, judged: &[Judged], runs: &[Value], before: Option<&Evidence>) -> Evidence {
    let about = |record: &Value| {
        let text = |name| record.get(name).and_then(Value::as_str);
        text("fix") == Some(&fix.name) && text("digest") == Some(&fix.digest)
    };
    let mine: Vec<&Judged> = judged.iter().filter(|one| about(&one.record)).collect();
    let unseen = unseen(fix, &mine);
    let labels: BTreeSet<&str> = mine.iter().map(|one| one.verdict.label.as_str()).filter(|label| !label.is_empty()).collect();
    if !mine.is_empty() && !unseen.is_empty() {
        println!("  {}: no evidence from the description, since the tests never sent {}", fix.name, unseen.join(", "));
    }
    let emulators: BTreeSet<&str> =
        runs.iter().filter(|run| about(run)).filter_map(|run| run.get("emulator").and_then(Value::as_str)).collect();
    Evidence {
        digest: fix.digest.clone(),
        schema: (unseen.is_empty() && !labels.is_empty()).then(|| labels.into_iter().collect::<Vec<_>>().join("; ")),
        emulator: emulators.into_iter().map(str::to_owned).collect(),
        // Written by a run against the real cloud, which this is not.
        live: before.filter(|b| b.digest == fix.digest).and_then(|b| b.live.clone()),
    }
}

/// Calls of the fix, undo included, that no record shows.
fn unseen(fix: &Fix, mine: &[&Judged]) -> Vec<String> {
    let text = |one: &Judged, name: &str| one.record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut unseen = BTreeSet::new();
    for call in fix.operations() {
        if !mine.iter().any(|one| text(one, "service") == call.service && text(one, "operation") == call.operation) {
            unseen.insert(format!("{}.{}", call.service, call.operation));
        }
    }
    for call in fix.http_calls() {
        let shape = format!("https://{}{}", call.host, call.path);
        let is_it = |one: &&&Judged| text(one, "method") == call.method.as_str() && fits(&shape, &text(one, "url"));
        if !mine.iter().any(|one| is_it(&one)) {
            unseen.insert(format!("{} {}{}", call.method.as_str(), call.host, call.path));
        }
    }
    unseen.into_iter().collect()
}

/// Whether an address, its query apart, has a shape in which `{}` stands for anything.
fn fits(shape: &str, url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    let shape = shape.split('?').next().unwrap_or_default();
    let mut parts = shape.split("{}");
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn an_address_fits_the_shape_of_its_call_and_no_other() {
        let bucket = "https://storage.googleapis.com/storage/v1/b/{}";
        assert!(fits(bucket, "https://storage.googleapis.com/storage/v1/b/shop-data?projection=full"));
        assert!(!fits(bucket, "https://sqladmin.googleapis.com/storage/v1/b/shop-data"));
        let policy = "https://storage.googleapis.com/storage/v1/b/{}/iam?optionsRequestedPolicyVersion={}";
        assert!(fits(policy, "https://storage.googleapis.com/storage/v1/b/shop-data/iam"));
        assert!(!fits(policy, "https://storage.googleapis.com/storage/v1/b/shop-data"));
        assert!(fits("https://a/{}/b/{}", "https://a/1/b/2"));
        assert!(!fits("https://a/b", "https://a/b/c"));
    }
}
