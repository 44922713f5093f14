//! An engine over the sandbox, an in-memory store and a clock that the test turns.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, Method};
use stanch_core::cloud::{Account, Cloud, Resource};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Millis, Product, Severity, Source};
use stanch_core::normalize::{NormalizeError, Normalized, Reading};
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Notice, Notifier, NotifyError, StoreError, Vault, WorkQueue};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::RuleSet;
use stanch_engine::{Engine, Intake, Next, Ports, Round};
use stanch_library::Library;
use stanch_sandbox::{Sandbox, SandboxSource};
use stanch_store::{LocalQueue, SqliteStore};

use crate::faulty::FaultyStore;
use crate::telling::Tally;

pub(crate) const START: Millis = 1_790_000_000_000;

thread_local! {
    static NOW: Cell<Millis> = const { Cell::new(START) };
}

/// The test's clock; every test runs on a thread of its own.
pub(crate) fn now() -> Millis {
    NOW.get()
}

pub(crate) fn turn_to(at: Millis) {
    NOW.set(now().max(at));
}

/// Runs a future to its end on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Reads a finding in our own form.
pub(crate) fn read(event: &str) -> Normalized<'_> {
    let only = |finding| Reading { findings: vec![finding], ..Reading::default() };
    serde_json::from_str::<Finding<'_>>(event).map(only).map_err(|e| NormalizeError::json(&e))
}

/// A cloud that refuses write number `denied` (from 0) for lack of permission.
pub(crate) struct Denying {
    cloud: Arc<dyn CloudApi>,
    denied: usize,
    seen: AtomicU64,
}

impl Denying {
    pub(crate) fn new(cloud: Arc<dyn CloudApi>, denied: usize) -> Self {
        Denying { cloud, denied, seen: AtomicU64::new(0) }
    }
}

impl CloudApi for Denying {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        let number = if is_write(request) { self.seen.fetch_add(1, Ordering::Relaxed) as usize } else { usize::MAX };
        if number == self.denied {
            return Box::pin(std::future::ready(Ok(ApiResponse::fault(403, "AccessDenied", "not allowed to do this"))));
        }
        self.cloud.call(request, timeout_ms)
    }
}

pub(crate) fn is_write(request: &ApiRequest) -> bool {
    match &request.call {
        ApiCall::Operation { operation, .. } => !["Get", "Describe", "List", "Head"].iter().any(|verb| operation.starts_with(verb)),
        ApiCall::Http(http) => http.method != Method::Get,
    }
}

/// The channels people are told on: it remembers what was sent, and may be down or refuse.
#[derive(Default)]
pub(crate) struct Post {
    /// Channel, key, title.
    pub(crate) sent: Mutex<Vec<(String, uuid::Uuid, String)>>,
    /// The same, in full.
    pub(crate) notices: Mutex<Vec<Notice>>,
    /// Tries by channel.
    pub(crate) tries: Mutex<BTreeMap<String, usize>>,
    /// Channels that take nothing, and whether trying again helps.
    pub(crate) closed: Mutex<BTreeMap<String, bool>>,
}

impl Post {
    pub(crate) fn titles(&self) -> Vec<String> {
        self.sent.lock().expect("a lock").iter().map(|(_, _, title)| title.clone()).collect()
    }

    pub(crate) fn close(&self, channel: &str, retry: bool) {
        self.closed.lock().expect("a lock").insert(channel.into(), retry);
    }

    pub(crate) fn reopen(&self, channel: &str) {
        self.closed.lock().expect("a lock").remove(channel);
    }

    pub(crate) fn tried(&self, channel: &str) -> usize {
        self.tries.lock().expect("a lock").get(channel).copied().unwrap_or(0)
    }
}

impl Notifier for Post {
    fn send<'a>(&'a self, channel: &'a str, key: uuid::Uuid, notice: &'a Notice, _: Millis) -> BoxFuture<'a, Result<(), NotifyError>> {
        *self.tries.lock().expect("a lock").entry(channel.into()).or_default() += 1;
        let closed = self.closed.lock().expect("a lock").get(channel).copied();
        let refused = |retry| NotifyError { channel: channel.into(), reason: "closed by the test".into(), retry };
        let answer = closed.map_or(Ok(()), |retry| Err(refused(retry)));
        if answer.is_ok() {
            self.sent.lock().expect("a lock").push((channel.into(), key, notice.title.clone()));
            self.notices.lock().expect("a lock").push(notice.clone());
        }
        Box::pin(std::future::ready(answer))
    }
}

/// A vault that is gone with the test.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<String, String>>);

impl Vault for Shelf {
    fn put<'a>(&'a self, name: &'a str, body: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut files = self.0.lock().expect("a lock");
        let free = !files.contains_key(name);
        files.entry(name.to_owned()).or_insert_with(|| body.to_owned());
        Box::pin(std::future::ready(Ok(free)))
    }
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.lock().expect("a lock").get(name).cloned())))
    }
    fn names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.lock().expect("a lock").keys().cloned().collect())))
    }
}

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) source: SandboxSource,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) post: Arc<Post>,
    pub(crate) vault: Arc<Shelf>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) ports: Ports,
    pub(crate) engine: Engine,
}

/// Rules that let every fix of the library run by itself, and ask for what cannot be undone.
pub(crate) const AUTO: &str = "
rule: everything
mode: auto
scope: ['*']
accept_unproven: [FIXES]
limits: {per_hour: 100}
do:
  - fix: recommended
";

/// The shipped library; its fixes are compiled once for all tests.
pub(crate) fn library() -> Arc<Library> {
    static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| Arc::new(Library::builtin().expect("the library loads")));
    LIBRARY.clone()
}

pub(crate) fn auto_rules() -> String {
    let names: Vec<String> = library().all().map(|f| f.unwrap_or_else(|e| panic!("{e}")).name.clone()).collect();
    AUTO.replace("FIXES", &names.join(", "))
}

fn engine(ports: &Ports, rules: &str) -> Engine {
    let rules = RuleSet::load([("test.yaml", rules)]).unwrap_or_else(|e| panic!("{e:?}"));
    Engine::new(ports.clone(), Arc::new(rules), Arc::new(stanch_library::protected().expect("protected targets")))
}

impl World {
    pub(crate) fn new() -> Self {
        World::with_rules(&auto_rules())
    }

    pub(crate) fn with_rules(rules: &str) -> Self {
        World::on(Sandbox::seeded(now), rules)
    }

    pub(crate) fn on(sandbox: Sandbox, rules: &str) -> Self {
        World::through(sandbox.clone(), Arc::new(sandbox), rules)
    }

    /// A world in which the cloud refuses write number `denied` (from 0) for lack of permission.
    pub(crate) fn denying(denied: usize) -> Self {
        let sandbox = Sandbox::seeded(now);
        let clouds = Arc::new(Denying::new(Arc::new(sandbox.clone()), denied));
        World::through(sandbox, clouds, &auto_rules())
    }

    /// A world in which the cloud of every call is this one.
    pub(crate) fn through(sandbox: Sandbox, clouds: Arc<dyn CloudApi>, rules: &str) -> Self {
        World::with_queue(sandbox, clouds, Arc::new(LocalQueue::new(Arc::new(now)).0), rules)
    }

    pub(crate) fn with_queue(sandbox: Sandbox, clouds: Arc<dyn CloudApi>, queue: Arc<dyn WorkQueue>, rules: &str) -> Self {
        let source = SandboxSource::new(now);
        let store = Arc::new(SqliteStore::in_memory().expect("a store"));
        let (post, vault) = (Arc::new(Post::default()), Arc::new(Shelf::default()));
        let ids = AtomicU64::new(1);
        let tally = Arc::new(Tally::default());
        let ports = Ports {
            clouds,
            sources: Arc::new(source.clone()),
            store: store.clone(),
            queue,
            vault: Some(vault.clone()),
            notifier: post.clone(),
            meter: tally.clone(),
            fixes: library(),
            clock: Arc::new(now),
            new_id: Arc::new(move || uuid::Uuid::from_u128(u128::from(ids.fetch_add(1, Ordering::Relaxed)))),
        };
        let engine = engine(&ports, rules);
        World { sandbox, source, store, post, vault, tally, ports, engine }
    }

    /// The same world with other rules, as after a new start.
    pub(crate) fn set_rules(&mut self, rules: &str) {
        self.engine = engine(&self.ports, rules);
    }

    /// The same world with a store that fails when it is told to.
    pub(crate) fn with_faults(mut self, rules: &str) -> (Self, Arc<FaultyStore>) {
        let faulty = Arc::new(FaultyStore::new(self.store.clone()));
        self.ports.store = faulty.clone();
        self.set_rules(rules);
        (self, faulty)
    }

    /// One round of the timer, in which no part failed.
    pub(crate) fn reconcile(&self) -> Round {
        let round = wait(self.engine.reconcile(100));
        assert!(round.failed.is_empty(), "{:?}", round.failed);
        round
    }

    /// Takes a finding in and runs everything to rest.
    pub(crate) fn report(&self, finding: &Finding<'static>) -> Vec<Intake> {
        self.source.put(finding.clone());
        let intakes = wait(self.engine.ingest(vec![finding.clone()])).expect("the finding is taken in");
        for intake in &intakes {
            if let Some(id) = intake.remediation {
                self.rest(id);
            }
        }
        wait(self.engine.send_outbox(100)).expect("the outbox is sent");
        intakes
    }

    /// Reports a finding that opens one remediation, and gives that.
    pub(crate) fn open(&self, finding: &Finding<'static>) -> Remediation {
        let intakes = self.report(finding);
        let id = intakes.first().and_then(|i| i.remediation).unwrap_or_else(|| panic!("nothing was opened: {intakes:?}"));
        self.load(id)
    }

    pub(crate) fn load(&self, id: RemediationId) -> Remediation {
        wait(self.engine.load(id)).expect("the remediation loads")
    }

    /// Runs a remediation until nothing is left to do soon, turning the clock; a containment's expiry is left alone.
    pub(crate) fn rest(&self, id: RemediationId) {
        for _ in 0..200 {
            match wait(self.engine.run(id)).unwrap_or_else(|e| panic!("{id}: {e}")) {
                Next::Now => {}
                Next::At(at) if at - now() <= 3_600_000 => turn_to(at),
                Next::At(_) | Next::Idle => return,
            }
        }
        panic!("remediation {id} comes to no rest: {:?}", self.load(id));
    }

    /// Puts a remediation's fix back and runs it to rest.
    pub(crate) fn undo(&self, id: RemediationId) -> Remediation {
        wait(self.engine.undo(id, "test:ann")).unwrap_or_else(|e| panic!("undo: {e}"));
        self.rest(id);
        self.load(id)
    }

    /// Writes the clouds took, by their own log.
    pub(crate) fn writes(&self) -> usize {
        self.sandbox.writes().iter().filter(|w| w.status().is_some_and(|s| s < 300)).count()
    }
}

/// One shipped fix and a resource of the seeded estate that needs it.
pub(crate) struct Subject {
    pub(crate) fix: &'static str,
    pub(crate) cloud: Cloud,
    pub(crate) uid: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) source: Source,
    pub(crate) class: FindingClass,
    /// The id the fix's trigger names.
    pub(crate) rule: &'static str,
}

const AWS: &str = "111122223333";
const SUB: &str = "00000000-0000-4000-8000-000000000001";

/// One of many public buckets that are not in the estate: what a source may report about, and no more.
pub(crate) fn numbered(n: usize) -> Finding<'static> {
    let mut finding = crate::subjects::subject("aws-s3-block-public-access").finding();
    finding.uid = format!("finding-{n:04}").into();
    finding.source_ref.id = finding.uid.clone();
    for resource in &mut finding.resources {
        resource.uid = format!("arn:aws:s3:::bucket-{n}").into();
    }
    finding
}

impl Subject {
    pub(crate) fn finding(&self) -> Finding<'static> {
        let product = Product { name: "test".into(), vendor: "test".into(), uid: None, version: None };
        let mut finding = Finding::new(self.source, self.class, self.cloud, format!("finding-of-{}", self.fix), product);
        let account = match self.cloud {
            Cloud::Aws => AWS,
            Cloud::Azure => SUB,
            Cloud::Gcp => "shop-prod-1",
        };
        finding.title = format!("a finding that {} answers", self.fix).into();
        finding.severity = Severity::High;
        finding.status = FindingStatus::New;
        finding.rule = Some(self.rule.into());
        finding.account = Some(Account { uid: account.into(), name: None });
        finding.region = (self.cloud == Cloud::Aws).then(|| "eu-west-1".into());
        finding.modified = Some(now() - 1_000);
        if self.class == FindingClass::Compliance {
            finding.compliance =
                Some(Compliance { control: Some(self.rule.into()), status: ComplianceStatus::Fail, ..Compliance::default() });
        }
        let mut resource = Resource::new(self.cloud, self.uid);
        resource.kind = Some(self.kind.into());
        resource.account.clone_from(&finding.account);
        resource.region.clone_from(&finding.region);
        finding.resources.push(resource);
        finding
    }
}
