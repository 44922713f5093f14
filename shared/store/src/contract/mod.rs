//! What every store must do, written over the port alone, so that each implementation can be held to it: here, in other crates
//! (feature `contract`), on simulated stores and on real servers.
#![expect(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: each function's name says what must hold"
)]

mod cases;
mod crowds;
mod kept;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use serde_json::json;
use stanch_core::chain::{self, ChainEntry};
use stanch_core::finding::Millis;
use stanch_core::port::{Commit, Notice, OutboxItem, OutboxMessage, Store, StoreError};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::state::State;
use uuid::Uuid;

pub use cases::*;
pub use crowds::*;
pub use kept::*;

/// Runs the whole contract, each part as a test of its own on a fresh, empty store.
///
/// Takes the path of an `async fn() -> Option<(Keep, Store)>`. `Keep` lives as long as the store and is dropped after it (a
/// temporary folder). `None` skips the test; the function says why. Each test has a tokio runtime of its own with everything
/// enabled, which lives as long as the store.
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::store_contract! { $open:
            insert_and_load_give_the_same_back
            a_stale_version_conflicts_and_writes_nothing
            a_taken_key_or_id_conflicts
            a_record_is_only_ever_continued
            what_is_due_comes_oldest_first
            a_row_of_a_newer_format_is_left_alone_and_blocks_nothing
            a_listing_is_filtered_and_newest_first
            ends_of_records_are_paged_in_the_order_of_ids
            slots_are_taken_all_or_none
            the_outbox_keeps_the_order_of_each_lane
            a_lane_that_is_down_delays_only_itself
            a_message_is_claimed_by_one_sender_at_a_time
            a_sealed_value_comes_back_for_its_remediation_alone
            bodies_are_kept_for_their_remediation
            the_kill_switch_turns
            a_hold_is_found_and_replaced
            a_value_is_replaced_only_while_it_is_the_expected_one
            what_is_parked_again_is_counted
            pruning_keeps_what_an_unfinished_case_needs
            no_crowd_takes_more_slots_than_there_are
            only_one_of_a_crowd_commits_a_version
            only_one_of_a_crowd_inserts_a_key
            only_one_of_a_crowd_sets_a_value
            a_crowd_leaves_every_commit_whole_or_absent
        }
    };
    ($open:path: $($name:ident)*) => { $(
        #[test]
        fn $name() {
            $crate::contract::now(async {
                if let Some((_keep, store)) = $open().await {
                    $crate::contract::$name(&store).await;
                }
            });
        }
    )* };
}

/// Waits for a future, on a runtime of its own.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A remediation that was never committed; ids sort by `n`.
pub fn case(n: u32) -> Remediation {
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
pub fn plain(remediation: Remediation) -> Commit {
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
pub fn entry(case: &mut Remediation, time: Millis) -> ChainEntry {
    let (entry, head) = chain::append(case.id, &case.chain, json!({"time": time}).to_string());
    case.chain = head;
    entry
}

/// A commit with `count` new entries.
pub fn with_entries(mut remediation: Remediation, count: usize) -> Commit {
    let log = (0..count).map(|_| entry(&mut remediation, 2_000)).collect();
    Commit { log, ..plain(remediation) }
}

/// A digest as the engine makes them: hex of a SHA-256.
pub fn digest(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

async fn loaded(store: &dyn Store, id: RemediationId) -> Remediation {
    store.load(id).await.unwrap().unwrap()
}

fn conflict(result: Result<u64, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict { id }) => id,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// A notice to a channel.
fn notice_to(channel: &str, id: u128, title: &str) -> OutboxItem {
    let notice =
        Notice { remediation: case(1).id, title: title.into(), state: "open".into(), facts: vec![("Cloud".into(), "aws".into())], at: 5 };
    OutboxItem { id: Uuid::from_u128(id), message: OutboxMessage::Notice { channel: channel.into(), notice } }
}

fn notice(id: u128, title: &str) -> OutboxItem {
    notice_to("teams", id, title)
}

/// Polls so many futures in turn until all are done.
async fn crowd<T, F: Future<Output = T>>(size: usize, work: impl Fn(usize) -> F) -> Vec<T> {
    let mut running: Vec<Pin<Box<F>>> = (0..size).map(|n| Box::pin(work(n))).collect();
    let mut done: Vec<Option<T>> = (0..size).map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, future) in done.iter_mut().zip(&mut running).filter(|(slot, _)| slot.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
