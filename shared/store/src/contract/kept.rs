//! What is kept beside remediations.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::{Source, SourceRef};
use stanch_core::port::{Cap, Commit, Hold, OutboxItem, OutboxMessage, Parked, ParkedKind, Store, WriteBack};
use stanch_core::remediation::Remediation;
use stanch_core::state::{Resolution, State};
use uuid::Uuid;

use super::{case, digest, loaded, notice, notice_to, plain};

pub async fn slots_are_taken_all_or_none(store: &dyn Store) {
    let cap = |name: &str, limit| Cap { name: name.into(), window: 0, limit };
    let (wide, tight) = (cap("rule:a", 5), cap("rule:a/account:1", 1));
    assert!(store.reserve(&[wide.clone(), tight.clone()]).await.unwrap());
    assert!(!store.reserve(&[wide.clone(), tight.clone()]).await.unwrap());
    assert_eq!(store.reserved(&wide).await.unwrap(), 1, "the refused attempt must not cost the wide cap a slot");
    assert_eq!(store.reserved(&tight).await.unwrap(), 1);

    let next_window = Cap { window: 3_600_000, ..tight };
    assert_eq!(store.reserved(&next_window).await.unwrap(), 0);
    assert!(store.reserve(&[wide, next_window]).await.unwrap());
    assert!(!store.reserve(&[cap("rule:none", 0)]).await.unwrap());
    assert!(store.reserve(&[]).await.unwrap());
}

pub async fn the_outbox_keeps_the_order_of_each_lane(store: &dyn Store) {
    let first = notice(11, "first");
    let write_back = OutboxItem {
        id: Uuid::from_u128(12),
        message: OutboxMessage::WriteBack {
            source: Source::SecurityHub,
            source_ref: SourceRef { id: "finding-1".into(), product: Some("arn:product".into()), ..SourceRef::default() },
            status: WriteBack::Fixed,
            note: "fixed".into(),
        },
    };
    let (second, other) = (notice(13, "second"), notice(21, "other"));
    let outbox = vec![first.clone(), write_back.clone(), second.clone()];
    store.commit(Commit { outbox, ..plain(case(1)) }).await.unwrap();
    store.commit(Commit { outbox: vec![other.clone()], ..plain(case(2)) }).await.unwrap();
    let third = notice(14, "third");
    let case_1 = loaded(store, case(1).id).await;
    store.commit(Commit { outbox: vec![third.clone()], ..plain(case_1) }).await.unwrap();

    let outbox = async |limit| store.outbox(5, limit).await.unwrap();
    let of = |n, item: &OutboxItem| (case(n).id, item.clone());
    assert_eq!(outbox(10).await, [of(1, &first), of(1, &write_back), of(2, &other)], "the oldest of each lane");
    assert_eq!(outbox(1).await, [of(1, &first)]);
    store.sent(first.id).await.unwrap();
    store.sent(first.id).await.unwrap();
    let mut ready = outbox(10).await;
    ready.sort_by_key(|(_, item)| item.id);
    assert_eq!(ready, [of(1, &write_back), of(1, &second), of(2, &other)]);
    for item in [&write_back, &second, &other] {
        store.sent(item.id).await.unwrap();
    }
    assert_eq!(outbox(10).await, [of(1, &third)]);
    store.sent(third.id).await.unwrap();
    assert_eq!(outbox(10).await, []);
    store.unsent(other.id, 1, "late word").await.unwrap();
    assert_eq!(outbox(10).await, [], "what was sent stays sent");
}

pub async fn a_lane_that_is_down_delays_only_itself(store: &dyn Store) {
    let outbox = vec![notice(1, "first"), notice(2, "second"), notice_to("pager", 3, "paged")];
    store.commit(Commit { outbox, ..plain(case(1)) }).await.unwrap();
    store.commit(Commit { outbox: vec![notice(4, "of another case")], ..plain(case(2)) }).await.unwrap();
    store.unsent(Uuid::from_u128(1), 100, "answered 503").await.unwrap();
    let ready = async |at| {
        let mut ids: Vec<u128> = store.outbox(at, 10).await.unwrap().iter().map(|(_, item)| item.id.as_u128()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ready(99).await, [3, 4]);
    assert_eq!(ready(100).await, [1, 3, 4], "the second never comes before the first");
    store.unsent(Uuid::from_u128(1), 200, "answered 503 again").await.unwrap();
    assert_eq!(ready(199).await, [3, 4]);
    store.sent(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(ready(199).await, [2, 3, 4]);
}

pub async fn a_sealed_value_comes_back_for_its_remediation_alone(store: &dyn Store) {
    let value = json!({"password": "correct horse", "n": 1});
    let sealed = BTreeMap::from([("admin.password".to_owned(), value.clone()), ("admin.empty".to_owned(), Value::Null)]);
    store.commit(Commit { sealed, ..plain(case(1)) }).await.unwrap();
    store.commit(plain(case(2))).await.unwrap();
    assert_eq!(store.unseal(case(1).id, "admin.password").await.unwrap(), Some(value));
    assert_eq!(store.unseal(case(1).id, "admin.empty").await.unwrap(), Some(Value::Null));
    assert_eq!(store.unseal(case(1).id, "admin").await.unwrap(), None);
    assert_eq!(store.unseal(case(2).id, "admin.password").await.unwrap(), None);

    let newer = BTreeMap::from([("admin.password".to_owned(), json!("newer"))]);
    store.commit(Commit { sealed: newer, ..plain(loaded(store, case(1).id).await) }).await.unwrap();
    assert_eq!(store.unseal(case(1).id, "admin.password").await.unwrap(), Some(json!("newer")));
}

pub async fn bodies_are_kept_for_their_remediation(store: &dyn Store) {
    let body = |n: u8, text: &str| (digest(n), text.to_owned());
    let shared = body(1, "{\"raw\": \u{2028}1}");
    store.commit(Commit { bodies: vec![shared.clone(), body(2, "two")], ..plain(case(1)) }).await.unwrap();
    store.commit(Commit { bodies: vec![shared.clone()], ..plain(case(2)) }).await.unwrap();
    // Later commits bring one that is there, and further ones.
    for bodies in [vec![shared, body(3, "three")], vec![body(4, "four"), body(2, "two")]] {
        store.commit(Commit { bodies, ..plain(loaded(store, case(1).id).await) }).await.unwrap();
    }
    let read = async |n, event| store.body(case(n).id, &digest(event)).await.unwrap();
    for (event, text) in [(1, "{\"raw\": \u{2028}1}"), (2, "two"), (3, "three"), (4, "four")] {
        assert_eq!(read(1, event).await.as_deref(), Some(text));
    }
    assert_eq!(read(2, 1).await.as_deref(), Some("{\"raw\": \u{2028}1}"));
    assert_eq!((read(1, 5).await, read(2, 2).await, read(3, 1).await), (None, None, None));
}

pub async fn the_kill_switch_turns(store: &dyn Store) {
    assert!(store.writes_allowed().await.unwrap());
    store.allow_writes(false).await.unwrap();
    assert!(!store.writes_allowed().await.unwrap());
    store.allow_writes(true).await.unwrap();
    assert!(store.writes_allowed().await.unwrap());
}

pub async fn a_hold_is_found_and_replaced(store: &dyn Store) {
    let resource = ResourceUid::canonical(Cloud::Aws, "arn:aws:s3:::shop");
    let hold = |reason: &str, until| Hold {
        fix: "aws-s3-block-public-access".into(),
        resource: resource.clone(),
        reason: reason.into(),
        by: "cli:alice".into(),
        until,
    };
    assert_eq!(store.held("aws-s3-block-public-access", &resource).await.unwrap(), None);
    store.hold(hold("website", 10)).await.unwrap();
    store.hold(hold("website, until moved", 20)).await.unwrap();
    assert_eq!(store.held("aws-s3-block-public-access", &resource).await.unwrap(), Some(hold("website, until moved", 20)));
    assert_eq!(store.held("another-fix", &resource).await.unwrap(), None);
}

pub async fn a_value_is_replaced_only_while_it_is_the_expected_one(store: &dyn Store) {
    let set = async |expected, new| store.set_value("sweep/aws", expected, new).await.unwrap();
    let value = async || store.value("sweep/aws").await.unwrap();
    assert_eq!(value().await, None);
    assert!(!set(Some("page 1"), Some("page 2")).await, "there is none to replace");
    assert!(set(None, Some("page 1")).await);
    assert!(!set(None, Some("page 1")).await, "there is one by now");
    assert!(set(Some("page 1"), Some("")).await);
    assert_eq!(value().await.as_deref(), Some(""), "an empty value is a value");
    assert!(!set(None, Some("page 3")).await);
    assert!(set(Some(""), None).await);
    assert_eq!(value().await, None);
    assert!(set(None, None).await, "absent, as expected");
    assert!(store.set_value("writes", None, Some("off")).await.unwrap());
    assert!(store.writes_allowed().await.unwrap(), "no value is mistaken for the kill switch");
}

pub async fn a_message_is_claimed_by_one_sender_at_a_time(store: &dyn Store) {
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    store.commit(Commit { outbox: vec![notice(1, "in progress"), notice(2, "fixed")], ..plain(case(1)) }).await.unwrap();
    assert_eq!(store.outbox(10, 9).await.unwrap(), [(case(1).id, notice(1, "in progress"))]);
    assert!(store.claim(first, 10, 100).await.unwrap());
    assert!(!store.claim(first, 50, 150).await.unwrap(), "somebody has it");
    assert_eq!(store.outbox(50, 9).await.unwrap(), [], "nor is what follows it anybody's");
    assert!(store.claim(first, 100, 200).await.unwrap(), "whoever had it is gone");
    store.sent(first).await.unwrap();
    assert!(!store.claim(first, 300, 400).await.unwrap(), "sent is sent");
    assert_eq!(store.outbox(300, 9).await.unwrap(), [(case(1).id, notice(2, "fixed"))]);
    assert!(store.claim(second, 300, 400).await.unwrap());
    store.unsent(second, 350, "the channel is down").await.unwrap();
    assert!(store.claim(second, 350, 450).await.unwrap(), "what was given back may be taken");
    assert!(!store.claim(Uuid::from_u128(3), 1_000, 2_000).await.unwrap(), "there is no such message");
}

pub async fn what_is_parked_again_is_counted(store: &dyn Store) {
    let event = |why: &str, at| Parked::new(ParkedKind::Event, "securityhub-finding", why, "{\"a\": \u{2028}1}", at);
    let message = Parked::new(ParkedKind::Message, "nudges", "format 9", "{}", 20);
    assert_eq!(store.parked(9).await.unwrap(), []);
    store.park(event("no such field", 10)).await.unwrap();
    store.park(message.clone()).await.unwrap();
    assert_eq!(store.parked(9).await.unwrap(), [event("no such field", 10), message.clone()], "oldest first");
    assert_eq!(store.parked(1).await.unwrap(), [event("no such field", 10)]);

    store.park(event("still no such field", 30)).await.unwrap();
    let again = Parked { times: 2, ..event("still no such field", 30) };
    assert_eq!(store.parked(9).await.unwrap(), [message.clone(), again]);
    assert!(store.unpark(&message.id).await.unwrap());
    assert!(!store.unpark(&message.id).await.unwrap());
    assert_eq!(store.parked(9).await.unwrap().len(), 1);
}

pub async fn pruning_keeps_what_an_unfinished_case_needs(store: &dyn Store) {
    // 1 is done, 2 is not, 3 is done but was looked at lately, 4 and 5 were opened by one event and only 5 is not done; 6 has just
    // been done.
    for (n, at, state, event) in [
        (1, 2_000, State::Resolved { how: Resolution::Fixed }, 1),
        (2, 2_000, State::Stuck, 2),
        (3, 9_000, State::Rejected, 3),
        (4, 2_000, State::RolledBack, 4),
        (5, 2_000, State::Verifying, 4),
        (6, 2_000, State::Verifying, 6),
    ] {
        let remediation = Remediation { state, raw_digest: digest(event), ..case(n) };
        let outbox = vec![notice(u128::from(n) * 10, "sent"), notice(u128::from(n) * 10 + 1, "unsent")];
        let bodies = vec![(digest(event), format!("event {event}"))];
        store.commit(Commit { at, outbox, bodies, ..plain(remediation) }).await.unwrap();
        store.sent(Uuid::from_u128(u128::from(n) * 10)).await.unwrap();
    }
    let done = Remediation { state: State::Failed, ..loaded(store, case(6).id).await };
    store.commit(Commit { at: 9_000, bodies: vec![(digest(7), "event 7".into())], ..plain(done) }).await.unwrap();
    let kept = async || {
        let mut kept = Vec::new();
        for (n, event) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 6), (6, 7)] {
            kept.push(store.body(case(n).id, &digest(event)).await.unwrap().is_some());
        }
        kept
    };
    let cap = |window| Cap { name: "rule:a".into(), window, limit: 5 };
    for window in [1_000, 8_000] {
        store.reserve(&[cap(window)]).await.unwrap();
    }

    store.prune(1_000).await.unwrap();
    assert_eq!(kept().await, [true; 7], "nothing is that old");
    assert!(store.prune(5_000).await.unwrap() > 0);
    assert_eq!(kept().await, [false, true, true, false, true, true, true]);
    assert_eq!((store.reserved(&cap(1_000)).await.unwrap(), store.reserved(&cap(8_000)).await.unwrap()), (0, 1));
    let mut unsent: Vec<u128> = store.outbox(9, 99).await.unwrap().iter().map(|(_, item)| item.id.as_u128()).collect();
    unsent.sort_unstable();
    assert_eq!(unsent, [11, 21, 31, 41, 51, 61], "what was not sent yet stays");
    assert_eq!(store.prune(5_000).await.unwrap(), 0, "there is no more");
    for n in 1..=6 {
        assert!(store.load(case(n).id).await.unwrap().is_some(), "cases and their records stay");
    }
}
