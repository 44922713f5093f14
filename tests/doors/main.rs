//! The doors through the real programs: the Functions host's protocol, the local server, the Lambda runtime.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program; clippy knows only its test functions"
)]

mod account;
mod batch;
mod handler;
mod kept;
mod kill;
mod lambda;
mod server;
mod telling;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A program that runs until the test ends.
struct Program {
    child: Child,
    /// Its data folder.
    data: TempDir,
    /// `http://127.0.0.1:PORT`.
    url: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program with an empty environment but for what it needs.
fn command(program: &str, data: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", data.path()).env("USER", "alice").env("STANCH_DATA", data.path()).env("STANCH_LOG", "error");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Program {
    /// `handler`, ready.
    async fn handler() -> Program {
        Program::handler_with(&[]).await
    }

    /// `handler` with more settings, ready.
    async fn handler_with(settings: &[(&str, &str)]) -> Program {
        let (data, port) = (TempDir::new().unwrap(), free_port());
        let mut command = command(env!("CARGO_BIN_EXE_handler"), &data);
        let child = command.envs(settings.iter().copied()).env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string()).spawn().unwrap();
        Program::ready(child, data, port, "/").await
    }

    /// `stanch up`, ready.
    async fn up(arguments: &[&str], data: TempDir) -> Program {
        Program::up_with(arguments, data, |_| {}).await
    }

    /// The same with more settings.
    async fn up_with(arguments: &[&str], data: TempDir, more: impl FnOnce(&mut Command)) -> Program {
        let port = free_port();
        let mut command = command(env!("CARGO_BIN_EXE_stanch"), &data);
        let listen = format!("127.0.0.1:{port}");
        let folder = data.path().to_str().unwrap().to_owned();
        command.args(["up", "--listen", &listen, "--data", &folder]).args(arguments);
        more(&mut command);
        let child = command.spawn().unwrap();
        Program::ready(child, data, port, "/readyz").await
    }

    async fn ready(child: Child, data: TempDir, port: u16, path: &str) -> Program {
        let program = Program { child, data, url: format!("http://127.0.0.1:{port}") };
        let client = client();
        wait_for("the program is ready", async || {
            client.get(format!("{}{path}", program.url)).send().await.is_ok_and(|r| r.status().is_success())
        })
        .await;
        program
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.data.path().join("token")).unwrap()
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Asks again and again until it holds; two minutes at most: an intent's lease and settle time must be waited out.
async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(2);
    while !holds().await {
        assert!(Instant::now() < end, "not within two minutes: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A Security Hub event about a bucket.
fn event(bucket: &str) -> String {
    include_str!("../../functions/securityhub-finding/fixtures/imported.json").replace("shop-invoices-archive", bucket)
}
