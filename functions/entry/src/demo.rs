//! `stanch up --demo`: the main job, live, against simulated clouds. The deliveries go through the same functions as real ones.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use stanch_core::port::WriteBack;
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_core::rule::RuleSet;
use stanch_core::state::State;
use stanch_engine::{Engine, Intake, Next};
use stanch_sandbox::{DemoEvent, SandboxSource, demo_events};

use crate::cli::show::Page;
use crate::functions;
use crate::local::{SANDBOX_FILE, TOKEN_FILE, write_private};
use crate::recognize::recognize;
use crate::wiring::{self, WiringError};

const RULES: &str = include_str!("demo-rules.yaml");
/// Files of a demo's data folder; the demo starts anew each time, and touches nothing else there.
const OURS: &[&str] = &["stanch.db", "stanch.db-wal", "stanch.db-shm", "stanch.lock", "seal.key"];

/// Makes the data folder the demo's. One that holds anything else's store is refused.
pub(crate) fn prepare(data: &Path) -> Result<(), String> {
    let marker = data.join(SANDBOX_FILE);
    if !marker.exists() && data.join("stanch.db").exists() {
        return Err("it holds remediations of real clouds; name another with `--data DIR`".into());
    }
    std::fs::create_dir_all(data).map_err(|e| e.to_string())?;
    if let Some(server) = crate::local::LocalServer::find(data, None) {
        return Err(format!("a demo is running on it already ({server})"));
    }
    for name in OURS.iter().filter(|_| marker.exists()) {
        match std::fs::remove_file(data.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.to_string()),
            _ => {}
        }
    }
    write_private(&marker, "This folder belongs to `stanch up --demo`.\n").map_err(|e| e.to_string())
}

/// The demo's rules, unless others are given.
pub(crate) fn rules(folder: Option<&Path>) -> Result<RuleSet, WiringError> {
    match folder {
        Some(folder) => wiring::rules(Some(folder)),
        None => RuleSet::load([("demo-rules.yaml", RULES)]).map_err(WiringError::Rules),
    }
}

/// Feeds the demo's deliveries and shows what becomes of each.
pub(crate) async fn feed(engine: &Engine, source: &SandboxSource, addr: SocketAddr, data: &Path) -> Result<(), String> {
    let events = demo_events();
    say(&format!("stanch is up on http://{addr} with simulated clouds; {} findings arrive.\n", events.len()));
    let mut waiting = None;
    let mut fixed = None;
    for (at, event) in events.iter().enumerate() {
        say(&format!("[{}/{}] {}  ({})", at + 1, events.len(), event.title, event.function));
        for intake in deliver(engine, source, event).await? {
            let Some(id) = intake.remediation else { continue };
            let remediation = rest(engine, id).await?;
            tell(&remediation, source);
            match remediation.state {
                State::AwaitingApproval => waiting = waiting.or(Some(remediation)),
                State::Resolved { .. } => fixed = fixed.or(Some(id)),
                _ => {}
            }
        }
        say("");
    }
    next_steps(waiting.as_ref(), fixed, addr, data);
    Ok(())
}

async fn deliver(engine: &Engine, source: &SandboxSource, event: &DemoEvent) -> Result<Vec<Intake>, String> {
    // The simulated sources must hold what they send, so that statuses can be written back.
    for single in stanch_core::normalize::events(event.json).map_err(|e| e.to_string())? {
        for finding in recognize(single).map_err(|e| e.to_string())?.findings {
            source.put(finding.into_owned());
        }
    }
    let function = functions::find(event.function).ok_or_else(|| format!("no function `{}`", event.function))?;
    let answer = function.run_raw(engine, event.json.to_owned()).await.map_err(|e| e.to_string())?;
    let taken = answer.body.get("taken").cloned().unwrap_or_default();
    serde_json::from_value(taken).map_err(|e| e.to_string())
}

/// Runs one remediation until it rests, then sends what it has to tell.
async fn rest(engine: &Engine, id: RemediationId) -> Result<Remediation, String> {
    loop {
        match engine.run(id).await.map_err(|e| e.to_string())? {
            Next::Now => {}
            Next::At(at) if at - wiring::now() < 30_000 => {
                tokio::time::sleep(Duration::from_millis(u64::try_from(at - wiring::now()).unwrap_or(0))).await;
            }
            Next::At(_) | Next::Idle => break,
        }
    }
    engine.send_outbox(64).await.map_err(|e| e.to_string())?;
    engine.load(id).await.map_err(|e| e.to_string())
}

fn tell(remediation: &Remediation, source: &SandboxSource) {
    let finding = &remediation.finding;
    say(&format!("  finding   {} {}: {}", remediation.resource.cloud.provider(), finding.severity.caption(), finding.title));
    say(&format!("  resource  {}", remediation.resource.uid));
    if let Some(decision) = &remediation.decision {
        let rule = decision.rule.as_deref().unwrap_or("none");
        say(&format!("  decision  rule `{rule}`: {}", decision.mode));
    }
    let Some(run) = &remediation.fix else {
        say(&format!("  state     {}: {}", remediation.state, remediation.note));
        return;
    };
    let mut page = Page::new(false);
    page.plan(&run.plan, &run.hash, run.guard.as_ref());
    for line in page.finish().lines() {
        say(&format!("  {line}"));
    }
    for attempt in &run.attempts {
        if let (Some(change), Some(result)) = (run.plan.changes.get(attempt.change), &attempt.result) {
            let status = result.status.map(|s| s.to_string()).unwrap_or_default();
            say(&format!("  applied   {} {status}", change.request.name()));
        }
    }
    if remediation.times.verified.is_some() {
        say("  verified  a fresh read shows the new state");
    }
    let ids: Vec<&str> = remediation.reporters.iter().map(|r| r.source_ref.id.as_ref()).collect();
    if let Some((told, _, status, _)) = source.written().iter().rev().find(|(_, id, _, _)| ids.contains(&id.as_str())) {
        let status = match status {
            WriteBack::InProgress => "in progress",
            WriteBack::Fixed => "fixed",
            WriteBack::Reopened => "reopened",
        };
        say(&format!("  told      {told}: {status}"));
    }
    say(&format!("  state     {}", remediation.state));
}

fn next_steps(waiting: Option<&Remediation>, fixed: Option<RemediationId>, addr: SocketAddr, data: &Path) {
    let folder = data.display();
    let token = format!("$(cat '{}')", data.join(TOKEN_FILE).display());
    say("What next? In another terminal (`stanch` is target/release/stanch):\n");
    if let Some(waiting) = waiting {
        let (id, hash) = (waiting.id, waiting.fix.as_ref().map_or("", |r| r.hash.as_str()));
        let hash = hash.get(..16).unwrap_or(hash);
        say(&format!("  approve the plan that waits:\n    stanch approve {id} --plan {hash} --data '{folder}'"));
        say(&format!("    curl -H \"Authorization: Bearer {token}\" -X POST http://{addr}/api/remediations/{id}/approve\n"));
    }
    if let Some(id) = fixed {
        say(&format!("  see how a fix would be put back, then put it back:\n    stanch undo {id} --plan --data '{folder}'"));
        say(&format!("    stanch undo {id} --data '{folder}'\n"));
    }
    say(&format!("  see everything:\n    stanch remediations list --data '{folder}'\n    stanch audit verify --data '{folder}'\n"));
    say("  send an event of your own (any of the formats stanch reads):");
    say(&format!("    curl -H \"Authorization: Bearer {token}\" --data-binary @event.json http://{addr}/securityhub-finding\n"));
    say("Ctrl-C ends the demo.");
}

/// One line for the person watching. A closed terminal is no fault.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}"));
    drop(out.flush());
}
