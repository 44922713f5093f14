//! A local server that is running on a data folder, as the command line finds and asks it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stanch_core::digest::sha256_hex;

/// The file in the data folder that says where the server listens; mode 0600, gone when the server has ended.
pub const SERVER_FILE: &str = "server.json";
/// The file with the bearer token; mode 0600.
pub const TOKEN_FILE: &str = "token";

/// The file that marks a data folder as the demo's.
pub const SANDBOX_FILE: &str = "sandbox";

/// What [`SERVER_FILE`] holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// The storage account that keeps its state; without one the data folder does.
    pub account: Option<String>,
}

/// A running server.
pub struct LocalServer {
    addr: SocketAddr,
    token: String,
}

impl std::fmt::Display for LocalServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.addr)
    }
}

/// What only a server that knows the token can say.
pub(crate) fn proof(token: &str) -> String {
    sha256_hex(format!("stanch\0{token}").as_bytes())
}

/// `GET /healthz` by hand: one answer of a few bytes, half a second at most, wherever a runtime runs or does not.
fn ask_health(addr: SocketAddr) -> Option<Value> {
    let wait = Duration::from_millis(500);
    let mut stream = std::net::TcpStream::connect_timeout(&addr, wait).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1.trim()).ok()
}

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It was not reached, or its answer is not readable.
    #[error("the local server at {addr} did not answer: {reason}")]
    Unreachable {
        /// Where.
        addr: SocketAddr,
        /// Why.
        reason: String,
    },
    /// It said no.
    #[error("{reason}")]
    Refused {
        /// The HTTP status: 4xx for a refusal, 5xx when its clouds or its store failed.
        status: u16,
        /// Its reason.
        reason: String,
    },
}

impl LocalServer {
    /// The server on a data folder that keeps its state there, or in `account`, if one answers.
    pub fn find(data: &Path, account: Option<&str>) -> Option<LocalServer> {
        let file: ServerFile = serde_json::from_str(&std::fs::read_to_string(data.join(SERVER_FILE)).ok()?).ok()?;
        if file.account.as_deref() != account {
            return None;
        }
        let token = std::fs::read_to_string(data.join(TOKEN_FILE)).ok()?.trim().to_owned();
        // A file left behind by a killed server names an address where nobody, or somebody else, listens.
        let said = ask_health(file.addr)?;
        (said.get("proof")?.as_str()? == proof(&token)).then_some(LocalServer { addr: file.addr, token })
    }

    /// Sends a request that changes something.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, LocalError> {
        let unreachable = |reason: String| LocalError::Unreachable { addr: self.addr, reason };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1))
            .build()
            .map_err(|e| unreachable(e.to_string()))?;
        let answer = client
            .post(format!("http://{}{path}", self.addr))
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await
            .map_err(|e| unreachable(e.without_url().to_string()))?;
        let status = answer.status();
        let value: Value = answer.json().await.map_err(|e| unreachable(e.without_url().to_string()))?;
        if status.is_success() {
            return Ok(value);
        }
        let reason = value.get("error").and_then(Value::as_str).unwrap_or("refused without a reason").to_owned();
        Err(LocalError::Refused { status: status.as_u16(), reason })
    }
}

/// Makes a folder that only its owner enters; one that is there is left as it is.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Writes a file that only its owner reads.
pub fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}
