//! Who may ask the local server for what.

use std::path::Path;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stanch_core::digest::sha256_hex;

use crate::local::write_private;

/// A new token of 256 random bits, for this run alone, in its file.
pub(super) fn token(file: &Path) -> Result<String, String> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    let token = random.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    write_private(file, &token).map_err(|e| e.to_string())?;
    Ok(token)
}

/// Lets a request pass, or says why not.
pub(super) async fn guard(State(token): State<String>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !names_loopback(text(headers, header::HOST).unwrap_or_default()) {
        return refused(StatusCode::FORBIDDEN, "the Host header must name this machine's loopback address");
    }
    let origin = text(headers, header::ORIGIN);
    if origin.is_some_and(|o| !o.split_once("://").is_some_and(|(_, host)| names_loopback(host))) {
        return refused(StatusCode::FORBIDDEN, "requests of other sites' pages are refused");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let given = text(headers, header::AUTHORIZATION).and_then(|a| a.strip_prefix("Bearer ")).unwrap_or_default();
    // Digests are compared, so that the time it takes tells nothing about the token.
    if !reads && sha256_hex(given.trim().as_bytes()) != sha256_hex(token.as_bytes()) {
        return refused(
            StatusCode::UNAUTHORIZED,
            "a request that changes something needs `Authorization: Bearer <token>`; the token is in the data folder",
        );
    }
    next.run(request).await
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `127.0.0.1`, `localhost` or `[::1]`, with or without a port.
fn names_loopback(host: &str) -> bool {
    let name = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    matches!(name, Some("127.0.0.1" | "localhost" | "[::1]"))
}

pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({ "error": why }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::names_loopback;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["127.0.0.1:7171", "localhost", "[::1]:80", "localhost:1"] {
            assert!(names_loopback(host), "{host}");
        }
        for host in ["", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", "[::2]", "10.0.0.1"] {
            assert!(!names_loopback(host), "{host}");
        }
    }
}
