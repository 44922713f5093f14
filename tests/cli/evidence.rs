//! What an auditor gets: proofs, exports, and what was put aside.

use serde_json::{Value, json};
use stanch_core::chain::{self, ChainEntry, ChainHead};
use stanch_core::port::{Parked, ParkedKind, Store};
use stanch_core::remediation::RemediationId;
use stanch_store::SqliteStore;

use crate::cloud::Cloud;
use crate::{Desk, payload};

/// A desk on which one remediation was applied.
fn desk(cloud: &Cloud) -> Desk {
    let desk = Desk::new().set("STANCH_AZURE_ENDPOINT", cloud.url()).set("STANCH_DATA", "data").set("STANCH_CHECKPOINTS", "vault");
    desk.file("event.json", payload::PROWLER_AZURE);
    let hash = desk.run(&["plan", "event.json", "--json"]).code(0).lines().remove(0)["hash"].as_str().unwrap().to_owned();
    desk.run(&["apply", "event.json", "--approve", &hash]).code(0);
    desk
}

fn store(desk: &Desk) -> SqliteStore {
    SqliteStore::open(&desk.folder.path().join("data")).unwrap()
}

fn wait<T>(future: stanch_core::port::BoxFuture<'_, T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_checkpoint_proves_until_when_and_a_deletion_is_found() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    let made = desk.run(&["audit", "checkpoint"]).code(0);
    assert!(made.out.starts_with("checkpoint 1 written to `vault/checkpoint-00000001.jsonl`: 1 remediation, "), "{}", made.out);
    assert!(desk.run(&["audit", "checkpoint"]).code(0).out.starts_with("nothing is new"));
    let file = "vault/checkpoint-00000001.jsonl";

    let bare = desk.run(&["audit", "verify"]).code(0);
    for part in ["every record holds", "not proven without a checkpoint", "cut at its end", "written anew with valid hashes", "deleted"] {
        assert!(bare.out.contains(part), "{part}: {}", bare.out);
    }
    let proven = desk.run(&["audit", "verify", "--checkpoint", file]).code(0);
    assert!(proven.out.contains("\nproven by checkpoint 1: all that was recorded until 20"), "{}", proven.out);
    assert!(!proven.out.contains("not proven"), "{}", proven.out);
    let id = desk.run(&["remediations", "list", "--json"]).code(0).lines()[0]["id"].as_str().unwrap().to_owned();
    desk.run(&["undo", &id]).code(0);
    let later = desk.run(&["audit", "verify", "--checkpoint", file, "--json"]).code(0).lines().remove(0);
    assert_eq!((&later["faults"], &later["proof"]["checkpoint"], &later["unproven"]), (&json!([]), &json!(1), &json!([])));
    assert!(later["proof"]["later_entries"].as_u64().unwrap() > 0, "{later}");
    let second = desk.run(&["audit", "checkpoint", "--json"]).code(0).lines().remove(0);
    assert_eq!((&second["header"]["number"], &second["changed"]), (&json!(2), &json!(1)));

    // Somebody starts afresh with an empty database.
    std::fs::rename(desk.folder.path().join("data"), desk.folder.path().join("gone")).unwrap();
    desk.run(&["writes", "on"]).code(0);
    desk.run(&["audit", "verify"]).code(0);
    let found = desk.run(&["audit", "verify", "--checkpoint", "vault/checkpoint-00000002.jsonl"]).code(1);
    assert!(found.out.contains(&format!("{id}: the remediation was deleted: checkpoint 2 saw ")), "{}", found.out);
    assert_eq!(found.err, "error: records were changed outside stanch\n");
    let lost = desk.run(&["audit", "checkpoint"]).code(1);
    assert!(lost.err.contains(&id) && lost.err.contains("no longer as earlier checkpoints saw them"), "{}", lost.err);
    assert!(desk.run(&["audit", "verify", "--checkpoint", "none.jsonl"]).code(2).err.contains("there is no checkpoint `none.jsonl`"));
}

#[test]
fn an_export_alone_lets_anybody_compute_the_chain() {
    let cloud = Cloud::new();
    let desk = desk(&cloud);
    desk.run(&["audit", "checkpoint"]).code(0);
    let run = desk.run(&["audit", "export"]).code(0);
    let lines = run.lines();
    let (case, entries) = lines.split_first().unwrap();
    assert!(run.err.ends_with(&format!("1 remediation, {} record entries\n", entries.len())), "{}", run.err);
    let stanch = |line: &Value| line["unmapped"]["stanch"].clone();
    assert_eq!(stanch(case)["kind"], "case");
    assert_eq!(stanch(case)["approvals"][0]["by"], "cli:alice");
    assert_eq!(stanch(case)["approvals"][0]["how"], "self-approved");
    let set = &stanch(case)["fix"]["plan"]["changes"][0]["sets"][0];
    assert_eq!((&set["path"], &set["before"], &set["after"]), (&json!("account.allowBlobPublicAccess"), &json!(true), &json!(false)));
    assert_eq!(stanch(case)["fix"]["hash"], case["unmapped"]["plan_hash"]);
    assert!(case["api"]["request"]["uid"].as_str().unwrap().starts_with("request-"), "{case}");
    assert!(entries.iter().any(|line| line["api"]["request"]["uid"].is_string()), "the entries name the provider's request too");

    let id = RemediationId::parse(stanch(case)["remediation"].as_str().unwrap()).unwrap();
    let record: Vec<ChainEntry> = entries
        .iter()
        .map(|line| ChainEntry {
            sequence: stanch(line)["sequence"].as_u64().unwrap(),
            hash: stanch(line)["hash"].as_str().unwrap().to_owned(),
            body: line["raw_data"].as_str().unwrap().to_owned(),
        })
        .collect();
    let head: ChainHead = serde_json::from_value(stanch(case)["chain"].clone()).unwrap();
    assert_eq!(chain::verify(id, &head, &record), Ok(()));
    let checkpoint = std::fs::read_to_string(desk.folder.path().join("vault/checkpoint-00000001.jsonl")).unwrap();
    let leaf: Value = serde_json::from_str(checkpoint.lines().nth(1).unwrap()).unwrap();
    assert_eq!(leaf, json!({"id": id, "length": head.length, "hash": head.hash}));

    assert_eq!(desk.run(&["audit", "export", "--state", "resolved"]).code(0).lines().len(), lines.len());
    assert_eq!(desk.run(&["audit", "export", "--state", "stuck"]).code(0).out, "");
    assert_eq!(desk.run(&["audit", "export", "--since", "2020-01-01"]).code(0).lines().len(), lines.len());
    assert_eq!(desk.run(&["audit", "export", "--since", "9999-01-01"]).code(0).out, "");
    desk.run(&["audit", "export", "--since", "yesterday"]).code(2);
}

#[test]
fn what_is_parked_is_shown_tried_again_and_dropped() {
    let cloud = Cloud::new();
    let desk = Desk::new().set("STANCH_AZURE_ENDPOINT", cloud.url()).set("STANCH_DATA", "data");
    let good = Parked::new(ParkedKind::Event, "ocsf-finding", "the store was away", payload::PROWLER_AZURE, 1_790_000_000_000);
    let bad = Parked::new(ParkedKind::Event, "ocsf-finding", "not a finding\u{1b}[2J", "{\"hello\":1}", 1_790_000_001_000);
    let lost = Parked::new(ParkedKind::Event, "no-such-function", "unknown", "{}", 1_790_000_002_000);
    let newer = Parked::new(ParkedKind::Message, "remediations", "of a newer stanch", r#"{"format":900,"id":1}"#, 1_790_000_003_000);
    let kept = store(&desk);
    for parked in [&good, &bad, &lost, &newer] {
        wait(kept.park(parked.clone())).unwrap();
    }
    drop(kept);

    let list = desk.run(&["parked", "list"]).code(0);
    assert_eq!(list.out.lines().count(), 4);
    assert!(list.out.starts_with(&good.id[..12]) && !list.out.contains('\u{1b}'), "{}", list.out);
    assert_eq!(desk.run(&["parked", "list", "--limit", "1", "--json"]).code(0).lines()[0]["id"], good.id);
    let shown = desk.run(&["parked", "show", &bad.id[..8]]).code(0);
    assert!(shown.out.contains("came to   ocsf-finding\n") && shown.out.ends_with("\n\n{\"hello\":1}\n"), "{}", shown.out);
    assert_eq!(desk.run(&["parked", "show", &bad.id, "--json"]).code(0).lines()[0]["body"], "{\"hello\":1}");

    let taken = desk.run(&["parked", "retry", &good.id[..12]]).code(0);
    assert!(taken.err.contains("taken in"), "{}", taken.err);
    assert_eq!(desk.run(&["remediations", "list", "--json"]).code(0).lines().len(), 1);
    let refused = desk.run(&["parked", "retry", &bad.id]).code(1);
    assert!(refused.err.contains("stays parked: "), "{}", refused.err);
    let unknown = desk.run(&["parked", "retry", &lost.id]).code(1);
    assert!(unknown.err.contains("stays parked: ") && unknown.err.contains("`no-such-function`"), "{}", unknown.err);
    let not_followed = desk.run(&["parked", "retry", &newer.id]).code(1);
    assert!(not_followed.err.contains("stays parked: ") && not_followed.err.contains("format 900"), "{}", not_followed.err);
    desk.run(&["parked", "drop", &lost.id]).code(2);
    desk.run(&["parked", "drop", &lost.id, "--why", "a test"]).code(0);
    desk.run(&["parked", "drop", &lost.id, "--why", "a test"]).code(2);
    assert!(desk.run(&["parked", "show", "xyz"]).code(2).err.contains("at least 6 hexadecimal digits"));
    let left = desk.run(&["parked", "list", "--json"]).code(0).lines();
    assert_eq!(left.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), [bad.id.as_str(), newer.id.as_str()]);
}
