//! The outbox: at least once, in order, and a channel that is down delays only itself.

use std::collections::BTreeSet;

use stanch_core::port::Store;
use stanch_core::remediation::RemediationId;

use crate::work::arrive;
use crate::world::{World, now, numbered, turn_to, wait};

const RULES: &str = "rule: tell\nmode: record\ndo:\n  - notify: {channel: down}\n  - notify: {channel: up}\n";
const MINUTE: i64 = 60_000;

fn send(world: &World) -> usize {
    wait(world.engine.send_outbox(5)).expect("the outbox is read")
}

fn undelivered(world: &World, id: RemediationId) -> usize {
    wait(world.store.record(id)).expect("a record").iter().filter(|entry| entry.body.contains("not delivered to channel:down")).count()
}

#[test]
fn a_channel_that_is_down_costs_one_try_a_round_and_delays_only_itself() {
    let world = World::with_rules(RULES);
    world.post.close("down", true);
    for n in 0..20 {
        arrive(&world, &numbered(n));
    }
    assert_eq!((send(&world), world.post.tried("down")), (20, 1), "everything for the other channel was sent");
    assert_eq!((send(&world), world.post.tried("down")), (0, 1), "it is left alone for a while");

    // The waits grow, and all workers keep to them: 1, 2, 4, 8, 16, 30, 30 minutes.
    let mut waits = Vec::new();
    for tries in 1..8 {
        let begin = now();
        while world.post.tried("down") == tries {
            turn_to(now() + MINUTE);
            send(&world);
        }
        waits.push((now() - begin) / MINUTE);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);

    world.post.reopen("down");
    turn_to(now() + 30 * MINUTE);
    while send(&world) > 0 {}
    let sent = world.post.sent.lock().unwrap().clone();
    let keys: BTreeSet<_> = sent.iter().map(|(_, key, _)| *key).collect();
    assert_eq!((sent.len(), keys.len()), (40, 40), "each was sent once, under its own key");
    assert_eq!(wait(world.store.value("lane/channel:down")).unwrap(), None, "and the channel counts as up");
}

#[test]
fn a_message_that_is_refused_is_recorded_in_the_end_and_what_follows_it_goes_on() {
    let world = World::with_rules(RULES);
    let id = arrive(&world, &numbered(1));
    world.post.close("down", false);
    let mut tried = Vec::new();
    for wait_ms in [0, 9 * MINUTE, MINUTE, 6 * 60 * MINUTE - 1, 1, 0] {
        turn_to(now() + wait_ms);
        send(&world);
        tried.push((world.post.tried("down"), undelivered(&world, id)));
    }
    assert_eq!(tried, [(1, 0), (1, 0), (2, 0), (2, 0), (3, 1), (3, 1)]);

    world.post.reopen("down");
    wait(world.engine.set_due(id, Some(now() - 1), "test:ann")).unwrap();
    world.reconcile();
    let titles: Vec<_> = world.post.sent.lock().unwrap().iter().filter(|(c, ..)| c == "down").map(|(_, _, t)| t.clone()).collect();
    assert_eq!(titles, ["A remediation is overdue"]);
}

#[test]
fn a_message_whose_claim_took_long_to_store_is_left_until_that_claim_is_over() {
    for (took, at_once) in [(MINUTE, 2), (MINUTE + 1, 1)] {
        let (world, store) = World::with_rules(RULES).with_faults(RULES);
        arrive(&world, &numbered(1));
        let begin = now();
        store.slow_claim(took);
        assert_eq!(send(&world), at_once, "{took}: the other channel is not held up");
        turn_to(begin + 2 * MINUTE - 1);
        assert_eq!(send(&world), 0);
        turn_to(begin + 2 * MINUTE);
        assert_eq!(send(&world), 2 - at_once);
        let sent: BTreeSet<_> = world.post.sent.lock().unwrap().iter().map(|(channel, key, _)| (channel.clone(), *key)).collect();
        assert_eq!((sent.len(), world.post.tried("down"), world.post.tried("up")), (2, 1, 1));
    }
}

#[test]
fn one_call_looks_at_ten_times_its_limit_and_leaves_the_rest_to_the_next() {
    let world = World::with_rules("rule: tell\nmode: record\ndo:\n  - notify: {channel: up}\n");
    for n in 0..12 {
        arrive(&world, &numbered(n));
    }
    let sent: Vec<usize> = (0..3).map(|_| wait(world.engine.send_outbox(1)).expect("the outbox is read")).collect();
    assert_eq!(sent, [10, 2, 0]);
}
