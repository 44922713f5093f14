//! What waits to be sent: by remediation and lane, over several commits, and by several workers.

use stanch_core::finding::{Source, SourceRef};
use stanch_core::port::{Commit, OutboxItem, OutboxMessage, Store, WriteBack};
use uuid::Uuid;

use super::super::AzureStore;
use super::super::due::until;
use super::super::names::OUTBOX;
use super::{case, fresh, now, plain};

fn message(id: u128, source: Source) -> OutboxItem {
    let source_ref = SourceRef { id: "finding-1".into(), ..SourceRef::default() };
    let message = OutboxMessage::WriteBack { source, source_ref, status: WriteBack::Fixed, note: "fixed".into() };
    OutboxItem { id: Uuid::from_u128(id), message }
}

fn commit(store: &AzureStore, n: u32, outbox: Vec<OutboxItem>) {
    let stands = now(store.load(case(n).id)).unwrap().unwrap_or_else(|| case(n));
    now(store.commit(Commit { outbox, ..plain(stands) })).unwrap();
}

fn due(store: &AzureStore, at: i64) -> Vec<u128> {
    now(store.outbox(at, 99)).unwrap().into_iter().map(|(_, item)| item.id.as_u128()).collect()
}

/// Announcements that have to be looked at.
fn looked_at(store: &AzureStore, at: i64) -> usize {
    now(store.table().all(&until(OUTBOX, at), &["RowKey"])).unwrap().len()
}

#[test]
fn a_lane_that_is_down_delays_itself_alone_and_is_not_looked_at_meanwhile() {
    let Some(store) = fresh() else { return };
    let (hub, scc) = (Source::SecurityHub, Source::Scc);
    commit(&store, 1, vec![message(1, hub)]);
    commit(&store, 1, vec![message(2, hub), message(3, scc)]);
    commit(&store, 1, vec![message(4, hub)]);
    commit(&store, 2, vec![message(5, hub)]);
    assert_eq!(due(&store, 5), [1, 3, 5], "one of each remediation and lane");

    now(store.unsent(Uuid::from_u128(1), 100, "answered 503")).unwrap();
    assert_eq!(due(&store, 5), [3, 5]);
    now(store.sent(Uuid::from_u128(3))).unwrap();
    now(store.sent(Uuid::from_u128(5))).unwrap();
    assert_eq!(due(&store, 99), []);
    assert_eq!(looked_at(&store, 99), 0, "what waits is announced for when its lane is due");
    assert_eq!(due(&store, 100), [1]);

    now(store.unsent(Uuid::from_u128(1), 200, "answered 503")).unwrap();
    now(store.sent(Uuid::from_u128(1))).unwrap();
    assert_eq!(due(&store, 5), [2], "who is free goes at once");
    now(store.sent(Uuid::from_u128(2))).unwrap();
    assert_eq!(due(&store, 5), [4]);
    now(store.sent(Uuid::from_u128(4))).unwrap();
    assert_eq!(due(&store, 1_000), []);
    assert_eq!(looked_at(&store, 1_000), 0);
    assert_eq!(now(store.prune(9_000)).unwrap(), 5);
}

#[test]
fn workers_that_mark_messages_of_one_remediation_at_once_lose_none() {
    let Some(store) = fresh() else { return };
    let sources = [Source::SecurityHub, Source::Scc, Source::DefenderAlert, Source::Ocsf];
    commit(&store, 1, (1u128..).zip(sources).map(|(id, source)| message(id, source)).collect());
    assert_eq!(due(&store, 5), [1, 2, 3, 4]);
    std::thread::scope(|scope| {
        for id in 1..=3 {
            let store = &store;
            scope.spawn(move || now(store.sent(Uuid::from_u128(id))).unwrap());
        }
        scope.spawn(|| now(store.unsent(Uuid::from_u128(4), 50, "answered 503")).unwrap());
    });
    assert_eq!(due(&store, 49), []);
    assert_eq!(due(&store, 50), [4]);
}
