//! Every applied change can be put back: tried at the very end, on every case that is fixed.

use std::sync::Arc;

use stanch_core::fix::UndoClass;
use stanch_core::remediation::Remediation;
use stanch_core::state::{Resolution, State};
use stanch_engine::Next;

use super::rest::{Cases, edited};
use crate::actors::look;
use crate::clock::{HOUR, now, turn_to};
use crate::ports::engine;
use crate::scheduler::finish;
use crate::stage::Stage;
use crate::world::World;

/// Puts every fixed case back and compares with what was there before.
pub(crate) fn audit(world: &Arc<World>, stage: &Stage, cases: &Cases) {
    for (r, _) in cases {
        let fixed = matches!(r.state, State::Resolved { how: Resolution::Fixed } | State::StillReported);
        let Some(run) = r.fix.as_ref().filter(|_| fixed) else { continue };
        if matches!(run.plan.undo, UndoClass::Impossible(_)) || edited(world, r, run) {
            continue;
        }
        if let Err(why) = put_back(world, stage, r) {
            world.broken("undo-puts-back", format!("{}: {why}", world.label(r.id)));
            return;
        }
    }
}

fn put_back(world: &Arc<World>, stage: &Stage, r: &Remediation) -> Result<(), String> {
    let actor = world.enter("auditor");
    let auditor = engine(world, stage, actor).engine;
    world.with(|w| w.ledger.undo_asked.insert(r.id));
    // A provider may have asked for patience just before.
    turn_to(now() + HOUR);
    // What the clouds still have under way shows in the first reads.
    look(world, stage, r);
    finish(auditor.undo(r.id, "cli:auditor")).map_err(|e| format!("it cannot be put back: {e}"))?;
    for _ in 0..60 {
        match finish(auditor.run(r.id)).map_err(|e| e.to_string())? {
            Next::Now => {}
            Next::At(at) => turn_to(at.max(now())),
            Next::Idle => break,
        }
    }
    let ended = world.store.peek(r.id, Clone::clone).ok_or("it is gone from the store")?;
    if ended.state != State::RolledBack {
        return Err(format!("the undo ended {}: {}", ended.state, ended.note));
    }
    let (Some(run), Some(live)) = (&r.fix, look(world, stage, r)) else { return Err("the resource is gone".to_owned()) };
    let now_is = run.plan.projection(&live);
    if now_is == run.plan.observed { Ok(()) } else { Err(format!("after the undo it is {}", serde_json::Value::Object(now_is))) }
}
