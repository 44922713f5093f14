//! Servers the tests talk to.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::repo::{Repo, read};

/// moto on a free loopback port. It ends with this value, and, since it watches its standard input, with this process.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    port: u16,
}

/// moto imports every AWS service first, Azurite its three services; on a busy machine that takes a while.
const PATIENCE: Duration = Duration::from_mins(2);

impl Moto {
    /// Starts it and waits for its port.
    pub(crate) fn start(repo: &Repo, python: &Path) -> Result<Self, Fault> {
        let log = repo.scratch()?.join("moto.log");
        let stderr = std::fs::File::create(&log).map_err(Fault::io(format!("write {}", log.display())))?;
        let mut child = Command::new(python)
            .arg(repo.tool("py/serve_moto.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(Fault::io("start moto"))?;
        let stdout = child.stdout.take();
        let mut moto = Moto { child, port: 0 };
        let (send, port) = mpsc::channel();
        std::thread::spawn(move || {
            let line = stdout.and_then(|out| BufReader::new(out).lines().next()).and_then(Result::ok);
            // Nobody listens any more once the wait is over.
            let _ = send.send(line.and_then(|text| text.trim().parse().ok()));
        });
        moto.port = port.recv_timeout(PATIENCE).ok().flatten().ok_or_else(|| {
            let said = read(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing");
            Fault::Missing(format!("moto gave no port within {} s; it said: {last} ({})", PATIENCE.as_secs(), log.display()))
        })?;
        Ok(moto)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Azurite on three free loopback ports in a row: blob, queue, table. It ends as [`Moto`] does.
#[derive(Debug)]
pub(crate) struct Azurite {
    child: Child,
    port: u16,
}

impl Azurite {
    /// Starts it and waits for its ports.
    pub(crate) fn start(repo: &Repo, node_modules: &Path) -> Result<Self, Fault> {
        let log = repo.scratch()?.join("azurite.log");
        let output = || std::fs::File::create(&log).map_err(Fault::io(format!("write {}", log.display())));
        let port = three_free_ports()?;
        let child = Command::new("node")
            .arg(repo.tool("js/serve_azurite.js"))
            .arg(port.to_string())
            .env("NODE_PATH", node_modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output()?)
            .spawn()
            .map_err(Fault::io("start azurite"))?;
        let mut azurite = Azurite { child, port };
        let start = Instant::now();
        let open = |offset| TcpStream::connect((Ipv4Addr::LOCALHOST, port + offset)).is_ok();
        while !(0..3).all(open) {
            let ended = azurite.child.try_wait().map_err(Fault::io("wait for azurite"))?.is_some();
            if ended || start.elapsed() > PATIENCE {
                let said = read(&log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("nothing");
                return Err(Fault::Missing(format!("azurite did not open its ports; it said: {last} ({})", log.display())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(azurite)
    }

    /// Where its blob service listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The first of three ports in a row that are free now.
fn three_free_ports() -> Result<u16, Fault> {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let mut tried = Ok(0);
    for _ in 0..50 {
        tried = free(0).and_then(|listener| listener.local_addr()).map(|address| address.port());
        if let Ok(port) = tried
            && port < u16::MAX - 2
            && (0..3).all(|offset| free(port + offset).is_ok())
        {
            return Ok(port);
        }
    }
    tried.map_err(Fault::io("find a free port"))?;
    Err(Fault::Missing("there are no three free ports in a row".to_owned()))
}

fn end(child: &mut Child) {
    // A process that ended by itself cannot be killed; it is reaped all the same.
    let _ = child.kill();
    let _ = child.wait();
}
