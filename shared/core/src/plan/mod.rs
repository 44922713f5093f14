//! Plans: immutable, complete, hashed. Nothing is left to decide when one is applied.

mod build;
mod diff;
mod find;
mod hash;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use build::{Outcome, plan, undo};
pub use diff::{FieldDiff, fields};
pub use find::{FindError, found, results};

use crate::api::{ApiCall, ApiRequest};
use crate::cloud::{Cloud, ResourceUid};
use crate::expr::ExprError;
use crate::finding::Millis;
use crate::fix::{Activity, Disruption, Evidence, Repeat, UndoClass};

/// The member that marks a sealed value in a snapshot: `{"$sealed": "<read>.<path>", "sha256": "…"}`.
pub const SEALED: &str = "$sealed";

/// The format of plans and of their hash. A change of either is a new number, unless every plan of before keeps its hash.
pub const PLAN_FORMAT: u32 = 1;

/// What was read of a resource: captured fields only, never whole objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By read name; sensitive values are digests.
    pub values: Map<String, Value>,
    /// Concurrency tokens by read name, then token name. Not part of a plan's hash.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, BTreeMap<String, Value>>,
    /// Sensitive values by reference; never serialised.
    #[serde(skip)]
    pub sealed: BTreeMap<String, Value>,
    /// When it was read, milliseconds since the epoch.
    #[serde(default)]
    pub at: Millis,
}

/// Whether a plan fixes or puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanKind {
    /// Closes the fault.
    Fix,
    /// Puts back what the plan with this hash changed.
    Undo(String),
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// Fix or undo.
    pub kind: PlanKind,
    /// The fix's name.
    pub fix: String,
    /// The fix's title, for people.
    pub title: String,
    /// Digest of the parsed fix.
    pub fix_digest: String,
    /// What it does.
    pub activity: Activity,
    /// How well it can be put back.
    pub undo: UndoClass,
    /// Who may notice.
    pub disruption: Disruption,
    /// How far the fix is proven. Not part of the hash.
    #[serde(default)]
    pub evidence: Evidence,
    /// Parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Which signer.
    pub cloud: Cloud,
    /// Subscription, account or project.
    pub account: String,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Canonical resource id.
    pub resource: ResourceUid,
    /// The state it was made on, volatile reads left out.
    pub observed: Map<String, Value>,
    /// Writes, in order.
    pub changes: Vec<Change>,
    /// A containment's life after it is proven, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_ms: Option<u64>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What it does, for people.
    pub title: String,
    /// The request; late-bound parts hold `null` and are listed in `late`.
    pub request: ApiRequest,
    /// Parts bound just before sending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
    /// What sending it twice would do.
    pub repeat: Repeat,
    /// The observed values it makes true: path, before, after. Its precondition is that the before values hold.
    pub sets: Vec<FieldChange>,
    /// Results kept for later changes and undos: name and expression over the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gives: Vec<(String, String)>,
    /// How what it made is found when its answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<FindCall>,
    /// Error codes that mean it is already so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ok: Vec<String>,
    /// The calls that put it back, frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<UndoCall>,
}

/// A read that looks for what a change made: by its deterministic name, its client token or a tag. [`found`] reads the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindCall {
    /// The request.
    pub request: ApiRequest,
    /// Parts bound just before sending, from the same bindings as the change's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
    /// The results of the change: name, and expression over this read's answer. All `null`: it made nothing.
    pub gives: Vec<(String, String)>,
    /// Error codes that mean it made nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// One call that puts a change back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoCall {
    /// The request.
    pub request: ApiRequest,
    /// Parts bound just before sending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
    /// What sending it twice would do.
    pub repeat: Repeat,
    /// Error codes that mean it is already so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ok: Vec<String>,
}

/// One observed value that a change makes true. `null` is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Dotted path: the read's name, then members.
    pub path: String,
    /// Before.
    pub before: Value,
    /// After.
    pub after: Value,
}

/// A part of a request that is bound just before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// JSON pointer into the call.
    pub at: String,
    /// Where the value comes from.
    pub from: LateSource,
}

/// Where a late-bound value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateSource {
    /// A concurrency token of the read made just before.
    Token {
        /// The read.
        observe: String,
        /// The token.
        name: String,
    },
    /// A result of an earlier change, or in an undo of the change itself.
    Given {
        /// Its name.
        name: String,
    },
    /// A token unique to this change of this remediation, the same at every retry.
    ClientToken,
    /// A sensitive captured value.
    Sealed {
        /// Its reference.
        reference: String,
    },
}

impl LateSource {
    /// How a plan shows it.
    pub fn shown(&self) -> String {
        match self {
            LateSource::Token { observe, name } => format!("<{name} of the read `{observe}`>"),
            LateSource::Given { name } => format!("<{name} given by an earlier change>"),
            LateSource::ClientToken => "<client token>".to_owned(),
            LateSource::Sealed { reference } => format!("<sealed {reference}>"),
        }
    }
}

/// What late-bound parts are bound from.
#[derive(Clone, Copy, Debug)]
pub struct Bindings<'b> {
    /// The read made just before.
    pub snapshot: &'b Snapshot,
    /// Results so far.
    pub given: &'b BTreeMap<String, Value>,
    /// The change's client token.
    pub client_token: &'b str,
    /// Sealed values, opened.
    pub sealed: &'b BTreeMap<String, Value>,
}

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An expression of the fix failed on the live state.
    #[error("fix `{fix}`, {part} failed")]
    Expression {
        /// The fix.
        fix: String,
        /// Which part.
        part: String,
        /// Why.
        source: Box<ExprError>,
    },
    /// A read was refused.
    #[error("fix `{fix}`: observe `{read}` answered {status} {code}: {message}")]
    Read {
        /// The fix.
        fix: String,
        /// The read.
        read: String,
        /// HTTP status.
        status: u16,
        /// The vendor's code.
        code: String,
        /// The vendor's message.
        message: String,
    },
    /// A list has more pages than were read.
    #[error("fix `{fix}`: observe `{read}` has more pages (`{member}` is set); part of a list is not enough to act on")]
    MorePages {
        /// The fix.
        fix: String,
        /// The read.
        read: String,
        /// The member that says so.
        member: String,
    },
    /// The answer uses the member name kept for sealed values.
    #[error("fix `{fix}`: observe `{read}` answered with a member named `{SEALED}`, which is reserved")]
    Reserved {
        /// The fix.
        fix: String,
        /// The read.
        read: String,
    },
    /// A concurrency token was not in the answer.
    #[error("fix `{fix}`: observe `{read}` gave no token `{token}`; without it a write could overwrite somebody else's")]
    NoToken {
        /// The fix.
        fix: String,
        /// The read.
        read: String,
        /// The token.
        token: String,
    },
    /// The fault is there but the fix would change nothing.
    #[error("fix `{fix}` sees the fault but has no change for it")]
    NothingToChange {
        /// The fix.
        fix: String,
    },
    /// A change declares no way back although the fix says it has one.
    #[error("fix `{fix}`: change `{change}` has no undo that applies to this state")]
    NoUndo {
        /// The fix.
        fix: String,
        /// The change.
        change: String,
    },
    /// The fix cannot be put back.
    #[error("fix `{fix}` cannot be undone: {why}")]
    Impossible {
        /// The fix.
        fix: String,
        /// Why.
        why: String,
    },
    /// A read refers to something only a write may.
    #[error("fix `{fix}`: observe `{read}` uses a token or a given value")]
    LateRead {
        /// The fix.
        fix: String,
        /// The read.
        read: String,
    },
    /// A late-bound part has no value.
    #[error("the call cannot be completed: {what} is not known")]
    Unbound {
        /// What.
        what: String,
    },
    /// Internal: a read index out of range.
    #[error("the fix has no such read")]
    NoSuchRead,
}

impl Plan {
    /// SHA-256 (hex) over the RFC 8785 canonical JSON of everything that decides what happens: not of etags, times,
    /// titles, the finding, guard results or evidence.
    pub fn hash(&self) -> String {
        hash::hash(self)
    }

    /// The values as they stand before change `index` (all changes before it done); with `changes.len()`, after all.
    pub fn expected(&self, index: usize) -> Map<String, Value> {
        let mut values = self.observed.clone();
        for change in self.changes.iter().take(index) {
            for set in &change.sets {
                put(&mut values, &set.path, &set.after);
            }
        }
        values
    }

    /// Whether everything that change `index` sets has its before value.
    pub fn is_before(&self, index: usize, snapshot: &Snapshot) -> bool {
        self.changes.get(index).is_some_and(|c| c.sets.iter().all(|s| get(&snapshot.values, &s.path) == &s.before))
    }

    /// Whether everything that change `index` sets has its after value.
    pub fn is_after(&self, index: usize, snapshot: &Snapshot) -> bool {
        self.changes.get(index).is_some_and(|c| c.sets.iter().all(|s| get(&snapshot.values, &s.path) == &s.after))
    }

    /// Whether every path that any change sets holds its final value.
    pub fn is_done(&self, snapshot: &Snapshot) -> bool {
        let last = self.expected(self.changes.len());
        self.changes.iter().flat_map(|c| &c.sets).all(|s| get(&snapshot.values, &s.path) == get(&last, &s.path))
    }

    /// The values of a snapshot that this plan speaks about, volatile ones left out.
    pub fn projection(&self, snapshot: &Snapshot) -> Map<String, Value> {
        snapshot.values.iter().filter(|(name, _)| self.observed.contains_key(*name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The field-level before and after of the whole plan.
    pub fn diff(&self) -> Vec<FieldDiff> {
        self.changes.iter().flat_map(|c| &c.sets).flat_map(|s| fields(&s.path, &s.before, &s.after)).collect()
    }
}

/// Binds the late parts of a request.
pub fn bind(request: &ApiRequest, late: &[Late], bindings: Bindings<'_>) -> Result<ApiRequest, PlanError> {
    if late.is_empty() {
        return Ok(request.clone());
    }
    let unbound = |what: String| PlanError::Unbound { what };
    let mut call = serde_json::to_value(&request.call).map_err(|e| unbound(e.to_string()))?;
    for part in late {
        let value = match &part.from {
            LateSource::Token { observe, name } => bindings.snapshot.tokens.get(observe).and_then(|t| t.get(name)).cloned(),
            LateSource::Given { name } => bindings.given.get(name).cloned(),
            LateSource::ClientToken => Some(bindings.client_token.into()),
            LateSource::Sealed { reference } => bindings.sealed.get(reference).cloned(),
        };
        let value = value.ok_or_else(|| unbound(part.from.shown()))?;
        let slot = call.pointer_mut(&part.at).ok_or_else(|| unbound(part.at.clone()))?;
        *slot = value;
    }
    let call: ApiCall = serde_json::from_value(call).map_err(|e| unbound(e.to_string()))?;
    Ok(ApiRequest { call, ..request.clone() })
}

/// The value at a dotted path; `null` when absent.
pub fn get<'v>(values: &'v Map<String, Value>, path: &str) -> &'v Value {
    let mut words = path.split('.');
    let mut value = words.next().and_then(|w| values.get(w)).unwrap_or(&Value::Null);
    for word in words {
        value = value.get(word).unwrap_or(&Value::Null);
    }
    value
}

/// Sets the value at a dotted path; `null` removes it. Missing parents become objects.
pub fn put(values: &mut Map<String, Value>, path: &str, value: &Value) {
    let Some((head, rest)) = path.split_once('.') else {
        values.insert(path.to_owned(), value.clone());
        return;
    };
    let slot = values.entry(head.to_owned()).or_insert(Value::Null);
    put_in(slot, rest, value);
}

fn put_in(slot: &mut Value, path: &str, value: &Value) {
    if !slot.is_object() {
        if value.is_null() {
            return;
        }
        *slot = Value::Object(Map::new());
    }
    let Value::Object(members) = slot else { return };
    match path.split_once('.') {
        Some((head, rest)) => put_in(members.entry(head.to_owned()).or_insert(Value::Null), rest, value),
        None if value.is_null() => drop(members.remove(path)),
        None => drop(members.insert(path.to_owned(), value.clone())),
    }
}
