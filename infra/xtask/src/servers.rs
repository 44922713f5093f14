//! Servers the tests talk to.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::fault::Fault;
use crate::repo::{Repo, read};

/// moto on a free loopback port. It ends with this value, and, since it watches its standard input, with this process.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    port: u16,
}

/// moto imports every AWS service first; on a busy machine that takes a while.
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
        // A process that ended by itself cannot be killed; it is reaped all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
