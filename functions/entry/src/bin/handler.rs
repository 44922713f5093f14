//! The Azure Functions custom handler.

use std::io::Write;
use std::process::ExitCode;

use stanch_entry::log::{self, LogTo};
use stanch_entry::settings::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::from_env();
    log::start(settings.log.as_deref(), "info", LogTo::Stdout);
    match stanch_entry::host::serve(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error}"));
            ExitCode::from(2)
        }
    }
}
