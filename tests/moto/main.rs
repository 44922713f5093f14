//! Every AWS fix over real HTTP against moto: applied, proved, put back, applied again. Writes are counted by a recording proxy
//! between stanch and moto, never by stanch's own word. moto is named by `STANCH_MOTO` (`http://127.0.0.1:PORT`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program; clippy knows only its test functions"
)]

mod auth;
mod proxy;
mod resources;

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use serde_json::json;
use stanch_aws::{AwsApi, AwsCredentials, Endpoint};
use stanch_core::cloud::{Account, Cloud, Resource};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Product, Severity, Source};
use stanch_core::guard::Protected;
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::RuleSet;
use stanch_core::state::{Resolution, State};
use stanch_engine::{Engine, Next, Ports};
use stanch_library::Library;
use stanch_notify::SignedWebhook;
use stanch_sandbox::SandboxSource;
use stanch_store::{LocalQueue, SqliteStore};

use proxy::Proxy;
use resources::{Cloudy, SUBJECTS, Subject};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";

/// The engine's clock: waits cost nothing, the test turns it.
static NOW: AtomicI64 = AtomicI64::new(1_790_000_000_000);

fn now() -> i64 {
    NOW.load(Ordering::Relaxed)
}

#[expect(clippy::disallowed_methods, reason = "signatures carry the real time")]
fn wall() -> SystemTime {
    SystemTime::now()
}

fn moto() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the settings of this test program")]
    let (url, ci) = (std::env::var("STANCH_MOTO").ok(), std::env::var("CI").is_ok());
    if url.is_none() {
        assert!(!ci, "STANCH_MOTO is not set, and CI runs this test");
        println!("skipped: STANCH_MOTO is not set");
    }
    url
}

fn api(url: &str) -> AwsApi {
    api_as(url, "AKIAIOSFODNN7EXAMPLE", "secret")
}

fn api_as(url: &str, key: &str, secret: &str) -> AwsApi {
    AwsApi::new(Arc::new(AwsCredentials::fixed(key, secret)), Endpoint::Loopback(url.to_owned()), wall)
}

fn engine(url: &str, source: &SandboxSource) -> Engine {
    engine_over(api(url), source)
}

fn engine_over(api: AwsApi, source: &SandboxSource) -> Engine {
    let library = Library::builtin().unwrap();
    let names: Vec<String> = library.all().map(|f| f.unwrap().name.clone()).collect();
    let rules = format!(
        "rule: all\nmode: auto\nscope: ['*']\naccept_unproven: [{}]\nlimits: {{per_hour: 100}}\ndo:\n  - fix: recommended\n",
        names.join(", ")
    );
    let ports = Ports {
        clouds: Arc::new(api),
        sources: Arc::new(source.clone()),
        store: Arc::new(SqliteStore::in_memory().unwrap()),
        queue: Arc::new(LocalQueue::new(Arc::new(now)).0),
        meter: Arc::new(stanch_core::port::NoMeter),
        vault: None,
        notifier: Arc::new(SignedWebhook::new(std::collections::BTreeMap::new())),
        fixes: Arc::new(library),
        clock: Arc::new(now),
        new_id: Arc::new(uuid::Uuid::now_v7),
    };
    Engine::new(ports, Arc::new(RuleSet::load([("moto.yaml", rules)]).unwrap()), Arc::new(Protected::default()))
}

fn finding(subject: &Subject, uid: &str) -> Finding<'static> {
    let product = Product { name: "Security Hub".into(), vendor: "AWS".into(), uid: None, version: None };
    let detection = subject.kind == "AwsEc2Instance";
    let class = if detection { FindingClass::Detection } else { FindingClass::Compliance };
    let mut finding = Finding::new(Source::SecurityHub, class, Cloud::Aws, format!("finding-of-{}", subject.fix), product);
    finding.title = subject.fix.into();
    finding.severity = Severity::High;
    finding.status = FindingStatus::New;
    finding.rule = Some(subject.rule.into());
    finding.account = Some(Account { uid: ACCOUNT.into(), name: None });
    finding.region = Some(REGION.into());
    finding.modified = Some(now());
    if !detection {
        finding.compliance =
            Some(Compliance { control: Some(subject.rule.into()), status: ComplianceStatus::Fail, ..Compliance::default() });
    }
    let mut resource = Resource::new(Cloud::Aws, uid.to_owned());
    resource.kind = Some(subject.kind.into());
    finding.resources.push(resource);
    finding
}

async fn rest(engine: &Engine, id: RemediationId) -> Remediation {
    for _ in 0..200 {
        match engine.run(id).await.unwrap() {
            Next::Now => {}
            Next::At(at) if at - now() < 3_600_000 => drop(NOW.fetch_max(at, Ordering::Relaxed)),
            Next::At(_) | Next::Idle => break,
        }
    }
    engine.load(id).await.unwrap()
}

fn is_good(state: State) -> bool {
    matches!(state, State::Resolved { how: Resolution::Fixed } | State::Contained { .. })
}

#[tokio::test]
async fn every_aws_fix_is_applied_proved_put_back_and_applied_again() {
    let Some(url) = moto() else { return };
    let cloud = Cloudy { api: api(&url) };
    let library = Library::builtin().unwrap();
    for fix in library.all().map(Result::unwrap).filter(|f| f.cloud == Cloud::Aws) {
        assert!(SUBJECTS.iter().any(|s| s.fix == fix.name), "fix `{}` is not run against moto: add it to SUBJECTS", fix.name);
    }
    for subject in SUBJECTS {
        let uid = cloud.prepare(subject.fix).await;
        let proxy = Proxy::start(&url).await;
        let source = SandboxSource::new(now);
        let engine = engine(&proxy.url, &source);
        let finding = finding(subject, &uid);
        source.put(finding.clone());
        let id = engine.ingest(vec![finding.clone()]).await.unwrap()[0].remediation.unwrap();

        let fixed = rest(&engine, id).await;
        assert!(is_good(fixed.state), "{}: {} {}", subject.fix, fixed.state, fixed.note);
        let changes = fixed.fix.as_ref().unwrap().plan.changes.len();
        assert_eq!(proxy.writes(), changes, "{}: one write for each change, by the proxy's count", subject.fix);

        engine.ingest(vec![finding]).await.unwrap();
        rest(&engine, id).await;
        assert_eq!(proxy.writes(), changes, "{}: the same event again wrote something", subject.fix);

        engine.undo(id, "test:ann").await.unwrap_or_else(|e| panic!("{}: {e}", subject.fix));
        let undone = rest(&engine, id).await;
        assert_eq!(undone.state, State::RolledBack, "{}: {}", subject.fix, undone.note);
        let before = &fixed.fix.as_ref().unwrap().plan.observed;
        let left = &undone.undo.as_ref().unwrap().left.as_ref().unwrap().values;
        for (name, value) in before {
            assert_eq!(left.get(name), Some(value), "{}: `{name}` is not as before", subject.fix);
        }

        // Another store knows nothing of the hold that the undo placed.
        let again = self::engine(&proxy.url, &source);
        let mut second = self::finding(subject, &uid);
        second.modified = Some(now());
        source.put(second.clone());
        let id = again.ingest(vec![second]).await.unwrap()[0].remediation.unwrap();
        let end = rest(&again, id).await;
        assert!(is_good(end.state), "{}: again: {} {}", subject.fix, end.state, end.note);
        evidence(subject.fix, &library);
    }
    // Last, since it changes what the server lets everybody do.
    auth::signatures_and_permissions_are_checked(&url, &cloud).await;
}

/// Says that a fix was run against moto, for `cargo xtask specs --write-evidence`.
fn evidence(fix: &str, library: &Library) {
    #[expect(clippy::disallowed_methods, reason = "the settings of this test program")]
    let Ok(folder) = std::env::var("STANCH_RECORD_DIR") else { return };
    let digest = &library.fix(fix).unwrap().digest;
    let line = format!("{}\n", json!({"fix": fix, "digest": digest, "emulator": "moto 5.2.5"}));
    let file = std::path::Path::new(&folder).join("emulator.jsonl");
    OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
}
