//! The state of the three clouds: resources by id, each with the value that reads still have to wait for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::Millis;
use stanch_core::port::ApiError;

use crate::{aws, azure, gcp};

/// Everything that exists.
#[derive(Default)]
pub(crate) struct World {
    resources: BTreeMap<(Cloud, ResourceUid), Resource>,
    /// Long-running operations by name.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// The operation that the call at hand has started.
    started: Option<String>,
    /// Milliseconds since the epoch, set at the start of each call.
    pub(crate) now: Millis,
    counter: u64,
}

#[derive(Clone, PartialEq)]
struct Resource {
    value: Value,
    pending: Option<Pending>,
}

/// A value that becomes visible after so many more reads of the old one; `null` is a resource that is not there.
#[derive(Clone, PartialEq)]
struct Pending {
    reads: u32,
    value: Value,
}

/// A long-running operation on a resource.
#[derive(Clone)]
pub(crate) struct Operation {
    /// The resource's id.
    pub(crate) target: String,
    /// What a poll shows besides the status.
    pub(crate) body: Value,
    /// When it began.
    pub(crate) started: Millis,
    /// Whether it ends badly.
    pub(crate) fails: bool,
}

/// Code and message of an operation that was made to fail.
pub(crate) const FAILED: (&str, &str) = ("ProvisioningFailed", "The operation failed; the resource is as it was before.");

/// Why a call has no answer that succeeds.
pub(crate) enum Stop {
    /// The service's refusal.
    Fault(Box<ApiResponse>),
    /// The sandbox does not know how to play this; the text says what.
    NotSimulated(String),
}

/// A service's answer.
pub(crate) type Answer = Result<ApiResponse, Stop>;

impl From<ApiResponse> for Stop {
    fn from(response: ApiResponse) -> Self {
        Stop::Fault(Box::new(response))
    }
}

impl World {
    /// Plays one call.
    pub(crate) fn answer(&mut self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let answer = match (&request.call, request.cloud) {
            (ApiCall::Operation { service, operation, input }, Cloud::Aws) => aws::answer(self, request, service, operation, input),
            (ApiCall::Http(http), Cloud::Azure) => azure::answer(self, request, http),
            (ApiCall::Http(http), Cloud::Gcp) => gcp::answer(self, http),
            (_, cloud) => Err(Stop::NotSimulated(format!("this form of call is none of {cloud}'s"))),
        };
        match answer {
            Ok(response) => Ok(response),
            Err(Stop::Fault(response)) => Ok(*response),
            Err(Stop::NotSimulated(reason)) => Err(ApiError::NotSent { call: request.name(), reason, retry: false }),
        }
    }

    /// Plays one call. The operation it starts, if it does, ends badly: then what the call wrote shows for as long as the write
    /// takes, and what was there before is back.
    pub(crate) fn answer_and_fail(&mut self, request: &ApiRequest) -> Result<(ApiResponse, bool), ApiError> {
        let before = self.resources.clone();
        self.started = None;
        let response = self.answer(request)?;
        let Some(operation) = self.started.take().and_then(|name| self.operations.get_mut(&name)) else { return Ok((response, false)) };
        operation.fails = true;
        for (key, resource) in &mut self.resources {
            let was = before.get(key);
            if was != Some(resource) {
                let value = was.map_or(Value::Null, |was| was.settled().clone());
                resource.pending = Some(Pending { reads: resource.pending.as_ref().map_or(0, |p| p.reads), value });
            }
        }
        for (key, was) in before {
            self.resources.entry(key).or_insert(was);
        }
        Ok((response, true))
    }

    /// Begins a long-running operation on a resource; polls show `body`.
    pub(crate) fn start(&mut self, name: String, target: &str, body: Value) {
        let operation = Operation { target: target.to_owned(), body, started: self.now, fails: false };
        self.operations.insert(name.clone(), operation);
        self.started = Some(name);
    }

    /// A resource as the next read shows it, without counting as one.
    pub(crate) fn peek(&self, cloud: Cloud, id: &str) -> Option<&Value> {
        self.resources.get(&key(cloud, id)).map(|r| &r.value)
    }

    /// A resource as a read shows it; what is pending comes one read nearer.
    pub(crate) fn read(&mut self, cloud: Cloud, id: &str) -> Option<Value> {
        let key = key(cloud, id);
        let resource = self.resources.get_mut(&key)?;
        resource.tick();
        if resource.value.is_null() {
            self.resources.remove(&key);
            return None;
        }
        Some(resource.value.clone())
    }

    /// A resource as it will stand when nothing is pending any more.
    pub(crate) fn settled(&self, cloud: Cloud, id: &str) -> Option<Value> {
        self.resources.get(&key(cloud, id)).map(Resource::settled).filter(|value| !value.is_null()).cloned()
    }

    /// Whether a write is still under way.
    pub(crate) fn is_pending(&self, cloud: Cloud, id: &str) -> bool {
        self.resources.get(&key(cloud, id)).is_some_and(|r| r.pending.is_some())
    }

    /// Stores a value, visible at once; what was pending is forgotten.
    pub(crate) fn write(&mut self, cloud: Cloud, id: &str, value: Value) {
        self.resources.insert(key(cloud, id), Resource { value, pending: None });
    }

    /// Shows `now` for the next `reads` reads, and `later` from then on.
    pub(crate) fn write_later(&mut self, cloud: Cloud, id: &str, now: Value, later: Value, reads: u32) {
        self.resources.insert(key(cloud, id), Resource { value: now, pending: Some(Pending { reads, value: later }) });
    }

    /// Removes a resource; in Azure with everything below it.
    pub(crate) fn remove(&mut self, cloud: Cloud, id: &str) -> bool {
        let (_, uid) = key(cloud, id);
        let existed = self.resources.remove(&(cloud, uid.clone())).is_some();
        if cloud == Cloud::Azure {
            let below = format!("{}/", uid.as_str());
            self.resources.retain(|(c, id), _| *c != cloud || !id.as_str().starts_with(&below));
        }
        existed
    }

    /// Visible values of one cloud whose canonical id starts with `prefix`, by id.
    pub(crate) fn list(&self, cloud: Cloud, prefix: &str) -> Vec<(String, &Value)> {
        let starts = |id: &ResourceUid| id.as_str().starts_with(prefix);
        self.resources
            .iter()
            .filter(|((c, id), _)| *c == cloud && starts(id))
            .map(|((_, id), r)| (id.as_str().to_owned(), &r.value))
            .collect()
    }

    /// The next number of this sandbox: for ids, etags and the like.
    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// New concurrency tokens for a value that was changed: those its service would give.
    pub(crate) fn touch(&mut self, cloud: Cloud, value: &mut Value) {
        match cloud {
            Cloud::Azure => azure::new_etag(self, value),
            Cloud::Gcp => gcp::new_tokens(self, value),
            Cloud::Aws => aws::new_revision(self, value),
        }
    }

    /// The present time as `2026-11-21T09:00:00.000Z`.
    pub(crate) fn now_text(&self) -> String {
        time_text(self.now)
    }
}

impl Resource {
    fn settled(&self) -> &Value {
        self.pending.as_ref().map_or(&self.value, |p| &p.value)
    }

    fn tick(&mut self) {
        match &mut self.pending {
            Some(pending) if pending.reads > 0 => pending.reads -= 1,
            _ => {
                if let Some(pending) = self.pending.take() {
                    self.value = pending.value;
                }
            }
        }
    }
}

/// Text of a member; empty when it is missing or no text.
pub(crate) fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a member of an object.
pub(crate) fn set(value: &mut Value, member: &str, new: impl Into<Value>) {
    if let Value::Object(map) = value {
        map.insert(member.to_owned(), new.into());
    }
}

/// Takes a member out of an object.
pub(crate) fn unset(value: &mut Value, member: &str) {
    if let Value::Object(map) = value {
        map.remove(member);
    }
}

/// Copies the members of `patch` over those of `target`, each whole.
pub(crate) fn merge_members(target: &mut Value, patch: &Value) {
    for (name, value) in patch.as_object().into_iter().flatten() {
        set(target, name, value.clone());
    }
}

/// JSON merge patch (RFC 7396): objects are merged at every depth, `null` removes, anything else replaces.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge_patch(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Milliseconds since the epoch as RFC 3339 in UTC.
pub(crate) fn time_text(at: Millis) -> String {
    let (days, ms) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    // Days to year, month and day in the proleptic Gregorian calendar, counted from March of the year 0.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}.{rest:03}Z")
}

/// An object out of an iterator of members.
pub(crate) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn key(cloud: Cloud, id: &str) -> (Cloud, ResourceUid) {
    (cloud, ResourceUid::canonical(cloud, id))
}
