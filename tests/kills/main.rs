//! The real programs killed, starved and set beside each other: nothing is lost, and nothing is done twice.
//!
//! moto is named by `STANCH_MOTO` (`http://127.0.0.1:PORT`), Azurite by `STANCH_AZURITE`; the Node packages for one of a test's
//! own lie in `STANCH_NODE_MODULES`. `STANCH_KILLS` is how often a process is killed (`cargo xtask kills` sets it),
//! `STANCH_KILLS_SEED` chooses the moments again, `STANCH_NEXT_BIN` is a `stanch` built with the next formats
//! (`cargo xtask versions`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program; clippy knows only its test functions"
)]

mod account;
mod chance;
mod disk;
mod kinds;
mod load;
mod outage;
mod program;
mod proxy;
mod relay;
#[path = "../moto/resources.rs"]
mod resources;
mod versions;

use std::sync::Arc;
use std::time::SystemTime;

use resources::Cloudy;
use stanch_aws::{AwsApi, AwsCredentials, Endpoint};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";

/// A setting of this test program.
pub(crate) fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the settings of this test program")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A server of a test, or why the test is skipped. CI skips nothing.
pub(crate) fn server(name: &str) -> Option<String> {
    let url = setting(name);
    if url.is_none() {
        assert!(setting("CI").is_none(), "{name} is not set, and CI runs this test");
        println!("skipped: {name} is not set");
    }
    url
}

#[expect(clippy::disallowed_methods, reason = "the clock of this test program")]
fn wall() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since the epoch, now.
pub(crate) fn now() -> i64 {
    wall().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()).clone()
}

/// moto, asked directly.
pub(crate) fn cloud(moto: &str) -> Cloudy {
    let credentials = Arc::new(AwsCredentials::fixed("AKIAIOSFODNN7EXAMPLE", "secret"));
    Cloudy { api: AwsApi::new(credentials, Endpoint::Loopback(moto.to_owned()), wall) }
}

/// Everything is fixed without asking, as often as it takes.
pub(crate) fn rules() -> String {
    let fixes: Vec<&str> = kinds::KINDS.iter().map(|kind| kind.fix).collect();
    format!(
        "rule: all\nmode: auto\nscope: ['*']\naccept_unproven: [{}]\nlimits: {{per_hour: 1000000}}\ndo:\n  - fix: recommended\n",
        fixes.join(", ")
    )
}
