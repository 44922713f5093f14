//! The vendor's code and message out of a failed call's answer.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::api::ApiFault;

use super::table::Protocol;
use super::xml::{self, Node};

/// Reads the fault of an answer whose status is not a success. A body nobody can read gives the status's own name as code.
pub(super) fn read(protocol: Protocol, status: u16, headers: &BTreeMap<String, String>, body: &str) -> ApiFault {
    let found = match protocol {
        Protocol::Json | Protocol::RestJson => json(headers, body),
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => xml::parse(body).ok().as_ref().and_then(document),
    };
    found.unwrap_or_else(|| ApiFault {
        code: status_name(status),
        message: if body.trim().is_empty() {
            format!("status {status} without an error document")
        } else {
            format!("status {status} with an unreadable error document")
        },
    })
}

/// The fault an XML document states: `Error`, `ErrorResponse/Error` or `Response/Errors/Error`.
pub(super) fn document(root: &Node) -> Option<ApiFault> {
    let error = match root.name.as_str() {
        "Error" => root,
        "ErrorResponse" => root.child("Error")?,
        "Response" => root.child("Errors")?.child("Error")?,
        _ => return None,
    };
    let code = error.child_text("Code").filter(|code| !code.is_empty())?;
    let message = error.child_text("Message").or_else(|| error.child_text("message")).unwrap_or_default();
    Some(ApiFault { code: code.to_owned(), message: message.to_owned() })
}

fn json(headers: &BTreeMap<String, String>, body: &str) -> Option<ApiFault> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let header = headers.get("x-amzn-errortype").map(String::as_str);
    let code = header.or_else(|| text("__type")).or_else(|| text("code")).or_else(|| text("Code"))?;
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code).trim();
    let message = text("message").or_else(|| text("Message")).unwrap_or_default();
    Some(ApiFault { code: code.to_owned(), message: message.to_owned() })
}

fn status_name(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| format!("Http{status}"), |reason| reason.replace([' ', '-', '\''], ""))
}
