//! Each judge is judged first: on exchanges that are right and on exchanges that are wrong in a known way.

use serde_json::Value;
use stanch_core::cloud::Cloud;

use super::{Court, Judged};
use crate::fault::Fault;

/// Proves that the judge of a cloud both accepts and refuses, each for the reason expected.
pub(super) fn prove(court: &Court<'_>, cloud: Cloud) -> Result<(), Fault> {
    let folder = if cloud == Cloud::Azure { "js" } else { "py" };
    let judged = court.judge(cloud, &court.repo.tool(&format!("{folder}/selftest/{cloud}.jsonl")))?;
    settle(cloud, &judged, as_expected)?;
    if let (Cloud::Azure, Some(specs)) = (cloud, &court.specs) {
        settle(cloud, &court.judge(cloud, &specs.join("cases.jsonl"))?, as_published)?;
    }
    Ok(())
}

fn settle(cloud: Cloud, judged: &[Judged], is_right: fn(&Judged) -> bool) -> Result<(), Fault> {
    let wrong: Vec<&Judged> = judged.iter().filter(|one| !is_right(one)).collect();
    println!("{cloud} judge: {} of {} exchanges judged as expected", judged.len() - wrong.len(), judged.len());
    for one in &wrong {
        println!("  line {}: {} got {:?}", one.verdict.line, one.verdict.operation, one.verdict.faults);
    }
    if wrong.is_empty() { Ok(()) } else { Err(Fault::Found(format!("the {cloud} judge cannot be trusted"))) }
}

/// `expect: pass`, or `expect: refuse` and a fault that holds the text `because`.
fn as_expected(one: &Judged) -> bool {
    let text = |name: &str| one.record.get(name).and_then(Value::as_str).unwrap_or_default();
    let faults = &one.verdict.faults;
    match text("expect") {
        "pass" => faults.is_empty(),
        "refuse" => !text("because").is_empty() && faults.iter().any(|fault| fault.contains(text("because"))),
        _ => false,
    }
}

/// `closed_enums`: `pass`, or the beginning of one of the validator's codes.
fn as_published(one: &Judged) -> bool {
    let answer = one.record.get("closed_enums").and_then(Value::as_str).unwrap_or_default();
    let verdict = &one.verdict;
    match answer {
        "" => false,
        "pass" => verdict.faults.is_empty(),
        code => verdict.codes.iter().any(|found| found.starts_with(code)),
    }
}
