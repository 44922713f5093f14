//! The AWS Lambda program.

use stanch_entry::settings::Settings;
use stanch_entry::{lambda, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let settings = Settings::from_env();
    if settings.lambda_api.is_none() {
        return Err("AWS_LAMBDA_RUNTIME_API is not set: this program is started by AWS Lambda; on your own machine use `stanch up`".into());
    }
    let log = log::start(&settings, log::Usual::HOSTED)?;
    let ended = lambda::serve(settings).await;
    log.end().await;
    ended
}
