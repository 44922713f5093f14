//! The workers of `stanch up`: several remediations are under way at once, so that a slow cloud holds up its own alone. Two that
//! meet on one remediation are told apart by its version.

use std::time::Duration;

use stanch_core::port::{NUDGE_FORMAT, Nudge};
use stanch_engine::Engine;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::wiring::{self, State};

/// Workers that follow messages. With the round, which takes up what is due, eight remediations are under way at once.
const WORKERS: usize = 7;
/// How many due remediations one round takes up at most: between rounds the outside is told.
const ROUND: usize = 16;
/// How often the queue and the due times are looked at when no bell rings.
const TICK: Duration = Duration::from_secs(1);
/// Remediations that were due before the process began and are handed to the workers.
const LEFT: usize = 1_000;

/// Works until `stop` says so, then ends what is under way.
pub(super) async fn keep_working(engine: Engine, state: State, stop: watch::Receiver<bool>) {
    hand_out(&state).await;
    let (mut workers, mut rounds) = (JoinSet::new(), JoinSet::new());
    let mut told = stop.clone();
    let mut tick = interval_at(Instant::now() + TICK, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A bell stands for any number of messages. Without one a worker more each second looks whether there are some.
        let wanted = tokio::select! {
            _ = told.wait_for(|stop| *stop) => break,
            () = state.bell.notified() => WORKERS,
            _ = tick.tick() => {
                if rounds.is_empty() {
                    rounds.spawn(round(engine.clone(), stop.clone()));
                }
                workers.len() + 1
            }
            Some(ended) = workers.join_next() => {
                tell(ended);
                continue;
            }
            Some(ended) = rounds.join_next() => {
                tell(ended);
                continue;
            }
        };
        while workers.len() < wanted.min(WORKERS) {
            workers.spawn(work(engine.clone(), stop.clone()));
        }
    }
    // A write that is cut off has an unknown outcome.
    while let Some(ended) = workers.join_next().await {
        tell(ended);
    }
    while let Some(ended) = rounds.join_next().await {
        tell(ended);
    }
}

/// What an earlier process left is in no queue of this one's memory.
async fn hand_out(state: &State) {
    let due = state.store.due(wiring::now(), LEFT).await.unwrap_or_default();
    for id in due {
        let nudge = Nudge { format: NUDGE_FORMAT, id, version: u64::MAX, correlation: None };
        if let Err(error) = state.queue.send(&nudge, 0).await {
            tracing::warn!(%error, "nudge lost; what is due is found by its time");
        }
    }
}

/// Follows messages one by one until there is none.
async fn work(engine: Engine, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match engine.work(1).await {
            Ok(worked) if worked.taken() > 0 => {}
            Ok(_) => return,
            Err(error) => return tracing::error!(%error, "queue not read; what is due is found without it"),
        }
    }
}

/// Does what needs no message. A full round leaves more behind it.
async fn round(engine: Engine, stop: watch::Receiver<bool>) {
    while engine.reconcile(ROUND).await.ran == ROUND && !*stop.borrow() {}
}

/// A panic is a fault of ours; it costs what its worker had in hand, which is due again.
fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "worker failed inside stanch; please report it");
    }
}
