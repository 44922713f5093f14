//! Checkpoints are made once a day, of what is new, by one worker.

use stanch_core::chain::ChainHead;
use stanch_core::checkpoint;
use stanch_core::port::Vault;
use stanch_engine::checkpoint::EVERY_MS;

use crate::subjects::subject;
use crate::world::{World, auto_rules, now, turn_to, wait};

fn names(world: &World) -> Vec<String> {
    wait(world.vault.names()).expect("the vault lists")
}

#[test]
fn a_checkpoint_is_made_when_it_is_due_and_something_is_new() {
    let world = World::new();
    let due = || wait(world.engine.checkpoint_if_due()).expect("the store and the vault answer");
    assert_eq!(due().and_then(|done| done.written), None, "nothing to write of an empty store");
    let case = world.open(&subject("aws-s3-block-public-access").finding());
    assert_eq!(due(), None, "not due yet");

    turn_to(now() + EVERY_MS);
    let (name, header) = due().and_then(|done| done.written).expect("a checkpoint");
    assert_eq!((name.as_str(), header.number, header.count), ("checkpoint-00000001.jsonl", 1, 1));
    assert_eq!(header.entries, world.load(case.id).chain.length);
    assert_eq!(due(), None);

    turn_to(now() + EVERY_MS);
    assert_eq!(due().map(|done| (done.written, done.changed)), Some((None, 0)), "nothing is new");
    world.undo(case.id);
    turn_to(now() + EVERY_MS);
    let (_, second) = due().and_then(|done| done.written).expect("another checkpoint");
    let first = wait(world.vault.get(&name)).expect("it reads").expect("it is there");
    assert_eq!((second.number, second.previous), (2, Some(checkpoint::digest(&first))));
    assert_eq!(names(&world).len(), 2);
}

#[test]
fn a_checkpoint_is_not_built_on_files_that_do_not_fit() {
    let world = World::new();
    world.open(&subject("aws-s3-block-public-access").finding());
    wait(world.engine.checkpoint(&*world.vault)).expect("the first");
    let forged = "{\"format\":1,\"number\":2,\"at\":0,\"count\":0,\"entries\":0,\"root\":\"\",\"previous\":\"00\"}\n";
    assert!(wait(world.vault.put(&checkpoint::name(2), forged)).expect("put"));
    let told = wait(world.engine.checkpoint(&*world.vault)).unwrap_err().to_string();
    assert!(told.contains("`checkpoint-00000002.jsonl`") && told.contains("does not follow checkpoint 1"), "{told}");
    assert_eq!(names(&world).len(), 2, "nothing was written");
}

#[test]
fn what_was_cut_or_deleted_is_named_and_stays_claimed() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let cases = ["aws-s3-block-public-access", "aws-kms-enable-rotation", "aws-cloudtrail-enable-log-validation"];
    let ids = cases.map(|fix| world.open(&subject(fix).finding()).id);
    let checkpoint = || wait(world.engine.checkpoint(&*world.vault)).expect("the store and the vault answer");
    let first = checkpoint().written.expect("a checkpoint").1;
    assert_eq!((checkpoint().lost, checkpoint().written), (Vec::new(), None), "nothing is lost, nothing is new");

    let end = world.load(ids[1]).chain;
    store.tamper(ids[0], None);
    store.tamper(ids[1], Some(ChainHead { length: end.length - 1, hash: "of the entry before".into() }));
    store.tamper(ids[2], None);
    assert_eq!(checkpoint().lost, ids);
    store.tamper(ids[1], Some(ChainHead { length: end.length, hash: "of a forged entry".into() }));
    assert_eq!(checkpoint().lost, ids);
    store.tamper(ids[1], Some(end));
    assert_eq!(checkpoint().lost, [ids[0], ids[2]]);

    let added = world.open(&subject("aws-rds-disable-public-access").finding()).id;
    let second = checkpoint();
    let header = second.written.expect("another checkpoint").1;
    assert_eq!((second.lost.as_slice(), second.changed), ([ids[0], ids[2]].as_slice(), 1), "only {added} is new");
    assert_eq!((first.count, header.count), (3, 4), "what was deleted is still claimed");
}

#[test]
fn a_checkpoint_that_failed_is_tried_again_in_ten_minutes() {
    let world = World::new();
    world.open(&subject("aws-s3-block-public-access").finding());
    assert!(wait(world.vault.put(&checkpoint::name(1), "no checkpoint")).expect("put"));
    let due = || wait(world.engine.checkpoint_if_due());
    assert!(due().is_err());
    turn_to(now() + 599_999);
    assert!(matches!(due(), Ok(None)), "another worker need not fail at once");
    turn_to(now() + 1);
    assert!(due().is_err());
}
