//! What people ask for: a look at what would be done, a no, another try, the way back.

use stanch_core::cloud::Cloud;
use stanch_core::finding::Finding;
use stanch_core::port::{Filter, Store};
use stanch_core::state::{Resolution, State};
use stanch_engine::PreviewOutcome;
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::subject;
use crate::world::{World, auto_rules, wait};

const BUCKET: &str = "aws-s3-block-public-access";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

fn bucket() -> Finding<'static> {
    subject(BUCKET).finding()
}

#[test]
fn a_preview_says_what_would_be_done_and_does_none_of_it() {
    let auto = auto_rules();
    type Prepare = fn(&World);
    let prepared: [(&str, Prepare, &str); 6] = [
        (&auto, |_| (), "plan"),
        (&auto, |world| world.sandbox.delete(Cloud::Aws, subject(BUCKET).uid).expect("a bucket"), "gone"),
        (&auto, |world| drop(world.open(&bucket())), "compliant"),
        (&auto, |world| world.sandbox.inject(Fault::once(FaultKind::Denied, "s3.Get")), "failed"),
        ("rule: keep\nmode: record\n", |_| (), "recorded"),
        (&auto, |_| (), "no fix"),
    ];
    for (rules, prepare, expected) in prepared {
        let world = World::with_rules(rules);
        prepare(&world);
        let before = (world.writes(), wait(world.store.list(&Filter::default())).expect("a list").len());
        let unknown = Finding { rule: Some("S3.999".into()), compliance: None, ..bucket() };
        let mut previews = wait(world.engine.preview(vec![if expected == "no fix" { unknown } else { bucket() }]));
        let preview = previews.pop().expect("one for each resource");
        assert!(previews.is_empty() && preview.resource == subject(BUCKET).uid && preview.title == bucket().title);
        let found = match preview.outcome {
            PreviewOutcome::Plan { hash, plan, .. } => {
                assert_eq!((hash.clone(), plan.changes.len()), (plan.hash(), 1));
                assert_eq!(world.open(&bucket()).fix.expect("a run").hash, hash, "the same is planned when it is asked for");
                continue;
            }
            PreviewOutcome::Gone => "gone",
            PreviewOutcome::Compliant => "compliant",
            PreviewOutcome::Recorded(_) => "recorded",
            PreviewOutcome::NoFix(_) => "no fix",
            PreviewOutcome::Failed(_) => "failed",
        };
        assert_eq!(found, expected);
        assert_eq!((world.writes(), wait(world.store.list(&Filter::default())).expect("a list").len()), before);
    }
}

#[test]
fn what_a_person_answers_stands_in_the_record_under_their_name() {
    let world = World::with_rules("rule: ask\nmode: approve\ndo:\n  - fix: recommended\n");
    let id = world.open(&bucket()).id;
    wait(world.engine.reject(id, "cli:ann", "not this week")).expect("rejected");
    let rejected = world.load(id);
    assert_eq!((rejected.state, world.writes()), (State::Rejected, 0));
    assert!(rejected.note.contains("ann") && rejected.note.contains("not this week"), "{}", rejected.note);
    wait(world.engine.reopen(id, "cli:bob")).expect("reopened");
    world.rest(id);
    assert_eq!(world.load(id).state, State::AwaitingApproval, "it is planned again");
    wait(world.engine.approve(id, "cli:cat", None)).expect("approved");
    world.rest(id);
    assert_eq!(world.load(id).state, FIXED);
    wait(world.engine.undo(id, "cli:dan")).expect("it is put back");
    world.rest(id);
    assert_eq!(world.load(id).state, State::RolledBack);
    let record = wait(world.store.record(id)).expect("a record");
    for (detail, who) in [("Rejected", "cli:ann"), ("Reopened", "cli:bob"), ("Approved", "cli:cat"), ("Undone", "cli:dan")] {
        let entry = record.iter().find(|entry| entry.body.contains(&format!("\"{detail}\"")));
        assert!(entry.is_some_and(|entry| entry.body.contains(who)), "{detail} by {who}");
    }
    assert_eq!(world.store.verify_all().expect("the record reads").faults, []);
}
