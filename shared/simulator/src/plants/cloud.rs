//! Bugs in how clouds are called.

use std::sync::{Arc, Mutex, PoisonError};

use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::port::{ApiError, BoxFuture, CloudApi, Store};
use stanch_sandbox::{Sandbox, asks_for_change};

use super::Plant;
use crate::scheduler::finish;
use crate::world::World;

/// The clouds with a bug in front.
pub(crate) struct Planted {
    world: Arc<World>,
    plant: Plant,
    inner: Arc<dyn CloudApi>,
    shadow: Mutex<Option<Sandbox>>,
}

impl Planted {
    pub(crate) fn new(world: &Arc<World>, plant: Plant, inner: Arc<dyn CloudApi>) -> Self {
        Planted { world: world.clone(), plant, inner, shadow: Mutex::default() }
    }

    async fn planted(&self, request: &ApiRequest, timeout_ms: u64) -> Result<ApiResponse, ApiError> {
        let write = asks_for_change(request);
        match self.plant {
            Plant::RetryUnseen if write => match self.inner.call(request, timeout_ms).await {
                Ok(answer) if answer.status < 500 => Ok(answer),
                Err(error @ ApiError::NotSent { .. }) => Err(error),
                _ => self.inner.call(request, timeout_ms).await,
            },
            Plant::CapAfterWrite if write => {
                let answer = self.inner.call(request, timeout_ms).await;
                let caps = self.world.with(|w| std::mem::take(&mut w.late_caps));
                let _ = self.world.store.reserve(&caps).await;
                answer
            }
            Plant::TrustStaleVerify if write => {
                let answer = self.inner.call(request, timeout_ms).await;
                let shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(super::shadow).clone();
                let _ = finish(shadow.call(request, timeout_ms));
                answer
            }
            Plant::TrustStaleVerify => {
                let shadow = self.shadow.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match shadow {
                    Some(shadow) => finish(shadow.call(request, timeout_ms)),
                    None => self.inner.call(request, timeout_ms).await,
                }
            }
            Plant::WrongBody if write => {
                let mut request = request.clone();
                match &mut request.call {
                    ApiCall::Operation { input, .. } => drop(input.insert("DryRun".to_owned(), false.into())),
                    ApiCall::Http(http) => drop(http.headers.insert("x-more".to_owned(), "1".to_owned())),
                }
                self.inner.call(&request, timeout_ms).await
            }
            _ => self.inner.call(request, timeout_ms).await,
        }
    }
}

impl CloudApi for Planted {
    fn call<'a>(&'a self, request: &'a ApiRequest, timeout_ms: u64) -> BoxFuture<'a, Result<ApiResponse, ApiError>> {
        Box::pin(self.planted(request, timeout_ms))
    }
}
