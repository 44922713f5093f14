//! What waits to be told to the outside: sent at least once, in order per remediation.

use stanch_core::port::OutboxMessage;

use crate::{Engine, EngineError, telemetry};

impl Engine {
    /// Sends what is due. An item that fails is put off and delays only what follows it in its own remediation.
    pub async fn send_outbox(&self, limit: usize) -> Result<usize, EngineError> {
        let mut sent = 0;
        loop {
            let due = self.ports.store.outbox(self.now(), limit).await?;
            if due.is_empty() {
                return Ok(sent);
            }
            let mut progress = false;
            for (id, item) in due {
                let outcome = match &item.message {
                    OutboxMessage::WriteBack { source, source_ref, status, note } => {
                        self.ports.sources.write_back(*source, source_ref, *status, note).await.map_err(|e| (e.retry, e.to_string()))
                    }
                    OutboxMessage::Notice { channel, notice } => {
                        self.ports.notifier.send(channel, item.id, notice, self.now()).await.map_err(|e| (e.retry, e.to_string()))
                    }
                };
                match outcome {
                    Ok(()) => {
                        self.ports.store.sent(item.id).await?;
                        telemetry::message_sent(self.meter(), id, &item, self.now());
                        sent += 1;
                        progress = true;
                    }
                    Err((retry, reason)) => {
                        // What will never be taken is kept for a day apart, visible, instead of blocking the queue hourly.
                        let wait = if retry { 60_000 } else { 86_400_000 };
                        telemetry::message_put_off(self.meter(), id, &item, retry, &reason);
                        self.ports.store.unsent(item.id, self.now() + wait, &reason).await?;
                    }
                }
            }
            if !progress {
                return Ok(sent);
            }
        }
    }
}
