//! State in a storage account, worked on by `stanch up` and the command line of another folder.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{post, show};
use crate::{Program, command, event, wait_for};

/// Azurite's address, or why the test is skipped.
pub(crate) fn azurite() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let (url, ci) = (std::env::var("STANCH_AZURITE").ok(), std::env::var("CI").is_ok());
    if url.is_none() {
        assert!(!ci, "STANCH_AZURITE is not set, and CI runs this test");
        println!("skipped: STANCH_AZURITE is not set");
    }
    url
}

#[tokio::test]
async fn the_server_and_the_command_line_work_on_the_account() {
    let Some(url) = azurite() else { return };
    let stanch = |data: &TempDir| {
        let mut stanch = command(env!("CARGO_BIN_EXE_stanch"), data);
        stanch.env("STANCH_STORAGE_ENDPOINT", &url);
        stanch
    };
    // An environment's account is overruled by `--data`: the helper of the other tests would name the folder.
    let (data, port) = (TempDir::new().unwrap(), crate::free_port());
    let child = stanch(&data).args(["up", "--listen", &format!("127.0.0.1:{port}")]).spawn().unwrap();
    let program = Program::ready(child, data, port, "/readyz").await;
    let bucket = format!("shop-{}", uuid::Uuid::now_v7().simple());
    let (status, said) = post(&program, "/securityhub-finding", event(&bucket)).await;
    assert_eq!((status, &said["taken"][0]["taken"]), (202, &json!("opened")), "{said}");
    let id = said["taken"][0]["remediation"].as_str().unwrap().to_owned();
    // Nobody can ask AWS here: the worker has tried, and put it off.
    wait_for("the worker has had it in hand", async || show(&program, &id).await["tries"].as_u64() > Some(0)).await;
    assert!(!program.data.path().join("stanch.db").exists(), "the state is in the account alone");

    let elsewhere = TempDir::new().unwrap();
    let cli = |data: &TempDir, arguments: &[&str]| {
        let output = stanch(data).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code().unwrap(), out, err)
    };
    for data in [&program.data, &elsewhere] {
        let (code, out, err) = cli(data, &["remediations", "show", &id, "--json"]);
        assert_eq!(code, 0, "{err}");
        let shown: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(shown["remediation"]["id"], id.as_str());
        assert_eq!(cli(data, &["parked", "list"]).0, 0);
        let (code, out, err) = cli(data, &["writes", "status"]);
        assert!(code == 0 && out.starts_with(&format!("storage account `{url}`: writes are ")), "{out} {err}");
    }
    // Both ways to a due date: through the server, and by itself.
    for (data, by) in [(&program.data, "local:alice"), (&elsewhere, "cli:alice")] {
        let (code, _, err) = cli(data, &["due", &id, "2100-01-01"]);
        assert_eq!(code, 0, "{err}");
        assert!(cli(data, &["remediations", "show", &id]).1.contains(by), "{by}");
    }
    let (code, _, err) = cli(&elsewhere, &["remediations", "show", &id, "--data", elsewhere.path().to_str().unwrap()]);
    assert!(code == 2 && err.contains("there is no remediation"), "`--data` means the folder: {code} {err}");

    let (code, out, err) = cli(&elsewhere, &["audit", "verify", "--json"]);
    assert_eq!(code, 0, "{out} {err}");
    let (code, out, _) = cli(&elsewhere, &["audit", "export", "--state", "open"]);
    assert!(code == 0 && out.contains(&bucket), "{out}");
    let (code, _, err) = cli(&elsewhere, &["backup", "copy"]);
    assert!(code == 2 && err.contains("storage account"), "{err}");
}
