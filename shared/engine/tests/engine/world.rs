//! An engine over the sandbox, an in-memory store and a clock that the test turns.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, Method};
use stanch_core::cloud::{Account, Cloud, Resource};
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Millis, Product, Severity, Source};
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Notice, Notifier, NotifyError, Nudge, Received, StoreError, WorkQueue};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::RuleSet;
use stanch_engine::{Engine, Intake, Next, Ports};
use stanch_library::Library;
use stanch_sandbox::{Sandbox, SandboxSource};
use stanch_store::SqliteStore;

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

struct Denying {
    sandbox: Sandbox,
    denied: usize,
    seen: AtomicU64,
}

impl CloudApi for Denying {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        let number = if is_write(request) { self.seen.fetch_add(1, Ordering::Relaxed) as usize } else { usize::MAX };
        if number == self.denied {
            return Box::pin(std::future::ready(Ok(ApiResponse::fault(403, "AccessDenied", "not allowed to do this"))));
        }
        self.sandbox.call(request, timeout_ms)
    }
}

fn is_write(request: &ApiRequest) -> bool {
    match &request.call {
        ApiCall::Operation { operation, .. } => !["Get", "Describe", "List", "Head"].iter().any(|verb| operation.starts_with(verb)),
        ApiCall::Http(http) => http.method != Method::Get,
    }
}

struct Quiet;

impl WorkQueue for Quiet {
    fn send<'a>(&'a self, _: &'a Nudge, _: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn receive(&self, _: usize, _: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn complete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Notifier for Quiet {
    fn send<'a>(&'a self, _: &'a str, _: uuid::Uuid, _: &'a Notice, _: Millis) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) source: SandboxSource,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) tally: Arc<Tally>,
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
        let clouds = Arc::new(Denying { sandbox: sandbox.clone(), denied, seen: AtomicU64::new(0) });
        World::through(sandbox, clouds, &auto_rules())
    }

    fn through(sandbox: Sandbox, clouds: Arc<dyn CloudApi>, rules: &str) -> Self {
        let source = SandboxSource::new(now);
        let store = Arc::new(SqliteStore::in_memory().expect("a store"));
        let ids = AtomicU64::new(1);
        let tally = Arc::new(Tally::default());
        let ports = Ports {
            clouds,
            sources: Arc::new(source.clone()),
            store: store.clone(),
            queue: Arc::new(Quiet),
            notifier: Arc::new(Quiet),
            meter: tally.clone(),
            fixes: library(),
            clock: Arc::new(now),
            new_id: Arc::new(move || uuid::Uuid::from_u128(u128::from(ids.fetch_add(1, Ordering::Relaxed)))),
        };
        let rules = RuleSet::load([("test.yaml", rules)]).unwrap_or_else(|e| panic!("{e:?}"));
        let engine = Engine::new(ports, Arc::new(rules), Arc::new(stanch_library::protected().expect("protected targets")));
        World { sandbox, source, store, tally, engine }
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
                Next::At(at) if at - now() < 3_600_000 => turn_to(at),
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
