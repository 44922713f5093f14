//! Long-running operations, followed the way a client follows them: by what the write's answer says.

use serde_json::{Value, json};
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::operation::{Progress, Style, progress, started};

use super::{ARM, arm_request, clock, http, outcome, seeded, send};
use crate::{Fault, FaultKind, Sandbox};

const GROUP: &str = "Microsoft.Network/networkSecurityGroups/shop-nsg";
const FIREWALL: &str = "compute.googleapis.com/compute/v1/projects/shop-prod-1/global/firewalls/allow-ssh-all";
const INSTANCE: &str = "sqladmin.googleapis.com/v1/projects/shop-prod-1/instances/shop-orders";

/// What is written, how its operation is followed, how many polls find it running, where it shows and with which value.
struct Write {
    request: ApiRequest,
    style: Style,
    running: usize,
    cloud: Cloud,
    id: String,
    shows: (&'static str, Value),
}

fn writes() -> Vec<Write> {
    let azure = |line: &str, body: Value, style, shows| {
        let path = line.split_once(' ').unwrap().1.to_owned();
        Write { request: arm_request(line, Some(body)), style, running: 2, cloud: Cloud::Azure, id: format!("{ARM}/{path}"), shows }
    };
    let google = |line: String, body: Value, running, id: &str, shows| Write {
        request: google_request(&line, Some(body)),
        style: Style::GoogleOperation,
        running,
        cloud: Cloud::Gcp,
        id: id.to_owned(),
        shows,
    };
    let rule = json!({"properties": {
        "access": "Deny", "direction": "Inbound", "priority": 105, "protocol": "*", "sourceAddressPrefix": "*", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "*",
    }});
    let sku = json!({"family": "A", "name": "standard"});
    vec![
        azure(
            "PATCH Microsoft.Sql/servers/shop-sql-01",
            json!({"properties": {"publicNetworkAccess": "Disabled"}}),
            Style::AzureAsyncOperation,
            ("/properties/publicNetworkAccess", json!("Disabled")),
        ),
        azure(
            &format!("PUT {GROUP}/securityRules/stanch"),
            rule,
            Style::AzureAsyncOperation,
            ("/properties/provisioningState", json!("Succeeded")),
        ),
        azure(
            "PUT Microsoft.Storage/storageAccounts/shopevidence01",
            json!({"kind": "StorageV2", "location": "westeurope", "sku": {"name": "Standard_LRS"}}),
            Style::AzureLocation,
            ("/properties/provisioningState", json!("Succeeded")),
        ),
        azure(
            "PUT Microsoft.KeyVault/vaults/shop-new",
            json!({"location": "westeurope", "properties": {"sku": sku, "tenantId": "t"}}),
            Style::AzureProvisioningState,
            ("/properties/provisioningState", json!("Succeeded")),
        ),
        google(
            format!("PATCH {FIREWALL}"),
            json!({"disabled": true}),
            1,
            "//compute.googleapis.com/projects/shop-prod-1/global/firewalls/4455667788990011223",
            ("/disabled", json!(true)),
        ),
        google(
            format!("PATCH {INSTANCE}"),
            json!({"settings": {"deletionProtectionEnabled": true}}),
            2,
            "//cloudsql.googleapis.com/projects/shop-prod-1/instances/shop-orders",
            ("/settings/deletionProtectionEnabled", json!(true)),
        ),
    ]
}

fn google_request(line: &str, body: Option<Value>) -> ApiRequest {
    http(Cloud::Gcp, "shop-prod-1", line, body)
}

/// Polls until the operation ends: how many polls found it running, and the end.
fn follow(sandbox: &Sandbox, request: &ApiRequest, answer: &ApiResponse, style: Style) -> (usize, Progress) {
    let mut pending = started(request, answer, clock()).unwrap_or_else(|| panic!("{} starts no operation", request.name()));
    assert_eq!(pending.style, style, "{}", request.name());
    for running in 0..10 {
        match progress(&pending, &send(sandbox, &pending.poll).unwrap(), pending.next_at) {
            Progress::Running(next) => pending = *next,
            end => return (running, end),
        }
    }
    panic!("{} never ends", request.name());
}

#[test]
fn a_long_write_is_accepted_and_done_after_some_polls() {
    for write in writes() {
        let sandbox = seeded();
        let name = write.request.name();
        let answer = send(&sandbox, &write.request).unwrap();
        assert!(matches!(answer.status, 200..=202), "{name}: {}", outcome(&answer));
        assert_eq!(follow(&sandbox, &write.request, &answer, write.style), (write.running, Progress::Done), "{name}");
        let now = sandbox.state(write.cloud, &write.id).unwrap();
        assert_eq!(now.pointer(write.shows.0), Some(&write.shows.1), "{name}");
    }
}

#[test]
fn an_operation_that_was_made_to_fail_ends_so_and_leaves_no_trace() {
    for write in writes().into_iter().filter(|w| w.style != Style::AzureProvisioningState) {
        let sandbox = seeded();
        let name = write.request.name();
        let before = sandbox.state(write.cloud, &write.id);
        sandbox.inject(Fault::once(FaultKind::OperationFails, ""));
        let answer = send(&sandbox, &write.request).unwrap();
        assert!(answer.fault.is_none() && sandbox.faults_left() == 0, "{name}");
        assert_eq!(sandbox.writes()[0].injected, Some(FaultKind::OperationFails));
        let (running, end) = follow(&sandbox, &write.request, &answer, write.style);
        assert!(
            running == write.running && matches!(&end, Progress::Failed { code, .. } if code == "ProvisioningFailed"),
            "{name}: {end:?}"
        );
        assert_eq!(sandbox.state(write.cloud, &write.id), before, "{name}");
    }
}

#[test]
fn a_failing_operation_waits_for_a_call_that_starts_one() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::OperationFails, ""));
    let bucket = google_request("PATCH storage.googleapis.com/storage/v1/b/shop-exports", Some(json!({"labels": {"a": "b"}})));
    let answer = send(&sandbox, &bucket).unwrap();
    assert_eq!((outcome(&answer).as_str(), sandbox.faults_left()), ("200 -", 1));
    assert_eq!(started(&bucket, &answer, clock()), None);
    let delete = arm_request(&format!("DELETE {GROUP}"), None);
    let answer = send(&sandbox, &delete).unwrap();
    assert_eq!((answer.status, sandbox.faults_left()), (202, 0));
    assert!(matches!(follow(&sandbox, &delete, &answer, Style::AzureAsyncOperation).1, Progress::Failed { .. }));
    assert!(sandbox.state(Cloud::Azure, &format!("{ARM}/{GROUP}")).is_some(), "what was to be deleted is still there");
}

#[test]
fn a_write_whose_answer_was_lost_can_fail_later_too() {
    let sandbox = seeded();
    sandbox.inject(Fault::once(FaultKind::OperationFails, "PATCH"));
    sandbox.inject(Fault::once(FaultKind::TimeoutLanded, "PATCH"));
    let write = &writes()[0];
    assert!(send(&sandbox, &write.request).is_err());
    let server = sandbox.state(Cloud::Azure, &write.id).unwrap();
    assert_eq!(server.pointer("/properties/publicNetworkAccess"), Some(&json!("Enabled")));
}
