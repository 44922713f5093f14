//! The AWS Lambda program.

use stanch_entry::log::{self, LogTo};
use stanch_entry::settings::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let settings = Settings::from_env();
    log::start(settings.log.as_deref(), "info", LogTo::Stdout);
    stanch_entry::lambda::serve(settings).await
}
