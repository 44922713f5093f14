//! `stanch up` over HTTP.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Program, client, event, wait_for};

pub(crate) async fn demo() -> Program {
    let program = Program::up(&["--demo"], TempDir::new().unwrap()).await;
    wait_for("the demo has been fed", async || list(&program, "").await.len() == 6).await;
    program
}

pub(crate) async fn list(program: &Program, query: &str) -> Vec<Value> {
    client().get(format!("{}/api/remediations{query}", program.url)).send().await.unwrap().json().await.unwrap()
}

pub(crate) async fn show(program: &Program, id: &str) -> Value {
    client().get(format!("{}/api/remediations/{id}", program.url)).send().await.unwrap().json().await.unwrap()
}

pub(crate) async fn post(program: &Program, path: &str, body: impl Into<String>) -> (u16, Value) {
    let request = client().post(format!("{}{path}", program.url)).bearer_auth(program.token()).body(body.into());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_demo_leaves_one_waiting_and_it_can_be_approved_and_a_fix_put_back() {
    let program = demo().await;
    wait_for("one waits", async || !list(&program, "?state=awaiting-approval").await.is_empty()).await;
    let waiting = list(&program, "?state=awaiting-approval").await;
    let id = waiting[0]["id"].as_str().unwrap().to_owned();
    let hash = show(&program, &id).await["fix"]["hash"].as_str().unwrap().to_owned();

    let (status, said) = post(&program, &format!("/api/remediations/{id}/approve"), json!({"hash": "0000000000000000"}).to_string()).await;
    assert_eq!(status, 409, "{said}");
    let (status, said) = post(&program, &format!("/api/remediations/{id}/approve"), json!({"hash": hash}).to_string()).await;
    assert_eq!(status, 200, "{said}");
    wait_for("the worker fixed it", async || show(&program, &id).await["state"]["name"] == "resolved").await;

    wait_for("others are fixed", async || !list(&program, "?state=resolved").await.is_empty()).await;
    let fixed = list(&program, "?state=resolved").await.into_iter().find(|r| r["cloud"] == "gcp").expect("one of Google's is fixed");
    let id = fixed["id"].as_str().unwrap();
    let (status, plan) = post(&program, &format!("/api/remediations/{id}/undo"), json!({"plan": true}).to_string()).await;
    assert_eq!((status, plan["plan"]["kind"]["undo"].is_string()), (200, true), "{plan}");
    assert_eq!(show(&program, id).await["state"]["name"], "resolved", "a shown plan changes nothing");
    let (status, said) = post(&program, &format!("/api/remediations/{id}/undo"), "").await;
    assert_eq!(status, 200, "{said}");
    wait_for("it is put back", async || show(&program, id).await["state"]["name"] == "rolled-back").await;
}

#[tokio::test]
async fn only_this_machine_with_the_token_changes_anything() {
    let program = demo().await;
    let url = format!("{}/securityhub-finding", program.url);
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let post = || client().post(&url).body(event("shop-b"));
    assert_eq!(status(post()).await, 401, "no token");
    assert_eq!(status(post().bearer_auth("0".repeat(64))).await, 401, "another token");
    assert_eq!(status(post().bearer_auth(program.token()).header("host", "stanch.example.com")).await, 403, "another name");
    assert_eq!(status(post().bearer_auth(program.token()).header("origin", "https://example.com")).await, 403, "another site");
    assert_eq!(status(client().get(format!("{}/api/remediations", program.url)).header("host", "example.com")).await, 403);
    assert_eq!(status(post().bearer_auth(program.token())).await, 202);
    for (file, mode) in [("token", 0o600), ("server.json", 0o600), ("stanch.db", 0o600)] {
        use std::os::unix::fs::PermissionsExt;
        let have = std::fs::metadata(program.data.path().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(have, mode, "{file}");
    }
}

#[tokio::test]
async fn the_same_event_twice_is_one_remediation_and_nonsense_is_a_bad_request() {
    let program = demo().await;
    let before = list(&program, "").await.len();
    for _ in 0..2 {
        let (status, said) = post(&program, "/securityhub-finding", event("shop-c")).await;
        assert_eq!(status, 202, "{said}");
    }
    assert_eq!(list(&program, "").await.len(), before + 1);
    for nonsense in ["", "{", "[[[[", "{\"a\":1}", "\u{feff}hello"] {
        let (status, said) = post(&program, "/securityhub-finding", nonsense).await;
        assert_eq!(status, 400, "{nonsense}: {said}");
    }
    let (status, said) = post(&program, "/no-such-function", "{}").await;
    assert_eq!(status, 404, "{said}");
}

#[test]
fn an_address_off_this_machine_is_refused_until_there_is_sign_in() {
    let data = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stanch"));
    command.env_clear().env("HOME", data.path()).args(["up", "--demo", "--listen", "0.0.0.0:0", "--data"]).arg(data.path());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("sign-in"), "{said}");
}
