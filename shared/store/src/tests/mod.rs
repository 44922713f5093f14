//! The contract on both kinds of store, and what only a file can show.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::task::Poll;

use rusqlite::Connection;
use serde_json::json;
use stanch_core::port::{Cap, Commit, Store, StoreError};
use tempfile::TempDir;

use crate::SqliteStore;
use crate::contract::{case, now, plain, with_entries};

mod backup;
mod faults;
mod formats;
mod group;
pub(crate) mod processes;
mod size;

mod in_a_file {
    /// Every record holds after every test.
    pub(super) struct Audited(tempfile::TempDir);

    impl Drop for Audited {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                let store = super::SqliteStore::open(&self.0.path().join("data")).unwrap();
                assert_eq!(store.verify_all().unwrap().faults, []);
            }
        }
    }

    async fn open() -> Option<(Audited, super::SqliteStore)> {
        let (folder, store) = super::in_folder();
        Some((Audited(folder), store))
    }
    crate::store_contract!(open);
}

mod in_memory {
    async fn open() -> Option<((), super::SqliteStore)> {
        Some(((), super::SqliteStore::in_memory().unwrap()))
    }
    crate::store_contract!(open);
}

/// The simulated store and queue keep the same promises.
mod simulated {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use stanch_sandbox::{MemoryQueue, MemoryStore};

    async fn open() -> Option<((), MemoryStore)> {
        Some(((), MemoryStore::new()))
    }
    crate::store_contract!(open);

    mod queue {
        use super::*;

        async fn open() -> Option<((), MemoryQueue, impl AsyncFn(u64))> {
            let time = Arc::new(AtomicI64::new(0));
            let clock = Arc::clone(&time);
            let queue = MemoryQueue::new(Arc::new(move || clock.load(Ordering::SeqCst)));
            Some(((), queue, async move |ms: u64| {
                time.fetch_add(ms as i64, Ordering::SeqCst);
            }))
        }
        crate::queue_contract!(open);
    }
}

fn in_folder() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("data")).unwrap();
    (folder, store)
}

/// Opens the database as a person with an SQLite shell would.
fn shell(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("data/stanch.db")).unwrap()
}

/// Does something on the connection that writes.
fn on_writer<T: Send + 'static>(store: &SqliteStore, run: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static) -> T {
    now(store.write("prepare a test", move |c| Ok(run(c)?))).unwrap()
}

/// Starts all of them, does something, and waits for all.
fn together<F: Future>(futures: impl IntoIterator<Item = F>, started: impl FnOnce()) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    now(async {
        let mut results: Vec<Option<F::Output>> = std::future::poll_fn(|context| {
            let poll = |future: &mut std::pin::Pin<Box<F>>| match future.as_mut().poll(context) {
                Poll::Ready(value) => Some(value),
                Poll::Pending => None,
            };
            Poll::Ready(running.iter_mut().map(poll).collect())
        })
        .await;
        started();
        for (result, future) in results.iter_mut().zip(running).filter(|(result, _)| result.is_none()) {
            *result = Some(future.await);
        }
        results.into_iter().flatten().collect()
    })
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable { reason }) => reason,
        other => panic!("expected the store to be unavailable, got {other:?}"),
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let (folder, store) = in_folder();
    let sealed = [("a".to_owned(), json!("secret"))].into();
    now(store.commit(Commit { sealed, ..with_entries(case(1), 2) })).unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("data")).unwrap();
    assert_eq!(now(store.load(case(1).id)).unwrap().unwrap().version, 1);
    assert_eq!(now(store.record(case(1).id)).unwrap().len(), 2);
    assert_eq!(now(store.unseal(case(1).id, "a")).unwrap(), Some(json!("secret")));
}

#[test]
fn two_handles_on_one_folder_see_and_fence_each_other() {
    let (folder, one) = in_folder();
    let two = SqliteStore::open(&folder.path().join("data")).unwrap();
    now(one.commit(plain(case(1)))).unwrap();
    let seen = now(two.load(case(1).id)).unwrap().unwrap();
    now(two.commit(plain(seen.clone()))).unwrap();
    assert!(matches!(now(one.commit(plain(seen))), Err(StoreError::Conflict { .. })));

    now(two.allow_writes(false)).unwrap();
    assert!(!now(one.writes_allowed()).unwrap());

    let caps = &[Cap { name: "rule:a".into(), window: 0, limit: 7 }];
    let taken: usize = std::thread::scope(|scope| {
        let take = |store| scope.spawn(move || (0..10).filter(|_| now(Store::reserve(store, caps)).unwrap()).count());
        let threads = [&one, &two, &one, &two].map(take);
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(taken, 7);
}

#[test]
fn many_may_open_a_new_folder_at_the_same_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let store = SqliteStore::open(path).unwrap();
                let sealed = [("a".to_owned(), json!(n))].into();
                now(store.commit(Commit { sealed, ..plain(case(n)) })).unwrap();
            });
        }
    });
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..8 {
        assert_eq!(now(store.unseal(case(n).id, "a")).unwrap(), Some(json!(n)), "all sealed with one key");
    }
}

#[test]
fn the_files_do_not_show_a_sealed_value() {
    const SECRET: &str = "correct-horse-battery-staple";
    let (folder, store) = in_folder();
    let sealed = [("admin.password".to_owned(), json!(SECRET))].into();
    let mut open = case(1);
    open.note = "an-open-note".into();
    now(store.commit(Commit { sealed, ..plain(open) })).unwrap();
    drop(store);

    let holds = |path: &Path, text: &str| fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes());
    let files: Vec<_> = fs::read_dir(folder.path().join("data")).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.iter().any(|f| holds(f, "an-open-note")), "the search finds what is not sealed");
    for file in &files {
        assert!(!holds(file, SECRET), "{} shows the value", file.display());
    }
    let key = fs::read(folder.path().join("data/seal.key")).unwrap();
    assert_eq!(key.len(), 32);
}

#[cfg(unix)]
#[test]
fn folder_and_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = in_folder();
    let sealed = [("a".to_owned(), json!(1))].into();
    now(store.commit(Commit { sealed, ..plain(case(1)) })).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for file in fs::read_dir(&data).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/stanch.db"), "").unwrap();
    let store = SqliteStore::open(&folder.path().join("data")).unwrap();
    now(store.commit(plain(case(1)))).unwrap();
    drop(store);
    let (format, mode): (i64, String) = (
        shell(&folder).pragma_query_value(None, "user_version", |r| r.get(0)).unwrap(),
        shell(&folder).pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap(),
    );
    assert_eq!((format, mode.as_str()), (3, "wal"));
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let (folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    drop(store);
    shell(&folder).pragma_update(None, "user_version", 900).unwrap();
    let told = unavailable(SqliteStore::open(&folder.path().join("data")));
    assert!(told.contains("format 900") && told.contains("use a newer stanch"), "{told}");
    let rows: i64 = shell(&folder).query_row("SELECT count(*) FROM remediation", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 1);
}
