//! A remediation in the hands of one step: what it changes is gathered here and committed at once.

use std::collections::BTreeMap;

use serde_json::Value;
use stanch_core::chain::{self, ChainEntry};
use stanch_core::decide::Decision;
use stanch_core::finding::Millis;
use stanch_core::fix::Activity;
use stanch_core::ocsf::{ActivityCall, ActivityKind, ActivityStatus, RemediationActivity};
use stanch_core::plan::Plan;
use stanch_core::port::{Commit, NUDGE_FORMAT, Notice, Nudge, OutboxItem, OutboxMessage, WriteBack};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation, RemediationId, Reporter};
use stanch_core::rule::Step;
use stanch_core::state::{Event, IllegalMove, State, advance};

use crate::Engine;
use crate::error::EngineError;
use crate::telemetry::{self, Before};

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another step can follow at once.
    Now,
    /// Not before then, milliseconds since the epoch.
    At(Millis),
    /// Nothing, until something happens.
    Idle,
}

/// A loaded remediation and what is to be committed with it.
pub(crate) struct Case {
    pub(crate) remediation: Remediation,
    expected: u64,
    before: Before,
    log: Vec<ChainEntry>,
    outbox: Vec<OutboxItem>,
    sealed: BTreeMap<String, Value>,
    bodies: Vec<(String, String)>,
}

/// One line of the record.
pub(crate) struct Entry<'e> {
    pub(crate) status: ActivityStatus,
    pub(crate) detail: &'e str,
    pub(crate) message: String,
    pub(crate) call: Option<ActivityCall>,
    pub(crate) actor: Option<&'e str>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Entry<'_> {
    /// An entry with a status, a word for it and a sentence.
    pub(crate) fn new(status: ActivityStatus, detail: &str, message: impl Into<String>) -> Entry<'_> {
        Entry { status, detail, message: message.into(), call: None, actor: None, before: None, after: None }
    }
}

impl Case {
    /// A new case, not stored yet.
    pub(crate) fn new(remediation: Remediation) -> Self {
        let (log, outbox, bodies) = (Vec::new(), Vec::new(), Vec::new());
        Case { remediation, expected: 0, before: Before::default(), log, outbox, sealed: BTreeMap::new(), bodies }
    }

    /// Loads a case.
    pub(crate) async fn load(engine: &Engine, id: RemediationId) -> Result<Self, EngineError> {
        let remediation = engine.ports.store.load(id).await?.ok_or(EngineError::Unknown(id))?;
        let mut case = Case::new(remediation);
        case.expected = case.remediation.version;
        case.before = Before::of(&case.remediation);
        Ok(case)
    }

    /// Moves the state; the note says why, for people.
    pub(crate) fn advance(&mut self, event: Event, note: impl Into<String>) -> Result<(), IllegalMove> {
        let to = advance(self.remediation.state, event)?;
        self.remediation.state = to;
        self.remediation.note = note.into();
        self.remediation.tries = 0;
        Ok(())
    }

    /// Appends to the record. What is written names the plan of the run at hand.
    pub(crate) fn record(&mut self, engine: &Engine, plan: Option<&Plan>, entry: Entry<'_>) {
        let now = engine.now();
        let r = &self.remediation;
        let activity = RemediationActivity {
            kind: plan.map_or(ActivityKind::Harden, ActivityKind::of),
            status: entry.status,
            status_detail: Some(entry.detail.to_owned()),
            command_uid: (engine.ports.new_id)().to_string(),
            event_uid: Some(format!("{}/{}", r.id, r.chain.length + 1)),
            correlation_uid: Some(r.id.to_string()),
            finding_uids: r.reporters.iter().map(|p| p.uid.clone()).collect(),
            time: now,
            start_time: None,
            end_time: None,
            severity: r.finding.severity,
            cloud: r.resource.cloud,
            account: r.resource.account.clone().or_else(|| r.finding.account.clone()),
            region: r.resource.region.as_ref().map(ToString::to_string),
            resource_uids: vec![r.resource.uid.to_string()],
            message: Some(entry.message),
            remediation: plan.map(|p| p.title.clone()),
            calls: entry.call.into_iter().collect(),
            actor: entry.actor.map(str::to_owned),
            plan_hash: plan.map(Plan::hash),
            fix: plan.map(|p| p.fix.clone()),
            before: entry.before,
            after: entry.after,
        };
        let body = serde_json::to_string(&activity).unwrap_or_else(|e| format!("{{\"message\":\"record entry not serialisable: {e}\"}}"));
        let (chained, head) = chain::append(r.id, &r.chain, body);
        self.remediation.chain = head;
        self.log.push(chained);
    }

    /// Keeps a large body under its digest.
    pub(crate) fn body(&mut self, digest: String, text: String) {
        self.bodies.push((digest, text));
    }

    /// Seals sensitive values with the commit.
    pub(crate) fn seal(&mut self, values: &BTreeMap<String, Value>) {
        self.sealed.extend(values.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// Tells every source that reported the fault.
    pub(crate) fn write_back(&mut self, engine: &Engine, status: WriteBack, note: &str) {
        self.write_back_to(engine, |r| r.open || status != WriteBack::InProgress, status, note);
    }

    /// Tells some of the sources that reported the fault.
    pub(crate) fn write_back_to(&mut self, engine: &Engine, to: impl Fn(&Reporter) -> bool, status: WriteBack, note: &str) {
        for reporter in self.remediation.reporters.iter().filter(|r| to(r)) {
            let message = OutboxMessage::WriteBack {
                source: reporter.source,
                source_ref: reporter.source_ref.clone(),
                status,
                note: note.chars().take(512).collect(),
            };
            self.outbox.push(OutboxItem { id: (engine.ports.new_id)(), message });
        }
    }

    /// Puts a notice into the outbox for every channel the decision names.
    pub(crate) fn notify(&mut self, engine: &Engine, title: &str) {
        let Some(decision) = &self.remediation.decision else { return };
        let notice = self.notice(engine.now(), title);
        for channel in channels(decision) {
            let message = OutboxMessage::Notice { channel: channel.to_owned(), notice: notice.clone() };
            self.outbox.push(OutboxItem { id: (engine.ports.new_id)(), message });
        }
    }

    fn notice(&self, at: Millis, title: &str) -> Notice {
        let r = &self.remediation;
        let mut facts = vec![
            ("cloud".to_owned(), r.resource.cloud.to_string()),
            ("account".to_owned(), r.account().unwrap_or("-").to_owned()),
            ("resource".to_owned(), r.resource.uid.to_string()),
            ("finding".to_owned(), r.finding.title.to_string()),
            ("severity".to_owned(), r.finding.severity.caption().to_owned()),
        ];
        if let Some(run) = r.run() {
            facts.push(("fix".to_owned(), run.plan.fix.clone()));
            facts.push(("plan".to_owned(), run.hash.clone()));
        }
        if !r.note.is_empty() {
            facts.push(("why".to_owned(), r.note.clone()));
        }
        Notice { remediation: r.id, title: title.to_owned(), state: r.state.to_string(), facts, at }
    }

    /// Commits and says what comes next. `Next::Now` also leaves a due time, so that a crash right here loses nothing.
    pub(crate) async fn commit(&mut self, engine: &Engine, next: Next) -> Result<Next, EngineError> {
        let own = match next {
            Next::Now => Some(engine.now()),
            Next::At(at) => Some(at),
            Next::Idle => None,
        };
        self.remediation.format = REMEDIATION_FORMAT;
        self.remediation.next_at = crate::due::next_at(&self.remediation, own);
        let commit = Commit {
            remediation: self.remediation.clone(),
            at: engine.now(),
            expected_version: self.expected,
            log: std::mem::take(&mut self.log),
            outbox: std::mem::take(&mut self.outbox),
            next_at: self.remediation.next_at,
            sealed: std::mem::take(&mut self.sealed),
            bodies: std::mem::take(&mut self.bodies),
        };
        let version = engine.ports.store.commit(commit).await?;
        self.expected = version;
        self.remediation.version = version;
        telemetry::committed(engine.meter(), std::mem::replace(&mut self.before, Before::of(&self.remediation)), &self.remediation);
        if let Some(at) = own {
            let delay = u64::try_from(at - engine.now()).unwrap_or(0);
            // Only a nudge: the due time is stored, so losing it costs time, never work.
            let nudge = Nudge { format: NUDGE_FORMAT, id: self.remediation.id, version, correlation: self.remediation.correlation };
            if let Err(error) = engine.ports.queue.send(&nudge, delay).await {
                telemetry::nudge_lost(engine.meter(), &self.remediation, &error);
            }
        }
        Ok(next)
    }

    /// Nothing is to be done before `at`. Committed only where the store has another time, so that waiting costs nothing.
    pub(crate) async fn keep_until(&mut self, engine: &Engine, at: Millis) -> Result<Next, EngineError> {
        if self.remediation.next_at == Some(at) {
            return Ok(Next::At(at));
        }
        self.commit(engine, Next::At(at)).await
    }

    /// Puts the step off with growing patience; after too many tries a person is called. Waiting for an API that asked for it
    /// is no failed try.
    pub(crate) async fn again_later(&mut self, engine: &Engine, error: &EngineError) -> Result<Next, EngineError> {
        if let EngineError::Throttled { until, .. } = error {
            self.remediation.note = format!("waiting: {error}");
            // Spread, so that those who wait do not all come at once.
            let spread = (self.remediation.id.0.as_u128() % 5_000) as i64;
            return self.commit(engine, Next::At(until + spread)).await;
        }
        self.remediation.tries += 1;
        let why = describe(error);
        if self.remediation.tries >= crate::MAX_TRIES {
            return self.stuck(engine, format!("gave up after {} tries: {why}", crate::MAX_TRIES)).await;
        }
        self.remediation.note = format!("will try again: {why}");
        let at = engine.now() + Engine::back_off(self.remediation.tries);
        self.commit(engine, Next::At(at)).await
    }

    /// Calls a person.
    pub(crate) async fn stuck(&mut self, engine: &Engine, why: String) -> Result<Next, EngineError> {
        // The run at hand, which the next state no longer tells.
        let plan = self.remediation.run().map(|r| r.plan.clone());
        self.advance(Event::Unclear, why.clone())?;
        self.record(engine, plan.as_ref(), Entry::new(ActivityStatus::Error, "Stuck", why));
        self.notify(engine, "A person is needed");
        self.commit(engine, Next::Idle).await
    }

    /// A gate said no: recorded, told, ended.
    pub(crate) async fn refuse(&mut self, engine: &Engine, why: String) -> Result<Next, EngineError> {
        self.advance(Event::GateRefused, why.clone())?;
        let plan = self.remediation.run().map(|r| r.plan.clone());
        self.record(engine, plan.as_ref(), Entry::new(ActivityStatus::Other, "Refused", why));
        self.commit(engine, Next::Idle).await
    }

    /// The state of the case.
    pub(crate) fn state(&self) -> State {
        self.remediation.state
    }
}

/// The channels a decision's steps name.
fn channels(decision: &Decision) -> impl Iterator<Item = &str> {
    decision.steps.iter().filter_map(|step| match step {
        Step::Notify { channel } => Some(channel.as_str()),
        Step::Fix(_) => None,
    })
}

/// An error with its hint, one line.
pub(crate) fn describe(error: &EngineError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

/// What the sources are told once a fix is proven, or found to be needless: an alert stays open where only evidence was kept.
pub(crate) fn told(activity: Activity) -> WriteBack {
    if activity.closes_finding() { WriteBack::Fixed } else { WriteBack::InProgress }
}
