//! What every work queue must do, written over the port alone.
#![expect(missing_docs, clippy::unwrap_used, reason = "a test suite: each function's name says what must hold")]

use std::collections::BTreeSet;

use stanch_core::port::{NUDGE_FORMAT, Nudge, Received, WorkQueue};
use stanch_core::remediation::RemediationId;
use uuid::Uuid;

/// How long a message is hidden in these tests, milliseconds: a whole second, the smallest step of real queues.
pub const HIDE: u64 = 2_000;

/// Runs the whole contract, each part as a test of its own on a fresh, empty queue.
///
/// Takes the path of an `async fn() -> Option<(Keep, Queue, Turn)>`. `Turn` is an `AsyncFn(u64)` that lets so many milliseconds
/// pass, on the queue's clock or in truth. `None` skips the test; the function says why.
#[macro_export]
macro_rules! queue_contract {
    ($open:path) => {
        $crate::queue_contract! { $open:
            what_is_sent_is_delivered_as_it_was
            what_is_held_is_hidden_and_comes_again_unless_completed
            a_stale_receipt_removes_nothing
            a_delay_is_waited_for
            no_more_is_taken_than_was_asked_for
        }
    };
    ($open:path: $($name:ident)*) => { $(
        #[test]
        fn $name() {
            $crate::contract::now(async {
                if let Some((_keep, queue, turn)) = $open().await {
                    $crate::queue_contract::$name(&queue, turn).await;
                }
            });
        }
    )* };
}

fn nudge(n: u128) -> Nudge {
    Nudge { format: NUDGE_FORMAT, id: RemediationId(Uuid::from_u128(n)), version: 3, correlation: Some(Uuid::from_u128(77)) }
}

fn read(message: &Received) -> Nudge {
    serde_json::from_str(&message.body).unwrap()
}

pub async fn what_is_sent_is_delivered_as_it_was(queue: &dyn WorkQueue, _: impl AsyncFn(u64)) {
    assert_eq!(queue.receive(9, HIDE).await.unwrap(), []);
    let sent: Vec<Nudge> = vec![nudge(1), Nudge { correlation: None, ..nudge(2) }];
    for nudge in &sent {
        queue.send(nudge, 0).await.unwrap();
    }
    let mut received = queue.receive(9, HIDE).await.unwrap();
    received.sort_by_key(|message| read(message).id);
    assert_eq!(received.iter().map(read).collect::<Vec<_>>(), sent);
    assert!(received.iter().all(|message| message.deliveries == 1 && !message.body.contains('\n')));
}

pub async fn what_is_held_is_hidden_and_comes_again_unless_completed(queue: &dyn WorkQueue, turn: impl AsyncFn(u64)) {
    queue.send(&nudge(1), 0).await.unwrap();
    queue.send(&nudge(2), 0).await.unwrap();
    let held = queue.receive(9, HIDE).await.unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(queue.receive(9, HIDE).await.unwrap(), [], "hidden from others");
    for message in held.iter().filter(|message| read(message).id == nudge(2).id) {
        queue.complete(&message.receipt).await.unwrap();
    }
    for deliveries in 2..=3 {
        turn(HIDE + 1_000).await;
        let again = queue.receive(9, HIDE).await.unwrap();
        assert_eq!(again.iter().map(|m| (read(m).id, m.deliveries)).collect::<Vec<_>>(), [(nudge(1).id, deliveries)]);
    }
}

pub async fn a_stale_receipt_removes_nothing(queue: &dyn WorkQueue, turn: impl AsyncFn(u64)) {
    queue.send(&nudge(1), 0).await.unwrap();
    let first = queue.receive(1, HIDE).await.unwrap().remove(0);
    turn(HIDE + 1_000).await;
    let second = queue.receive(1, HIDE).await.unwrap().remove(0);
    assert_ne!(first.receipt, second.receipt);
    // Too late: it belongs to somebody else by now. That is no error.
    queue.complete(&first.receipt).await.unwrap();
    turn(HIDE + 1_000).await;
    let third = queue.receive(1, HIDE).await.unwrap().remove(0);
    queue.complete(&third.receipt).await.unwrap();
    queue.complete(&third.receipt).await.unwrap();
    turn(HIDE + 1_000).await;
    assert_eq!(queue.receive(9, HIDE).await.unwrap(), []);
}

pub async fn a_delay_is_waited_for(queue: &dyn WorkQueue, turn: impl AsyncFn(u64)) {
    queue.send(&nudge(1), 4_000).await.unwrap();
    queue.send(&nudge(2), 0).await.unwrap();
    let first = queue.receive(9, 60_000).await.unwrap();
    assert_eq!(first.iter().map(|m| read(m).id).collect::<Vec<_>>(), [nudge(2).id]);
    turn(5_000).await;
    let later = queue.receive(9, 60_000).await.unwrap();
    assert_eq!(later.iter().map(|m| read(m).id).collect::<Vec<_>>(), [nudge(1).id]);
}

pub async fn no_more_is_taken_than_was_asked_for(queue: &dyn WorkQueue, _: impl AsyncFn(u64)) {
    for n in 1..=5 {
        queue.send(&nudge(n), 0).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let taken = queue.receive(2, 60_000).await.unwrap();
        assert!(taken.len() <= 2);
        for message in taken {
            assert!(seen.insert(read(&message).id), "held ones do not come again");
        }
    }
    assert_eq!(seen.len(), 5);
}
