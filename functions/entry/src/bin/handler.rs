//! The Azure Functions custom handler.

use std::io::Write;
use std::process::ExitCode;

use stanch_entry::settings::Settings;
use stanch_entry::{host, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = Settings::from_env();
    let ended = match log::start(&settings, log::Usual::HOSTED) {
        Ok(log) => {
            let ended = host::serve(settings).await.map_err(|e| e.to_string());
            log.end().await;
            ended
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error}"));
            ExitCode::from(2)
        }
    }
}
