//! What must hold of the records.

use stanch_core::chain;
use stanch_core::port::Store;

use super::rest::Cases;
use crate::ledger::{Landed, RunKey};
use crate::scheduler::finish;
use crate::world::World;

/// Each chain verifies.
pub(crate) fn chains(world: &World, cases: &Cases) {
    for (r, _) in cases {
        let entries = finish(world.store.record(r.id)).unwrap_or_default();
        if let Err(error) = chain::verify(r.id, &r.chain, &entries) {
            world.broken("chain-verifies", format!("{}: {error}", world.label(r.id)));
        }
    }
}

/// Each write that took effect stands in the record: intended, and then what came of it.
pub(crate) fn writes(world: &World, cases: &Cases) {
    for (r, _) in cases {
        let entries = finish(world.store.record(r.id)).unwrap_or_default();
        let says = |hash: &str, details: &[&str]| {
            entries.iter().any(|e| e.body.contains(hash) && details.iter().any(|d| e.body.contains(&format!("\"status_detail\":\"{d}\""))))
        };
        // That the resource is gone is said without a plan.
        let gone = says("", &["Gone"]);
        let uid = r.resource.canonical();
        let landed: Vec<(RunKey, usize)> = world.with(|w| {
            // What a person took back before anybody looked leaves nothing to tell.
            let stands = |l: &&Landed| !w.ledger.edited_after(r.resource.cloud, &uid, l.at);
            let of = |l: &Landed| w.ledger.intents.get(l.intent).filter(|i| i.run.id == r.id).map(|i| (i.run.clone(), i.change));
            w.ledger.landed.iter().filter(stands).filter_map(of).collect()
        });
        for (run, change) in landed {
            let label = world.label(r.id);
            if !says(&run.hash, &["Intended"]) {
                world.broken(
                    "writes-are-recorded",
                    format!("{label}: change {} took effect, and its plan is not in the record", change + 1),
                );
            }
            if !says(&run.hash, &["Applied", "Applied by observation", "Failed", "Precondition failed", "Stuck"]) && !gone {
                let why = format!("{label}: change {} took effect, and the record does not say what came of it", change + 1);
                world.broken("writes-are-recorded", why);
            }
        }
    }
}
