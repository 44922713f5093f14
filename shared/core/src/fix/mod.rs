//! The fix language: a closed vocabulary of data (observe, when, change, undo, verify, for_each, wait) that one engine runs
//! for three clouds. A fix never executes anything; it computes changes.

mod audit;
mod call;
mod load;
mod node;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use audit::{HttpUse, OperationUse};
pub use call::Observed;
pub use call::is_listed;
pub(crate) use call::{CallSpec, more_pages};
pub(crate) use template::{Template, present};

use crate::cloud::Cloud;
use crate::expr::Expr;

/// What a fix does, as OCSF's Remediation Activity counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// `activity_id` 4.
    Harden,
    /// `activity_id` 1: a containment, carries an expiry.
    Isolate,
    /// `activity_id` 2: a containment, carries an expiry.
    Evict,
    /// `activity_id` 3: undo.
    Restore,
    /// `activity_id` 99 (OCSF has no word for it): keeps evidence. It answers an alert without ending what the alert is about.
    Preserve,
}

impl Activity {
    /// Whether it answers an alert rather than a posture finding.
    pub fn is_containment(self) -> bool {
        matches!(self, Activity::Isolate | Activity::Evict)
    }

    /// Whether a finding may be closed at its source once the fix is proven: not when only evidence was kept.
    pub fn closes_finding(self) -> bool {
        self != Activity::Preserve
    }
}

/// How well a fix can be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoClass {
    /// Everything is as before.
    Exact,
    /// Something is lost; the text says what.
    Lossy(String),
    /// It cannot be put back; the text says why. Always needs approval.
    Impossible(String),
}

/// Who may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// Nobody.
    None,
    /// Cost or logs at most.
    Low,
    /// Clients that relied on the fault.
    MayBreakClients,
    /// An outage while it runs.
    Outage,
}

/// What sending a change twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// The same as once.
    Safe,
    /// It carries If-Match, a client token or an exact-old-value condition.
    Conditional,
    /// Something else than once: never sent again without knowing.
    Never,
}

/// How far a fix is proven, written by machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Digest of the fix this evidence is about; other content has no evidence.
    #[serde(default)]
    pub digest: String,
    /// Requests and answers agree with the vendor's own description, named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Applied, verified, undone and re-applied against these (`moto 5.2.5`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emulator: Vec<String>,
    /// Run against the real cloud on that date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

impl Evidence {
    /// Whether it was ever run against something that was not written here.
    pub fn is_run(&self) -> bool {
        !self.emulator.is_empty() || self.live.is_some()
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.schema.is_some() {
            parts.push("schema".to_owned());
        }
        parts.extend(self.emulator.iter().map(|e| format!("emulator {e}")));
        parts.extend(self.live.iter().map(|d| format!("live {d}")));
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(", ")) }
    }
}

/// A parameter of a fix, with its default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What it means, with its unit.
    pub about: String,
    /// Its value unless a rule says otherwise; its type is the parameter's type.
    pub default: Value,
}

/// A fix, checked and compiled.
#[derive(Clone, Debug)]
pub struct Fix {
    /// `<cloud>-<service>-<imperative>`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The canonical control it closes (the catalogue's id).
    pub control: Option<String>,
    /// What triggers it: `securityhub/S3.8`, `defender/<assessment key>`, `policy/<id>`, `scc/<CATEGORY>`, `prowler/<check>`, `alert/<type glob>`.
    pub remediates: Vec<String>,
    /// From the name's first word.
    pub cloud: Cloud,
    /// Canonical resource types it takes.
    pub resource: Vec<String>,
    /// What it does.
    pub activity: Activity,
    /// How well it can be put back.
    pub undo: UndoClass,
    /// Who may notice.
    pub disruption: Disruption,
    /// Permissions the identity needs, in the cloud's own words.
    pub permissions: Vec<String>,
    /// The vendor's page it rests on.
    pub source: String,
    /// What a reader must know besides.
    pub note: Option<String>,
    /// Parameters.
    pub params: BTreeMap<String, Param>,
    /// Reads, in order.
    pub(crate) observe: Vec<Observe>,
    /// Whether the fault is there.
    pub(crate) when: Expr,
    /// Writes, in order.
    pub(crate) changes: Vec<ChangeSpec>,
    /// What must hold before the state is verified, and for how long verification may take, milliseconds.
    pub(crate) wait_until: Option<Expr>,
    /// How long the provider may take to show the new state, milliseconds.
    pub settle_ms: u64,
    /// What must hold besides the values the changes set and the fault being gone.
    pub(crate) verify: Option<Expr>,
    /// A containment's life, milliseconds.
    pub expires_after_ms: Option<u64>,
    /// SHA-256 (hex) of the canonical JSON of the parsed file.
    pub digest: String,
    /// How far it is proven.
    pub evidence: Evidence,
}

/// One read.
#[derive(Clone, Debug)]
pub(crate) struct Observe {
    pub(crate) name: String,
    pub(crate) call: CallSpec,
    pub(crate) take: Expr,
    pub(crate) absent: Vec<String>,
    pub(crate) gone: Vec<String>,
    pub(crate) tokens: Vec<(String, Expr)>,
    pub(crate) unordered: bool,
    pub(crate) volatile: bool,
    pub(crate) sensitive: Vec<String>,
}

/// One kind of write; with `for_each`, one for each item.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSpec {
    pub(crate) title: Template,
    pub(crate) call: CallSpec,
    pub(crate) when: Option<Expr>,
    pub(crate) for_each: Option<Expr>,
    pub(crate) repeat: Repeat,
    pub(crate) sets: Vec<(String, Template)>,
    pub(crate) gives: Vec<(String, Expr)>,
    pub(crate) find: Option<FindSpec>,
    pub(crate) ok: Vec<String>,
    pub(crate) undo: Vec<UndoSpec>,
}

/// The read that looks for what a change made.
#[derive(Clone, Debug)]
pub(crate) struct FindSpec {
    pub(crate) call: CallSpec,
    pub(crate) gives: Vec<(String, Expr)>,
    pub(crate) absent: Vec<String>,
}

/// One call that puts a change back.
#[derive(Clone, Debug)]
pub(crate) struct UndoSpec {
    pub(crate) when: Option<Expr>,
    pub(crate) call: CallSpec,
    pub(crate) repeat: Repeat,
    pub(crate) ok: Vec<String>,
}

impl Fix {
    /// Reads and checks a fix file. Every mistake is reported, each with its place.
    pub fn parse(file: &str, source: &str) -> Result<Fix, Vec<crate::diagnostic::Diagnostic>> {
        load::parse(file, source)
    }

    /// Whether it takes resources of this canonical type.
    pub fn takes(&self, kind: &str) -> bool {
        self.resource.iter().any(|k| k.eq_ignore_ascii_case(kind))
    }

    /// Parameter values: the defaults, overridden by `given`. An unknown name or another type is refused.
    pub fn params(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut values: Map<String, Value> = self.params.iter().map(|(name, p)| (name.clone(), p.default.clone())).collect();
        for (name, value) in given {
            let param = self.params.get(name).ok_or_else(|| format!("fix `{}` has no parameter `{name}`", self.name))?;
            if std::mem::discriminant(&param.default) != std::mem::discriminant(value) {
                return Err(format!("parameter `{name}` of fix `{}` is like {}, not {value}", self.name, param.default));
            }
            values.insert(name.clone(), value.clone());
        }
        Ok(values)
    }

    /// The names of its reads, in order.
    pub fn observes(&self) -> impl Iterator<Item = &str> {
        self.observe.iter().map(|o| o.name.as_str())
    }
}

/// A value of the wrong kind where an expression stands.
pub(crate) fn mistake(expression: &str, message: &str) -> crate::expr::ExprError {
    crate::expr::ExprError { expression: expression.to_owned(), offset: None, message: message.to_owned(), hint: None }
}
