//! Remediations: what is committed, found, due and listed.

use std::collections::BTreeMap;

use serde_json::json;
use stanch_core::chain;
use stanch_core::cloud::Cloud;
use stanch_core::finding::Severity;
use stanch_core::port::{Commit, Filter, Head, Store, StoreError};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation};
use stanch_core::state::State;

use super::{case, conflict, digest, loaded, notice, plain, with_entries};

pub async fn insert_and_load_give_the_same_back(store: &dyn Store) {
    let (id, key) = (case(1).id, case(1).key);
    assert_eq!(store.load(id).await.unwrap(), None);
    assert_eq!(store.find(&key).await.unwrap(), None);
    assert_eq!(store.commit(with_entries(case(1), 2)).await.unwrap(), 1);

    let mut expected = with_entries(case(1), 2).remediation;
    expected.version = 1;
    assert_eq!(loaded(store, id).await, expected);
    assert_eq!(store.find(&key).await.unwrap(), Some(id));
    assert_eq!(store.record(id).await.unwrap(), with_entries(case(1), 2).log);

    let mut next = loaded(store, id).await;
    next.state = State::Deferred { until: 77 };
    next.note = "until \"Monday\" \u{1F512}".into();
    assert_eq!(store.commit(plain(next.clone())).await.unwrap(), 2);
    next.version = 2;
    assert_eq!(loaded(store, id).await, next);
}

pub async fn a_stale_version_conflicts_and_writes_nothing(store: &dyn Store) {
    store.commit(plain(case(1))).await.unwrap();
    let stale = loaded(store, case(1).id).await;
    store.commit(plain(stale.clone())).await.unwrap();

    let mut commit = with_entries(stale.clone(), 1);
    commit.remediation.note = "lost".into();
    commit.next_at = Some(1);
    commit.bodies = vec![(digest(1), "text".into())];
    commit.sealed = BTreeMap::from([("a".to_owned(), json!("b"))]);
    commit.outbox = vec![notice(1, "lost")];
    assert_eq!(conflict(store.commit(commit).await), stale.id.to_string());

    let kept = loaded(store, stale.id).await;
    assert_eq!((kept.version, kept.note.as_str()), (2, ""));
    assert_eq!(store.record(stale.id).await.unwrap(), []);
    assert_eq!(store.due(9, 9).await.unwrap(), []);
    assert_eq!(store.body(stale.id, &digest(1)).await.unwrap(), None);
    assert_eq!(store.unseal(stale.id, "a").await.unwrap(), None);
    assert_eq!(store.outbox(9, 9).await.unwrap(), []);

    let mut unknown = case(2);
    unknown.version = 3;
    conflict(store.commit(plain(unknown)).await);
}

pub async fn a_taken_key_or_id_conflicts(store: &dyn Store) {
    store.commit(plain(case(1))).await.unwrap();
    assert_eq!(conflict(store.commit(plain(case(1))).await), case(1).id.to_string());

    let same_key = Remediation { key: case(1).key, ..case(2) };
    assert_eq!(conflict(store.commit(plain(same_key)).await), case(1).key.as_str());
    assert_eq!(store.load(case(2).id).await.unwrap(), None);

    let other_key = Remediation { key: case(3).key, ..loaded(store, case(1).id).await };
    conflict(store.commit(plain(other_key)).await);
    assert_eq!(store.find(&case(3).key).await.unwrap(), None);
}

pub async fn a_record_is_only_ever_continued(store: &dyn Store) {
    store.commit(with_entries(case(1), 2)).await.unwrap();
    let stored = loaded(store, case(1).id).await;
    let refused = async |commit: Commit| assert_eq!(conflict(store.commit(commit).await), stored.id.to_string());

    // A hole, a repeat, a wrong link, and a head that is not where the entries end.
    let mut hole = with_entries(stored.clone(), 2);
    hole.log.remove(0);
    refused(hole).await;
    let mut repeat = with_entries(stored.clone(), 1);
    repeat.log = with_entries(case(1), 2).log[1..].to_vec();
    refused(repeat).await;
    let mut link = with_entries(stored.clone(), 1);
    link.log[0].body.push(' ');
    refused(link).await;
    let mut head = with_entries(stored.clone(), 1);
    head.remediation.chain = stored.chain.clone();
    refused(head).await;

    store.commit(with_entries(stored.clone(), 3)).await.unwrap();
    let record = store.record(stored.id).await.unwrap();
    assert_eq!(record.iter().map(|e| e.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(chain::verify(stored.id, &loaded(store, stored.id).await.chain, &record), Ok(()));
}

pub async fn what_is_due_comes_oldest_first(store: &dyn Store) {
    for (n, next_at) in [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20)), (5, Some(10)), (6, Some(31))] {
        store.commit(Commit { next_at, ..plain(case(n)) }).await.unwrap();
    }
    let due = async |at, limit| store.due(at, limit).await.unwrap();
    let ids = |numbers: &[u32]| numbers.iter().map(|n| case(*n).id).collect::<Vec<_>>();
    assert_eq!(due(9, 10).await, []);
    assert_eq!(due(30, 10).await, ids(&[2, 5, 4, 1]));
    assert_eq!(due(30, 2).await, ids(&[2, 5]));

    store.commit(Commit { next_at: None, ..plain(loaded(store, case(2).id).await) }).await.unwrap();
    assert_eq!(due(30, 10).await, ids(&[5, 4, 1]));
}

pub async fn a_row_of_a_newer_format_is_left_alone_and_blocks_nothing(store: &dyn Store) {
    let newer = Remediation { format: REMEDIATION_FORMAT + 1, ..case(1) };
    store.commit(Commit { next_at: Some(1), ..with_entries(newer, 2) }).await.unwrap();
    store.commit(Commit { next_at: Some(2), ..with_entries(case(2), 1) }).await.unwrap();

    assert_eq!(store.due(9, 1).await.unwrap(), [case(2).id], "nor does it take a place in the answer");
    match store.load(case(1).id).await {
        Err(StoreError::Unreadable { what, reason }) => {
            assert!(what.contains(&case(1).id.to_string()), "{what}");
            assert!(reason.contains("newer stanch"), "{reason}");
        }
        other => panic!("expected an unreadable row, got {other:?}"),
    }
    assert_eq!(store.find(&case(1).key).await.unwrap(), Some(case(1).id), "the fault is known, and no second case is opened");
    conflict(store.commit(plain(Remediation { key: case(1).key, ..case(3) })).await);
    assert!(store.list(&Filter::default()).await.unwrap().iter().any(|row| row.id == case(2).id));
    let ends: Vec<_> = store.heads(None, 9).await.unwrap().iter().map(|head| (head.id, head.chain.length)).collect();
    assert_eq!(ends, [(case(1).id, 2), (case(2).id, 1)]);
}

pub async fn a_listing_is_filtered_and_newest_first(store: &dyn Store) {
    let mut azure = case(2);
    azure.resource.cloud = Cloud::Azure;
    let mut contained = case(3);
    contained.state = State::Contained { until: 99 };
    for case in [case(1), azure, contained] {
        store.commit(with_entries(case, 1)).await.unwrap();
    }
    let list = async |filter: Filter| store.list(&filter).await.unwrap();
    let ids = async |filter| list(filter).await.iter().map(|s| s.id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()).await, [3, 2, 1]);
    assert_eq!(ids(Filter { limit: Some(2), ..Filter::default() }).await, [3, 2]);
    assert_eq!(ids(Filter { state: Some("open".into()), ..Filter::default() }).await, [2, 1]);
    assert_eq!(ids(Filter { cloud: Some(Cloud::Aws), ..Filter::default() }).await, [3, 1]);
    assert_eq!(ids(Filter { cloud: Some(Cloud::Gcp), ..Filter::default() }).await, []);

    let row = list(Filter { state: Some("contained".into()), ..Filter::default() }).await.remove(0);
    assert_eq!(row.state, State::Contained { until: 99 });
    assert_eq!((row.severity, row.cloud, row.account.as_str()), (Severity::High, Cloud::Aws, "111122223333"));
    assert_eq!((row.resource.as_str(), row.title.as_str(), row.fix), ("arn:aws:s3:::shop-3", "Bucket is public", None));
    assert_eq!(row.updated, 2_000, "the time of its last commit");
}

pub async fn ends_of_records_are_paged_in_the_order_of_ids(store: &dyn Store) {
    for n in [4, 2, 5, 1, 3] {
        store.commit(Commit { at: 1_000 + i64::from(n), ..with_entries(case(n), n as usize - 1) }).await.unwrap();
    }
    let all = store.heads(None, 10).await.unwrap();
    for (n, head) in (1..).zip(&all) {
        let chain = with_entries(case(n), n as usize - 1).remediation.chain;
        assert_eq!(*head, Head { id: case(n).id, chain, updated: 1_000 + i64::from(n) });
    }
    assert_eq!(all.len(), 5);
    let mut paged = Vec::new();
    while let page = store.heads(paged.last().map(|head: &Head| head.id), 2).await.unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(paged, all);
}
