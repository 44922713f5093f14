//! Writes that share a transaction.

use std::fs;

use serde_json::json;
use stanch_core::port::{Commit, Store, StoreError};
use tempfile::TempDir;

use super::{in_folder, on_writer, shell, together, unavailable};
use crate::contract::{case, now, plain, with_entries};

/// How many transactions the write-ahead log holds: frames that say how large the database is after them.
/// <https://sqlite.org/fileformat2.html#walformat>
fn transactions(folder: &TempDir) -> usize {
    let log = fs::read(folder.path().join("data/stanch.db-wal")).unwrap();
    let (head, frames) = log.split_at(32);
    let of_this_log = |frame: &&[u8]| frame[8..16] == head[16..24];
    frames.chunks_exact(24 + 4096).take_while(of_this_log).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn writes_that_wait_share_transactions_and_fail_each_for_itself() {
    let (folder, store) = in_folder();
    now(store.commit(with_entries(case(1), 1))).unwrap();
    let before = transactions(&folder);
    let other = shell(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    // While another program holds the database, a hundred wait; every fourth is on a version that never was.
    let commits = (100..200).map(|n| {
        let version = if n % 4 == 0 { 7 } else { 0 };
        Commit { expected_version: version, ..with_entries(case(n), 1) }
    });
    let results = together(commits.map(|commit| store.commit(commit)), || other.execute_batch("ROLLBACK").unwrap());
    for (n, result) in (100..).zip(results) {
        match result {
            Ok(1) if n % 4 != 0 => {}
            Err(StoreError::Conflict { id }) if n % 4 == 0 => assert_eq!(id, case(n).id.to_string()),
            other => panic!("{n}: {other:?}"),
        }
        let kept = now(store.load(case(n).id)).unwrap().is_some();
        assert_eq!((kept, now(store.record(case(n).id)).unwrap().len()), if n % 4 == 0 { (false, 0) } else { (true, 1) });
    }
    let transactions = transactions(&folder) - before;
    assert!((2..50).contains(&transactions), "{transactions} transactions for a hundred writes, at most 64 in each");
}

#[test]
fn a_transaction_that_fails_fails_each_in_it() {
    let (folder, store) = in_folder();
    on_writer(&store, |c| c.busy_timeout(std::time::Duration::from_millis(50)));
    let other = shell(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for result in together((1..20).map(|n| store.commit(plain(case(n)))), || {}) {
        let told = unavailable(result);
        assert!(told.contains("another program held the database"), "{told}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    for result in together((1..20).map(|n| store.commit(plain(case(n)))), || {}) {
        assert_eq!(result.unwrap(), 1);
    }
}

#[test]
fn reading_does_not_wait_for_writing_and_sees_what_has_returned() {
    let (folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    let other = shell(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = store.commit(plain(case(2)));
    let results = together([commit], || {
        let load = |n| std::thread::scope(|scope| scope.spawn(|| now(store.load(case(n).id)).unwrap()).join().unwrap());
        assert!(load(1).is_some());
        assert_eq!(load(2), None);
        other.execute_batch("ROLLBACK").unwrap();
    });
    assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1]);
    assert!(now(store.load(case(2).id)).unwrap().is_some());
}

#[test]
fn threads_share_one_store() {
    let (_folder, store) = in_folder();
    std::thread::scope(|scope| {
        for n in 1..=8 {
            let store = &store;
            scope.spawn(move || {
                for turn in 0..10 {
                    let sealed = [("a".to_owned(), json!(turn))].into();
                    let mine = now(store.load(case(n).id)).unwrap().unwrap_or_else(|| case(n));
                    now(store.commit(Commit { sealed, ..with_entries(mine, 1) })).unwrap();
                }
            });
        }
    });
    let report = store.verify_all().unwrap();
    assert_eq!((report.remediations, report.entries, report.faults), (8, 80, Vec::new()));
}

#[test]
fn a_caller_that_went_away_stops_nobody() {
    let (folder, store) = in_folder();
    let other = shell(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let gone = store.commit(plain(case(1)));
    let stays = store.commit(plain(case(2)));
    let mut gone = Some(gone);
    let started = together([async { drop(gone.take()) }], || {});
    assert_eq!(started.len(), 1);
    let results = together([stays], || other.execute_batch("ROLLBACK").unwrap());
    assert!(results.into_iter().all(|r| r.is_ok()));
    assert_eq!(now(store.load(case(1).id)).unwrap(), None, "a future that was never polled did nothing");
}
