//! Measurements: Defender's recommendations in all their shapes, secure scores, and the states of Azure Policy.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stanch_core::finding::Source;
use stanch_core::json::Doc;
use stanch_core::normalize::{Mapping, Reading};

use crate::normalize::posture::Shape;
use crate::{MAPPINGS, normalize, normalize_policy};

const FIXTURES: &str = include_str!("../../fixtures/posture.json");
const SUB: &str = "/subscriptions/11111111-2222-4333-8444-555555555555";
const VAULT: &str =
    "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/rg-shop/providers/microsoft.keyvault/vaults/shop-kv";

fn fixtures() -> BTreeMap<String, Value> {
    serde_json::from_str(FIXTURES).unwrap()
}

fn fixture(name: &str) -> Value {
    fixtures().remove(name).unwrap_or_else(|| panic!("no fixture `{name}`"))
}

/// The OCSF event of the only finding, received at time 0.
fn line(payload: &Value) -> Value {
    let text = payload.to_string();
    let reading = normalize(&text).unwrap();
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let [finding] = reading.findings.as_slice() else { panic!("{} findings in {text}", reading.findings.len()) };
    serde_json::from_str(&stanch_core::ocsf::to_line(finding, 0).unwrap()).unwrap()
}

/// What is at a path such as `resources[0].uid`; `[]` is any item. Names in any case.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    path.split('.').fold(vec![value], |values, step| {
        let (name, index) = step.split_once('[').map_or((step, None), |(name, rest)| (name, rest.strip_suffix(']')));
        let members = values.into_iter().filter_map(Value::as_object).flatten().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let members = members.map(|(_, value)| value);
        match index {
            None => members.collect(),
            Some("") => members.filter_map(Value::as_array).flatten().collect(),
            Some(index) => members.filter_map(|list| list.get(index.parse::<usize>().unwrap())).collect(),
        }
    })
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        _ => true,
    }
}

#[test]
fn each_shape_becomes_what_an_analyst_reads_in_it() {
    let expected = json!({
        "assessment export": {"class_uid": 2003, "finding_info.uid": format!("{VAULT}/providers/microsoft.security/assessments/eeeeeeee-0000-4000-8000-000000000005"),
            "severity_id": 5, "status_id": 3, "compliance.status_id": 0, "compliance.status_code": "NotApplicable", "compliance.status_details[0]": "Exempt: waived",
            "compliance.standards[0]": "ASC Default", "compliance.standards[1]": "CIS", "time": 1_777_629_600_123_u64, "resources[0].name": "shop-kv",
            "unmapped.policy": "ffffffff-0000-4000-8000-000000000006", "risk_level": "High", "finding_info.attack_graph.uid": "path-1",
            "metadata.product.name": "Contoso Scanner", "remediation.desc": "Switch it on.", "remediation.references[0]": "https://portal.azure.com/#blade/x"},
        "assessment gcp": {"cloud.provider": "GCP", "resources[0].provider": "GCP", "resources[0].uid": "//storage.googleapis.com/projects/shop-1/buckets/shop-data", "resources[0].type": "storage/bucket",
            "resources[0].region": "europe-west1", "cloud.account.uid": "shop-1", "status_id": 1, "unmapped.risk.factors[0]": "Exposure to the internet", "unmapped.risk.attack_paths[1]": "ap-2"},
        "sub-assessment mdvm": {"class_uid": 2002, "severity_id": 4, "vulnerabilities[0].cve.uid": "CVE-2026-1000", "unmapped.vulnerabilities[0].cvss": "7.5", "unmapped.compliance.control": "c0b7cfc6-3172-465a-b378-53c7ff2cc0d5",
            "vulnerabilities[0].remediation.references[0]": "https://nvd.example.com/CVE-2026-1000", "resources[0].type": "Microsoft.ContainerRegistry/registries", "time": 1_777_680_000_000_u64},
        "attack path": {"class_uid": 2003, "finding_info.title": "Internet exposed VM reads a vault", "severity_id": 4, "status_id": 1, "compliance.control": "InternetToVault", "compliance.status_id": 3,
            "resources[0].uid": VAULT, "resources[1].name": "vm1", "risk_level": "High", "risk_details": "Data exposure", "finding_info.attack_graph.uid": "66666666-0000-4000-8000-000000000006", "remediation.desc": "Patch.\nClose."},
        "compliance result": {"class_uid": 2003, "status_id": 3, "compliance.control": "RemoveDeprecatedAccounts", "compliance.status_code": "OffByPolicy", "resources[0].uid": SUB, "resources[0].type": "Microsoft.Resources/subscriptions"},
        "task": {"finding_info.title": "MissingNsg", "severity_id": 2, "status_id": 3, "resources[0].type": "Microsoft.Compute/virtualMachines", "resources[0].region": "uksouth", "finding_info.created_time": 1_520_246_523_993_u64},
        "advice": {"finding_info.title": "No purge protection", "remediation.desc": "Switch it on", "severity_id": 3, "compliance.status_id": 3, "compliance.control": "eeeeeeee-0000-4000-8000-000000000005", "time": 1_777_791_600_500_u64},
        "devices": {"finding_info.title": "Ports are open", "severity_id": 4, "status_id": 1, "compliance.control": "OpenPorts", "compliance.status_details[0]": "devices: unhealthy 2, healthy 7",
            "resources[0].uid": format!("{SUB}/resourceGroups/rg-iot/providers/Microsoft.Security/iotSecuritySolutions/hub"), "resources[0].type": "Microsoft.Security/iotSecuritySolutions"},
        "sql scan": {"finding_info.uid": format!("{SUB}/resourcegroups/rg-shop/providers/microsoft.sql/servers/shop-sql/databases/shop/providers/microsoft.security/sqlvulnerabilityassessments/default/scans/latest/scanresults/va2063"),
            "severity_id": 4, "status_id": 1, "compliance.control": "VA2063", "compliance.status_id": 3, "resources[0].type": "Microsoft.Sql/servers/databases", "resources[0].name": "shop", "remediation.desc": "Remove the rule"},
        "log recommendation": {"severity_id": 3, "status_id": 1, "unmapped.policy": "ffffffff-0000-4000-8000-000000000006", "resources[0].region": "westeurope", "compliance.status_id": 3, "time": 1_777_629_600_000_u64},
        "log nested recommendation": {"class_uid": 2002, "severity_id": 4, "vulnerabilities[0].cve.uid": "CVE-2026-1000", "unmapped.vulnerabilities[0].cvss": "7.5", "vulnerabilities[0].remediation.desc": "Update the package."},
        "log compliance": {"finding_info.uid": format!("{SUB}/providers/microsoft.security/regulatorycompliancestandards/microsoft-cloud-security-benchmark/regulatorycompliancecontrols/dp.8/regulatorycomplianceassessments/eeeeeeee-0000-4000-8000-000000000005"),
            "compliance.standards[0]": "Microsoft-cloud-security-benchmark", "compliance.requirements[0]": "DP.8", "compliance.status_id": 3, "compliance.status_details[0]": "resources: failed 2, passed 5", "resources[0].uid": SUB},
        "policy row": {"class_uid": 2003, "activity_id": 1, "severity_id": 0, "status_id": 1, "metadata.product.name": "Azure Policy", "finding_info.title": "ffffffff-0000-4000-8000-000000000006",
            "compliance.control": "ffffffff-0000-4000-8000-000000000006", "compliance.status_id": 3, "compliance.standards[0]": "1f3afdf9-d0c9-4c3d-847f-89da613e70a8", "compliance.requirements[0]": "Azure_Security_Benchmark_v3.0_DP-8",
            "compliance.status_details[0]": "components: c1", "resources[0].type": "Microsoft.KeyVault/vaults", "resources[0].region": "westeurope", "resources[0].tags[0]": {"name": "env", "value": "prod"}, "resources[0].tags[1].value": "1",
            "cloud.account.uid": "11111111-2222-4333-8444-555555555555", "unmapped.policy": "ffffffff-0000-4000-8000-000000000006", "time": 1_778_003_285_000_u64},
        "policy resource": {"status_id": 4, "compliance.status_id": 1, "unmapped.status_original": "Compliant", "resources[0].tags[0].name": "env", "time": 1_778_006_885_000_u64},
        "policy event": {"activity_id": 2, "status_id": 1, "compliance.status_id": 3, "compliance.status_details[0]": "PurgeOff", "resources[0].type": "Microsoft.KeyVault/vaults", "time": 1_778_003_285_000_u64},
        "policy cloud event": {"activity_id": 3, "status_id": 6, "compliance.status_id": 0, "unmapped.status_original": "NonCompliant", "time": 1_778_089_800_000_u64},
    });
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.keys().collect::<Vec<_>>(), fixtures().keys().collect::<Vec<_>>());
    for (name, payload) in fixtures() {
        let got = line(&payload);
        for (path, value) in expected[&name].as_object().unwrap() {
            assert_eq!(at(&got, path), [value], "{name}: {path} in {got}");
        }
    }
}

#[test]
fn a_finding_has_one_id_in_all_of_its_shapes() {
    let uid = |name: &str| line(&fixture(name))["finding_info"]["uid"].as_str().unwrap().to_owned();
    for same in [
        &["assessment export", "advice", "log recommendation"][..],
        &["sub-assessment mdvm", "log nested recommendation"],
        &["policy row", "policy resource", "policy event", "policy cloud event"],
    ] {
        let uids: Vec<String> = same.iter().map(|name| uid(name)).collect();
        assert!(uids.windows(2).all(|pair| pair[0] == pair[1]), "{uids:#?}");
    }
    let mut scan = fixture("sql scan");
    scan["id"] = json!(scan["id"].as_str().unwrap().replace("Scheduled-20260501", "Scheduled-20260508"));
    assert_eq!(line(&scan)["finding_info"]["uid"], json!(uid("sql scan")));
}

#[test]
fn a_snapshot_is_marked_in_every_shape_that_tells() {
    for (name, snapshot) in [
        ("assessment export", true),
        ("assessment gcp", false),
        ("sub-assessment mdvm", false),
        ("log recommendation", true),
        ("log nested recommendation", false),
        ("log compliance", true),
    ] {
        let text = fixture(name).to_string();
        assert_eq!(normalize(&text).unwrap().findings[0].snapshot, snapshot, "{name}");
    }
}

#[test]
fn the_words_of_azure_policy_decide_what_is_open() {
    for (word, compliance, status, open) in [
        ("Compliant", 1, 4, false),
        ("NonCompliant", 3, 1, true),
        ("nonCompliant", 3, 1, true),
        ("Conflict", 2, 1, true),
        ("Error", 2, 1, true),
        ("Exempt", 0, 3, false),
        ("Protected", 0, 3, false),
        ("Unknown", 0, 0, true),
    ] {
        let mut row = fixture("policy row");
        row["complianceState"] = json!(word);
        let got = line(&row);
        assert_eq!((&got["compliance"]["status_id"], &got["status_id"]), (&json!(compliance), &json!(status)), "{word}");
        let text = row.to_string();
        assert_eq!(normalize(&text).unwrap().findings[0].is_open(), open, "{word}");
    }
    let mut old = fixture("policy row");
    old["complianceState"] = Value::Null;
    assert_eq!(line(&old)["compliance"]["status_id"], json!(3));
    old["isCompliant"] = json!(true);
    assert_eq!(line(&old)["status_id"], json!(4));
}

#[test]
fn a_request_that_policy_refused_is_no_finding_and_a_resource_that_it_would_refuse_is_one() {
    let mut row = fixture("policy row");
    row["policyDefinitionAction"] = json!("deny");
    assert_eq!(line(&row)["status_id"], json!(1));
    row["principalOid"] = json!("00000000-0000-4000-8000-000000000001");
    assert_eq!(seen(&row), (0, vec!["policy-denied"], 0));
}

fn seen(payload: &Value) -> (usize, Vec<&'static str>, usize) {
    let text = payload.to_string();
    let reading: Reading<'_> = normalize(&text).unwrap();
    (reading.findings.len(), reading.passed_over.iter().map(|rule| rule.rule).collect(), reading.faults.len())
}

#[test]
fn a_status_that_is_one_word_is_read_as_its_code() {
    let mut payload = fixture("assessment gcp");
    payload["properties"]["status"] = json!("Healthy");
    assert_eq!(line(&payload)["status_id"], json!(4));
}

#[test]
fn an_event_may_hold_its_data_as_text() {
    let event = fixture("policy event");
    let mut text = event.clone();
    text["data"] = json!(event["data"].to_string());
    let (mut whole, mut texted) = (line(&event), line(&text));
    for line in [&mut whole, &mut texted] {
        line.as_object_mut().unwrap().retain(|name, _| !name.starts_with("raw_data"));
    }
    assert_eq!(whole, texted);
    text["data"] = json!("{\"policyAssignmentId\":");
    let text = text.to_string();
    assert_eq!(normalize(&text).unwrap().faults.len(), 1);
}

#[test]
fn the_entities_of_an_attack_path_may_stand_in_it_themselves() {
    let mut path = fixture("attack path");
    path["properties"] = json!({"displayName": "d", "riskLevel": "Critical", "graphComponent": {}, "target": {"entityIdentifiers": {"azureResourceId": VAULT}}, "entryPoint": {}});
    let got = line(&path);
    assert_eq!(at(&got, "resources[].uid"), [&json!(VAULT)]);
    assert_eq!((&got["severity_id"], &got["compliance"]["control"]), (&json!(5), &json!("d")));
    path["properties"] = json!({"displayName": "d", "attackPathType": "t"});
    assert_eq!(at(&line(&path), "resources[].uid"), [&json!(SUB)]);
}

#[test]
fn a_scan_for_holes_is_a_vulnerability_and_one_for_settings_is_not() {
    for (kind, class) in [
        ("ServerVulnerabilityTvm", 2002),
        ("AwsContainerRegistryVulnerability", 2002),
        ("SqlServerVulnerability", 2003),
        ("GeneralVulnerability", 2003),
        ("Other", 2003),
    ] {
        let mut payload = fixture("sub-assessment mdvm");
        payload["properties"]["id"] = json!("rule-7");
        payload["properties"]["additionalData"] = json!({"assessedResourceType": kind, "cve": []});
        assert_eq!(line(&payload)["class_uid"], json!(class), "{kind}");
    }
}

#[test]
fn scores_are_kept_with_their_counts() {
    let control = json!({"securityEventDataEnrichment": {"action": "Insert", "isSnapshot": false}, "type": "Microsoft.Security/secureScores/secureScoreControls", "name": "k",
        "id": format!("{SUB}/providers/Microsoft.Security/secureScores/ascScore/secureScoreControls/34a42fb3"),
        "properties": {"displayName": "Enable MFA", "healthyResourceCount": 5, "unhealthyResourceCount": "1", "notApplicableResourceCount": 0, "score": {"max": 4, "current": 3.33, "percentage": 0.83}}});
    let row = json!({"Type": "SecureScoreControls", "SecureScoresSubscriptionId": "11111111-2222-4333-8444-555555555555", "ControlId": "34a42fb3", "ControlName": "Enable MFA", "CurrentScore": "3.33", "MaxScore": "4",
        "HealthyResources": "5", "UnhealthyResources": 1, "NotApplicableResources": 0, "TimeGenerated": "2026-05-04T00:00:00Z"});
    let of = |payload: &Value| {
        let text = payload.to_string();
        let mut reading = normalize(&text).unwrap();
        assert_eq!((reading.findings.len(), reading.passed_over[0].rule, reading.faults.len()), (0, "secure-score", 0));
        reading.scores.remove(0)
    };
    let score = of(&control);
    assert_eq!((score.scope.as_str(), score.name.as_str(), score.title.as_deref()), (SUB, "34a42fb3", Some("Enable MFA")));
    assert_eq!((score.current, score.max), (3.33, 4.0));
    assert_eq!((score.healthy, score.unhealthy, score.not_applicable, score.time), (Some(5), Some(1), Some(0), None));
    let from_row = of(&row);
    assert_eq!(from_row.time, Some(1_777_852_800_000));
    assert_eq!(stanch_core::normalize::Score { time: None, ..from_row }, score);

    let whole = json!({"Type": "SecureScores", "SecureScoresSubscriptionId": "11111111-2222-4333-8444-555555555555", "DisplayName": "ASC score", "CurrentScore": 23.5, "MaxScore": 39});
    assert_eq!((of(&whole).scope, of(&whole).name), (SUB.to_owned(), "ascScore".to_owned()));

    let mut gone = control.clone();
    gone["securityEventDataEnrichment"]["action"] = json!("Delete");
    let text = gone.to_string();
    assert!(normalize(&text).unwrap().scores.is_empty());
    for broken in ["{}", "[]", "{\"max\":\"many\",\"current\":1}", "{\"max\":1e999,\"current\":1}", "{\"max\":1,\"current\":-1}"] {
        let text = control.to_string().replace(r#"{"current":3.33,"max":4,"percentage":0.83}"#, broken);
        match normalize(&text) {
            Ok(reading) => assert_eq!((reading.scores.len(), reading.faults.len()), (0, 1), "{broken}"),
            Err(error) => assert!(error.to_string().contains("not readable"), "{broken}: {error}"),
        }
    }
}

#[test]
fn what_is_no_finding_goes_by_its_shape() {
    let arm = |kind: &str| json!({"id": format!("{SUB}/providers/{kind}/x"), "type": kind, "name": "x", "properties": {}});
    for (payload, rule) in [
        (arm("Microsoft.Security/regulatoryComplianceStandards"), "compliance-summary"),
        (json!({"type": "Microsoft.Security/regulatoryComplianceControl", "properties": {"state": "Failed"}}), "compliance-summary"),
        (arm("Microsoft.Security/compliances"), "compliance-summary"),
        (arm("Microsoft.Security/healthReports"), "defender-health"),
        (arm("Microsoft.Security/secureScoreControlDefinitions"), "secure-score"),
        (arm("Microsoft.Security/iotSecuritySolutions/analyticsModels"), "device-summary"),
        (json!({"type": "Microsoft.Advisor/recommendations", "properties": {"category": "Cost"}}), "advisor-advice"),
        (
            json!({"@odata.context": "https://management.azure.com/x/providers/Microsoft.PolicyInsights/policyStates/$metadata#summary/$entity", "results": {}}),
            "policy-summary",
        ),
        (arm("Microsoft.Security/pricings"), "defender-configuration"),
        (arm("Microsoft.Security/customAssessmentAutomations"), "azure-resource"),
        (arm("Microsoft.Authorization/policyDefinitions"), "azure-resource"),
        (json!({"id": SUB, "displayName": "s", "subscriptionId": "s"}), "azure-resource"),
        (json!({"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req"}]}), "functions-host"),
        (json!({"version": "2.0", "customHandler": {"description": {}}}), "functions-host"),
        (json!({"Schedule": {}, "ScheduleStatus": {"Last": "0001-01-01T00:00:00"}, "IsPastDue": false}), "functions-host"),
        (json!({"Outputs": {"res": {}}, "Logs": null, "ReturnValue": null}), "functions-host"),
    ] {
        assert_eq!(seen(&payload), (0, vec![rule], 0), "{payload}");
    }
    // What reports faults and is not known must be seen by a person; what others may know is left to them.
    for payload in [
        arm("Microsoft.Security/deviceThreats"),
        arm("Microsoft.Unknown/findings"),
        json!({"Id": format!("{SUB}/x/y"), "SchemaVersion": "2018-10-08", "ProductArn": "arn:aws:securityhub:::product/a/b"}),
        json!({"hello": 1}),
    ] {
        let text = payload.to_string();
        assert!(normalize(&text).is_err(), "{payload}");
    }
}

#[test]
fn lists_are_opened_and_an_unknown_item_keeps_none_back() {
    let (row, event) = (fixture("policy row"), fixture("assessment gcp"));
    for list in [
        json!({"@odata.context": "https://management.azure.com/x/providers/Microsoft.PolicyInsights/policyStates/$metadata#latest", "@odata.count": 2, "value": [row, event]}),
        json!({"value": [row, event], "nextLink": null}),
        json!({"totalRecords": 2, "count": 2, "data": [row, event], "resultTruncated": "false"}),
        json!({"statusCode": 200, "body": {"value": [row, event]}}),
    ] {
        assert_eq!(seen(&list), (2, vec![], 0), "{list}");
    }
    assert_eq!(seen(&json!({"value": [row, {"hello": 1}]})), (1, vec![], 1));
    let unknown = json!({"value": [{"hello": 1}, {"hello": 2}]}).to_string();
    assert!(normalize(&unknown).is_err());
    assert_eq!(seen(&json!({"value": []})), (0, vec![], 0));
}

#[test]
fn a_state_without_its_parts_is_told_by_the_field() {
    for (name, field, told) in [
        ("policy row", "policyDefinitionId", "a compliance state of Azure Policy: field `policyDefinitionId` is missing"),
        ("policy event", "subject", "a compliance state of Azure Policy: field `subject` is missing"),
    ] {
        let mut payload = fixture(name);
        let fields = payload.as_object_mut().unwrap();
        fields.remove(field);
        fields.remove("@odata.context");
        let text = payload.to_string();
        let reading = normalize(&text).unwrap();
        assert!(reading.faults[0].to_string().starts_with(told), "{}", reading.faults[0]);
    }
    let assessment = fixture("assessment gcp").to_string();
    assert!(normalize_policy(&assessment).is_err());
}

/// Which mapping a payload is read by: the first all of whose marks it has.
fn mapping(payload: &Value) -> Option<&'static Mapping> {
    let has = |path: &&str| at(payload, path).into_iter().any(says_something);
    MAPPINGS.iter().find(|mapping| mapping.marks.iter().any(|marks| marks.iter().all(has)))
}

/// Which rows of its mapping a finding's OCSF event does not keep to.
pub(super) fn unkept(payload: &Value, line: &Value) -> Vec<String> {
    let Some(mapping) = mapping(payload) else { return vec!["no mapping".to_owned()] };
    let kept = |field: &str| {
        let known = |value: &&Value| says_something(value) && !(field == "severity_id" && **value == json!(0));
        at(line, field).iter().any(known)
    };
    let said = |path: &&str| at(payload, path).into_iter().any(says_something);
    let rows = mapping.rows.iter().filter(|row| row.from.iter().any(said) && !kept(row.field));
    rows.map(|row| format!("{}: {} from {:?}", mapping.shape, row.field, row.from)).collect()
}

#[test]
fn the_mappings_say_what_the_code_does() {
    let mut shapes = Vec::new();
    for (name, payload) in fixtures() {
        assert_eq!(unkept(&payload, &line(&payload)), Vec::<String>::new(), "{name}");
        shapes.push(mapping(&payload).unwrap().shape);
    }
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 14, "{shapes:#?}");
}

#[test]
fn each_shape_is_known_by_its_type_alone() {
    let of = |json: Value| {
        let text = json.to_string();
        let doc = Doc::read(&text).unwrap();
        Shape::of(doc.root(), doc.root().get("type").str()).map(Shape::source)
    };
    for (kind, source) in [
        ("MICROSOFT.SECURITY/ASSESSMENTS", Some(Source::DefenderAssessment)),
        ("microsoft.security/assessments/subassessments", Some(Source::DefenderSubAssessment)),
        ("Microsoft.Security/regulatoryComplianceAssessment", Some(Source::DefenderCompliance)),
        (
            "Microsoft.Security/regulatoryComplianceStandards/regulatoryComplianceControls/regulatoryComplianceAssessments",
            Some(Source::DefenderCompliance),
        ),
        ("SecurityRecommendation", Some(Source::DefenderAssessment)),
        ("microsoft.policyinsights.policystatecreated", Some(Source::AzurePolicy)),
        ("Microsoft.Security/assessmentMetadata", None),
        ("Microsoft.PolicyInsights/remediations", None),
        ("Microsoft.Advisor/recommendations", None),
    ] {
        assert_eq!(of(json!({"type": kind, "properties": {}})), source, "{kind}");
    }
}

/// A generator of numbers that are the same in each run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }

    fn mutate(&mut self, value: &mut Value, depth: usize) {
        let deeper = depth < 6 && (depth == 0 || self.below(4) > 0);
        match value {
            Value::Object(map) if deeper && !map.is_empty() => {
                let key = map.keys().nth(self.below(map.len())).unwrap().clone();
                match self.below(6) {
                    0 => drop(map.remove(&key)),
                    1 => {
                        let inner = map.remove(&key).unwrap();
                        map.insert(key.to_ascii_uppercase(), inner.clone());
                        map.insert(key.to_ascii_lowercase(), inner);
                    }
                    2 => {
                        let inner = map.remove(&key).unwrap();
                        map.insert(key, Value::String(inner.to_string()));
                    }
                    _ => self.mutate(map.get_mut(&key).unwrap(), depth + 1),
                }
            }
            Value::Array(items) if deeper && !items.is_empty() => {
                let at = self.below(items.len());
                self.mutate(&mut items[at], depth + 1);
            }
            _ => {
                let odd = [
                    Value::Null,
                    json!([]),
                    json!({}),
                    json!(-1),
                    json!(1e308),
                    json!(true),
                    json!(""),
                    json!(" "),
                    json!("|||"),
                    json!("/subscriptions/s/providers/é/ü/ß"),
                    json!("[{\"cve\":"),
                    json!("\u{0}\u{202e}"),
                    json!("/".repeat(5000)),
                    json!([[[[{"id": {"id": []}}]]]]),
                    json!({"members": {"Delete": "isSnapshot"}}),
                    json!("0001-01-01T00:00:00"),
                    json!("99999-99-99T99:99:99.9999999999Z"),
                ];
                *value = odd[self.below(odd.len())].clone();
            }
        }
    }
}

/// Fields dropped, doubled in other cases, written into strings, retyped and made huge, four at a time: an answer or an error that
/// says why, and whatever is read can be written as OCSF.
#[test]
fn no_mutation_breaks_the_reader() {
    let mut seeded = Seeded(0x5eed_0000_cafe_f00d);
    let all: Vec<Value> = fixtures().into_values().collect();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..6_000 {
        let mut payload = all[seeded.below(all.len())].clone();
        for _ in 0..=seeded.below(4) {
            seeded.mutate(&mut payload, 0);
        }
        let text = payload.to_string();
        match normalize(&text) {
            Ok(reading) => {
                for finding in &reading.findings {
                    let line = stanch_core::ocsf::to_line(finding, 0).unwrap();
                    assert!(
                        serde_json::from_str::<Value>(&line).unwrap()["finding_info"]["uid"].as_str().is_some_and(|uid| !uid.is_empty())
                    );
                    read += 1;
                }
                refused += reading.faults.iter().filter(|fault| !fault.to_string().is_empty()).count();
            }
            Err(error) => refused += usize::from(!error.to_string().is_empty()),
        }
    }
    assert!(read > 3_000 && refused > 100, "{read} read, {refused} refused");
}
