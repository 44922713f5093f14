//! `cargo xtask bench`: what a user of the serverless programs feels, measured: start-up, memory, size.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::install;
use crate::repo::{self, Repo, read};

const PROGRAMS: [&str; 3] = ["handler", "bootstrap", "stanch"];
const STARTS: usize = 20;
const POLL: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds the programs and prints a table.
pub(crate) fn run(repo: &Repo, profile: &str) -> Result<(), Fault> {
    repo::run(repo.cargo().args(["build", "--profile", profile, "-p", "stanch-entry"]))?;
    let folder = repo.target.join(if profile == "dev" { "debug" } else { profile });
    let mut rows = Vec::new();
    for program in PROGRAMS {
        let path = folder.join(program);
        let size = std::fs::metadata(&path).map_err(Fault::io(format!("read {}", path.display())))?.len();
        rows.push((format!("size of `{program}`"), format!("{:.1} MB", size as f64 / 1e6)));
    }
    let (mut starts, memory) = measure(&folder.join("handler"), &repo.scratch()?.join("bench-data"))?;
    starts.sort();
    let ms = |at: usize| starts.get(at).map_or(0.0, Duration::as_secs_f64) * 1e3;
    let (fastest, median, slowest) = (ms(0), ms(starts.len() / 2), ms(starts.len().saturating_sub(1)));
    rows.push((
        format!("start of `handler` until it answers, median of {STARTS}"),
        format!("{median:.1} ms ({fastest:.1} to {slowest:.1})"),
    ));
    rows.push(("resident memory of `handler` once it answers".to_owned(), memory));
    println!("\nprofile `{profile}`\n\n| measure | value |\n| --- | --- |");
    for (name, value) in rows {
        println!("| {name} | {value} |");
    }
    println!();
    repo::run(repo.cargo().args(["bench", "--quiet", "-p", "stanch-entry", "--bench", "event"]))?;
    let step = Command::new(install::prowler(repo)?).args(["-W", "ignore"]).arg(repo.tool("py/prowler_step.py")).output();
    let step = step.map_err(Fault::io("start Prowler's step"))?;
    let text = String::from_utf8_lossy(&step.stdout);
    let Some((model, json)) = text.trim().split_once(' ').filter(|_| step.status.success()) else {
        return Err(Fault::Found(format!("Prowler's step failed: {}", String::from_utf8_lossy(&step.stderr).trim())));
    };
    println!("Prowler 5.46.0, from its own finding to the model of OCSF: {model} µs; to OCSF as JSON: {json} µs");
    Ok(())
}

/// Starts the handler again and again as the Functions host does: a port in the environment, then requests until it answers.
fn measure(handler: &Path, data: &Path) -> Result<(Vec<Duration>, String), Fault> {
    let mut starts = Vec::new();
    let mut memory = "not known on this system".to_owned();
    for _ in 0..STARTS {
        let port = free_port()?;
        let start = Instant::now();
        let mut command = Command::new(handler);
        command.env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string()).env("STANCH_DATA", data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Running(command.spawn().map_err(Fault::io(format!("start {}", handler.display())))?);
        while !answers(port) {
            if start.elapsed() > PATIENCE {
                return Err(Fault::Found(format!("{} did not answer within {} s", handler.display(), PATIENCE.as_secs())));
            }
            std::thread::sleep(POLL);
        }
        starts.push(start.elapsed());
        if let Some(resident) = resident(child.0.id()) {
            memory = resident;
        }
    }
    Ok((starts, memory))
}

/// A program that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended by itself cannot be killed; it is reaped all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> Result<u16, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Fault::io("find a free port"))?;
    Ok(listener.local_addr().map_err(Fault::io("find a free port"))?.port())
}

/// Whether `GET /` gets any HTTP answer.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(100))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut first = [0; 5];
        stream.read_exact(&mut first)?;
        Ok(&first == b"HTTP/")
    };
    ask().unwrap_or(false)
}

/// Resident memory of a process, from the kernel's own account.
fn resident(id: u32) -> Option<String> {
    let status = read(Path::new(&format!("/proc/{id}/status"))).ok()?;
    let kilobytes: f64 = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(format!("{:.1} MB", kilobytes * 1024.0 / 1e6))
}
