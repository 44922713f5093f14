//! Two builds on one data folder with work in flight: the next format takes over, and the one before leaves alone what it does
//! not know. `cargo xtask versions` builds the second and runs this.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::account::{self, Figures};
use crate::chance::Chance;
use crate::kinds::{self, Event, KINDS};
use crate::program::{Ground, Place, Posted, Running};
use crate::proxy::{Answer, Proxy, Weather};
use crate::resources::Cloudy;

/// Alerts are acted on, anything else waits for a person.
fn rules() -> String {
    let asked = crate::rules().replace("rule: all\nmode: auto", "rule: others\norder: 2\nmode: approve\non: [compliance]");
    format!("{}---\n{asked}", crate::rules().replace("rule: all\n", "rule: alerts\norder: 1\non: [alert]\n"))
}

/// An event about a resource that needs this fix.
async fn event(cloud: &Cloudy, proxy: &Proxy, fix: &str) -> Event {
    let event = kinds::make(cloud, KINDS.iter().position(|kind| kind.fix == fix).unwrap()).await;
    proxy.add(event.clone());
    event
}

/// The row of an event in the listing of a process.
async fn row(process: &Running, event: &Event) -> Option<Value> {
    let rows = process.get("/api/remediations?limit=1000").await?;
    rows.as_array()?.iter().find(|row| row["resource"].as_str().is_some_and(|uid| uid.ends_with(&event.name))).cloned()
}

async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(2);
    while !holds().await {
        assert!(Instant::now() < end, "not within two minutes: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_state(process: &Running, event: &Event, state: &str) -> String {
    wait_for(&format!("{} is {state}", event.name), async || row(process, event).await.is_some_and(|row| row["state"]["name"] == state))
        .await;
    row(process, event).await.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn accepted(process: &Running, event: &Event) {
    assert_eq!(process.post(&event.delivery()).await, Posted::Accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_build_takes_over_work_in_flight_and_the_one_before_leaves_its_rows_alone() {
    let Some(next) = crate::setting("STANCH_NEXT_BIN") else {
        return println!("skipped: STANCH_NEXT_BIN is not set; `cargo xtask versions` runs this");
    };
    let next = Path::new(&next);
    let moto = crate::server("STANCH_MOTO").expect("STANCH_MOTO is set");
    let begun = Instant::now();
    let cloud = crate::cloud(&moto);
    let proxy = Proxy::start(&moto, Chance::new(3)).await;
    let mut ground = Ground::new(Place::Folder, &proxy.url, &rules());
    let quarantine = "aws-ec2-quarantine-instance";

    // The build before: a contained case whose write-back is not sent, a plan that waits for a person, writes without an answer.
    let mut before = ground.start();
    assert!(before.ready().await, "{}", ground.log());
    proxy.take_write_backs(false);
    let contained = event(&cloud, &proxy, quarantine).await;
    accepted(&before, &contained).await;
    wait_state(&before, &contained, "contained").await;
    let waiting = event(&cloud, &proxy, "aws-kms-enable-rotation").await;
    accepted(&before, &waiting).await;
    let waiting_id = wait_state(&before, &waiting, "awaiting-approval").await;
    proxy.turn(Weather::Silent);
    let in_flight = [event(&cloud, &proxy, quarantine).await, event(&cloud, &proxy, "aws-ec2-snapshot-volumes").await];
    for event in &in_flight {
        accepted(&before, event).await;
    }
    wait_for("a write is on its way", async || proxy.seen().writes.iter().any(|write| write.answer == Answer::Open)).await;
    before.kill();
    let lost = proxy.died();
    assert_eq!(proxy.seen().told.len(), 0, "nothing was told");
    proxy.turn(Weather::Calm);
    proxy.take_write_backs(true);

    // The next build takes over, and takes something new in.
    let mut after = ground.start_program(next);
    assert!(after.ready().await, "{}", ground.log());
    let new = event(&cloud, &proxy, quarantine).await;
    accepted(&after, &new).await;
    let new_id = wait_state(&after, &new, "contained").await;
    let (status, said) = after.say(&format!("/api/remediations/{waiting_id}/approve"), json!({})).await;
    assert_eq!(status, 200, "{said}");

    // The build before runs beside it: it lists what it cannot read, and says so where it is asked for more.
    let mut before = ground.start();
    assert!(before.ready().await, "{}", ground.log());
    assert!(row(&before, &new).await.is_some(), "the listing shows rows of the next format");
    let shown = ground.cli(&["remediations", "show", &new_id]);
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.status.code() == Some(3) && said.contains("newer stanch"), "{:?} {said}", shown.status.code());
    // A report about such a case is kept for the next build, and not taken for one that was taken in.
    let Posted::Refused(_, said) = before.post(&new.delivery()).await else { panic!("it took a report about a case it cannot read") };
    assert!(said.contains("newer stanch"), "{said}");
    // A message of the next format is parked by the one, like that report, and followed by the other.
    let message = json!({"format": 3, "id": new_id, "version": 1}).to_string();
    let (status, said) = before.say_text("/remediate", message).await;
    assert!(status == 202 && said["parked"] == 1, "{status} {said}");
    let parked = ground.cli_json(&["parked", "list", "--json"]);
    assert_eq!(parked.len(), 2, "the report and the message: {parked:?}");
    for one in &parked {
        let (id, why) = (one["id"].as_str().unwrap(), one["why"].as_str().unwrap());
        assert!(why.contains("format 3") && why.contains("newer stanch"), "{why}");
        assert!(!ground.cli(&["parked", "retry", id]).status.success(), "the build before took it: {one}");
        let (status, said) = after.say(&format!("/api/parked/{id}/retry"), json!({})).await;
        assert_eq!(status, 200, "{said}");
    }
    assert_eq!(ground.cli_json(&["parked", "list", "--json"]), Vec::<Value>::new());

    // The next build dies with a case that is due at once: the other sees it, says so once, and leaves it.
    proxy.turn(Weather::Frozen);
    let due = event(&cloud, &proxy, quarantine).await;
    accepted(&after, &due).await;
    after.kill();
    proxy.died();
    proxy.turn(Weather::Calm);
    let due_row = row(&before, &due).await.expect("it is listed");
    let warnings = || ground.log().lines().filter(|line| line.contains("WARN") && line.contains("newer stanch")).count();
    wait_for("it says that a newer stanch must take what is due", async || warnings() > 0).await;
    // It goes on with what is its own.
    let own = event(&cloud, &proxy, "aws-s3-block-public-access").await;
    accepted(&before, &own).await;
    let own_id = wait_state(&before, &own, "awaiting-approval").await;
    let (status, said) = before.say(&format!("/api/remediations/{own_id}/approve"), json!({})).await;
    assert_eq!(status, 200, "{said}");
    wait_state(&before, &own, "resolved").await;
    assert!(before.is_alive(), "{}", ground.log());
    assert_eq!(row(&before, &due).await, Some(due_row), "the build before touched a row of the next format");
    assert_eq!(warnings(), 1, "it says it once:\n{}", ground.log());

    // The next build finishes everything.
    let mut after = ground.start_program(next);
    assert!(after.ready().await, "{}", ground.log());
    wait_state(&after, &due, "contained").await;
    ground.stanch = next.to_owned();
    account::rest(&ground, &proxy, &mut after, Duration::from_mins(6)).await;
    assert!(before.is_alive(), "{}", ground.log());
    before.kill();
    after.kill();
    let figures = Figures { kills: 2, open_at_kill: lost, seconds: begun.elapsed().as_secs() };
    account::hold(&cloud, &proxy, &mut ground, figures).await;
}
