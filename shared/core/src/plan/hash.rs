//! The hash an approval binds to.
//!
//! In it: the format, the kind, the fix's name and digest, parameters, the resource, the projected observed values, every
//! change with its inputs, late-bound references, repeat class, find and undos, and the expiry as a duration. Not in it: etags,
//! times, generated ids, titles, the finding, guard results, evidence.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Change, FieldChange, FindCall, Late, Plan, PlanKind, UndoCall};
use crate::api::ApiRequest;
use crate::digest::sha256_hex;
use crate::fix::Repeat;

#[derive(Serialize)]
struct Hashed<'p> {
    format: u32,
    kind: &'p PlanKind,
    fix: &'p str,
    fix_digest: &'p str,
    params: &'p Map<String, Value>,
    resource: &'p str,
    observed: &'p Map<String, Value>,
    changes: Vec<HashedChange<'p>>,
    expires_after_ms: Option<u64>,
}

#[derive(Serialize)]
struct HashedChange<'p> {
    request: &'p ApiRequest,
    late: &'p [Late],
    repeat: Repeat,
    sets: &'p [FieldChange],
    gives: &'p [(String, String)],
    /// Left out where there is none, so that plans made before there was any keep their hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    find: Option<&'p FindCall>,
    ok: &'p [String],
    undo: &'p [UndoCall],
}

pub(super) fn hash(plan: &Plan) -> String {
    let hashed = Hashed {
        format: plan.format,
        kind: &plan.kind,
        fix: &plan.fix,
        fix_digest: &plan.fix_digest,
        params: &plan.params,
        resource: plan.resource.as_str(),
        observed: &plan.observed,
        changes: plan.changes.iter().map(hashed_change).collect(),
        expires_after_ms: plan.expires_after_ms,
    };
    // A map of strings, numbers and lists always serialises; an empty text would make no hash that matches anything.
    serde_json_canonicalizer::to_vec(&hashed).map(|bytes| sha256_hex(&bytes)).unwrap_or_default()
}

fn hashed_change(change: &Change) -> HashedChange<'_> {
    HashedChange {
        request: &change.request,
        late: &change.late,
        repeat: change.repeat,
        sets: &change.sets,
        gives: &change.gives,
        find: change.find.as_ref(),
        ok: &change.ok,
        undo: &change.undo,
    }
}
