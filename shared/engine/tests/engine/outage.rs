//! An hour without the store under traffic: what came meanwhile was put aside, is sent again, or is found at its source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Finding, Millis, Source};
use stanch_core::port::{Filter, Scope, Spill, Store};
use stanch_core::state::{Resolution, State};
use stanch_engine::trigger::take_events;
use stanch_store::FileSpill;

use crate::world::{World, auto_rules, now, numbered, read, turn_to, wait};

const NAME: &str = "securityhub-finding";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

const MINUTE: Millis = 60_000;
/// How long the store is out of reach.
const OUTAGE: Millis = 60 * MINUTE;
/// One event each half minute.
const BETWEEN: Millis = MINUTE / 2;
/// From the twentieth to the fortieth minute the spill cannot be written either.
const NO_SPILL: std::ops::Range<Millis> = 20 * MINUTE..40 * MINUTE;
/// When the process ends without a word, and another takes over.
const KILLED: [Millis; 2] = [15 * MINUTE, 45 * MINUTE];
/// How often the sources are swept, milliseconds.
const SWEEP: u64 = 3_600_000;

/// A public bucket, and what its source reports about it now.
fn fault(world: &World, number: usize) -> Finding<'static> {
    let mut finding = numbered(number);
    finding.modified = Some(now());
    let bucket = json!({"Name": format!("bucket-{number}"), "Owner": "111122223333", "Region": "eu-west-1"});
    world.sandbox.put(Cloud::Aws, &format!("arn:aws:s3:::bucket-{number}"), bucket);
    world.source.put(finding.clone());
    finding
}

/// A folder of events put aside, which can be made one that takes none.
struct Folder {
    data: tempfile::TempDir,
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.data.path().join("spill")
    }

    fn away(&self) -> PathBuf {
        self.data.path().join("away")
    }

    /// A file stands where the folder was. (The tests may run as root, who writes into read-only folders.)
    fn close(&self) {
        std::fs::rename(self.path(), self.away()).expect("the folder goes");
        std::fs::write(self.path(), "").expect("a file");
    }

    fn open(&self) {
        std::fs::remove_file(self.path()).expect("the file goes");
        std::fs::rename(self.away(), self.path()).expect("the folder comes back");
    }
}

/// The process starts: nothing is left in memory.
fn start(world: &mut World, spill: Option<&Path>) {
    world.set_rules(&auto_rules().replace("per_hour: 100", "per_hour: 100000"));
    let scope = Scope {
        source: Source::SecurityHub,
        cloud: Cloud::Aws,
        account: "111122223333".into(),
        region: Some("eu-west-1".into()),
        having: None,
    };
    world.engine = world.engine.clone().with_sweep(vec![scope], SWEEP);
    if let Some(folder) = spill {
        world.engine = world.engine.clone().with_spill(Arc::new(FileSpill::new(folder)), |_, event| read(event));
    }
}

/// What became of the events of the hour.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Answered as put aside at once.
    spilled: usize,
    /// Refused, sent again and put aside then.
    again: usize,
    /// Refused; their senders gave up.
    never: usize,
}

fn an_hour_without_the_store(spills: bool) -> Told {
    let (mut world, store) = World::new().with_faults(&auto_rules());
    let folder = Folder { data: tempfile::tempdir().expect("a folder") };
    let path = folder.path();
    let spill = spills.then_some(path.as_path());
    start(&mut world, spill);
    world.reconcile();
    turn_to(now() + MINUTE);
    let mut told = Told::default();
    let mut made = 0;
    // Work is under way when it happens: planned, not yet written.
    for _ in 0..3 {
        let finding = fault(&world, made);
        made += 1;
        assert_eq!(wait(world.engine.ingest(vec![finding])).expect("it is taken in").len(), 1);
    }

    store.set_down(true);
    let begun = now();
    let (mut refused, mut killed, mut closed) = (Vec::new(), 0, false);
    while now() - begun < OUTAGE {
        let passed = now() - begun;
        if spills && closed != NO_SPILL.contains(&passed) {
            closed = !closed;
            if closed { folder.close() } else { folder.open() }
        }
        if KILLED.get(killed).is_some_and(|at| *at <= passed) {
            killed += 1;
            start(&mut world, spill);
        }
        let event = serde_json::to_string(&fault(&world, made)).expect("a finding");
        // One of ten is delivered twice.
        let copies = if made.is_multiple_of(10) { 2 } else { 1 };
        match wait(take_events(&world.engine, NAME, &vec![event.clone(); copies], read)) {
            Ok(receipt) => {
                assert_eq!((receipt.spilled, receipt.taken.len(), receipt.refused.len()), (copies, 0, 0));
                told.spilled += 1;
            }
            Err(error) => {
                assert!(!spills || error.to_string().contains("switched off by the test"), "it hides that the store is away: {error}");
                assert!(!spills || error.to_string().contains("put an event aside"), "it hides that the spill failed: {error}");
                refused.push(event);
            }
        }
        made += 1;
        // The timer and the queue's messages come all the same.
        let round = wait(world.engine.reconcile(100));
        assert_eq!((round.drained, round.ran, round.swept), (0, 0, 0));
        drop(wait(world.engine.work(8)));
        turn_to(now() + BETWEEN);
    }
    assert_eq!((world.writes(), made), (0, 123), "nothing is written while the switch for writes cannot be read");
    // Every other sender tries again before the hour ends, the rest gave up.
    for (number, event) in refused.iter().enumerate() {
        if spills && number.is_multiple_of(2) {
            let receipt = wait(take_events(&world.engine, NAME, std::slice::from_ref(event), read));
            assert_eq!(receipt.expect("the spill is back").spilled, 1);
            told.again += 1;
        } else {
            told.never += 1;
        }
    }

    store.set_down(false);
    let (mut drained, mut swept) = (0, 0);
    for _ in 0..40 {
        let round = world.reconcile();
        drained += round.drained;
        swept += round.swept;
        while wait(world.engine.work(8)).expect("the queue is read").taken() > 0 {}
        turn_to(now() + 5_000);
    }
    assert_eq!((drained, swept), (told.spilled + told.again, made), "each spilled event once, and all that the source holds");
    assert_eq!(FileSpill::new(&path).take(9).expect("a list"), []);
    assert_eq!(wait(world.store.parked(9)).expect("a list"), []);
    each_is_accounted_for_once(&world, made);
    told
}

fn each_is_accounted_for_once(world: &World, made: usize) {
    let rows = wait(world.store.list(&Filter::default())).expect("a list");
    let resources: BTreeSet<&str> = rows.iter().map(|row| row.resource.as_str()).collect();
    assert_eq!((rows.len(), resources.len()), (made, made), "one remediation for each event");
    for row in &rows {
        assert_eq!(row.state, FIXED, "{}", row.resource);
    }
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for write in world.sandbox.writes() {
        *writes.entry(format!("{:?}", write.request.call)).or_default() += 1;
    }
    assert_eq!((writes.len(), writes.values().max()), (made, Some(&1)), "one write for each, and none twice");
}

#[test]
fn after_an_hour_without_the_store_every_event_is_accounted_for_once() {
    assert_eq!(an_hour_without_the_store(true), Told { spilled: 80, again: 20, never: 20 });
}

#[test]
fn after_an_hour_without_the_store_and_without_a_spill_the_sweep_finds_every_event() {
    assert_eq!(an_hour_without_the_store(false), Told { spilled: 0, again: 0, never: 120 });
}
