//! `stanch up`.

use std::net::SocketAddr;

use super::context::Context;
use super::failure::Failure;
use crate::server::{self, UpOptions};
use crate::settings::Settings;

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Run on simulated clouds with a seeded estate; needs no account anywhere
    #[arg(long)]
    demo: bool,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7171")]
    listen: SocketAddr,
    #[command(flatten)]
    rules: super::RulesArg,
}

impl Up {
    /// What is logged unless `STANCH_LOG` says otherwise: the demo tells its story itself.
    pub(crate) fn log_level(&self) -> &'static str {
        if self.demo { "warn" } else { "info" }
    }
}

/// Runs the server until it is stopped.
pub(crate) async fn run(context: &Context, arguments: Up) -> Result<(), Failure> {
    let data = if arguments.demo { context.demo_data() } else { context.data() };
    if arguments.demo {
        Context::refuse_real_data(&data)?;
    } else {
        context.refuse_demo_data(&data)?;
    }
    // The demo has rules of its own; only ones named for it replace them.
    let kept = context.settings.rules.clone().filter(|_| !arguments.demo);
    let rules = arguments.rules.into_folder().or(kept);
    let settings = Settings { data: Some(data.clone()), ..context.settings.clone() };
    let options = UpOptions { demo: arguments.demo, listen: arguments.listen, data, rules, settings };
    Ok(server::up(options).await?)
}
