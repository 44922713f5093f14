//! Scores are kept as the latest of each scope and name, and open nothing.

use stanch_core::normalize::{Normalized, Reading, Score};
use stanch_engine::scores::list;
use stanch_engine::trigger::take_events;

use crate::world::{World, wait};

/// `scope name current time`.
fn read(event: &str) -> Normalized<'_> {
    let words: Vec<&str> = event.split(' ').collect();
    let score = Score {
        scope: words[0].to_owned(),
        name: words[1].to_owned(),
        title: None,
        current: words[2].parse().unwrap(),
        max: 60.0,
        healthy: None,
        unhealthy: Some(3),
        not_applicable: None,
        time: words[3].parse().ok(),
    };
    Ok(Reading { scores: vec![score], ..Reading::default() })
}

#[test]
fn the_latest_score_of_each_scope_and_name_is_kept_and_a_late_one_changes_nothing() {
    let world = World::new();
    for event in [
        "/subscriptions/b s 9 100",
        "/subscriptions/a s 20 100",
        "/subscriptions/a c 4 100",
        "/subscriptions/a s 30 200",
        "/subscriptions/a s 10 150",
    ] {
        let receipt = wait(take_events(&world.engine, "defender-recommendation", &[event.to_owned()], read)).unwrap();
        assert_eq!((receipt.scores, receipt.taken.len(), receipt.refused.len()), (1, 0, 0));
    }
    let kept: Vec<_> = wait(list(&*world.store)).unwrap().into_iter().map(|s| format!("{} {} {}", s.scope, s.name, s.current)).collect();
    assert_eq!(kept, ["/subscriptions/a c 4", "/subscriptions/a s 30", "/subscriptions/b s 9"]);
}
