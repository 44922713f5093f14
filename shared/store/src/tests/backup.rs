//! Copies of a data folder in use.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use stanch_core::port::{Commit, Store};

use super::{in_folder, shell};
use crate::contract::{case, now, plain, with_entries};
use crate::{SqliteStore, backup};

#[test]
fn a_backup_taken_under_load_is_whole_and_can_be_used() {
    let (folder, store) = in_folder();
    let (from, to) = (folder.path().join("data"), folder.path().join("copy"));
    for n in 1..=50 {
        let sealed = [("a".to_owned(), json!(n))].into();
        let bodies = vec![(format!("body {n}"), "x".repeat(20_000))];
        now(store.commit(Commit { sealed, bodies, ..with_entries(case(n), 2) })).unwrap();
    }
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 51.. {
                now(store.commit(with_entries(case(n), 2))).unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let written = backup(&from, &to);
        done.store(true, Ordering::Relaxed);
        written.unwrap()
    });
    assert!(written.remediations >= 50);
    let named: Vec<_> = written.files.iter().map(|(file, bytes)| (file.clone(), fs::metadata(file).unwrap().len() == *bytes)).collect();
    assert_eq!(named, [(to.join("stanch.db"), true), (to.join("seal.key"), true)]);
    assert!(!folder.path().join("copy.draft").exists());

    let copy = SqliteStore::open(&to).unwrap();
    let report = copy.verify_all().unwrap();
    assert_eq!((report.remediations, report.entries), (written.remediations, written.remediations * 2));
    assert_eq!(report.faults, []);
    assert_eq!(now(copy.unseal(case(50).id, "a")).unwrap(), Some(json!(50)));
    now(copy.commit(plain(now(copy.load(case(1).id)).unwrap().unwrap()))).unwrap();
    assert_eq!(now(store.load(case(1).id)).unwrap().unwrap().version, 1, "the original goes its own way");
}

#[cfg(unix)]
#[test]
fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = in_folder();
    let sealed = [("a".to_owned(), json!(1))].into();
    now(store.commit(Commit { sealed, ..plain(case(1)) })).unwrap();
    let to = folder.path().join("copy");
    let written = backup(&folder.path().join("data"), &to).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o700);
    for (file, _) in written.files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let (folder, store) = in_folder();
    let from = folder.path().join("data");
    let told = |to: &str| backup(&from, &folder.path().join(to)).unwrap_err().to_string();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    for there in ["empty", "file", "data"] {
        assert!(told(there).contains("exists already"), "{there}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
    assert!(told("none/copy").contains("cannot create the folder"), "no parent");

    // Sealed values whose key is gone: such a copy would be no backup.
    let sealed = [("a".to_owned(), json!(1))].into();
    now(store.commit(Commit { sealed, ..plain(case(1)) })).unwrap();
    fs::remove_file(from.join("seal.key")).unwrap();
    assert!(told("copy").contains("seal.key"));
    assert!(!folder.path().join("copy").exists() && !folder.path().join("copy.draft").exists());

    fs::create_dir(folder.path().join("copy.draft")).unwrap();
    assert!(told("copy").contains("remove that folder"));
}

#[test]
fn there_is_nothing_to_back_up_where_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    assert!(backup(folder.path(), &folder.path().join("copy")).is_err());
    assert!(!folder.path().join("stanch.db").exists() && !folder.path().join("copy").exists());
}

#[test]
fn a_database_of_another_format_is_copied_as_it_is() {
    let (folder, store) = in_folder();
    now(store.commit(plain(case(1)))).unwrap();
    shell(&folder).pragma_update(None, "user_version", 900).unwrap();
    let to = folder.path().join("copy");
    backup(&folder.path().join("data"), &to).unwrap();
    let copy = rusqlite::Connection::open(to.join("stanch.db")).unwrap();
    assert_eq!(copy.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0)).unwrap(), 900);
}
