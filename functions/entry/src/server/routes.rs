//! The local server's routes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stanch_core::port::{Filter, Kind, Store};
use stanch_core::remediation::RemediationId;
use stanch_engine::telemetry::{RECONCILES, SWEEPS};
use stanch_engine::{Engine, EngineError, Health};
use tracing::Instrument;

use super::auth;
use crate::{functions, local, parked, telemetry, times};

/// The largest event.
const MAX_BODY: usize = 16 * 1024 * 1024;

#[derive(Clone)]
struct Shared {
    engine: Engine,
    store: Arc<dyn Store>,
    /// Who acts through this door: the token is readable to the server's own user alone, so it is that user.
    by: String,
}

/// What a person answers.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    /// approve: only the plan with this hash.
    hash: Option<String>,
    /// reject: why.
    why: Option<String>,
    /// undo: only show the plan.
    plan: bool,
    /// due: a date, a time with its zone, or `none`.
    due: Option<String>,
}

/// What a person says about something parked.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SaidOfParked {
    /// drop: why.
    why: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    state: Option<String>,
    limit: Option<usize>,
}

/// All routes behind the guard.
pub(super) fn router(engine: Engine, store: Arc<dyn Store>, token: String, user: &str) -> Router {
    // Whoever knows the token can tell by this that the server knows it, too, before sending it.
    let proof = local::proof(&token);
    Router::new()
        .route("/healthz", get(move || async move { Json(json!({"alive": true, "proof": proof})) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/remediations", get(list))
        .route("/api/remediations/{id}", get(show))
        .route("/api/remediations/{id}/{verb}", post(answer))
        .route("/api/parked", get(parked))
        .route("/api/parked/{id}/{verb}", post(answer_parked))
        .route("/{function}", post(event))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(token, auth::guard))
        .with_state(Shared { engine, store, by: format!("local:{user}") })
}

async fn ready(State(shared): State<Shared>) -> Response {
    match shared.engine.health().await {
        Ok(health) if health.rules == 0 => {
            auth::refused(StatusCode::SERVICE_UNAVAILABLE, "no rule is loaded: nothing would be decided about any finding")
        }
        Ok(health) => Json(readiness(&health)).into_response(),
        Err(error) => auth::refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// Times are seconds, points in time milliseconds since the epoch; `null` is what has not happened in this process.
fn readiness(health: &Health) -> Value {
    let counted = telemetry::metrics();
    json!({
        "ready": true,
        "writes": health.writes_allowed,
        "rules": health.rules,
        "queue_age": health.queue_age_ms / 1000,
        "outbox_age": health.outbox_age_ms / 1000,
        "parked": health.parked,
        "last_reconcile": counted.last(&RECONCILES),
        "last_sweep": counted.last(&SWEEPS),
    })
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let health = shared.engine.health().await.ok();
    let text = telemetry::render(&telemetry::metrics(), health.as_ref());
    ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response()
}

async fn list(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    let filter = Filter { state: wanted.state, cloud: None, limit: Some(wanted.limit.unwrap_or(100)) };
    match shared.store.list(&filter).await {
        Ok(rows) => Json(rows).into_response(),
        Err(error) => failed(&error.into()),
    }
}

async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Some(id) = RemediationId::parse(&id) else { return no_id(&id) };
    match shared.engine.load(id).await {
        Ok(remediation) => Json(remediation).into_response(),
        Err(error) => failed(&error),
    }
}

async fn answer(State(shared): State<Shared>, Path((id, verb)): Path<(String, String)>, body: Bytes) -> Response {
    let Some(id) = RemediationId::parse(&id) else { return no_id(&id) };
    let said: Said = match said(&body) {
        Ok(said) => said,
        Err(error) => return failed(&error),
    };
    let span = tracing::error_span!("command", remediation = %id, verb);
    match act(&shared, id, &verb, said).instrument(span).await {
        Ok(value) => Json(value).into_response(),
        Err(error) => failed(&error),
    }
}

/// Reads what a person says; nothing is an empty object.
fn said<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, EngineError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| EngineError::Invocation(format!("the body is not readable: {e}")))
}

async fn act(shared: &Shared, id: RemediationId, verb: &str, said: Said) -> Result<Value, EngineError> {
    let (engine, by) = (&shared.engine, shared.by.as_str());
    match verb {
        "approve" => drop(engine.approve(id, by, said.hash.as_deref()).await?),
        "reject" => match said.why.as_deref().filter(|w| !w.trim().is_empty()) {
            Some(why) => drop(engine.reject(id, by, why).await?),
            None => return Err(EngineError::Invocation("a rejection says `why`, for the record".into())),
        },
        "reopen" => drop(engine.reopen(id, by).await?),
        "undo" if said.plan => {
            let (plan, guard) = engine.undo_plan(id).await?;
            return Ok(json!({"hash": plan.hash(), "plan": plan, "guard": guard}));
        }
        "undo" => drop(engine.undo(id, by).await?),
        "due" => {
            let wanted = said.due.as_deref().ok_or_else(|| "`due` is missing; expected a date or `none`".to_owned());
            let due = wanted.and_then(times::due).map_err(EngineError::Invocation)?;
            engine.set_due(id, due, by).await?;
        }
        other => return Err(EngineError::Invocation(format!("`{other}` is none of approve, reject, undo, reopen, due"))),
    }
    let remediation = engine.load(id).await?;
    Ok(json!({"remediation": id, "state": remediation.state, "note": remediation.note}))
}

/// What is parked, oldest first, without what came.
async fn parked(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    match shared.store.parked(wanted.limit.unwrap_or(100)).await {
        Ok(all) => Json(all.iter().map(parked::summary).collect::<Vec<_>>()).into_response(),
        Err(error) => failed(&error.into()),
    }
}

async fn answer_parked(State(shared): State<Shared>, Path((id, verb)): Path<(String, String)>, body: Bytes) -> Response {
    let span = tracing::error_span!("command", parked = id, verb);
    match act_on_parked(&shared, &id, &verb, &body).instrument(span).await {
        Ok(value) => Json(value).into_response(),
        Err(error) => failed(&error),
    }
}

async fn act_on_parked(shared: &Shared, id: &str, verb: &str, body: &[u8]) -> Result<Value, EngineError> {
    let said: SaidOfParked = said(body)?;
    match verb {
        "retry" => {
            let receipt = parked::retry(&shared.engine, &*shared.store, id).await?;
            Ok(serde_json::to_value(receipt).unwrap_or_default())
        }
        "drop" => match said.why.as_deref().filter(|w| !w.trim().is_empty()) {
            Some(why) => {
                shared.engine.drop_parked(id, &shared.by, why).await?;
                Ok(json!({"dropped": id, "by": shared.by, "why": why}))
            }
            None => Err(EngineError::Invocation("dropping says `why`, for the record".into())),
        },
        other => Err(EngineError::Invocation(format!("`{other}` is none of retry, drop"))),
    }
}

async fn event(State(shared): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    let Some(function) = functions::find(&name) else {
        return auth::refused(StatusCode::NOT_FOUND, &format!("there is no function `{name}`; there are {}", functions::names()));
    };
    let Ok(text) = String::from_utf8(body.to_vec()) else {
        return auth::refused(StatusCode::BAD_REQUEST, "the body is no UTF-8 text");
    };
    // In a task of its own: senders wait some seconds, a store that is away is given up later, and by then nobody may be left to
    // answer. The event is put aside all the same.
    match tokio::spawn(async move { function.run_raw(&shared.engine, text).await }).await {
        Ok(Ok(answer)) => (crate::host::status(answer.verdict), Json(answer.body)).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => {
            tracing::error!(function = name, %error, "event failed inside stanch");
            failed(&EngineError::Panicked("its task ended; the log says more".into()))
        }
    }
}

fn failed(error: &EngineError) -> Response {
    let status = match (error, error.kind()) {
        (EngineError::Unknown(_), _) => StatusCode::NOT_FOUND,
        (_, Kind::Retry) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Kind::Refuse) => StatusCode::CONFLICT,
        (EngineError::Invocation(_) | EngineError::Normalize(_), _) => StatusCode::BAD_REQUEST,
        (_, Kind::Broken) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    auth::refused(status, &error.to_string())
}

fn no_id(text: &str) -> Response {
    auth::refused(StatusCode::BAD_REQUEST, &format!("`{text}` is no remediation id (a UUID)"))
}
