//! What is checked at the moment it happens: at each commit, each write to a cloud, each message that arrives.

use stanch_core::api::ApiRequest;
use stanch_core::api::ApiResponse;
use stanch_core::finding::{Millis, Source, SourceRef};
use stanch_core::fix::Repeat;
use stanch_core::plan::Change;
use stanch_core::port::{Cap, Notice, OutboxItem, OutboxMessage, WriteBack};
use stanch_core::remediation::{ApprovalKind, Attempt, Outcome, Remediation, RemediationId, Run};
use stanch_core::rule::Mode;
use stanch_core::state::State;
use uuid::Uuid;

use crate::clock::now;
use crate::ledger::{Arrived, Intent, Landed, RunKey};
use crate::world::{ActorId, World};

/// How far two clocks may be apart, milliseconds: each worker's is off by two seconds at most.
const SKEW: Millis = 4_000;

/// A commit has reached the store.
pub(crate) fn committed(
    world: &World,
    actor: ActorId,
    before: Option<&Remediation>,
    after: &Remediation,
    outbox: Vec<OutboxItem>,
    next_at: Option<Millis>,
) {
    world.with(|w| {
        w.ledger.commits += 1;
        let moment = w.ledger.tick();
        w.ledger.opened.entry(after.id).or_insert(moment);
        let planning_again = before.is_some_and(|b| matches!(b.state, State::Open | State::Applying));
        if after.state == State::Open && !planning_again {
            w.ledger.begun.insert(after.id, moment);
        }
        w.mix(after.chain.length ^ moment);
        let label = w.label(after.id);
        if w.story.wanted {
            let due = next_at.map_or("nothing due".to_owned(), |at| format!("due in {} ms", (at - now()).max(0)));
            let version = before.map_or(0, |b| b.version) + 1;
            w.line(actor, &format!("{label} v{version} is {}: {} [{due}]", after.state, after.note));
        }
        let stored = before.map_or(0, |b| b.version);
        let known = w.actors.get(actor).and_then(|a| a.knows.get(&after.id)).copied().unwrap_or(0);
        if stored != known {
            w.broken("one-writer-per-version", format!("{label} was at version {stored}, and a worker that knew version {known} wrote"));
        }
        w.actor(actor, |a| a.knows(after.id, stored + 1));
        if !w.reached.moved(before, after) {
            let from = before.map_or("-", |b| b.state.name());
            w.broken("only-known-arrows", format!("{label} went from {from} to {}", after.state.name()));
        }
        w.ledger.messages.extend(outbox.into_iter().map(|item| (after.id, item)));
    });
    let runs = |r: &Remediation| [(false, r.fix.clone()), (true, r.undo.clone())];
    let old = before.map(runs).unwrap_or_default();
    for ((undo, new), (_, old)) in runs(after).into_iter().zip(old) {
        runs_follow(world, actor, before, after, undo, old.as_ref(), new.as_ref());
        if let Some(run) = new {
            new_results(world, after, old.as_ref(), &run);
            new_intents(world, actor, after, undo, old.as_ref(), &run);
        }
    }
    if before.is_none() && (after.fix.is_some() || after.undo.is_some()) {
        world.broken("only-known-arrows", format!("{} begins with a plan", world.label(after.id)));
    }
}

fn same_run(a: &Run, b: &Run) -> bool {
    a.hash == b.hash && a.planned_at == b.planned_at
}

/// Attempts are only ever added, and an open one is not forgotten by planning anew.
fn runs_follow(
    world: &World,
    actor: ActorId,
    before: Option<&Remediation>,
    after: &Remediation,
    undo: bool,
    old: Option<&Run>,
    new: Option<&Run>,
) {
    let Some(old) = old else { return };
    let sends = |run: &Run| run.attempts.iter().map(|a: &Attempt| (a.change, a.number, a.intended_at)).collect::<Vec<_>>();
    let what = if undo { "undo" } else { "fix" };
    match new.filter(|new| same_run(new, old)) {
        Some(new) if !sends(new).starts_with(&sends(old)) => {
            world.broken("attempts-are-kept", format!("{}: a commit takes back sends of its {what}", world.label(after.id)));
        }
        Some(_) => {}
        None => {
            // A person who reopens a stuck case has looked at it.
            let looked_at = before.is_some_and(|b| b.state == State::Stuck);
            // And its own sender may drop it with the answer that says it was not done.
            let refused =
                |a: &Attempt| world.with(|w| w.ledger.intents.iter().any(|i| i.actor == actor && i.refused && i.is_of(after.id, old, a)));
            if !looked_at && old.attempts.iter().any(|a| a.result.is_none() && !refused(a)) {
                world.broken("attempts-are-kept", format!("{}: its {what} is dropped while a send is open", world.label(after.id)));
            }
        }
    }
}

fn new_intents(world: &World, actor: ActorId, after: &Remediation, undo: bool, old: Option<&Run>, run: &Run) {
    let old = old.filter(|old| same_run(old, run));
    let key = RunKey { id: after.id, hash: run.hash.clone(), planned_at: run.planned_at, undo };
    if run.reserved && !undo && old.is_none_or(|old| !old.reserved) {
        world.with(|w| {
            let slot = w.actors.get_mut(actor).and_then(|a| a.slot.take());
            if let Some(slot) = slot {
                w.ledger.slots.insert(key.clone(), slot);
            }
        });
    }
    for attempt in run.attempts.iter().skip(old.map_or(0, |o| o.attempts.len())).filter(|a| a.result.is_none()) {
        only_allowed(world, after, undo, run);
        let intent = Intent {
            run: key.clone(),
            plan: run.plan.clone(),
            change: attempt.change,
            number: attempt.number,
            lease_until: attempt.lease_until,
            actor,
            used: false,
            refused: false,
            landed: false,
        };
        world.with(|w| w.ledger.intents.push(intent));
    }
}

/// What is stored about a send is what happened to it.
fn new_results(world: &World, after: &Remediation, old: Option<&Run>, run: &Run) {
    let Some(old) = old.filter(|old| same_run(old, run)) else { return };
    for (was, is) in old.attempts.iter().zip(&run.attempts).filter(|(was, is)| was.result.is_none() && is.result.is_some()) {
        let Some(result) = &is.result else { continue };
        let intent = world.with(|w| w.ledger.intents.iter().find(|i| i.is_of(after.id, run, was)).cloned());
        let Some(intent) = intent else { continue };
        let wrong = match result.outcome {
            Outcome::Applied => !intent.landed && !intent.refused,
            Outcome::Refused | Outcome::NotApplied => intent.landed,
            Outcome::AppliedByObservation | Outcome::NotSeen => false,
        };
        if wrong {
            let (change, number) = (is.change + 1, is.number);
            let happened = if intent.landed { "took effect" } else { "did not take effect" };
            let why =
                format!("{}: send {number} of change {change} {happened}, and is stored as {:?}", world.label(after.id), result.outcome);
            world.broken("results-are-true", why);
        }
    }
}

/// An intent is stored only for a plan that somebody who may has allowed.
fn only_allowed(world: &World, after: &Remediation, undo: bool, run: &Run) {
    let refuse = |why: String| world.broken("only-allowed-plans", format!("{}: {why}", world.label(after.id)));
    let Some(approval) = &run.approval else { return refuse("a plan is written that nobody approved".to_owned()) };
    if approval.plan_hash != run.hash || run.plan.hash() != run.hash {
        return refuse("the plan that is written is not the one that was approved".to_owned());
    }
    let by_engine = approval.by.starts_with("engine:");
    let fine = match approval.how {
        ApprovalKind::ByRule if undo => by_engine,
        ApprovalKind::ByRule => after.decision.as_ref().is_some_and(|d| d.mode == Mode::Auto),
        _ if undo => world.with(|w| w.ledger.undo_asked.contains(&after.id)),
        _ => world.with(|w| w.ledger.approved_any.contains(&after.id) || w.ledger.approvals.contains(&(after.id, run.hash.clone()))),
    };
    if !fine {
        refuse(format!("nobody allowed plan {} the way its approval says ({})", run.hash.get(..12).unwrap_or_default(), approval.by));
    }
}

/// A commit came too late.
pub(crate) fn conflicted(world: &World, actor: ActorId, before: Option<&Remediation>, after: &Remediation) {
    world.with(|w| {
        let label = w.label(after.id);
        w.coverage.raced("two workers on one remediation");
        if w.story.wanted {
            let stored = before.map_or(0, |b| b.version);
            w.line(actor, &format!("{label} was changed by another meanwhile (v{stored}); nothing written"));
        }
    });
}

/// Somebody takes a remediation up.
pub(crate) fn loaded(world: &World, actor: ActorId, id: RemediationId, version: u64) {
    world.with(|w| w.actor(actor, |a| a.knows(id, version)));
}

/// Slots were taken, or refused.
pub(crate) fn reserved(world: &World, actor: ActorId, caps: &[Cap], taken: bool) {
    world.with(|w| w.actor(actor, |a| a.slot = taken.then(|| caps.to_vec())));
    if !taken {
        world.with(|w| w.coverage.raced("a cap was used up"));
    }
}

/// A write is on its way to a cloud. Gives the intent it belongs to.
pub(crate) fn sent(world: &World, actor: ActorId, request: &ApiRequest) -> Option<usize> {
    world.with(|w| {
        let may = w.actors.get_mut(actor).is_some_and(|a| std::mem::take(&mut a.may_write));
        let found = w.ledger.intents.iter().rposition(|i| i.actor == actor && !i.used && is_change(i, request));
        let Some(at) = found else {
            let why = format!("{} was sent, and no intent for it is stored by its sender", request.name());
            w.broken("no-write-without-intent", why);
            return None;
        };
        let intent = w.ledger.intents.get_mut(at)?;
        intent.used = true;
        let (run, change, number, lease) = (intent.run.clone(), intent.change, intent.number, intent.lease_until);
        let label = w.label(run.id);
        if w.story.wanted {
            w.line(actor, &format!("{label} sends change {} (send {number}): {}", change + 1, request.name()));
        }
        if !may {
            w.broken("kill-switch", format!("{label}: {} was sent without a look at the kill switch that said on", request.name()));
        }
        if now() > lease + SKEW {
            w.broken("nothing-sent-after-its-lease", format!("{label}: {} was sent {} ms after its lease", request.name(), now() - lease));
        }
        if !run.undo && !w.ledger.slots.contains_key(&run) {
            w.broken("caps-held", format!("{label}: {} was sent without a slot", request.name()));
        }
        Some(at)
    })
}

/// Whether a request is the change of an intent, with only the late-bound parts filled in.
fn is_change(intent: &Intent, request: &ApiRequest) -> bool {
    let Some(change) = intent.plan.changes.get(intent.change) else { return false };
    let planned = &change.request;
    planned.cloud == request.cloud && planned.account == request.account && planned.region == request.region && same_call(change, request)
}

fn same_call(change: &Change, request: &ApiRequest) -> bool {
    if change.late.is_empty() {
        return change.request.call == request.call;
    }
    let (Ok(planned), Ok(mut sent)) = (serde_json::to_value(&change.request.call), serde_json::to_value(&request.call)) else {
        return false;
    };
    for part in &change.late {
        let Some(slot) = sent.pointer_mut(&part.at) else { return false };
        let empty = planned.pointer(&part.at).cloned().unwrap_or_default();
        *slot = empty;
    }
    planned == sent
}

/// A cloud has made up its mind about a write.
pub(crate) fn answered(world: &World, actor: ActorId, request: &ApiRequest, intent: Option<usize>, answer: &ApiResponse, done: bool) {
    world.tell(actor, || {
        let code = answer.code().map(|c| format!(" {c}")).unwrap_or_default();
        let done = if done { "done" } else { "not done" };
        format!("the cloud: {} {done} ({}{code})", request.name(), answer.status)
    });
    let Some(at) = intent else { return };
    if !done {
        return world.with(|w| w.ledger.intents.get_mut(at).into_iter().for_each(|i| i.refused = answer.fault.is_some()));
    }
    world.with(|w| {
        let moment = w.ledger.tick();
        let Some(intent) = w.ledger.intents.get(at).cloned() else { return };
        let repeat = intent.plan.changes.get(intent.change).map_or(Repeat::Safe, |c| c.repeat);
        let earlier = w.ledger.landed_of(&intent.run).filter(|(i, _)| i.change == intent.change).map(|(_, l)| l.at).max();
        if repeat != Repeat::Safe
            && let Some(earlier) = earlier
            && !w.ledger.edited_after(intent.plan.cloud, &intent.plan.resource, earlier)
        {
            let label = w.label(intent.run.id);
            w.broken("no-effect-twice", format!("{label}: {} took effect a second time", request.name()));
        }
        w.ledger.landed.push(Landed { intent: at, at: moment });
        w.ledger.intents.get_mut(at).into_iter().for_each(|i| i.landed = true);
    });
}

/// A notice has reached a channel.
pub(crate) fn notice_arrived(world: &World, actor: ActorId, channel: &str, key: Uuid, notice: &Notice) {
    world.tell(actor, || format!("tells {channel}: {} ({})", notice.title, notice.state));
    let found = world.with(|w| w.ledger.messages.iter().position(|(_, item)| item.id == key));
    arrived(world, found, || format!("notice `{}`", notice.title));
}

/// A message is about to be marked as sent. If it never arrived because it was refused for good, what follows it may go on.
pub(crate) fn marked_sent(world: &World, item: Uuid) {
    world.with(|w| {
        let Some(at) = w.ledger.messages.iter().position(|(_, i)| i.id == item) else { return };
        if w.ledger.refused.contains(&item) && w.ledger.arrived.iter().all(|a| a.message != at) {
            w.ledger.given_up.insert(at);
        }
    });
}

/// A status has reached a source.
pub(crate) fn write_back_arrived(world: &World, actor: ActorId, source: Source, reference: &SourceRef<'_>, status: WriteBack, note: &str) {
    world.tell(actor, || format!("tells {source} about {}: {status:?} ({note})", reference.id));
    let found = world.with(|w| {
        let is_it = |item: &OutboxItem| {
            matches!(&item.message, OutboxMessage::WriteBack { source: s, source_ref, status: st, note: n }
                if *s == source && source_ref.id == reference.id && *st == status && n == note)
        };
        let all = w.ledger.messages.iter().enumerate().filter(|(_, (_, item))| is_it(item)).map(|(at, _)| at);
        let all: Vec<usize> = all.collect();
        let came = |at: usize| w.ledger.arrived.iter().any(|a| a.message == at);
        // The same words may have been written more than once: the next one in turn, else one that is told again.
        let in_turn = all.iter().copied().find(|at| !came(*at) && w.ledger.missing_before(*at).is_none());
        in_turn.or(all.iter().rev().copied().find(|at| came(*at))).or(all.last().copied())
    });
    arrived(world, found, || format!("status {status:?} for {}", reference.id));
}

fn arrived(world: &World, message: Option<usize>, what: impl FnOnce() -> String) {
    world.with(|w| {
        let Some(at) = message else { return w.broken("told-in-order", format!("{} was never in an outbox", what())) };
        let Some((remediation, item)) = w.ledger.messages.get(at).cloned() else { return };
        let lane = item.message.lane();
        let missing = w.ledger.missing_before(at);
        if missing.is_some() {
            let label = w.label(remediation);
            w.broken("told-in-order", format!("{label}: {} arrived before one that was written earlier", what()));
        }
        w.ledger.tick();
        w.ledger.arrived.push(Arrived { remediation, lane, message: at });
    });
}
