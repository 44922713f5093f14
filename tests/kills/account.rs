//! The account: what the proxy and moto saw, held against what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stanch_core::chain;
use stanch_core::port::{Filter, Summary};
use stanch_core::remediation::{Attempt, Outcome, Remediation, Run};
use stanch_core::state::{Resolution, State as CaseState};
use tokio::time::Instant;

use crate::kinds;
use crate::program::{Ground, Place, Running, State};
use crate::proxy::{Proxy, Seen};
use crate::resources::Cloudy;

/// What the run itself counted.
pub(crate) struct Figures {
    pub(crate) kills: usize,
    /// Writes without an answer at the moments of the kills.
    pub(crate) open_at_kill: usize,
    pub(crate) seconds: u64,
}

/// What a run left behind, by what each attempt says.
#[derive(Debug, Default)]
struct Counts {
    attempts: usize,
    by_reading: usize,
    by_looking: usize,
    not_seen: usize,
    stuck: usize,
    twice_told: usize,
}

/// The rows of a run. A storage account may hold those of others, too.
async fn rows(state: &State, proxy: &Proxy) -> Vec<Summary> {
    let rows = state.store.list(&Filter::default()).await.unwrap();
    let seen = proxy.seen();
    rows.into_iter().filter(|row| seen.events.iter().any(|event| row.resource.ends_with(&event.name))).collect()
}

/// Every case, whole: of a data folder as the command line shows it.
async fn cases(ground: &Ground, proxy: &Proxy) -> Vec<Remediation> {
    if ground.place == Place::Folder {
        let rows = ground.cli_json(&["remediations", "list", "--limit", "1000000", "--json"]);
        return rows.iter().map(|row| shown(ground, row["id"].as_str().unwrap())).collect();
    }
    let state = ground.state().await;
    let mut cases = Vec::new();
    for row in rows(&state, proxy).await {
        cases.push(state.store.load(row.id).await.unwrap().unwrap());
    }
    cases
}

fn shown(ground: &Ground, id: &str) -> Remediation {
    let page = ground.cli_json(&["remediations", "show", id, "--json"]);
    serde_json::from_value(page[0]["remediation"].clone()).unwrap()
}

fn rests(state: CaseState) -> bool {
    matches!(state, CaseState::Resolved { .. } | CaseState::Contained { .. } | CaseState::Stuck | CaseState::Failed | CaseState::Refused)
}

/// Whether every event has its case, none of which moves any more, and nothing waits to be told.
async fn is_at_rest(state: &State, proxy: &Proxy) -> bool {
    let rows = rows(state, proxy).await;
    if rows.len() < proxy.seen().events.len() {
        return false;
    }
    let waiting = state.store.outbox(crate::now() + 3_600_000, 1_000).await.unwrap();
    rows.iter().all(|row| rests(row.state)) && !waiting.iter().any(|(id, _)| rows.iter().any(|row| row.id == *id))
}

/// Waits until all is at rest, at most so long. The process must live on.
pub(crate) async fn rest(ground: &Ground, proxy: &Proxy, process: &mut Running, most: Duration) {
    let (state, end) = (ground.state().await, Instant::now() + most);
    while !is_at_rest(&state, proxy).await {
        assert!(process.is_alive(), "the process ended: {}", ground.log());
        if Instant::now() > end {
            println!("not at rest within {} s", most.as_secs());
            return;
        }
        process.tick(&state).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The attempts of a case that were sent, with the operation of their change.
fn sends(case: &Remediation) -> Vec<(String, &Run, &Attempt)> {
    let runs = case.earlier.iter().chain(&case.fix).chain(&case.undo);
    runs.flat_map(|run| {
        run.attempts.iter().filter(|attempt| attempt.number > 0).map(move |attempt| {
            let request = &run.plan.changes[attempt.change].request;
            (request.name().rsplit('.').next().unwrap().to_owned(), run, attempt)
        })
    })
    .collect()
}

/// Holds the two accounts against each other and prints the figures.
pub(crate) async fn hold(cloud: &Cloudy, proxy: &Proxy, ground: &mut Ground, figures: Figures) {
    let cases = cases(ground, proxy).await;
    let mut counts = Counts::default();
    let mut faults = Vec::new();
    {
        let seen = proxy.seen();
        one_case_for_each_event(&seen, &cases, &mut faults);
        for (number, event) in seen.events.iter().enumerate() {
            let Some(case) = cases.iter().find(|case| case.finding.uid == event.id) else { continue };
            ends_well(case, &mut counts, &mut faults);
            every_write_is_an_attempt(&seen, number, case, &mut counts, &mut faults);
        }
        for write in seen.writes.iter().filter(|write| write.event.is_none()) {
            faults.push(format!("a write that belongs to no event: {write:?}"));
        }
        counts.twice_told = seen.told.values().filter(|times| **times > 1).count();
    }
    nothing_is_made_twice(cloud, proxy, &cases, &mut faults).await;
    records_hold(ground, &cases, &mut faults).await;
    print(&proxy.seen(), &figures, &counts);
    if !faults.is_empty() {
        let log = ground.log();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        println!("the last lines of the processes, latest first:\n{}", tail.join("\n"));
        panic!("{} faults (kept in {}):\n{}", faults.len(), ground.keep().display(), faults.join("\n"));
    }
}

fn one_case_for_each_event(seen: &Seen, cases: &[Remediation], faults: &mut Vec<String>) {
    for event in &seen.events {
        let of = cases.iter().filter(|case| case.finding.uid == event.id).count();
        if of != 1 {
            faults.push(format!("event {} was accepted and has {of} remediations", event.id));
        }
    }
    if cases.len() != seen.events.len() {
        faults.push(format!("{} events, {} remediations", seen.events.len(), cases.len()));
    }
}

fn ends_well(case: &Remediation, counts: &mut Counts, faults: &mut Vec<String>) {
    match case.state {
        CaseState::Resolved { how: Resolution::Fixed } | CaseState::Contained { .. } => {}
        CaseState::Stuck if case.note.contains("no answer came") => {
            counts.stuck += 1;
            println!("stuck: {}: {}", case.resource.uid, case.note);
        }
        state => faults.push(format!("{} ({}) ends {state}: {}", case.id, case.resource.uid, case.note)),
    }
}

/// Each write that came by was intended by one attempt, each attempt sent at most one write, and what an answer said is written
/// down with the attempt that got it.
fn every_write_is_an_attempt(seen: &Seen, event: usize, case: &Remediation, counts: &mut Counts, faults: &mut Vec<String>) {
    let sends = sends(case);
    let mut used = BTreeSet::new();
    let mut bodies: BTreeMap<(String, usize), BTreeSet<&str>> = BTreeMap::new();
    let once = seen.events[event].kind().once;
    for write in seen.writes.iter().filter(|write| write.event == Some(event)) {
        let intended = |(_, (operation, _, attempt)): &(usize, &(String, &Run, &Attempt))| {
            *operation == write.operation && attempt.intended_at <= write.at && write.at <= attempt.lease_until
        };
        let of = sends.iter().enumerate().filter(intended).filter(|(n, _)| !used.contains(n)).max_by_key(|(_, (.., a))| a.intended_at);
        let Some((place, (operation, run, attempt))) = of else {
            faults.push(format!("{}: a write without an attempt: {write:?}", case.id));
            continue;
        };
        used.insert(place);
        bodies.entry((run.hash.clone(), attempt.change)).or_default().insert(&write.digest);
        if let (Some(correlation), Some(of_case)) = (&write.correlation, case.correlation)
            && *correlation != of_case.to_string()
        {
            faults.push(format!("{}: {operation} went out under the correlation id {correlation}, not {of_case}", case.id));
        }
        let result = attempt.result.as_ref();
        let stored = result.and_then(|result| result.request_id.as_deref());
        if stored.is_some_and(|id| id != write.request_id) {
            faults.push(format!("{}: attempt {attempt:?} holds the answer of another write than {write:?}", case.id));
        }
        let landed = write.status.is_some_and(|status| status < 300);
        if result.is_some_and(|result| result.outcome.is_applied()) && !landed {
            faults.push(format!("{}: {operation} is recorded as applied and was answered {:?}", case.id, write.status));
        }
        if result.is_some_and(|result| result.outcome == Outcome::NotApplied) && landed {
            faults.push(format!("{}: {operation} is recorded as not applied and was done", case.id));
        }
    }
    for ((_, change), bodies) in bodies {
        if bodies.len() > 1 {
            faults.push(format!("{}: change {change} was asked in {} different ways", case.id, bodies.len()));
        }
    }
    for (place, (operation, run, attempt)) in sends.iter().enumerate() {
        counts.attempts += 1;
        match attempt.result.as_ref().map(|result| result.outcome) {
            Some(Outcome::Applied) if !used.contains(&place) => {
                faults.push(format!("{}: {operation} is recorded as answered, and no such write came by", case.id));
            }
            Some(Outcome::AppliedByObservation) if !run.plan.changes[attempt.change].gives.is_empty() => counts.by_looking += 1,
            Some(Outcome::AppliedByObservation) => counts.by_reading += 1,
            Some(Outcome::NotSeen) => counts.not_seen += 1,
            _ => {}
        }
    }
    for operation in once {
        let done = |write: &&crate::proxy::Write| {
            write.event == Some(event) && write.operation == *operation && write.status.is_some_and(|status| status < 300)
        };
        let landed: Vec<_> = seen.writes.iter().filter(done).map(|write| &write.digest).collect();
        if landed.iter().collect::<BTreeSet<_>>().len() != landed.len() {
            faults.push(format!("{}: {operation} was done {} times", case.id, landed.len()));
        }
    }
}

/// What differs when it is done twice was done once, by the cloud's own listing.
async fn nothing_is_made_twice(cloud: &Cloudy, proxy: &Proxy, cases: &[Remediation], faults: &mut Vec<String>) {
    let events = proxy.seen().events.clone();
    for event in &events {
        let Some((made, wanted)) = kinds::made(cloud, event).await else { continue };
        let stuck = cases.iter().any(|case| case.finding.uid == event.id && case.state == CaseState::Stuck);
        if made > wanted || (made < wanted && !stuck) {
            faults.push(format!("{} on {}: {made} made, not {wanted}", event.kind().fix, event.name));
        }
    }
}

/// The record of every case holds: of a data folder as the command line judges it.
async fn records_hold(ground: &Ground, cases: &[Remediation], faults: &mut Vec<String>) {
    if ground.place == Place::Folder {
        let verified = ground.cli(&["audit", "verify"]);
        if !verified.status.success() {
            let said = String::from_utf8_lossy(&verified.stdout);
            faults.push(format!("`stanch audit verify`: {said}{}", String::from_utf8_lossy(&verified.stderr)));
        }
        return;
    }
    let state = ground.state().await;
    for case in cases {
        let record = state.store.record(case.id).await.unwrap();
        if let Err(error) = chain::verify(case.id, &case.chain, &record) {
            faults.push(format!("{}: {error}", case.id));
        }
    }
}

fn print(seen: &Seen, figures: &Figures, counts: &Counts) {
    let once = seen
        .writes
        .iter()
        .filter(|write| write.event.is_some_and(|event| seen.events[event].kind().once.contains(&write.operation.as_str())));
    println!(
        "{} kills, {} events, {} calls, {} writes ({} of them not idempotent), {} attempts; {} writes without an answer at a kill; \
         unknown outcomes: {} seen by reading, {} found by looking, {} not seen and sent again, {} stuck; \
         {} findings told more than once; {} s",
        figures.kills,
        seen.events.len(),
        seen.calls,
        seen.writes.len(),
        once.count(),
        counts.attempts,
        figures.open_at_kill,
        counts.by_reading,
        counts.by_looking,
        counts.not_seen,
        counts.stuck,
        counts.twice_told,
        figures.seconds,
    );
}
