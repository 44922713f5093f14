//! A panic is a fault of ours: it costs the step it happens in, never the worker or what waits behind the step.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::EngineError;

/// Runs a future to its end; a panic in it becomes an error. Nothing of a step is half done by that: what it gathered is
/// committed at once or not at all.
pub(crate) async fn caught<T>(future: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    let mut future = Box::pin(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled,
        Err(cause) => Poll::Ready(Err(EngineError::Panicked(said(cause.as_ref())))),
    })
    .await
}

/// What a panic says.
pub(crate) fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}
