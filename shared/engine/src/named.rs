//! Findings that an event names without holding them (the result of an insight): listed at their source and taken in.

use stanch_core::port::Scope;
use uuid::Uuid;

use crate::trigger::Receipt;
use crate::{Engine, EngineError};

/// Pages listed for one event at most: a host gives a function minutes, and a sweep finds what is left.
const MAX_PAGES: usize = 50;

impl Engine {
    /// Takes in what an event names. `Some`: why that is not all of it. An error means that the event must come again; what was
    /// taken in already is not doubled by that.
    pub(crate) async fn take_named(
        &self,
        named: &[Scope],
        correlation: Uuid,
        receipt: &mut Receipt,
    ) -> Result<Option<String>, EngineError> {
        let (mut pages, mut missed) = (0, None);
        for scope in named {
            let mut next: Option<String> = None;
            loop {
                if pages == MAX_PAGES {
                    return Ok(Some(format!("it names more findings than {MAX_PAGES} pages hold; the others were not asked for")));
                }
                pages += 1;
                let listed = match self.ports.sources.list(scope, None, next.as_deref()).await {
                    Ok(listed) => listed,
                    Err(error) if error.retry => return Err(error.into()),
                    Err(error) => {
                        missed.get_or_insert_with(|| error.to_string());
                        break;
                    }
                };
                for unread in &listed.unread {
                    missed.get_or_insert_with(|| unread.why.clone());
                }
                receipt.taken.extend(self.ingest_as(listed.findings, correlation).await?);
                let Some(page) = listed.next else { break };
                next = Some(page);
            }
        }
        Ok(missed)
    }
}
