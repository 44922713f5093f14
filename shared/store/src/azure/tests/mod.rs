//! The contract on Azurite, and what only this store can show. Azurite is named by `STANCH_AZURITE`, the address of its blob
//! service; queue and table are on the next two ports.

mod crash;
mod messages;
mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use stanch_core::chain;
use stanch_core::finding::Millis;
use stanch_core::port::{Cap, Commit, Filter, Nudge, Parked, ParkedKind, Store, StoreError, Vault, WorkQueue};
use stanch_core::remediation::Remediation;

use crate::contract::{case, plain, with_entries};

use super::{Account, AzureQueue, AzureStore, AzureVault, Clock, Names, TokenSource};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

mod contract_on_azurite {
    async fn open() -> Option<((), super::AzureStore)> {
        let account = super::Account::loopback(&super::azurite()?).unwrap();
        let store = super::AzureStore::open(account, super::names(), Some(super::KEY), super::clock(0)).await.unwrap();
        Some(((), store))
    }
    crate::store_contract!(open);
}

mod queue_contract_on_azurite {
    async fn open() -> Option<((), super::AzureQueue, impl AsyncFn(u64))> {
        let account = super::Account::loopback(&super::azurite()?).unwrap();
        let queue = super::AzureQueue::open(account, &super::names().container, super::clock(0)).await.unwrap();
        // A real queue has a real clock.
        Some(((), queue, async |ms: u64| tokio::time::sleep(std::time::Duration::from_millis(ms)).await))
    }
    crate::queue_contract!(open);
}

/// Waits for a future. One runtime for all: connections that are kept open belong to the runtime they were opened on.
fn now<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()).block_on(future)
}

/// The address of Azurite, or `None` when the environment names none.
fn azurite() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let (url, ci) = (std::env::var("STANCH_AZURITE").ok(), std::env::var("CI").is_ok());
    if url.is_none() {
        assert!(!ci, "STANCH_AZURITE is not set, and CI runs this test");
        println!("skipped: STANCH_AZURITE is not set");
    }
    url
}

/// The real time, and so much later.
fn clock(later: Millis) -> Clock {
    #[expect(clippy::disallowed_methods, reason = "signatures carry the real time")]
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    Arc::new(move || now() as Millis + later)
}

/// Names that no other test and no earlier run has used.
fn names() -> Names {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}x{}x{}", clock(0)(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Names { table: name.clone(), container: name }
}

fn open(account: Account, names: &Names, clock: Clock) -> AzureStore {
    now(AzureStore::open(account, names.clone(), Some(KEY), clock)).unwrap()
}

fn fresh() -> Option<AzureStore> {
    Some(open(Account::loopback(&azurite()?).unwrap(), &names(), clock(0)))
}

#[test]
fn a_record_longer_than_a_page_reads_back_whole() {
    let Some(store) = fresh() else { return };
    now(store.commit(with_entries(case(1), 150))).unwrap();
    for _ in 0..5 {
        let stored = now(store.load(case(1).id)).unwrap().unwrap();
        now(store.commit(with_entries(stored, 30))).unwrap();
    }
    let record = now(store.record(case(1).id)).unwrap();
    assert_eq!(record.len(), 300);
    let head = now(store.load(case(1).id)).unwrap().unwrap().chain;
    assert_eq!(chain::verify(case(1).id, &head, &record), Ok(()));
    assert_eq!(now(store.heads(None, 9)).unwrap()[0].chain, head);
}

#[test]
fn every_page_of_a_query_is_read() {
    let Some(store) = fresh() else { return };
    let rows = 2_345;
    for rows in (0..rows).collect::<Vec<u32>>().chunks(100) {
        let op = |n: &u32| super::table::Op::Insert(super::entity::Entity::new("many", &format!("{n:05}")));
        now(store.table().transaction(&rows.iter().map(op).collect::<Vec<_>>())).unwrap();
    }
    let all = now(store.table().all("PartitionKey eq 'many'", &["PartitionKey", "RowKey"])).unwrap();
    let expected: Vec<String> = (0..rows).map(|n| format!("{n:05}")).collect();
    assert_eq!(all.iter().map(|row| row.row().to_owned()).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_too_large_for_a_row_is_kept_whole() {
    let Some(store) = fresh() else { return };
    let large = "\u{1F512} \"quoted\" \u{2028}".repeat(200_000);
    assert!(large.len() > 3_000_000);
    let mut noted = case(1);
    noted.note.clone_from(&large);
    let bodies = vec![("large".to_owned(), large.clone()), ("middle".to_owned(), "x".repeat(150_000))];
    let sealed = [("secret".to_owned(), json!(large))].into();
    now(store.commit(Commit { bodies, sealed, ..with_entries(noted, 2) })).unwrap();

    assert_eq!(now(store.body(case(1).id, "large")).unwrap().as_ref(), Some(&large));
    assert_eq!(now(store.body(case(1).id, "middle")).unwrap().map(|text| text.len()), Some(150_000));
    assert_eq!(now(store.load(case(1).id)).unwrap().unwrap().note, large);
    assert_eq!(now(store.unseal(case(1).id, "secret")).unwrap(), Some(json!(large)));
    now(store.park(Parked::new(ParkedKind::Event, "defender-alert", "no", large.clone(), 5))).unwrap();
    assert_eq!(now(store.parked(9)).unwrap()[0].body, large);
}

/// The store of that name, for a process that takes part in a test.
pub(crate) async fn open_named(name: &str) -> AzureStore {
    let account = Account::loopback(&azurite().unwrap()).unwrap();
    AzureStore::open(account, Names { table: name.into(), container: name.into() }, Some(KEY), clock(0)).await.unwrap()
}

#[test]
fn eight_processes_take_exactly_the_slots_there_are() {
    if azurite().is_some() {
        crate::tests::processes::eight_processes_share_one_cap(&format!("azurite {}", names().table));
    }
}

#[test]
fn eight_workers_open_one_remediation_for_one_key() {
    let (Some(url), names) = (azurite(), names()) else { return };
    let opened: usize = std::thread::scope(|scope| {
        let worker = |n: u32| {
            let (url, names) = (&url, &names);
            scope.spawn(move || {
                let store = open(Account::loopback(url).unwrap(), names, clock(0));
                let mine = Remediation { key: case(1).key, ..case(n) };
                usize::from(now(store.commit(Commit { next_at: Some(5), ..plain(mine) })).is_ok())
            })
        };
        let workers: Vec<_> = (1..=8).map(worker).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(opened, 1);
    let store = open(Account::loopback(&url).unwrap(), &names, clock(0));
    let listed = now(store.list(&Filter::default())).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(now(store.find(&case(1).key)).unwrap(), Some(listed[0].id));
    assert_eq!(now(store.due(9, 9)).unwrap(), [listed[0].id]);
}

#[test]
fn pruning_takes_what_is_used_up_and_leaves_the_rest() {
    let Some(store) = fresh() else { return };
    let large = "x".repeat(500_000);
    let with_body = |n: u32, state, digest: &str, text: &str| {
        let case = Remediation { state, raw_digest: digest.to_owned(), ..case(n) };
        Commit { bodies: vec![(digest.to_owned(), text.to_owned())], ..plain(case) }
    };
    let resolved = stanch_core::state::State::Resolved { how: stanch_core::state::Resolution::Fixed };
    now(store.commit(with_body(1, resolved, "old", &large))).unwrap();
    now(store.commit(with_body(2, stanch_core::state::State::Open, "needed", &large))).unwrap();
    now(store.commit(Commit { at: 9_000, ..with_body(3, resolved, "young", "y") })).unwrap();
    now(store.reserve(&[Cap { name: "rule:a".into(), window: 1_000, limit: 5 }])).unwrap();
    now(store.reserve(&[Cap { name: "rule:a".into(), window: 9_000, limit: 5 }])).unwrap();

    assert_eq!(now(store.prune(5_000)).unwrap(), 2, "one body, one window");
    let body = |n, digest| now(store.body(case(n).id, digest)).unwrap().map(|text| text.len());
    assert_eq!((body(1, "old"), body(2, "needed"), body(3, "young")), (None, Some(500_000), Some(1)));
    assert_eq!(now(store.prune(5_000)).unwrap(), 0);
    assert_eq!(now(store.container().list("bodies/")).unwrap().len(), 1, "the blob went with its row");
}

#[test]
fn a_body_that_an_earlier_stanch_shared_is_read_and_stays_while_a_case_needs_it() {
    let Some(store) = fresh() else { return };
    let shared = super::entity::Entity::new(&super::names::shared_body("event"), super::names::ONLY);
    now(store.table().put(&shared.text("digest", "event").int("at", 2_000).long("b", "text"))).unwrap();
    now(store.commit(plain(Remediation { raw_digest: "event".into(), ..case(1) }))).unwrap();
    let body = || now(store.body(case(1).id, "event")).unwrap();
    assert_eq!((now(store.prune(5_000)).unwrap(), body().as_deref()), (0, Some("text")));
    let failed = Remediation { state: stanch_core::state::State::Failed, ..now(store.load(case(1).id)).unwrap().unwrap() };
    now(store.commit(plain(failed))).unwrap();
    assert_eq!((now(store.prune(5_000)).unwrap(), body()), (1, None));
}

#[test]
fn pruning_removes_large_texts_that_were_written_anew() {
    let Some(store) = fresh() else { return };
    let noted = |note: &str, case: Remediation| plain(Remediation { note: note.repeat(300_000), ..case });
    now(store.commit(noted("a", case(1)))).unwrap();
    let stored = now(store.load(case(1).id)).unwrap().unwrap();
    now(store.commit(noted("b", stored))).unwrap();
    assert_eq!(now(store.container().list("r-")).unwrap().len(), 2);
    assert_eq!(now(store.prune(clock(3_600_000)())).unwrap(), 1);
    assert!(now(store.load(case(1).id)).unwrap().unwrap().note.starts_with('b'));
}

#[test]
fn a_record_that_was_cut_or_went_on_is_not_called_a_conflict() {
    let Some(store) = fresh() else { return };
    let told = |commit| match now(store.commit(commit)) {
        Err(StoreError::Unreadable { what, .. }) => assert!(what.starts_with("record of remediation"), "{what}"),
        other => panic!("expected an unreadable record, got {other:?}"),
    };
    for n in [1, 2] {
        now(store.commit(with_entries(case(n), 3))).unwrap();
    }
    let partition = super::names::case(case(1).id);
    assert!(now(store.table().delete(&partition, &super::names::log(3), "*")).unwrap());
    told(with_entries(now(store.load(case(1).id)).unwrap().unwrap(), 1));

    let more = super::entity::Entity::new(&super::names::case(case(2).id), &super::names::log(4)).text("hash", "forged").long("b", "[]");
    assert!(now(store.table().insert(more)).unwrap());
    told(with_entries(now(store.load(case(2).id)).unwrap().unwrap(), 1));
}

#[test]
fn a_switch_that_cannot_be_read_means_no() {
    let Some(store) = fresh() else { return };
    let odd = super::entity::Entity::new(super::names::SETTING, super::names::WRITES).text("value", "maybe");
    now(store.table().put(&odd)).unwrap();
    assert!(now(store.writes_allowed()).unwrap_err().to_string().contains("`maybe`"));

    let nowhere = Names { table: "gone".into(), ..names() };
    let elsewhere = super::table::Table { client: &store.client, name: &nowhere.table };
    assert!(now(elsewhere.get("setting", "writes", &[])).is_err(), "a missing table is not a missing row");
}

#[test]
fn without_a_key_nothing_is_sealed() {
    let Some(url) = azurite() else { return };
    let store = now(AzureStore::open(Account::loopback(&url).unwrap(), names(), None, clock(0))).unwrap();
    let sealed = [("a".to_owned(), json!("secret"))].into();
    let told = now(store.commit(Commit { sealed, ..plain(case(1)) })).unwrap_err().to_string();
    assert!(told.contains("STANCH_SEAL_KEY is not set"), "{told}");
    assert_eq!(now(store.load(case(1).id)).unwrap(), None);
    now(store.commit(plain(case(2)))).unwrap();
}

#[test]
fn a_shared_key_is_for_this_machine_alone() {
    for address in [
        "https://shop.blob.core.windows.net",
        "http://10.0.0.1:10000",
        "http://127.0.0.1.example.com:10000",
        "http://user@127.0.0.1:10000",
        "https://127.0.0.1:10000",
        "http://127.0.0.1",
        "http://127.0.0.1:65534",
    ] {
        assert!(Account::loopback(address).unwrap_err().to_string().contains(address), "{address}");
    }
    struct Nobody;
    impl TokenSource for Nobody {
        fn token(&self) -> stanch_core::port::BoxFuture<'_, Result<String, String>> {
            Box::pin(async { Err("not signed in".to_owned()) })
        }
    }
    let cloud = |name: &str| Account::cloud(name, Arc::new(Nobody));
    for wrong in ["", "ab", "Shop", "shop/x", "shop.example.com", "shop.blob.core.windows.net", "127.0.0.1:1"] {
        assert!(cloud(wrong).is_err(), "{wrong}");
    }
    let china = cloud("shopstate.core.chinacloudapi.cn").unwrap();
    assert_eq!(china.table.as_str(), "https://shopstate.table.core.chinacloudapi.cn/");
    // Without a token nothing is sent.
    let told = now(AzureStore::open(cloud("shopstate").unwrap(), Names::default(), None, clock(0))).unwrap_err().to_string();
    assert!(told.contains("no token for storage account `shopstate`: not signed in"), "{told}");
}

#[test]
fn a_checkpoint_is_written_once() {
    let Some(url) = azurite() else { return };
    let vault = now(AzureVault::open(Account::loopback(&url).unwrap(), &names().container, clock(0))).unwrap();
    assert_eq!(now(vault.get("2026-01-01T00:00:00Z.json")).unwrap(), None);
    assert!(now(vault.put("2026-01-01T00:00:00Z.json", "{\"root\": 1}")).unwrap());
    assert!(!now(vault.put("2026-01-01T00:00:00Z.json", "{\"root\": 2}")).unwrap());
    assert!(now(vault.put("2025-12-31T00:00:00Z.json", "{}")).unwrap());
    assert_eq!(now(vault.get("2026-01-01T00:00:00Z.json")).unwrap().as_deref(), Some("{\"root\": 1}"));
    assert_eq!(now(vault.names()).unwrap(), ["2025-12-31T00:00:00Z.json", "2026-01-01T00:00:00Z.json"]);
}

#[test]
fn a_message_is_hidden_delivered_again_and_completed_by_its_receipt() {
    let Some(url) = azurite() else { return };
    let queue = now(AzureQueue::open(Account::loopback(&url).unwrap(), &names().container, clock(0))).unwrap();
    let nudge = |version| Nudge { format: 2, id: case(1).id, version, correlation: Some(case(2).id.0) };
    let receive = |limit, hide| now(queue.receive(limit, hide)).unwrap();
    let soon = |hide| {
        let start = Instant::now();
        loop {
            let got = receive(9, hide);
            if !got.is_empty() {
                return got;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "nothing was delivered again");
        }
    };
    now(queue.send(&nudge(1), 0)).unwrap();
    let first = receive(9, 500).remove(0);
    assert_eq!(serde_json::from_str::<Nudge>(&first.body).unwrap(), nudge(1));
    assert_eq!(first.deliveries, 1);
    assert_eq!(receive(9, 500), [], "hidden");
    let second = soon(60_000).remove(0);
    assert_eq!((second.deliveries, &second.body), (2, &first.body));

    now(queue.complete(&first.receipt)).unwrap();
    now(queue.complete(&second.receipt)).unwrap();
    now(queue.complete(&second.receipt)).unwrap();
    assert!(now(queue.complete("nonsense")).is_err());

    // Later than asked for is not possible beyond a week; sooner than asked for never happens below it.
    now(queue.send(&nudge(2), 900)).unwrap();
    now(queue.send(&nudge(3), 30 * 24 * 3_600_000)).unwrap();
    assert_eq!(receive(9, 1), []);
    assert_eq!(soon(60_000).len(), 1);

    for version in 0..40 {
        now(queue.send(&nudge(version), 0)).unwrap();
    }
    assert_eq!(receive(35, 60_000).len(), 35);
    assert_eq!(receive(35, 60_000).len(), 5);
}
