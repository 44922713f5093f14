//! The AWS Lambda program.

use stanch_entry::settings::Settings;
use stanch_entry::{lambda, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let settings = Settings::from_env();
    log::start(settings.log.as_deref())?;
    lambda::serve(settings).await
}
