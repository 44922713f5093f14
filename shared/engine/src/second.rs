//! The second clock of verification: our own read proved the fix; some time later the source must close its finding, too.
//! Reads sources only. Nothing here ever leads to a write in a cloud.

use stanch_core::finding::Millis;
use stanch_core::ocsf::ActivityStatus;
use stanch_core::port::{SourceAnswer, SourceError};
use stanch_core::remediation::{Remediation, SecondLook};
use stanch_core::state::{Event, Resolution, State};

use crate::case::{Case, Entry};
use crate::{Engine, EngineError, Next};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The longest time between two looks, days.
const MOST_DAYS: i64 = 7;

/// When the sources are asked next whether they agree; `None` when there is nothing to ask.
pub(crate) fn second_look(remediation: &Remediation) -> Option<Millis> {
    let fixed = matches!(remediation.state, State::Resolved { how: Resolution::Fixed } | State::StillReported);
    // Where only evidence was kept, the finding stands, and should.
    let closes = remediation.fix.as_ref().is_none_or(|run| run.plan.activity.closes_finding());
    let proven = remediation.times.verified.filter(|_| fixed && closes && remediation.times.closed.is_none())?;
    let slowest = remediation.reporters.iter().filter(|r| r.open && r.source.can_be_asked()).map(|r| r.source.latency_ms()).max()?;
    Some(remediation.second.filter(|second| second.of == proven).map_or(proven + slowest, |second| second.at))
}

/// What all open reporters that can be asked said.
#[derive(Default)]
struct Answers {
    /// One of them still reports it.
    open: bool,
    /// One of them reports it of several resources, some of which have the fault: it says nothing about this one.
    elsewhere: bool,
    /// One of them could not be asked now.
    unreached: Option<SourceError>,
    /// One of them cannot be asked at all, for lack of a permission or the like.
    denied: Option<SourceError>,
}

impl Engine {
    /// Asks the sources of a fixed remediation whether they agree.
    pub(crate) async fn look_again(&self, case: &mut Case) -> Result<Next, EngineError> {
        let Some(of) = case.remediation.times.verified else { return Ok(Next::Idle) };
        let answers = self.ask_reporters(&mut case.remediation).await;
        let now = self.now();
        let looks = case.remediation.second.filter(|second| second.of == of).map_or(0, |second| second.looks);
        if let (Some(why), false) = (&answers.unreached, answers.open) {
            case.remediation.tries = case.remediation.tries.saturating_add(1);
            let at = now + (MINUTE_MS << case.remediation.tries.min(6)).min(HOUR_MS);
            case.remediation.second = Some(SecondLook { of, at, looks });
            tracing::warn!(remediation = %case.remediation.id, %why, "source not reached; asked again later");
            return case.commit(self, Next::Idle).await;
        }
        case.remediation.tries = 0;
        let at = now + DAY_MS * (1 << looks.min(6)).min(MOST_DAYS);
        case.remediation.second = Some(SecondLook { of, at, looks: looks + 1 });
        if answers.open {
            if case.state() != State::StillReported {
                let why = "fixed and proven, but still reported by its source after its usual delay";
                case.advance(Event::ReportedAgain, why)?;
                case.record(self, None, Entry::new(ActivityStatus::Other, "Still reported", why));
                case.notify(self, "Fixed but still reported");
            }
        } else if answers.elsewhere {
            tracing::debug!(remediation = %case.remediation.id, "its finding stands for other resources");
        } else if let Some(why) = answers.denied {
            let message = format!("whether the source agrees cannot be found out: {why}");
            case.record(self, None, Entry::new(ActivityStatus::Other, "Not asked", message));
        } else {
            self.agreed(case)?;
        }
        case.commit(self, Next::Idle).await
    }

    /// Every source that can be asked has closed its finding.
    fn agreed(&self, case: &mut Case) -> Result<(), EngineError> {
        let why = "the source agrees: it no longer reports the finding";
        if case.state() == State::StillReported {
            case.advance(Event::SourceAgrees, why)?;
        }
        case.remediation.times.closed = Some(self.now());
        case.record(self, None, Entry::new(ActivityStatus::Success, "Closed", why));
        Ok(())
    }

    /// Asks every open reporter that can be asked, and marks those that have closed their finding.
    async fn ask_reporters(&self, remediation: &mut Remediation) -> Answers {
        let mut answers = Answers::default();
        for reporter in remediation.reporters.iter_mut().filter(|r| r.open && r.source.can_be_asked()) {
            match self.ports.sources.fetch(reporter.source, &reporter.source_ref).await {
                Ok(SourceAnswer::Found(finding)) if finding.is_open() => match self.standing(&reporter.others).await {
                    Ok(0) => answers.open = true,
                    // Where that cannot be told now, nothing is concluded.
                    Ok(_) | Err(_) => answers.elsewhere = true,
                },
                Ok(SourceAnswer::Found(finding)) => {
                    reporter.open = false;
                    reporter.modified = finding.modified.or(reporter.modified);
                }
                Ok(SourceAnswer::Absent) => reporter.open = false,
                Err(error) if error.retry => answers.unreached = Some(error),
                Err(error) => answers.denied = Some(error),
            }
        }
        answers
    }

    /// Asks the sources of a case that waits, whether its finding still stands; a source that holds it no more has closed it.
    /// Gives whether the case ended by that.
    pub(crate) async fn recheck(&self, case: &mut Case) -> Result<bool, EngineError> {
        let before = case.remediation.reporters.clone();
        let answers = self.ask_reporters(&mut case.remediation).await;
        if case.remediation.reporters == before {
            return answers.unreached.map_or(Ok(false), |error| Err(error.into()));
        }
        let gone = case.remediation.reporters.iter().all(|r| !r.open);
        if gone {
            let why = "its source no longer reports the finding; nothing was done";
            case.advance(Event::ClosedAtSource, why)?;
            case.remediation.times.closed = Some(self.now());
            case.record(self, None, Entry::new(ActivityStatus::Other, "Closed", why));
        }
        let next = crate::due::resting(&case.remediation);
        case.commit(self, next).await?;
        Ok(gone)
    }
}
