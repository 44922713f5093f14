//! One event of each source from bytes to finding, and one to plan, beside the floor: a typed parse of the same bytes by
//! serde_json alone.
//!
//! `cargo bench -p stanch-entry --bench event` prints median times and allocations. It judges nothing.

mod payload;

use std::fmt::Write;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use payload::{PAYLOADS, Payload};
use serde_json::{Map, Value, json};
use stanch_core::api::ApiResponse;
use stanch_core::decide::decide;
use stanch_core::json::Doc;
use stanch_core::ocsf::to_line;
use stanch_core::plan::{Snapshot, plan};
use stanch_core::rule::RuleSet;
use stanch_core::target::Target;
use stanch_library::Library;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const NOW: i64 = 1_790_000_000_000;

fn main() {
    divan::main();
}

/// So many rules of which the last matches.
fn rules(count: usize) -> RuleSet {
    let mut text = String::new();
    for n in 0..count.saturating_sub(1) {
        let _ = writeln!(
            text,
            "rule: r{n}\nmode: record\norder: {n}\nwhen: finding.severity >= HIGH && finding.title.contains('no such title {n}')\ndo: []\n---"
        );
    }
    text.push_str("rule: last\nmode: plan\norder: 9999\nwhen: finding.severity >= MEDIUM && resource.tags['env'] == 'prod'\ndo:\n  - fix: recommended\n");
    RuleSet::load([("bench.yaml", text)]).unwrap_or_default()
}

/// The floor.
#[divan::bench(args = PAYLOADS)]
fn a_typed_parse(bencher: Bencher, payload: Payload) {
    let event = payload.text();
    assert!(payload.parse(&event), "the payload is whole");
    bencher.counter(BytesCount::of_str(event.as_str())).bench(|| payload.parse(black_box(&event)));
}

#[divan::bench(args = PAYLOADS)]
fn b_value_tree(bencher: Bencher, payload: Payload) {
    let event = payload.text();
    bencher.counter(BytesCount::of_str(event.as_str())).bench(|| serde_json::from_str::<Value>(black_box(&event)).is_ok());
}

/// What all connectors stand on: every value of the event, and where it stands.
#[divan::bench(args = PAYLOADS)]
fn c_all_values(bencher: Bencher, payload: Payload) {
    let event = payload.text();
    bencher.counter(BytesCount::of_str(event.as_str())).bench(|| Doc::read(black_box(&event)).is_ok());
}

#[divan::bench(args = PAYLOADS)]
fn d_normalise(bencher: Bencher, payload: Payload) {
    let event = payload.text();
    assert!(payload.normalize(&event).is_ok_and(|reading| reading.findings.len() == 1), "one finding");
    bencher
        .counter(BytesCount::of_str(event.as_str()))
        .bench(|| payload.normalize(black_box(&event)).map(|reading| reading.findings.len()).ok());
}

/// As far as a line of OCSF: what Prowler's own step gives.
#[divan::bench(args = PAYLOADS)]
fn e_normalise_and_write(bencher: Bencher, payload: Payload) {
    let event = payload.text();
    bencher.counter(BytesCount::of_str(event.as_str())).bench(|| {
        let reading = payload.normalize(black_box(&event)).ok()?;
        to_line(reading.findings.first()?, NOW).ok()
    });
}

#[divan::bench(args = [10, 100])]
fn f_normalise_and_decide(bencher: Bencher, count: usize) {
    let (event, rules) = (Payload::SecurityHub.text(), rules(count));
    bencher.bench(|| {
        let findings = stanch_aws::normalize(black_box(&event)).ok()?.findings;
        let finding = findings.first()?;
        Some(decide(&rules, finding, finding.resources.first()?, NOW).mode)
    });
}

#[divan::bench(args = [10, 100])]
fn g_normalise_decide_and_plan(bencher: Bencher, count: usize) {
    let (event, rules) = (Payload::SecurityHub.text(), rules(count));
    let library = Library::builtin().ok();
    let answer = ApiResponse::ok(json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}));
    bencher.bench(|| {
        let findings = stanch_aws::normalize(black_box(&event)).ok()?.findings;
        let finding = findings.first()?;
        let resource = finding.resources.first()?;
        black_box(decide(&rules, finding, resource, NOW).mode);
        let fix = library.as_ref()?.recommend(finding, resource).ok()??;
        let target = Target::of(finding, resource).ok()?;
        let mut snapshot = Snapshot::default();
        fix.take(0, &answer, &mut snapshot).ok()?;
        plan(fix, &target, &Map::new(), &snapshot).ok()
    });
}
