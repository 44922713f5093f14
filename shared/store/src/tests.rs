//! The contract on both kinds of store, and what only a file can show.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use stanch_core::port::{Cap, Commit, Store, StoreError};
use stanch_core::remediation::RemediationId;
use tempfile::TempDir;

use crate::contract::{self, case, now, plain, with_entries};
use crate::{AuditReport, SqliteStore};

mod in_a_file {
    macro_rules! run {
        ($($name:ident)*) => { $(#[test] fn $name() {
            let (_folder, store) = super::in_folder();
            super::contract::$name(&store);
            assert_eq!(store.verify_all().unwrap().faults, []);
        })* };
    }
    crate::contract::contract!(run);
}

mod in_memory {
    macro_rules! run {
        ($($name:ident)*) => { $(#[test] fn $name() {
            super::contract::$name(&super::SqliteStore::in_memory().unwrap());
        })* };
    }
    crate::contract::contract!(run);
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
    assert_eq!((format, mode.as_str()), (1, "wal"));
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

#[test]
fn a_file_that_is_no_database_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stanch.db"), "this is a text file and no database at all".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreError::Unreadable { .. })));
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_unavailable_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let told = unavailable(SqliteStore::open(&folder.path().join("file/data")));
    assert!(told.contains("file/data") && told.contains("cannot create the folder"), "{told}");

    let (_folder, store) = in_folder();
    store.connection().pragma_update(None, "query_only", true).unwrap();
    let told = unavailable(now(store.commit(plain(case(1)))));
    assert!(told.contains("the data folder") && told.contains("is not writable"), "{told}");
    unavailable(now(store.allow_writes(false)));
    unavailable(now(store.reserve(&[Cap { name: "rule:a".into(), window: 0, limit: 1 }])));
}

#[test]
fn a_database_held_by_another_program_is_unavailable() {
    let (folder, store) = in_folder();
    store.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = shell(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let told = unavailable(now(store.commit(plain(case(1)))));
    assert!(told.contains("another program held the database"), "{told}");
    assert!(now(store.writes_allowed()).unwrap(), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    now(store.commit(plain(case(1)))).unwrap();
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_unavailable() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    let told = unavailable(SqliteStore::open(folder.path()));
    assert!(told.contains("is not writable"), "{told}");
}

#[test]
fn a_full_database_is_unavailable_and_keeps_what_it_had() {
    let (_folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    let pages: i64 = store.connection().pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    store.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let bodies = vec![("digest".to_owned(), "x".repeat(100_000))];
    let told = unavailable(now(store.commit(Commit { bodies, ..plain(case(2)) })));
    assert!(told.contains("is full"), "{told}");
    assert!(now(store.load(case(1).id)).unwrap().is_some());
    assert_eq!(now(store.load(case(2).id)).unwrap(), None);
}

#[test]
fn a_row_of_another_shape_is_unreadable_and_named() {
    let (folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    shell(&folder).execute("UPDATE remediation SET body = json_set(body, '$.version', 'one')", []).unwrap();
    match now(store.load(case(1).id)) {
        Err(StoreError::Unreadable { what, reason }) => {
            assert!(what.contains(&case(1).id.to_string()), "{what}");
            assert!(reason.contains("u64"), "{reason}");
        }
        other => panic!("expected an unreadable row, got {other:?}"),
    }
}

#[test]
fn a_kill_switch_that_cannot_be_read_is_an_error() {
    let (folder, store) = in_folder();
    shell(&folder).execute("INSERT INTO setting VALUES ('writes', 'maybe')", []).unwrap();
    let told = now(store.writes_allowed()).unwrap_err().to_string();
    assert!(told.contains("`maybe`"), "{told}");
    now(store.allow_writes(false)).unwrap();
    assert!(!now(store.writes_allowed()).unwrap());
}

#[test]
fn an_audit_counts_and_names_every_broken_record() {
    let (folder, store) = in_folder();
    for n in 1..=5 {
        now(store.commit(with_entries(case(n), 3))).unwrap();
    }
    assert_eq!(store.verify_all().unwrap(), AuditReport { remediations: 5, entries: 15, ..AuditReport::default() });

    let shell = shell(&folder);
    shell.pragma_update(None, "foreign_keys", false).unwrap();
    let id = |n| case(n).id.to_string();
    shell.execute("UPDATE log SET body = '{}' WHERE remediation = ?1 AND sequence = 2", [id(1)]).unwrap();
    shell.execute("DELETE FROM log WHERE remediation = ?1 AND sequence = 3", [id(2)]).unwrap();
    shell.execute("DELETE FROM remediation WHERE id = ?1", [id(3)]).unwrap();
    shell.execute("UPDATE remediation SET body = '{}' WHERE id = ?1", [id(4)]).unwrap();

    let report = store.verify_all().unwrap();
    assert_eq!((report.remediations, report.entries), (4, 14));
    let number = |id: &Option<String>| id.as_deref().and_then(RemediationId::parse).map_or(0, |id| id.0.as_u128());
    let faults: Vec<(u128, &str)> = report.faults.iter().map(|f| (number(&f.remediation), f.what.as_str())).collect();
    let [(1, changed), (2, cut), (3, gone), (4, body)] = faults.as_slice() else { panic!("{faults:?}") };
    assert!(changed.contains("entry 2 does not match its hash"), "{changed}");
    assert!(cut.contains("ends with entry 2") && cut.contains("says 3"), "{cut}");
    assert!(body.contains("cannot be read"), "{body}");
    assert!(gone.contains("is gone") && gone.contains("3 entries"), "{gone}");
}

#[test]
fn a_record_that_was_cut_is_not_called_a_conflict() {
    let (folder, store) = in_folder();
    now(store.commit(with_entries(case(1), 3))).unwrap();
    shell(&folder).execute("DELETE FROM log WHERE sequence = 3", []).unwrap();
    let stored = now(store.load(case(1).id)).unwrap().unwrap();
    match now(store.commit(with_entries(stored, 1))) {
        Err(StoreError::Unreadable { what, .. }) => assert!(what.starts_with("record of remediation"), "{what}"),
        other => panic!("expected an unreadable record, got {other:?}"),
    }
}

#[test]
fn a_panic_under_the_lock_does_not_spoil_the_store() {
    let store = SqliteStore::in_memory().unwrap();
    std::thread::scope(|scope| {
        let panicked = scope.spawn(|| {
            let _held = store.connection();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
    });
    now(store.commit(plain(case(1)))).unwrap();
}
