//! Traces and metrics as a collector gets them: a remediation on the simulated clouds, exported over HTTP, decoded by
//! OpenTelemetry's own message definitions. `STANCH_PYTHON` names the interpreter that has them.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test program; clippy knows only its test functions"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use stanch_core::port::Meter;
use stanch_core::rule::RuleSet;
use stanch_engine::telemetry::event_span;
use stanch_engine::{Engine, Ports};
use stanch_entry::telemetry::otlp::Export;
use stanch_entry::{recognize, wiring};
use stanch_library::Library;
use stanch_notify::SignedWebhook;
use stanch_store::{LocalQueue, SqliteStore};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

const RULES: &str = "rule: all\nmode: plan\nscope: ['*']\ndo:\n  - fix: recommended\n";

/// The collector: what it prints is what it decoded.
struct Sink {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    url: String,
}

impl Sink {
    /// Starts it, unless there is no interpreter for it.
    fn start() -> Option<Self> {
        let python = std::env::var("STANCH_PYTHON").ok();
        let Some(python) = python else {
            assert!(std::env::var("CI").is_err(), "STANCH_PYTHON is not set, and CI runs this test");
            println!("skipped: STANCH_PYTHON is not set");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/xtask/py/otlp_sink.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        out.read_line(&mut port).unwrap();
        Some(Sink { child, out, url: format!("http://127.0.0.1:{}", port.trim()) })
    }

    /// Ends it and gives everything it got.
    fn end(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn engine(meter: Arc<dyn Meter>) -> Engine {
    let (sandbox, source) = wiring::sandbox();
    let ports = Ports {
        clouds: Arc::new(sandbox),
        sources: Arc::new(source),
        store: Arc::new(SqliteStore::in_memory().unwrap()),
        vault: None,
        queue: Arc::new(LocalQueue::new(Arc::new(wiring::now)).0),
        notifier: Arc::new(SignedWebhook::new(std::collections::BTreeMap::new())),
        meter,
        fixes: Arc::new(Library::builtin().unwrap()),
        clock: Arc::new(wiring::now),
        new_id: Arc::new(Uuid::now_v7),
    };
    let rules = RuleSet::load([("test.yaml", RULES)]).unwrap();
    Engine::new(ports, Arc::new(rules), Arc::new(stanch_library::protected().unwrap()))
}

/// Takes the demo's events in, each under its correlation id, and runs what they opened. Gives the ids.
async fn work(engine: &Engine) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for event in stanch_sandbox::demo_events() {
        let id = Uuid::now_v7();
        let findings = recognize::recognize(event.json).unwrap().findings;
        engine.ingest(findings).instrument(event_span("test", id)).await.unwrap();
        ids.push(id);
    }
    assert!(engine.reconcile(100).await.failed.is_empty());
    ids
}

#[tokio::test]
async fn a_collector_gets_the_traces_and_the_metrics() {
    let Some(sink) = Sink::start() else { return };
    let export = Export::start(&sink.url).unwrap();
    let engine = engine(export.meter());
    let subscriber = tracing_subscriber::registry().with(export.layer());
    let traced = tracing::subscriber::set_default(subscriber);
    let ids = work(&engine).await;
    drop(traced);
    export.end().await;

    let got = sink.end();
    let spans: Vec<&Value> = got.iter().filter(|row| row["span"].is_object()).collect();
    let named = |name: &str| spans.iter().filter(|row| row["span"]["name"] == name).copied().collect::<Vec<_>>();
    for id in ids {
        let trace = id.simple().to_string();
        let event = named("event").into_iter().find(|row| row["trace"] == trace.as_str());
        assert!(event.is_some_and(|row| row["parent"] == ""), "no trace has the id of the event: {trace}");
    }
    let steps = named("step");
    let calls = named("call");
    assert!(!calls.is_empty());
    for call in calls {
        assert!(steps.iter().any(|step| step["id"] == call["parent"] && step["trace"] == call["trace"]), "{call}");
        let attributes = call["span"]["attributes"].to_string();
        assert!(attributes.contains("\"status\"") && attributes.contains("\"cloud\""), "{attributes}");
    }
    assert!(spans.iter().all(|row| row["resource"].to_string().contains("\"stanch\"")), "the service has its name");

    let metric = |name: &str| &got.iter().find(|row| row["metric"]["name"] == name).unwrap_or(&Value::Null)["metric"];
    let sum = |name: &str| -> i64 {
        let points = metric(name)["sum"]["dataPoints"].as_array().cloned().unwrap_or_default();
        points.iter().map(|point| point["asInt"].as_str().unwrap().parse::<i64>().unwrap()).sum()
    };
    let opened = stanch_sandbox::demo_events().len() as i64;
    assert!(sum("stanch_findings_received_total") >= opened);
    assert!(sum("stanch_plans_made_total") >= 3);
    let times = metric("stanch_cloud_call_duration_seconds");
    assert_eq!(times["unit"], "s");
    assert_eq!(times["histogram"]["dataPoints"][0]["explicitBounds"][0], 0.05, "our own buckets");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_two_seconds_at_the_end_and_nothing_before() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // It listens and never answers: the worst collector there is.
    let export = Export::start(&format!("http://{}", nobody.local_addr().unwrap())).unwrap();
    let engine = engine(export.meter());
    let subscriber = tracing_subscriber::registry().with(export.layer());
    let traced = tracing::subscriber::set_default(subscriber);
    let ids = work(&engine).await;
    // Many more spans than fit: those too many are dropped, nobody waits.
    for _ in 0..20_000 {
        drop(event_span("test", Uuid::now_v7()));
    }
    drop(traced);
    assert_eq!(ids.len(), stanch_sandbox::demo_events().len());
    let start = Instant::now();
    export.end().await;
    let took = start.elapsed();
    assert!((Duration::from_millis(1_900)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_said_without_repeating_it() {
    for wrong in ["", "collector:4318", "grpc://user:secret@collector:4317", "/v1/traces"] {
        let why = Export::start(wrong).unwrap_err();
        assert!(why.contains("http://127.0.0.1:4318") && !why.contains("secret"), "{wrong}: {why}");
    }
}
