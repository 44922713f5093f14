//! The registry: a fixed list of metrics, each with the series its labels have made so far. Counting takes no lock but a shared
//! one; a series is made once.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use stanch_core::finding::Millis;
use stanch_core::port::Meter;
use stanch_engine::telemetry::{METRICS, Metric, MetricKind};

/// Series of one metric at most: a label that is not as bounded as it should be must not fill the memory.
const MAX_SERIES: usize = 200;
/// The label value of all series beyond those.
const OTHER: &str = "other";

/// Counters and histograms of [`METRICS`].
pub struct Metrics {
    families: Vec<Family>,
    clock: fn() -> Millis,
    next: OnceLock<Arc<dyn Meter>>,
}

/// One metric and its series.
struct Family {
    metric: &'static Metric,
    series: RwLock<Vec<Arc<Series>>>,
}

/// One combination of label values.
struct Series {
    /// In the order of the metric's labels.
    labels: Vec<String>,
    /// Counter: its value. Histogram: how many measurements.
    count: AtomicU64,
    /// Histogram: the sum of all measurements, the bits of an `f64`.
    sum: AtomicU64,
    /// Histogram: measurements up to each bound and above the one before it.
    buckets: Vec<AtomicU64>,
    /// When it counted last, milliseconds since the epoch.
    last: AtomicI64,
}

/// How a series stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// In the order of the metric's labels.
    pub(super) labels: Vec<String>,
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Histogram: measurements up to each bound, those below it included.
    pub(super) buckets: Vec<u64>,
}

impl Metrics {
    /// An empty registry.
    pub fn new(clock: fn() -> Millis) -> Self {
        let counted = METRICS.iter().filter(|metric| metric.kind != MetricKind::Gauge);
        let families = counted.map(|metric| Family { metric, series: RwLock::default() }).collect();
        Metrics { families, clock, next: OnceLock::new() }
    }

    /// Tells everything that is counted from now on to another meter, too. Only the first one is kept.
    pub fn forward(&self, next: Arc<dyn Meter>) {
        drop(self.next.set(next));
    }

    /// When a metric counted last, in any of its series, milliseconds since the epoch.
    pub fn last(&self, metric: &Metric) -> Option<Millis> {
        let family = self.families.iter().find(|family| family.metric.name == metric.name)?;
        let series = family.series.read().unwrap_or_else(PoisonError::into_inner);
        series.iter().map(|series| series.last.load(Ordering::Relaxed)).max()
    }

    /// Every metric with its series as they stand, in the order of [`METRICS`].
    pub(super) fn samples(&self) -> impl Iterator<Item = (&'static Metric, Vec<Sample>)> {
        self.families.iter().map(|family| {
            let series = family.series.read().unwrap_or_else(PoisonError::into_inner);
            let mut samples: Vec<Sample> = series.iter().map(|series| series.sample()).collect();
            // A counter without labels is there from the start, so that its first increment is seen as one.
            if samples.is_empty() && family.metric.labels.is_empty() {
                samples.push(family.series_of(Vec::new()).sample());
            }
            samples.sort_by(|a, b| a.labels.cmp(&b.labels));
            (family.metric, samples)
        })
    }

    fn series(&self, name: &str, labels: &[(&'static str, &str)]) -> Option<(&'static Metric, Arc<Series>)> {
        let family = self.families.iter().find(|family| family.metric.name == name)?;
        let value = |name: &str| labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| *value);
        let wanted: Vec<&str> = family.metric.labels.iter().map(|(name, _)| value(name)).collect();
        let series = family.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = series.iter().find(|series| series.labels == wanted) {
            return Some((family.metric, known.clone()));
        }
        let full = series.len() >= MAX_SERIES;
        drop(series);
        let labels = wanted.into_iter().map(|value| if full { OTHER.to_owned() } else { value.to_owned() }).collect();
        Some((family.metric, family.insert(labels)))
    }
}

impl Family {
    fn series_of(&self, labels: Vec<String>) -> Series {
        let bounds = if let MetricKind::Histogram(bounds) = self.metric.kind { bounds.len() } else { 0 };
        Series {
            labels,
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0.0_f64.to_bits()),
            buckets: (0..bounds).map(|_| AtomicU64::new(0)).collect(),
            last: AtomicI64::new(0),
        }
    }

    fn insert(&self, labels: Vec<String>) -> Arc<Series> {
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if let Some(known) = all.iter().find(|series| series.labels == labels) {
            return known.clone();
        }
        let made = Arc::new(self.series_of(labels));
        all.push(made.clone());
        made
    }
}

impl Series {
    fn sample(&self) -> Sample {
        let mut below = 0;
        let buckets = self.buckets.iter().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        let buckets: Vec<u64> = buckets.collect();
        // Read after the buckets, it may be ahead of them by what is being counted; it must never be behind.
        let count = self.count.load(Ordering::Relaxed).max(below);
        Sample { labels: self.labels.clone(), count, sum: f64::from_bits(self.sum.load(Ordering::Relaxed)), buckets }
    }
}

impl Meter for Metrics {
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        if let Some((_, series)) = self.series(name, labels) {
            series.count.fetch_add(by, Ordering::Relaxed);
            series.last.store((self.clock)(), Ordering::Relaxed);
        }
        if let Some(next) = self.next.get() {
            next.count(name, labels, by);
        }
    }

    fn time(&self, name: &'static str, labels: &[(&'static str, &str)], seconds: f64) {
        if let Some((metric, series)) = self.series(name, labels)
            && let MetricKind::Histogram(bounds) = metric.kind
        {
            if let Some(bucket) = bounds.iter().position(|bound| seconds <= *bound).and_then(|at| series.buckets.get(at)) {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
            let add = |bits| Some((f64::from_bits(bits) + seconds).to_bits());
            // It fails only when told to, and it is not.
            let _ = series.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            series.count.fetch_add(1, Ordering::Relaxed);
            series.last.store((self.clock)(), Ordering::Relaxed);
        }
        if let Some(next) = self.next.get() {
            next.time(name, labels, seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(metrics: &Metrics, name: &str) -> Vec<Sample> {
        metrics.samples().find(|(metric, _)| metric.name == name).map(|(_, samples)| samples).unwrap()
    }

    #[test]
    fn threads_lose_no_count() {
        let metrics = Metrics::new(|| 7);
        std::thread::scope(|scope| {
            for cloud in ["aws", "aws", "gcp", "aws"] {
                let metrics = &metrics;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        metrics.count("stanch_verified_total", &[("cloud", cloud)], 1);
                        metrics.time("stanch_time_to_remediate_seconds", &[("cloud", cloud)], 61.0);
                    }
                });
            }
        });
        let counts: Vec<(String, u64)> =
            sample(&metrics, "stanch_verified_total").into_iter().map(|s| (s.labels.concat(), s.count)).collect();
        assert_eq!(counts, [("aws".to_owned(), 3_000), ("gcp".to_owned(), 1_000)]);
        let times = sample(&metrics, "stanch_time_to_remediate_seconds");
        assert_eq!((times[0].count, times[0].sum), (3_000, 183_000.0));
        assert_eq!(times[0].buckets[..3], [0, 0, 3_000], "61 s are more than a minute and less than five");
    }

    #[test]
    fn what_is_not_listed_is_not_counted_and_a_label_without_bound_ends_in_other() {
        let metrics = Metrics::new(|| 0);
        metrics.count("stanch_surprise_total", &[], 1);
        assert!(metrics.samples().all(|(metric, _)| metric.name != "stanch_surprise_total"));
        for n in 0..10_000 {
            metrics.count("stanch_refused_total", &[("gate", &format!("gate-{n}"))], 1);
        }
        let samples = sample(&metrics, "stanch_refused_total");
        assert_eq!(samples.len(), MAX_SERIES + 1);
        let other = samples.iter().find(|s| s.labels == [OTHER]).unwrap();
        assert_eq!(other.count as usize, 10_000 - MAX_SERIES);
    }

    #[test]
    fn the_last_time_of_a_metric_is_that_of_its_latest_series() {
        let metrics = Metrics::new(|| 1_790_000_000_000);
        assert_eq!(metrics.last(&stanch_engine::telemetry::SWEEPS), None);
        metrics.count("stanch_sweeps_total", &[("source", "scc"), ("outcome", "failed")], 1);
        assert_eq!(metrics.last(&stanch_engine::telemetry::SWEEPS), Some(1_790_000_000_000));
    }
}
