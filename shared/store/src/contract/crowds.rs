//! Many workers at once.

use std::collections::BTreeMap;

use serde_json::json;
use stanch_core::chain;
use stanch_core::port::{Cap, Store};
use stanch_core::remediation::Remediation;
use uuid::Uuid;

use super::{case, conflict, crowd, digest, loaded, notice, plain, with_entries};

pub async fn no_crowd_takes_more_slots_than_there_are(store: &dyn Store) {
    let caps = &[Cap { name: "rule:a".into(), window: 0, limit: 50 }, Cap { name: "rule:b".into(), window: 0, limit: 13 }];
    let taken = crowd(8, async |_| {
        let mut taken = 0;
        for _ in 0..5 {
            taken += usize::from(store.reserve(caps).await.unwrap());
        }
        taken
    });
    assert_eq!(taken.await.into_iter().sum::<usize>(), 13);
    assert_eq!(store.reserved(&caps[0]).await.unwrap(), 13);
    assert_eq!(store.reserved(&caps[1]).await.unwrap(), 13);
}

pub async fn only_one_of_a_crowd_commits_a_version(store: &dyn Store) {
    store.commit(plain(case(1))).await.unwrap();
    let start = &loaded(store, case(1).id).await;
    let results = crowd(8, async |worker| {
        let mut mine = with_entries(start.clone(), 1);
        mine.remediation.note = format!("worker {worker}");
        store.commit(mine).await.map_err(|e| conflict(Err(e)))
    });
    let results = results.await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    let winner = results.iter().position(Result::is_ok).unwrap();
    let stored = loaded(store, start.id).await;
    assert_eq!((stored.version, stored.note), (2, format!("worker {winner}")));
    assert_eq!(store.record(start.id).await.unwrap().len(), 1);
}

pub async fn only_one_of_a_crowd_inserts_a_key(store: &dyn Store) {
    let results = crowd(8, async |n| {
        let mine = Remediation { key: case(100).key, ..case(n as u32 + 1) };
        store.commit(with_entries(mine, 1)).await.map_err(|e| conflict(Err(e)))
    });
    let results = results.await;
    let winners: Vec<usize> = (0..8).filter(|n| results[*n].is_ok()).collect();
    let [winner] = winners.as_slice() else { panic!("{results:?}") };
    assert_eq!(store.find(&case(100).key).await.unwrap(), Some(case(*winner as u32 + 1).id));
    assert_eq!(store.heads(None, 9).await.unwrap().len(), 1);
}

pub async fn only_one_of_a_crowd_sets_a_value(store: &dyn Store) {
    for (expected, round) in [(None, 1), (Some("seed"), 2)] {
        if let Some(seed) = expected {
            let is = store.value("lease").await.unwrap();
            assert!(store.set_value("lease", is.as_deref(), Some(seed)).await.unwrap());
        }
        let won = crowd(8, async |n| store.set_value("lease", expected, Some(&format!("{round}/{n}"))).await.unwrap()).await;
        let winners: Vec<usize> = (0..8).filter(|n| won[*n]).collect();
        let [winner] = winners.as_slice() else { panic!("{won:?}") };
        assert_eq!(store.value("lease").await.unwrap(), Some(format!("{round}/{winner}")));
    }
}

pub async fn a_crowd_leaves_every_commit_whole_or_absent(store: &dyn Store) {
    const CASES: u32 = 6;
    for n in 1..=CASES {
        store.commit(with_entries(case(n), 1)).await.unwrap();
    }
    // Four workers on each case; what they write tells who did.
    let results = crowd(4 * CASES as usize, async |turn| {
        let (n, worker) = (turn as u32 % CASES + 1, turn as u8 / CASES as u8);
        let mut mine = with_entries(loaded(store, case(n).id).await, 2);
        mine.remediation.note = format!("worker {worker}");
        mine.outbox = vec![notice(u128::from(n) * 100 + u128::from(worker), "done")];
        mine.sealed = BTreeMap::from([(format!("by-{worker}"), json!(worker))]);
        mine.bodies = vec![(digest(n as u8 * 10 + worker), "text".into())];
        let before = mine.expected_version;
        (n, worker, before, store.commit(mine).await.map_err(|e| conflict(Err(e))))
    });
    let results = results.await;
    let outbox: Vec<Uuid> = store.outbox(9, 99).await.unwrap().into_iter().map(|(_, item)| item.id).collect();
    for n in 1..=CASES {
        let of_case = || results.iter().filter(|(case, ..)| *case == n);
        let won = of_case().filter(|(.., result)| result.is_ok()).count();
        let stored = loaded(store, case(n).id).await;
        let record = store.record(case(n).id).await.unwrap();
        assert!(won >= 1, "somebody wins");
        assert_eq!((stored.version, record.len()), (1 + won as u64, 1 + 2 * won), "case {n}");
        assert_eq!(chain::verify(case(n).id, &stored.chain, &record), Ok(()), "case {n}");
        let last = of_case().filter(|(.., result)| result.is_ok()).max_by_key(|(_, _, before, _)| *before).unwrap();
        assert_eq!(stored.note, format!("worker {}", last.1));
        for (_, worker, before, result) in of_case() {
            let whole = result.is_ok();
            assert_eq!(store.unseal(case(n).id, &format!("by-{worker}")).await.unwrap().is_some(), whole, "case {n} worker {worker}");
            // A body is written first where it cannot be part of the transaction; under its digest it harms nobody.
            let body = store.body(case(n).id, &digest(n as u8 * 10 + worker)).await.unwrap().is_some();
            assert!(body || !whole, "case {n} worker {worker}");
            // Of several messages of one lane only the oldest shows.
            let shows = outbox.contains(&Uuid::from_u128(u128::from(n) * 100 + u128::from(*worker)));
            assert_eq!(shows, whole && *before == 1, "case {n} worker {worker}");
        }
    }
}
