//! Sweeps: every so often each source is asked for all it holds, so that a finding whose event never arrived is found.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stanch_core::finding::{Finding, Millis};
use stanch_core::port::{Filter, Kind, Listed, Scope};
use stanch_core::remediation::{Remediation, RemediationId};

use crate::case::Case;
use crate::ingest::waits;
use crate::panic::caught;
use crate::spill::is_unavailable;
use crate::{Engine, EngineError, Taken, telemetry};

/// Pages of one scope read in one round.
const PAGES: usize = 5;
/// Sources show a finding some time after the date they give it, milliseconds: what is listed goes back so far before the last
/// sweep, and what was known then costs one look into the store.
const LATE_MS: i64 = 3_600_000;
/// How long a worker holds a scope without a word, milliseconds.
const LEASE_MS: i64 = 600_000;
/// Waiting cases of a scope whose findings are asked for one by one after a complete sweep.
const RECHECKS: usize = 50;
/// The states that wait for somebody and could wait for ever.
const WAITING: [&str; 3] = ["awaiting-approval", "planned", "deferred"];

/// What is swept, and how often.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    scopes: Vec<Scope>,
    every_ms: i64,
}

/// How far a scope was swept; kept in the store, changed by compare-and-swap alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// When the last complete sweep began. Until there is one, what is listed is the backlog.
    #[serde(default)]
    completed: Option<Millis>,
    /// When the sweep under way began.
    #[serde(default)]
    started: Option<Millis>,
    /// Its next page.
    #[serde(default)]
    page: Option<String>,
    /// Until when a worker holds the scope.
    #[serde(default)]
    held_until: Option<Millis>,
    /// Failures in a row, and until when the source is left alone for them.
    #[serde(default)]
    failures: u32,
    #[serde(default)]
    not_before: Option<Millis>,
    /// The last waiting case that was asked for by itself.
    #[serde(default)]
    rechecked: Option<RemediationId>,
}

impl Cursor {
    /// Whether there is something to list now, and nobody else lists it.
    fn is_due(&self, now: Millis, every_ms: i64) -> bool {
        let after = |at: Option<Millis>| at.is_none_or(|at| at <= now);
        let begun = self.started.is_some() || self.completed.is_none_or(|at| at.saturating_add(every_ms) <= now);
        begun && after(self.held_until) && after(self.not_before)
    }
}

/// What one page of a list gave.
struct Page {
    listed: usize,
    /// Faults that nobody had known.
    missed: usize,
    next: Option<String>,
}

/// A scope in the hands of this worker.
struct Held {
    name: String,
    stored: Option<String>,
    cursor: Cursor,
}

impl Engine {
    /// Has each scope swept at least every `every_ms` milliseconds.
    #[must_use]
    pub fn with_sweep(mut self, scopes: Vec<Scope>, every_ms: u64) -> Self {
        self.sweep = Arc::new(Sweep { scopes, every_ms: i64::try_from(every_ms).unwrap_or(i64::MAX) });
        self
    }

    /// Goes on with every scope that is due, some pages each. Gives how many findings were listed. A scope that fails is left
    /// alone for a while; its cursor stays.
    pub(crate) async fn sweep(&self) -> Result<usize, EngineError> {
        let sweep = Arc::clone(&self.sweep);
        let (mut listed, mut failed) = (0, None);
        for scope in &sweep.scopes {
            match caught(self.sweep_scope(scope, sweep.every_ms)).await {
                Ok(count) => listed += count,
                Err(error) => {
                    telemetry::sweep_failed(self.meter(), scope.source, scope, &error);
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(listed), Err)
    }

    async fn sweep_scope(&self, scope: &Scope, every_ms: i64) -> Result<usize, EngineError> {
        let name = format!("sweep/{scope}");
        let stored = self.ports.store.value(&name).await?;
        let cursor: Cursor = match stored.as_deref().map(serde_json::from_str).transpose() {
            Ok(cursor) => cursor.unwrap_or_default(),
            Err(error) => return Err(EngineError::Refused(format!("the cursor of sweep `{scope}` cannot be read: {error}"))),
        };
        let now = self.now();
        if !cursor.is_due(now, every_ms) {
            return Ok(0);
        }
        let mut held = Held { name, stored, cursor };
        held.cursor.started = held.cursor.started.or(Some(now));
        let (mut listed, mut missed) = (0, 0);
        for _ in 0..PAGES {
            held.cursor.held_until = Some(self.now() + LEASE_MS);
            if !self.keep(&mut held).await? {
                return Ok(listed);
            }
            match self.sweep_page(scope, &held.cursor).await {
                Ok(page) => {
                    listed += page.listed;
                    missed += page.missed;
                    held.cursor.page = page.next;
                    (held.cursor.failures, held.cursor.not_before) = (0, None);
                }
                Err(error) => return self.give_up(held, error, every_ms).await,
            }
            if held.cursor.page.is_none() {
                self.recheck_waiting(scope, &mut held.cursor).await?;
                held.cursor.completed = held.cursor.started.take();
                break;
            }
        }
        held.cursor.held_until = None;
        self.keep(&mut held).await?;
        telemetry::swept(self.meter(), scope.source, scope, listed as u64, missed as u64);
        Ok(listed)
    }

    /// Stores the cursor. `false`: another worker has taken the scope over.
    async fn keep(&self, held: &mut Held) -> Result<bool, EngineError> {
        let text = serde_json::to_string(&held.cursor).unwrap_or_default();
        let kept = self.ports.store.set_value(&held.name, held.stored.as_deref(), Some(&text)).await?;
        held.stored = Some(text);
        Ok(kept)
    }

    /// A page that failed is asked for again later, from where the sweep stands.
    async fn give_up(&self, mut held: Held, error: EngineError, every_ms: i64) -> Result<usize, EngineError> {
        held.cursor.failures = held.cursor.failures.saturating_add(1);
        let wait = if error.kind() == Kind::Retry { (60_000 << held.cursor.failures.min(6)).min(every_ms) } else { every_ms };
        held.cursor.not_before = Some(self.now().saturating_add(wait));
        held.cursor.held_until = None;
        // The page may be what the source does not take any more: after some failures the sweep begins anew.
        if held.cursor.failures.is_multiple_of(5) {
            held.cursor.page = None;
        }
        self.keep(&mut held).await?;
        Err(error)
    }

    /// Lists one page and takes all of it in.
    async fn sweep_page(&self, scope: &Scope, cursor: &Cursor) -> Result<Page, EngineError> {
        let since = cursor.completed.map(|at| at - LATE_MS);
        let page = self.ports.sources.list(scope, since, cursor.page.as_deref()).await?;
        let Listed { findings, unread, next } = page;
        let (listed, first) = (findings.len(), cursor.completed.is_none());
        let mut missed = 0;
        let origin = scope.source.as_str();
        for finding in findings {
            missed += self.take_listed(origin, finding, first).await?;
        }
        for row in unread {
            self.park_event(origin, &row.body, &row.why).await?;
        }
        Ok(Page { listed, missed, next })
    }

    /// A listed finding goes through the same intake as an event. One that cannot be taken does not stop the page.
    /// Gives how many faults nobody had known.
    async fn take_listed(&self, origin: &str, finding: Finding<'static>, first: bool) -> Result<usize, EngineError> {
        let raw = finding.raw.to_string();
        match caught(self.ingest_listed(finding, first)).await {
            Ok(intakes) => Ok(intakes.iter().filter(|intake| intake.taken == Taken::Opened).count()),
            Err(error) if error.kind() == Kind::Retry => Err(error),
            Err(error) => self.park_event(origin, &raw, &error.to_string()).await.map(|()| 0),
        }
    }

    /// A finding that vanished at its source leaves no event and is on no list. So after a complete sweep the findings of cases
    /// that wait are asked for one by one, some each time.
    async fn recheck_waiting(&self, scope: &Scope, cursor: &mut Cursor) -> Result<(), EngineError> {
        let mut ids = Vec::new();
        for state in WAITING {
            let filter = Filter { state: Some(state.to_owned()), cloud: Some(scope.cloud), limit: None };
            ids.extend(self.ports.store.list(&filter).await?.into_iter().map(|row| row.id));
        }
        ids.sort_unstable();
        let begin = ids.partition_point(|id| cursor.rechecked.is_some_and(|last| *id <= last));
        ids.rotate_left(begin);
        let mut asked = 0;
        for id in ids {
            let mut case = match Case::load(self, id).await {
                Ok(case) if waits(case.state()) && lies_in(&case.remediation, scope) => case,
                Err(error) if is_unavailable(&error) => return Err(error),
                // It has moved on, is none of this scope's, or cannot be read, which the timer tells when it is due.
                Ok(_) | Err(_) => continue,
            };
            cursor.rechecked = Some(id);
            if let Err(error) = caught(self.recheck(&mut case)).await {
                // The sweep itself is complete; what could not be asked now is asked after the next one.
                tracing::warn!(remediation = %id, %error, "waiting case not checked at its source");
                break;
            }
            asked += 1;
            if asked == RECHECKS {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a case was reported from a scope. A scope of Google's may be an organization or a folder, which no case names.
fn lies_in(remediation: &Remediation, scope: &Scope) -> bool {
    let here = remediation.account() == Some(scope.account.as_str()) || scope.account.contains('/');
    here && remediation.reporters.iter().any(|reporter| reporter.source == scope.source && reporter.open)
}
