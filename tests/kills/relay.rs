//! Azurite of one test alone, behind a relay that can be cut: its three ports then take a connection and drop it.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// Azurite, by the address of its blob service; it ends with this value, and, since it watches its standard input, with this process.
pub(crate) struct Azurite {
    child: Child,
    port: u16,
}

impl Azurite {
    /// Starts it with the Node packages in this folder, and waits for its ports.
    pub(crate) async fn start(node_modules: &str) -> Azurite {
        let port = three_ports().await[0].local_addr().unwrap().port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/xtask/js/serve_azurite.js");
        let mut command = Command::new("node");
        command.arg(script).arg(port.to_string()).env("NODE_PATH", node_modules);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut azurite = Azurite { child, port };
        let end = Instant::now() + Duration::from_mins(2);
        for port in port..port + 3 {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                assert!(azurite.child.try_wait().unwrap().is_none() && Instant::now() < end, "azurite does not open its ports");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        azurite
    }

    /// Where its blob service listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The relay; it ends with the test.
pub(crate) struct Relay {
    /// Where the blob service is reached through it.
    pub(crate) url: String,
    cut: watch::Sender<bool>,
}

impl Relay {
    /// Starts one in front of `azurite`.
    pub(crate) async fn start(azurite: &Azurite) -> Relay {
        let cut = watch::Sender::new(false);
        let listeners = three_ports().await;
        let url = format!("http://{}", listeners[0].local_addr().unwrap());
        for (listener, port) in listeners.into_iter().zip(azurite.port..) {
            tokio::spawn(relay(listener, port, cut.subscribe()));
        }
        Relay { url, cut }
    }

    /// Cuts what is connected and lets nothing through, or lets everything through again.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

async fn relay(listener: TcpListener, port: u16, cut: watch::Receiver<bool>) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut cut = cut.clone();
        tokio::spawn(async move {
            if *cut.borrow() {
                return;
            }
            let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut from, &mut to) => {}
                _ = cut.wait_for(|cut| *cut) => {}
            }
        });
    }
}

/// Three free ports in a row, as Azurite and its clients have them: blob, queue, table.
async fn three_ports() -> Vec<TcpListener> {
    for _ in 0..50 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut all = vec![first];
        for next in port.saturating_add(1)..=port.saturating_add(2) {
            all.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, next)).await);
        }
        if all.len() == 3 {
            return all;
        }
    }
    panic!("there are no three free ports in a row");
}
