//! Log output, and the traces that go with it. Programs that hosts run write JSON lines on stdout, which hosts collect; the
//! command line writes text on stderr. Every line names the spans it is in, with their fields.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::settings::Settings;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What a program logs unless the settings say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// The filter.
    pub filter: &'static str,
    /// How a line is written.
    pub format: Format,
    /// On standard error instead of standard output.
    pub stderr: bool,
}

impl Usual {
    /// Of a program that a host runs.
    pub const HOSTED: Usual = Usual { filter: "info", format: Format::Json, stderr: false };
}

/// What must be ended before the process is.
#[must_use = "what is not sent yet is lost unless it is ended"]
#[derive(Debug)]
pub struct Log {
    #[cfg(feature = "otlp")]
    export: Option<crate::telemetry::otlp::Export>,
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, and the export of traces and metrics where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. To be called once a
/// runtime runs: the export sends on it.
pub fn start(settings: &Settings, usual: Usual) -> Result<Log, String> {
    let wanted = settings.log.as_deref().unwrap_or(usual.filter);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|e| format!("setting `STANCH_LOG`: `{wanted}` is no log filter: {e}\nhint: as `info`, or `warn,stanch_engine=debug`"))?;
    let format = match settings.log_format.as_deref() {
        None => usual.format,
        Some("json") => Format::Json,
        Some("text") => Format::Text,
        Some(other) => return Err(format!("setting `STANCH_LOG_FORMAT`: `{other}` is none of `json`, `text`")),
    };
    let mut layers = vec![lines(format, usual.stderr).with_filter(filter).boxed()];
    let (log, traces) = export(settings)?;
    layers.extend(traces);
    let begun = tracing_subscriber::registry().with(layers).try_init();
    if !cfg!(feature = "otlp") && settings.otlp_endpoint.is_some() {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program was built without the feature `otlp`: nothing is exported");
    }
    // A second subscriber in one process (tests) is no fault.
    drop(begun);
    Ok(log)
}

fn lines(format: Format, stderr: bool) -> BoxedLayer {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    match (format, stderr) {
        (Format::Json, false) => lines.json().with_current_span(false).with_writer(std::io::stdout).boxed(),
        (Format::Json, true) => lines.json().with_current_span(false).with_writer(std::io::stderr).boxed(),
        (Format::Text, false) => lines.with_writer(std::io::stdout).boxed(),
        (Format::Text, true) => lines.with_writer(std::io::stderr).boxed(),
    }
}

#[cfg(feature = "otlp")]
fn export(settings: &Settings) -> Result<(Log, Option<BoxedLayer>), String> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok((Log { export: None }, None)) };
    let export =
        crate::telemetry::otlp::Export::start(endpoint).map_err(|reason| format!("setting `OTEL_EXPORTER_OTLP_ENDPOINT`: {reason}"))?;
    crate::telemetry::metrics().forward(export.meter());
    let traces = export.layer();
    Ok((Log { export: Some(export) }, Some(traces)))
}

#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `otlp` it can fail")]
fn export(_: &Settings) -> Result<(Log, Option<BoxedLayer>), String> {
    Ok((Log {}, None))
}

impl Log {
    /// Sends what is left, for at most two seconds.
    #[cfg_attr(not(feature = "otlp"), expect(clippy::unused_async, reason = "with the feature `otlp` it waits"))]
    pub async fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(export) = self.export {
            export.end().await;
        }
    }
}
