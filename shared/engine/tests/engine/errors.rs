//! What is done about an error, and what a person is told to do about it.

use stanch_core::finding::Source;
use stanch_core::plan::PlanError;
use stanch_core::port::{ApiError, Kind, SourceError, Store, StoreError};
use stanch_core::state::{Event, State, advance};
use stanch_engine::{EngineError, Handled};
use stanch_sandbox::{Fault, FaultKind};

use crate::subjects::subject;
use crate::work::arrive;
use crate::world::{World, auto_rules, wait};

const BUCKET: &str = "aws-s3-block-public-access";

fn not_sent(reason: &str) -> EngineError {
    ApiError::NotSent { call: "s3.Get".into(), reason: reason.into(), retry: true }.into()
}

fn read(status: u16) -> EngineError {
    PlanError::Read { fix: BUCKET.into(), read: "block".into(), status, code: "Code".into(), message: "why".into() }.into()
}

fn source(retry: bool) -> EngineError {
    let (finding, reason) = ("1".to_owned(), "why".to_owned());
    SourceError { action: "fetch", finding, source_name: Source::SecurityHub, reason, retry }.into()
}

#[test]
fn every_error_says_whether_to_try_again_and_who_can_help() {
    let grant = Some("stanch fixes show aws-s3-block-public-access");
    let unreadable = StoreError::Unreadable { what: "remediation".into(), reason: "odd".into() };
    for (error, kind, hint) in [
        (not_sent("no credentials were found"), Kind::Retry, Some("sign in to that cloud")),
        (not_sent("the token has expired"), Kind::Retry, Some("sign in to that cloud")),
        (not_sent("no connection"), Kind::Retry, None),
        (read(401), Kind::Broken, grant),
        (read(403), Kind::Broken, grant),
        (read(404), Kind::Broken, None),
        (read(429), Kind::Retry, None),
        (read(503), Kind::Retry, None),
        (StoreError::Unavailable { reason: "locked".into() }.into(), Kind::Retry, None),
        (StoreError::Conflict { id: "1".into() }.into(), Kind::Retry, None),
        (unreadable.into(), Kind::Broken, None),
        (EngineError::Throttled { quota: "aws/1/-/s3".into(), until: 1 }, Kind::Retry, None),
        (source(true), Kind::Retry, None),
        (source(false), Kind::Broken, None),
        (EngineError::Refused("no".into()), Kind::Refuse, None),
        (advance(State::Rejected, Event::Allowed).unwrap_err().into(), Kind::Refuse, None),
        (EngineError::Panicked("why".into()), Kind::Broken, None),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.hint().is_some(), hint.is_some(), "{error}: {:?}", error.hint());
        assert!(hint.is_none_or(|hint| error.hint().unwrap().contains(hint)), "{error}: {:?}", error.hint());
    }
}

#[test]
fn a_case_that_lacks_a_permission_says_in_its_note_what_to_grant() {
    let world = World::new();
    world.sandbox.inject(Fault::once(FaultKind::Denied, "s3.Get"));
    let stuck = world.open(&subject(BUCKET).finding());
    assert_eq!(stuck.state, State::Stuck);
    assert!(stuck.note.contains("403") && stuck.note.contains("grant what `stanch fixes show"), "{}", stuck.note);
}

#[test]
fn a_message_about_a_case_that_cannot_be_read_is_parked_at_once() {
    let (world, store) = World::new().with_faults(&auto_rules());
    let id = arrive(&world, &subject(BUCKET).finding());
    store.break_row(id);
    let body = format!(r#"{{"format":2,"id":"{id}","version":1}}"#);
    assert_eq!(wait(world.engine.message(&body, 1)).unwrap(), Handled::Parked, "delivering it again makes no difference");
    let parked = wait(world.store.parked(9)).unwrap();
    assert!(parked[0].why.contains("broken by the test"), "{}", parked[0].why);
}
