//! Notices: who is told what, and that it says enough to act on.

use stanch_core::port::Notice;
use stanch_core::state::State;
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::subject;
use crate::world::{World, auto_rules};

const BUCKET: &str = "aws-s3-block-public-access";

fn told(rules: &str, fault: Option<FaultKind>) -> (World, Vec<Notice>) {
    let world = World::with_rules(&rules.replace("do:\n", "do:\n  - notify: {channel: ops}\n"));
    if let Some(kind) = fault {
        world.sandbox.inject(Fault::once(kind, "s3.Get"));
    }
    world.open(&subject(BUCKET).finding());
    let notices = world.post.notices.lock().expect("a lock").clone();
    (world, notices)
}

fn fact<'n>(notice: &'n Notice, name: &str) -> Option<&'n str> {
    notice.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str())
}

#[test]
fn people_are_told_once_of_each_outcome_and_why() {
    let auto = auto_rules();
    for (rules, fault, title, state) in [
        (auto.as_str(), None, "Fixed and proven", "resolved"),
        (auto.as_str(), Some(FaultKind::Denied), "A person is needed", "stuck"),
        ("rule: keep\nmode: record\ndo:\n", None, "A finding was recorded", "open"),
    ] {
        let (world, notices) = told(rules, fault);
        let [notice] = notices.as_slice() else { panic!("{title}: {notices:?}") };
        let case = world.load(notice.remediation);
        assert_eq!((notice.title.as_str(), case.state.name()), (title, state));
        assert_eq!(notice.state, case.state.to_string());
        assert_eq!(fact(notice, "why"), Some(case.note.as_str()), "{title}");
        assert_eq!(fact(notice, "resource"), Some(subject(BUCKET).uid));
        assert_eq!(fact(notice, "plan"), case.fix.as_ref().map(|run| run.hash.as_str()), "{title}");
        assert!(case.state == State::Open || !case.note.is_empty());
    }
}
