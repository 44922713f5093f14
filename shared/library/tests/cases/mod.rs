//! Cases of fixes: `fixes/<cloud>/<fix>/cases/*.yaml`, recorded reads in, the plan out.
//!
//! ```yaml
//! case: what is special here, one line
//! resource: {uid: …, kind: AwsS3Bucket, account: "111122223333", region: eu-west-1}   # kind, account, region where the uid lacks them
//! params: {ports: [22]}                       # optional: other than the defaults
//! reads:                                      # one answer for each observe of the fix
//!   block:
//!     asks: {call: s3.GetPublicAccessBlock, input: {Bucket: b}}       # what the fix must ask; each read in one case at least
//!     status: 200                             # optional
//!     body: {…}                               # or   fault: {code: NoSuchBucket, message: …}
//!     headers: {etag: …}                      # optional
//! shuffle: ["block:/Rules"]                   # lists of answers (read, JSON pointer) whose order must not matter
//! expect:                                     # one of four
//!   compliant: true                           # the fault is not there
//!   gone: true                                # the resource is not there
//!   refused: part of the message              # the fault is there and nothing may be written
//!   changes:                                  # compared whole; what is absent here must be absent there
//!     - title: …                              # optional: compared when it stands
//!       call: s3.PutPublicAccessBlock         # or METHOD host/path
//!       input: {…}                            # or query, headers, body
//!       late: ["/body/etag <etag of the read `policy`>"]              # bound just before sending
//!       undo: [{call: …, input: {…}}]
//!   diff: ["block.BlockPublicAcls: absent -> true"]                   # what people see
//!   proved: false                             # the changes alone do not make the fault go; default true
//! ```
//!
//! Besides, every case with changes must hold what the engine relies on: see [`laws`].

mod laws;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use stanch_core::api::{ApiFault, ApiResponse};
use stanch_core::cloud::{Account, Resource};
use stanch_core::finding::{Finding, FindingClass, Product, Source};
use stanch_core::fix::{Fix, Observed};
use stanch_core::plan::{Outcome, Snapshot, plan};
use stanch_core::target::Target;
use stanch_library::Library;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    case: String,
    resource: On,
    #[serde(default)]
    params: Map<String, Value>,
    reads: BTreeMap<String, Read>,
    #[serde(default)]
    shuffle: Vec<String>,
    expect: Expect,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct On {
    uid: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(default)]
    asks: Option<Value>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    fault: Option<ApiFault>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    compliant: bool,
    #[serde(default)]
    gone: bool,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    changes: Vec<Value>,
    #[serde(default)]
    diff: Vec<String>,
    #[serde(default = "yes")]
    proved: bool,
}

fn yes() -> bool {
    true
}

/// The cases of one fix, each with its file.
pub(crate) fn of(fix: &Fix) -> Vec<(PathBuf, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixes").join(fix.cloud.as_str()).join(&fix.name).join("cases");
    let mut files: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|x| x == "yaml")).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    let read =
        |file: &Path| serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    files.iter().map(|file| (file.clone(), read(file))).collect()
}

/// Plans the fix on what the case recorded and says what is not as expected.
pub(crate) fn judge(fix: &Fix, case: &Case) -> Result<(), String> {
    let target = target(fix, case)?;
    let params = fix.params(&case.params)?;
    let refused = |found: String| match &case.expect.refused {
        Some(why) if found.contains(why.as_str()) => Ok(()),
        _ => Err(format!("no plan: {found}")),
    };
    let snapshot = match observe(fix, case, &target, &params, Answers::Recorded) {
        Err(found) => return refused(found),
        Ok(None) if case.expect.gone => return Ok(()),
        Ok(None) => return Err("found the resource gone".into()),
        Ok(Some(snapshot)) => snapshot,
    };
    match plan(fix, &target, &params, &snapshot) {
        Err(error) => refused(chain(&error)),
        Ok(Outcome::Compliant) if case.expect.compliant => Ok(()),
        Ok(Outcome::Compliant) => Err("found the resource compliant".into()),
        Ok(Outcome::Plan(plan)) => {
            shown::compare(&plan, &case.expect.changes, &case.expect.diff)?;
            let again = |answers| observe(fix, case, &target, &params, answers).map(Option::unwrap_or_default);
            laws::hash(fix, &target, &plan, &[&again(Answers::Recorded)?, &again(Answers::Shuffled)?, &again(Answers::OtherTokens)?])?;
            laws::apply(fix, &target, &plan, &snapshot, case.expect.proved)?;
            laws::undo(fix, &target, &plan, &snapshot)
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Answers {
    Recorded,
    /// The lists named in `shuffle` backwards.
    Shuffled,
    /// Another etag, revision or settings version.
    OtherTokens,
}

fn target(fix: &Fix, case: &Case) -> Result<Target, String> {
    let on = &case.resource;
    let account = on.account.as_ref().map(|uid| Account { uid: uid.into(), name: None });
    let mut resource = Resource::new(fix.cloud, on.uid.as_str());
    resource.kind = on.kind.as_deref().map(Into::into);
    resource.region = on.region.as_deref().map(Into::into);
    resource.account = account;
    let finding = Finding::new(Source::Prowler, FindingClass::Compliance, fix.cloud, "f-1", Product::default());
    let target = Target::of(&finding, &resource).map_err(|e| e.to_string())?;
    if fix.takes(&target.kind) { Ok(target) } else { Err(format!("the fix takes {:?}, not `{}`", fix.resource, target.kind)) }
}

/// `None`: gone.
fn observe(fix: &Fix, case: &Case, target: &Target, params: &Map<String, Value>, answers: Answers) -> Result<Option<Snapshot>, String> {
    let names: Vec<&str> = fix.observes().collect();
    if let Some(unknown) = case.reads.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("the case answers a read `{unknown}`, which the fix does not make"));
    }
    let mut snapshot = Snapshot::default();
    for (index, name) in names.iter().enumerate() {
        let request = fix.read(index, target, params, &snapshot).map_err(|e| chain(&e))?;
        let read = case.reads.get(*name).ok_or_else(|| format!("the case does not answer the read `{name}`"))?;
        if let Some(asks) = &read.asks {
            shown::same(&format!("the read `{name}`"), asks, &shown::request(&request, &[]))?;
        }
        let body = match answers {
            Answers::Recorded => read.body.clone(),
            Answers::Shuffled => shuffled(case, name, read.body.clone())?,
            Answers::OtherTokens => other_tokens(read.body.clone()),
        };
        let headers =
            read.headers.iter().map(|(k, v)| (k.clone(), if answers == Answers::OtherTokens { format!("{v}-other") } else { v.clone() }));
        let status = read.status.unwrap_or(if read.fault.is_some() { 400 } else { 200 });
        let response = ApiResponse { status, body, headers: headers.collect(), request_id: None, fault: read.fault.clone() };
        if fix.take(index, &response, &mut snapshot).map_err(|e| chain(&e))? == Observed::Gone {
            return Ok(None);
        }
    }
    Ok(Some(snapshot))
}

fn shuffled(case: &Case, name: &str, mut body: Value) -> Result<Value, String> {
    for place in &case.shuffle {
        let (read, pointer) = place.split_once(':').ok_or_else(|| format!("shuffle `{place}` is not read:/json/pointer"))?;
        if read == name {
            match body.pointer_mut(pointer) {
                Some(Value::Array(list)) if list.len() > 1 => list.reverse(),
                _ => return Err(format!("shuffle `{place}` names no list of several")),
            }
        }
    }
    Ok(body)
}

fn other_tokens(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let token = matches!(name.as_str(), "etag" | "RevisionId" | "settingsVersion");
                let value = if token { Value::from(format!("{value}-other")) } else { other_tokens(value) };
                (name, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(other_tokens).collect(),
        scalar => scalar,
    }
}

/// An error and its sources, as people see them.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[test]
fn every_fix_plans_what_its_cases_say() {
    let library = Library::builtin().unwrap();
    let mut wrong = Vec::new();
    for fix in library.all() {
        let fix = fix.unwrap();
        for (file, case) in of(fix) {
            if let Err(why) = judge(fix, &case) {
                wrong.push(format!("{} ({}): {why}", file.display(), case.case));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn every_fix_has_a_case_with_the_fault_and_one_without_and_each_read_is_stated() {
    let library = Library::builtin().unwrap();
    for fix in library.all() {
        let fix = fix.unwrap();
        let cases = of(fix);
        let (with, without): (Vec<_>, Vec<_>) = cases.iter().partition(|(_, c)| !c.expect.changes.is_empty());
        assert!(!with.is_empty() && !without.is_empty(), "fix {} needs a case with the fault and one without", fix.name);
        let stated: BTreeSet<&str> =
            cases.iter().flat_map(|(_, c)| &c.reads).filter(|(_, r)| r.asks.is_some()).map(|(name, _)| name.as_str()).collect();
        for read in fix.observes() {
            assert!(stated.contains(read), "no case of fix {} states what the read `{read}` asks", fix.name);
        }
    }
}
