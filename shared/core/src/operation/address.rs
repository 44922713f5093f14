//! Addresses that a cloud's answer names: which of them may be asked, with a token, in the account's name.

use std::collections::BTreeMap;

use crate::api::{HttpCall, Method};

/// The hosts of Azure Resource Manager: the public cloud, US Government and China. Regional hosts are below them, as in
/// `westeurope.management.azure.com`.
pub const ARM_HOSTS: &[&str] = &["management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"];

/// The host of [`ARM_HOSTS`] that this one is, or is a regional host of. Tokens are made for that one.
pub fn arm_host(host: &str) -> Option<&'static str> {
    let host = host.to_ascii_lowercase();
    ARM_HOSTS.iter().copied().find(|known| {
        let Some(region) = host.strip_suffix(known) else { return false };
        region.is_empty() || region.strip_suffix('.').is_some_and(is_labels)
    })
}

/// Whether a host is one of Google's APIs.
pub(super) fn is_google(host: &str) -> bool {
    host.to_ascii_lowercase().strip_suffix(".googleapis.com").is_some_and(is_labels)
}

fn is_labels(text: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    text.split('.').all(label)
}

/// The read of an absolute https address. `None` for anything that could be read in two ways: credentials, a port, a fragment,
/// dot segments, a query that names one parameter twice.
pub(super) fn get(url: &str) -> Option<HttpCall> {
    let rest = url.trim().strip_prefix("https://")?;
    if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['#', '\\']) {
        return None;
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = address.split_once('/')?;
    let host = host.to_ascii_lowercase();
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if !is_labels(&host) || path.starts_with('/') || path.split('/').any(dots) {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if parameters.insert(decoded(name)?, decoded(value)?).is_some() {
            return None;
        }
    }
    Some(read(&host, format!("/{path}"), parameters))
}

/// A read of a path.
pub(super) fn read(host: &str, path: String, query: BTreeMap<String, String>) -> HttpCall {
    HttpCall { method: Method::Get, host: host.to_owned(), path, query, headers: BTreeMap::new(), body: None }
}

/// Text of a query, decoded as forms are: `%XX`, and `+` for a space. The signers encode it again.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                u8::try_from(value).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
