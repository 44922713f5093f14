//! Shared-key signatures, for Azurite alone: in Azure the account's key stays switched off and tokens are used.
//!
//! `SharedKeyLite` for tables, `SharedKey` for blobs and queues
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::client::Service;

/// Azurite's account.
pub(crate) const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
/// Azurite's key, published by Microsoft; it opens nothing but an emulator.
const DEVELOPMENT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// What a signature covers.
pub(crate) struct Signed<'a> {
    pub(crate) service: Service,
    pub(crate) method: &'a str,
    /// The encoded path, with its leading slash.
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'static str, String)],
    /// Every header that is sent, names in lower case.
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) length: usize,
}

/// The `Authorization` header of a request to Azurite.
pub(crate) fn authorization(request: &Signed<'_>) -> String {
    let (scheme, text) = match request.service {
        Service::Table => ("SharedKeyLite", table(request)),
        Service::Blob | Service::Queue => ("SharedKey", blob_or_queue(request)),
    };
    let key = STANDARD.decode(DEVELOPMENT_KEY).unwrap_or_default();
    let signature = Hmac::<Sha256>::new_from_slice(&key).map(|mac| mac.chain_update(text).finalize().into_bytes());
    let signature = signature.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default();
    format!("{scheme} {DEVELOPMENT_ACCOUNT}:{signature}")
}

fn table(request: &Signed<'_>) -> String {
    format!("{}\n/{DEVELOPMENT_ACCOUNT}{}", header(request, "x-ms-date"), request.path)
}

fn blob_or_queue(request: &Signed<'_>) -> String {
    let length = if request.length == 0 { String::new() } else { request.length.to_string() };
    let mut own: Vec<_> = request.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
    own.sort();
    let own = own.iter().fold(String::new(), |text, (name, value)| text + name + ":" + value + "\n");
    let mut query: Vec<_> = request.query.iter().collect();
    query.sort();
    let query = query.iter().fold(String::new(), |text, (name, value)| text + "\n" + name + ":" + value);
    // Content-Encoding, Content-Language, length, Content-MD5, Content-Type, Date, If-Modified-Since, If-Match, If-None-Match,
    // If-Unmodified-Since, Range.
    format!(
        "{}\n\n\n{length}\n\n{}\n\n\n{}\n{}\n\n\n{own}/{DEVELOPMENT_ACCOUNT}{}{query}",
        request.method,
        header(request, "content-type"),
        header(request, "if-match"),
        header(request, "if-none-match"),
        request.path,
    )
}

fn header<'a>(request: &'a Signed<'_>, name: &str) -> &'a str {
    request.headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
}
