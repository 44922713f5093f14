//! What transports put around an event, and what they send that is none: Event Grid in both of its schemas, CloudEvents,
//! EventBridge, Pub/Sub, SNS and SQS.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;

use super::{NoFinding, NormalizeError, Reader, Reading, events};
use crate::json::{Doc, Json};

/// An SQS record can hold an SNS message that holds an Event Grid event that holds a finding: nothing real is nested deeper.
const MAX_DEPTH: usize = 4;

const HANDSHAKE: NoFinding = NoFinding {
    rule: "event-grid-handshake",
    what: "a subscription handshake",
    shape: "`data.validationCode`, or type `Microsoft.EventGrid.SubscriptionValidationEvent`",
    why: "it asks only whether this endpoint exists, and is answered with its code",
};
const UNSUBSCRIBED: NoFinding = NoFinding {
    rule: "event-grid-subscription-deleted",
    what: "the end of a subscription",
    shape: "type `Microsoft.EventGrid.SubscriptionDeletedEvent`",
    why: "it says that nothing more will come",
};
const SNS_HANDSHAKE: NoFinding = NoFinding {
    rule: "sns-handshake",
    what: "an SNS subscription message",
    shape: "`Type` `SubscriptionConfirmation` or `UnsubscribeConfirmation`, with `TopicArn`",
    why: "it asks the owner of the endpoint to open its `SubscribeURL`; stanch opens no link that an event names",
};
const OTHER_EVENT: NoFinding = NoFinding {
    rule: "event-of-a-service",
    what: "an event about a resource",
    shape: "an Event Grid, CloudEvents or EventBridge envelope whose data is no finding",
    why: "it tells that something happened, not that something is at fault",
};

const EXAMPLE: NoFinding = NoFinding {
    rule: "api-example",
    what: "an example of an API description",
    shape: "`parameters` beside `responses`",
    why: "it shows a call that nobody made",
};

/// The rules for what comes in a transport's envelope and is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&EXAMPLE, &HANDSHAKE, &UNSUBSCRIBED, &SNS_HANDSHAKE, &OTHER_EVENT];

/// What a transport delivered.
enum Inside<'d, 'a> {
    /// Events as they stand.
    Plain(Json<'d, 'a>),
    /// Events in a text of their own.
    Text(Cow<'a, str>),
    /// No event.
    Nothing(&'static NoFinding, Option<String>),
}

/// Reads an event, or what its envelope holds.
pub(super) fn read<'a>(event: Json<'_, 'a>, reader: &impl Reader, reading: &mut Reading<'a>, depth: usize) -> Result<(), NormalizeError> {
    let unknown = match reader(event, reading) {
        Err(unknown @ NormalizeError::Unrecognised { .. }) if depth < MAX_DEPTH => unknown,
        result => return result,
    };
    let Some(envelope) = open(event)? else { return Err(unknown) };
    match &envelope.inside {
        Inside::Nothing(rule, reply) => {
            reading.passed_over.push(rule);
            if reply.is_some() {
                reading.reply.clone_from(reply);
            }
            Ok(())
        }
        Inside::Plain(inner) if inner.is_list() => {
            let alone = inner.items().count() == 1;
            inner.items().try_for_each(|inner| {
                let result = read(inner, reader, reading, depth + 1);
                let result = envelope.settle(result, reading);
                reading.keep_fault(result, alone)
            })
        }
        Inside::Plain(inner) => {
            let result = read(*inner, reader, reading, depth + 1);
            envelope.settle(result, reading)
        }
        Inside::Text(Cow::Borrowed(text)) => {
            let result = texts(text, reader, reading, depth);
            envelope.settle(result, reading)
        }
        Inside::Text(Cow::Owned(text)) => {
            let mut own = Reading::default();
            let result = texts(text, reader, &mut own, depth);
            reading.take_owned(own);
            envelope.settle(result, reading)
        }
    }
}

fn texts<'a>(text: &'a str, reader: &impl Reader, reading: &mut Reading<'a>, depth: usize) -> Result<(), NormalizeError> {
    let events = events(text)?;
    let alone = events.len() == 1;
    events.into_iter().try_for_each(|event| {
        let result = Doc::read(event).and_then(|doc| read(doc.root(), reader, reading, depth + 1));
        reading.keep_fault(result, alone)
    })
}

struct Envelope<'d, 'a> {
    inside: Inside<'d, 'a>,
    /// It carries events of every kind: one that is no finding is nothing unusual.
    any_kind: bool,
}

impl Envelope<'_, '_> {
    fn settle(&self, result: Result<(), NormalizeError>, reading: &mut Reading<'_>) -> Result<(), NormalizeError> {
        match result {
            Err(NormalizeError::Unrecognised { .. }) if self.any_kind => {
                reading.passed_over.push(&OTHER_EVENT);
                Ok(())
            }
            other => other,
        }
    }
}

fn open<'d, 'a>(event: Json<'d, 'a>) -> Result<Option<Envelope<'d, 'a>>, NormalizeError> {
    if let Some(envelope) = event_grid(event)? {
        return Ok(Some(envelope));
    }
    let message = event.get("message");
    let pushed = ["data", "attributes", "messageId", "message_id"].iter().any(|name| message.get(name).is_present());
    if pushed && event.get("subscription").is_present() {
        return data(message, "message.data", "a Pub/Sub push").map(|text| Some(Envelope { inside: Inside::Text(text), any_kind: false }));
    }
    // AWS's own events are known by their source before; a bus also carries what its owner puts on it.
    if event.any(&["detail-type", "detailType"]).is_present() && event.get("detail").is_object() {
        return Ok(Some(Envelope { inside: Inside::Plain(event.get("detail")), any_kind: true }));
    }
    let plain = |inside| Ok(Some(Envelope { inside, any_kind: false }));
    if event.get("parameters").is_object() && event.get("responses").is_object() {
        return plain(Inside::Nothing(&EXAMPLE, None));
    }
    if event.get("TopicArn").is_present() {
        return match event.get("Type").str() {
            Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => plain(Inside::Nothing(&SNS_HANDSHAKE, None)),
            _ => plain(held(event.get("Message"))),
        };
    }
    if let Some(sns) = Some(event.get("Sns")).filter(|sns| sns.get("TopicArn").is_present()) {
        return plain(held(sns.get("Message")));
    }
    if event.any(&["eventSource", "event_source"]).str() == Some("aws:sqs") {
        return plain(held(event.get("body")));
    }
    Ok(None)
}

/// Event Grid's own schema, CloudEvents 1.0, and the CloudEvents 0.1 that Event Grid spoke once.
fn event_grid<'d, 'a>(event: Json<'d, 'a>) -> Result<Option<Envelope<'d, 'a>>, NormalizeError> {
    let kind = event.text_of(&["eventType", "type"]).unwrap_or_default();
    let inner = event.get("data");
    let own = event.get("eventType").is_present() && event.any(&["eventTime", "eventId", "topic", "subject"]).is_present();
    let cloud_event = event.any(&["specversion", "cloudEventsVersion"]).is_present();
    let code = inner.get("validationCode");
    if !own && !cloud_event && !code.is_present() {
        return Ok(None);
    }
    let some = |inside| Ok(Some(Envelope { inside, any_kind: true }));
    if code.is_present() || kind.eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionValidationEvent") {
        let reply = code.text().map(|code| serde_json::json!({ "validationResponse": code }).to_string());
        return some(Inside::Nothing(&HANDSHAKE, reply));
    }
    if kind.eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionDeletedEvent") {
        return some(Inside::Nothing(&UNSUBSCRIBED, None));
    }
    if event.get("data_base64").is_present() {
        return some(match data(event, "data_base64", "a CloudEvents event")? {
            text if is_json(&text) => Inside::Text(text),
            _ => Inside::Nothing(&OTHER_EVENT, None),
        });
    }
    some(match held(inner) {
        Inside::Text(text) if !is_json(&text) => Inside::Nothing(&OTHER_EVENT, None),
        Inside::Plain(inner) if !inner.is_object() && !inner.is_list() => Inside::Nothing(&OTHER_EVENT, None),
        inside => inside,
    })
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// A value as it stands, or the text that holds it.
fn held<'d, 'a>(value: Json<'d, 'a>) -> Inside<'d, 'a> {
    match value.text() {
        Some(text) => Inside::Text(text),
        None => Inside::Plain(value),
    }
}

/// The text inside a field of base64, standard or URL-safe, with or without padding.
fn data<'a>(of: Json<'_, 'a>, field: &'static str, kind: &'static str) -> Result<Cow<'a, str>, NormalizeError> {
    let wrong = |problem: &'static str| NormalizeError::Field {
        kind,
        field: field.into(),
        problem: problem.into(),
        expected: "base64 of an event in JSON".into(),
    };
    let value = of.get(field.rsplit('.').next().unwrap_or(field));
    let Some(data) = value.text() else {
        return Err(wrong(match value.raw() {
            "" | "null" => "missing (the message has attributes only)",
            raw if raw.starts_with('"') => "empty",
            _ => "not a text",
        }));
    };
    let standard: String = data
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let bytes = STANDARD_PAD_INDIFFERENT.decode(standard).map_err(|_| wrong("not base64"))?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong("base64 of something that is no UTF-8 text"))
}
