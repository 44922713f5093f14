//! Stands between the store and Azurite and loses requests or answers, as a dying process or a bad line does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Url;

use super::super::Account;

/// What happens to the requests that change something; reading is never disturbed unless everything is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// From this write on (counted from 0) nothing gets through: the process died before it.
    DiesBefore(usize),
    /// This write gets through, its answer and everything later does not.
    DiesAfter(usize),
    /// This write gets through, its answer is lost once.
    LosesAnswer(usize),
}

pub(super) struct Proxy {
    pub(super) account: Account,
    fault: Arc<Mutex<Fault>>,
    writes: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy before each service of the account.
    pub(super) fn before(account: &Account) -> Self {
        let (fault, writes) = (Arc::new(Mutex::new(Fault::None)), Arc::new(AtomicUsize::new(0)));
        let mut through = account.clone();
        for url in [&mut through.blob, &mut through.table] {
            let port = listen(url, Arc::clone(&fault), Arc::clone(&writes));
            url.set_port(Some(port)).unwrap();
        }
        Proxy { account: through, fault, writes }
    }

    /// From now on, counting anew.
    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
        self.writes.store(0, Ordering::SeqCst);
    }

    /// Writes since then.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

fn listen(url: &Url, fault: Arc<Mutex<Fault>>, writes: Arc<AtomicUsize>) -> u16 {
    let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (target, fault, writes) = (target.clone(), Arc::clone(&fault), Arc::clone(&writes));
            // An error ends the connection, which is what the client is to see.
            std::thread::spawn(move || carry(client, &target, &fault, &writes));
        }
    });
    port
}

/// Carries one request and its answer; each connection carries only one.
fn carry(mut client: TcpStream, target: &(String, u16), fault: &Mutex<Fault>, writes: &AtomicUsize) -> Option<()> {
    let request = request(&mut client)?;
    let changes = !request.starts_with(b"GET") && !request.starts_with(b"HEAD");
    let fault = *fault.lock().unwrap();
    let number = if changes { writes.fetch_add(1, Ordering::SeqCst) } else { writes.load(Ordering::SeqCst) };
    let (arrives, answered) = match fault {
        Fault::None => (true, true),
        Fault::DiesBefore(n) => (number < n || (!changes && number <= n), number < n || (!changes && number <= n)),
        Fault::DiesAfter(n) => (number <= n, number < n || (!changes && number <= n)),
        Fault::LosesAnswer(n) => (true, !(changes && number == n)),
    };
    if !arrives {
        return None;
    }
    let mut server = TcpStream::connect((target.0.as_str(), target.1)).ok()?;
    server.write_all(&request).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    if answered {
        client.write_all(&answer).ok()?;
    }
    Some(())
}

/// A whole request, which asks for the connection to be closed after it.
fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let read = client.read(&mut buffer).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let insert = bytes.windows(2).position(|window| window == b"\r\n")? + 2;
            bytes.splice(insert..insert, *b"connection: close\r\n");
            return Some(bytes);
        }
    }
}
