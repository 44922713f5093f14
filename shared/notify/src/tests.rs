//! What a receiver sees, on a listener of our own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stanch_core::port::{Notice, Notifier, NotifyError};
use stanch_core::remediation::RemediationId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{Channel, ChannelError, SignedWebhook};

const SECRET: &str = "s3cr3t-of-the-channel";

fn notice() -> Notice {
    Notice {
        remediation: RemediationId(Uuid::from_u128(7)),
        title: "Plan waits for approval".into(),
        state: "awaiting-approval".into(),
        facts: vec![("Cloud".into(), "azure".into()), ("Resource".into(), "a \"quoted\" é".into())],
        at: 1_700_000_000_999,
    }
}

/// A request as received: header lines in lower case, then the body.
struct Received {
    head: Vec<String>,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.head
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.head))
    }
}

/// Sends one notice to a listener that gives `answer`, and hands back what it received.
async fn exchange(answer: &str) -> (Result<(), NotifyError>, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/path-token", listener.local_addr().unwrap());
    let webhook = webhook(&url);
    let (notice, key) = (notice(), Uuid::from_u128(42));
    let send = webhook.send("teams", key, &notice, notice.at);
    let (sent, received) = tokio::join!(send, serve(&listener, answer));
    (sent, received)
}

async fn serve(listener: &TcpListener, answer: &str) -> Received {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        if let Some(received) = parse(&bytes) {
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return received;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the request ended early");
    }
}

/// The request, once it is there whole.
fn parse(bytes: &[u8]) -> Option<Received> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head: Vec<String> =
        head.lines().map(|line| line.split_once(": ").map_or(line.to_owned(), |(n, v)| format!("{}: {v}", n.to_lowercase()))).collect();
    let received = Received { head, body: body.to_owned() };
    (received.header("content-length").parse() == Ok(body.len())).then_some(received)
}

fn webhook(url: &str) -> SignedWebhook {
    SignedWebhook::new(BTreeMap::from([("teams".to_owned(), Channel::new(url, SECRET).unwrap())]))
}

/// HMAC-SHA-256 by its definition (RFC 2104), apart from the code under test.
fn hmac_by_definition(secret: &[u8], message: &[u8]) -> String {
    let pad = |with: u8| (0..64).map(|i| secret.get(i).unwrap_or(&0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36).as_slice(), message].concat());
    let outer = Sha256::digest([pad(0x5c).as_slice(), &inner].concat());
    outer.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from_digit(u32::from(n), 16).unwrap()).collect()
}

#[tokio::test]
async fn a_receiver_can_verify_what_it_gets() {
    let (sent, got) = exchange("204 No Content").await;
    sent.unwrap();
    assert_eq!(got.head[0], "POST /hook/path-token HTTP/1.1");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-stanch-timestamp"), "1700000000");
    assert_eq!(got.header("x-stanch-idempotency-key"), Uuid::from_u128(42).to_string());
    let signed = format!("{}.{}", got.header("x-stanch-timestamp"), got.body);
    assert_eq!(got.header("x-stanch-signature"), format!("v1={}", hmac_by_definition(SECRET.as_bytes(), signed.as_bytes())));
    assert!(!got.body.contains(SECRET));

    let body: Value = serde_json::from_str(&got.body).unwrap();
    let expected = json!({
        "version": 1,
        "id": Uuid::from_u128(42),
        "sent": 1_700_000_000,
        "notice": {
            "remediation": Uuid::from_u128(7),
            "title": "Plan waits for approval",
            "state": "awaiting-approval",
            "facts": [{"name": "Cloud", "value": "azure"}, {"name": "Resource", "value": "a \"quoted\" é"}],
            "at": 1_700_000_000_999_i64,
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_retry_is_the_same_bytes() {
    let (one, two) = (exchange("503 Busy").await.1, exchange("200 OK").await.1);
    assert_eq!(one.body, two.body);
    assert_eq!(one.header("x-stanch-signature"), two.header("x-stanch-signature"));
}

#[tokio::test]
async fn the_answer_decides_whether_to_try_again() {
    for answer in ["200 OK", "202 Accepted"] {
        exchange(answer).await.0.unwrap();
    }
    for (answer, retry) in [
        ("408 Request Timeout", true),
        ("429 Too Many Requests", true),
        ("500 Internal Server Error", true),
        ("503 Service Unavailable", true),
        ("400 Bad Request", false),
        ("401 Unauthorized", false),
        ("404 Not Found", false),
        ("410 Gone", false),
    ] {
        let error = exchange(answer).await.0.unwrap_err();
        assert_eq!(error.retry, retry, "{answer}");
        let code = answer.split(' ').next().unwrap();
        assert_eq!(error.reason, format!("`127.0.0.1` answered {code}"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answer = format!("307 Temporary Redirect\r\nlocation: http://{}/", elsewhere.local_addr().unwrap());
    let error = exchange(&answer).await.0.unwrap_err();
    assert!(!error.retry);
    assert!(error.reason.contains("answered 307; redirects are not followed"), "{error}");
    let came = elsewhere.into_std().unwrap().accept();
    assert_eq!(came.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came to the other address");
}

#[tokio::test]
async fn no_connection_and_a_lost_answer_are_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/path-token", listener.local_addr().unwrap());
    drop(listener);
    let error = webhook(&url).send("teams", Uuid::nil(), &notice(), 1).await.unwrap_err();
    assert!(error.retry, "{error}");
    shows_no_secret(&error);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = webhook(&format!("http://{}/hook/path-token", listener.local_addr().unwrap()));
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let notice = notice();
    let (sent, ()) = tokio::join!(webhook.send("teams", Uuid::nil(), &notice, 1), hang_up);
    let error = sent.unwrap_err();
    assert!(error.retry, "{error}");
    shows_no_secret(&error);
}

#[tokio::test]
async fn an_unknown_channel_is_not_tried_again() {
    let webhook = webhook("https://example.test/hook");
    let error = webhook.send("pager", Uuid::nil(), &notice(), 1).await.unwrap_err();
    assert!(!error.retry);
    assert_eq!(error.to_string(), "cannot send to channel `pager`: the settings have no channel of this name");
}

#[tokio::test]
async fn neither_debug_nor_errors_show_a_secret() {
    let url = "https://user:pass-word@hooks.example.test/path-token?sig=query-token";
    let webhook = webhook(url);
    let shown = format!("{webhook:?}");
    assert!(shown.contains("hooks.example.test"), "{shown}");
    for secret in [SECRET, "path-token", "query-token", "pass-word"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    shows_no_secret(&exchange("500 Oops").await.0.unwrap_err());
}

fn shows_no_secret(error: &NotifyError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("path-token"), "{shown}");
}

#[test]
fn only_https_leaves_the_machine() {
    let new = |url| Channel::new(url, SECRET).map(drop);
    for fine in ["https://example.test/x", "http://localhost:1/x", "http://127.0.0.1:1/x", "http://127.9.9.9/x", "http://[::1]:1/x"] {
        assert_eq!(new(fine), Ok(()), "{fine}");
    }
    for refused in [
        "http://example.test/x",
        "http://10.0.0.1/",
        "http://localhost.example.test/",
        "http://127.0.0.1.example.test/",
        "ftp://127.0.0.1/",
    ] {
        assert!(matches!(new(refused), Err(ChannelError::Open { .. })), "{refused}");
    }
    assert!(matches!(new("/hook"), Err(ChannelError::Address { .. })));
    assert_eq!(Channel::new("https://example.test", "").map(drop), Err(ChannelError::NoSecret));
    let told = new("http://example.test/path-token").unwrap_err().to_string();
    assert!(told.contains("`http` to `example.test`") && !told.contains("path-token"), "{told}");
}
