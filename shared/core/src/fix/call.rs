//! Calls of a fix: `ec2.DescribeInstances` with its input, or `PATCH <path>?api-version=…` with its body.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Fix, Template};
use crate::api::{ApiCall, ApiFault, ApiRequest, ApiResponse, HttpCall, Method};
use crate::cloud::Cloud;
use crate::expr::{Expr, ExprError, Scope};
use crate::plan::{Late, LateSource, PlanError, SEALED, Snapshot};
use crate::target::Target;

/// A compiled call.
#[derive(Clone, Debug)]
pub(crate) enum CallSpec {
    Operation { service: String, operation: String, input: Template },
    Http { method: Method, host: String, path: Template, query: Template, headers: Template, body: Option<Template> },
}

impl CallSpec {
    /// What stays open until the call is sent.
    pub(crate) fn late(&self) -> Vec<&LateSource> {
        let mut late = Vec::new();
        match self {
            CallSpec::Operation { input, .. } => input.late(&mut late),
            CallSpec::Http { query, headers, body, .. } => {
                [Some(query), Some(headers), body.as_ref()].into_iter().flatten().for_each(|part| part.late(&mut late));
            }
        }
        late
    }

    /// Whether the vendor's name of the call says that it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        match self {
            CallSpec::Operation { operation, .. } => ["Describe", "Get", "Head", "List"].iter().any(|verb| operation.starts_with(verb)),
            CallSpec::Http { method, .. } => matches!(method, Method::Get | Method::Head),
        }
    }

    /// Evaluates the call on a target.
    pub(crate) fn eval(&self, target: &Target, scope: &Scope<'_>) -> Result<(ApiRequest, Vec<Late>), ExprError> {
        let mut late = Vec::new();
        let call = match self {
            CallSpec::Operation { service, operation, input } => ApiCall::Operation {
                service: service.clone(),
                operation: operation.clone(),
                input: object(input.eval(scope, "/input", &mut late)?),
            },
            CallSpec::Http { method, host, path, query, headers, body } => ApiCall::Http(HttpCall {
                method: *method,
                host: host.clone(),
                path: path.eval_path(scope)?,
                query: texts(query.eval(scope, "/query", &mut late)?),
                headers: texts(headers.eval(scope, "/headers", &mut late)?),
                body: match body {
                    Some(body) => body.eval(scope, "/body", &mut late)?,
                    None => None,
                },
            }),
        };
        let request =
            ApiRequest { cloud: target.cloud, account: target.account.clone(), region: target.region.clone(), correlation: None, call };
        Ok((request, late))
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn texts(value: Option<Value>) -> BTreeMap<String, String> {
    object(value)
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            Value::Null => (name, String::new()),
            other => (name, other.to_string()),
        })
        .collect()
}

/// What one read gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It is in the snapshot now.
    Taken,
    /// The resource itself is gone.
    Gone,
}

/// Codes of a missing page: a list that goes on is not a list we can reason about.
const MORE: &[&str] = &["NextToken", "nextToken", "nextLink", "nextPageToken", "NextMarker"];

/// The member of an answer that says the list goes on.
pub(crate) fn more_pages(body: &Value) -> Option<&'static str> {
    MORE.iter().copied().find(|member| body.get(member).and_then(Value::as_str).is_some_and(|text| !text.is_empty()))
}

/// Whether a fault is one of these codes, or has one of these statuses.
pub fn is_listed(codes: &[String], fault: &ApiFault, status: u16) -> bool {
    codes.iter().any(|code| *code == fault.code || code.parse() == Ok(status))
}

impl Fix {
    /// How many reads it makes.
    pub fn reads(&self) -> usize {
        self.observe.len()
    }

    /// The request of read `index`; earlier reads are in `snapshot`.
    pub fn read(&self, index: usize, target: &Target, params: &Map<String, Value>, snapshot: &Snapshot) -> Result<ApiRequest, PlanError> {
        let step = self.observe.get(index).ok_or(PlanError::NoSuchRead)?;
        let params = Value::Object(params.clone());
        let scope = Fix::scope(target, &params, &snapshot.values);
        let (request, late) = step.call.eval(target, &scope).map_err(|e| self.error(&format!("observe `{}`", step.name), e))?;
        if late.is_empty() { Ok(request) } else { Err(PlanError::LateRead { fix: self.name.clone(), read: step.name.clone() }) }
    }

    /// Takes what the fix needs out of an answer, into the snapshot; nothing else is kept.
    pub fn take(&self, index: usize, response: &ApiResponse, snapshot: &mut Snapshot) -> Result<Observed, PlanError> {
        let step = self.observe.get(index).ok_or(PlanError::NoSuchRead)?;
        let name = || format!("observe `{}`", step.name);
        if let Some(fault) = &response.fault {
            let listed = |codes: &[String]| is_listed(codes, fault, response.status);
            if listed(&step.absent) {
                snapshot.values.insert(step.name.clone(), Value::Null);
                return Ok(Observed::Taken);
            }
            if listed(&step.gone) {
                return Ok(Observed::Gone);
            }
            return Err(PlanError::Read {
                fix: self.name.clone(),
                read: step.name.clone(),
                status: response.status,
                code: fault.code.clone(),
                message: fault.message.clone(),
            });
        }
        if let Some(more) = more_pages(&response.body) {
            return Err(PlanError::MorePages { fix: self.name.clone(), read: step.name.clone(), member: more.to_owned() });
        }
        if holds_marker(&response.body) {
            return Err(PlanError::Reserved { fix: self.name.clone(), read: step.name.clone() });
        }
        let headers: Value = response.headers.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<Map<_, _>>().into();
        let values = Value::Object(snapshot.values.clone());
        let mut scope = Scope::new().json("response", &response.body).json("header", &headers);
        if let Value::Object(values) = &values {
            for (name, value) in values {
                scope = scope.json(name, value);
            }
        }
        let mut value = super::present(step.take.eval(&scope).map_err(|e| self.error(&name(), e))?).unwrap_or(Value::Null);
        if step.unordered {
            sort(&mut value);
        }
        for path in &step.sensitive {
            seal(&step.name, path, &mut value, &mut snapshot.sealed);
        }
        let mut tokens = BTreeMap::new();
        for (token, expr) in &step.tokens {
            match expr.eval(&scope).map_err(|e| self.error(&name(), e))? {
                Value::String(text) => drop(tokens.insert(token.clone(), Value::String(text))),
                Value::Number(number) => drop(tokens.insert(token.clone(), Value::String(number.to_string()))),
                _ => return Err(PlanError::NoToken { fix: self.name.clone(), read: step.name.clone(), token: token.clone() }),
            }
        }
        snapshot.tokens.insert(step.name.clone(), tokens);
        snapshot.values.insert(step.name.clone(), value);
        Ok(Observed::Taken)
    }

    /// Whether the waited-for condition holds in a snapshot.
    pub fn is_settled(&self, target: &Target, params: &Map<String, Value>, snapshot: &Snapshot) -> Result<bool, PlanError> {
        self.holds(self.wait_until.as_ref(), "wait", target, params, snapshot)
    }

    /// Whether the fix's own `verify` holds in a snapshot and the fault is gone.
    pub fn is_proved(&self, target: &Target, params: &Map<String, Value>, snapshot: &Snapshot) -> Result<bool, PlanError> {
        let fault = self.holds(Some(&self.when), "when", target, params, snapshot)?;
        Ok(!fault && self.holds(self.verify.as_ref(), "verify", target, params, snapshot)?)
    }

    fn holds(
        &self,
        expr: Option<&Expr>,
        what: &str,
        target: &Target,
        params: &Map<String, Value>,
        snapshot: &Snapshot,
    ) -> Result<bool, PlanError> {
        let Some(expr) = expr else { return Ok(true) };
        let params = Value::Object(params.clone());
        expr.test(&Fix::scope(target, &params, &snapshot.values)).map_err(|e| self.error(what, e))
    }

    /// The variables of an evaluation: `resource`, `param` and what was observed.
    pub(crate) fn scope<'v>(target: &'v Target, params: &'v Value, values: &'v Map<String, Value>) -> Scope<'v> {
        let mut scope = Scope::new().json("resource", &target.value).json("param", params);
        for (name, value) in values {
            scope = scope.json(name, value);
        }
        scope
    }

    pub(crate) fn error(&self, part: &str, source: ExprError) -> PlanError {
        PlanError::Expression { fix: self.name.clone(), part: part.to_owned(), source: Box::new(source) }
    }

    /// The host of Azure Resource Manager unless the call names one.
    pub(crate) fn default_host(cloud: Cloud) -> Option<&'static str> {
        matches!(cloud, Cloud::Azure).then_some("management.azure.com")
    }
}

fn holds_marker(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(SEALED) || map.values().any(holds_marker),
        Value::Array(list) => list.iter().any(holds_marker),
        _ => false,
    }
}

/// A set-like list in one order, so that the same set has the same hash.
fn sort(value: &mut Value) {
    if let Value::Array(list) = value {
        list.sort_by_cached_key(|v| serde_json_canonicalizer::to_string(v).unwrap_or_default());
    }
}

/// Replaces a sensitive value by its digest; the value itself goes to the sealed ones.
fn seal(read: &str, path: &str, value: &mut Value, sealed: &mut BTreeMap<String, Value>) {
    let pointer = if path.is_empty() { String::new() } else { format!("/{}", path.replace('.', "/")) };
    if let Some(slot) = value.pointer_mut(&pointer)
        && !slot.is_null()
    {
        let reference = if path.is_empty() { read.to_owned() } else { format!("{read}.{path}") };
        let digest = crate::digest::sha256_hex(format!("{reference}\0{slot}").as_bytes());
        let marker = serde_json::json!({ SEALED: reference, "sha256": digest });
        sealed.insert(reference, std::mem::replace(slot, marker));
    }
}
