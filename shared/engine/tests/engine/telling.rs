//! What is counted: each thing once, under names and labels of the list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use stanch_core::port::{Meter, Store};
use stanch_core::remediation::Outcome;
use stanch_core::state::State;
use stanch_engine::telemetry::{METRICS, MetricKind};
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::{SUBJECTS, subject};
use crate::world::{World, auto_rules, now, turn_to, wait};

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
}

#[test]
fn the_outbox_is_as_old_as_its_oldest_message_even_one_put_off() {
    let mut world = World::new();
    // Ids that tell when they were made, as the programs make them.
    let made = AtomicU8::new(0);
    world.ports.new_id = Arc::new(move || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        uuid::Builder::from_unix_timestamp_millis(now().unsigned_abs(), &[number; 10]).into_uuid()
    });
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
