//! A recording proxy: passes every request on to moto and counts the writes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use tokio::net::TcpListener;

/// The proxy; it ends with the test.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Shared {
    target: String,
    client: reqwest::Client,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one in front of `target`.
    pub(crate) async fn start(target: &str) -> Proxy {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared { target: target.to_owned(), client: reqwest::Client::new(), seen: seen.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Proxy { url, seen }
    }

    /// Writes that were passed on.
    pub(crate) fn writes(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|name| !is_read(name)).count()
    }
}

async fn pass(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    shared.seen.lock().unwrap().push(name(&method, &uri, &headers, &body));
    let mut query = uri.query().unwrap_or_default().to_owned();
    if method == Method::DELETE && uri.path().contains("/policy/") {
        // moto 5.2.5 compares this parameter as a list with its own text, so that every revision is refused: not passed on.
        query = query.split('&').filter(|p| !p.starts_with("RevisionId=")).collect::<Vec<_>>().join("&");
    }
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{}{mark}{query}", shared.target, uri.path());
    let mut request = shared.client.request(method, url).body(body);
    for (key, value) in headers.iter().filter(|(key, _)| *key != "content-length") {
        request = request.header(key, value);
    }
    let answer = request.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (key, value) in answer.headers().iter().filter(|(key, _)| *key != "transfer-encoding" && *key != "content-length") {
        response = response.header(key, value);
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

/// The operation of a request: the form's `Action`, the JSON target, or verb and path.
fn name(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let form = std::str::from_utf8(body).unwrap_or_default();
    if let Some(action) = form.split('&').find_map(|p| p.strip_prefix("Action=")) {
        return action.to_owned();
    }
    if let Some(target) = headers.get("x-amz-target").and_then(|t| t.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    format!("{method} {}", uri.path())
}

fn is_read(name: &str) -> bool {
    ["Get", "Describe", "List", "GET ", "HEAD "].iter().any(|verb| name.starts_with(verb))
}
