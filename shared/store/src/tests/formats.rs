//! What an earlier stanch wrote is read and continued; what a later one wrote is left alone.

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use stanch_core::finding::{Source, SourceRef};
use stanch_core::port::{Cap, Commit, Filter, Notice, OutboxItem, OutboxMessage, Store, WriteBack};
use stanch_core::remediation::{REMEDIATION_FORMAT, Remediation};
use stanch_core::state::State;
use tempfile::TempDir;
use uuid::Uuid;

use super::shell;
use crate::contract::{case, digest, now, plain, with_entries};
use crate::{AuditReport, SqliteStore, schema};

/// A row as programs of format 1 wrote it: they knew none of the later fields.
fn row_1(remediation: &Remediation) -> Value {
    let mut row = serde_json::to_value(remediation).unwrap();
    row.as_object_mut().unwrap().retain(|name, _| !["format", "backlog", "correlation"].contains(&name.as_str()));
    row
}

fn message(n: u128, message: OutboxMessage) -> OutboxItem {
    OutboxItem { id: Uuid::from_u128(n), message }
}

fn notice(n: u128) -> OutboxItem {
    let notice = Notice { remediation: case(1).id, title: format!("notice {n}"), state: "open".into(), facts: Vec::new(), at: 5 };
    message(n, OutboxMessage::Notice { channel: "teams".into(), notice })
}

fn write_back(n: u128) -> OutboxItem {
    let source_ref = SourceRef { id: "finding-1".into(), ..SourceRef::default() };
    message(n, OutboxMessage::WriteBack { source: Source::SecurityHub, source_ref, status: WriteBack::Fixed, note: "fixed".into() })
}

/// A data folder as format 1 left it: three cases with records, messages, a body of the first and one of the others, a cap, and
/// writes off.
fn of_format_1() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let db = shell(&folder);
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.execute_batch(schema::FIRST).unwrap();
    for (n, next_at, event) in [(1, Some(10), 1), (2, None, 2), (3, None, 2)] {
        let Commit { mut remediation, log, .. } = with_entries(case(n), 2);
        remediation.version = 1;
        remediation.raw_digest = digest(event);
        let id = remediation.id.to_string();
        let sql = "INSERT INTO remediation (id, key, version, state, standing, cloud, account, severity, resource, title, fix, updated,
            next_at, body) VALUES (?1, ?2, 1, 'open', '{\"name\":\"open\"}', 'aws', '111122223333', 4, ?3, 'Bucket is public', NULL, ?4, ?5, ?6)";
        let body = row_1(&remediation).to_string();
        let row = params![id, remediation.key.as_str(), remediation.resource.uid, 1_000 + i64::from(n), next_at, body];
        db.execute(sql, row).unwrap();
        for entry in log {
            let row = params![id, entry.sequence as i64, entry.hash, entry.body];
            db.execute("INSERT INTO log (remediation, sequence, hash, body) VALUES (?1, ?2, ?3, ?4)", row).unwrap();
        }
        db.execute("INSERT OR IGNORE INTO body VALUES (?1, ?2)", params![digest(event), format!("event {event}")]).unwrap();
    }
    for (item, sent) in [(notice(1), 1), (notice(2), 0), (write_back(3), 0), (notice(4), 0)] {
        let row = params![item.id.to_string(), case(1).id.to_string(), serde_json::to_string(&item.message).unwrap(), sent];
        db.execute("INSERT INTO outbox (id, remediation, message, sent) VALUES (?1, ?2, ?3, ?4)", row).unwrap();
    }
    db.execute("INSERT INTO cap VALUES ('rule:a', 0, 3)", []).unwrap();
    db.execute("INSERT INTO setting VALUES ('writes', 'off')", []).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    folder
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("data")).unwrap()
}

#[test]
fn what_format_1_kept_is_read_and_continued() {
    let folder = of_format_1();
    let store = open(&folder);
    assert_eq!(store.verify_all().unwrap(), AuditReport { remediations: 3, entries: 6, ..AuditReport::default() });
    assert_eq!(now(store.find(&case(1).key)).unwrap(), Some(case(1).id));
    assert_eq!(now(store.due(10, 9)).unwrap(), [case(1).id]);
    assert_eq!(now(store.list(&Filter::default())).unwrap().len(), 3);
    let body = |n, event| now(store.body(case(n).id, &digest(event))).unwrap();
    let bodies = [body(1, 1), body(2, 2), body(3, 2), body(1, 2), body(2, 1)];
    assert_eq!(bodies, [Some("event 1".to_owned()), Some("event 2".to_owned()), Some("event 2".to_owned()), None, None]);
    assert_eq!(now(store.reserved(&Cap { name: "rule:a".into(), window: 0, limit: 5 })).unwrap(), 3);
    assert!(!now(store.writes_allowed()).unwrap());
    let ready = |store: &SqliteStore| now(store.outbox(9, 9)).unwrap().iter().map(|(_, item)| item.id.as_u128()).collect::<Vec<_>>();
    assert_eq!(ready(&store), [2, 3], "the oldest of each lane");

    let loaded = now(store.load(case(1).id)).unwrap().unwrap();
    let mut next = with_entries(loaded, 1);
    next.outbox = vec![write_back(5), notice(6)];
    assert_eq!(now(store.commit(next)).unwrap(), 2);
    let mut order = Vec::new();
    while let Some(first) = ready(&store).first().copied() {
        order.push(first);
        now(store.sent(Uuid::from_u128(first))).unwrap();
    }
    assert_eq!(order, [2, 3, 4, 5, 6], "new messages come behind the old ones of their lane");
    let format: i64 =
        shell(&folder).query_row("SELECT json_extract(body, '$.format') FROM remediation WHERE version = 2", [], |r| r.get(0)).unwrap();
    assert_eq!(format, i64::from(REMEDIATION_FORMAT), "what is continued is written as this program knows it");
    assert_eq!(store.verify_all().unwrap(), AuditReport { remediations: 3, entries: 7, ..AuditReport::default() });

    // A case that format 1 opened is known to need its event until it is done.
    let later = 1_000_000;
    now(store.prune(later)).unwrap();
    assert!(body(2, 2).is_some());
    let done = Remediation { state: State::Failed, ..now(store.load(case(2).id)).unwrap().unwrap() };
    now(store.commit(plain(done))).unwrap();
    now(store.prune(later)).unwrap();
    assert_eq!((body(2, 2), body(3, 2).is_some(), body(1, 1).is_some()), (None, true, true));
}

#[test]
fn a_database_is_brought_up_once_however_many_open_it() {
    let folder = of_format_1();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(open(&folder).verify_all().unwrap().entries, 6));
        }
    });
    assert_eq!(shell(&folder).pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0)).unwrap(), 3);
}

#[test]
fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let folder = of_format_1();
    // A table in the way stops it in the middle.
    shell(&folder).execute_batch("CREATE TABLE parked (x)").unwrap();
    let told = SqliteStore::open(&folder.path().join("data")).unwrap_err().to_string();
    assert!(told.contains("cannot prepare the database"), "{told}");
    let count = |sql: &str| shell(&folder).query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM remediation"), 3);
    assert_eq!(count("SELECT count(*) FROM sqlite_schema WHERE name = 'remediation_2'"), 0);
    shell(&folder).execute_batch("DROP TABLE parked").unwrap();
    assert_eq!(open(&folder).verify_all().unwrap().entries, 6);
}

#[test]
fn a_row_of_a_later_stanch_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for n in 1..=2 {
        now(store.commit(Commit { next_at: Some(1), ..with_entries(case(n), 1) })).unwrap();
    }
    // As a later program writes it: with a state and fields nobody here has heard of.
    let later = "UPDATE remediation SET format = ?1, state = 'paused', standing = '{\"name\":\"paused\"}',
        body = json_set(body, '$.format', ?1, '$.state', json('{\"name\":\"paused\"}'), '$.mood', 'fine') WHERE id = ?2";
    shell(&folder).execute(later, params![REMEDIATION_FORMAT + 1, case(1).id.to_string()]).unwrap();
    let whole = |db: Connection| db.query_row("SELECT body FROM remediation WHERE format > 2", [], |r| r.get::<_, String>(0)).unwrap();
    let before = whole(shell(&folder));

    assert_eq!(now(store.due(9, 9)).unwrap(), [case(2).id]);
    let told = now(store.load(case(1).id)).unwrap_err().to_string();
    assert!(told.contains("newer stanch") || told.contains("unknown variant"), "{told}");
    assert_eq!(now(store.list(&Filter::default())).unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [case(2).id]);
    assert_eq!(now(store.heads(None, 9)).unwrap().len(), 2);
    assert_eq!(store.verify_all().unwrap().faults, [], "its record is as good as any");
    let second = now(store.load(case(2).id)).unwrap().unwrap();
    now(store.commit(Commit { next_at: None, ..plain(second) })).unwrap();
    now(store.prune(i64::MAX)).unwrap();
    assert_eq!(whole(shell(&folder)), before);
    assert_eq!(json!(before).as_str().map(|text| text.contains("mood")), Some(true));
}
