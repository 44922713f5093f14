//! What goes wrong outside stanch: said clearly, and without damage.

use std::fs;

use rusqlite::Connection;
use stanch_core::port::{Cap, Commit, Store, StoreError};
use stanch_core::remediation::RemediationId;

use super::{in_folder, on_writer, shell, together, unavailable};
use crate::contract::{case, digest, now, plain, with_entries};
use crate::writer::Stop;
use crate::{AuditReport, SqliteStore};

#[test]
fn a_folder_that_cannot_be_made_or_written_is_unavailable_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let told = unavailable(SqliteStore::open(&folder.path().join("file/data")));
    assert!(told.contains("file/data") && told.contains("cannot create the folder"), "{told}");

    let (_folder, store) = in_folder();
    let read_only = || on_writer(&store, |c| c.pragma_update(None, "query_only", true));
    read_only();
    let told = unavailable(now(store.commit(plain(case(1)))));
    assert!(told.contains("the data folder") && told.contains("is not writable"), "{told}");
    read_only();
    unavailable(now(store.allow_writes(false)));
    read_only();
    unavailable(now(store.reserve(&[Cap { name: "rule:a".into(), window: 0, limit: 1 }])));
    now(store.commit(plain(case(1)))).unwrap();
}

#[test]
fn a_database_held_by_another_program_is_unavailable() {
    let (folder, store) = in_folder();
    on_writer(&store, |c| c.busy_timeout(std::time::Duration::ZERO));
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

/// Lets the database grow to so many pages at most.
fn limit_pages(store: &SqliteStore, pages: i64) {
    on_writer(store, move |c| c.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())));
}

#[test]
fn a_full_database_is_unavailable_keeps_what_it_had_and_goes_on_once_there_is_room() {
    let (_folder, store) = in_folder();
    now(store.commit(with_entries(case(1), 2))).unwrap();
    let pages = on_writer(&store, |c| c.pragma_query_value(None, "page_count", |r| r.get::<_, i64>(0)));
    limit_pages(&store, pages);
    // Everybody is told, whether they share a transaction or not.
    let commits = (2..10).map(|n| Commit { bodies: vec![(digest(n), "x".repeat(100_000))], ..with_entries(case(n.into()), 2) });
    for result in together(commits.map(|commit| store.commit(commit)), || {}) {
        let told = unavailable(result);
        assert!(told.contains("is full"), "{told}");
    }
    assert!(now(store.load(case(1).id)).unwrap().is_some());
    assert_eq!(now(store.load(case(2).id)).unwrap(), None);

    limit_pages(&store, pages + 1_000);
    let bodies = vec![(digest(2), "x".repeat(100_000))];
    now(store.commit(Commit { bodies, ..with_entries(case(2), 2) })).unwrap();
    assert_eq!(store.verify_all().unwrap(), AuditReport { remediations: 2, entries: 4, ..AuditReport::default() });
}

#[test]
fn a_panic_in_a_write_costs_that_write_and_not_the_store() {
    let (_folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    let panics = |c: &Connection| -> Result<(), Stop> {
        c.execute("DELETE FROM remediation", [])?;
        panic!("on purpose");
    };
    let told = unavailable(now(store.write("do it", panics)));
    assert!(told.starts_with("cannot do it"), "{told}");
    assert!(now(store.load(case(1).id)).unwrap().is_some(), "what it did is undone");
    now(store.commit(plain(case(2)))).unwrap();
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
fn a_file_that_is_no_database_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stanch.db"), "this is a text file and no database at all".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreError::Unreadable { .. })));
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
