//! Applying, approving, rejecting, undoing: every gate holds, and what was done is recorded.

use serde_json::Value;

use crate::cloud::Cloud;
use crate::{Desk, payload};

/// A desk with the finding, on whose data folder `STANCH_DATA` points, before this cloud.
pub(crate) fn desk(cloud: &Cloud) -> Desk {
    let desk = Desk::new().set("STANCH_AZURE_ENDPOINT", cloud.url()).set("STANCH_DATA", "data");
    desk.file("event.json", payload::PROWLER_AZURE);
    desk
}

fn rules(desk: &Desk, mode: &str, more: &str) {
    let rule = format!("rule: close-blobs\nmode: {mode}\nscope: [\"*\"]\n{more}do:\n  - fix: recommended\n");
    desk.file("rules/close.yaml", rule);
}

fn hash(desk: &Desk) -> String {
    let line = desk.run(&["plan", "event.json", "--json"]).code(0).lines().remove(0);
    assert_eq!(line["outcome"], "plan", "{line}");
    line["hash"].as_str().unwrap().to_owned()
}

/// The only remediation there is.
fn only(desk: &Desk) -> Value {
    let mut lines = desk.run(&["remediations", "list", "--json"]).code(0).lines();
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn state(desk: &Desk) -> String {
    only(desk)["state"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_plan_is_shown_then_approved_by_its_hash_applied_proven_and_put_back() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    let hash = hash(&desk);

    let shown = desk.run(&["apply", "event.json"]).code(1);
    assert!(shown.out.contains("    - account.allowBlobPublicAccess: true\n    + account.allowBlobPublicAccess: false\n"), "{}", shown.out);
    assert!(shown.err.contains("waits for approval"), "{}", shown.err);
    let command = format!("hint: stanch apply event.json --approve {hash}\n");
    assert!(shown.err.ends_with(&command), "{}", shown.err);
    assert_eq!((cloud.writes(), state(&desk).as_str()), (0, "planned"));

    let done = desk.run(&["apply", "event.json", "--approve", &hash[..12]]).code(0);
    assert!(done.err.contains("applying: approved by cli:alice") && done.err.contains("resolved (fixed): "), "{}", done.err);
    assert_eq!((cloud.writes(), cloud.is_public()), (1, false));
    // Once more is no second write.
    desk.run(&["apply", "event.json", "--approve", &hash]).code(0);
    assert_eq!(cloud.writes(), 1);

    let id = only(&desk)["id"].as_str().unwrap().to_owned();
    let case = desk.run(&["remediations", "show", &id[..13]]).code(0);
    for part in [
        "resolved (fixed)",
        "by the one who asked for it",
        "request request-1",
        "prowler-azure-1",
        "Self-approved",
        "(cli:alice)",
        "Verified",
    ] {
        assert!(case.out.contains(part), "{part}: {}", case.out);
    }
    assert!(case.out.lines().all(|line| line.chars().count() <= 100), "{}", case.out);

    let plan = desk.run(&["undo", &id, "--plan"]).code(0);
    assert!(plan.out.contains("Put back: ") && plan.out.contains("    + account.allowBlobPublicAccess: true\n"), "{}", plan.out);
    assert_eq!((cloud.writes(), state(&desk).as_str()), (1, "resolved"));
    let undone = desk.run(&["undo", &id]).code(0);
    assert!(undone.out.contains("rolled-back"), "{}", undone.out);
    assert_eq!((cloud.writes(), cloud.is_public()), (2, true));
    // What a person put back is held off: it is planned, and only a person may have it applied again.
    let held = desk.run(&["reopen", &id]).code(0);
    assert!(held.out.contains("holds it off"), "{}", held.out);
    assert_eq!((cloud.writes(), state(&desk).as_str()), (2, "planned"));
    assert!(desk.run(&["audit", "verify"]).code(0).out.starts_with("1 remediation, "));
}

#[test]
fn a_world_that_moved_takes_no_old_approval() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    rules(&desk, "auto", "accept_unproven: [azure-storage-disallow-public-blob]\n");
    let refused = desk.run(&["apply", "event.json", "--rules", "rules", "--approve", &"0".repeat(64)]).code(1);
    assert!(refused.err.starts_with("error: nothing was applied: the live state does not give plan 0000"), "{}", refused.err);
    assert!(refused.err.contains("now gives plan "), "{}", refused.err);
    let hash = hash(&desk);
    cloud.set_public(false);
    let refused = desk.run(&["apply", "event.json", "--approve", &hash]).code(1);
    assert!(refused.err.contains("is right already"), "{}", refused.err);
    assert_eq!(cloud.writes(), 0);
    desk.run(&["apply", "event.json", "--approve", "3f1c"]).code(2);
    // The command that is suggested names what this one was told.
    cloud.set_public(true);
    desk.file("plan only/a.yaml", "rule: a\nmode: plan\ndo:\n  - fix: recommended\n");
    let shown = desk.run(&["apply", "event.json", "--rules", "plan only", "--data", "other"]).code(1);
    assert!(shown.err.ends_with(" --rules 'plan only' --data other\n"), "{}", shown.err);
}

#[test]
fn another_person_approves_where_the_rule_wants_one() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    rules(&desk, "approve", "approvers: {another_person: true}\n");
    let hash = hash(&desk);
    let refused = desk.run(&["apply", "event.json", "--rules", "rules", "--approve", &hash]).code(1);
    assert!(refused.err.starts_with("error: the rule wants another person than cli:alice"), "{}", refused.err);
    assert_eq!((cloud.writes(), state(&desk).as_str()), (0, "awaiting-approval"));
    let id = only(&desk)["id"].as_str().unwrap().to_owned();
    let bob = desk.set("USER", "bob");
    bob.run(&["approve", &id, "--plan", &"ab".repeat(32)]).code(1);
    assert_eq!(cloud.writes(), 0);
    bob.run(&["approve", &id, "--plan", &hash]).code(0);
    assert_eq!((cloud.writes(), cloud.is_public()), (1, false));
    assert!(bob.run(&["approve", &id]).code(1).err.contains("only a waiting plan can be approved"));
}

#[test]
fn the_kill_switch_and_a_rejection_stop_everything() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    rules(&desk, "auto", "accept_unproven: [azure-storage-disallow-public-blob]\n");
    desk.run(&["writes", "off"]).code(0);
    let refused = desk.run(&["apply", "event.json", "--rules", "rules"]).code(1);
    assert!(refused.err.contains("the kill switch is on"), "{}", refused.err);
    assert_eq!((cloud.writes(), state(&desk).as_str()), (0, "refused"));
    desk.run(&["writes", "on"]).code(0);

    let id = only(&desk)["id"].as_str().unwrap().to_owned();
    // Reopened under rules that only plan, it waits and can be rejected.
    desk.run(&["reopen", &id]).code(0);
    assert_eq!(state(&desk), "planned");
    desk.run(&["reject", &id]).code(2);
    let rejected = desk.run(&["reject", &id, "--why", "serves our web site", "--json"]).code(0);
    assert_eq!(rejected.lines()[0]["state"]["name"], "rejected");
    assert!(desk.run(&["approve", &id]).code(1).err.contains("is `rejected`"));
    assert_eq!(cloud.writes(), 0);
    assert!(desk.run(&["undo", &id]).code(1).err.contains("nothing of ours to put back"));
    // Under a rule that writes by itself, it does.
    desk.run(&["reopen", &id, "--rules", "rules"]).code(0);
    assert_eq!((cloud.writes(), cloud.is_public()), (1, false));
}

#[test]
fn a_cloud_that_refuses_or_cannot_be_reached_ends_with_three() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    cloud.refuse(403, "AuthorizationFailed");
    let run = desk.run(&["plan", "event.json"]).code(3);
    assert!(run.err.contains("403 AuthorizationFailed: refused for the test"), "{}", run.err);
    assert!(run.err.contains("\n\nhint: grant what `stanch fixes show azure-storage-disallow-public-blob` lists"), "{}", run.err);
    let run = desk.run(&["apply", "event.json"]).code(3);
    assert!(run.err.contains("is stuck, a person is needed"), "{}", run.err);

    let gone = Desk::new().set("STANCH_AZURE_ENDPOINT", "http://127.0.0.1:1").set("STANCH_DATA", "data");
    gone.file("event.json", payload::PROWLER_AZURE);
    gone.run(&["plan", "event.json"]).code(3);
    let run = gone.run(&["apply", "event.json", "--wait", "0"]).code(3);
    assert!(run.err.contains("could not be planned yet: will try again"), "{}", run.err);
    let text = "no folder";
    let blocked = Desk::new().set("STANCH_DATA", "data");
    blocked.file("event.json", payload::PROWLER_AZURE).file("data", text);
    blocked.run(&["apply", "event.json"]).code(3);
}
