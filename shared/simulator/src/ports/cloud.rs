//! The clouds: calls that are slow, throttled, refused, lost on the way there or on the way back, and reads that lag.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};
use stanch_sandbox::{Fault as Inject, FaultKind, asks_for_change};

use crate::clock::{MINUTE, SECOND, now};
use crate::faults::Fault;
use crate::invariants::live;
use crate::scheduler::sleep;
use crate::world::{ActorId, World};

/// Reads lag behind a write at most so long: every fix waits longer before it calls something not proven.
const LAG: Millis = 5 * SECOND;

/// What reads have shown, for reads that show it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The last answer and the one before it that was different, each with the moment it was true last.
    answers: BTreeMap<String, [(ApiResponse, u64); 2]>,
    /// When something changed: moment, time.
    changes: BTreeMap<Cloud, Vec<(u64, Millis)>>,
    moment: u64,
}

impl Seen {
    /// Something of a cloud has changed.
    pub(crate) fn changed(&mut self, cloud: Cloud) {
        self.moment += 1;
        self.changes.entry(cloud).or_default().push((self.moment, now()));
    }

    /// Whether everything of a cloud has had the time to show.
    fn is_settled(&self, cloud: Cloud) -> bool {
        self.changes.get(&cloud).and_then(|all| all.last()).is_some_and(|(_, at)| now() - at > MINUTE)
    }

    /// Remembers an answer.
    fn keep(&mut self, key: String, answer: &ApiResponse) {
        let new = (answer.clone(), self.moment);
        match self.answers.get_mut(&key) {
            Some([last, _]) if same(&last.0, answer) => last.1 = self.moment,
            Some(kept) => {
                let [last, _] = kept.clone();
                *kept = [new, last];
            }
            None => drop(self.answers.insert(key, [new.clone(), new])),
        }
    }

    /// What a read showed before the last changes, if it was true a moment ago.
    fn stale(&self, cloud: Cloud, key: &str, current: &ApiResponse) -> Option<ApiResponse> {
        let changes = self.changes.get(&cloud)?;
        let ended = |moment: u64| changes.iter().find(|(change, _)| *change > moment).map(|(_, at)| *at);
        let fits = |(answer, moment): &&(ApiResponse, u64)| {
            answer.status < 300 && !same(answer, current) && ended(*moment).is_some_and(|at| now() - at < LAG)
        };
        self.answers.get(key)?.iter().find(fits).map(|(answer, _)| answer.clone())
    }
}

fn same(a: &ApiResponse, b: &ApiResponse) -> bool {
    (a.status, &a.body) == (b.status, &b.body)
}

/// The clouds in the hands of one actor.
pub(crate) struct SimCloud {
    world: Arc<World>,
    actor: ActorId,
}

/// How a call ends, decided before it is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    /// The provider answered this instead of doing it.
    Instead(FaultKind),
    /// The provider did it and answered 500.
    ErrorLanded,
    /// It did not get there.
    Lost,
    /// It was done, and the answer got lost.
    AnswerLost,
    /// It was accepted, and will fail later.
    FailsLater,
}

impl SimCloud {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId) -> Self {
        SimCloud { world: world.clone(), actor }
    }

    fn draw(&self, request: &ApiRequest, write: bool) -> End {
        let met = |fault| self.world.fault(self.actor, fault, || request.name());
        if met(Fault::Throttled) {
            return End::Instead(FaultKind::Throttled { retry_after: 0 });
        }
        if met(Fault::ThrottledFor) {
            let retry_after = self.world.with(|w| w.rng.between(1, 90)) as u64;
            return End::Instead(FaultKind::Throttled { retry_after });
        }
        if met(Fault::ErrorNotLanded) {
            return End::Instead(self.world.with(|w| if w.rng.chance(500) { FaultKind::InternalError } else { FaultKind::Unavailable }));
        }
        if met(Fault::TimeoutLost) {
            return End::Lost;
        }
        if write {
            for (fault, end) in [
                (Fault::Denied, End::Instead(FaultKind::Denied)),
                (Fault::Conflict, End::Instead(FaultKind::Conflict)),
                (Fault::ErrorLanded, End::ErrorLanded),
                (Fault::TimeoutLanded, End::AnswerLost),
            ] {
                if met(fault) {
                    return end;
                }
            }
            if request.cloud != Cloud::Aws && met(Fault::OperationFails) {
                return End::FailsLater;
            }
        }
        End::Answered
    }

    async fn play(&self, request: &ApiRequest, timeout_ms: u64) -> Result<ApiResponse, ApiError> {
        let (world, actor) = (&self.world, self.actor);
        let (started, write) = (now(), asks_for_change(request));
        let gave_up = || i64::try_from(timeout_ms).is_ok_and(|limit| now() - started > limit);
        let silent = || Err(ApiError::Unknown { call: request.name(), reason: "no answer within the time allowed".to_owned() });
        world.point(actor, Fault::CrashBeforeCloud, || format!("before {}", request.name())).await;
        if world.fault(actor, Fault::ConnectionRefused, || request.name()) {
            return Err(ApiError::NotSent { call: request.name(), reason: "connection refused".to_owned(), retry: true });
        }
        self.slow(request).await;
        // Its sender hung up while it was on the way.
        if gave_up() {
            world.tell(actor, || format!("gave up waiting for {}", request.name()));
            return silent();
        }
        let end = self.draw(request, write);
        let intent = if write { live::sent(world, actor, request) } else { None };
        let answer = self.answer(request, end).await?;
        if write {
            let fails = end == End::FailsLater && world.sandbox.faults_left() == 0;
            world.sandbox.clear_faults();
            let done = !matches!(end, End::Instead(_) | End::Lost) && answer.fault.is_none() && !fails;
            live::answered(world, actor, request, intent, &answer, done);
            if done {
                world.with(|w| w.seen.changed(request.cloud));
            }
        }
        world.point(actor, Fault::CrashAfterCloud, || format!("after {}", request.name())).await;
        self.slow(request).await;
        match end {
            End::Lost | End::AnswerLost => silent(),
            End::ErrorLanded => Ok(ApiResponse::fault(500, "InternalError", "The server encountered an internal error.")),
            _ if gave_up() => silent(),
            _ => Ok(answer),
        }
    }

    async fn slow(&self, request: &ApiRequest) {
        if self.world.fault(self.actor, Fault::SlowCall, || request.name()) {
            let wait = self.world.with(|w| w.rng.between(1_000, 20_000));
            sleep(&self.world, self.actor, wait).await;
        }
    }

    /// What the provider makes of it, at this very moment.
    async fn answer(&self, request: &ApiRequest, end: End) -> Result<ApiResponse, ApiError> {
        let (world, actor) = (&self.world, self.actor);
        let inject = |kind| world.sandbox.inject(Inject::once(kind, ""));
        match end {
            End::Lost => return Ok(ApiResponse::default()),
            End::Instead(kind) => inject(kind),
            End::FailsLater => inject(FaultKind::OperationFails),
            _ => {}
        }
        if is_poll(request) && world.fault(actor, Fault::OperationSlow, || request.name()) {
            let body = match request.cloud {
                Cloud::Gcp => json!({"kind": "compute#operation", "name": "operation", "status": "RUNNING", "progress": 50}),
                _ => json!({"status": "InProgress"}),
            };
            return Ok(ApiResponse { status: 200, body, ..ApiResponse::default() });
        }
        // The sandbox counts reads where real clouds take time: what was written a while ago has had its reads.
        if end == End::Answered && !asks_for_change(request) && world.with(|w| w.seen.is_settled(request.cloud)) {
            for _ in 0..4 {
                world.sandbox.call(request, 0).await?;
            }
        }
        let mut answer = world.sandbox.call(request, 0).await?;
        if matches!(end, End::Instead(FaultKind::Throttled { retry_after: 0 })) {
            answer.headers.remove("retry-after");
        }
        if end == End::Answered && !asks_for_change(request) && !is_poll(request) {
            let key = format!("{:?}", request.call);
            let stale = world.with(|w| w.seen.stale(request.cloud, &key, &answer));
            world.with(|w| w.seen.keep(key, &answer));
            if let Some(old) = stale
                && world.fault(actor, Fault::StaleRead, || request.name())
            {
                return Ok(old);
            }
        }
        Ok(answer)
    }
}

/// Whether it asks how far a long-running operation is.
fn is_poll(request: &ApiRequest) -> bool {
    let ApiCall::Http(http) = &request.call else { return false };
    let path = http.path.to_ascii_lowercase();
    ["/operations/", "/operationresults/", "asyncoperation/", "operationresults/"].iter().any(|part| path.contains(part))
}

impl CloudApi for SimCloud {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(self.play(request, timeout_ms))
    }
}
