//! Scores are kept as the latest of each scope and name, and open nothing.

use serde_json::json;
use stanch_core::normalize::{NormalizeError, Normalized, Reading, Score};
use stanch_engine::scores::list;
use stanch_engine::trigger::take_events;

use crate::world::{World, wait};

fn read(event: &str) -> Normalized<'_> {
    let only = |score: Score| Reading { scores: vec![score], ..Reading::default() };
    serde_json::from_str(event).map(only).map_err(|e| NormalizeError::json(&e))
}

#[test]
fn the_latest_score_of_each_scope_and_name_is_kept_and_a_late_one_changes_nothing() {
    let world = World::new();
    for (scope, name, current, time) in
        [("/b", "s", 9, 100), ("/a", "s", 20, 100), ("/a", "c", 4, 100), ("/a", "s", 30, 200), ("/a", "s", 10, 150), ("/a", "c", 5, 100)]
    {
        let event = json!({"scope": scope, "name": name, "current": current, "max": 60, "time": time}).to_string();
        let receipt = wait(take_events(&world.engine, "defender-recommendation", &[event], read)).unwrap();
        assert_eq!((receipt.scores, receipt.taken.len(), receipt.refused.len()), (1, 0, 0));
    }
    let kept: Vec<_> = wait(list(&*world.store)).unwrap().into_iter().map(|s| format!("{} {} {}", s.scope, s.name, s.current)).collect();
    assert_eq!(kept, ["/a c 5", "/a s 30", "/b s 9"]);
}
