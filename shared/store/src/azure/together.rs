//! Several requests at once.

use std::future::poll_fn;
use std::task::Poll;

use stanch_core::port::BoxFuture;

/// How many requests of one operation are under way at most.
pub(crate) const WIDTH: usize = 16;

/// Waits for all; answers in the order of the futures.
pub(crate) async fn together<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut slots: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    poll_fn(move |context| {
        let mut waiting = false;
        for (future, value) in &mut slots {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(done) => (*future, *value) = (None, Some(done)),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(slots.iter_mut().filter_map(|(_, value)| value.take()).collect()) }
    })
    .await
}
