//! Log output.

use tracing_subscriber::EnvFilter;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Readable lines on stderr, for people.
    Stderr,
    /// JSON lines on stdout, for hosts that collect them.
    Stdout,
}

/// Starts logging. `filter` is `STANCH_LOG`; a filter that cannot be read counts as `default`.
pub fn start(filter: Option<&str>, default: &str, to: LogTo) {
    let filter = filter.and_then(|f| EnvFilter::try_new(f).ok()).unwrap_or_else(|| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    // A second start is a test's; the first one stands.
    let started = match to {
        LogTo::Stderr => builder.with_writer(std::io::stderr).with_target(false).try_init(),
        LogTo::Stdout => builder.json().try_init(),
    };
    drop(started);
}
