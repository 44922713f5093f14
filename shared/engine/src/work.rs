//! The worker: follows the messages of the work queue. A message is only a nudge; the due time in the store is the truth.

use serde::Deserialize;
use stanch_core::port::{Kind, NUDGE_FORMAT, Nudge, Parked, ParkedKind, StoreError};

use crate::panic::caught;
use crate::spill::is_unavailable;
use crate::{Engine, EngineError, telemetry};

/// A message that failed so often is parked. The Functions host would move it away after as many (`maxDequeueCount`).
pub const MAX_DELIVERIES: u32 = 5;
/// How long a message that was taken is hidden from other workers, milliseconds: longer than a run usually takes.
const HIDE_MS: u64 = 300_000;
/// Messages taken at once.
const BATCH: usize = 16;
/// Where parked messages come from.
pub(crate) const QUEUE: &str = "remediations";

/// What became of a message that need not come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Its remediation was taken as far as it goes at once.
    Ran,
    /// The remediation has moved on since it was sent.
    Stale,
    /// The step failed; the remediation is put off, and people see why on it.
    PutOff,
    /// It cannot be followed; it is kept until a person looks at it.
    Parked,
}

/// What one call of the worker did with messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    /// Followed.
    pub ran: usize,
    /// Dropped as stale.
    pub stale: usize,
    /// Failed; their remediations are put off.
    pub put_off: usize,
    /// Parked.
    pub parked: usize,
    /// Left in the queue, to be delivered again.
    pub left: usize,
    /// Dropped because the store could not be used however often they came; what is due is found by its time.
    pub dropped: usize,
}

impl Worked {
    /// How many messages there were.
    pub fn taken(&self) -> usize {
        self.ran + self.stale + self.put_off + self.parked + self.left + self.dropped
    }

    fn count(&mut self, handled: Handled) {
        match handled {
            Handled::Ran => self.ran += 1,
            Handled::Stale => self.stale += 1,
            Handled::PutOff => self.put_off += 1,
            Handled::Parked => self.parked += 1,
        }
    }
}

impl Engine {
    /// Follows at most `limit` messages of the queue. One that fails takes nothing from the others.
    pub async fn work(&self, limit: usize) -> Result<Worked, EngineError> {
        let mut worked = Worked::default();
        while worked.taken() < limit {
            let messages = self.ports.queue.receive((limit - worked.taken()).min(BATCH), HIDE_MS).await?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                match self.message(&message.body, message.deliveries).await {
                    Ok(handled) => worked.count(handled),
                    // Delivered once more it would be taken for one that ends its workers, and a person be asked about it.
                    Err(error) if is_unavailable(&error) && message.deliveries >= MAX_DELIVERIES && read(&message.body).is_ok() => {
                        worked.dropped += 1;
                        tracing::warn!(%error, deliveries = message.deliveries, "message dropped; what is due is found without it");
                    }
                    Err(error) => {
                        worked.left += 1;
                        tracing::warn!(%error, deliveries = message.deliveries, "message left to be delivered again");
                        continue;
                    }
                }
                if let Err(error) = self.ports.queue.complete(&message.receipt).await {
                    tracing::warn!(%error, "message not completed; it comes again and will be stale");
                }
            }
        }
        Ok(worked)
    }

    /// Follows one message, which was delivered `deliveries` times, this time included. An error means that it must come again.
    pub async fn message(&self, body: &str, deliveries: u32) -> Result<Handled, EngineError> {
        let nudge = match read(body) {
            Ok(nudge) => nudge,
            Err(why) => return self.park_message(body, why).await,
        };
        if deliveries > MAX_DELIVERIES {
            let why = format!("delivered {deliveries} times and never finished: each time the worker ended before it could say why");
            return self.park_message(body, why).await;
        }
        match caught(self.follow(&nudge)).await {
            Ok(handled) => Ok(handled),
            Err(error) if error.kind() == Kind::Retry && deliveries < MAX_DELIVERIES => Err(error),
            Err(error) if error.kind() == Kind::Retry => {
                self.park_message(body, format!("delivered {deliveries} times; the last time: {error}")).await
            }
            Err(error @ (EngineError::Unknown(_) | EngineError::Store(_))) => self.park_message(body, error.to_string()).await,
            Err(error) => {
                telemetry::step_failed(self.meter(), nudge.id, &error);
                match caught(self.put_off(nudge.id, &error)).await {
                    Ok(()) => Ok(Handled::PutOff),
                    Err(again) if again.kind() == Kind::Retry => Err(again),
                    Err(_) => self.park_message(body, error.to_string()).await,
                }
            }
        }
    }

    async fn follow(&self, nudge: &Nudge) -> Result<Handled, EngineError> {
        if self.load(nudge.id).await?.version > nudge.version {
            return Ok(Handled::Stale);
        }
        self.run(nudge.id).await.map(|_| Handled::Ran)
    }

    async fn park_message(&self, body: &str, why: String) -> Result<Handled, EngineError> {
        telemetry::parked(self.meter(), ParkedKind::Message, QUEUE, &why);
        self.ports.store.park(Parked::new(ParkedKind::Message, QUEUE, why, body, self.now())).await?;
        Ok(Handled::Parked)
    }

    /// A stored remediation that cannot be read stays due for ever: it is shown to people once.
    pub(crate) async fn show_unreadable(&self, id: stanch_core::remediation::RemediationId, why: &EngineError) -> Result<(), StoreError> {
        let (name, now) = (format!("unreadable/{id}"), self.now().to_string());
        if !self.ports.store.set_value(&name, None, Some(&now)).await? {
            return Ok(());
        }
        let nudge = Nudge { format: NUDGE_FORMAT, id, version: u64::MAX, correlation: None };
        let body = serde_json::to_string(&nudge).unwrap_or_default();
        self.ports.store.park(Parked::new(ParkedKind::Message, QUEUE, why.to_string(), body, self.now())).await
    }
}

/// Reads a message of this format or of the one before.
fn read(body: &str) -> Result<Nudge, String> {
    #[derive(Deserialize)]
    struct Format {
        #[serde(default)]
        format: u32,
    }
    match serde_json::from_str(body) {
        Ok(Format { format }) if format > NUDGE_FORMAT => {
            Err(format!("the message has format {format}, this program knows formats up to {NUDGE_FORMAT}; a newer stanch follows it"))
        }
        _ => serde_json::from_str(body).map_err(|e| format!("the message is not {{\"id\", \"version\"}}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_this_format_and_the_one_before_are_read() {
        let id = "00000000-0000-0000-0000-000000000001";
        let old = read(&format!(r#"{{"id":"{id}","version":3}}"#)).unwrap();
        assert_eq!((old.format, old.version), (1, 3));
        let new = read(&format!(r#"{{"format":2,"id":"{id}","version":4,"correlation":"{id}"}}"#)).unwrap();
        assert_eq!((new.format, new.version, new.correlation.is_some()), (2, 4, true));
        for (body, why) in [
            (format!(r#"{{"format":3,"id":"{id}","version":4}}"#), "format 3"),
            (r#"{"format":3,"remediations":[]}"#.to_owned(), "format 3"),
            ("{}".to_owned(), "missing field"),
            ("hello".to_owned(), "not {\"id\""),
        ] {
            assert!(read(&body).unwrap_err().contains(why), "{body}");
        }
    }
}
