//! What stanch did to a resource, as an OCSF Remediation Activity (class 7001): the record an auditor reads.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{CloudOut, Each, PROFILES, ResourceObservable, VERSION, entry, non_empty};
use crate::cloud::{Account, Cloud};
use crate::finding::{Millis, Severity};

const CLASS: u32 = 7001;
const CLASS_NAME: &str = "Remediation Activity";

/// One remediation step that was planned, taken or undone. Serialises as an OCSF 1.8.0 event of class 7001 with profile
/// `cloud`. OCSF gives the class no `resources` and no `finding_info`, so resources are observables and what is left goes
/// under `unmapped`. Secrets are removed by whoever fills it: every field is
/// written as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RemediationActivity {
    /// What kind of step (`activity_id`).
    pub kind: ActivityKind,
    /// How it ended (`status_id`).
    pub status: ActivityStatus,
    /// Why, or for [`ActivityStatus::Other`] the state in a word: `Planned` (`status_detail`).
    pub status_detail: Option<String>,
    /// Id of this execution, a UUID (`command_uid`).
    pub command_uid: String,
    /// Id of this event (`metadata.uid`).
    pub event_uid: Option<String>,
    /// Id of the remediation all its events share (`metadata.correlation_uid`).
    pub correlation_uid: Option<String>,
    /// `finding_info.uid` of the findings it answers. The first is `metadata.original_event_uid`; when there are more, all
    /// are under `unmapped.finding_uids`.
    pub finding_uids: Vec<String>,
    /// When it happened, milliseconds since the epoch.
    pub time: Millis,
    /// When the first call was made, milliseconds since the epoch.
    pub start_time: Option<Millis>,
    /// When the last call was answered, milliseconds since the epoch.
    pub end_time: Option<Millis>,
    /// Severity of the finding.
    pub severity: Severity,
    /// The cloud that was changed.
    pub cloud: Cloud,
    /// Subscription, account or project that was changed.
    pub account: Option<Account<'static>>,
    /// Region or location.
    pub region: Option<String>,
    /// Native ids of the resources acted on (observables of type 10).
    pub resource_uids: Vec<String>,
    /// One sentence for people.
    pub message: Option<String>,
    /// What the fix does (`remediation.desc`).
    pub remediation: Option<String>,
    /// The calls made, in order. OCSF has room for one: `api` is the last, which decided the outcome; when there are more,
    /// all are under `unmapped.calls`.
    pub calls: Vec<ActivityCall>,
    /// Who approved or started it (`unmapped.actor`; OCSF's own `actor` belongs to profile `host`).
    pub actor: Option<String>,
    /// Hash of the plan that was approved (`unmapped.plan_hash`).
    pub plan_hash: Option<String>,
    /// Name of the fix (`unmapped.fix`).
    pub fix: Option<String>,
    /// The settings before, sensitive values removed (`unmapped.before`).
    pub before: Option<Value>,
    /// The settings after (`unmapped.after`).
    pub after: Option<Value>,
}

/// The kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    /// Cut a resource off: a quarantine.
    Isolate,
    /// Remove an intruder's hold: disable a key, remove a user.
    Evict,
    /// Put the earlier state back: a rollback.
    Restore,
    /// Change a setting to a safer one: the ordinary fix.
    Harden,
    /// Keep evidence: a snapshot. OCSF counts it as other.
    Preserve,
}

impl ActivityKind {
    /// `activity_id`.
    pub fn id(self) -> u32 {
        match self {
            ActivityKind::Isolate => 1,
            ActivityKind::Evict => 2,
            ActivityKind::Restore => 3,
            ActivityKind::Harden => 4,
            ActivityKind::Preserve => 99,
        }
    }

    /// The OCSF caption; for what OCSF counts as other, our own.
    pub fn caption(self) -> &'static str {
        match self {
            ActivityKind::Isolate => "Isolate",
            ActivityKind::Evict => "Evict",
            ActivityKind::Restore => "Restore",
            ActivityKind::Harden => "Harden",
            ActivityKind::Preserve => "Preserve",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityStatus {
    /// Done and verified.
    Success,
    /// Not done.
    Failure,
    /// The resource is gone.
    DoesNotExist,
    /// Done in part, or done and not verified.
    Partial,
    /// There is no fix for it.
    Unsupported,
    /// It broke on the way.
    Error,
    /// Anything else, said in `status_detail`: `Planned`.
    Other,
}

impl ActivityStatus {
    /// `status_id`.
    pub fn id(self) -> u8 {
        match self {
            ActivityStatus::Success => 1,
            ActivityStatus::Failure => 2,
            ActivityStatus::DoesNotExist => 3,
            ActivityStatus::Partial => 4,
            ActivityStatus::Unsupported => 5,
            ActivityStatus::Error => 6,
            ActivityStatus::Other => 99,
        }
    }

    /// The OCSF caption.
    pub fn caption(self) -> &'static str {
        match self {
            ActivityStatus::Success => "Success",
            ActivityStatus::Failure => "Failure",
            ActivityStatus::DoesNotExist => "Does Not Exist",
            ActivityStatus::Partial => "Partial",
            ActivityStatus::Unsupported => "Unsupported",
            ActivityStatus::Error => "Error",
            ActivityStatus::Other => "Other",
        }
    }
}

/// One call to the cloud's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityCall {
    /// The operation: `PutPublicAccessBlock`, `PATCH /subscriptions/…`.
    pub operation: String,
    /// The service: `s3control`, `management.azure.com`.
    pub service: Option<String>,
    /// The provider's request id.
    pub request_uid: Option<String>,
    /// HTTP status of the answer.
    pub response_code: Option<u16>,
    /// The provider's error code, when the call failed.
    pub response_error: Option<String>,
    /// The provider's message, when the call failed.
    pub response_message: Option<String>,
}

impl Serialize for RemediationActivity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let (kind, detail) = (self.kind, self.status_detail.as_deref());
        map.serialize_entry("class_uid", &CLASS)?;
        map.serialize_entry("class_name", CLASS_NAME)?;
        map.serialize_entry("category_uid", &7)?;
        map.serialize_entry("category_name", "Remediation")?;
        map.serialize_entry("activity_id", &kind.id())?;
        map.serialize_entry("activity_name", kind.caption())?;
        map.serialize_entry("type_uid", &(CLASS * 100 + kind.id()))?;
        map.serialize_entry("type_name", &format_args!("{CLASS_NAME}: {}", kind.caption()))?;
        map.serialize_entry("metadata", &Metadata::of(self))?;
        map.serialize_entry("command_uid", &self.command_uid)?;
        map.serialize_entry("time", &self.time)?;
        entry(&mut map, "start_time", self.start_time)?;
        entry(&mut map, "end_time", self.end_time)?;
        map.serialize_entry("severity_id", &self.severity.id())?;
        map.serialize_entry("severity", self.severity.caption())?;
        map.serialize_entry("status_id", &self.status.id())?;
        let status = detail.filter(|_| self.status == ActivityStatus::Other).unwrap_or(self.status.caption());
        map.serialize_entry("status", status)?;
        entry(&mut map, "status_detail", detail)?;
        entry(&mut map, "message", self.message.as_deref())?;
        map.serialize_entry("cloud", &CloudOut::new(self.cloud, self.region.as_deref(), self.account.as_ref()))?;
        if !self.resource_uids.is_empty() {
            let uids = Each(|| self.resource_uids.iter().map(|uid| ResourceObservable::new("resource.uid", uid)));
            map.serialize_entry("observables", &uids)?;
        }
        entry(&mut map, "api", self.calls.last().map(Api::of))?;
        entry(&mut map, "remediation", self.remediation.as_deref().and_then(non_empty).map(|desc| Remediation { desc }))?;
        if let Some(unmapped) = Unmapped::of(self) {
            map.serialize_entry("unmapped", &unmapped)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Metadata<'e> {
    version: &'static str,
    profiles: &'static [&'static str],
    product: Product,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_event_uid: Option<&'e str>,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

impl<'e> Metadata<'e> {
    fn of(activity: &'e RemediationActivity) -> Self {
        Metadata {
            version: VERSION,
            profiles: PROFILES,
            product: Product { name: "stanch", vendor_name: "stanch", version: env!("CARGO_PKG_VERSION") },
            uid: activity.event_uid.as_deref(),
            correlation_uid: activity.correlation_uid.as_deref(),
            original_event_uid: activity.finding_uids.first().map(String::as_str),
        }
    }
}

#[derive(Serialize)]
struct Remediation<'e> {
    desc: &'e str,
}

#[derive(Serialize)]
struct Api<'e> {
    operation: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'e>>,
}

#[derive(Serialize)]
struct Service<'e> {
    name: &'e str,
}

#[derive(Serialize)]
struct Request<'e> {
    uid: &'e str,
}

#[derive(Serialize)]
struct Response<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
}

impl<'e> Api<'e> {
    fn of(call: &'e ActivityCall) -> Self {
        let answered = call.response_code.is_some() || call.response_error.is_some() || call.response_message.is_some();
        Api {
            operation: &call.operation,
            service: call.service.as_deref().map(|name| Service { name }),
            request: call.request_uid.as_deref().map(|uid| Request { uid }),
            response: answered.then_some(Response {
                code: call.response_code,
                error: call.response_error.as_deref(),
                message: call.response_message.as_deref(),
            }),
        }
    }
}

#[derive(Serialize)]
struct Unmapped<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<&'e str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    finding_uids: &'e [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<Api<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'e Value>,
}

impl<'e> Unmapped<'e> {
    fn of(a: &'e RemediationActivity) -> Option<Self> {
        let out = Unmapped {
            actor: a.actor.as_deref(),
            fix: a.fix.as_deref(),
            plan_hash: a.plan_hash.as_deref(),
            finding_uids: if a.finding_uids.len() > 1 { &a.finding_uids } else { &[] },
            calls: if a.calls.len() > 1 { a.calls.iter().map(Api::of).collect() } else { Vec::new() },
            before: a.before.as_ref(),
            after: a.after.as_ref(),
        };
        let scalars = out.actor.is_none() && out.fix.is_none() && out.plan_hash.is_none();
        let empty = scalars && out.finding_uids.is_empty() && out.calls.is_empty() && out.before.is_none() && out.after.is_none();
        (!empty).then_some(out)
    }
}
