//! What is kept for later: events that came while the store could not be used, and what nobody could read.

use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{list, post, show};
use crate::{Program, command, event, wait_for};

/// `stanch` on the folder of a running program: exit code, standard output and standard error.
fn cli(program: &Program, arguments: &[&str]) -> (i32, String, String) {
    let mut stanch = command(env!("CARGO_BIN_EXE_stanch"), &program.data);
    let output = stanch.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

async fn parked(program: &Program) -> Vec<Value> {
    crate::client().get(format!("{}/api/parked", program.url)).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn an_event_that_comes_without_the_store_is_put_aside_and_taken_in_when_it_is_back() {
    let program = Program::up(&[], TempDir::new().unwrap()).await;
    let other = Connection::open(program.data.path().join("stanch.db")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, said) = post(&program, "/securityhub-finding", event("shop-s")).await;
    assert_eq!((status, &said["spilled"], &said["taken"]), (202, &json!(1), &json!([])), "{said}");
    let spilled = || std::fs::read_dir(program.data.path().join("spill")).unwrap().count();
    assert_eq!(spilled(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("it is taken in", async || list(&program, "").await.len() == 1).await;
    wait_for("it is put aside no longer", async || spilled() == 0).await;
}

#[tokio::test]
async fn an_event_is_put_aside_even_when_its_sender_hung_up_before_the_store_was_given_up() {
    let program = Program::up(&[], TempDir::new().unwrap()).await;
    let other = Connection::open(program.data.path().join("stanch.db")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let impatient = crate::client().post(format!("{}/securityhub-finding", program.url)).timeout(Duration::from_millis(500));
    let answer = impatient.bearer_auth(program.token()).body(event("shop-h")).send().await;
    assert!(answer.is_err_and(|error| error.is_timeout()), "it was answered sooner than the store could be given up");
    let spilled = || std::fs::read_dir(program.data.path().join("spill")).map_or(0, Iterator::count);
    wait_for("it is put aside", async || spilled() == 1).await;
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("it is taken in", async || list(&program, "").await.len() == 1).await;
}

#[tokio::test]
async fn what_is_parked_is_answered_through_the_running_server() {
    let program = Program::up(&[], TempDir::new().unwrap()).await;
    for nonsense in ["{\"a\":1}", "{\"b\":2}"] {
        let (status, said) = post(&program, "/securityhub-finding", nonsense).await;
        assert_eq!(status, 400, "{said}");
    }
    let all = parked(&program).await;
    assert_eq!((all.len(), &all[0]["origin"], all[0].get("body")), (2, &json!("securityhub-finding"), None));
    let ids: Vec<&str> = all.iter().map(|one| one["id"].as_str().unwrap()).collect();

    let unsigned = crate::client().post(format!("{}/api/parked/{}/drop", program.url, ids[0])).body(r#"{"why":"x"}"#);
    assert_eq!(unsigned.send().await.unwrap().status().as_u16(), 401);
    let (status, said) = post(&program, &format!("/api/parked/{}/drop", ids[0]), "").await;
    assert!(status == 400 && said["error"].as_str().unwrap().contains("`why`"), "{status} {said}");
    let (status, said) = post(&program, &format!("/api/parked/{}/forget", ids[0]), "").await;
    assert!(status == 400 && said["error"].as_str().unwrap().contains("retry, drop"), "{status} {said}");

    let (code, _, err) = cli(&program, &["parked", "retry", ids[0].get(..12).unwrap()]);
    assert!(code == 1 && err.contains("stays parked: it still cannot be taken"), "{code} {err}");
    let (code, _, err) = cli(&program, &["parked", "drop", ids[0], "--why", "a test"]);
    assert_eq!(code, 0, "{err}");
    let (status, said) =
        post(&program, &format!("/api/parked/{}/drop", ids[1].get(..6).unwrap()), json!({"why": "a test"}).to_string()).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(parked(&program).await, Vec::<Value>::new());
    // Who dropped it is the server's own user, by the server's word.
    let database = Connection::open(program.data.path().join("stanch.db")).unwrap();
    let dropped: Vec<String> = database
        .prepare("SELECT value FROM setting WHERE name LIKE '%dropped/%'")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(dropped.len() == 2 && dropped.iter().all(|told| told.contains("local:alice")), "{dropped:?}");
}

#[tokio::test]
async fn a_due_date_is_agreed_on_through_the_running_server() {
    let program = Program::up(&[], TempDir::new().unwrap()).await;
    post(&program, "/securityhub-finding", event("shop-d")).await;
    let id = list(&program, "").await[0]["id"].as_str().unwrap().to_owned();
    // The worker, which cannot ask AWS here, may commit at the same moment.
    wait_for("it is agreed on", async || cli(&program, &["due", &id, "2020-02-29"]).2.contains("is due until 2020-03-01 00:00:00Z")).await;
    let (_, out, _) = cli(&program, &["remediations", "show", &id]);
    assert!(out.contains("2020-03-01 00:00:00Z, overdue"), "{out}");
    wait_for("people are told", async || cli(&program, &["remediations", "show", &id]).1.contains("the due date passed")).await;
    wait_for("it is taken away", async || cli(&program, &["due", &id, "none"]).0 == 0).await;
    assert_eq!(show(&program, &id).await["request"]["due"], Value::Null);
    let (code, _, err) = cli(&program, &["due", &id, "soon"]);
    assert!(code == 2 && err.contains("or `none`"), "{err}");
    let (status, said) = post(&program, &format!("/api/remediations/{id}/due"), "").await;
    assert!(status == 400 && said["error"].as_str().unwrap().contains("expected a date"), "{said}");
}

#[tokio::test]
async fn a_scope_that_is_none_keeps_the_server_from_starting() {
    let data = TempDir::new().unwrap();
    let mut up = command(env!("CARGO_BIN_EXE_stanch"), &data);
    up.args(["up", "--listen", "127.0.0.1:0"]).env("STANCH_SWEEP", "scc/organizations/1,security-hub/1234").stderr(Stdio::piped());
    let output = up.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("setting `STANCH_SWEEP`: `security-hub/1234` names no account"), "{said}");
}
