//! Behaviour of the sandbox as a caller of [`CloudApi`] sees it.

mod aws_ec2;
mod aws_services;
mod azure;
mod azure_network;
mod azure_shapes;
mod faults;
mod gcp;
mod operations;
mod sandbox;
mod source;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::Value;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use stanch_core::cloud::Cloud;
use stanch_core::port::{ApiError, CloudApi};

use crate::Sandbox;

const AWS: &str = "111122223333";
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
const ARM: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers";

/// 20 November 2026, 08:00:00 UTC.
fn clock() -> i64 {
    1_795_161_600_000
}

fn seeded() -> Sandbox {
    Sandbox::seeded(clock)
}

/// The sandbox never waits: its futures are ready at the first poll.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the sandbox waits for something"),
    }
}

fn send(sandbox: &Sandbox, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
    now(sandbox.call(request, 1_000))
}

fn operation(name: &str, input: Value) -> ApiRequest {
    let (service, operation) = name.split_once('.').unwrap();
    ApiRequest {
        cloud: Cloud::Aws,
        account: AWS.to_owned(),
        region: Some("eu-west-1".to_owned()),
        correlation: None,
        call: ApiCall::Operation {
            service: service.to_owned(),
            operation: operation.to_owned(),
            input: input.as_object().cloned().unwrap_or_default(),
        },
    }
}

/// An AWS call in eu-west-1 that gets an answer.
fn aws(sandbox: &Sandbox, name: &str, input: Value) -> ApiResponse {
    send(sandbox, &operation(name, input)).unwrap()
}

/// `GET host/path?query`, with a body where one is given.
fn http(cloud: Cloud, account: &str, line: &str, body: Option<Value>) -> ApiRequest {
    let (method, url) = line.split_once(' ').unwrap();
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let (host, path) = url.split_once('/').unwrap();
    let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    ApiRequest {
        cloud,
        account: account.to_owned(),
        region: None,
        correlation: None,
        call: ApiCall::Http(HttpCall {
            method: Method::parse(method).unwrap(),
            host: host.to_owned(),
            path: format!("/{path}"),
            query,
            headers: BTreeMap::new(),
            body,
        }),
    }
}

/// A call to Azure Resource Manager: `GET Microsoft.Storage/…`, below the shop's resource group, with an api-version.
fn arm_request(line: &str, body: Option<Value>) -> ApiRequest {
    let (method, path) = line.split_once(' ').unwrap();
    http(Cloud::Azure, SUBSCRIPTION, &format!("{method} management.azure.com{ARM}/{path}?api-version=2023-05-01"), body)
}

fn arm(sandbox: &Sandbox, line: &str, body: Option<Value>) -> ApiResponse {
    send(sandbox, &arm_request(line, body)).unwrap()
}

fn google(sandbox: &Sandbox, line: &str, body: Option<Value>) -> ApiResponse {
    send(sandbox, &http(Cloud::Gcp, "shop-prod-1", line, body)).unwrap()
}

/// Status and fault code, `-` for none.
fn outcome(response: &ApiResponse) -> String {
    format!("{} {}", response.status, response.code().unwrap_or("-"))
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}
