//! What many rows cost: every question goes by an index, and removing is done in pieces.

use stanch_core::port::{Commit, Store};
use stanch_core::remediation::Remediation;
use stanch_core::state::{Node, Resolution, State};

use super::{in_folder, shell};
use crate::contract::{case, now, plain};
use crate::prune;

#[test]
fn every_question_goes_by_an_index() {
    let (folder, _store) = in_folder();
    let db = shell(&folder);
    let listing = |wanted: &str| format!("SELECT standing FROM remediation WHERE {wanted} ORDER BY id DESC LIMIT 9");
    for (question, sql) in [
        ("due", "SELECT id FROM remediation WHERE next_at <= 5 AND format <= 2 ORDER BY next_at, id LIMIT 9".to_owned()),
        ("outbox", crate::outbox::DUE.to_owned()),
        ("heads", crate::kept::HEADS.to_owned()),
        ("all", listing("?1 IS NULL AND ?2 IS NULL")),
        ("by state", listing("state = ?1 AND ?2 IS NULL")),
        ("by cloud", listing("?1 IS NULL AND cloud = ?2")),
        ("by both", listing("state = ?1 AND +cloud = ?2")),
        ("parked", "SELECT why FROM parked ORDER BY at, id LIMIT 9".to_owned()),
        ("caps", "SELECT rowid FROM cap WHERE window < 5 LIMIT 9".to_owned()),
    ] {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = plan.parameter_count();
        let steps: Vec<String> =
            plan.query_map(rusqlite::params_from_iter(vec![5; count]), |r| r.get("detail")).unwrap().map(Result::unwrap).collect();
        let steps = steps.join("; ");
        assert!(!steps.contains("TEMP B-TREE"), "{question} sorts: {steps}");
        assert!(steps.contains("INDEX"), "{question} goes by no index: {steps}");
    }
}

#[test]
fn removing_goes_on_where_it_stopped() {
    let (folder, store) = in_folder();
    let count = |table: &str| shell(&folder).query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0)).unwrap();
    // Nine in ten are done with; the piece size lies between.
    for n in 1..=600 {
        let state = if n % 10 == 0 { State::Open } else { State::Resolved { how: Resolution::Gone } };
        let bodies = vec![(format!("body {n}"), "text".to_owned())];
        now(store.commit(Commit { bodies, ..plain(Remediation { state, ..case(n) }) })).unwrap();
    }
    assert_eq!(now(store.prune(5_000)).unwrap(), 540);
    assert_eq!(count("body"), 60);
    for n in (10..=600).step_by(10) {
        let open = now(store.load(case(n).id)).unwrap().unwrap();
        now(store.commit(plain(Remediation { state: State::Exempt, ..open }))).unwrap();
    }
    assert_eq!(now(store.prune(5_000)).unwrap(), 60);
    assert_eq!(count("body"), 0);
}

#[test]
fn the_states_at_rest_are_those_of_the_domain() {
    let all = [
        State::Open,
        State::Planned,
        State::AwaitingApproval,
        State::Deferred { until: 1 },
        State::Applying,
        State::Verifying,
        State::Contained { until: 1 },
        State::StillReported,
        State::Undoing,
        State::RolledBack,
        State::Resolved { how: Resolution::Fixed },
        State::Exempt,
        State::Rejected,
        State::Refused,
        State::Failed,
        State::Stuck,
    ];
    assert_eq!(all.iter().map(|state| state.node() as usize).collect::<Vec<_>>(), (0..=Node::Stuck as usize).collect::<Vec<_>>());
    for state in all {
        assert_eq!(prune::AT_REST.contains(&format!("'{}'", state.name())), state.is_at_rest(), "{state}");
    }
}
