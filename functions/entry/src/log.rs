//! Log output of the programs that hosts run: JSON lines on stdout, which hosts collect.

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is `STANCH_LOG`; absent counts as `info`.
pub fn start(filter: Option<&str>) -> Result<(), String> {
    let wanted = filter.unwrap_or("info");
    let filter = EnvFilter::try_new(wanted).map_err(|e| {
        format!("setting `STANCH_LOG`: `{wanted}` is no log filter: {e}; expected as `info`, or `warn,stanch_engine=debug`")
    })?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stdout).try_init().map_err(|e| e.to_string())
}
