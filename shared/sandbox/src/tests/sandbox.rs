use serde_json::{Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::port::ApiError;

use super::{AWS, SUBSCRIPTION, arm, aws, google, http, operation, outcome, seeded, send};
use crate::world::time_text;
use crate::{Sandbox, demo_events};

const BUCKET: &str = "arn:aws:s3:::shop-invoices-archive";

#[test]
fn the_log_holds_reads_and_writes_in_order() {
    let sandbox = seeded();
    aws(&sandbox, "s3.GetPublicAccessBlock", json!({"Bucket": "shop-invoices-archive"}));
    aws(&sandbox, "s3.PutPublicAccessBlock", json!({"Bucket": "shop-web-assets", "PublicAccessBlockConfiguration": {}}));
    google(&sandbox, "GET storage.googleapis.com/storage/v1/b/shop-exports", None);
    let log: Vec<(String, Option<u16>, i64)> = sandbox.requests().iter().map(|r| (r.request.name(), r.status(), r.at)).collect();
    assert_eq!(
        log,
        [
            ("s3.GetPublicAccessBlock".to_owned(), Some(404), super::clock()),
            ("s3.PutPublicAccessBlock".to_owned(), Some(200), super::clock()),
            ("GET storage.googleapis.com/storage/v1/b/shop-exports".to_owned(), Some(200), super::clock()),
        ]
    );
    let writes: Vec<String> = sandbox.writes().iter().map(|r| r.request.name()).collect();
    assert_eq!(writes, ["s3.PutPublicAccessBlock"]);
}

#[test]
fn a_clone_is_the_same_sandbox_and_request_ids_differ() {
    let sandbox = seeded();
    let other = sandbox.clone();
    let first = aws(&other, "sts.GetCallerIdentity", json!({}));
    let second = aws(&sandbox, "sts.GetCallerIdentity", json!({}));
    assert_eq!(first.body["Account"], AWS);
    assert!(first.request_id.is_some());
    assert_ne!(first.request_id, second.request_id);
    assert_eq!(sandbox.requests().len(), 2);
}

#[test]
fn what_is_not_simulated_is_refused_before_it_is_sent() {
    let sandbox = seeded();
    let mut no_region = operation("ec2.DescribeInstances", json!({}));
    no_region.region = None;
    for (request, part) in [
        (operation("s3.DeleteBucket", json!({"Bucket": "x"})), "does not play"),
        (no_region, "names no region"),
        (http(Cloud::Gcp, "p", "GET storage.googleapis.com/storage/v1/b", None), "does not play"),
        (http(Cloud::Gcp, "p", "DELETE storage.googleapis.com/storage/v1/b/shop-exports", None), "does not play"),
        (http(Cloud::Azure, SUBSCRIPTION, "GET vault.azure.net/x?api-version=2023-05-01", None), "management.azure.com only"),
        (http(Cloud::Aws, AWS, "GET s3.amazonaws.com/x", None), "form of call"),
    ] {
        match send(&sandbox, &request) {
            Err(ApiError::NotSent { reason, retry: false, .. }) => assert!(reason.contains(part), "{reason}"),
            other => panic!("{}: {other:?}", request.name()),
        }
    }
    assert!(sandbox.requests().is_empty(), "no cloud saw these calls");
}

#[test]
fn an_edit_behind_the_back_is_seen_and_changes_the_tokens() {
    let sandbox = seeded();
    let get = |s: &Sandbox| google(s, "GET storage.googleapis.com/storage/v1/b/shop-exports/iam", None).body;
    let before = get(&sandbox);
    let id = "//storage.googleapis.com/shop-exports/iam";
    sandbox.edit(Cloud::Gcp, id, |policy| policy["bindings"] = json!([])).unwrap();
    let after = get(&sandbox);
    assert_eq!(after["bindings"], json!([]));
    assert_ne!(after["etag"], before["etag"]);

    sandbox.edit(Cloud::Gcp, "//storage.googleapis.com/shop-exports", |b| b["labels"] = json!({})).unwrap();
    let bucket = google(&sandbox, "GET storage.googleapis.com/storage/v1/b/shop-exports", None).body;
    assert_eq!(bucket["metageneration"], "4");

    let error = sandbox.edit(Cloud::Aws, "arn:aws:s3:::nobody", |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the sandbox holds no aws resource `arn:aws:s3:::nobody`");
}

#[test]
fn a_deleted_resource_is_gone_and_in_azure_what_is_inside_it_too() {
    let sandbox = seeded();
    sandbox.delete(Cloud::Aws, BUCKET).unwrap();
    let input = json!({"Bucket": "shop-invoices-archive"});
    assert_eq!(outcome(&aws(&sandbox, "s3.GetPublicAccessBlock", input)), "404 NoSuchBucket");
    assert!(sandbox.delete(Cloud::Aws, BUCKET).is_err());

    let server = format!("{}/MICROSOFT.SQL/SERVERS/SHOP-SQL-01", super::ARM);
    sandbox.delete(Cloud::Azure, &server).unwrap();
    assert_eq!(outcome(&arm(&sandbox, "GET Microsoft.Sql/servers/shop-sql-01", None)), "404 ResourceNotFound");
    assert_eq!(sandbox.state(Cloud::Azure, &format!("{server}/firewallRules/office")), None);
}

#[test]
fn a_resource_put_there_is_served_and_state_shows_it() {
    let sandbox = Sandbox::new(super::clock);
    assert_eq!(sandbox.state(Cloud::Aws, "arn:aws:s3:::mine"), None);
    sandbox.put(Cloud::Aws, "arn:aws:s3:::mine", json!({"Name": "mine", "Owner": AWS, "Region": "eu-west-1"}));
    let answer = aws(&sandbox, "s3.HeadBucket", json!({"Bucket": "mine"}));
    assert_eq!(answer.body["BucketRegion"], "eu-west-1");
    assert_eq!(sandbox.state(Cloud::Aws, "arn:aws:s3:::mine").unwrap()["Name"], "mine");
}

#[test]
fn state_is_what_will_stand_and_looking_is_no_read() {
    let sandbox = seeded();
    let id = format!("{}/Microsoft.Sql/servers/shop-sql-01", super::ARM);
    arm(&sandbox, "PATCH Microsoft.Sql/servers/shop-sql-01", Some(json!({"properties": {"minimalTlsVersion": "1.2"}})));
    for _ in 0..5 {
        assert_eq!(sandbox.state(Cloud::Azure, &id).unwrap()["properties"]["minimalTlsVersion"], "1.2");
    }
    let read = arm(&sandbox, "GET Microsoft.Sql/servers/shop-sql-01", None);
    assert_eq!(read.body["properties"]["minimalTlsVersion"], "1.0");
}

#[test]
fn times_are_written_as_the_calendar_has_them() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_123, "2000-02-29T00:00:00.123Z"),
        (1_795_161_600_000, "2026-11-20T08:00:00.000Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
    ] {
        assert_eq!(time_text(ms), text);
    }
}

#[test]
fn the_demo_events_report_what_stands_in_the_estate() {
    let sandbox = seeded();
    let mut resources = Vec::new();
    for event in demo_events() {
        let payload: Value = serde_json::from_str(event.json).unwrap();
        let (cloud, id) = match event.function {
            "securityhub-finding" => (Cloud::Aws, payload["detail"]["findings"][0]["Resources"][0]["Id"].clone()),
            "defender-recommendation" => (Cloud::Azure, payload["properties"]["resourceDetails"]["id"].clone()),
            "scc-finding" => match payload.get("message") {
                // The push form carries the notification as base64.
                Some(message) => (Cloud::Gcp, decoded(message["data"].as_str().unwrap())["finding"]["resourceName"].clone()),
                None => (Cloud::Gcp, payload["finding"]["resourceName"].clone()),
            },
            other => panic!("no function is called {other}"),
        };
        let id = id.as_str().unwrap().to_owned();
        assert!(sandbox.state(cloud, &id).is_some(), "{}: the estate holds no {id}", event.title);
        resources.push(id);
    }
    resources.sort();
    resources.dedup();
    assert_eq!(resources.len(), 6, "each event is about a resource of its own");
}

fn decoded(base64: &str) -> Value {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no base64"),
    };
    let bits = base64.trim_end_matches('=').bytes().map(digit).collect::<Vec<_>>();
    let mut bytes = Vec::new();
    for group in bits.chunks(4) {
        let word = group.iter().enumerate().fold(0_u32, |word, (at, bits)| word | (u32::from(*bits) << (18 - 6 * at)));
        bytes.extend_from_slice(&word.to_be_bytes()[1..group.len()]);
    }
    serde_json::from_slice(&bytes).unwrap()
}
