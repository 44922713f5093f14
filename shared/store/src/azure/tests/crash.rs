//! The process dies, or an answer is lost, at every write of a commit, one after the other.

use stanch_core::chain;
use stanch_core::port::{Commit, Filter, OutboxItem, OutboxMessage, Store, StoreError, WriteBack};
use stanch_core::remediation::Remediation;

use super::super::Account;
use super::proxy::{Fault, Proxy};
use super::{azurite, case, clock, names, now, open, with_entries};

const DAY: i64 = 24 * 3_600_000;

/// A commit that has everything: record, message, due time, sealed value, a small body and a large one, and is itself too
/// large for a row.
fn full(remediation: Remediation, note: &str) -> Commit {
    let message = OutboxMessage::WriteBack {
        source: stanch_core::finding::Source::SecurityHub,
        source_ref: stanch_core::finding::SourceRef { id: "finding-1".into(), ..Default::default() },
        status: WriteBack::Fixed,
        note: note.into(),
    };
    let id = uuid::Uuid::from_u128(remediation.id.0.as_u128() << 8 | u128::from(remediation.version));
    let remediation = Remediation { note: note.repeat(250_000), ..remediation };
    Commit {
        outbox: vec![OutboxItem { id, message }],
        next_at: Some(3_000),
        sealed: [("a".to_owned(), serde_json::json!(note))].into(),
        bodies: vec![("small".into(), "s".into()), ("large".into(), "l".repeat(400_000))],
        ..with_entries(remediation, 2)
    }
}

/// All of the commit is there, or nothing of it counts.
fn all_or_nothing(store: &dyn Store, commit: &Commit) -> bool {
    let id = commit.remediation.id;
    let stands = now(store.load(id)).unwrap();
    let before = commit.expected_version;
    let landed = stands.as_ref().map_or(0, |found| found.version) == before + 1;
    let times = before + u64::from(landed);
    assert_eq!(stands.as_ref().map_or(0, |found| found.version), times);
    assert_eq!(now(store.due(9_000, 9)).unwrap(), if times > 0 { vec![id] } else { vec![] });
    assert_eq!(now(store.record(id)).unwrap().len() as u64, 2 * times);
    let notes: Vec<_> = now(store.outbox(9_000, 9)).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(notes, if times > 0 { vec![id] } else { vec![] });
    assert_eq!(now(store.unseal(id, "a")).unwrap().is_some(), times > 0);
    if let Some(found) = stands {
        assert_eq!(chain::verify(id, &found.chain, &now(store.record(id)).unwrap()), Ok(()));
        assert_eq!(now(store.unseal(id, "a")).unwrap(), Some(found.note.chars().take(1).collect::<String>().into()));
        assert_eq!(now(store.body(id, "large")).unwrap().map(|text| text.len()), Some(400_000));
    }
    landed
}

/// Runs `check` for a death before, and after, each write of `commit`.
fn each_death(commit: impl Fn(&dyn Store) -> Commit, check: impl Fn(&str, &super::super::Names, &Commit, bool)) {
    let Some(url) = azurite() else { return };
    let account = Account::loopback(&url).unwrap();
    let mut landed = Vec::new();
    for n in 0.. {
        let mut reached = false;
        for fault in [Fault::DiesBefore(n), Fault::DiesAfter(n)] {
            let (names, proxy) = (names(), Proxy::before(&account));
            let store = open(proxy.account.clone(), &names, clock(0));
            let commit = commit(&store);
            proxy.set(fault);
            let told = now(store.commit(commit.clone()));
            reached = proxy.writes() > n;
            assert_eq!(told.is_ok(), !reached, "{fault:?}: {told:?}");
            assert!(!matches!(told, Err(StoreError::Conflict { .. })), "{fault:?}: nobody else was there");
            let witness = open(account.clone(), &names, clock(0));
            let there = all_or_nothing(&witness, &commit);
            landed.push(there);
            check(&url, &names, &commit, there);
        }
        if !reached {
            assert!(n >= 6, "a full commit has more writes than {n}");
            break;
        }
    }
    // Nothing counts until the last write, and then everything does.
    let first = landed.iter().position(|there| *there).unwrap();
    assert!(first % 2 == 1 && landed[first..].iter().all(|there| *there), "{landed:?}");
}

#[test]
fn a_death_while_opening_leaves_the_fault_open_for_the_next() {
    each_death(
        |_| full(case(1), "a"),
        |url, names, commit, there| {
            // The next worker knows nothing of the first; it comes after the first one's claim has grown old.
            let store = open(Account::loopback(url).unwrap(), names, clock(60_000));
            let again = full(Remediation { key: case(1).key, ..case(2) }, "b");
            let told = now(store.commit(again));
            let owner = if there { case(1).id } else { case(2).id };
            assert_eq!(told.is_ok(), !there);
            assert_eq!(now(store.find(&case(1).key)).unwrap(), Some(owner));
            assert_eq!(now(store.due(9_000, 9)).unwrap(), [owner]);
            assert_eq!(now(store.list(&Filter::default())).unwrap().len(), 1);
            assert_eq!(now(store.heads(None, 9)).unwrap().len(), 1);
            if !there {
                // The first was not dead but slow: its key is another's by now.
                let late = now(store.commit(commit.clone()));
                assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
                assert_eq!(now(store.load(case(1).id)).unwrap(), None);
            }
        },
    );
}

#[test]
fn a_death_while_moving_leaves_it_as_before_or_after() {
    each_death(
        |store| {
            now(store.commit(full(case(1), "a"))).unwrap();
            full(now(store.load(case(1).id)).unwrap().unwrap(), "b")
        },
        |url, names, commit, there| {
            let store = open(Account::loopback(url).unwrap(), names, clock(0));
            let told = now(store.commit(commit.clone()));
            assert_eq!(told.is_ok(), !there, "{told:?}");
            assert_eq!(now(store.load(case(1).id)).unwrap().unwrap().version, 2);
            // What the dead one announced is gone for good once it means nothing.
            assert_eq!(now(store.due(9_000, 9)).unwrap(), [case(1).id]);
            let rows = now(store.table().all("PartitionKey eq 'due'", &["RowKey"])).unwrap();
            assert_eq!(rows.len(), 1);
        },
    );
}

#[test]
fn a_lost_answer_is_not_taken_for_somebody_else() {
    let Some(url) = azurite() else { return };
    let account = Account::loopback(&url).unwrap();
    for n in 0.. {
        let (names, proxy) = (names(), Proxy::before(&account));
        let store = open(proxy.account.clone(), &names, clock(0));
        proxy.set(Fault::LosesAnswer(n));
        assert_eq!(now(store.commit(full(case(1), "a"))).unwrap(), 1, "write {n} of an insert");
        let stored = now(store.load(case(1).id)).unwrap().unwrap();
        let opening = proxy.writes() > n;
        proxy.set(Fault::LosesAnswer(n));
        assert_eq!(now(store.commit(full(stored, "b"))).unwrap(), 2, "write {n} of a move");
        let moving = proxy.writes() > n;
        assert_eq!(now(store.record(case(1).id)).unwrap().len(), 4);
        if !opening && !moving {
            return;
        }
    }
}

#[test]
fn a_lost_answer_of_a_swap_of_a_slot_and_of_what_is_parked() {
    let Some(url) = azurite() else { return };
    let proxy = Proxy::before(&Account::loopback(&url).unwrap());
    let store = open(proxy.account.clone(), &names(), clock(0));
    for (expected, new) in [(None, Some("1")), (Some("1"), Some("2")), (Some("2"), None)] {
        proxy.set(Fault::LosesAnswer(0));
        assert!(now(store.set_value("cursor", expected, new)).unwrap(), "{expected:?} to {new:?}");
    }
    let cap = stanch_core::port::Cap { name: "rule:a".into(), window: 0, limit: 2 };
    proxy.set(Fault::LosesAnswer(0));
    assert!(now(store.reserve(std::slice::from_ref(&cap))).unwrap());
    assert_eq!(now(store.reserved(&cap)).unwrap(), 2, "a slot is wasted rather than taken twice");
    assert!(!now(store.reserve(&[cap])).unwrap());

    let parked = stanch_core::port::Parked::new(stanch_core::port::ParkedKind::Message, "remediations", "no", "{}", 5);
    now(store.park(parked.clone())).unwrap();
    proxy.set(Fault::LosesAnswer(0));
    assert!(now(store.unpark(&parked.id)).unwrap(), "whoever took it out must be told so, or it is lost");
}

#[test]
fn a_commit_that_slept_too_long_is_given_up() {
    let Some(url) = azurite() else { return };
    let start = clock(0);
    let asked = std::sync::atomic::AtomicI64::new(0);
    // Each look at the clock is 40 seconds later than the one before, so that a commit seems to take for ever.
    let slow = std::sync::Arc::new(move || start() + 40_000 * asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let store = open(Account::loopback(&url).unwrap(), &names(), slow);
    let told = now(store.commit(full(case(1), "a"))).unwrap_err().to_string();
    assert!(told.contains("took too long"), "{told}");
    assert_eq!(now(store.load(case(1).id)).unwrap(), None);
}

#[test]
fn what_was_announced_and_never_came_is_forgotten_after_a_day() {
    let Some(url) = azurite() else { return };
    let account = Account::loopback(&url).unwrap();
    let (names, proxy) = (names(), Proxy::before(&account));
    let store = open(proxy.account.clone(), &names, clock(0));
    let writes = {
        let other = Proxy::before(&account);
        let probe = open(other.account.clone(), &super::names(), clock(0));
        other.set(Fault::None);
        now(probe.commit(full(case(1), "a"))).unwrap();
        other.writes()
    };
    proxy.set(Fault::DiesBefore(writes - 1));
    now(store.commit(full(case(1), "a"))).unwrap_err();
    let witness = open(account, &names, clock(0));
    let rows = |partition: &str| now(witness.table().all(&format!("PartitionKey eq '{partition}'"), &["RowKey"])).unwrap().len();
    assert_eq!((now(witness.due(9_000, 9)).unwrap(), rows("due"), rows("outbox")), (vec![], 1, 1), "it may still come");
    now(witness.outbox(9_000, 9)).unwrap();
    assert_eq!((now(witness.due(2 * DAY, 9)).unwrap(), now(witness.outbox(2 * DAY, 9)).unwrap()), (vec![], vec![]));
    assert_eq!((rows("due"), rows("outbox")), (0, 0));
}
