//! What a person who knows the format does to a database or a checkpoint, and what an audit says.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use stanch_core::chain::{self, ChainHead};
use stanch_core::checkpoint;
use stanch_core::port::{Commit, Store, StoreError, Vault};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_engine::checkpoint::{Checkpointed, checkpoint as make};
use tempfile::TempDir;

use crate::contract::{case, now, plain, with_entries};
use crate::{AuditReport, Checkpoints, FileVault, SqliteStore};

/// Three remediations with three entries each, a checkpoint; three more entries for the first two, another checkpoint; then one
/// more entry for the first.
struct Scene {
    folder: TempDir,
    store: SqliteStore,
    vault: FileVault,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("data")).unwrap();
        let vault = FileVault::new(folder.path().join("vault"));
        let scene = Scene { folder, store, vault };
        (1..=3).for_each(|n| scene.grow(n, 3));
        assert_eq!(scene.checkpoint(10_000).changed, 3);
        (1..=2).for_each(|n| scene.grow(n, 3));
        assert_eq!(scene.checkpoint(20_000).changed, 2);
        scene.grow(1, 1);
        scene
    }

    fn grow(&self, n: u32, entries: usize) {
        let remediation = now(self.store.load(case(n).id)).unwrap().unwrap_or_else(|| case(n));
        now(self.store.commit(with_entries(remediation, entries))).unwrap();
    }

    fn checkpoint(&self, at: i64) -> Checkpointed {
        let make = make(&self.store, &self.vault, at);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(make).unwrap()
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.path().join("vault").join(checkpoint::name(number))
    }

    /// The database, in the hands of somebody with all rights.
    fn shell(&self) -> Connection {
        let shell = Connection::open(self.folder.path().join("data/stanch.db")).unwrap();
        shell.pragma_update(None, "foreign_keys", false).unwrap();
        shell
    }

    fn audit(&self, files: &[u64]) -> AuditReport {
        let files: Vec<PathBuf> = files.iter().map(|n| self.file(*n)).collect();
        self.store.verify_against(&Checkpoints::find(&files).unwrap()).unwrap()
    }

    /// Faults as one text each, with the number of the remediation in front.
    fn told(&self, files: &[u64]) -> Vec<String> {
        let report = if files.is_empty() { self.store.verify_all().unwrap() } else { self.audit(files) };
        let number = |id: &str| RemediationId::parse(id).map_or(0, |id| id.0.as_u128());
        report
            .faults
            .iter()
            .map(|f| f.remediation.as_deref().map_or_else(|| f.what.clone(), |id| format!("{}: {}", number(id), f.what)))
            .collect()
    }

    /// Replaces a checkpoint's text.
    fn forge(&self, number: u64, change: impl Fn(&str) -> String) {
        let text = fs::read_to_string(self.file(number)).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed);
        fs::remove_file(self.file(number)).unwrap();
        fs::write(self.file(number), changed).unwrap();
    }
}

/// Replaces the record of a remediation by these bodies, with all hashes and the row as they must be.
fn rewrite(shell: &Connection, id: RemediationId, bodies: &[String]) {
    shell.execute("DELETE FROM log WHERE remediation = ?1", [id.to_string()]).unwrap();
    let mut head = ChainHead::default();
    for body in bodies {
        let (entry, next) = chain::append(id, &head, body.clone());
        let values = params![id.to_string(), entry.sequence as i64, entry.hash, entry.body];
        shell.execute("INSERT INTO log (remediation, sequence, hash, body) VALUES (?1, ?2, ?3, ?4)", values).unwrap();
        head = next;
    }
    let text: String = shell.query_row("SELECT body FROM remediation WHERE id = ?1", [id.to_string()], |r| r.get(0)).unwrap();
    let mut row: Remediation = serde_json::from_str(&text).unwrap();
    row.chain = head;
    shell.execute("UPDATE remediation SET body = ?2 WHERE id = ?1", [id.to_string(), serde_json::to_string(&row).unwrap()]).unwrap();
}

fn bodies(shell: &Connection, id: RemediationId) -> Vec<String> {
    let mut all = shell.prepare("SELECT body FROM log WHERE remediation = ?1 ORDER BY sequence").unwrap();
    all.query_map([id.to_string()], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Runs a statement whose parameters are ids of remediations.
fn run(shell: &Connection, sql: &str, ids: &[u32]) {
    shell.execute(sql, rusqlite::params_from_iter(ids.iter().map(|n| case(*n).id.to_string()))).unwrap();
}

/// Makes a table anew without its constraints.
fn unconstrain(shell: &Connection, table: &str) {
    shell
        .execute_batch(&format!("CREATE TABLE free AS SELECT * FROM {table}; DROP TABLE {table}; ALTER TABLE free RENAME TO {table};"))
        .unwrap();
}

#[test]
fn an_audit_through_the_port_tells_the_same() {
    let through_the_port = |scene: &Scene, files: &[u64]| {
        let files: Vec<PathBuf> = files.iter().map(|n| scene.file(*n)).collect();
        let checkpoints = (!files.is_empty()).then(|| Checkpoints::find(&files).unwrap());
        let audit = crate::audit_records(&scene.store, checkpoints.as_ref());
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(audit).unwrap()
    };
    let same = |attack: &dyn Fn(&Connection), files: &[u64], faults: usize| {
        let scene = Scene::new();
        attack(&scene.shell());
        let (port, own) =
            (through_the_port(&scene, files), if files.is_empty() { scene.store.verify_all().unwrap() } else { scene.audit(files) });
        assert_eq!(port, own);
        assert_eq!(port.faults.len(), faults, "{:?}", port.faults);
    };
    same(&|_| {}, &[], 0);
    same(&|_| {}, &[1], 0);
    same(&|_| {}, &[2], 0);
    same(&|s| run(s, "UPDATE log SET body = body || ' ' WHERE remediation = ?1 AND sequence = 2", &[2]), &[2], 1);
    same(&|s| rewrite(s, case(2).id, &bodies(s, case(2).id)[..4]), &[2], 1);
    for gone in [1, 2, 3] {
        let delete = |s: &Connection| {
            run(s, "DELETE FROM log WHERE remediation = ?1", &[gone]);
            run(s, "DELETE FROM remediation WHERE id = ?1", &[gone]);
        };
        same(&delete, &[2], 1);
        same(&delete, &[], 0);
    }
}

#[test]
fn an_honest_store_is_proven_up_to_the_checkpoint() {
    let scene = Scene::new();
    let report = scene.audit(&[2]);
    assert_eq!((report.remediations, report.entries, report.faults.as_slice(), report.more_faults), (3, 16, [].as_slice(), 0));
    let proof = report.proof.unwrap();
    assert_eq!((proof.first, proof.last, proof.at, proof.count, proof.entries), (1, 2, 20_000, 3, 15));
    assert_eq!((proof.uncovered, proof.later), (0, 1));
    // The older one proves less, and is no fault.
    let older = scene.audit(&[1]).proof.unwrap();
    assert_eq!((older.last, older.count, older.entries, older.later), (1, 3, 9, 7));
    // What came after a checkpoint is new, not wrong.
    scene.grow(4, 2);
    let report = scene.audit(&[2]);
    assert_eq!((report.faults.as_slice(), report.proof.unwrap().later), ([].as_slice(), 3));
    assert_eq!(scene.store.verify_all().unwrap().proof, None);
}

#[test]
fn every_attack_on_the_store_is_found() {
    type Attack = fn(&Connection);
    // What is done, what is said with the checkpoint, and whether it is found without.
    let attacks: &[(&str, Attack, &str, bool)] = &[
        (
            "a byte is changed",
            |s| run(s, "UPDATE log SET body = '{\"time\":2001}' WHERE sequence = 2 AND remediation = ?1", &[2]),
            "2: entry 2 does not match its hash",
            true,
        ),
        (
            "a tail is written anew with valid hashes",
            |s| {
                let mut all = bodies(s, case(1).id);
                all[4] = "{\"time\":9}".into();
                rewrite(s, case(1).id, &all);
            },
            "1: entry 6 is not the one checkpoint 2 saw: the record was written anew, with valid hashes",
            false,
        ),
        (
            "a record is written anew from its start, and longer",
            |s| {
                let mut all = bodies(s, case(3).id);
                all[0] = "{}".into();
                all.push("{}".into());
                rewrite(s, case(3).id, &all);
            },
            "3: entry 3 is not the one checkpoint 1 saw",
            false,
        ),
        (
            "a record is cut",
            |s| rewrite(s, case(2).id, &bodies(s, case(2).id)[..5]),
            "2: the record was cut: checkpoint 2 saw 6 entries, it ends with entry 5",
            false,
        ),
        (
            "a record is emptied",
            |s| rewrite(s, case(2).id, &[]),
            "2: the record was cut: checkpoint 2 saw 6 entries, it ends with entry 0",
            false,
        ),
        (
            "a record is cut without care for the row",
            |s| run(s, "DELETE FROM log WHERE sequence = 6 AND remediation = ?1", &[2]),
            "2: the record was cut: checkpoint 2 saw 6",
            true,
        ),
        (
            "a remediation is deleted",
            |s| {
                s.execute("DELETE FROM log WHERE remediation = ?1", [case(3).id.to_string()]).unwrap();
                s.execute("DELETE FROM remediation WHERE id = ?1", [case(3).id.to_string()]).unwrap();
            },
            "3: the remediation was deleted: checkpoint 1 saw 3 entries of its record, 0 are left",
            false,
        ),
        (
            "a remediation is deleted, its record is left",
            |s| run(s, "DELETE FROM remediation WHERE id = ?1", &[3]),
            "3: the remediation was deleted: checkpoint 1 saw 3 entries of its record, 3 are left",
            true,
        ),
        (
            "an entry is there twice",
            |s| {
                unconstrain(s, "log");
                s.execute("INSERT INTO log SELECT remediation, sequence, hash, '{\"time\":3}' FROM log WHERE sequence = 7", []).unwrap();
            },
            "1: there are two entries 7: the record is forked",
            true,
        ),
        (
            "an entry is left out",
            |s| run(s, "DELETE FROM log WHERE sequence = 4 AND remediation = ?1", &[2]),
            "2: entry 5 stands where entry 4 belongs",
            true,
        ),
        (
            "two remediations have one key",
            |s| {
                unconstrain(s, "remediation");
                s.execute("INSERT INTO remediation SELECT NULL, ?1, key, key_digest, version, format, state, standing, cloud, account, severity, resource, title, fix, updated, next_at, replace(body, id, ?1) FROM remediation WHERE id = ?2", [case(9).id.to_string(), case(1).id.to_string()]).unwrap();
                rewrite(s, case(9).id, &["{}".to_owned()]);
            },
            "1: 2 remediations have the key `compliance|111122223333|arn:aws:s3:::shop-1|s3-public`, 00000000-0000-0000-0000-000000000009 too",
            true,
        ),
        (
            "two rows have one id",
            |s| {
                unconstrain(s, "remediation");
                s.execute("INSERT INTO remediation SELECT * FROM remediation WHERE id = ?1", [case(1).id.to_string()]).unwrap();
            },
            "1: there are two remediations of this id",
            true,
        ),
        (
            "an id is spelled another way",
            |s| {
                let spelled = format!("{{{}}}", case(8).id);
                s.execute("INSERT INTO remediation SELECT NULL, ?1, 'other', x'00', version, format, state, standing, cloud, account, severity, resource, title, fix, updated, next_at, body FROM remediation WHERE id = ?2", [spelled, case(1).id.to_string()]).unwrap();
            },
            "8: this is no id that stanch gives",
            true,
        ),
        (
            "the row holds another remediation",
            |s| run(s, "UPDATE remediation SET body = replace(body, ?1, ?2) WHERE id = ?1", &[1, 7]),
            "1: the row holds another remediation",
            true,
        ),
        (
            "the last entry is another than the row says",
            |s| {
                let (_, head) = chain::append(case(3).id, &ChainHead::default(), "x".into());
                s.execute(
                    "UPDATE remediation SET body = json_set(body, '$.chain.hash', ?2) WHERE id = ?1",
                    [case(3).id.to_string(), head.hash],
                )
                .unwrap();
            },
            "3: the last entry, 3, is not the one the remediation names",
            true,
        ),
        (
            "indexes are swapped, so that rows are not found",
            |s| {
                s.execute_batch("PRAGMA writable_schema = on; CREATE TEMP TABLE swap AS SELECT name, rootpage FROM sqlite_schema; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM swap WHERE swap.name = replace(replace(replace(sqlite_schema.name, '_1', '_x'), '_2', '_1'), '_x', '_2')) WHERE name LIKE 'sqlite_autoindex_remediation%'; PRAGMA schema_version = 99; PRAGMA writable_schema = off;").unwrap();
            },
            "the database is damaged, or its tables were made anew",
            true,
        ),
    ];
    for (what, attack, expected, found_without) in attacks {
        let scene = Scene::new();
        attack(&scene.shell());
        let with = scene.told(&[2]);
        assert!(with.iter().any(|told| told.starts_with(expected)), "{what}: {with:?}");
        let without = scene.told(&[]);
        assert_eq!(!without.is_empty(), *found_without, "{what}, without a checkpoint: {without:?}");
    }
}

#[test]
fn a_later_checkpoint_does_not_launder_what_was_done_before() {
    let scene = Scene::new();
    let shell = scene.shell();
    shell.execute("DELETE FROM log WHERE remediation = ?1", [case(3).id.to_string()]).unwrap();
    shell.execute("DELETE FROM remediation WHERE id = ?1", [case(3).id.to_string()]).unwrap();
    rewrite(&shell, case(2).id, &bodies(&shell, case(2).id)[..5]);
    let mut all = bodies(&shell, case(1).id);
    all[1] = "{}".into();
    rewrite(&shell, case(1).id, &all);
    let made = scene.checkpoint(30_000);
    assert_eq!(made.lost, [case(2).id, case(3).id]);
    assert_eq!(made.written.map(|(_, header)| (header.number, header.count)), Some((3, 3)), "what is lost still counts");
    let told = scene.told(&[3]);
    let [one, two, three] = told.as_slice() else { panic!("{told:?}") };
    assert!(one.starts_with("1: entry 3 is not the one checkpoint 1 saw"), "{one}");
    assert!(two.starts_with("2: the record was cut: checkpoint 2 saw 6 entries"), "{two}");
    assert!(three.starts_with("3: the remediation was deleted: checkpoint 1 saw 3"), "{three}");
}

#[test]
fn every_attack_on_the_checkpoints_is_found() {
    type Attack = fn(&Scene);
    let attacks: &[(&str, Attack, &str)] = &[
        (
            "a byte of an older one is changed",
            |s| s.forge(1, |text| text.replacen("\"at\":10000", "\"at\":10001", 1)),
            "is not the checkpoint 1 that checkpoint 2 follows: it was changed",
        ),
        (
            "an end is left out",
            |s| s.forge(2, |text| format!("{}\n", text.lines().take(2).collect::<Vec<_>>().join("\n"))),
            "checkpoint 2 does not have the root of the ends it lists",
        ),
        (
            "an end is changed",
            |s| s.forge(2, |text| text.replacen("\"length\":6", "\"length\":5", 1)),
            "checkpoint 2 does not have the root of the ends it lists",
        ),
        (
            "the file is cut in a line",
            |s| s.forge(2, |text| text.chars().take(text.len() - 9).collect()),
            "is no sound checkpoint: it is cut off",
        ),
        ("the file is no checkpoint", |s| s.forge(2, |_| "{}\n".to_owned()), "is no sound checkpoint: line 1 is no header"),
        (
            "there are two of one number",
            |s| {
                let other = fs::read_to_string(s.file(2)).unwrap().replacen("\"at\":20000", "\"at\":20001", 1);
                fs::write(s.file(3), other).unwrap();
            },
            "there is more than one checkpoint 2",
        ),
        (
            "there are two followers of one",
            |s| {
                let other = fs::read_to_string(s.file(2)).unwrap().replacen("\"number\":2", "\"number\":3", 1);
                fs::write(s.file(3), other).unwrap();
            },
            "there is more than one follower of one checkpoint",
        ),
        (
            "the first one is no first one",
            |s| {
                s.forge(2, |text| {
                    let (header, leaves) = text.split_once('\n').unwrap();
                    let (header, _) = header.split_once(",\"previous\"").unwrap();
                    format!("{header}}}\n{leaves}")
                });
            },
            "checkpoint 2 follows none although it is not the first",
        ),
    ];
    for (what, attack, expected) in attacks {
        let scene = Scene::new();
        attack(&scene);
        let told = scene.told(&[2]);
        assert!(told.iter().any(|told| told.contains(expected)), "{what}: {told:?}");
    }
    // Two histories, kept in two places by two people.
    let (scene, other) = (Scene::new(), Scene::new());
    other.grow(3, 1);
    other.checkpoint(30_000);
    scene.grow(2, 1);
    scene.checkpoint(30_000);
    let found = Checkpoints::find(&[scene.file(3), other.file(3)]).unwrap();
    let told = scene.store.verify_against(&found).unwrap().faults;
    assert!(told.iter().any(|fault| fault.what.contains("more than one checkpoint 3")), "{told:?}");
}

#[test]
fn missing_predecessors_leave_the_rest_proven() {
    let scene = Scene::new();
    fs::remove_file(scene.file(1)).unwrap();
    let report = scene.audit(&[2]);
    assert_eq!(report.faults, []);
    let proof = report.proof.unwrap();
    assert_eq!((proof.first, proof.last, proof.count, proof.uncovered, proof.later), (2, 2, 3, 1, 4));
    // What only the missing one knew is not found; the rest is.
    let shell = scene.shell();
    rewrite(&shell, case(3).id, &["{}".to_owned()]);
    assert_eq!(scene.told(&[2]), [""; 0]);
    rewrite(&shell, case(2).id, &["{}".to_owned()]);
    assert_eq!(scene.told(&[2]), ["2: the record was cut: checkpoint 2 saw 6 entries, it ends with entry 1"]);
    // The next checkpoint takes up again what only the missing one knew.
    let scene = Scene::new();
    fs::remove_file(scene.file(1)).unwrap();
    assert_eq!(scene.checkpoint(30_000).changed, 2);
    assert_eq!(scene.audit(&[3]).proof.unwrap().uncovered, 0);
}

#[test]
fn of_many_makers_one_writes_and_files_are_never_replaced() {
    let scene = Scene::new();
    scene.grow(5, 2);
    let written: usize = std::thread::scope(|scope| {
        let threads = [1, 2, 3, 4].map(|n| scope.spawn(|| scene.checkpoint(30_000)).join().map(|done| (n, done)));
        threads.into_iter().filter(|made| made.as_ref().is_ok_and(|(_, done)| done.written.is_some())).count()
    });
    assert_eq!(written, 1);
    assert!(!now(scene.vault.put(&checkpoint::name(3), "something else")).unwrap());
    assert_eq!(scene.audit(&[3]).faults, []);
    assert_eq!(now(scene.vault.names()).unwrap(), [1, 2, 3].map(checkpoint::name));
    for wrong in ["../x", "checkpoint-1.jsonl", "x"] {
        assert!(now(scene.vault.put(wrong, "")).is_err(), "{wrong}");
    }
    let left: Vec<_> = fs::read_dir(scene.folder.path().join("vault")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no drafts are left: {left:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(scene.file(3)).unwrap().permissions().mode() & 0o777, 0o400);
    }
}

#[test]
fn an_audit_takes_a_read_only_copy_and_a_database_in_use() {
    let scene = Scene::new();
    let found = || Checkpoints::find(&[scene.file(2)]).unwrap();
    let writer = scene.shell();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM log").unwrap();
    let open = SqliteStore::open_read_only(&scene.folder.path().join("data")).unwrap();
    let report = open.verify_against(&found()).unwrap();
    assert_eq!((report.entries, report.faults), (16, Vec::new()), "what is not committed is not seen");
    drop(writer);

    // As `VACUUM INTO` or a backup makes it, in a folder whose name SQLite would read as a query.
    let copy = scene.folder.path().join("copy? 100%#1");
    fs::create_dir(&copy).unwrap();
    scene.shell().execute("VACUUM INTO ?1", [copy.join("stanch.db").to_str().unwrap()]).unwrap();
    let before = fs::read(copy.join("stanch.db")).unwrap();
    #[cfg(unix)]
    for (path, mode) in [(copy.join("stanch.db"), 0o400), (copy.clone(), 0o500)] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let kept = SqliteStore::open_read_only(&copy).unwrap();
    assert_eq!(kept.verify_against(&found()).unwrap().faults, []);
    match now(kept.commit(Commit { expected_version: 0, ..plain(case(9)) })) {
        Err(StoreError::Unavailable { reason }) => assert!(reason.contains("not writable"), "{reason}"),
        other => panic!("{other:?}"),
    }
    drop(kept);
    assert_eq!(fs::read(copy.join("stanch.db")).unwrap(), before);
    #[cfg(unix)]
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert!(SqliteStore::open_read_only(Path::new("/nowhere")).is_err());
}
