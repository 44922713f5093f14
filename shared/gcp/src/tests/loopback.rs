//! A tiny HTTP server on this machine: answers what it was told, in order, and keeps what it was asked.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came over the wire.
pub(super) struct Asked {
    /// `POST /path?query HTTP/1.1`.
    pub(super) line: String,
    head: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(super) struct Server {
    pub(super) address: String,
    asked: JoinHandle<Vec<Asked>>,
}

impl Server {
    /// Starts a server that gives these answers: status line, extra headers (each ending in `\r\n`), body.
    pub(super) async fn start(answers: Vec<(&'static str, &'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let mut all = Vec::new();
            for (status, headers, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                all.push(read(&mut stream).await);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
            }
            all
        });
        Server { address, asked }
    }

    /// Every request, once all answers are given.
    pub(super) async fn asked(self) -> Vec<Asked> {
        self.asked.await.unwrap()
    }
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client hung up inside the head");
    };
    let text = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let (line, head) = text.split_once("\r\n").unwrap();
    let mut asked = Asked { line: line.to_owned(), head: head.to_owned(), body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client hung up inside the body");
    }
    asked.body = String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap();
    asked
}
