//! Events inside the envelopes that transports put around them, and beside them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

/// A finding, as OCSF.
fn finding(uid: &str) -> Value {
    json!({"class_uid": 2004, "metadata": {"version": "1.8.0", "product": {"name": "Scanner"}}, "finding_info": {"uid": uid},
        "cloud": {"provider": "AWS"}, "resources": [{"uid": "arn:aws:s3:::b"}]})
}

/// The findings' ids, the rules of what was passed over, and the faults.
fn seen(delivery: &Value) -> String {
    match read(&delivery.to_string(), &crate::ocsf::read) {
        Ok(reading) => {
            let uids = reading.findings.iter().map(|finding| finding.uid.to_string());
            let rules = reading.passed_over.iter().map(|rule| rule.rule.to_owned());
            uids.chain(rules).chain(reading.faults.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_finding_is_found_inside_every_envelope() {
    let inner = finding("f");
    let text = inner.to_string();
    let encoded = STANDARD.encode(&text);
    let notification = json!({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": text});
    for (what, delivery) in [
        ("bare", inner.clone()),
        ("Event Grid", json!({"id": "1", "eventType": "Any.Kind", "subject": "s", "eventTime": "2026-01-01T00:00:00Z", "data": inner})),
        ("CloudEvents", json!({"specversion": "1.0", "id": "1", "type": "any", "source": "s", "data": inner})),
        ("CloudEvents of 2018", json!({"cloudEventsVersion": "0.1", "eventType": "any", "data": inner})),
        ("CloudEvents with text", json!({"specversion": "1.0", "type": "any", "data": text})),
        ("CloudEvents in base64", json!({"specversion": "1.0", "type": "any", "data_base64": encoded})),
        ("EventBridge", json!({"source": "acme.scanner", "detail-type": "found", "detail": inner})),
        ("Pub/Sub push", json!({"subscription": "s", "message": {"data": encoded, "messageId": "1"}})),
        ("Pub/Sub push, URL-safe", json!({"subscription": "s", "message": {"data": URL_SAFE_NO_PAD.encode(&text)}})),
        ("SNS", notification.clone()),
        ("SNS to a Lambda function", json!({"Records": [{"EventSource": "aws:sns", "Sns": notification}]})),
        ("SQS", json!({"Records": [{"eventSource": "aws:sqs", "body": text}]})),
        ("SNS by SQS", json!({"Records": [{"eventSource": "aws:sqs", "body": notification.to_string()}]})),
    ] {
        assert_eq!(seen(&delivery), "f", "{what}");
    }
    assert_eq!(seen(&json!({"specversion": "1.0", "type": "any", "data": [finding("one"), finding("two")]})), "one, two");
}

#[test]
fn what_is_no_finding_goes_by_the_rule_its_shape_says() {
    let grid = |kind: &str, data: Value| json!([{"id": "1", "eventType": kind, "subject": "s", "eventTime": "2026-01-01T00:00:00Z", "data": data}]);
    for (delivery, rule) in [
        (grid("Microsoft.Storage.BlobCreated", json!({"api": "PutBlob"})), "event-of-a-service"),
        (grid("Any.Kind", json!("words")), "event-of-a-service"),
        (json!({"source": "acme.shop", "detail-type": "order", "detail": {"price": 7}}), "event-of-a-service"),
        (grid("Any.Kind", json!(7)), "event-of-a-service"),
        (json!({"specversion": "1.0", "type": "any", "data_base64": STANDARD.encode("words")}), "event-of-a-service"),
        (grid("Microsoft.EventGrid.SubscriptionDeletedEvent", json!({})), "event-grid-subscription-deleted"),
        (
            json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "SubscribeURL": "https://x"}),
            "sns-handshake",
        ),
    ] {
        assert_eq!(seen(&delivery), rule, "{delivery}");
    }
    assert!(seen(&json!({"hello": 1})).starts_with("error: not a finding stanch knows"));
    assert!(seen(&json!({"subscription": "s", "message": {"data": STANDARD.encode("{\"hello\":1}")}})).starts_with("error: not a finding"));
}

#[test]
fn a_handshake_is_answered_with_its_code() {
    let event = json!([{"id": "1", "topic": "t", "subject": "", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-01T00:00:00Z", "data": {"validationCode": "512d-code", "validationUrl": "https://x"}}]);
    let text = event.to_string();
    let reading = read(&text, &crate::ocsf::read).unwrap();
    assert_eq!(reading.reply.as_deref(), Some(r#"{"validationResponse":"512d-code"}"#));
}

#[test]
fn one_that_cannot_be_read_does_not_keep_the_others_back() {
    let broken = json!({"class_uid": 2004, "metadata": {}});
    assert!(seen(&json!([finding("one"), broken, finding("two")])).starts_with("one, two, OCSF finding: field `finding_info.uid`"));
    assert!(seen(&json!([finding("one"), {"hello": 1}])).starts_with("one, not a finding stanch knows"));
    let push = json!({"subscription": "s", "message": {"data": STANDARD.encode(json!([finding("one"), {"hello": 1}]).to_string())}});
    assert!(seen(&push).starts_with("one, not a finding stanch knows"), "{}", seen(&push));
}

/// Each resource becomes a case that knows the others, and repeats its account: a finding must not grow with the square of its bytes.
#[test]
fn a_finding_that_would_grow_out_of_proportion_is_refused_and_the_others_stand() {
    let many = |count: usize| {
        let mut finding = finding("many");
        finding["resources"] = (0..count).map(|n| json!({"uid": format!("arn:aws:s3:::b{n}")})).collect();
        finding
    };
    assert_eq!(seen(&many(MAX_PARTS)), "many");
    let told = seen(&json!([finding("one"), many(MAX_PARTS + 1)]));
    assert!(told.starts_with("one, a finding: field `resources` is a list of 501; expected at most 500"), "{told}");
    let mut long = finding("long");
    long["cloud"]["account"] = json!({"uid": "111122223333", "name": "x".repeat(1_025)});
    assert!(seen(&long).starts_with("a finding: field `resources[].owner.account` is too long"), "{}", seen(&long));
}

#[test]
fn wrappers_around_wrappers_end_somewhere() {
    let mut event = finding("f");
    for _ in 0..12 {
        event = json!({"specversion": "1.0", "type": "any", "data": event.to_string()});
    }
    assert_eq!(seen(&event), "event-of-a-service");
}

#[test]
fn data_that_is_none_is_told_by_its_field() {
    for (message, problem) in [
        (json!({"messageId": "1"}), "missing (the message has attributes only)"),
        (json!({"messageId": "1", "data": ""}), "empty"),
        (json!({"data": 7, "messageId": "1"}), "not base64"),
        (json!({"data": "%%%"}), "not base64"),
        (json!({"data": STANDARD.encode([0xff, 0xfe])}), "base64 of something that is no UTF-8 text"),
    ] {
        let told = seen(&json!({"subscription": "s", "message": message}));
        assert!(told.starts_with(&format!("error: a Pub/Sub push: field `message.data` is {problem}")), "{told}");
    }
}
