//! What must hold of what was told.

use std::collections::BTreeMap;

use stanch_core::port::{OutboxMessage, Store, WriteBack};
use stanch_core::state::{Resolution, State};

use super::rest::Cases;
use crate::scheduler::finish;
use crate::world::World;

/// Each message arrived or waits with a reason, and nothing old arrived after something newer.
pub(crate) fn told(world: &World) {
    let stored = world.store.messages();
    let (messages, arrived) = world.with(|w| (w.ledger.messages.clone(), w.ledger.arrived.clone()));
    for (at, (id, item)) in messages.iter().enumerate() {
        let label = world.label(*id);
        let came = arrived.iter().any(|a| a.message == at);
        // What was sent long ago may have been removed.
        let Some(kept) = stored.iter().find(|m| m.item.id == item.id) else {
            if !came {
                world.broken("sent-means-arrived", format!("{label}: a message is gone from the outbox and never arrived"));
            }
            continue;
        };
        // After some tries a message that is refused for good is given up, and the record says so.
        let given_up = || {
            let record = finish(world.store.record(*id)).unwrap_or_default();
            record.iter().any(|e| e.body.contains("\"status_detail\":\"Not delivered\""))
        };
        if kept.sent && !came && !given_up() {
            world.broken("sent-means-arrived", format!("{label}: a message is marked as sent and never arrived"));
        }
        let behind = |m: &stanch_sandbox::Queued| {
            !m.sent && m.remediation == *id && m.item.message.lane() == item.message.lane() && m.reason.is_some()
        };
        if !kept.sent && kept.reason.is_none() && !stored.iter().any(behind) {
            world.broken("sent-means-arrived", format!("{label}: a message waits, nobody knows why"));
        }
    }
    let mut last = BTreeMap::new();
    let mut newest = BTreeMap::new();
    for one in &arrived {
        let lane = (one.remediation, one.lane.as_str());
        last.insert(lane, one.message);
        let seen = newest.entry(lane).or_insert(one.message);
        *seen = (*seen).max(one.message);
    }
    for ((id, lane), message) in last {
        // A write-back that says the same as the newest one is no other word.
        let same = |a: usize, b: usize| messages.get(a).map(|m| &m.1.message) == messages.get(b).map(|m| &m.1.message);
        if let Some(newest) = newest.get(&(id, lane))
            && !same(*newest, message)
            && lane.starts_with("source:")
        {
            let why = format!("{}: an older message arrived again after the newest one in lane {lane}", world.label(id));
            world.broken("last-word-stands", why);
        }
    }
}

/// People and sources know how a case ended.
pub(crate) fn people_know(world: &World, cases: &Cases) {
    let messages = world.with(|w| w.ledger.messages.clone());
    for (r, _) in cases {
        let of = || messages.iter().filter(|(id, _)| *id == r.id).map(|(_, item)| &item.message);
        let label = world.label(r.id);
        if r.state == State::Stuck && !of().any(|m| matches!(m, OutboxMessage::Notice { notice, .. } if notice.state == "stuck")) {
            world.broken("stuck-is-told", format!("{label} is stuck ({}) and nobody was told", r.note));
        }
        // Where only evidence was kept, the alert stands.
        let closes = r.fix.as_ref().is_none_or(|run| run.plan.activity.closes_finding());
        if closes && r.state == (State::Resolved { how: Resolution::Fixed }) {
            let told = |id: &str| {
                of().any(|m| matches!(m, OutboxMessage::WriteBack { source_ref, status: WriteBack::Fixed, .. } if source_ref.id == id))
            };
            // A report that came after the fix is not told what its source sees by itself.
            if !r.reporters.iter().any(|p| told(&p.source_ref.id)) {
                world.broken("fixed-is-told", format!("{label} is fixed and no source was told"));
            }
        }
    }
}
