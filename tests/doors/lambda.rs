//! `bootstrap` against the Lambda runtime's HTTP interface.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{command, event};

/// Reads one HTTP request: its head and body.
fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()));
            if body.len() >= length.unwrap_or(0) || read == 0 {
                return (head.to_owned(), body.to_owned());
            }
        }
    }
}

/// Hands one event to the program and gives its answer.
fn invoke(payload: &str) -> (String, Value) {
    let (listener, data) = (TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
    let api = listener.local_addr().unwrap().to_string();
    let mut program = command(env!("CARGO_BIN_EXE_bootstrap"), &data);
    program.env("AWS_LAMBDA_RUNTIME_API", api).env("AWS_LAMBDA_FUNCTION_NAME", "stanch").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
    program.env("AWS_LAMBDA_FUNCTION_VERSION", "1").env("AWS_LAMBDA_LOG_STREAM_NAME", "s").env("AWS_LAMBDA_LOG_GROUP_NAME", "g");
    let mut child = program.spawn().unwrap();
    let mut answered = None;
    while answered.is_none() {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (head, body) = request(&mut stream);
        let (status, reply, headers) = if head.starts_with("GET /2018-06-01/runtime/invocation/next") {
            let headers = "lambda-runtime-aws-request-id: r1\r\nlambda-runtime-deadline-ms: 99999999999999\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:111122223333:function:stanch\r\n";
            ("200 OK", payload, headers)
        } else {
            answered = Some((head.lines().next().unwrap_or_default().to_owned(), serde_json::from_str(&body).unwrap_or_default()));
            ("202 Accepted", "{}", "")
        };
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{reply}",
            reply.len()
        );
        stream.write_all(text.as_bytes()).unwrap();
    }
    drop(child.kill());
    drop(child.wait());
    answered.unwrap()
}

#[test]
fn an_event_of_eventbridge_is_taken_in() {
    let (line, answer) = invoke(&event("shop-l"));
    assert!(line.contains("/response"), "{line}: {answer}");
    assert_eq!(answer["taken"][0]["taken"], "opened", "{answer}");
}

#[test]
fn a_batch_of_sqs_names_no_message_that_was_taken_in_or_parked() {
    let batch = json!({"Records": [{"messageId": "m1", "body": event("shop-m")}, {"messageId": "m2", "body": "{}"}]}).to_string();
    let (line, answer) = invoke(&batch);
    assert!(line.contains("/response"), "{line}: {answer}");
    assert_eq!(answer["batchItemFailures"], json!([]), "what cannot be read is parked, where people see it: {answer}");
}
