//! `kill -9` at random moments while events come in and writes go out.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::account::{self, Figures};
use crate::chance::Chance;
use crate::kinds::{self, Event};
use crate::program::{Ground, Place, Posted, Running, State};
use crate::proxy::{Proxy, Weather};
use crate::resources::Cloudy;

/// Kills when nobody says how many: enough to meet each kind of unknown outcome, short enough for every test run.
const FEW: usize = 12;

/// How long the last process may take until all is at rest: leases (35 s) and settle times (2 minutes) of what the last kill left
/// open, and the work that has piled up.
const REST: Duration = Duration::from_mins(12);

/// Events that may be under way; more are not made, so that kills fall into work and not into a queue. Most of them wait for the
/// lease of a write whose answer was lost.
const WAITING: usize = 40;

fn kills() -> usize {
    crate::setting("STANCH_KILLS").map_or(FEW, |text| text.parse().unwrap_or_else(|_| panic!("STANCH_KILLS is `{text}`, not a number")))
}

fn seed() -> u64 {
    let number = |text: String| text.parse().unwrap_or_else(|_| panic!("STANCH_KILLS_SEED is `{text}`, not a number"));
    crate::setting("STANCH_KILLS_SEED").map_or_else(|| crate::now() as u64, number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_with_its_data_folder_it_loses_nothing_and_does_nothing_twice() {
    let Some(moto) = crate::server("STANCH_MOTO") else { return };
    let total = kills();
    // Where there is Azurite it takes its half.
    let share = if crate::setting("STANCH_AZURITE").is_some() { total - total / 2 } else { total };
    run(Place::Folder, &moto, share, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_with_its_state_in_azure_it_loses_nothing_and_does_nothing_twice() {
    let (Some(moto), Some(azurite)) = (crate::server("STANCH_MOTO"), crate::server("STANCH_AZURITE")) else { return };
    run(Place::Azurite(azurite), &moto, kills() / 2, seed() ^ 4).await;
}

/// Runs a load under kills and holds the account against the store's.
async fn run(place: Place, moto: &str, kills: usize, seed: u64) {
    println!("{place:?}: {kills} kills, STANCH_KILLS_SEED={seed}");
    let begun = Instant::now();
    let cloud = crate::cloud(moto);
    let mut chance = Chance::new(seed);
    let proxy = Proxy::start(moto, Chance::new(seed ^ 1)).await;
    let mut ground = Ground::new(place, &proxy.url, &crate::rules());
    let state = ground.state().await;
    let mut load = Load { cloud: &cloud, proxy: &proxy, chance: Chance::new(seed ^ 2), unsent: VecDeque::new(), accepted: 0, made: 0 };

    proxy.turn(Weather::Storm);
    let mut open_at_kill = 0;
    for _ in 0..kills {
        load.make_some().await;
        let mut process = ground.start();
        if !chance.one_in(4) {
            // The other quarter is killed while it starts, or soon after.
            process.ready().await;
        }
        let life = chance.ms(200, 1_500);
        // What is cut off here counts as never answered, and is sent again.
        drop(tokio::time::timeout(life, load.send(&process, &state)).await);
        process.kill();
        open_at_kill += proxy.died();
    }

    proxy.turn(Weather::Calm);
    let mut last = ground.start();
    assert!(last.ready().await, "the last process ended: {}", ground.log());
    load.send_all(&last).await;
    account::rest(&ground, &proxy, &mut last, REST).await;
    let (accepted, made) = (load.accepted, load.made);
    assert_eq!(accepted, made, "every event was accepted in the end");
    last.kill();
    let figures = Figures { kills, open_at_kill, seconds: begun.elapsed().as_secs() };
    account::hold(&cloud, &proxy, &mut ground, figures).await;
}

/// What is sent, by a sender that does not give up.
struct Load<'a> {
    cloud: &'a Cloudy,
    proxy: &'a Proxy,
    chance: Chance,
    /// Events without a 202 so far.
    unsent: VecDeque<Event>,
    accepted: usize,
    made: usize,
}

impl Load<'_> {
    /// Makes up to two new events, unless enough are waiting.
    async fn make_some(&mut self) {
        let done = self.proxy.seen().told_ids().len();
        for _ in 0..self.chance.below(3) {
            if self.made - done.min(self.made) >= WAITING {
                return;
            }
            let event = kinds::make(self.cloud, kinds::kind_of(self.made as u64)).await;
            self.proxy.add(event.clone());
            self.unsent.push_back(event);
            self.made += 1;
        }
    }

    /// Sends what is not accepted yet, then stays: the process works until it is killed.
    async fn send(&mut self, process: &Running, state: &State) {
        loop {
            self.send_all(process).await;
            process.tick(state).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    async fn send_all(&mut self, process: &Running) {
        while let Some(event) = self.unsent.front() {
            let delivery = event.delivery();
            let twice = self.chance.one_in(6);
            match process.post(&delivery).await {
                Posted::Accepted | Posted::Spilled => {}
                // No answer; or the token was read before this process had written its own.
                Posted::Lost | Posted::Refused(401, _) => return,
                Posted::Refused(status, said) if status >= 500 => {
                    println!("put off with {status}: {said}");
                    return;
                }
                Posted::Refused(status, said) => panic!("the event was refused with {status}: {said}"),
            }
            self.unsent.pop_front();
            self.accepted += 1;
            if twice {
                let again = process.post(&delivery).await;
                assert!(
                    matches!(again, Posted::Accepted | Posted::Spilled | Posted::Lost | Posted::Refused(401 | 500.., _)),
                    "the same event again: {again:?}"
                );
            }
        }
    }
}
