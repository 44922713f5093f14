//! Alerts in the shapes of other products, from our own small payloads.

use serde_json::{Map, Value, json};
use stanch_core::cloud::Cloud;
use stanch_core::finding::{Activity, Finding, FindingStatus, Severity, Source};
use stanch_core::lenient::parse_time;
use stanch_core::normalize::NormalizeError;

use crate::{normalize, normalize_alert, normalize_recommendation};

const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
const ALERT: &str = "2517000000000000001_aaaaaaaa-0000-4000-8000-000000000001";

pub(super) fn payloads() -> Map<String, Value> {
    serde_json::from_str(include_str!("../../fixtures/carried.json")).unwrap()
}

fn payload(name: &str) -> Value {
    payloads().remove(name).unwrap_or_else(|| panic!("no payload `{name}`"))
}

fn all(payload: &Value) -> (Vec<Finding<'static>>, Vec<&'static str>) {
    let text = payload.to_string();
    let reading = normalize(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let findings = reading.findings.into_iter().map(Finding::into_owned).collect();
    (findings, reading.passed_over.iter().map(|rule| rule.rule).collect())
}

fn only(payload: &Value) -> Finding<'static> {
    let (mut findings, passed_over) = all(payload);
    assert_eq!((findings.len(), passed_over.len()), (1, 0), "{passed_over:?}: {payload}");
    findings.remove(0)
}

fn shopfiles() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-shop/providers/microsoft.storage/storageaccounts/shopfiles")
}

#[test]
fn one_alert_is_one_finding_whoever_carries_it() {
    for (name, names_resource) in [
        ("sentinel_entity", true),
        ("sentinel_incident", true),
        ("sentinel_related", true),
        ("log_analytics_row", true),
        ("graph_older", true),
        ("graph_newer", true),
        ("activity_rest", false),
        ("activity_stream", false),
        ("activity_table", false),
        ("activity_hook", false),
        ("activity_common", false),
    ] {
        let finding = only(&payload(name));
        assert_eq!((finding.source, finding.uid.as_ref(), finding.source_ref.id.as_ref()), (Source::DefenderAlert, ALERT, ALERT), "{name}");
        assert_eq!((finding.severity, finding.status, finding.activity), (Severity::High, FindingStatus::New, Activity::Create), "{name}");
        let title = match name {
            // Only the entry's REST form has a name; the table has no text at all.
            "activity_stream" | "activity_hook" | "activity_common" => "Somebody read blobs.",
            "activity_table" => "",
            _ => "Blobs were read through Tor",
        };
        assert_eq!(finding.title, title, "{name}");
        assert_eq!(finding.account.as_ref().map(|a| a.uid.as_ref()), Some(SUBSCRIPTION), "{name}");
        let resources: Vec<_> = finding.resources.iter().map(|r| r.canonical().as_str().to_owned()).collect();
        assert_eq!(resources, if names_resource { vec![shopfiles()] } else { vec![] }, "{name}");
        let created = if name == "graph_older" { finding.created } else { finding.time };
        let expected = if name == "log_analytics_row" { "2026-03-01 10:06:00.123" } else { "2026-03-01T10:06:00.123Z" };
        assert_eq!(created, parse_time(expected), "{name}");
        let steps = finding.guidance.as_ref().map(|guidance| guidance.desc.starts_with("Rotate the keys."));
        assert_eq!(steps, Some(true), "{name}");
        assert!(!finding.raw.is_empty() && finding.raw.starts_with('{'), "{name}");
    }
}

#[test]
fn where_the_alert_is_kept_is_known_so_that_its_status_can_be_written() {
    for name in
        ["sentinel_entity", "log_analytics_row", "graph_older", "activity_rest", "activity_hook", "activity_common", "activity_stream"]
    {
        let reference = only(&payload(name)).source_ref;
        assert_eq!((reference.location.as_deref(), reference.account.as_deref()), (Some("westeurope"), Some(SUBSCRIPTION)), "{name}");
        assert!(reference.resource_group.as_deref().is_some_and(|group| group.eq_ignore_ascii_case("rg-shop")), "{name}");
    }
}

#[test]
fn an_incident_gives_the_alerts_it_holds_and_nothing_of_its_own() {
    let (findings, passed_over) = all(&payload("sentinel_mixed"));
    assert_eq!(findings.iter().map(|f| f.uid.as_ref()).collect::<Vec<_>>(), [ALERT]);
    assert_eq!(passed_over, ["alert-without-a-cloud-resource"]);
    let held: Value = serde_json::from_str(&findings[0].raw).unwrap();
    assert_eq!(held, payload("sentinel_entity"));

    for empty in [
        json!({"type": "Microsoft.SecurityInsights/incidents", "properties": {"incidentNumber": 1}}),
        json!({"properties": {"incidentNumber": 1, "title": "t", "alerts": []}}),
        json!({"IncidentName": "i", "IncidentNumber": 4, "AlertIds": "[\"x\"]"}),
        json!({"@odata.type": "#microsoft.graph.security.incident", "id": "1", "displayName": "d"}),
    ] {
        assert_eq!(all(&empty), (vec![], vec!["incident-without-alerts"]), "{empty}");
    }
    let newer = json!({"@odata.type": "#microsoft.graph.security.incident", "id": "1", "alerts": [payload("graph_newer")]});
    assert_eq!(only(&newer).uid, ALERT);
    let entities = json!({"entities": [payload("sentinel_entity"), {"kind": "Ip", "properties": {}}], "metaData": [{"count": 2}]});
    let (findings, passed_over) = all(&entities);
    assert_eq!((findings.len(), passed_over), (1, vec!["sentinel-resource"]));
}

#[test]
fn another_products_alert_counts_where_it_names_a_cloud_resource() {
    assert_eq!(all(&payload("sentinel_other")), (vec![], vec!["alert-without-a-cloud-resource"]));
    let mut named = payload("sentinel_other");
    named["properties"]["resourceIdentifiers"] = json!([{"type": "AzureResource", "resourceId": shopfiles()}]);
    let finding = only(&named);
    assert_eq!((finding.source, finding.uid.as_ref()), (Source::DefenderXdr, "dddddddd-0000-4000-8000-000000000010"));
    assert_eq!((finding.product.name.as_ref(), finding.resources[0].uid.as_ref()), ("Azure Sentinel", shopfiles().as_str()));
    assert!(!finding.source.can_be_asked());

    let mut older = payload("graph_older");
    older["vendorInformation"]["provider"] = "IPC".into();
    let finding = only(&older);
    assert_eq!((finding.source, finding.product.name.as_ref()), (Source::DefenderXdr, "IPC"));
    older["securityResources"] = json!([{"resource": "somebody@example.com"}]);
    assert_eq!(all(&older), (vec![], vec!["alert-without-a-cloud-resource"]));

    let finding = only(&payload("evidence"));
    assert_eq!((finding.source, finding.uid.as_ref(), finding.types[0].as_ref()), (Source::DefenderXdr, "da1_2", "InitialAccess"));
    assert_eq!(finding.resources[0].canonical().as_str(), shopfiles());
    let mut other = payload("evidence");
    other["properties"]["AdditionalFields"] = Value::Null;
    assert_eq!(all(&other).1, ["alert-without-a-cloud-resource"]);
    other["category"] = "AdvancedHunting-DeviceEvents".into();
    assert_eq!(all(&other).1, ["xdr-hunting-event"]);
}

#[test]
fn evidence_of_every_cloud_is_read_and_what_was_only_beside_it_is_not() {
    let mut alert = payload("graph_newer");
    alert["evidence"] = json!([
        {"amazonResourceId": "arn:aws:s3:::shop", "amazonAccountId": "111122223333", "resourceType": "S3 bucket", "roles": ["attacked"]},
        {"fullResourceName": "//storage.googleapis.com/projects/_/buckets/shop", "projectId": "shop-prod", "location": "europe-west1"},
        {"vmMetadata": {"resourceId": shopfiles(), "cloudProvider": "azure"}, "roles": ["contextual", "scanned"]},
        {"resourceId": format!("{}2", shopfiles()), "roles": ["contextual"]},
    ]);
    let finding = only(&alert);
    let resources: Vec<_> = finding.resources.iter().map(|r| (r.cloud, r.account.as_ref().map_or("", |a| a.uid.as_ref()))).collect();
    assert_eq!(resources, [(Cloud::Aws, "111122223333"), (Cloud::Gcp, "shop-prod"), (Cloud::Azure, SUBSCRIPTION)]);
    assert_eq!((finding.cloud, finding.account.unwrap().uid.as_ref()), (Cloud::Aws, "111122223333"));
    assert_eq!((finding.resources[0].kind.as_deref(), finding.resources[1].region.as_deref()), (Some("S3 bucket"), Some("europe-west1")));
    // With nothing but what was beside it, that is what there is.
    alert["evidence"] = json!([{"resourceId": shopfiles(), "roles": ["contextual"]}]);
    assert_eq!(only(&alert).resources.len(), 1);
}

#[test]
fn the_activity_log_tells_much_that_is_no_finding() {
    let entry = |operation: &str, category: &str| {
        let mut entry = payload("activity_stream");
        entry["operationName"] = operation.into();
        entry["category"] = category.into();
        all(&entry)
    };
    for (operation, category, rule) in [
        ("Microsoft.Security/locations/alerts/dismiss/action", "Administrative", "activity-log-entry"),
        ("Microsoft.Compute/virtualMachines/write", "Administrative", "activity-log-entry"),
        ("Microsoft.ServiceHealth/incident/action", "ServiceHealth", "activity-log-health"),
        ("Microsoft.Resourcehealth/healthevent/Activated/action", "ResourceHealth", "activity-log-health"),
        ("Microsoft.Advisor/recommendations/available/action", "Recommendation", "activity-log-recommendation"),
        ("Microsoft.Authorization/policies/audit/action", "Policy", "activity-log-policy"),
    ] {
        assert_eq!(entry(operation, category), (vec![], vec![rule]), "{operation}");
    }
    let mut metric = payload("activity_common");
    metric["data"]["alertContext"] = json!({"conditionType": "SingleResourceMultipleMetricCriteria"});
    assert_eq!(all(&metric).1, ["azure-monitor-alert"]);
}

#[test]
fn a_cloud_apps_alert_is_about_the_resource_its_flow_names() {
    let finding = only(&payload("cloud_apps"));
    assert_eq!((finding.source, finding.uid.as_ref(), finding.cloud), (Source::DefenderXdr, "603f704aaf7417985bbf3b22", Cloud::Aws));
    assert_eq!((finding.severity, finding.severity_original.as_deref(), finding.status), (Severity::High, Some("2"), FindingStatus::New));
    assert_eq!((finding.rule.as_deref(), finding.time), (Some("5bfd18bfab73c36ba10d38ca"), Some(1_772_359_560_123)));
    assert_eq!(finding.types, ["Persistence", "Impact"]);
    assert_eq!((finding.account.unwrap().uid.as_ref(), finding.region.as_deref()), ("111122223333", Some("eu-west-1")));
    let mut closed = payload("cloud_apps");
    for (value, status, open) in
        [(1, FindingStatus::Suppressed, false), (4, FindingStatus::Suppressed, false), (5, FindingStatus::Resolved, false)]
    {
        closed["resolutionStatusValue"] = value.into();
        let finding = only(&closed);
        assert_eq!((finding.status, finding.is_open()), (status, open), "{value}");
    }
    let list = json!({"data": [payload("cloud_apps"), closed], "total": 2});
    assert_eq!(all(&list).0.len(), 2);
}

#[test]
fn resources_are_those_the_alert_names_each_once() {
    let finding = only(&payload("many"));
    assert_eq!(finding.resources.iter().map(|r| r.name.as_deref().unwrap()).collect::<Vec<_>>(), ["shopfiles", "other"]);
    assert_eq!((finding.status, finding.activity, finding.guidance.is_none()), (FindingStatus::Resolved, Activity::Close, true));
    let mut many = payload("many");
    many["AzureResourceId"] = format!("{}3", shopfiles()).into();
    many["ResourceIdentifiers"] = json!([{"AzureResourceId": format!("/subscriptions/{SUBSCRIPTION}")}, {"AzureResourceId": shopfiles()}]);
    let finding = only(&many);
    assert_eq!(finding.resources.iter().map(|r| r.name.as_deref().unwrap()).collect::<Vec<_>>(), ["shopfiles3", "shopfiles"]);
    assert_eq!(only(&payload("compromised")).resources[0].canonical().as_str(), shopfiles());

    let finding = only(&payload("gcp"));
    let resource = &finding.resources[0];
    assert_eq!((finding.cloud, resource.account.as_ref().unwrap().uid.as_ref()), (Cloud::Gcp, "shop-prod"));
    assert_eq!((resource.region.as_deref(), resource.kind.as_deref()), (Some("europe-west1"), Some("container.googleapis.com/Cluster")));

    let finding = only(&payload("iot"));
    assert!(finding.resources[0].uid.ends_with("/iotSecuritySolutions/fleet"), "{}", finding.resources[0].uid);
    assert_eq!(finding.time, parse_time("2026-03-01"));
}

#[test]
fn such_alerts_are_taken_where_alerts_are_awaited() {
    for name in ["sentinel_incident", "graph_newer", "activity_stream", "cloud_apps"] {
        let text = payload(name).to_string();
        assert_eq!(normalize_alert(&text).unwrap().findings.len(), 1, "{name}");
        assert!(matches!(normalize_recommendation(&text), Err(NormalizeError::Unrecognised { .. })), "{name}");
    }
}
