//! Values: JSON, findings and resources as CEL sees them, read where they lie.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::{self, Container, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Kind, MAP_TYPE, Type};
use cel::common::value::{Builtin, BuiltinRef, CowVal, Val};
use serde_json::{Map, Number, Value};

use super::dialect::{FINDING, RESOURCE};
use crate::cloud::{Cloud, Resource, Text};
use crate::finding::{Activity, ComplianceStatus, Finding, FindingStatus};

type Boxed<'v> = Box<dyn Val + 'v>;

const MAP: &Type = &MAP_TYPE;
const DAY_MS: f64 = 86_400_000.0;

/// A JSON value; objects stay where they are, lists become a list of borrowed elements.
pub(super) fn json(value: &Value) -> Boxed<'_> {
    match value {
        Value::Null => null(),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Number(n) => number(n),
        Value::String(s) => text(s),
        Value::Array(items) => list(items.iter().map(json)),
        Value::Object(map) => Object::boxed(Source::Json(map)),
    }
}

/// A JSON value that nobody else keeps.
pub(super) fn owned<'v>(value: Value) -> Boxed<'v> {
    match value {
        Value::Null => null(),
        Value::Bool(b) => Box::new(CelBool::from(b)),
        Value::Number(n) => number(&n),
        Value::String(s) => Box::new(CelString::from(s)),
        Value::Array(items) => Box::new(CelList::from(items.into_iter().map(owned).collect::<Vec<_>>())),
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| (CelMapKey::from(key), owned(value)));
            Box::new(CelMap::from(entries.collect::<HashMap<CelMapKey<'v>, Boxed<'v>>>()))
        }
    }
}

/// A finding's attributes.
pub(super) fn finding<'v>(finding: &'v Finding<'v>, now: Option<i64>) -> Boxed<'v> {
    Object::boxed(Source::Finding(finding, now))
}

/// A resource's attributes.
pub(super) fn resource<'v>(resource: &'v Resource<'v>) -> Boxed<'v> {
    Object::boxed(Source::Resource(resource))
}

/// The boolean, if it is one.
pub(super) fn boolean(value: &dyn Val) -> Option<bool> {
    value.downcast_ref::<CelBool>().map(|b| *b.inner())
}

/// The kind of a value with its article, for messages.
pub(super) fn kind_of(value: &dyn Val) -> Cow<'static, str> {
    match value.get_type().kind() {
        Kind::NullType => "null".into(),
        Kind::Boolean => "a boolean".into(),
        Kind::Int | Kind::UInt => "a whole number".into(),
        Kind::Double => "a number".into(),
        Kind::String => "text".into(),
        Kind::List => "a list".into(),
        Kind::Map => "a map".into(),
        _ => format!("a value of type `{}`", value.get_type().name()).into(),
    }
}

/// Back to JSON. Errors: a number that is not finite, a map key that is no text, bytes and types.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, String> {
    let unfit = || format!("the result must be JSON, and {} is not", kind_of(value));
    if value.get_type().kind() == Kind::NullType {
        return Ok(Value::Null);
    }
    if let Some(b) = boolean(value) {
        return Ok(Value::Bool(b));
    }
    if let Some(s) = value.downcast_ref::<CelString>() {
        return Ok(Value::String(s.inner().to_owned()));
    }
    if let Some(i) = value.downcast_ref::<CelInt>() {
        return Ok(Value::from(*i.inner()));
    }
    if let Some(u) = value.downcast_ref::<CelUInt>() {
        return Ok(Value::from(*u.inner()));
    }
    if let Some(d) = value.downcast_ref::<CelDouble>() {
        return Number::from_f64(*d.inner()).map(Value::Number).ok_or_else(|| "the result is not a finite number".to_owned());
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        let mut entries = map.inner().iter().map(|(key, value)| member(key, value.as_ref())).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        return Ok(Value::Object(entries.into_iter().collect()));
    }
    if value.get_type().kind() != Kind::List {
        return Err(unfit());
    }
    let mut items = value.as_iterable().ok_or_else(unfit)?.iter();
    let mut out = Vec::new();
    while let Some(item) = items.next() {
        out.push(to_json(item)?);
    }
    Ok(Value::Array(out))
}

/// A map that is read in place. It becomes a `CelMap` (of values that still borrow) only where an operator needs one: equality
/// and conversion.
#[derive(Debug)]
struct Object<'v> {
    source: Source<'v>,
    keys: OnceLock<Vec<CelString<'v>>>,
    map: OnceLock<CelMap<'v>>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'v> {
    Json(&'v Map<String, Value>),
    Finding(&'v Finding<'v>, Option<i64>),
    Resource(&'v Resource<'v>),
    Tags(&'v Resource<'v>),
}

impl<'v> Source<'v> {
    /// The value of a key that is there and not null.
    fn get(self, key: &str) -> Option<Boxed<'v>> {
        match self {
            Source::Json(map) => map.get(key).map(json),
            Source::Finding(finding, now) => finding_attribute(finding, now, key),
            Source::Resource(resource) => resource_attribute(resource, key),
            Source::Tags(resource) => tag(resource, key).map(text),
        }
    }

    fn keys(self) -> Vec<&'v str> {
        match self {
            Source::Json(map) => map.keys().map(String::as_str).collect(),
            Source::Finding(..) => FINDING.iter().copied().filter(|key| self.get(key).is_some()).collect(),
            Source::Resource(_) => RESOURCE.iter().copied().filter(|key| self.get(key).is_some()).collect(),
            Source::Tags(resource) => {
                let mut keys: Vec<&str> = resource.tags.iter().map(|(key, _)| key.as_ref()).collect();
                keys.sort_unstable();
                keys.dedup();
                keys
            }
        }
    }
}

impl<'v> Object<'v> {
    fn new(source: Source<'v>) -> Self {
        Object { source, keys: OnceLock::new(), map: OnceLock::new() }
    }

    fn boxed(source: Source<'v>) -> Boxed<'v> {
        Box::new(Object::new(source))
    }

    fn keys(&self) -> &[CelString<'v>] {
        self.keys.get_or_init(|| self.source.keys().into_iter().map(CelString::from).collect())
    }

    fn map(&self) -> &CelMap<'v> {
        self.map.get_or_init(|| self.to_map())
    }

    fn to_map(&self) -> CelMap<'v> {
        let entries = self.source.keys().into_iter().filter_map(|key| Some((CelMapKey::from(key), self.source.get(key)?)));
        CelMap::from(entries.collect::<HashMap<CelMapKey<'v>, Boxed<'v>>>())
    }

    /// Keys are text: any other key type a map can have is simply not there.
    fn find(&self, key: &dyn Val) -> Result<Option<Boxed<'v>>, ExecutionError> {
        match key.get_type().kind() {
            Kind::Boolean | Kind::Int | Kind::UInt | Kind::Double => Ok(None),
            _ => key
                .downcast_ref::<CelString>()
                .map(|key| self.source.get(key.inner()))
                .ok_or_else(|| ExecutionError::UnexpectedType { got: key.get_type().name().to_owned(), want: "map key".to_owned() }),
        }
    }
}

impl Val for Object<'_> {
    fn get_type(&self) -> &Type {
        MAP
    }

    fn cel_type() -> &'static Type {
        MAP
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.map().equals(other)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Object::boxed(self.source)
    }

    // The next two make an `Object` pass for a `CelMap` where cel downcasts: the right side of `==`, elements of `in`.
    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::Map(self.map())
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Some(Builtin::Map(self.to_map()))
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        match (self.source, key.downcast_ref::<CelString>()) {
            (Source::Json(map), Some(key)) => Ok(map.contains_key(key.inner())),
            _ => self.find(key).map(|value| value.is_some()),
        }
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.find(key).map(|value| CowVal::Owned(value.unwrap_or_else(null)))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.find(key).map(|value| -> Box<dyn Val + 'w> { value.unwrap_or_else(null) })
    }
}

impl Iterable for Object<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Keys(self.keys().iter()))
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.keys().len() as i64)
    }
}

impl Zeroer for Object<'_> {
    fn is_zero_value(&self) -> bool {
        self.keys().is_empty()
    }
}

struct Keys<'b, 'v>(std::slice::Iter<'b, CelString<'v>>);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Keys<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|key| key as &(dyn Val + 'w))
    }
}

fn finding_attribute<'v>(finding: &'v Finding<'v>, now: Option<i64>, name: &str) -> Option<Boxed<'v>> {
    let compliance = finding.compliance.as_ref();
    match name {
        "source" => Some(text(finding.source.as_str())),
        "class" => Some(text(finding.class.as_str())),
        "activity" => Some(text(activity(finding.activity))),
        "uid" => Some(text(&finding.uid)),
        "title" => Some(text(&finding.title)),
        "desc" => optional(finding.desc.as_ref()),
        "rule" => optional(finding.rule.as_ref()),
        "policy" => optional(finding.policy.as_ref()),
        "types" => Some(texts(&finding.types)),
        "severity" => Some(Box::new(CelInt::from(i64::from(finding.severity.id())))),
        "severity_original" => optional(finding.severity_original.as_ref()),
        "status" => Some(text(status(finding.status))),
        "cloud" => Some(text(finding.cloud.as_str())),
        "account" => finding.account.as_ref().map(|a| text(&a.uid)),
        "account_name" => optional(finding.account.as_ref().and_then(|a| a.name.as_ref())),
        "region" => optional(finding.region.as_ref()),
        "control" => optional(compliance.and_then(|c| c.control.as_ref())),
        "standards" => Some(texts(compliance.map(|c| c.standards.as_slice()).unwrap_or_default())),
        "compliance_status" => compliance.map(|c| text(compliance_status(c.status))),
        "cves" => Some(list(finding.vulnerabilities.iter().filter_map(|v| optional(v.cve.as_ref())))),
        "product" => Some(text(&finding.product.name)),
        "sample" => Some(Box::new(CelBool::from(finding.sample))),
        "age_days" => age_days(finding, now?),
        "risk_level" => optional(finding.risk.as_ref().and_then(|r| r.level.as_ref())),
        "resource_count" => Some(Box::new(CelInt::from(finding.resources.len() as i64))),
        _ => None,
    }
}

fn resource_attribute<'v>(resource: &'v Resource<'v>, name: &str) -> Option<Boxed<'v>> {
    match name {
        "cloud" => Some(text(resource.cloud.as_str())),
        "uid" => Some(text(&resource.uid)),
        "kind" => optional(resource.kind.as_ref()),
        "name" => optional(resource.name.as_ref()),
        "account" => resource.account.as_ref().map(|a| text(&a.uid)),
        "region" => optional(resource.region.as_ref()),
        "tags" => Some(Object::boxed(Source::Tags(resource))),
        _ => None,
    }
}

/// Azure's tag names ignore case; those of AWS and Google do not.
fn tag<'v>(resource: &'v Resource<'v>, name: &str) -> Option<&'v str> {
    let exact = resource.tags.iter().find(|(key, _)| key == name);
    let found = exact.or_else(|| {
        (resource.cloud == Cloud::Azure).then(|| resource.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))).flatten()
    });
    found.map(|(_, value)| value.as_ref())
}

fn age_days<'v>(finding: &Finding<'_>, now: i64) -> Option<Boxed<'v>> {
    let since = finding.created.or(finding.first_seen).or(finding.time)?;
    let age = now.saturating_sub(since).max(0) as f64 / DAY_MS;
    Some(Box::new(CelDouble::from(age)))
}

fn activity(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "create",
        Activity::Update => "update",
        Activity::Close => "close",
    }
}

fn status(status: FindingStatus) -> &'static str {
    match status {
        FindingStatus::Unknown => "unknown",
        FindingStatus::New => "new",
        FindingStatus::InProgress => "in-progress",
        FindingStatus::Suppressed => "suppressed",
        FindingStatus::Resolved => "resolved",
        FindingStatus::Archived => "archived",
        FindingStatus::Deleted => "deleted",
    }
}

fn compliance_status(status: ComplianceStatus) -> &'static str {
    match status {
        ComplianceStatus::Unknown => "unknown",
        ComplianceStatus::Pass => "pass",
        ComplianceStatus::Warning => "warning",
        ComplianceStatus::Fail => "fail",
    }
}

pub(super) fn null<'v>() -> Boxed<'v> {
    Box::new(CelNull)
}

fn text(text: &str) -> Boxed<'_> {
    Box::new(CelString::from(text))
}

fn optional<'v>(value: Option<&'v Text<'v>>) -> Option<Boxed<'v>> {
    value.map(|t| text(t))
}

fn texts<'v>(values: &'v [Text<'v>]) -> Boxed<'v> {
    list(values.iter().map(|t| text(t)))
}

fn list<'v>(items: impl Iterator<Item = Boxed<'v>>) -> Boxed<'v> {
    Box::new(CelList::from(items.collect::<Vec<_>>()))
}

fn number<'v>(number: &Number) -> Boxed<'v> {
    if let Some(i) = number.as_i64() {
        Box::new(CelInt::from(i))
    } else if let Some(u) = number.as_u64() {
        Box::new(CelUInt::from(u))
    } else {
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

fn member(key: &CelMapKey<'_>, value: &dyn Val) -> Result<(String, Value), String> {
    match key {
        CelMapKey::String(key) => Ok((key.inner().to_owned(), to_json(value)?)),
        other => Err(format!("a map in the result must have text keys, and this has {} as a key", kind_of(other.inner()))),
    }
}
