//! What cannot be taken is kept: parked until a person looks at it, put aside while the store is away.

use std::sync::Arc;

use stanch_core::normalize::{NormalizeError, Normalized};
use stanch_core::port::{Spill, Store};
use stanch_core::state::{Resolution, State};
use stanch_engine::trigger::take_events;
use stanch_store::FileSpill;

use crate::subjects::subject;
use crate::world::{World, auto_rules, now, read, turn_to, wait};

const NAME: &str = "ocsf-finding";

fn event() -> String {
    serde_json::to_string(&subject("aws-kms-enable-rotation").finding()).expect("a finding")
}

/// Reads nothing, as a program does that is too old for an event.
fn unable(_: &str) -> Normalized<'_> {
    Err(NormalizeError::Unrecognised { looked_like: "something new".into(), accepted: "what there was" })
}

fn breaks(_: &str) -> Normalized<'_> {
    panic!("a fault of ours")
}

#[test]
fn an_event_that_cannot_be_read_is_parked_and_taken_once_it_can() {
    let world = World::new();
    let receipt = wait(take_events(&world.engine, NAME, &[event(), event()], unable)).unwrap();
    assert!(receipt.is_refused());
    let parked = wait(world.store.parked(9)).unwrap();
    assert_eq!((parked.len(), parked[0].times, parked[0].origin.as_str(), &parked[0].body), (1, 2, NAME, &event()));
    assert_eq!(world.reconcile().parked, 1, "counted, not tried again by itself");

    let still = wait(world.engine.retry_parked(&parked[0].id, unable)).unwrap_err().to_string();
    assert!(still.contains("still cannot be taken") && still.contains("something new"), "{still}");
    assert_eq!(wait(world.store.parked(9)).unwrap().len(), 1);
    for id in [parked[0].id.get(..5).unwrap(), "nothing-of-that-name"] {
        let not_told = wait(world.engine.retry_parked(id, read)).unwrap_err().to_string();
        assert!(not_told.contains("nothing is parked under"), "{not_told}");
    }

    let taken = wait(world.engine.retry_parked(parked[0].id.get(..8).unwrap(), read)).unwrap().taken;
    assert_eq!(taken.len(), 1);
    assert_eq!(wait(world.store.parked(9)).unwrap(), []);
    assert!(wait(world.engine.retry_parked(&parked[0].id, read)).unwrap_err().to_string().contains("nothing is parked"));
}

#[test]
fn a_fault_of_ours_and_half_an_event_are_parked_and_the_rest_of_the_batch_is_taken() {
    let world = World::new();
    let receipt = wait(take_events(&world.engine, NAME, &["{\"cut\":".into(), event()], read)).unwrap();
    assert_eq!((receipt.taken.len(), receipt.refused.len(), receipt.is_refused()), (1, 1, false));
    let receipt = wait(take_events(&world.engine, "scc-finding", &[event()], breaks)).unwrap();
    assert!(receipt.refused[0].contains("a fault of ours"), "{receipt:?}");
    assert_eq!(wait(world.store.parked(9)).unwrap().len(), 2);
}

#[test]
fn who_dropped_what_and_why_stays_on_record() {
    let world = World::new();
    wait(take_events(&world.engine, NAME, &["{}".into()], unable)).unwrap();
    let id = wait(world.store.parked(9)).unwrap().remove(0).id;
    wait(world.engine.drop_parked(id.get(..6).unwrap(), "cli:ann", "a test of ours")).unwrap();
    assert_eq!(wait(world.store.parked(9)).unwrap(), []);
    let told = wait(world.store.value(&format!("dropped/{id}"))).unwrap().unwrap();
    assert!(told.contains("cli:ann") && told.contains("a test of ours") && told.contains("something new"), "{told}");
}

#[test]
fn without_a_place_for_it_an_event_that_cannot_be_stored_must_come_again() {
    let (world, store) = World::new().with_faults(&auto_rules());
    store.set_down(true);
    for normalize in [read as for<'a> fn(&'a str) -> Normalized<'a>, unable] {
        assert!(wait(take_events(&world.engine, NAME, &[event()], normalize)).is_err());
    }
}

#[test]
fn what_comes_while_the_store_is_away_is_taken_in_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let spill = Arc::new(FileSpill::new(&folder.path().join("spill")));
    let (mut world, store) = World::new().with_faults(&auto_rules());
    world.engine = world.engine.clone().with_spill(spill.clone(), |_, event| read(event));
    store.set_down(true);
    let receipt = wait(take_events(&world.engine, NAME, &[event(), "{\"cut\":".into()], read)).unwrap();
    assert_eq!((receipt.spilled, receipt.is_refused()), (2, false));
    let round = wait(world.engine.reconcile(10));
    assert_eq!((round.failed[0].0, round.drained), ("spill", 0));
    assert_eq!(spill.take(9).unwrap().len(), 2, "nothing is forgotten before it is stored");

    store.set_down(false);
    assert_eq!(world.reconcile().drained, 2);
    assert_eq!(spill.take(9).unwrap(), []);
    assert_eq!(wait(world.store.parked(9)).unwrap().len(), 1, "what cannot be read is parked now");
    for _ in 0..10 {
        world.reconcile();
        turn_to(now() + 5_000);
    }
    let rows = wait(world.store.list(&stanch_core::port::Filter::default())).unwrap();
    assert_eq!((rows.len(), rows[0].state), (1, State::Resolved { how: Resolution::Fixed }));
}

#[test]
fn an_event_whose_case_cannot_be_read_is_parked_and_the_rest_of_the_batch_is_taken() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let case = world.open(&subject("aws-kms-enable-rotation").finding());
    store.break_row(case.id);
    let other = serde_json::to_string(&subject("aws-s3-block-public-access").finding()).unwrap();
    let receipt = wait(take_events(&world.engine, NAME, &[event(), other], read)).unwrap();
    assert_eq!((receipt.taken.len(), receipt.refused.len()), (1, 1), "{receipt:?}");
    assert!(wait(world.store.parked(9)).unwrap()[0].why.contains("broken by the test"), "{receipt:?}");
}

#[test]
fn only_a_store_that_is_away_has_events_put_aside_and_it_is_waited_for_once_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let spill = Arc::new(FileSpill::new(&folder.path().join("spill")));
    let (mut world, store) = World::new().with_faults(&auto_rules());
    world.engine = world.engine.clone().with_spill(spill.clone(), |_, event| read(event));
    store.fail("conflict");
    assert!(wait(take_events(&world.engine, NAME, &[event()], read)).is_err(), "it comes again");
    assert_eq!(spill.take(9).unwrap(), []);

    store.set_down(true);
    let mut tries = Vec::new();
    for batch in [vec![event()], vec![event(), "{}".into(), event()]] {
        let before = store.refused();
        assert_eq!(wait(take_events(&world.engine, NAME, &batch, read)).unwrap().spilled, batch.len());
        tries.push(store.refused() - before);
    }
    assert!(tries[0] == tries[1] && tries[0] > 0, "{tries:?}");
}

#[test]
fn everything_that_follows_from_one_delivery_carries_one_id() {
    let world = World::new();
    let other = serde_json::to_string(&subject("aws-s3-block-public-access").finding()).unwrap();
    let receipt = wait(take_events(&world.engine, NAME, &[event(), other], read)).unwrap();
    let ids: Vec<_> = receipt.taken.iter().filter_map(|t| t.remediation).map(|id| world.load(id).correlation).collect();
    assert!(ids.len() == 2 && ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    let id = receipt.taken[0].remediation.unwrap();
    world.rest(id);
    assert_eq!(world.load(id).correlation, ids[0], "steps keep it");
    wait(world.engine.undo(id, "test:ann")).unwrap();
    assert_ne!(world.load(id).correlation, ids[0], "a person's request begins another");
}
