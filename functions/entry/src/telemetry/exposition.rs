//! The text a Prometheus server scrapes
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::Write;

use stanch_engine::Health;
use stanch_engine::telemetry::{METRICS, Metric, MetricKind, OUTBOX_AGE, PARKED_NOW, QUEUE_AGE, STORE_REACHABLE, WRITES_ALLOWED};

use super::Metrics;
use super::metrics::Sample;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters and histograms as they stand, and the gauges of `health`; without it the store cannot be used.
pub fn render(metrics: &Metrics, health: Option<&Health>) -> String {
    let mut text = String::new();
    for (metric, samples) in metrics.samples() {
        head(&mut text, metric);
        for sample in samples {
            series(&mut text, metric, &sample);
        }
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let mut gauges = vec![(STORE_REACHABLE.name, f64::from(u8::from(health.is_some())))];
    if let Some(health) = health {
        gauges.extend([
            (WRITES_ALLOWED.name, f64::from(u8::from(health.writes_allowed))),
            (QUEUE_AGE.name, seconds(health.queue_age_ms)),
            (OUTBOX_AGE.name, seconds(health.outbox_age_ms)),
            (PARKED_NOW.name, health.parked as f64),
        ]);
    }
    for metric in METRICS.iter().filter(|metric| metric.kind == MetricKind::Gauge) {
        if let Some((name, value)) = gauges.iter().find(|(name, _)| *name == metric.name) {
            head(&mut text, metric);
            let _ = writeln!(text, "{name} {value}");
        }
    }
    text
}

fn head(text: &mut String, metric: &Metric) {
    let about = metric.about.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(text, "# HELP {0} {about}\n# TYPE {0} {1}", metric.name, metric.kind.as_str());
}

fn series(text: &mut String, metric: &Metric, sample: &Sample) {
    let name = metric.name;
    let pairs: Vec<String> = metric.labels.iter().zip(&sample.labels).map(|((label, _), value)| pair(label, value)).collect();
    let MetricKind::Histogram(bounds) = metric.kind else {
        let _ = writeln!(text, "{name}{} {}", braced(&pairs, None), sample.count);
        return;
    };
    for (bound, below) in bounds.iter().zip(&sample.buckets) {
        let _ = writeln!(text, "{name}_bucket{} {below}", braced(&pairs, Some(bound.to_string())));
    }
    let _ = writeln!(text, "{name}_bucket{} {}", braced(&pairs, Some("+Inf".to_owned())), sample.count);
    let _ = writeln!(text, "{name}_sum{0} {1}\n{name}_count{0} {2}", braced(&pairs, None), sample.sum, sample.count);
}

fn braced(pairs: &[String], bound: Option<String>) -> String {
    let mut all = pairs.to_vec();
    all.extend(bound.map(|bound| pair("le", &bound)));
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn pair(label: &str, value: &str) -> String {
    format!("{label}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use stanch_core::port::Meter;

    use super::*;

    #[test]
    fn a_scrape_reads_as_the_format_wants_it() {
        let metrics = Metrics::new(|| 0);
        metrics.count("stanch_refused_total", &[("gate", "a\\b\"c\nd")], 2);
        metrics.time("stanch_message_wait_seconds", &[("lane", "source")], 0.5);
        metrics.time("stanch_message_wait_seconds", &[("lane", "source")], 100_000.0);
        let health = Health { writes_allowed: true, queue_age_ms: 1_500, outbox_age_ms: 0, parked: 3, rules: 1 };
        let text = render(&metrics, Some(&health));
        for line in [
            r#"stanch_refused_total{gate="a\\b\"c\nd"} 2"#,
            "# TYPE stanch_message_wait_seconds histogram",
            r#"stanch_message_wait_seconds_bucket{lane="source",le="1"} 1"#,
            r#"stanch_message_wait_seconds_bucket{lane="source",le="86400"} 1"#,
            r#"stanch_message_wait_seconds_bucket{lane="source",le="+Inf"} 2"#,
            r#"stanch_message_wait_seconds_sum{lane="source"} 100000.5"#,
            r#"stanch_message_wait_seconds_count{lane="source"} 2"#,
            "stanch_reconciles_total 0",
            "stanch_queue_age_seconds 1.5",
            "stanch_parked 3",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        let without = render(&metrics, None);
        assert!(without.contains("stanch_store_reachable 0\n") && !without.contains("stanch_writes_allowed"), "{without}");
    }
}
