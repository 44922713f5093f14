//! An event that names findings without holding them: they are listed at their source and taken in.

use std::collections::BTreeMap;

use serde_json::json;
use stanch_core::normalize::{NormalizeError, Normalized, Reading};
use stanch_core::port::{Having, Scope};
use stanch_engine::Taken;
use stanch_engine::trigger::{Receipt, take_events};

use crate::doctored::{Doctor, Doctored};
use crate::world::{World, numbered, wait};

const NAME: &str = "securityhub-finding";

/// `{"named": […]}`.
fn read(event: &str) -> Normalized<'_> {
    let only = |mut event: BTreeMap<String, Vec<Scope>>| Reading { named: event.remove("named").unwrap_or_default(), ..Reading::default() };
    serde_json::from_str(event).map(only).map_err(|e| NormalizeError::json(&e))
}

fn on(resource: &str) -> Scope {
    let finding = numbered(1);
    Scope {
        source: finding.source,
        cloud: finding.cloud,
        account: finding.account.map(|account| account.uid.to_string()).unwrap_or_default(),
        region: None,
        having: Some(Having { attribute: "ResourceId".into(), value: resource.into() }),
    }
}

fn deliver(world: &World, named: &[Scope]) -> Result<Receipt, stanch_engine::EngineError> {
    wait(take_events(&world.engine, NAME, &[json!({"named": named}).to_string()], read))
}

fn of_three(doctor: Doctor) -> (World, Vec<Scope>) {
    let (world, _) = Doctored::world(doctor);
    let findings: Vec<_> = (1..=3).map(numbered).collect();
    let named = findings.iter().take(2).flat_map(|finding| &finding.resources).map(|resource| on(&resource.uid)).collect();
    for finding in findings {
        world.source.put(finding);
    }
    (world, named)
}

#[test]
fn what_an_event_names_is_taken_in_and_nothing_else() {
    let (world, named) = of_three(|_, _| {});
    let receipt = deliver(&world, &named).unwrap();
    assert_eq!(receipt.taken.iter().map(|intake| intake.taken).collect::<Vec<_>>(), [Taken::Opened; 2]);
    assert!(receipt.refused.is_empty() && receipt.ignored.is_empty());
    let again = deliver(&world, &named).unwrap();
    assert!(again.taken.iter().all(|intake| intake.taken != Taken::Opened), "{again:?}");
}

#[test]
fn a_source_that_is_away_has_the_event_come_again() {
    let (world, named) = of_three(|_, _| {});
    world.source.set_available(false);
    assert!(deliver(&world, &named).is_err());
    world.source.set_available(true);
    assert_eq!(deliver(&world, &named).unwrap().taken.len(), 2);
}

#[test]
fn what_the_source_cannot_list_is_told_and_keeps_no_other_back() {
    let (world, mut named) = of_three(|_, _| {});
    if let Some(having) = named.first_mut().and_then(|scope| scope.having.as_mut()) {
        having.attribute = "Mood".into();
    }
    let receipt = deliver(&world, &named).unwrap();
    assert_eq!(receipt.taken.len(), 1);
    assert!(receipt.refused[0].contains("does not filter findings by `Mood`"), "{:?}", receipt.refused);
}

/// A list without an end is asked for fifty pages.
#[test]
fn an_event_that_names_too_much_is_parked_and_says_so() {
    let (world, named) = of_three(|listed, _| listed.next = Some("again".into()));
    let receipt = deliver(&world, &named).unwrap();
    assert!(receipt.refused[0].contains("more findings than 50 pages"), "{:?}", receipt.refused);
}

#[test]
fn a_row_that_cannot_be_read_is_told_and_keeps_no_other_back() {
    let (world, named) = of_three(|listed, _| {
        listed.unread.push(stanch_core::port::Unread { body: "{}".into(), why: "no id".into() });
    });
    let receipt = deliver(&world, &named).unwrap();
    assert_eq!((receipt.taken.len(), receipt.refused.as_slice()), (2, &["no id".to_owned()][..]));
}
