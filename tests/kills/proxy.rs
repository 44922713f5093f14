//! A recording proxy between stanch and moto: it writes down every write, lets it land, and sometimes keeps the answer.
//!
//! It also stands for Security Hub, since moto ignores the filters of GetFindings: a finding is given by its id, and what is
//! written back is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use stanch_core::digest::sha256_hex;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::chance::Chance;
use crate::kinds::Event;

/// One write as it came by.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// The operation, as the vendor names it.
    pub(crate) operation: String,
    /// The event whose resource it is about, by its place in the list of events.
    pub(crate) event: Option<usize>,
    /// SHA-256 of what was asked.
    pub(crate) digest: String,
    /// The correlation id in its `User-Agent`.
    pub(crate) correlation: Option<String>,
    /// When it came, milliseconds since the epoch.
    pub(crate) at: i64,
    /// The request id it was answered with.
    pub(crate) request_id: String,
    /// What the cloud said to it, once it landed.
    pub(crate) status: Option<u16>,
    /// How it stands with the answer.
    pub(crate) answer: Answer,
}

/// How it stands with the answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is still to be given.
    Open,
    /// It was given back.
    Given,
    /// The process that asked died before.
    Lost,
}

/// What the proxy does to answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They go straight back.
    Calm,
    /// They are late by up to 80 ms; one of six comes only when the process is dead, and one of twelve writes even lands only
    /// then.
    Storm,
    /// Answers of writes are kept until the process is dead.
    Silent,
    /// Answers of all calls are.
    Frozen,
}

/// Everything that came by.
#[derive(Default)]
pub(crate) struct Seen {
    /// The events of the run.
    pub(crate) events: Vec<Event>,
    /// The writes, in order.
    pub(crate) writes: Vec<Write>,
    /// How often each word on a finding was written back: the finding's id, the status and the note.
    pub(crate) told: BTreeMap<(String, String), usize>,
    /// Calls in all.
    pub(crate) calls: usize,
    /// Ids by which a write is known to be about an event's resource.
    marks: Vec<(String, usize)>,
}

impl Seen {
    /// Findings that were written back at least once.
    pub(crate) fn told_ids(&self) -> BTreeSet<&str> {
        self.told.keys().map(|(id, _)| id.as_str()).collect()
    }
}

struct Shared {
    moto: String,
    client: reqwest::Client,
    seen: Mutex<Seen>,
    chance: Mutex<Chance>,
    weather: Mutex<Weather>,
    /// Whether the source of the findings can be written to.
    hub: Mutex<bool>,
    /// One more with every process that died.
    deaths: watch::Sender<u64>,
}

/// The proxy; it ends with the test.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts one in front of moto.
    pub(crate) async fn start(moto: &str, chance: Chance) -> Proxy {
        let shared = Arc::new(Shared {
            moto: moto.to_owned(),
            client: crate::client(),
            seen: Mutex::default(),
            chance: Mutex::new(chance),
            weather: Mutex::new(Weather::Calm),
            hub: Mutex::new(true),
            deaths: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Proxy { url, shared }
    }

    /// What came by so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap()
    }

    /// Changes the weather.
    pub(crate) fn turn(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Whether the source of the findings takes what is written back.
    pub(crate) fn take_write_backs(&self, takes: bool) {
        *self.shared.hub.lock().unwrap() = takes;
    }

    /// A process is dead: what was kept for it is let go. Gives how many writes it had no answer to.
    pub(crate) fn died(&self) -> usize {
        let mut seen = self.seen();
        let open = seen.writes.iter_mut().filter(|write| write.answer == Answer::Open);
        let lost = open.map(|write| write.answer = Answer::Lost).count();
        self.shared.deaths.send_modify(|deaths| *deaths += 1);
        lost
    }

    /// Knows a new event and its finding.
    pub(crate) fn add(&self, event: Event) -> usize {
        let mut seen = self.seen();
        let number = seen.events.len();
        seen.marks.push((event.name.clone(), number));
        seen.events.push(event);
        number
    }
}

/// What happens to one call.
#[derive(Clone, Copy)]
enum Fate {
    Answer(Duration),
    KeepAnswer,
    LandLate(Duration),
}

impl Shared {
    fn fate(&self, writes: bool) -> Fate {
        let mut chance = self.chance.lock().unwrap();
        match *self.weather.lock().unwrap() {
            Weather::Frozen => Fate::KeepAnswer,
            Weather::Silent if writes => Fate::KeepAnswer,
            Weather::Storm if writes && chance.one_in(6) => Fate::KeepAnswer,
            Weather::Storm if writes && chance.one_in(12) => Fate::LandLate(chance.ms(200, 3_000)),
            Weather::Storm if writes || chance.one_in(4) => Fate::Answer(chance.ms(0, 80)),
            _ => Fate::Answer(Duration::ZERO),
        }
    }

    /// Keeps an answer for a while, or until the process that asked is dead.
    async fn keep(&self, fate: Fate) {
        match fate {
            Fate::Answer(wait) => tokio::time::sleep(wait).await,
            Fate::KeepAnswer | Fate::LandLate(_) => drop(self.deaths.subscribe().changed().await),
        }
    }
}

async fn pass(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let operation = name(&method, &uri, &headers, &body);
    shared.seen.lock().unwrap().calls += 1;
    if uri.path().starts_with("/findings") {
        if method == Method::PATCH && !*shared.hub.lock().unwrap() {
            return Response::builder().status(503).body(Body::from("{}")).unwrap();
        }
        let answer = hub(&shared, &method, &body);
        shared.keep(shared.fate(false)).await;
        return json_response(&answer);
    }
    if is_read(&operation) {
        shared.keep(shared.fate(false)).await;
        return forward(&shared, method, uri, headers, body, None).await.unwrap_or_else(lost);
    }

    let number = record(&shared, operation, &uri, &headers, &body);
    let fate = shared.fate(true);
    // It lands whatever becomes of the process that sent it, so it runs in a task of its own.
    let landing = tokio::spawn({
        let shared = shared.clone();
        async move {
            if let Fate::LandLate(wait) = fate {
                tokio::time::sleep(wait).await;
            }
            land(&shared, number, method, uri, headers, body).await
        }
    });
    let answer = landing.await.unwrap();
    shared.keep(fate).await;
    let write = &mut shared.seen.lock().unwrap().writes[number];
    if write.answer == Answer::Open {
        write.answer = Answer::Given;
    }
    answer
}

/// Notes a write before it is passed on.
fn record(shared: &Shared, operation: String, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> usize {
    let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let correlation = agent.split_once("(correlation/").and_then(|(_, rest)| rest.split_once(')')).map(|(id, _)| id.to_owned());
    let asked = format!("{uri}\n{}", String::from_utf8_lossy(body));
    let mut seen = shared.seen.lock().unwrap();
    let event = seen.marks.iter().find(|(mark, _)| asked.contains(mark.as_str())).map(|(_, event)| *event);
    let number = seen.writes.len();
    let request_id = format!("write-{number}");
    let digest = sha256_hex(asked.as_bytes());
    seen.writes.push(Write { operation, event, digest, correlation, at: crate::now(), request_id, status: None, answer: Answer::Open });
    number
}

/// Passes a write on and notes what came of it.
async fn land(shared: &Shared, number: usize, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let request_id = format!("write-{number}");
    let answer = match forward(shared, method, uri, headers, body, Some(&request_id)).await {
        Ok(answer) => answer,
        Err(error) => return lost(error),
    };
    let (head, text) = answer.into_parts();
    let text = axum::body::to_bytes(text, usize::MAX).await.unwrap();
    let mut seen = shared.seen.lock().unwrap();
    let event = seen.writes.get_mut(number).and_then(|write| {
        write.status = Some(head.status.as_u16());
        write.event
    });
    // A group is named by its own id from now on.
    let made =
        String::from_utf8_lossy(&text).split_once("<groupId>").and_then(|(_, rest)| rest.split_once("</")).map(|(id, _)| id.to_owned());
    if let (Some(event), Some(id)) = (event, made)
        && !seen.marks.iter().any(|(mark, _)| *mark == id)
    {
        seen.marks.push((id, event));
    }
    Response::from_parts(head, Body::from(text))
}

async fn forward(
    shared: &Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    request_id: Option<&str>,
) -> Result<Response<Body>, reqwest::Error> {
    let url = format!("{}{uri}", shared.moto);
    let mut request = shared.client.request(method, url).body(body);
    for (key, value) in headers.iter().filter(|(key, _)| *key != "content-length") {
        request = request.header(key, value);
    }
    let answer = request.send().await?;
    let mut response = Response::builder().status(answer.status());
    let own = ["transfer-encoding", "content-length", "x-amzn-requestid", "connection"];
    for (key, value) in answer.headers().iter().filter(|(key, _)| !own.contains(&key.as_str())) {
        response = response.header(key, value);
    }
    if let Some(id) = request_id {
        response = response.header("x-amzn-requestid", id);
    }
    Ok(response.body(Body::from(answer.bytes().await?)).unwrap())
}

/// moto itself did not answer: the test cannot go on honestly, and the program must not take it for a refusal.
fn lost(error: reqwest::Error) -> Response<Body> {
    Response::builder().status(502).body(Body::from(error.to_string())).unwrap()
}

fn json_response(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(value.to_string())).unwrap()
}

/// Security Hub: gives the finding that is asked for, takes what is written back.
fn hub(shared: &Shared, method: &Method, body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut seen = shared.seen.lock().unwrap();
    if *method == Method::PATCH {
        let ids: Vec<Value> = asked["FindingIdentifiers"].as_array().cloned().unwrap_or_default();
        for id in ids.iter().filter_map(|finding| finding["Id"].as_str()) {
            let word = format!("{} {}", asked["Workflow"]["Status"], asked["Note"]["Text"]);
            *seen.told.entry((id.to_owned(), word)).or_default() += 1;
        }
        return json!({"ProcessedFindings": ids, "UnprocessedFindings": []});
    }
    let wanted = asked["Filters"]["Id"][0]["Value"].as_str();
    // A sweep asks for all, without an id.
    let findings: Vec<Value> =
        seen.events.iter().filter(|event| wanted.is_none_or(|id| event.id == id)).map(|event| event.finding.clone()).collect();
    json!({"Findings": findings})
}

/// The operation of a request: the form's `Action`, the JSON target, or for S3 what its query names.
fn name(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let form = std::str::from_utf8(body).unwrap_or_default();
    if let Some(action) = form.split('&').find_map(|p| p.strip_prefix("Action=")) {
        return action.to_owned();
    }
    if let Some(target) = headers.get("x-amz-target").and_then(|t| t.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let verb = match *method {
        Method::GET | Method::HEAD => "Get",
        Method::PUT => "Put",
        Method::DELETE => "Delete",
        _ => method.as_str(),
    };
    let what = uri.query().unwrap_or_default().split(['&', '=']).next().unwrap_or_default();
    let mut letters = what.chars();
    let what: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    format!("{verb}{what}")
}

fn is_read(name: &str) -> bool {
    ["Get", "Describe", "List"].iter().any(|verb| name.starts_with(verb))
}
