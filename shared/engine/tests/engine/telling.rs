//! What is counted: each thing once, under names and labels of the list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Finding, FindingStatus};
use stanch_core::normalize::{NoFinding, NormalizeError, Normalized, Reading};
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Meter, Nudge, Received, Store, StoreError, WorkQueue};
use stanch_core::remediation::Outcome;
use stanch_core::state::State;
use stanch_engine::Handled;
use stanch_engine::telemetry::{METRICS, MetricKind};
use stanch_engine::trigger::take_events;
use stanch_sandbox::{Fault, FaultKind, Sandbox};
use stanch_store::FileSpill;

use crate::subjects::{SUBJECTS, subject};
use crate::work::{arrive, panicking_world};
use crate::world::{self, World, auto_rules, now, turn_to, wait};

const BUCKET: &str = "aws-s3-block-public-access";

/// Keeps what was counted by `name label=value …`, and fails at a name or a label that the list does not have.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
    times: Mutex<BTreeMap<String, Vec<f64>>>,
}

fn key(name: &str, labels: &[(&'static str, &str)], counter: bool) -> String {
    let metric = METRICS.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("`{name}` is not in the list"));
    assert_eq!(counter, metric.kind == MetricKind::Counter, "{name}");
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let listed: Vec<&str> = metric.labels.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed, "the labels of {name}");
    let mut key = name.to_owned();
    for ((label, value), (_, values)) in labels.iter().zip(metric.labels) {
        assert!(*label == "source" || values.split(", ").any(|v| v == *value), "{name}: label {label} has no value `{value}`");
        key.push_str(&format!(" {label}={value}"));
    }
    key
}

impl Meter for Tally {
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        *self.counts.lock().expect("a lock").entry(key(name, labels, true)).or_default() += by;
    }

    fn time(&self, name: &'static str, labels: &[(&'static str, &str)], seconds: f64) {
        self.times.lock().expect("a lock").entry(key(name, labels, false)).or_default().push(seconds);
    }
}

impl Tally {
    /// The sum of every series of a counter whose labels contain this.
    fn sum(&self, name: &str, labels: &str) -> u64 {
        let counts = self.counts.lock().expect("a lock");
        counts.iter().filter(|(key, _)| key.split(' ').next() == Some(name) && key.contains(labels)).map(|(_, n)| n).sum()
    }

    #[track_caller]
    pub(crate) fn check(&self, expected: &[(&str, &str, u64)]) {
        for (name, labels, count) in expected {
            assert_eq!(self.sum(name, labels), *count, "{name} {labels}; counted: {:#?}", self.counts.lock().expect("a lock"));
        }
    }
}

#[test]
fn a_fix_and_its_undo_are_counted_once_from_the_report_to_the_proof() {
    for subject in SUBJECTS {
        let world = World::new();
        let fixed = world.open(&subject.finding());
        let results = |outcome: fn(Outcome) -> bool| {
            let attempts = fixed.fix.iter().flat_map(|run| &run.attempts);
            attempts.filter(|a| a.result.as_ref().is_some_and(|r| outcome(r.outcome))).count() as u64
        };
        let changes = results(Outcome::is_applied);
        let fixes = u64::from(fixed.times.verified.is_some());
        world.tally.check(&[
            ("stanch_findings_received_total", "outcome=opened", 1),
            ("stanch_decisions_total", "mode=auto", 1),
            ("stanch_plans_made_total", "kind=fix", 1),
            ("stanch_changes_total", "kind=fix outcome=applied", changes),
            ("stanch_verified_total", subject.cloud.as_str(), fixes),
            ("stanch_refused_total", "", 0),
            ("stanch_steps_failed_total", "", 0),
        ]);
        let times = world.tally.times.lock().expect("a lock").clone();
        let taken = times.get(&format!("stanch_time_to_remediate_seconds cloud={}", subject.cloud)).cloned().unwrap_or_default();
        let expected: Vec<f64> = fixed.times.verified.zip(fixed.times.received).map(|(v, r)| (v - r) as f64 / 1000.0).into_iter().collect();
        assert_eq!(taken, expected, "{}", subject.fix);
        if !matches!(fixed.state, State::Resolved { .. })
            || fixed.fix.as_ref().is_none_or(|run| run.plan.changes.iter().any(|c| c.undo.is_empty()))
        {
            continue;
        }
        world.undo(fixed.id);
        world.tally.check(&[
            ("stanch_plans_made_total", "kind=undo", 1),
            ("stanch_approvals_total", "by=person", 1),
            ("stanch_undone_total", "by=person", 1),
            ("stanch_remediations_ended_total", "outcome=rolled-back", 1),
            ("stanch_verified_total", "", fixes),
        ]);
    }
}

#[test]
fn a_refusal_is_counted_under_its_gate() {
    let capped = auto_rules().replace("per_hour: 100", "per_hour: 1");
    let world = World::with_rules(&capped);
    world.open(&subject(BUCKET).finding());
    world.open(&subject("aws-kms-enable-rotation").finding());
    world.tally.check(&[("stanch_refused_total", "gate=cap", 1), ("stanch_remediations_ended_total", "outcome=refused", 1)]);

    // The last slot went to another plan that was approved at the same time.
    let world = World::with_rules("rule: ask\nmode: approve\nlimits: {per_hour: 1}\ndo:\n  - fix: recommended\n");
    for id in [BUCKET, "aws-kms-enable-rotation"].map(|fix| world.open(&subject(fix).finding()).id) {
        wait(world.engine.approve(id, "test:ann", None)).expect("approved");
        world.rest(id);
    }
    world.tally.check(&[("stanch_refused_total", "gate=cap", 1), ("stanch_refused_total", "", 1)]);

    let world = World::new();
    let mut unknown = subject(BUCKET).finding();
    unknown.rule = Some("S3.999".into());
    unknown.compliance = None;
    world.open(&unknown);
    world.tally.check(&[("stanch_refused_total", "gate=fix", 1), ("stanch_plans_made_total", "", 0)]);

    let world = World::new();
    wait(world.store.allow_writes(false)).expect("switched");
    world.open(&subject(BUCKET).finding());
    world.tally.check(&[("stanch_refused_total", "gate=kill-switch", 1), ("stanch_plans_made_total", "verdict=refuse", 1)]);
}

#[test]
fn each_decision_and_each_approval_is_counted_once() {
    let recur = |world: &World, finding: &Finding<'static>| {
        world
            .sandbox
            .edit(Cloud::Aws, subject(BUCKET).uid, |bucket| bucket["PublicAccessBlockConfiguration"] = Value::Null)
            .expect("edited");
        turn_to(now() + 3_600_000);
        world.report(&Finding { modified: Some(now()), ..finding.clone() });
    };
    let finding = subject(BUCKET).finding();
    let world = World::new();
    let fixed = world.open(&finding);
    world.tally.check(&[("stanch_decisions_total", "", 1), ("stanch_approvals_total", "by=rule", 1)]);
    world.undo(fixed.id);
    world.tally.check(&[("stanch_decisions_total", "", 1), ("stanch_approvals_total", "by=person", 1)]);

    let world = World::new();
    world.open(&finding);
    recur(&world, &finding);
    world.tally.check(&[("stanch_decisions_total", "mode=auto", 2), ("stanch_approvals_total", "by=rule", 2)]);

    // Planned again on what is there now: that is no new decision.
    let world = World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n");
    let waiting = world.open(&finding);
    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    world.tally.check(&[("stanch_decisions_total", "mode=approve", 1), ("stanch_approvals_total", "by=person", 1)]);
    let half = json!({"BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": false, "RestrictPublicBuckets": false});
    world.sandbox.edit(Cloud::Aws, subject(BUCKET).uid, |bucket| bucket["PublicAccessBlockConfiguration"] = half).expect("edited");
    world.rest(waiting.id);
    assert_eq!(world.load(waiting.id).state, State::AwaitingApproval);
    world.tally.check(&[("stanch_decisions_total", "", 1), ("stanch_plans_made_total", "", 2), ("stanch_approvals_total", "", 1)]);
}

/// The world, and the report of the fault, of a case that ends.
type Ends = fn(&World, &Finding<'static>);

#[test]
fn every_end_is_counted_once_under_its_name() {
    const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";
    let auto = auto_rules();
    let (asked, capped) = (ASK, auto.replace("per_hour: 100", "per_hour: 0"));
    let ends: [(&str, &str, Ends); 9] = [
        ("fixed", &auto, |world, finding| drop(world.open(finding))),
        ("gone", &auto, |world, finding| {
            world.sandbox.delete(Cloud::Aws, subject(BUCKET).uid).expect("deleted");
            world.open(finding);
        }),
        ("compliant", &auto, |world, finding| {
            World::on(world.sandbox.clone(), &auto_rules()).open(finding);
            world.open(finding);
        }),
        ("by-others", asked, |world, finding| {
            world.open(finding);
            let closed = Finding { status: FindingStatus::Resolved, modified: Some(now()), ..finding.clone() };
            world.report(&closed);
        }),
        ("rolled-back", &auto, |world, finding| drop(world.undo(world.open(finding).id))),
        ("rejected", asked, |world, finding| {
            wait(world.engine.reject(world.open(finding).id, "test:ann", "not now")).expect("rejected");
        }),
        ("refused", &capped, |world, finding| drop(world.open(finding))),
        ("failed", &auto, |world, finding| {
            world.sandbox.inject(Fault::once(FaultKind::Denied, "s3.Put"));
            world.open(finding);
        }),
        ("stuck", &auto, |world, finding| {
            world.sandbox.inject(Fault::once(FaultKind::Denied, "s3.Get"));
            world.open(finding);
        }),
    ];
    for (outcome, rules, ends) in ends {
        let world = World::with_rules(rules);
        ends(&world, &subject(BUCKET).finding());
        world.tally.check(&[("stanch_remediations_ended_total", &format!("cloud=aws outcome={outcome}"), 1)]);
        let fixed = u64::from(outcome == "rolled-back"); // before that
        world.tally.check(&[("stanch_remediations_ended_total", "", 1 + fixed)]);
    }
}

#[test]
fn calls_throttles_and_answers_that_never_came_are_counted_by_cloud() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::Throttled { retry_after: 3 }, "s3.GetPublicAccessBlock"));
    world.sandbox.inject(Fault::once(FaultKind::TimeoutLanded, "s3.PutPublicAccessBlock"));
    world.open(&subject(BUCKET).finding());
    world.tally.check(&[
        ("stanch_throttles_total", "cloud=aws", 1),
        ("stanch_cloud_calls_total", "class=unknown", 1),
        ("stanch_changes_total", "outcome=applied-by-observation", 1),
    ]);
    assert!(world.tally.sum("stanch_cloud_calls_total", "cloud=aws class=2xx") > 1);
    assert_eq!(world.tally.sum("stanch_cloud_calls_total", "cloud=gcp"), 0);
}

#[test]
fn a_repeated_delivery_is_known_and_decides_nothing_again() {
    let world = World::new();
    let finding = subject(BUCKET).finding();
    world.open(&finding);
    world.report(&finding);
    world.tally.check(&[
        ("stanch_findings_received_total", "outcome=opened", 1),
        ("stanch_findings_received_total", "outcome=known", 1),
        ("stanch_decisions_total", "", 1),
    ]);
}

#[test]
fn the_queue_is_as_old_as_what_is_due_longest() {
    let world = World::with_rules("rule: plan\nmode: plan\ndo:\n  - fix: recommended\n");
    let age = || wait(world.engine.health()).expect("health").queue_age_ms;
    assert_eq!(age(), 0);
    let start = now();
    wait(world.engine.ingest(vec![subject(BUCKET).finding()])).expect("taken in");
    for seconds in [0, 1, 2, 59, 4_000, 700_000] {
        turn_to(start + seconds * 1_000);
        let off = seconds * 1_000 - age();
        assert!((0..=1_000).contains(&off), "{seconds} s: off by {off} ms");
    }
    turn_to(now() + 1_700);
    assert_eq!(age() % 1_000, 0, "to the second: {}", age());
    world.reconcile();
    assert_eq!(age(), 0);
    let waited = world.tally.times.lock().expect("a lock").get("stanch_queue_wait_seconds").cloned();
    assert!(waited.as_ref().is_some_and(|w| w.len() == 1 && w.iter().all(|s| (700_001.0..=700_002.0).contains(s))), "{waited:?}");
    world.reconcile();
    world.tally.check(&[("stanch_reconciles_total", "", 2)]);
    let after = world.tally.times.lock().expect("a lock").get("stanch_queue_wait_seconds").cloned();
    assert_eq!(after, waited, "a round that found nothing due waited for nothing");
}

#[test]
fn the_outbox_is_as_old_as_its_oldest_message_even_one_put_off() {
    let mut world = World::new();
    world.ports.new_id = dated();
    world.set_rules("rule: tell\nmode: record\ndo:\n  - notify: {channel: team}\n");
    let age = || wait(world.engine.health()).expect("health").outbox_age_ms;
    assert_eq!(age(), 0);
    world.post.close("team", true);
    wait(world.engine.ingest(vec![subject(BUCKET).finding()])).expect("taken in");
    turn_to(now() + 90_000);
    assert_eq!(age(), 90_000);
    wait(world.engine.send_outbox(10)).expect("tried");
    assert_eq!(age(), 90_000, "put off, and still waiting");
    world.post.reopen("team");
    turn_to(now() + 3_600_000);
    wait(world.engine.send_outbox(10)).expect("sent");
    assert_eq!(age(), 0);
}

#[test]
fn deliveries_are_counted_by_what_became_of_them() {
    const HEARTBEAT: NoFinding = NoFinding { rule: "heartbeat", what: "a heartbeat", shape: "`health`", why: "nothing is wrong" };
    fn read(event: &str) -> Normalized<'_> {
        match event {
            "health" => Ok(Reading { passed_over: vec![&HEARTBEAT], ..Reading::default() }),
            // A score is taken, though by a rule it is no finding.
            "score" => {
                let score = serde_json::from_value(json!({"scope": "/a", "name": "s", "current": 1.0, "max": 2.0}));
                let scores = score.map_err(|e| NormalizeError::json(&e))?;
                Ok(Reading { passed_over: vec![&HEARTBEAT], scores: vec![scores], ..Reading::default() })
            }
            _ => world::read(event),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut world, store) = World::new().with_faults(&auto_rules());
    world.engine = world.engine.clone().with_spill(Arc::new(FileSpill::new(folder.path())), |_, event| read(event));
    let event = serde_json::to_string(&subject(BUCKET).finding()).unwrap();
    let deliver = |batch: &[&str]| {
        let batch: Vec<String> = batch.iter().map(|&event| event.to_owned()).collect();
        wait(take_events(&world.engine, "ocsf-finding", &batch, read)).expect("taken")
    };
    deliver(&[&event, "score", "health", "{\"cut\":"]);
    world.tally.check(&[
        ("stanch_events_total", "outcome=taken", 2),
        ("stanch_events_total", "outcome=ignored", 1),
        ("stanch_events_total", "outcome=refused", 1),
        ("stanch_parked_total", "kind=event", 1),
        ("stanch_parked_total", "kind=message", 0),
    ]);
    store.set_down(true);
    let other = serde_json::to_string(&subject("aws-kms-enable-rotation").finding()).unwrap();
    deliver(&[&event, &other]);
    store.set_down(false);
    world.tally.check(&[("stanch_spilled_events_total", "outcome=spilled", 2), ("stanch_events_total", "", 4)]);
    world.reconcile();
    world.tally.check(&[("stanch_spilled_events_total", "outcome=recovered", 2), ("stanch_events_total", "outcome=taken", 4)]);
    assert_eq!(wait(world.engine.message("a stranger's message", 1)).expect("parked"), Handled::Parked);
    world.tally.check(&[("stanch_parked_total", "kind=message", 1)]);
}

#[test]
fn messages_are_counted_and_timed_by_their_lane() {
    let mut world = World::new();
    turn_to(now() + 250);
    world.ports.new_id = dated();
    world.set_rules(&format!("{}  - notify: {{channel: down}}\n  - notify: {{channel: odd}}\n", auto_rules()));
    world.post.close("down", true);
    world.post.close("odd", false);
    wait(world.engine.ingest(vec![subject(BUCKET).finding()])).expect("taken in");
    world.source.put(subject(BUCKET).finding());
    world.reconcile();
    world.tally.check(&[
        ("stanch_messages_total", "lane=source outcome=sent", 2),
        ("stanch_messages_total", "lane=channel outcome=sent", 0),
        ("stanch_messages_total", "lane=channel outcome=put-off", 2),
    ]);
    world.post.reopen("down");
    turn_to(now() + 61_500);
    world.reconcile();
    for _ in 0..2 {
        turn_to(now() + 6 * 3_600_000);
        world.reconcile();
    }
    world.tally.check(&[("stanch_messages_total", "lane=channel outcome=sent", 1), ("stanch_messages_total", "outcome=not-taken", 1)]);
    let times = world.tally.times.lock().expect("a lock").clone();
    assert_eq!(times.get("stanch_message_wait_seconds lane=source"), Some(&vec![0.0, 0.0]));
    assert_eq!(times.get("stanch_message_wait_seconds lane=channel"), Some(&vec![61.5]));
}

/// A cloud that takes three seconds to answer.
struct Slow(Sandbox);

impl CloudApi for Slow {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        turn_to(now() + 3_000);
        self.0.call(request, timeout_ms)
    }
}

#[test]
fn calls_are_timed_and_steps_that_fail_and_nudges_that_are_lost_are_counted() {
    let sandbox = Sandbox::seeded(now);
    let world = World::through(sandbox.clone(), Arc::new(Slow(sandbox)), &auto_rules());
    world.open(&subject(BUCKET).finding());
    let times = world.tally.times.lock().expect("a lock").get("stanch_cloud_call_duration_seconds cloud=aws").cloned();
    assert_eq!(times, Some(vec![3.0; world.sandbox.requests().len()]));
    world.tally.check(&[("stanch_nudges_lost_total", "", 0)]);

    let world = panicking_world();
    arrive(&world, &subject(BUCKET).finding());
    world.reconcile();
    world.tally.check(&[("stanch_steps_failed_total", "kind=broken", 1), ("stanch_steps_failed_total", "kind=retry", 0)]);

    let sandbox = Sandbox::seeded(now);
    let world = World::with_queue(sandbox.clone(), Arc::new(sandbox), Arc::new(Closed), &auto_rules());
    let fixed = world.open(&subject(BUCKET).finding());
    assert_eq!(fixed.state.name(), "resolved", "{}", fixed.note);
    // Opened, planned, intended, written, verified.
    assert!(world.tally.sum("stanch_nudges_lost_total", "") >= 4);
}

/// A queue that takes nothing.
struct Closed;

impl WorkQueue for Closed {
    fn send<'a>(&'a self, _: &'a Nudge, _: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Unavailable { reason: "closed by the test".into() })))
    }
    fn receive(&self, _: usize, _: u64) -> BoxFuture<'_, Result<Vec<Received>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn complete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Ids that tell when they were made, as the programs make them.
fn dated() -> Arc<dyn Fn() -> uuid::Uuid + Send + Sync> {
    let made = AtomicU8::new(0);
    Arc::new(move || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        uuid::Builder::from_unix_timestamp_millis(now().unsigned_abs(), &[number; 10]).into_uuid()
    })
}
