//! A batch of findings before a slow cloud: several are fixed at once, and the kill switch stops the rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::kill::{ABSENT, BLOCK};
use crate::server::list;
use crate::{Program, client, command, event, wait_for};

/// Findings in the batch.
const BATCH: usize = 20;
/// Remediations that `stanch up` has under way at once.
const AT_ONCE: usize = 8;

/// A cloud that carries a write out and does not answer until it is let go.
struct Slow {
    let_go: watch::Sender<bool>,
    blocked: BTreeSet<String>,
    writes: usize,
    under_way: usize,
    most_under_way: usize,
}

type Shared = Arc<Mutex<Slow>>;

async fn s3(State(slow): State<Shared>, method: Method, uri: Uri) -> Response {
    if uri.path().starts_with("/findings") {
        return axum::Json(json!({"ProcessedFindings": [], "UnprocessedFindings": []})).into_response();
    }
    let bucket = uri.path().to_owned();
    if method != Method::PUT {
        let blocked = slow.lock().unwrap().blocked.contains(&bucket);
        return if blocked { BLOCK.into_response() } else { (StatusCode::NOT_FOUND, ABSENT).into_response() };
    }
    let mut answers = {
        let mut slow = slow.lock().unwrap();
        slow.writes += 1;
        slow.under_way += 1;
        slow.most_under_way = slow.most_under_way.max(slow.under_way);
        slow.blocked.insert(bucket);
        slow.let_go.subscribe()
    };
    drop(answers.wait_for(|let_go| *let_go).await);
    slow.lock().unwrap().under_way -= 1;
    StatusCode::OK.into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_fixed_side_by_side_and_the_kill_switch_stops_it_after_one_write_per_worker() {
    let (let_go, blocked) = (watch::Sender::new(false), BTreeSet::new());
    let slow = Arc::new(Mutex::new(Slow { let_go, blocked, writes: 0, under_way: 0, most_under_way: 0 }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let s3_url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(s3).with_state(slow.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let data = TempDir::new().unwrap();
    let rules = data.path().join("rules.yaml");
    std::fs::write(
        &rules,
        "rule: all\nmode: auto\nscope: ['*']\naccept_unproven: [aws-s3-block-public-access]\nlimits: {per_hour: 1000}\ndo:\n  - fix: recommended\n",
    )
    .unwrap();
    let program = Program::up_with(&["--rules", rules.to_str().unwrap()], data, |up| {
        up.env("STANCH_AWS_ENDPOINT", &s3_url);
    })
    .await;
    for number in 0..BATCH {
        let sent = client()
            .post(format!("{}/securityhub-finding", program.url))
            .bearer_auth(program.token())
            .body(event(&format!("shop-{number}")))
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), 202);
    }
    wait_for("several are under way", async || slow.lock().unwrap().under_way >= 3).await;
    let turned = command(env!("CARGO_BIN_EXE_stanch"), &program.data).args(["writes", "off"]).status().unwrap();
    assert!(turned.success());
    let before = {
        let slow = slow.lock().unwrap();
        slow.let_go.send_replace(true);
        slow.writes
    };

    wait_for("all are at rest", async || {
        let rows = list(&program, "").await;
        let rests = |state: &str| ["resolved", "refused"].contains(&state);
        rows.len() == BATCH && rows.iter().all(|row| rests(row["state"]["name"].as_str().unwrap()))
    })
    .await;
    let (after, most) = {
        let slow = slow.lock().unwrap();
        (slow.writes, slow.most_under_way)
    };
    println!("{before} writes when the switch was turned, {after} in all, {most} at once");
    assert!(after - before <= AT_ONCE, "{before} writes when the switch was turned, {after} in all");
    assert!(after < BATCH, "the switch stopped nothing: {after} writes, {before} when it was turned");
    assert!((3..=AT_ONCE).contains(&most), "{most} writes at once");
    assert_eq!(list(&program, "?state=resolved").await.len(), after, "each write is accounted for");
}
