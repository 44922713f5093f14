//! A simulated finding source: it holds the findings it was given and remembers what was written back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingClass, FindingStatus, Millis, Source, SourceRef};
use stanch_core::port::{BoxFuture, FindingSource, Listed, Scope, SourceAnswer, SourceError, WriteBack};

/// Findings on one page of a list.
const PAGE: usize = 50;

/// One status written back: source, the finding's id at the source, status, note.
pub type Written = (Source, String, WriteBack, String);

/// A finding source in this process, for every [`Source`]. A clone is the same source.
#[derive(Clone)]
pub struct SandboxSource {
    shared: Arc<Shared>,
}

struct Shared {
    clock: fn() -> Millis,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    findings: BTreeMap<(Source, String), Finding<'static>>,
    written: Vec<Written>,
    unavailable: bool,
}

impl SandboxSource {
    /// A source without findings. `clock` gives milliseconds since the epoch and dates what the source changes.
    pub fn new(clock: fn() -> Millis) -> Self {
        SandboxSource { shared: Arc::new(Shared { clock, inner: Mutex::default() }) }
    }

    /// Gives it a finding, over one with the same source and `source_ref.id`.
    pub fn put(&self, finding: Finding<'static>) {
        self.lock().findings.insert((finding.source, finding.source_ref.id.to_string()), finding);
    }

    /// Re-evaluates a finding as passed, as a source does some time after the fix. False when it holds no such finding.
    pub fn close(&self, id: &str) -> bool {
        self.evaluate(id, Activity::Close, FindingStatus::Resolved, ComplianceStatus::Pass)
    }

    /// Re-evaluates a finding as failed again. False when it holds no such finding.
    pub fn reopen(&self, id: &str) -> bool {
        self.evaluate(id, Activity::Update, FindingStatus::New, ComplianceStatus::Fail)
    }

    /// Forgets a finding: asking for it then gives [`SourceAnswer::Absent`]. False when it held no such finding.
    pub fn remove(&self, id: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.findings.len();
        inner.findings.retain(|(_, held), _| held != id);
        inner.findings.len() < before
    }

    /// Makes it answer (`true`) or fail every call with a [`SourceError`] that may be tried again (`false`).
    pub fn set_available(&self, available: bool) {
        self.lock().unavailable = !available;
    }

    /// Everything written back, oldest first, repeats included.
    pub fn written(&self) -> Vec<Written> {
        self.lock().written.clone()
    }

    fn evaluate(&self, id: &str, activity: Activity, status: FindingStatus, result: ComplianceStatus) -> bool {
        let now = (self.shared.clock)();
        let mut inner = self.lock();
        let mut found = false;
        for (_, finding) in inner.findings.iter_mut().filter(|((_, held), _)| held == id) {
            finding.activity = activity;
            finding.status = status;
            if let Some(compliance) = &mut finding.compliance {
                compliance.status = result;
            }
            finding.modified = Some(now);
            found = true;
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, source: Source, id: &str) -> Result<SourceAnswer, SourceError> {
        let inner = self.lock();
        inner.check("fetch", source, id)?;
        let found = inner.findings.get(&(source, id.to_owned()));
        Ok(found.map_or(SourceAnswer::Absent, |finding| SourceAnswer::Found(Box::new(finding.clone()))))
    }

    /// At most [`PAGE`] findings of the scope's source and account (and on one resource, where it names one), by id; the page is the last id of the one before.
    fn page(&self, scope: &Scope, since: Option<Millis>, page: Option<&str>) -> Result<Listed, SourceError> {
        let inner = self.lock();
        inner.check("list", scope.source, "*")?;
        if let Some(having) = scope.having.as_ref().filter(|having| having.attribute != "ResourceId") {
            return Err(error("list", scope.source, "*", &format!("it does not filter findings by `{}`", having.attribute), false));
        }
        let wanted = |finding: &Finding<'_>| {
            let account = finding.account.as_ref().or(finding.resources.first().and_then(|r| r.account.as_ref()));
            let changed = since.is_none_or(|since| finding.modified.or(finding.last_seen).or(finding.time).is_none_or(|at| at >= since));
            let has = |uid: &str| finding.resources.iter().any(|resource| resource.uid == uid);
            let having = scope.having.as_ref().is_none_or(|having| has(&having.value));
            account.is_some_and(|a| a.uid == scope.account) && having && (finding.is_open() || changed)
        };
        let all = inner
            .findings
            .iter()
            .filter(|((source, id), finding)| *source == scope.source && page.is_none_or(|page| id.as_str() > page) && wanted(finding));
        let mut rows: Vec<_> = all.take(PAGE + 1).collect();
        let next = (rows.len() > PAGE).then(|| rows.remove(PAGE)).and(rows.last().map(|((_, id), _)| id.clone()));
        Ok(Listed { findings: rows.into_iter().map(|(_, finding)| finding.clone()).collect(), unread: Vec::new(), next })
    }

    fn take(&self, source: Source, id: &str, status: WriteBack, note: &str) -> Result<(), SourceError> {
        let now = (self.shared.clock)();
        let mut inner = self.lock();
        inner.check("update", source, id)?;
        let key = (source, id.to_owned());
        let Some(finding) = inner.findings.get_mut(&key) else {
            return Err(error("update", source, id, "there is no such finding", false));
        };
        finding.status = mark(finding.class, status);
        // A source dates its own looks at the resource: BatchUpdateFindings leaves `UpdatedAt`, marks leave `eventTime`.
        if finding.class == FindingClass::Detection {
            finding.modified = Some(now);
        }
        inner.written.push((source, key.1, status, note.to_owned()));
        Ok(())
    }
}

impl Inner {
    fn check(&self, action: &'static str, source: Source, id: &str) -> Result<(), SourceError> {
        if self.unavailable { Err(error(action, source, id, "the source is unavailable", true)) } else { Ok(()) }
    }
}

impl FindingSource for SandboxSource {
    fn fetch<'a>(&'a self, source: Source, reference: &'a SourceRef<'a>) -> BoxFuture<'a, Result<SourceAnswer, SourceError>> {
        Box::pin(async move { self.answer(source, &reference.id) })
    }

    fn write_back<'a>(
        &'a self,
        source: Source,
        reference: &'a SourceRef<'a>,
        status: WriteBack,
        note: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { self.take(source, &reference.id, status, note) })
    }

    fn list<'a>(&'a self, scope: &'a Scope, since: Option<Millis>, page: Option<&'a str>) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(async move { self.page(scope, since, page) })
    }
}

/// An alert is resolved by saying so. A posture finding closes only when the source has looked again ([`SandboxSource::close`]).
fn mark(class: FindingClass, status: WriteBack) -> FindingStatus {
    match (status, class) {
        (WriteBack::Fixed, FindingClass::Detection) => FindingStatus::Resolved,
        (WriteBack::InProgress | WriteBack::Fixed, _) => FindingStatus::InProgress,
        (WriteBack::Reopened, _) => FindingStatus::New,
    }
}

fn error(action: &'static str, source: Source, id: &str, reason: &str, retry: bool) -> SourceError {
    SourceError { action, finding: id.to_owned(), source_name: source, reason: reason.to_owned(), retry }
}
