//! Traces and metrics to a collector over OTLP/HTTP. Batched in the background: a collector that is slow or away costs telemetry,
//! never work.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use opentelemetry::trace::{SpanBuilder, TraceId, Tracer, TracerProvider as _};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};
use stanch_core::port::Meter;
use stanch_engine::telemetry::{METRICS, MetricKind};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

/// How long the end of the process waits for what is not sent yet.
const FLUSH: Duration = Duration::from_secs(2);
/// How long one request to the collector may take.
const SEND: Duration = Duration::from_secs(5);

/// The export of this process.
#[derive(Debug)]
pub struct Export {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Export {
    /// Begins to export to `endpoint` (`http://127.0.0.1:4318`), to which the paths of the signals are appended. Headers, time-outs
    /// and intervals are OpenTelemetry's own variables. An error never repeats the endpoint: it may hold a password.
    pub fn start(endpoint: &str) -> Result<Self, String> {
        let base = reqwest::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if base.is_none() {
            return Err("it is no URL; expected as `http://127.0.0.1:4318`".to_owned());
        }
        let runtime = Handle::try_current().map_err(|e| e.to_string())?;
        let client = reqwest::Client::builder().timeout(SEND).build().map_err(|e| e.without_url().to_string())?;
        let client = OnRuntime { client, runtime };
        let at = |signal: &str| format!("{}/v1/{signal}", endpoint.trim_end_matches('/'));
        let wrong = |_| "no exporter can be built for it".to_owned();
        let spans =
            SpanExporter::builder().with_http().with_http_client(client.clone()).with_endpoint(at("traces")).build().map_err(wrong)?;
        let numbers = MetricExporter::builder().with_http().with_http_client(client).with_endpoint(at("metrics")).build().map_err(wrong)?;
        let resource = resource();
        let traces = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_id_generator(Ids::default())
            .with_batch_exporter(spans)
            .build();
        let metrics = SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(numbers).build();
        Ok(Export { traces, metrics })
    }

    /// Counts what the collector is to get.
    pub fn meter(&self) -> Arc<dyn Meter> {
        let meter = self.metrics.meter("stanch");
        let mut instruments = Instruments::default();
        for metric in METRICS {
            match metric.kind {
                MetricKind::Counter => {
                    let counter = meter.u64_counter(metric.name).with_description(metric.about).build();
                    instruments.counters.insert(metric.name, counter);
                }
                MetricKind::Histogram(bounds) => {
                    let histogram = meter.f64_histogram(metric.name).with_description(metric.about).with_unit("s");
                    instruments.histograms.insert(metric.name, histogram.with_boundaries(bounds.to_vec()).build());
                }
                // Read from the store when `/metrics` is asked for.
                MetricKind::Gauge => {}
            }
        }
        Arc::new(instruments)
    }

    /// Makes traces of our spans; those of libraries stay out, or each export would trace the next.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let tracer = Correlated(self.traces.tracer("stanch"));
        let ours = Targets::new().with_target("stanch", LevelFilter::INFO);
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(ours).boxed()
    }

    /// Sends what is left, for at most two seconds.
    pub async fn end(self) {
        let (traces, metrics) = (self.traces, self.metrics);
        // Threads of their own: shutting down blocks, and what it waits for runs on this runtime.
        let traces = on_thread(move || drop(traces.shutdown_with_timeout(FLUSH)));
        let metrics = on_thread(move || drop(metrics.shutdown_with_timeout(FLUSH)));
        drop(tokio::time::timeout(FLUSH, async { (traces.await, metrics.await) }).await);
    }
}

fn on_thread(work: impl FnOnce() + Send + 'static) -> oneshot::Receiver<()> {
    let (done, wait) = oneshot::channel();
    std::thread::spawn(move || {
        work();
        // Nobody waits any more once the time is up.
        let _ = done.send(());
    });
    wait
}

/// Who we are: what OpenTelemetry's variables say, else our name.
fn resource() -> Resource {
    const NAME: Key = Key::from_static_str("service.name");
    let found = Resource::builder().build();
    let named = found.get(&NAME).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let ours = (!named).then(|| KeyValue::new(NAME, "stanch"));
    Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).with_attributes(ours).build()
}

/// Sends on the program's runtime: the exporters' own threads have none.
#[derive(Clone, Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

thread_local! {
    /// The id of the trace that the span being built begins.
    static TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Gives a trace the correlation id of its first span as its id: both have 16 bytes, and one is found by the other.
struct Correlated(SdkTracer);

impl Tracer for Correlated {
    type Span = opentelemetry_sdk::trace::Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Self::Span {
        let correlation = builder.attributes.iter().flatten().find(|field| field.key.as_str() == "correlation");
        let id = correlation.and_then(|field| Uuid::parse_str(&field.value.as_str()).ok()).filter(|id| !id.is_nil());
        TRACE.set(id.map(|id| TraceId::from(id.as_u128())));
        let span = self.0.build_with_context(builder, parent);
        TRACE.set(None);
        span
    }
}

#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> opentelemetry::trace::SpanId {
        self.0.new_span_id()
    }
}

#[derive(Default)]
struct Instruments {
    counters: BTreeMap<&'static str, Counter<u64>>,
    histograms: BTreeMap<&'static str, Histogram<f64>>,
}

fn attributes(labels: &[(&'static str, &str)]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| KeyValue::new(*name, (*value).to_owned())).collect()
}

impl Meter for Instruments {
    fn count(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        if let Some(counter) = self.counters.get(name) {
            counter.add(by, &attributes(labels));
        }
    }

    fn time(&self, name: &'static str, labels: &[(&'static str, &str)], seconds: f64) {
        if let Some(histogram) = self.histograms.get(name) {
            histogram.record(seconds, &attributes(labels));
        }
    }
}
