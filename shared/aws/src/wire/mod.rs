//! Operations on the wire: `(service, operation, input)` to an HTTP request, and an HTTP answer to JSON under the names of
//! the service model. The five protocols of AWS differ in naming and nesting only; a generated table tells them apart.

mod check;
mod fault;
mod json;
mod query;
mod rest;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod xml;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Number, Value};
use stanch_core::api::{ApiFault, ApiResponse};

use table::{Fill, Kind, Operation, Protocol, Ref, Scalar, Service, TimeFormat};

/// What AWS leaves unescaped everywhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Headers of an answer that a response keeps.
const KEPT_HEADERS: &[&str] = &["etag", "location", "retry-after", "x-amz-bucket-region"];

/// A request before it has a host and a signature.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WireRequest {
    pub(crate) method: &'static str,
    /// Percent-encoded path.
    pub(crate) path: String,
    /// Percent-encoded query, without `?`.
    pub(crate) query: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What stands in front of the host name: `123456789012.`.
    pub(crate) host_prefix: String,
    /// The bucket at the start of the path, for S3.
    pub(crate) bucket: Option<String>,
}

/// Judges an operation's input before anything is sent: unknown members (with the nearest known one), missing required
/// members, wrong types. The error lists every fault found, one sentence each.
pub fn check_input(service: &str, operation: &str, input: &Map<String, Value>) -> Result<(), Vec<String>> {
    let (service, operation) = find(service, operation).map_err(|fault| vec![fault])?;
    let faults = check::check(service, operation, input);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Whether the table knows the operation, such as (`ec2`, `DescribeInstances`).
pub fn operation_exists(service: &str, operation: &str) -> bool {
    find(service, operation).is_ok()
}

/// Whether the operation only reads: its name starts with `Get`, `List`, `Describe` or `Head`. Unknown operations do not.
pub fn is_read(service: &str, operation: &str) -> bool {
    let verb = |verb: &str| operation.strip_prefix(verb).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    operation_exists(service, operation) && ["Get", "List", "Describe", "Head"].into_iter().any(verb)
}

/// Finds an operation, or says which one may have been meant.
pub(crate) fn find(service: &str, operation: &str) -> Result<(&'static Service, &'static Operation), String> {
    let known = table::service(service).ok_or_else(|| format!("unknown service `{service}`"))?;
    let found = known.operations.get(operation).ok_or_else(|| match check::nearest(operation, known.operations.keys().copied()) {
        Some(near) => format!("unknown operation `{service}.{operation}`, did you mean `{near}`?"),
        None => format!("unknown operation `{service}.{operation}`"),
    })?;
    Ok((known, found))
}

/// Puts an operation on the wire. `account` is stated wherever the service lets the caller name the account that is meant;
/// an input that names another one is refused. The error lists every fault of the input.
pub(crate) fn encode(service: &str, operation: &str, input: &Map<String, Value>, account: &str) -> Result<WireRequest, Vec<String>> {
    let (known, op) = find(service, operation).map_err(|fault| vec![fault])?;
    let mut input = input.clone();
    let mut faults = fill_account(known, op, &mut input, account);
    faults.extend(check::check(known, op, &input));
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut out = WireRequest { method: op.method, path: "/".to_owned(), ..WireRequest::default() };
    match known.protocol {
        Protocol::Query | Protocol::Ec2 => {
            out.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned()));
            out.body = query::body(known, operation, op, &input).into_bytes();
        }
        Protocol::Json => {
            out.headers.push(("content-type".to_owned(), format!("application/x-amz-json-{}", known.json.unwrap_or("1.1"))));
            out.headers.push(("x-amz-target".to_owned(), format!("{}.{operation}", known.target.unwrap_or_default())));
            let members = op.input.as_ref().map(|shape| json::encode_members(known, shape.shape, &input)).unwrap_or_default();
            out.body = Value::Object(members).to_string().into_bytes();
        }
        Protocol::RestJson | Protocol::RestXml => rest::encode(known, op, &input, &mut out),
    }
    if op.md5 {
        out.headers.push(("content-md5".to_owned(), BASE64.encode(Md5::digest(&out.body))));
    }
    if let Some(prefix) = op.host {
        out.host_prefix = input.iter().fold(prefix.to_owned(), |host, (name, value)| match value.as_str() {
            Some(text) => host.replace(&format!("{{{name}}}"), text),
            None => host,
        });
    }
    if service == "s3" {
        out.bucket = input.get("Bucket").and_then(Value::as_str).map(str::to_owned);
    }
    match out.headers.iter().find(|(_, value)| value.contains(|c: char| c.is_control())) {
        Some((name, _)) => Err(vec![format!("the value of header `{name}` has a control character")]),
        None => Ok(out),
    }
}

/// Reads an answer. `headers` have lower-case names. A success nobody can read is an error: what became of the call is unknown.
pub(crate) fn decode(
    service: &str,
    operation: &str,
    status: u16,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<ApiResponse, String> {
    let (known, op) = find(service, operation)?;
    let text = String::from_utf8_lossy(body);
    let mut response = ApiResponse {
        status,
        headers: headers.iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect(),
        request_id: ["x-amzn-requestid", "x-amz-request-id"].iter().find_map(|name| headers.get(*name)).cloned(),
        ..ApiResponse::default()
    };
    let is_json = matches!(known.protocol, Protocol::Json | Protocol::RestJson);
    let root = if is_json || text.trim().is_empty() { None } else { Some(xml::parse(&text)) };
    if let (None, Some(Ok(root))) = (&response.request_id, &root) {
        response.request_id = request_id(root);
    }
    if !(200..300).contains(&status) {
        response.fault = Some(fault::read(known.protocol, status, headers, &text));
        return Ok(response);
    }
    if let Some(Ok(root)) = &root
        && let Some(fault) = fault::document(root)
    {
        // S3 may find out that it failed after it has said 200.
        response.fault = Some(fault);
        return Ok(response);
    }
    let Some(shape) = op.output else { return Ok(response) };
    let mut out = rest::bound(known, shape, status, headers);
    if let Some(payload) = op.output_payload
        && let Some((_, member)) = known.members(shape).find(|(name, _)| *name == payload)
    {
        if !body.is_empty() {
            out.insert(payload.to_owned(), decode_payload(known, member, body, root)?);
        }
    } else if is_json && !text.trim().is_empty() {
        let value = serde_json::from_str(&text).map_err(|e| format!("an unreadable answer: {e}"))?;
        out.extend(object(json::decode(known, shape, value)));
    } else if let Some(root) = root {
        let root = root.map_err(|e| format!("an unreadable answer: {e}"))?;
        out.extend(decode_root(known, op, shape, &root));
    }
    response.body = Value::Object(out);
    Ok(response)
}

/// A scalar as text of a form, path, query, header or element.
fn scalar_text(scalar: Scalar, value: &Value) -> String {
    let value = match scalar {
        Scalar::Timestamp(format) => &timestamp(format, value),
        Scalar::Integer => &integral(value).map_or_else(|| value.clone(), Value::from),
        _ => value,
    };
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A scalar of a header or element, typed; text where the type does not fit, so that nothing is lost.
fn scalar_value(scalar: Scalar, text: &str) -> Value {
    let trimmed = text.trim();
    let typed = match scalar {
        Scalar::Integer => trimmed.parse::<i64>().ok().map(Value::from),
        Scalar::Float => trimmed.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Scalar::Boolean => [true, false].into_iter().find(|known| trimmed.eq_ignore_ascii_case(&known.to_string())).map(Value::Bool),
        Scalar::String | Scalar::Blob | Scalar::Document | Scalar::Timestamp(_) => None,
    };
    typed.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A number without a fraction; expressions may compute `5.0` where `5` is meant.
fn integral(value: &Value) -> Option<i64> {
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

/// A time in the form the service wants; what cannot be read stays as it is.
fn timestamp(format: TimeFormat, value: &Value) -> Value {
    let time = match value {
        Value::String(text) => text.parse::<Timestamp>().ok(),
        other => other.as_f64().and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()),
    };
    match (format, time) {
        (TimeFormat::Iso8601, Some(time)) => Value::String(time.to_string()),
        (TimeFormat::Unix, Some(time)) if time.subsec_nanosecond() == 0 => Value::from(time.as_second()),
        (TimeFormat::Unix, Some(time)) => Value::from(time.as_millisecond() as f64 / 1000.0),
        (TimeFormat::Rfc822, Some(time)) => Value::String(time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        (_, None) => value.clone(),
    }
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn fill_account(service: &Service, operation: &Operation, input: &mut Map<String, Value>, account: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, member) in service.members(operation.input.as_ref().map_or("", |input| input.shape)) {
        if member.fill != Some(Fill::Account) {
            continue;
        }
        let stated = input.entry(name).or_insert_with(|| account.into());
        if stated.as_str() != Some(account) {
            faults.push(format!("member `{name}` names account {stated}, the call is for `{account}`"));
        }
    }
    faults
}

fn decode_payload(service: &Service, member: &Ref, body: &[u8], root: Option<Result<xml::Node, String>>) -> Result<Value, String> {
    let unreadable = |e: String| format!("an unreadable answer: {e}");
    match service.kind(member.shape) {
        Kind::Scalar(Scalar::Blob) => Ok(BASE64.encode(body).into()),
        Kind::Scalar(_) => String::from_utf8(body.to_vec()).map(Value::String).map_err(|e| unreadable(e.to_string())),
        _ if service.protocol == Protocol::RestXml => {
            let root = root.unwrap_or_else(|| Err("nothing but blanks".to_owned())).map_err(unreadable)?;
            Ok(xml::decode(service, member, &root))
        }
        _ => {
            let value = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
            Ok(json::decode(service, member.shape, value))
        }
    }
}

fn decode_root(service: &Service, operation: &Operation, shape: &str, root: &xml::Node) -> Map<String, Value> {
    let inner = operation.wrapper.and_then(|wrapper| root.child(wrapper)).unwrap_or(root);
    // GetBucketLocation answers with its only member as the root.
    let mut members = service.members(shape);
    if let (Some((name, member)), None) = (members.next(), members.next())
        && root.children.is_empty()
        && root.name == member.wire(name)
    {
        let value = Some(xml::decode(service, member, root)).filter(|value| value.as_str() != Some(""));
        return value.map(|value| (name.to_owned(), value)).into_iter().collect();
    }
    xml::decode_members(service, shape, inner)
}

fn request_id(root: &xml::Node) -> Option<String> {
    let metadata = root.child("ResponseMetadata");
    let holders = metadata.into_iter().chain([root]);
    let mut ids = holders.flat_map(|node| ["RequestId", "requestId", "RequestID"].into_iter().filter_map(|name| node.child_text(name)));
    ids.next().map(str::to_owned)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The fault of an answer with advice a person can act on.
pub(crate) fn with_hint(fault: &mut ApiFault) {
    if matches!(fault.code.as_str(), "RequestTimeTooSkewed" | "InvalidSignatureException" | "RequestExpired") {
        fault.message.push_str(" (hint: check this machine's clock)");
    }
}
