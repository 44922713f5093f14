//! The store out of reach for a while under traffic: each event is put aside or refused; what was put aside is taken in when the
//! store is back, what was refused is sent again or found at its source, and each is accounted for once. (An hour of it, on a
//! clock of its own, is played by the engine's tests.)

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use crate::account::{self, Figures};
use crate::chance::Chance;
use crate::disk::Disk;
use crate::kinds::{self, Event};
use crate::program::{Ground, Place, Posted, Program, Running};
use crate::proxy::{Proxy, Weather};
use crate::relay::{Azurite, Relay};
use crate::resources::Cloudy;
use crate::{ACCOUNT, REGION};

/// How long events come in while the store is out of reach, before the process is killed and after.
const TRAFFIC: Duration = Duration::from_secs(8);

/// What all takes at most, once the store is back: the next sweep (a minute), leases and settle times of what the kill left open.
const REST: Duration = Duration::from_mins(6);

/// One run: what is sent, by senders that may give up.
struct Run {
    cloud: Cloudy,
    proxy: Proxy,
    ground: Ground,
    made: u64,
    accepted: usize,
    spilled: usize,
}

impl Run {
    /// A run that sweeps Security Hub as often as it may.
    async fn new(moto: &str, place: Place, seed: u64) -> Run {
        let proxy = Proxy::start(moto, Chance::new(seed)).await;
        let mut ground = Ground::new(place, &proxy.url, &crate::rules());
        ground.settings = vec![("STANCH_SWEEP", format!("security-hub/{ACCOUNT}/{REGION}")), ("STANCH_SWEEP_EVERY", "1m".to_owned())];
        Run { cloud: crate::cloud(moto), proxy, ground, made: 0, accepted: 0, spilled: 0 }
    }

    /// Makes a fault and the event about it, which its source holds from now on.
    async fn make(&mut self) -> Event {
        let event = kinds::make(&self.cloud, kinds::kind_of(self.made)).await;
        self.made += 1;
        self.proxy.add(event.clone());
        event
    }

    /// Starts `stanch up`, waits for its first sweep, which finds nothing yet, and gives it some work.
    async fn begin(&mut self) -> Running {
        let mut process = self.ground.start();
        assert!(process.ready().await, "{}", self.ground.log());
        let end = Instant::now() + Duration::from_mins(1);
        while process.get("/readyz").await.is_none_or(|ready| ready["last_sweep"].is_null()) {
            assert!(Instant::now() < end, "nothing is swept: {}", self.ground.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.proxy.turn(Weather::Storm);
        for _ in 0..3 {
            assert_eq!(process.post(&self.make().await.delivery()).await, Posted::Accepted);
        }
        process
    }

    /// Events come, three at a time, while the store is out of reach: none is turned away.
    async fn traffic(&mut self, process: &Running) {
        let begun = Instant::now();
        while begun.elapsed() < TRAFFIC {
            let events = [self.make().await.delivery(), self.make().await.delivery(), self.make().await.delivery()];
            let answers = tokio::join!(process.post(&events[0]), process.post(&events[1]), process.post(&events[2]));
            for answer in [answers.0, answers.1, answers.2] {
                match answer {
                    // What is known already, or was let in at the last moment.
                    Posted::Accepted => self.accepted += 1,
                    Posted::Spilled => self.spilled += 1,
                    other => panic!("while the store is out of reach: {other:?}\n{}", self.ground.log()),
                }
            }
        }
    }

    fn spill(&self) -> PathBuf {
        self.ground.data().join("spill")
    }

    /// Events put aside.
    fn waiting(&self) -> usize {
        let Ok(files) = std::fs::read_dir(self.spill()) else { return 0 };
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "json")).count()
    }

    /// `kill -9`: what was put aside is there all the same.
    fn kill(&self, process: &mut Running) -> usize {
        process.kill();
        assert_eq!(self.waiting(), self.spilled, "an event answered as put aside is not there");
        self.proxy.died()
    }

    /// Waits until all is at rest, and holds the account.
    async fn end(mut self, process: &mut Running, begun: Instant, open_at_kill: usize) {
        account::rest(&self.ground, &self.proxy, process, REST).await;
        assert!(process.is_alive(), "it ended: {}", self.ground.log());
        process.kill();
        assert_eq!(self.waiting(), 0, "what was taken in is put aside no longer");
        println!("{} events: {} accepted and {} put aside without the store", self.made, self.accepted, self.spilled);
        let figures = Figures { kills: 1, open_at_kill, seconds: begun.elapsed().as_secs() };
        account::hold(&self.cloud, &self.proxy, &mut self.ground, figures).await;
    }
}

/// A way in which nothing can be put aside, and what is said of it.
struct NoSpill {
    what: &'static str,
    said: &'static str,
}

const NO_SPILL: [NoSpill; 3] = [
    NoSpill { what: "a file stands in its place", said: "put an event aside" },
    NoSpill { what: "its disk is full", said: "make room" },
    NoSpill { what: "its disk is read-only", said: "is not writable" },
];

/// A spill that takes nothing; with this value it is as it was.
struct Closed {
    spill: PathBuf,
    disk: Option<Disk>,
}

impl Closed {
    /// Hides the folder behind something that cannot be written. `None`: this machine mounts no disk.
    fn new(spill: &Path, way: usize) -> Option<Closed> {
        let mut closed = Closed { spill: spill.to_owned(), disk: None };
        std::fs::rename(spill, spill.with_extension("away")).unwrap();
        if way == 0 {
            std::fs::write(spill, "").unwrap();
            return Some(closed);
        }
        std::fs::create_dir(spill).unwrap();
        let disk = Disk::mount(spill, 1).map_err(|why| println!("skipped: this machine mounts no disk for the test: {why}")).ok()?;
        if way == 1 {
            disk.fill();
        } else {
            disk.remount("ro");
        }
        closed.disk = Some(disk);
        Some(closed)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        drop(self.disk.take());
        drop(std::fs::remove_file(&self.spill).or_else(|_| std::fs::remove_dir(&self.spill)));
        drop(std::fs::rename(self.spill.with_extension("away"), &self.spill));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_while_the_database_is_held_are_put_aside_sent_again_or_found_by_the_sweep() {
    let Some(moto) = crate::server("STANCH_MOTO") else { return };
    let begun = Instant::now();
    let mut run = Run::new(&moto, Place::Folder, 2).await;
    let mut process = run.begin().await;

    // Another program holds the database: it is waited for, five seconds each time.
    let other = Connection::open(run.ground.data().join("stanch.db")).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    run.traffic(&process).await;
    assert!(run.spilled >= 3, "there was hardly any traffic");
    let lost = run.kill(&mut process);
    // The next one starts all the same, and puts aside what comes.
    let mut process = run.ground.start();
    assert!(process.ready().await, "{}", run.ground.log());
    run.traffic(&process).await;

    // Nothing can be put aside either: then nothing is promised.
    let mut refused = Vec::new();
    for (way, NoSpill { what, said }) in NO_SPILL.iter().enumerate() {
        let Some(closed) = Closed::new(&run.spill(), way) else { continue };
        let events = [run.make().await, run.make().await];
        let answers = (events[0].delivery(), events[1].delivery());
        let answers = tokio::join!(process.post(&answers.0), process.post(&answers.1));
        for answer in [answers.0, answers.1] {
            let Posted::Refused(503, text) = answer else { panic!("{what}: {answer:?}") };
            let folder = run.spill().display().to_string();
            assert!(text.contains("held the database") && text.contains(&folder) && text.contains(said), "{what}: {text}");
        }
        drop(closed);
        refused.push(events);
    }
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);

    // One of two senders tries again. The other has given up: the sweep finds what it meant.
    run.proxy.turn(Weather::Calm);
    for [again, _] in &refused {
        assert_eq!(process.post(&again.delivery()).await, Posted::Accepted, "the store is back");
    }
    run.end(&mut process, begun, lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_while_the_storage_account_is_out_of_reach_are_put_aside_or_found_by_the_sweep() {
    let (Some(moto), Some(modules)) = (crate::server("STANCH_MOTO"), crate::server("STANCH_NODE_MODULES")) else { return };
    let begun = Instant::now();
    // Of its own: what is due in the one of the other tests is not for this run's processes.
    let azurite = Azurite::start(&modules).await;
    let relay = Relay::start(&azurite).await;
    let mut run = Run::new(&moto, Place::Azurite(azurite.url()), 5).await;
    run.ground.settings.push(("STANCH_STORAGE_ENDPOINT", relay.url.clone()));
    run.ground.program = Program::Up;
    let mut process = run.begin().await;

    relay.cut(true);
    run.traffic(&process).await;
    assert!(run.spilled >= 3, "there was hardly any traffic");
    let lost = run.kill(&mut process);
    // Without its store the next one does not start, and says why.
    assert!(!run.ground.start().ready().await, "it is ready without its store");
    assert!(run.ground.log().contains("the store cannot be used"), "{}", run.ground.log());

    // In Azure Functions there is no disk that lasts: nothing is promised, and the senders, who try again as their service does
    // it, have given up when the store is back.
    run.ground.program = Program::Handler;
    let mut handler = run.ground.start();
    assert!(handler.ready().await, "{}", run.ground.log());
    for _ in 0..3 {
        let event = run.make().await;
        let Posted::Refused(500, said) = handler.post(&event.delivery()).await else { panic!("it took an event without its store") };
        assert!(said.contains("the store cannot be used"), "{said}");
    }
    handler.kill();

    relay.cut(false);
    run.proxy.turn(Weather::Calm);
    run.ground.program = Program::Up;
    let mut process = run.ground.start();
    assert!(process.ready().await, "{}", run.ground.log());
    run.end(&mut process, begun, lost).await;
    drop(azurite);
}
