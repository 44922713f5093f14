//! The generic tests every shipped fix must pass: it fixes and proves, twice is once, it can be put back, and putting back
//! twice is once, a failure after any change rolls back, and drift stops an undo.

use stanch_core::fix::UndoClass;
use stanch_core::remediation::Remediation;
use stanch_core::state::{Resolution, State};

use crate::record;
use crate::subjects::SUBJECTS;
use crate::world::{Subject, World, library, wait};

const FIXED: State = State::Resolved { how: Resolution::Fixed };

/// Reports the subject and, where a person must say yes, says yes.
fn fix(world: &World, subject: &Subject) -> Remediation {
    let remediation = world.open(&subject.finding());
    if remediation.state == State::AwaitingApproval {
        wait(world.engine.approve(remediation.id, "test:ann", None)).expect("approved");
        world.rest(remediation.id);
        wait(world.engine.send_outbox(100)).expect("sent");
    }
    world.load(remediation.id)
}

fn is_good(state: State) -> bool {
    state == FIXED || matches!(state, State::Contained { .. })
}

#[test]
fn every_shipped_fix_has_a_subject() {
    let names: Vec<String> = library().all().map(|f| f.expect("compiles").name.clone()).collect();
    for name in &names {
        assert!(SUBJECTS.iter().any(|s| s.fix == name), "fix `{name}` is not exercised: add it to SUBJECTS");
    }
}

#[test]
fn it_fixes_proves_and_tells_the_source() {
    for subject in SUBJECTS {
        let world = World::new();
        let remediation = fix(&world, subject);
        assert!(is_good(remediation.state), "{}: {} ({})", subject.fix, remediation.state, remediation.note);
        let run = remediation.fix.expect("a run");
        assert_eq!(run.plan.fix, subject.fix);
        assert_eq!(world.writes(), run.plan.changes.len(), "{}: one write for each change", subject.fix);
        assert!(remediation.times.verified.is_some(), "{}", subject.fix);
        let told = world.source.written();
        let plan = format!("(plan {})", run.hash.get(..12).expect("a long hash"));
        assert!(told.iter().any(|(_, _, _, note)| note.contains(&plan)), "{}: {told:?}", subject.fix);
        let report = world.store.verify_all().expect("the record reads");
        assert_eq!(report.faults, [], "{}", subject.fix);
    }
}

#[test]
fn applying_twice_is_applying_once() {
    for subject in SUBJECTS {
        let world = World::new();
        fix(&world, subject);
        let writes = world.writes();
        let mut again = subject.finding();
        again.uid = "the-same-fault-by-another-report".into();
        again.source_ref.id = again.uid.clone();
        world.report(&again);
        assert_eq!(world.writes(), writes, "{}: the second report wrote something", subject.fix);
    }
}

#[test]
fn it_can_be_put_back_exactly_and_putting_back_twice_is_once() {
    for subject in SUBJECTS {
        let world = World::new();
        let before = world.sandbox.state(subject.cloud, subject.uid);
        let fixed = fix(&world, subject);
        let digest = library().fix(subject.fix).expect("the fix").digest.clone();
        if let Some(UndoClass::Impossible(why)) = fixed.fix.as_ref().map(|r| r.plan.undo.clone()) {
            let error = wait(world.engine.undo(fixed.id, "test:ann")).unwrap_err().to_string();
            assert!(error.contains(&why), "{}: {error}", subject.fix);
            record::exchanges(&world.sandbox, subject.fix, &digest);
            continue;
        }
        let undone = world.undo(fixed.id);
        assert_eq!(undone.state, State::RolledBack, "{}: {}", subject.fix, undone.note);
        let (fix_run, undo_run) = (fixed.fix.expect("a fix"), undone.undo.expect("an undo"));
        let left = undo_run.left.expect("what the undo left").values;
        for (name, value) in &fix_run.plan.observed {
            assert_eq!(left.get(name), Some(value), "{}: `{name}` is not as before", subject.fix);
        }
        assert_eq!(before.is_some(), world.sandbox.state(subject.cloud, subject.uid).is_some(), "{}", subject.fix);

        record::exchanges(&world.sandbox, subject.fix, &digest);
        let writes = world.writes();
        assert!(wait(world.engine.undo(undone.id, "test:ann")).is_err(), "{}: a second undo", subject.fix);
        assert_eq!(world.writes(), writes, "{}", subject.fix);
    }
}

#[test]
fn after_an_undo_it_is_held_off_and_a_person_may_have_it_applied_again() {
    for subject in SUBJECTS {
        let world = World::new();
        let fixed = fix(&world, subject);
        if wait(world.engine.undo_plan(fixed.id)).is_err() {
            continue;
        }
        let undone = world.undo(fixed.id);
        let writes = world.writes();
        wait(world.engine.reopen(undone.id, "test:ann")).expect("reopened");
        world.rest(undone.id);
        let held = world.load(undone.id);
        assert_eq!(held.state, State::AwaitingApproval, "{}: {}", subject.fix, held.note);
        assert!(held.note.contains("holds it off"), "{}: {}", subject.fix, held.note);
        assert_eq!(world.writes(), writes, "{}", subject.fix);
    }
}

#[test]
fn a_failure_after_any_change_puts_back_what_was_done() {
    for subject in SUBJECTS {
        let probe = World::new();
        let plan = fix(&probe, subject).fix.expect("a run").plan;
        if matches!(plan.undo, UndoClass::Impossible(_)) {
            continue;
        }
        for failing in 0..plan.changes.len() {
            let world = World::denying(failing);
            let failed = fix(&world, subject);
            let expected = if failing == 0 { State::Failed } else { State::RolledBack };
            assert_eq!(failed.state, expected, "{} change {}: {}", subject.fix, failing + 1, failed.note);
            let run = failed.run().expect("a run");
            if failing > 0 {
                let left = run.left.as_ref().expect("what the rollback left");
                assert_eq!(
                    run.plan.projection(left),
                    failed.fix.as_ref().expect("a fix").plan.observed,
                    "{} change {}",
                    subject.fix,
                    failing + 1
                );
            }
        }
    }
}

#[test]
fn somebody_elses_change_after_the_fix_stops_the_undo() {
    for subject in SUBJECTS {
        let world = World::new();
        let fixed = fix(&world, subject);
        let Ok((plan, _)) = wait(world.engine.undo_plan(fixed.id)) else { continue };
        // The first write of the undo, made by hand, is somebody else's change.
        let change = &plan.changes[0];
        if !change.late.is_empty() {
            continue; // needs a token of a fresh read; the hand-made change would be refused by the cloud
        }
        let answer = wait(stanch_core::port::CloudApi::call(&world.sandbox, &change.request, 1_000)).expect("an answer");
        assert_eq!(answer.fault, None, "{}", subject.fix);
        for _ in 0..4 {
            let _ = wait(world.engine.undo_plan(fixed.id)); // an asynchronous change takes a few reads to show
        }
        let writes = world.writes();
        let error = wait(world.engine.undo(fixed.id, "test:ann")).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("was changed after the fix") || error.contains("is gone"), "{}: {error}", subject.fix);
        assert_eq!(world.writes(), writes, "{}", subject.fix);
    }
}

#[test]
fn a_gone_resource_and_a_compliant_one_cost_no_write() {
    for subject in SUBJECTS {
        let world = World::new();
        // An account is never gone; without its settings it has the defaults.
        if subject.kind != "AwsAccount" && world.sandbox.delete(subject.cloud, subject.uid).is_ok() {
            let gone = world.open(&subject.finding());
            if gone.state != (State::Resolved { how: Resolution::Compliant }) {
                assert_eq!(gone.state, State::Resolved { how: Resolution::Gone }, "{}: {}", subject.fix, gone.note);
            }
            assert_eq!(world.writes(), 0, "{}", subject.fix);
        }
        let world = World::new();
        fix(&world, subject);
        let writes = world.writes();
        // The same fault as another store sees it: it knows nothing of the first.
        let other = World::on(world.sandbox.clone(), &crate::world::auto_rules());
        let seen = other.open(&subject.finding());
        if !matches!(fixed_activity(subject), stanch_core::fix::Activity::Isolate) {
            assert_eq!(seen.state, State::Resolved { how: Resolution::Compliant }, "{}: {}", subject.fix, seen.note);
        }
        assert_eq!(other.writes(), writes, "{}", subject.fix);
    }
}

fn fixed_activity(subject: &Subject) -> stanch_core::fix::Activity {
    library().fix(subject.fix).expect("the fix").activity
}
