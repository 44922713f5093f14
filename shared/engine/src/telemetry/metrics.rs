//! The metrics: `docs/metrics.md` is made from this list, and a program exports nothing else.

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, as Prometheus wants one: a counter ends in `_total`, a time in `_seconds`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Its labels: name and the values there are.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it counts or measures, one sentence.
    pub about: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Measurements in buckets with these upper bounds, in rising order.
    Histogram(&'static [f64]),
    /// How it stands now; read from the store when asked for.
    Gauge,
}

impl MetricKind {
    /// The word of the Prometheus exposition format.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Histogram(_) => "histogram",
            MetricKind::Gauge => "gauge",
        }
    }
}

const CLOUD: (&str, &str) = ("cloud", "azure, aws, gcp");
const SOURCE: (&str, &str) = ("source", "the names `stanch normalize --source` takes");
const LANE: (&str, &str) = ("lane", "source, channel");
const RUN: (&str, &str) = ("kind", "fix, undo");

/// From one call to one that almost timed out.
const CALL_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];
/// From a busy second to a lost day.
const WAIT_SECONDS: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];
/// From a rule's own fix to a quarter of waiting for people.
const REMEDIATE_SECONDS: &[f64] = &[10.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0, 86_400.0, 604_800.0, 2_592_000.0, 7_776_000.0];

macro_rules! metrics {
    ($($vis:vis $constant:ident = $name:literal, $kind:expr, [$($label:expr),*], $about:literal;)*) => {
        $(#[doc = $about] $vis const $constant: Metric = Metric { name: $name, kind: $kind, labels: &[$($label),*], about: $about };)*

        /// All of them.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

use MetricKind::{Counter, Gauge, Histogram};

metrics! {
    pub(super) EVENTS = "stanch_events_total", Counter, [("outcome", "taken, ignored, refused")],
        "Events that triggers delivered.";
    pub(super) FINDINGS = "stanch_findings_received_total", Counter,
        [CLOUD, SOURCE, ("outcome", "opened, known, recurred, closed, not-open, no-resource")],
        "Findings taken in, one for each of their resources.";
    pub(super) DECISIONS = "stanch_decisions_total", Counter, [("mode", "record, plan, approve, auto")],
        "Decisions of the rules on a finding and resource.";
    pub(super) PLANS = "stanch_plans_made_total", Counter, [CLOUD, RUN, ("verdict", "pass, ask, refuse")],
        "Plans made, by the word of the guards.";
    pub(super) APPROVALS = "stanch_approvals_total", Counter, [("by", "rule, person, self")],
        "Plans approved: by their rule, by a person, or by the person who asked for it.";
    pub(super) CHANGES = "stanch_changes_total", Counter,
        [CLOUD, RUN, ("outcome", "applied, applied-by-observation, refused, not-applied, not-seen")],
        "Sent changes whose outcome is known.";
    pub(super) VERIFIED = "stanch_verified_total", Counter, [CLOUD],
        "Fixes that a fresh read proved.";
    pub(super) UNDONE = "stanch_undone_total", Counter, [CLOUD, ("by", "person, engine")],
        "Fixes put back, proven by a fresh read: for a person, or because a later change failed or a containment ended.";
    pub(super) REFUSED = "stanch_refused_total", Counter, [("gate", "cap, containment, fix, hold, kill-switch, mode, protected, undo")],
        "Remediations that a gate refused; `cap` counts those whose budget was used up, `fix` those that no fix takes.";
    pub(super) HELD = "stanch_writes_held_total", Counter, [("gate", "kill-switch")],
        "Times a write waited for a gate.";
    pub(super) ENDED = "stanch_remediations_ended_total", Counter,
        [CLOUD, ("outcome", "fixed, gone, compliant, by-others, rolled-back, exempt, rejected, refused, failed, stuck")],
        "Remediations that came to an end, or to a person (`stuck`).";
    pub(super) TIME_TO_REMEDIATE = "stanch_time_to_remediate_seconds", Histogram(REMEDIATE_SECONDS), [CLOUD],
        "Time from the first report of a fault to the proof of its fix.";
    pub(super) STEPS_FAILED = "stanch_steps_failed_total", Counter, [("kind", "retry, broken")],
        "Steps of remediations that failed and are tried again.";
    pub RECONCILES = "stanch_reconciles_total", Counter, [],
        "Rounds over what is due.";
    pub(super) QUEUE_WAIT = "stanch_queue_wait_seconds", Histogram(WAIT_SECONDS), [],
        "How long the remediation that was due longest had waited past its time, at each round that found any.";
    pub(super) NUDGES_LOST = "stanch_nudges_lost_total", Counter, [],
        "Messages to the work queue that could not be sent; the timer does their work.";
    pub(super) MESSAGES = "stanch_messages_total", Counter, [LANE, ("outcome", "sent, put-off, not-taken")],
        "Write-backs to sources and notices to channels; `not-taken` needs a person.";
    pub(super) MESSAGE_WAIT = "stanch_message_wait_seconds", Histogram(WAIT_SECONDS), [LANE],
        "Time from the commit of a message to its sending.";
    pub(super) PARKED = "stanch_parked_total", Counter, [("kind", "event, message")],
        "Deliveries put aside for a person.";
    pub(super) SPILLED = "stanch_spilled_events_total", Counter, [("outcome", "spilled, recovered")],
        "Events kept outside the store while it was out of reach, and taken in later.";
    pub SWEEPS = "stanch_sweeps_total", Counter, [SOURCE, ("outcome", "done, failed")],
        "Listings of a source's findings.";
    pub(super) SWEPT_FINDINGS = "stanch_swept_findings_total", Counter, [SOURCE, ("outcome", "listed, missed")],
        "Findings a sweep listed, and those of them that had never arrived.";
    pub(super) CALLS = "stanch_cloud_calls_total", Counter, [CLOUD, ("class", "2xx, 3xx, 4xx, 5xx, not-sent, unknown")],
        "Calls to a cloud by class of status; `unknown` got no answer.";
    pub(super) CALL_TIME = "stanch_cloud_call_duration_seconds", Histogram(CALL_SECONDS), [CLOUD],
        "Time of calls to a cloud.";
    pub(super) THROTTLES = "stanch_throttles_total", Counter, [CLOUD],
        "Answers by which a cloud asked for fewer calls.";
    pub STORE_REACHABLE = "stanch_store_reachable", Gauge, [],
        "1 if the store can be used; without it the other gauges are left out.";
    pub WRITES_ALLOWED = "stanch_writes_allowed", Gauge, [],
        "0 if the kill switch is on.";
    pub QUEUE_AGE = "stanch_queue_age_seconds", Gauge, [],
        "How long the remediation that is due longest has waited past its time.";
    pub OUTBOX_AGE = "stanch_outbox_age_seconds", Gauge, [],
        "Age of the oldest message that is not sent.";
    pub PARKED_NOW = "stanch_parked", Gauge, [],
        "Deliveries that wait for a person; counted to 64.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_in_the_words_of_the_exposition_format() {
        assert_eq!([Counter, Histogram(&[1.0]), Gauge].map(MetricKind::as_str), ["counter", "histogram", "gauge"]);
    }

    #[test]
    fn names_and_texts_are_as_prometheus_wants_them() {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for (at, metric) in METRICS.iter().enumerate() {
            let name = metric.name;
            assert!(name.starts_with("stanch_") && plain(name), "{name}");
            assert!(METRICS.iter().skip(at + 1).all(|other| other.name != name), "{name} is there twice");
            assert_eq!(name.ends_with("_total"), metric.kind == Counter, "{name}");
            assert!(metric.about.ends_with('.'), "{name}");
            assert!(metric.labels.iter().all(|(label, values)| plain(label) && *label != "le" && !values.is_empty()), "{name}");
            if let Histogram(bounds) = metric.kind {
                assert!(name.ends_with("_seconds") && bounds.is_sorted() && !bounds.is_empty(), "{name}");
            }
        }
    }
}
