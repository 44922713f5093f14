//! Simulated Azure Resource Manager, AWS and Google endpoints, in this process: for the demo, for users' own tests and for fault
//! injection. Everything is at the level of [`CloudApi`]: a logical call in, the vendor's answer out. No network, no clock of its own.
//!
//! The services behave like the real ones where a fix could notice: codes of missing things, concurrency tokens, writes that are
//! accepted now and seen later, lists that are replaced whole. "Later" is counted in reads, never in time, so that tests are exact.
//! What is not simulated is refused before it is "sent", with a reason; nothing is accepted and then ignored.

mod aws;
mod azure;
mod events;
mod fault;
mod gcp;
mod queue;
mod seed;
mod shape;
mod source;
mod store;
mod world;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, Method};
use stanch_core::cloud::Cloud;
use stanch_core::finding::Millis;
use stanch_core::port::{ApiError, BoxFuture, CloudApi};

pub use events::{DemoEvent, demo_events};
pub use fault::{Fault, FaultKind};
pub use queue::MemoryQueue;
pub use source::{SandboxSource, Written};
pub use store::{MemoryStore, Queued};

use fault::Armed;
use world::World;

/// The log keeps the newest entries only, so that a demo may run for weeks.
const LOG_LIMIT: usize = 10_000;

/// Three simulated clouds with one state. A clone is the same sandbox.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

struct Shared {
    clock: fn() -> Millis,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    world: World,
    faults: Vec<Armed>,
    log: VecDeque<Recorded>,
    calls: u64,
}

/// One call as the simulated cloud saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The call.
    pub request: ApiRequest,
    /// What the cloud answered; none when the call was lost on the way ([`FaultKind::TimeoutLost`]). The caller may not have
    /// seen it ([`FaultKind::TimeoutLanded`]).
    pub response: Option<ApiResponse>,
    /// When, milliseconds since the epoch, by the sandbox's clock.
    pub at: Millis,
    /// The fault that was injected into it.
    pub injected: Option<FaultKind>,
}

impl Recorded {
    /// The HTTP status the cloud answered with.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|r| r.status)
    }

    /// Whether the call asks for a change: by its verb, or for AWS by its name (`Get`, `Describe`, `List` and `Head` only read).
    pub fn is_write(&self) -> bool {
        asks_for_change(&self.request)
    }
}

/// Whether a call asks for a change: by its verb, or for AWS by its name (`Get`, `Describe`, `List` and `Head` only read).
pub fn asks_for_change(request: &ApiRequest) -> bool {
    match &request.call {
        ApiCall::Operation { operation, .. } => !["Get", "Describe", "List", "Head"].iter().any(|verb| operation.starts_with(verb)),
        ApiCall::Http(http) => !matches!(http.method, Method::Get | Method::Head),
    }
}

/// Why the sandbox could not be arranged as asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is nothing to change.
    #[error("the sandbox holds no {cloud} resource `{id}`")]
    NoSuchResource {
        /// The cloud.
        cloud: Cloud,
        /// The id that was asked for.
        id: String,
    },
}

impl Sandbox {
    /// Empty clouds. `clock` gives the time in milliseconds since the epoch; it stamps the log and what services date.
    pub fn new(clock: fn() -> Millis) -> Self {
        Sandbox { shared: Arc::new(Shared { clock, inner: Mutex::default() }) }
    }

    /// A small estate with one or more faults in each service that is simulated: AWS account 111122223333 in eu-west-1, Azure
    /// subscription 00000000-0000-4000-8000-000000000001, Google project shop-prod-1. [`demo_events`] report some of them.
    pub fn seeded(clock: fn() -> Millis) -> Self {
        let sandbox = Sandbox::new(clock);
        seed::plant(&sandbox);
        sandbox
    }

    /// Every call so far, oldest first (the newest 10 000). Calls refused before sending are not in it: no cloud saw them.
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().log.iter().cloned().collect()
    }

    /// The calls that asked for a change, whatever came of them.
    pub fn writes(&self) -> Vec<Recorded> {
        self.lock().log.iter().filter(|r| r.is_write()).cloned().collect()
    }

    /// A resource as it will stand once everything under way has finished. Looking does not count as a read.
    ///
    /// Ids are those of findings: ARM ids in any case; ARNs, and `AWS::::Account:<account>` for account-wide settings; Google full
    /// resource names (`//storage.googleapis.com/<bucket>`, its IAM policy with `/iam` at the end; a firewall by number).
    /// Azure and Google resources look as their GET answers them, except that rules of a network security group and of a SQL
    /// server are resources of their own. AWS resources look as their service describes them; a bucket is `{Name, Owner, Region,
    /// PublicAccessBlockConfiguration?}`, a security group holds `Rules`, a function `Statements`.
    pub fn state(&self, cloud: Cloud, id: &str) -> Option<Value> {
        self.lock().world.settled(cloud, id)
    }

    /// Changes a resource behind everybody's back. What was under way finishes first; concurrency tokens change as they would.
    pub fn edit(&self, cloud: Cloud, id: &str, change: impl FnOnce(&mut Value)) -> Result<(), SandboxError> {
        let mut inner = self.lock();
        let missing = || SandboxError::NoSuchResource { cloud, id: id.to_owned() };
        let mut value = inner.world.settled(cloud, id).ok_or_else(missing)?;
        change(&mut value);
        inner.world.touch(cloud, &mut value);
        inner.world.write(cloud, id, value);
        if cloud == Cloud::Azure {
            azure::touched(&mut inner.world, id);
        }
        Ok(())
    }

    /// Puts a resource there, over one of the same id; the forms are those of [`Sandbox::state`]. An Azure subscription and
    /// resource group exist as soon as a resource in them does.
    pub fn put(&self, cloud: Cloud, id: &str, value: Value) {
        self.lock().world.write(cloud, id, value);
    }

    /// Removes a resource and, in Azure, what is inside it. A network security group's tokens change when a rule of it goes.
    pub fn delete(&self, cloud: Cloud, id: &str) -> Result<(), SandboxError> {
        let mut inner = self.lock();
        if !inner.world.remove(cloud, id) {
            return Err(SandboxError::NoSuchResource { cloud, id: id.to_owned() });
        }
        if cloud == Cloud::Azure {
            azure::touched(&mut inner.world, id);
        }
        Ok(())
    }

    /// Arms a fault for the next calls that match it.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(Armed::from(fault));
    }

    /// How many more calls will be hit by injected faults.
    pub fn faults_left(&self) -> u32 {
        self.lock().faults.iter().map(|f| f.left).sum()
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.world.now = (self.shared.clock)();
        inner
    }
}

impl CloudApi for Sandbox {
    fn call<'a>(&'a self, request: &'a ApiRequest, _timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(async move { self.lock().call(request) })
    }
}

impl Inner {
    fn call(&mut self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let name = request.name();
        let mut injected = fault::take(&mut self.faults, &name);
        let answered = match injected {
            Some(FaultKind::Refused) => {
                return Err(ApiError::NotSent { call: name, reason: "connection refused".to_owned(), retry: true });
            }
            Some(FaultKind::TimeoutLost) => None,
            Some(FaultKind::TimeoutLanded) | None if fault::fails_operation(&self.faults, &name) => {
                let (response, failed) = self.world.answer_and_fail(request)?;
                if failed {
                    fault::take_operation(&mut self.faults, &name);
                    injected = injected.or(Some(FaultKind::OperationFails));
                }
                Some(response)
            }
            Some(FaultKind::TimeoutLanded) | None => Some(self.world.answer(request)?),
            Some(kind) => Some(fault::response(kind, request)),
        };
        self.calls += 1;
        let response = answered.map(|response| ApiResponse { request_id: Some(format!("sandbox-{:08}", self.calls)), ..response });
        if self.log.len() == LOG_LIMIT {
            self.log.pop_front();
        }
        self.log.push_back(Recorded { request: request.clone(), response: response.clone(), at: self.world.now, injected });
        match response {
            Some(response) if !injected.is_some_and(FaultKind::is_silent) => Ok(response),
            _ => Err(ApiError::Unknown { call: name, reason: "no answer within the time allowed".to_owned() }),
        }
    }
}
