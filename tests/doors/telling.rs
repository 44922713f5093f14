//! What `stanch up` tells those who watch it: metrics, readiness, log lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stanch_engine::telemetry::{METRICS, MetricKind};
use tempfile::TempDir;

use crate::server::{demo, list, show};
use crate::{Program, client, command, free_port, wait_for};

async fn get(program: &Program, path: &str) -> (u16, String, String) {
    let answer = client().get(format!("{}{path}", program.url)).send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

/// Samples of one family by their name and labels, as they were written.
type Family = BTreeMap<String, f64>;

/// Reads the text exposition format strictly: every family has its HELP and TYPE before its samples, all together, and once.
fn parse(text: &str) -> BTreeMap<String, (String, Family)> {
    let mut families: BTreeMap<String, (String, Family)> = BTreeMap::new();
    let mut lines = text.lines().peekable();
    assert!(text.ends_with('\n'), "the last line ends");
    while let Some(line) = lines.next() {
        let (name, about) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).unwrap_or_else(|| panic!("no HELP: {line}"));
        assert!(!about.is_empty(), "{name}");
        let line = lines.next().unwrap();
        let kind = line.strip_prefix(&format!("# TYPE {name} ")).unwrap_or_else(|| panic!("no TYPE of {name}: {line}"));
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
        let mut samples = Family::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (bare, labels) = series.split_once('{').map_or((series, ""), |(bare, rest)| (bare, rest.strip_suffix('}').unwrap()));
            let suffix = bare.strip_prefix(name).unwrap_or_else(|| panic!("{line} stands under {name}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            for pair in labels.split("\",").filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{pair}: {line}"));
                assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
                assert!(!value.trim_end_matches('"').contains(['"', '\n']), "{line}");
            }
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} is there twice");
        }
        assert!(families.insert(name.to_owned(), (kind.to_owned(), samples)).is_none(), "{name} is there twice");
    }
    families
}

/// What `promtool check metrics` says, where Prometheus is installed.
fn promtool(text: &str) {
    let started =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        println!("skipped: promtool is not installed; our own reader has judged the format");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test]
async fn a_scrape_counts_what_the_demo_did_and_names_nobody() {
    let program = demo().await;
    wait_for("one is fixed", async || !list(&program, "?state=resolved").await.is_empty()).await;
    let (status, kind, text) = get(&program, "/metrics").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let families = parse(&text);
    promtool(&text);
    for metric in METRICS {
        let (kind, samples) = families.get(metric.name).unwrap_or_else(|| panic!("{} is not there", metric.name));
        assert_eq!(kind, metric.kind.as_str());
        if let MetricKind::Histogram(bounds) = metric.kind {
            assert_eq!(samples.len() % (bounds.len() + 3), 0, "{}: buckets, +Inf, sum and count", metric.name);
        }
    }
    let sum = |name: &str| families[name].1.values().sum::<f64>();
    assert!(sum("stanch_findings_received_total") >= 6.0);
    assert!(sum("stanch_verified_total") >= 1.0 && sum("stanch_verified_total") <= sum("stanch_plans_made_total"));
    assert!(families["stanch_cloud_calls_total"].1.keys().any(|series| series.contains("cloud=\"gcp\",class=\"2xx\"")));
    for (gauge, expected) in [("stanch_store_reachable", 1), ("stanch_writes_allowed", 1), ("stanch_parked", 0)] {
        assert_eq!(families[gauge].1[gauge] as i64, expected, "{gauge}");
    }
    // Buckets hold what the smaller ones hold.
    let buckets: Vec<f64> = text
        .lines()
        .filter(|l| l.starts_with("stanch_queue_wait_seconds_bucket"))
        .filter_map(|l| l.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(
        buckets.is_sorted() && buckets.last() == Some(&families["stanch_queue_wait_seconds"].1["stanch_queue_wait_seconds_count"]),
        "{buckets:?}"
    );
    for row in list(&program, "").await {
        for field in ["id", "account", "resource"] {
            assert!(!text.contains(row[field].as_str().unwrap()), "{field} of {row}");
        }
    }
    let elsewhere = client().get(format!("{}/metrics", program.url)).header("host", "example.com").send().await.unwrap();
    assert_eq!(elsewhere.status().as_u16(), 403);
}

fn tables(database: &rusqlite::Connection) -> Vec<String> {
    let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn readiness_says_how_it_stands_and_why_not() {
    let program = demo().await;
    let (status, _, text) = get(&program, "/readyz").await;
    let ready: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200, "{text}");
    assert_eq!((&ready["ready"], &ready["writes"], ready["parked"].as_u64()), (&Value::Bool(true), &Value::Bool(true), Some(0)), "{text}");
    assert!(ready["rules"].as_u64() > Some(0) && ready["queue_age"].as_u64() < Some(60) && ready["last_sweep"].is_null(), "{text}");
    wait_for("a round is known", async || get(&program, "/readyz").await.2.contains("\"last_reconcile\":1")).await;

    // Without its tables the store cannot be used; the process itself lives.
    let database = program.data.path().join("stanch.db");
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for table in tables(&database) {
        database.execute_batch(&format!("DROP TABLE IF EXISTS \"{table}\"")).unwrap();
    }
    wait_for("it is not ready", async || get(&program, "/readyz").await.0 == 503).await;
    let (_, _, why) = get(&program, "/readyz").await;
    assert!(why.contains("error") && why.contains("store"), "{why}");
    assert_eq!(get(&program, "/healthz").await.0, 200);
    let families = parse(&get(&program, "/metrics").await.2);
    assert_eq!(families["stanch_store_reachable"].1["stanch_store_reachable"] as i64, 0);
    assert!(!families.contains_key("stanch_parked") && families.contains_key("stanch_verified_total"));
}

#[tokio::test]
async fn without_a_rule_nothing_is_ready() {
    let (data, rules, port) = (TempDir::new().unwrap(), TempDir::new().unwrap(), free_port());
    let mut up = command(env!("CARGO_BIN_EXE_stanch"), &data);
    up.args(["up", "--listen", &format!("127.0.0.1:{port}"), "--rules"]).arg(rules.path());
    let child = up.spawn().unwrap();
    let program = Program::ready(child, data, port, "/healthz").await;
    let (status, _, why) = get(&program, "/readyz").await;
    assert!(status == 503 && why.contains("no rule is loaded"), "{status} {why}");
}

#[tokio::test]
async fn log_lines_are_json_that_names_the_remediation_its_span_and_no_secret() {
    let data = TempDir::new().unwrap();
    let log = std::fs::File::create(data.path().join("log")).unwrap();
    let program = Program::up_with(&["--demo"], data, |up| {
        up.env("STANCH_LOG", "info,stanch_engine=debug").env("STANCH_LOG_FORMAT", "json").stderr(log);
    })
    .await;
    wait_for("one is fixed", async || !list(&program, "?state=resolved").await.is_empty()).await;
    let fixed = list(&program, "?state=resolved").await[0]["id"].as_str().unwrap().to_owned();
    let hash = show(&program, &fixed).await["fix"]["hash"].as_str().unwrap_or_default().to_owned();
    let text = std::fs::read_to_string(program.data.path().join("log")).unwrap();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(lines.len() + 1 >= text.lines().count(), "only the line that is being written may be no JSON");
    let about = |message: &str| {
        let is = |line: &&Value| line["fields"]["message"] == message && line["fields"]["remediation"] == fixed.as_str();
        lines.iter().find(is).unwrap_or_else(|| panic!("no line `{message}` about {fixed} in\n{text}"))
    };
    for message in
        ["finding received", "remediation decided", "plan made", "plan approved", "change applied", "fix verified", "remediation ended"]
    {
        about(message);
    }
    assert_eq!(about("plan made")["fields"]["plan"], hash.as_str());
    assert_eq!(about("change applied")["fields"]["attempt"], 1);
    let spans = about("fix verified")["spans"].as_array().cloned().unwrap_or_default();
    assert!(spans.iter().any(|span| span["name"] == "step" && span["remediation"] == fixed.as_str()), "{spans:?}");
    assert!(!text.contains(&program.token()), "the token is in the log");
}
