//! `kill -9` between intent and result: the next process finds out what happened and ends right.
//!
//! A small server stands for S3 and counts what reaches it. It takes the first write, does it, and never answers: that is when
//! the process is killed, after its intent was stored and before any result could be.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{client, command, event, free_port, wait_for};

#[derive(Default)]
struct Bucket {
    blocked: bool,
    writes: usize,
}

type Shared = Arc<Mutex<Bucket>>;

pub(crate) const BLOCK: &str = "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
pub(crate) const ABSENT: &str = "<Error><Code>NoSuchPublicAccessBlockConfiguration</Code><Message>none</Message></Error>";

async fn s3(State(bucket): State<Shared>, method: Method, uri: Uri, _: Bytes) -> Response {
    if uri.path().starts_with("/findings") {
        // The source of the finding, which is told; it is not what this test counts.
        return axum::Json(json!({"ProcessedFindings": [], "UnprocessedFindings": []})).into_response();
    }
    assert!(uri.query().is_some_and(|q| q.contains("publicAccessBlock")), "{uri}");
    if method == Method::PUT {
        let first = {
            let mut bucket = bucket.lock().unwrap();
            bucket.blocked = true;
            bucket.writes += 1;
            bucket.writes == 1
        };
        if first {
            std::future::pending::<()>().await;
        }
        return StatusCode::OK.into_response();
    }
    if bucket.lock().unwrap().blocked { BLOCK.into_response() } else { (StatusCode::NOT_FOUND, ABSENT).into_response() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_killed_process_is_taken_up_where_it_was_and_nothing_is_written_twice() {
    let bucket = Shared::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let s3_url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(s3).with_state(bucket.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let data = TempDir::new().unwrap();
    let rules = data.path().join("rules.yaml");
    std::fs::write(
        &rules,
        "rule: all\nmode: auto\nscope: ['*']\naccept_unproven: [aws-s3-block-public-access]\ndo:\n  - fix: recommended\n",
    )
    .unwrap();
    let start = |port: u16| {
        let mut stanch = command(env!("CARGO_BIN_EXE_stanch"), &data);
        let listen = format!("127.0.0.1:{port}");
        stanch.env("STANCH_AWS_ENDPOINT", &s3_url).args(["up", "--listen", &listen, "--rules"]).arg(&rules).arg("--data").arg(data.path());
        stanch.spawn().unwrap()
    };
    let get = async |port: u16, path: String| -> Option<Value> {
        client().get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?.json().await.ok()
    };

    let port = free_port();
    let mut first = start(port);
    wait_for("stanch is up", async || get(port, "/readyz".into()).await.is_some()).await;
    let token = std::fs::read_to_string(data.path().join("token")).unwrap();
    let sent = client()
        .post(format!("http://127.0.0.1:{port}/securityhub-finding"))
        .bearer_auth(&token)
        .body(event("shop-k"))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status().as_u16(), 202);
    wait_for("the write has reached S3", async || bucket.lock().unwrap().writes == 1).await;
    first.kill().unwrap(); // SIGKILL
    first.wait().unwrap();

    let port = free_port();
    let mut second = start(port);
    wait_for("stanch is up again", async || get(port, "/readyz".into()).await.is_some()).await;
    let listed = get(port, "/api/remediations".into()).await.unwrap();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let before = get(port, format!("/api/remediations/{id}")).await.unwrap();
    assert_eq!(before["fix"]["attempts"][0]["result"], Value::Null, "the intent stands, its outcome is unknown: {before}");
    wait_for("it is resolved", async || {
        get(port, format!("/api/remediations/{id}")).await.is_some_and(|r| r["state"]["name"] == "resolved")
    })
    .await;
    let after = get(port, format!("/api/remediations/{id}")).await.unwrap();
    drop(second.kill());
    drop(second.wait());
    assert_eq!(after["fix"]["attempts"][0]["result"]["outcome"], json!("applied-by-observation"), "{after}");
    assert_eq!(bucket.lock().unwrap().writes, 1, "by the server's own count");
}
