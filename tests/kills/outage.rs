//! The store out of reach for a while under traffic: what was accepted is there, what was refused is sent again, and each is
//! accounted for once. (An hour of it is played by the simulator.)

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::account::{self, Figures};
use crate::chance::Chance;
use crate::kinds;
use crate::program::{Ground, Place, Posted};
use crate::proxy::{Proxy, Weather};

/// How long the store is out of reach.
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_while_the_store_is_out_of_reach_are_each_accounted_for_once() {
    let Some(moto) = crate::server("STANCH_MOTO") else { return };
    let begun = Instant::now();
    let cloud = crate::cloud(&moto);
    let proxy = Proxy::start(&moto, Chance::new(2)).await;
    let mut ground = Ground::new(Place::Folder, &proxy.url, &crate::rules());
    let mut process = ground.start();
    assert!(process.ready().await, "{}", ground.log());
    let make = async |number| {
        let event = kinds::make(&cloud, kinds::kind_of(number)).await;
        proxy.add(event.clone());
        event
    };
    proxy.turn(Weather::Storm);
    for number in 0..3 {
        assert_eq!(process.post(&make(number).await.delivery()).await, Posted::Accepted);
    }

    // Another program holds the database: it is waited for, five seconds each time.
    let other = Connection::open(ground.data().join("stanch.db")).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = Instant::now();
    let (mut accepted, mut refused) = (0, Vec::new());
    let mut number = 3;
    while held.elapsed() < OUTAGE {
        let events = [make(number).await, make(number + 1).await, make(number + 2).await];
        number += 3;
        let (first, second, third) = (events[0].delivery(), events[1].delivery(), events[2].delivery());
        let answers = tokio::join!(process.post(&first), process.post(&second), process.post(&third));
        for (event, answer) in events.into_iter().zip([answers.0, answers.1, answers.2]) {
            match answer {
                Posted::Accepted => accepted += 1,
                Posted::Refused(503, said) => {
                    assert!(said.contains(&ground.data().display().to_string()), "it does not say what is out of reach: {said}");
                    refused.push(event);
                }
                other => panic!("while the store is out of reach: {other:?}"),
            }
        }
    }
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    println!("{} s without the store: {accepted} events accepted, {} refused and sent again", held.elapsed().as_secs(), refused.len());
    assert!(accepted + refused.len() >= 6, "there was hardly any traffic");

    proxy.turn(Weather::Calm);
    for event in &refused {
        assert_eq!(process.post(&event.delivery()).await, Posted::Accepted, "the store is back");
    }
    account::rest(&ground, &proxy, &mut process, Duration::from_mins(6)).await;
    assert!(process.is_alive(), "it ended: {}", ground.log());
    process.kill();
    let figures = Figures { kills: 0, open_at_kill: 0, seconds: begun.elapsed().as_secs() };
    account::hold(&cloud, &proxy, &mut ground, figures).await;
}
