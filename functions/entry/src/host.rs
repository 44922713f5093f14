//! The Azure Functions custom handler: what the host sends over loopback, and what it wants back
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
//!
//! `GET /` is answered at once: the host polls it to learn that the process is ready, and nothing is built before the first
//! invocation. `POST /<function>` always gets a JSON body: on an empty one the host waits until the function's time-out. A
//! status other than 2xx makes the invocation fail, so that the trigger's retry brings the batch again: only the store being
//! out of reach does that. State is kept in the storage account that
//! `STANCH_STORAGE_ACCOUNT` names, else in the SQLite store in `STANCH_DATA`, which serves one instance alone.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use stanch_core::port::Kind;
use stanch_engine::trigger::Invocation;
use stanch_engine::{Engine, EngineError};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use crate::functions::{self, Answer, Function, Verdict};
use crate::settings::Settings;
use crate::wiring::{self, WiringError};

/// The largest body of the host: a batch of events.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// Why the handler could not serve.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The port is missing or no port.
    #[error(
        "FUNCTIONS_CUSTOMHANDLER_PORT is `{0}`; the Functions host sets it to a port number\nhint: to try stanch without the host, run `stanch up`"
    )]
    Port(String),
    /// The port cannot be listened on.
    #[error("cannot listen on 127.0.0.1:{port}: {reason}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        reason: std::io::Error,
    },
}

#[derive(Clone)]
struct Shared {
    settings: Arc<Settings>,
    engine: Arc<OnceCell<Engine>>,
}

/// Serves the host until the process is told to end.
pub async fn serve(settings: Settings) -> Result<(), HostError> {
    let text = settings.functions_port.clone().unwrap_or_default();
    let port: u16 = text.parse().map_err(|_| HostError::Port(text))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|reason| HostError::Listen { port, reason })?;
    let shared = Shared { settings: Arc::new(settings), engine: Arc::default() };
    let router = Router::new()
        .route("/", get(|| async { "stanch" }))
        .route("/{function}", post(invoke))
        .fallback(|| async { fault(StatusCode::NOT_FOUND, "expected GET / or POST /<function>") })
        .method_not_allowed_fallback(|| async { fault(StatusCode::METHOD_NOT_ALLOWED, "expected GET / or POST /<function>") })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared);
    axum::serve(listener, router).with_graceful_shutdown(crate::signal::ended()).await.map_err(|reason| HostError::Listen { port, reason })
}

async fn invoke(State(shared): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    let Some(function) = functions::find(&name) else {
        let error = format!("there is no function `{name}`; there are {}", functions::names());
        return fault(StatusCode::NOT_FOUND, &error);
    };
    // In a task of its own: a panic ends the task, never the process, whose restarts the host counts.
    match tokio::spawn(async move { run(&shared, function, &body).await }).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(function = name, %error, "invocation failed inside stanch");
            // Not answered as done: the trigger's retry must bring it again.
            fault(StatusCode::INTERNAL_SERVER_ERROR, "failed inside stanch; please report it")
        }
    }
}

async fn run(shared: &Shared, function: &'static Function, body: &[u8]) -> Response {
    let invocation = match Invocation::read(body) {
        Ok(invocation) => invocation,
        Err(error) => return fault(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Some(origin) = function.http.then(|| asking_origin(&invocation, function.binding)).flatten() {
        let headers = json!({"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"});
        return outputs(json!({"res": {"statusCode": 200, "headers": headers, "body": "{}"}}), function, StatusCode::OK, json!({}));
    }
    let engine = match shared.engine.get_or_try_init(|| build(&shared.settings)).await {
        Ok(engine) => engine,
        Err(error) => {
            tracing::error!(%error, "stanch cannot be set up");
            return fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
        }
    };
    match function.run(engine, &invocation).await {
        Ok(Answer { body, verdict }) => answer(function, status(verdict), body),
        Err(error) => failed(function, &error),
    }
}

/// The status of a run that ended.
pub(crate) fn status(verdict: Verdict) -> StatusCode {
    match verdict {
        Verdict::Accepted => StatusCode::ACCEPTED,
        Verdict::Answered => StatusCode::OK,
        Verdict::Refused => StatusCode::BAD_REQUEST,
    }
}

/// Who asks whether events may be sent here: the handshake of CloudEvents, an `OPTIONS` request with the sender's origin
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md>, section 4). The function's key has let it in.
fn asking_origin(invocation: &Invocation, binding: &str) -> Option<String> {
    let request = match invocation.data.get(binding)? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    let asks = request.get("Method").and_then(Value::as_str).is_some_and(|method| method.eq_ignore_ascii_case("OPTIONS"));
    let headers = request.get("Headers").filter(|_| asks)?.as_object()?;
    let (_, origin) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("WebHook-Request-Origin"))?;
    origin.as_str().or_else(|| origin.get(0)?.as_str()).map(str::to_owned)
}

fn fault(status: StatusCode, error: &str) -> Response {
    (status, axum::Json(json!({ "error": error }))).into_response()
}

fn failed(function: &Function, error: &EngineError) -> Response {
    tracing::error!(function = function.name, %error, "invocation failed");
    let body = json!({ "error": error.to_string() });
    match (error.kind(), error) {
        // The batch must come again; what of it was taken in is not doubled by that.
        (Kind::Retry, _) => (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response(),
        (_, EngineError::Invocation(_) | EngineError::Normalize(_)) if !function.http => {
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
        (Kind::Refuse, _) => answer(function, StatusCode::CONFLICT, body),
        _ => answer(function, StatusCode::BAD_REQUEST, body),
    }
}

/// What the host wants: always a body; for an HTTP trigger the answer as an object. Strings are never bare words, which the
/// host would try to read as base64.
fn answer(function: &Function, status: StatusCode, body: Value) -> Response {
    let out = if function.http {
        json!({"res": {"statusCode": status.as_u16(), "headers": {"content-type": "application/json"}, "body": body.to_string()}})
    } else {
        json!({})
    };
    outputs(out, function, status, body)
}

fn outputs(outputs: Value, function: &Function, status: StatusCode, body: Value) -> Response {
    let logs = [json!({"function": function.name, "status": status.as_u16(), "result": body}).to_string()];
    axum::Json(json!({"Outputs": outputs, "Logs": logs, "ReturnValue": null})).into_response()
}

async fn build(settings: &Settings) -> Result<Engine, WiringError> {
    let rules = wiring::rules(settings.rules.as_deref())?;
    let clouds = wiring::real_clouds(settings)?;
    let state = wiring::state(settings).await?;
    wiring::sweeping_engine(settings, rules, clouds, &state)
}
