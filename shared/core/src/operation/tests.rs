//! Which answers start an operation, where it is asked, and what the polls mean.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Pending, Progress, Style, UNKNOWN, arm_host, progress, retry_at, started};
use crate::api::{ApiCall, ApiRequest, ApiResponse, HttpCall, Method};
use crate::cloud::Cloud;

const NOW: i64 = 1_795_161_600_000;
const SUB: &str = "00000000-0000-4000-8000-000000000001";
const SERVER: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/g/providers/Microsoft.Sql/servers/s";
const OPERATION: &str = "https://management.azure.com/subscriptions/00000000-0000-4000-8000-000000000001/providers/Microsoft.Sql/locations/\
                         westeurope/serverAzureAsyncOperation/1?api-version=2021-11-01&c=a%2Bb%3D&t=1";

fn write(cloud: Cloud, method: Method, host: &str, path: &str) -> ApiRequest {
    let query = BTreeMap::from([("api-version".to_owned(), "2021-11-01".to_owned()), ("force".to_owned(), "true".to_owned())]);
    let query = if cloud == Cloud::Azure { query } else { BTreeMap::new() };
    let http = HttpCall {
        method,
        host: host.into(),
        path: path.into(),
        query,
        headers: BTreeMap::new(),
        body: (method != Method::Get).then(|| json!({"a": 1})),
    };
    ApiRequest::new(cloud, SUB, ApiCall::Http(http))
}

fn arm(method: Method, path: &str) -> ApiRequest {
    write(Cloud::Azure, method, "management.azure.com", path)
}

fn answer(status: u16, headers: &[(&str, &str)], body: Value) -> ApiResponse {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    ApiResponse { status, body, headers, ..ApiResponse::default() }
}

fn shown(pending: &Pending) -> String {
    let ApiCall::Http(http) = &pending.poll.call else { panic!("{pending:?}") };
    assert!(http.method == Method::Get && http.body.is_none() && http.headers.is_empty() && pending.poll.account == SUB);
    let query: Vec<String> = http.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{:?} {}{}?{}", pending.style, http.host, http.path, query.join("&"))
}

#[test]
fn an_azure_write_that_is_only_accepted_is_followed_where_the_answer_says() {
    let state = |state: &str| json!({"properties": {"provisioningState": state}});
    let itself = format!("AzureProvisioningState management.azure.com{SERVER}?api-version=2021-11-01");
    let followed = |style: &str| {
        format!(
            "{style} management.azure.com/subscriptions/{SUB}/providers/Microsoft.Sql/locations/westeurope/serverAzureAsyncOperation/1\
             ?api-version=2021-11-01&c=a+b=&t=1"
        )
    };
    let (asynchronous, location) = (Some(followed("AzureAsyncOperation")), Some(followed("AzureLocation")));
    let put = arm(Method::Put, SERVER);
    let result = "https://management.azure.com/result";
    for (name, request, response, expected) in [
        (
            "202, both headers",
            put.clone(),
            answer(202, &[("azure-asyncoperation", OPERATION), ("location", result)], Value::Null),
            &asynchronous,
        ),
        ("200 with the header", put.clone(), answer(200, &[("azure-asyncoperation", OPERATION)], state("Succeeded")), &asynchronous),
        ("201 with the header", put.clone(), answer(201, &[("azure-asyncoperation", OPERATION)], state("Updating")), &asynchronous),
        ("202 with location", put.clone(), answer(202, &[("location", OPERATION)], Value::Null), &location),
        ("200 with location of something", put.clone(), answer(200, &[("location", OPERATION)], Value::Null), &None),
        ("201 that is not finished", put.clone(), answer(201, &[], state("Creating")), &Some(itself.clone())),
        ("200 that is not finished", put.clone(), answer(200, &[], state("Updating")), &Some(itself.clone())),
        ("202 without a word", put.clone(), answer(202, &[], Value::Null), &Some(itself.clone())),
        ("an action's resource", arm(Method::Post, &format!("{SERVER}/restart")), answer(202, &[], Value::Null), &Some(itself.clone())),
        ("200", put.clone(), answer(200, &[], state("succeeded")), &None),
        ("200 without a state", put.clone(), answer(200, &[], json!({"properties": {}})), &None),
        ("204", arm(Method::Delete, SERVER), answer(204, &[], Value::Null), &None),
        ("a read", arm(Method::Get, SERVER), answer(200, &[], state("Updating")), &None),
        (
            "a fault",
            put,
            ApiResponse { headers: answer(202, &[("location", OPERATION)], Value::Null).headers, ..ApiResponse::fault(409, "C", "") },
            &None,
        ),
    ] {
        assert_eq!(started(&request, &response, NOW).as_ref().map(shown), *expected, "{name}");
    }
}

#[test]
fn no_other_host_and_no_other_subscription_is_asked() {
    let put = arm(Method::Patch, SERVER);
    for url in [
        "https://evil.example/subscriptions/x",
        "https://management.azure.com.evil.example/op",
        "https://evilmanagement.azure.com/op",
        "https://management.azure.com@evil.example/op",
        "https://management.azure.com:8443/op",
        "https://management.chinacloudapi.cn/op",
        "http://management.azure.com/op",
        "https://management.azure.com/subscriptions/00000000-0000-4000-8000-000000000002/op",
        "https://management.azure.com/a/../b",
        "https://management.azure.com/a/%2e%2E/b",
        "https://management.azure.com//b",
        "https://management.azure.com/op?a=1&a=2",
        "https://management.azure.com/op?a=%zz",
        "https://management.azure.com/op#x",
        "/subscriptions/x",
        "",
    ] {
        for header in ["azure-asyncoperation", "location"] {
            let pending = started(&put, &answer(202, &[(header, url)], Value::Null), NOW).expect("still an operation");
            assert_eq!(shown(&pending), format!("AzureProvisioningState management.azure.com{SERVER}?api-version=2021-11-01"), "{url}");
        }
    }
    let regional = "https://westeurope.management.azure.com/subscriptions/00000000-0000-4000-8000-000000000001/op";
    let pending = started(&put, &answer(202, &[("location", regional)], Value::Null), NOW).expect("an operation");
    assert_eq!(shown(&pending), format!("AzureLocation westeurope.management.azure.com/subscriptions/{SUB}/op?"));
    let china = write(Cloud::Azure, Method::Put, "management.chinacloudapi.cn", SERVER);
    let pending = started(&china, &answer(202, &[("location", "https://management.chinacloudapi.cn/op")], Value::Null), NOW);
    assert_eq!(pending.expect("an operation").style, Style::AzureLocation);
    assert_eq!((arm_host("EastUS2.management.azure.com"), arm_host(".management.azure.com")), (Some("management.azure.com"), None));
}

#[test]
fn the_vendors_waiting_time_is_kept_within_bounds() {
    let at = |text: &str| retry_at(&answer(202, &[("retry-after", text)], Value::Null), NOW).map(|at| at - NOW);
    for (said, expected) in [
        ("5", Some(5_000)),
        ("0", Some(1_000)),
        ("-3", None),
        ("86400", Some(900_000)),
        ("9223372036854775807", Some(900_000)),
        ("Fri, 20 Nov 2026 08:00:40 GMT", Some(40_000)),
        ("Fri, 20 Nov 2026 07:00:00 GMT", Some(1_000)),
        ("Sat, 21 Nov 2026 08:00:00 GMT", Some(900_000)),
        ("soon", None),
    ] {
        assert_eq!(at(said), expected, "{said}");
    }
    let put = arm(Method::Put, SERVER);
    let first = |headers: &[(&str, &str)]| started(&put, &answer(202, headers, Value::Null), NOW).expect("an operation").next_at - NOW;
    assert_eq!((first(&[("retry-after", "7")]), first(&[])), (7_000, 30_000));
}

fn pending(style: Style) -> Pending {
    let host = if style == Style::GoogleOperation { "compute.googleapis.com" } else { "management.azure.com" };
    let cloud = if style == Style::GoogleOperation { Cloud::Gcp } else { Cloud::Azure };
    Pending { poll: write(cloud, Method::Get, host, "/op"), style, next_at: NOW, since: NOW, polls: 0 }
}

fn told(pending: &Pending, response: &ApiResponse) -> String {
    match progress(pending, response, NOW) {
        Progress::Running(next) => {
            assert_eq!(next.polls, pending.polls + 1);
            format!("again in {}", next.next_at - NOW)
        }
        Progress::Done => "done".to_owned(),
        Progress::Failed { code, message } => format!("{code}: {message}"),
    }
}

#[test]
fn a_poll_of_azure_runs_ends_or_fails() {
    use Style::{AzureAsyncOperation as Status, AzureLocation as Result, AzureProvisioningState as Own};
    let state = |state: &str| json!({"properties": {"provisioningState": state}});
    let failed = json!({"status": "failed", "error": {"code": "Quota", "message": "too many"}});
    for (style, response, expected) in [
        (Status, answer(200, &[], json!({"status": "InProgress"})), "again in 30000"),
        (Status, answer(200, &[("retry-after", "3")], json!({"status": "AnyOtherWord"})), "again in 3000"),
        (Status, answer(202, &[], Value::Null), "again in 30000"),
        (Status, answer(200, &[], json!({"status": "SUCCEEDED"})), "done"),
        (Status, answer(204, &[], Value::Null), "done"),
        (Status, answer(200, &[], failed), "Quota: too many"),
        (Status, answer(200, &[], json!({"status": "Canceled"})), "Canceled: the operation ended as Canceled"),
        (Status, answer(200, &[], state("Succeeded")), "done"),
        (Status, answer(200, &[], json!({})), "OperationOutcomeUnknown: GET management.azure.com/op names no status"),
        (Result, answer(202, &[], Value::Null), "again in 30000"),
        (Result, answer(200, &[], json!({"id": "x"})), "done"),
        (Result, answer(204, &[], Value::Null), "done"),
        (Result, answer(200, &[], state("Updating")), "again in 30000"),
        (Result, answer(200, &[], state("Failed")), "Failed: the operation ended as Failed"),
        (Result, ApiResponse::fault(409, "NameInUse", "busy"), "NameInUse: busy"),
        (Own, answer(200, &[], state("Updating")), "again in 30000"),
        (Own, answer(200, &[], state("Succeeded")), "done"),
        (Own, answer(200, &[], json!({"properties": {}})), "done"),
        (Own, answer(200, &[], state("Failed")), "Failed: the operation ended as Failed"),
    ] {
        assert_eq!(told(&pending(style), &response), expected, "{style:?} {response:?}");
    }
}

#[test]
fn a_poll_that_is_put_off_or_refused_says_nothing_about_the_operation() {
    let throttled = ApiResponse { headers: answer(0, &[("retry-after", "9")], Value::Null).headers, ..ApiResponse::fault(429, "x", "") };
    let late = |style, polls| Pending { polls, ..pending(style) };
    for style in [Style::AzureAsyncOperation, Style::AzureLocation, Style::AzureProvisioningState, Style::GoogleOperation] {
        assert_eq!(told(&pending(style), &throttled), "again in 9000", "{style:?}");
        assert!(told(&pending(style), &ApiResponse::fault(503, "x", "")).starts_with("again"), "{style:?}");
        // Not known yet, then not known any more.
        let missing = ApiResponse::fault(404, "NotFound", "");
        assert!(told(&late(style, 4), &missing).starts_with("again"), "{style:?}");
        assert!(told(&late(style, 5), &missing).starts_with(UNKNOWN), "{style:?}");
        // Following an operation takes rights on the resource group that the write did not need.
        assert!(told(&pending(style), &ApiResponse::fault(403, "AuthorizationFailed", "")).starts_with(UNKNOWN), "{style:?}");
        let old = Pending { since: NOW - 25 * 3_600_000, ..pending(style) };
        assert!(told(&old, &throttled).starts_with(UNKNOWN), "{style:?}: not for ever");
    }
}

#[test]
fn an_operation_that_moves_is_followed_but_not_away() {
    let moved = |url: &str| {
        let response = answer(202, &[("location", url)], Value::Null);
        let Progress::Running(next) = progress(&pending(Style::AzureLocation), &response, NOW) else { panic!("running") };
        shown(&next)
    };
    assert_eq!(moved("https://management.azure.com/new?x=1"), "AzureLocation management.azure.com/new?x=1");
    assert!(moved("https://evil.example/new").starts_with("AzureLocation management.azure.com/op"));
}

#[test]
fn a_google_write_is_followed_by_link_or_by_name() {
    let firewall = "/compute/v1/projects/p/global/firewalls/f";
    let compute = |more: Value| {
        let mut body = json!({"kind": "compute#operation", "name": "operation-1", "status": "RUNNING"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let link = |url: &str| compute(json!({"selfLink": url}));
    let by_name = Some("/compute/v1/projects/p/global/operations/operation-1");
    for (path, body, expected) in [
        (
            firewall,
            link("https://compute.googleapis.com/compute/v1/projects/7/global/operations/operation-1"),
            Some("/compute/v1/projects/7/global/operations/operation-1"),
        ),
        (firewall, link("https://evil.example/x"), by_name),
        (firewall, link("https://googleapis.com.evil.example/x"), by_name),
        (firewall, compute(json!({})), by_name),
        ("/compute/v1/projects/p/zones/z/disks/d", compute(json!({})), Some("/compute/v1/projects/p/zones/z/operations/operation-1")),
        (firewall, compute(json!({"name": "../x"})), None),
        (firewall, compute(json!({"status": "DONE"})), None),
        (firewall, compute(json!({"status": "DONE", "error": {"errors": [{"code": "X"}]}})), by_name),
        (
            "/v1/projects/p/instances/i",
            json!({"kind": "sql#operation", "name": "abc", "status": "PENDING"}),
            Some("/v1/projects/p/operations/abc"),
        ),
        (
            "/v2/projects/p/locations/l/functions/f",
            json!({"name": "projects/p/locations/l/operations/o", "metadata": {}}),
            Some("/v2/projects/p/locations/l/operations/o"),
        ),
        ("/v1/services/s:enable", json!({"name": "operations/acf.1", "done": false}), Some("/v1/operations/acf.1")),
        ("/v1/services/s:enable", json!({"name": "operations/acf.1", "done": true, "response": {}}), None),
        ("/storage/v1/b/x", json!({"kind": "storage#bucket", "name": "x"}), None),
    ] {
        let request = write(Cloud::Gcp, Method::Patch, "compute.googleapis.com", path);
        let pending = started(&request, &ApiResponse::ok(body.clone()), NOW);
        let polled = pending.as_ref().map(shown);
        assert_eq!(polled, expected.map(|p| format!("GoogleOperation compute.googleapis.com{p}?")), "{body}");
        assert!(pending.is_none_or(|p| p.next_at == NOW + 1_000));
    }
    let operation = ApiCall::Operation { service: "ec2".into(), operation: "CreateSnapshot".into(), input: serde_json::Map::new() };
    assert_eq!(started(&ApiRequest::new(Cloud::Aws, "1", operation), &answer(202, &[("location", OPERATION)], Value::Null), NOW), None);
}

#[test]
fn a_poll_of_google_runs_ends_or_fails() {
    let ok = ApiResponse::ok;
    for (response, expected) in [
        (ok(json!({"kind": "compute#operation", "status": "PENDING"})), "again in 2000"),
        (ok(json!({"kind": "sql#operation", "status": "DONE"})), "done"),
        (ok(json!({"name": "operations/o", "done": true, "response": {}})), "done"),
        (ok(json!({"name": "operations/o", "metadata": {}})), "again in 2000"),
        (
            ok(
                json!({"kind": "compute#operation", "status": "DONE", "error": {"errors": [{"code": "RESOURCE_IN_USE", "message": "in use"}]}}),
            ),
            "RESOURCE_IN_USE: in use",
        ),
        (ok(json!({"name": "operations/o", "done": true, "error": {"code": 7, "message": "no"}})), "PERMISSION_DENIED: no"),
        (ok(json!({"name": "operations/o", "done": true, "error": {}})), "OPERATION_FAILED: "),
        (ok(json!({"items": []})), "OperationOutcomeUnknown: GET compute.googleapis.com/op answered no operation"),
    ] {
        assert_eq!(told(&pending(Style::GoogleOperation), &response), expected, "{response:?}");
    }
    let waits: Vec<String> = [1, 4, 5, 60]
        .iter()
        .map(|polls| {
            let old = Pending { polls: *polls, ..pending(Style::GoogleOperation) };
            told(&old, &ok(json!({"kind": "compute#operation", "status": "RUNNING"})))
        })
        .collect();
    assert_eq!(waits, ["again in 4000", "again in 32000", "again in 60000", "again in 60000"]);
}
