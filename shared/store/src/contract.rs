//! What every store must do, written over the port alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stanch_core::chain::{self, ChainEntry};
use stanch_core::cloud::{Cloud, ResourceUid};
use stanch_core::finding::{Millis, Severity, Source, SourceRef};
use stanch_core::port::{Cap, Commit, Filter, Hold, Notice, OutboxItem, OutboxMessage, Store, StoreError, WriteBack};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::state::State;
use uuid::Uuid;

/// Every test of the contract, for a macro that runs each on one store.
macro_rules! contract {
    ($run:ident) => {
        $run! {
            insert_and_load_give_the_same_back
            a_stale_version_conflicts_and_writes_nothing
            a_taken_key_or_id_conflicts
            a_record_is_only_ever_continued
            what_is_due_comes_oldest_first
            a_listing_is_filtered_and_newest_first
            slots_are_taken_all_or_none
            no_crowd_takes_more_slots_than_there_are
            only_one_of_a_crowd_commits_a_version
            the_outbox_keeps_the_order_of_each_remediation
            a_message_put_off_waits_and_holds_back_the_next
            a_sealed_value_comes_back_for_its_remediation_alone
            bodies_are_kept_under_their_digest
            the_kill_switch_turns
            a_hold_is_found_and_replaced
        }
    };
}
pub(crate) use contract;

/// Waits for a future of a port.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    // One for all: connections that are kept open belong to the runtime they were opened on.
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()).block_on(future)
}

/// A remediation that was never committed; ids sort by `n`.
pub(crate) fn case(n: u32) -> Remediation {
    let resource = format!("arn:aws:s3:::shop-{n}");
    serde_json::from_value(json!({
        "id": Uuid::from_u128(u128::from(n)),
        "format": stanch_core::remediation::REMEDIATION_FORMAT,
        "version": 0,
        "key": format!("compliance|111122223333|{resource}|s3-public"),
        "state": State::Open,
        "finding": {
            "source": "security-hub",
            "class": "compliance",
            "uid": format!("finding-{n}"),
            "title": "Bucket is public",
            "severity": "HIGH",
            "cloud": "aws",
            "product": {"name": "Security Hub", "vendor": "AWS"},
            "source_ref": {"id": format!("finding-{n}")},
        },
        "resource": {"cloud": "aws", "uid": resource, "account": {"uid": "111122223333"}},
        "reporters": [],
        "times": {"received": 1_000},
    }))
    .unwrap()
}

/// A commit of the case and nothing more, on the version it was loaded with.
pub(crate) fn plain(remediation: Remediation) -> Commit {
    Commit {
        expected_version: remediation.version,
        remediation,
        at: 2_000,
        log: Vec::new(),
        outbox: Vec::new(),
        next_at: None,
        sealed: BTreeMap::new(),
        bodies: Vec::new(),
    }
}

/// Appends an entry to the case's record, as the engine does.
pub(crate) fn entry(case: &mut Remediation, time: Millis) -> ChainEntry {
    let (entry, head) = chain::append(case.id, &case.chain, json!({"time": time}).to_string());
    case.chain = head;
    entry
}

/// A commit with `count` new entries.
pub(crate) fn with_entries(mut remediation: Remediation, count: usize) -> Commit {
    let log = (0..count).map(|_| entry(&mut remediation, 2_000)).collect();
    Commit { log, ..plain(remediation) }
}

fn loaded(store: &dyn Store, id: RemediationId) -> Remediation {
    now(store.load(id)).unwrap().unwrap()
}

fn conflict(result: Result<u64, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict { id }) => id,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub(crate) fn insert_and_load_give_the_same_back(store: &dyn Store) {
    let (id, key) = (case(1).id, case(1).key);
    assert_eq!(now(store.load(id)).unwrap(), None);
    assert_eq!(now(store.find(&key)).unwrap(), None);
    assert_eq!(now(store.commit(with_entries(case(1), 2))).unwrap(), 1);

    let mut expected = with_entries(case(1), 2).remediation;
    expected.version = 1;
    assert_eq!(loaded(store, id), expected);
    assert_eq!(now(store.find(&key)).unwrap(), Some(id));
    assert_eq!(now(store.record(id)).unwrap(), with_entries(case(1), 2).log);

    let mut next = loaded(store, id);
    next.state = State::Deferred { until: 77 };
    next.note = "until \"Monday\" \u{1F512}".into();
    assert_eq!(now(store.commit(plain(next.clone()))).unwrap(), 2);
    next.version = 2;
    assert_eq!(loaded(store, id), next);
}

pub(crate) fn a_stale_version_conflicts_and_writes_nothing(store: &dyn Store) {
    now(store.commit(plain(case(1)))).unwrap();
    let stale = loaded(store, case(1).id);
    now(store.commit(plain(stale.clone()))).unwrap();

    let mut commit = with_entries(stale.clone(), 1);
    commit.remediation.note = "lost".into();
    commit.next_at = Some(1);
    commit.bodies = vec![("digest".into(), "text".into())];
    commit.sealed = BTreeMap::from([("a".to_owned(), json!("b"))]);
    commit.outbox = vec![notice(1, "lost")];
    assert_eq!(conflict(now(store.commit(commit))), stale.id.to_string());

    let kept = loaded(store, stale.id);
    assert_eq!((kept.version, kept.note.as_str()), (2, ""));
    assert_eq!(now(store.record(stale.id)).unwrap(), []);
    assert_eq!(now(store.due(9, 9)).unwrap(), []);
    assert_eq!(now(store.body("digest")).unwrap(), None);
    assert_eq!(now(store.unseal(stale.id, "a")).unwrap(), None);
    assert_eq!(now(store.outbox(9, 9)).unwrap(), []);

    let mut unknown = case(2);
    unknown.version = 3;
    conflict(now(store.commit(plain(unknown))));
}

pub(crate) fn a_taken_key_or_id_conflicts(store: &dyn Store) {
    now(store.commit(plain(case(1)))).unwrap();
    assert_eq!(conflict(now(store.commit(plain(case(1))))), case(1).id.to_string());

    let same_key = Remediation { key: case(1).key, ..case(2) };
    assert_eq!(conflict(now(store.commit(plain(same_key)))), case(1).key.as_str());
    assert_eq!(now(store.load(case(2).id)).unwrap(), None);

    let other_key = Remediation { key: case(3).key, ..loaded(store, case(1).id) };
    conflict(now(store.commit(plain(other_key))));
    assert_eq!(now(store.find(&case(3).key)).unwrap(), None);
}

pub(crate) fn a_record_is_only_ever_continued(store: &dyn Store) {
    now(store.commit(with_entries(case(1), 2))).unwrap();
    let stored = loaded(store, case(1).id);
    let refused = |commit: Commit| assert_eq!(conflict(now(store.commit(commit))), stored.id.to_string());

    // A hole, a repeat, a wrong link, and a head that is not where the entries end.
    let mut hole = with_entries(stored.clone(), 2);
    hole.log.remove(0);
    refused(hole);
    let mut repeat = with_entries(stored.clone(), 1);
    repeat.log = with_entries(case(1), 2).log[1..].to_vec();
    refused(repeat);
    let mut link = with_entries(stored.clone(), 1);
    link.log[0].body.push(' ');
    refused(link);
    let mut head = with_entries(stored.clone(), 1);
    head.remediation.chain = stored.chain.clone();
    refused(head);

    now(store.commit(with_entries(stored.clone(), 3))).unwrap();
    let record = now(store.record(stored.id)).unwrap();
    assert_eq!(record.iter().map(|e| e.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(chain::verify(stored.id, &loaded(store, stored.id).chain, &record), Ok(()));
}

pub(crate) fn what_is_due_comes_oldest_first(store: &dyn Store) {
    for (n, next_at) in [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20)), (5, Some(10)), (6, Some(31))] {
        now(store.commit(Commit { next_at, ..plain(case(n)) })).unwrap();
    }
    let due = |at, limit| now(store.due(at, limit)).unwrap();
    let ids = |numbers: &[u32]| numbers.iter().map(|n| case(*n).id).collect::<Vec<_>>();
    assert_eq!(due(9, 10), []);
    assert_eq!(due(30, 10), ids(&[2, 5, 4, 1]));
    assert_eq!(due(30, 2), ids(&[2, 5]));

    now(store.commit(Commit { next_at: None, ..plain(loaded(store, case(2).id)) })).unwrap();
    assert_eq!(due(30, 10), ids(&[5, 4, 1]));
}

pub(crate) fn a_listing_is_filtered_and_newest_first(store: &dyn Store) {
    let mut azure = case(2);
    azure.resource.cloud = Cloud::Azure;
    let mut contained = case(3);
    contained.state = State::Contained { until: 99 };
    for case in [case(1), azure, contained] {
        now(store.commit(with_entries(case, 1))).unwrap();
    }
    let list = |filter: Filter| now(store.list(&filter)).unwrap();
    let ids = |filter| list(filter).iter().map(|s| s.id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()), [3, 2, 1]);
    assert_eq!(ids(Filter { limit: Some(2), ..Filter::default() }), [3, 2]);
    assert_eq!(ids(Filter { state: Some("open".into()), ..Filter::default() }), [2, 1]);
    assert_eq!(ids(Filter { cloud: Some(Cloud::Aws), ..Filter::default() }), [3, 1]);
    assert_eq!(ids(Filter { cloud: Some(Cloud::Gcp), ..Filter::default() }), []);

    let row = list(Filter { state: Some("contained".into()), ..Filter::default() }).remove(0);
    assert_eq!(row.state, State::Contained { until: 99 });
    assert_eq!((row.severity, row.cloud, row.account.as_str()), (Severity::High, Cloud::Aws, "111122223333"));
    assert_eq!((row.resource.as_str(), row.title.as_str(), row.fix), ("arn:aws:s3:::shop-3", "Bucket is public", None));
    assert_eq!(row.updated, 2_000, "the time of its last commit");
}

pub(crate) fn slots_are_taken_all_or_none(store: &dyn Store) {
    let cap = |name: &str, limit| Cap { name: name.into(), window: 0, limit };
    let (wide, tight) = (cap("rule:a", 5), cap("rule:a/account:1", 1));
    assert!(now(store.reserve(&[wide.clone(), tight.clone()])).unwrap());
    assert!(!now(store.reserve(&[wide.clone(), tight.clone()])).unwrap());
    assert_eq!(now(store.reserved(&wide)).unwrap(), 1, "the refused attempt must not cost the wide cap a slot");
    assert_eq!(now(store.reserved(&tight)).unwrap(), 1);

    let next_window = Cap { window: 3_600_000, ..tight };
    assert_eq!(now(store.reserved(&next_window)).unwrap(), 0);
    assert!(now(store.reserve(&[wide, next_window])).unwrap());
    assert!(!now(store.reserve(&[cap("rule:none", 0)])).unwrap());
    assert!(now(store.reserve(&[])).unwrap());
}

pub(crate) fn no_crowd_takes_more_slots_than_there_are(store: &dyn Store) {
    let caps = [Cap { name: "rule:a".into(), window: 0, limit: 50 }, Cap { name: "rule:b".into(), window: 0, limit: 13 }];
    let taken: usize = crowd(8, |_| (0..5).filter(|_| now(store.reserve(&caps)).unwrap()).count()).into_iter().sum();
    assert_eq!(taken, 13);
    assert_eq!(now(store.reserved(&caps[0])).unwrap(), 13);
    assert_eq!(now(store.reserved(&caps[1])).unwrap(), 13);
}

pub(crate) fn only_one_of_a_crowd_commits_a_version(store: &dyn Store) {
    now(store.commit(plain(case(1)))).unwrap();
    let start = loaded(store, case(1).id);
    let results = crowd(8, |worker| {
        let mut mine = with_entries(start.clone(), 1);
        mine.remediation.note = format!("worker {worker}");
        now(store.commit(mine)).map_err(|e| conflict(Err(e)))
    });
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    let winner = results.iter().position(Result::is_ok).unwrap();
    let stored = loaded(store, start.id);
    assert_eq!((stored.version, stored.note), (2, format!("worker {winner}")));
    assert_eq!(now(store.record(start.id)).unwrap().len(), 1);
}

pub(crate) fn the_outbox_keeps_the_order_of_each_remediation(store: &dyn Store) {
    let write_back = OutboxItem {
        id: Uuid::from_u128(12),
        message: OutboxMessage::WriteBack {
            source: Source::SecurityHub,
            source_ref: SourceRef { id: "finding-1".into(), product: Some("arn:product".into()), ..SourceRef::default() },
            status: WriteBack::Fixed,
            note: "fixed".into(),
        },
    };
    now(store.commit(Commit { outbox: vec![notice(11, "first"), write_back.clone()], ..plain(case(1)) })).unwrap();
    now(store.commit(Commit { outbox: vec![notice(21, "other")], ..plain(case(2)) })).unwrap();

    let outbox = |limit| now(store.outbox(5, limit)).unwrap();
    let first = (case(1).id, notice(11, "first"));
    assert_eq!(
        outbox(10),
        [first.clone(), (case(1).id, write_back.clone()), (case(2).id, notice(21, "other"))],
        "each lane has its own order"
    );
    assert_eq!(outbox(1), [first]);
    now(store.sent(Uuid::from_u128(11))).unwrap();
    now(store.sent(Uuid::from_u128(11))).unwrap();
    assert_eq!(outbox(10), [(case(1).id, write_back), (case(2).id, notice(21, "other"))]);
    now(store.sent(Uuid::from_u128(12))).unwrap();
    now(store.sent(Uuid::from_u128(21))).unwrap();
    assert_eq!(outbox(10), []);
    now(store.unsent(Uuid::from_u128(21), 1, "late word")).unwrap();
    assert_eq!(outbox(10), [], "what was sent stays sent");
}

pub(crate) fn a_message_put_off_waits_and_holds_back_the_next(store: &dyn Store) {
    now(store.commit(Commit { outbox: vec![notice(1, "first"), notice(2, "second")], ..plain(case(1)) })).unwrap();
    now(store.unsent(Uuid::from_u128(1), 100, "answered 503")).unwrap();
    assert_eq!(now(store.outbox(99, 10)).unwrap(), []);
    assert_eq!(now(store.outbox(100, 10)).unwrap(), [(case(1).id, notice(1, "first"))]);
}

pub(crate) fn a_sealed_value_comes_back_for_its_remediation_alone(store: &dyn Store) {
    let value = json!({"password": "correct horse", "n": 1});
    let sealed = BTreeMap::from([("admin.password".to_owned(), value.clone()), ("admin.empty".to_owned(), Value::Null)]);
    now(store.commit(Commit { sealed, ..plain(case(1)) })).unwrap();
    now(store.commit(plain(case(2)))).unwrap();
    assert_eq!(now(store.unseal(case(1).id, "admin.password")).unwrap(), Some(value));
    assert_eq!(now(store.unseal(case(1).id, "admin.empty")).unwrap(), Some(Value::Null));
    assert_eq!(now(store.unseal(case(1).id, "admin")).unwrap(), None);
    assert_eq!(now(store.unseal(case(2).id, "admin.password")).unwrap(), None);

    let newer = BTreeMap::from([("admin.password".to_owned(), json!("newer"))]);
    now(store.commit(Commit { sealed: newer, ..plain(loaded(store, case(1).id)) })).unwrap();
    assert_eq!(now(store.unseal(case(1).id, "admin.password")).unwrap(), Some(json!("newer")));
}

pub(crate) fn bodies_are_kept_under_their_digest(store: &dyn Store) {
    let bodies = vec![("d1".to_owned(), "{\"raw\": \u{2028}1}".to_owned())];
    now(store.commit(Commit { bodies: bodies.clone(), ..plain(case(1)) })).unwrap();
    now(store.commit(Commit { bodies, ..plain(case(2)) })).unwrap();
    assert_eq!(now(store.body("d1")).unwrap().as_deref(), Some("{\"raw\": \u{2028}1}"));
    assert_eq!(now(store.body("d2")).unwrap(), None);
}

pub(crate) fn the_kill_switch_turns(store: &dyn Store) {
    assert!(now(store.writes_allowed()).unwrap());
    now(store.allow_writes(false)).unwrap();
    assert!(!now(store.writes_allowed()).unwrap());
    now(store.allow_writes(true)).unwrap();
    assert!(now(store.writes_allowed()).unwrap());
}

pub(crate) fn a_hold_is_found_and_replaced(store: &dyn Store) {
    let resource = ResourceUid::canonical(Cloud::Aws, "arn:aws:s3:::shop");
    let hold = |reason: &str, until| Hold {
        fix: "aws-s3-block-public-access".into(),
        resource: resource.clone(),
        reason: reason.into(),
        by: "cli:alice".into(),
        until,
    };
    assert_eq!(now(store.held("aws-s3-block-public-access", &resource)).unwrap(), None);
    now(store.hold(hold("website", 10))).unwrap();
    now(store.hold(hold("website, until moved", 20))).unwrap();
    assert_eq!(now(store.held("aws-s3-block-public-access", &resource)).unwrap(), Some(hold("website, until moved", 20)));
    assert_eq!(now(store.held("another-fix", &resource)).unwrap(), None);
}

fn notice(id: u128, title: &str) -> OutboxItem {
    let notice =
        Notice { remediation: case(1).id, title: title.into(), state: "open".into(), facts: vec![("Cloud".into(), "aws".into())], at: 5 };
    OutboxItem { id: Uuid::from_u128(id), message: OutboxMessage::Notice { channel: "teams".into(), notice } }
}

/// Runs `work` on so many threads at once.
fn crowd<T: Send>(size: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..size).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}
