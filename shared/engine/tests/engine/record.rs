//! Writes what the simulated clouds were asked and answered, for judges that are not ours: `cargo xtask specs` holds each line
//! against the vendors' own descriptions.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use stanch_core::api::ApiCall;
use stanch_core::cloud::Cloud;
use stanch_sandbox::{Recorded, Sandbox};

/// Appends every exchange of a sandbox, under the fix that made it. Does nothing unless `STANCH_RECORD_DIR` is set.
pub(crate) fn exchanges(sandbox: &Sandbox, fix: &str, digest: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let Ok(folder) = std::env::var("STANCH_RECORD_DIR") else { return };
    let folder = PathBuf::from(folder);
    for recorded in sandbox.requests() {
        let (file, mut line) = line(&recorded);
        line.insert("fix".into(), fix.into());
        line.insert("digest".into(), digest.into());
        // One write of one line: tests run side by side and append to the same files.
        let text = format!("{}\n", Value::Object(line));
        let mut file = OpenOptions::new().create(true).append(true).open(folder.join(file)).expect("the record opens");
        file.write_all(text.as_bytes()).expect("the record is written");
    }
}

fn line(recorded: &Recorded) -> (&'static str, Map<String, Value>) {
    let response = recorded.response.as_ref();
    let body = response.map(|r| r.body.clone()).unwrap_or_default();
    let fault = response.and_then(|r| r.fault.as_ref()).map(|f| f.code.clone());
    let line = match &recorded.request.call {
        ApiCall::Operation { service, operation, input } => {
            json!({"service": service, "operation": operation, "input": input, "output": body, "error": fault})
        }
        ApiCall::Http(http) => {
            let query: Vec<String> = http.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            let headers = response.map(|r| r.headers.clone()).unwrap_or_default();
            json!({
                "method": http.method.as_str(),
                "url": format!("https://{}{}{mark}{}", http.host, http.path, query.join("&")),
                "headers": http.headers,
                "body": http.body,
                "status": response.map(|r| r.status),
                "response_headers": headers,
                "response": body,
            })
        }
    };
    let file = match recorded.request.cloud {
        Cloud::Azure => "azure.jsonl",
        Cloud::Aws => "aws.jsonl",
        Cloud::Gcp => "gcp.jsonl",
    };
    match line {
        Value::Object(line) => (file, line),
        _ => (file, Map::new()),
    }
}
