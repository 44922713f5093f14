//! A storage account behind Azure Resource Manager, on a port of this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What the cloud holds and saw.
struct Held {
    /// Whether anonymous access to blobs is allowed.
    public: bool,
    /// `PATCH` requests that were accepted.
    writes: usize,
    /// Refuse everything with this status and code.
    refuse: Option<(u16, &'static str)>,
}

/// The cloud; it answers until the program ends.
pub(crate) struct Cloud {
    url: String,
    held: Arc<Mutex<Held>>,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let held = Arc::new(Mutex::new(Held { public: true, writes: 0, refuse: None }));
        let shared = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &shared);
            }
        });
        Cloud { url, held }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the account stands open.
    pub(crate) fn is_public(&self) -> bool {
        self.held.lock().unwrap().public
    }

    /// Changes it behind everybody's back.
    pub(crate) fn set_public(&self, public: bool) {
        self.held.lock().unwrap().public = public;
    }

    /// How many writes it took.
    pub(crate) fn writes(&self) -> usize {
        self.held.lock().unwrap().writes
    }

    /// From now on refuses everything.
    pub(crate) fn refuse(&self, status: u16, code: &'static str) {
        self.held.lock().unwrap().refuse = Some((status, code));
    }
}

fn answer(stream: &TcpStream, held: &Mutex<Held>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let header =
        |name: &str| head.lines().find_map(|l| l.split_once(':').filter(|(k, _)| k.eq_ignore_ascii_case(name))).map(|(_, v)| v.trim());
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let (status, answer) = decide(&head, &body, &mut held.lock().unwrap());
    let answer = answer.to_string();
    let reply = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\nx-ms-request-id: request-1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    let mut stream = stream;
    drop(stream.write_all(reply.as_bytes()));
}

fn decide(head: &str, body: &[u8], held: &mut Held) -> (u16, Value) {
    if let Some((status, code)) = held.refuse {
        return (status, json!({"error": {"code": code, "message": "refused for the test"}}));
    }
    if !head.to_ascii_lowercase().contains("/storageaccounts/shopinvoices?api-version=") {
        return (404, json!({"error": {"code": "ResourceNotFound", "message": "no such resource"}}));
    }
    if head.starts_with("PATCH ") {
        let body: Value = serde_json::from_slice(body).unwrap();
        held.public = body.pointer("/properties/allowBlobPublicAccess").and_then(Value::as_bool).unwrap_or(held.public);
        held.writes += 1;
    }
    (200, json!({"name": "shopinvoices", "properties": {"allowBlobPublicAccess": held.public}}))
}
