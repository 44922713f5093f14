//! Shapes of OCSF that few producers send, and events that somebody mangled.

use super::*;

/// Prowler's compliance file: a finding of the other file once per requirement.
fn requirement(id: &str, uid: &str) -> Value {
    json!({"class_uid": 2003, "type_uid": 200_301, "activity_id": 1, "message": "Bucket b is public.", "severity_id": 4, "severity": "High",
        "status_id": 1, "status": "New", "status_code": "FAIL", "time": 1_767_225_600,
        "metadata": {"event_code": "s3_public", "product": {"uid": "prowler", "name": "Prowler", "vendor_name": "Prowler", "version": "5.46.0"},
            "profiles": ["cloud", "datetime"], "version": "1.5.0"},
        "finding_info": {"uid": uid, "title": id, "desc": "A requirement.", "created_time": 1_767_225_600},
        "compliance": {"standards": ["CIS-3.0"], "requirements": [id], "control": "A requirement.", "status_id": 3,
            "checks": [{"uid": "s3_public", "name": "Bucket is public", "desc": "Whether it is.", "status": "PASS", "status_id": 1}]},
        "resources": [{"uid": "arn:aws:s3:::b", "name": "b", "type": "AwsS3Bucket", "region": "eu-west-1", "labels": ["env:prod"]}],
        "unmapped": {"cloud": {"provider": "aws", "region": "eu-west-1", "account": {"uid": "111122223333", "name": "shop"}, "org": {}}}})
}

#[test]
fn prowlers_two_files_name_one_finding_alike() {
    let text =
        json!([requirement("2.1.4", "prowler-aws-s3_public-b-2.1.4"), requirement("A.8", "prowler-aws-s3_public-b-A.8")]).to_string();
    let findings = normalize(&text).unwrap().findings;
    assert_eq!(findings.len(), 2);
    for (f, requirement) in findings.iter().zip(["CIS-3.0 2.1.4", "CIS-3.0 A.8"]) {
        assert_eq!(
            (f.uid.as_ref(), f.rule.as_deref(), f.title.as_ref()),
            ("prowler-aws-s3_public-b", Some("s3_public"), "Bucket is public")
        );
        assert_eq!((f.source, f.cloud, f.region.as_deref()), (Source::Prowler, Cloud::Aws, Some("eu-west-1")));
        assert_eq!(f.account, Some(Account { uid: "111122223333".into(), name: Some("shop".into()) }));
        let compliance = f.compliance.as_ref().unwrap();
        assert_eq!(
            (compliance.control.as_deref(), compliance.requirements.as_slice()),
            (Some("s3_public"), [requirement.into()].as_slice())
        );
        // What the check found, not what the requirement makes of it: otherwise the two would contradict each other.
        assert_eq!((compliance.status, compliance.status_code.as_deref()), (ComplianceStatus::Pass, Some("PASS")));
    }
}

#[test]
fn other_classes_are_passed_over_by_rule() {
    let event = |class: u32, more: Value| {
        let mut event =
            json!({"class_uid": class, "metadata": {"product": {"name": "P"}}, "finding_info": {"uid": "u"}, "cloud": {"provider": "AWS"}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string()
    };
    let manual = json!({"metadata": {"event_code": "manual", "product": {"name": "Prowler"}}, "status_code": "MANUAL", "compliance": {"requirements": ["1.1"]}});
    for (text, rule) in [
        (event(6003, json!({})), "ocsf-other-class"),
        (event(7001, json!({})), "ocsf-other-class"),
        (event(2005, json!({})), "ocsf-incident"),
        (event(2004, json!({"cloud": {"provider": "github"}})), "ocsf-elsewhere"),
        (event(2004, json!({"cloud": null})), "ocsf-elsewhere"),
        (event(2003, manual), "prowler-manual-requirement"),
    ] {
        let reading = normalize(&text).unwrap();
        let rules: Vec<_> = reading.passed_over.iter().map(|rule| rule.rule).collect();
        assert_eq!((rules, reading.findings.len(), reading.faults.len()), (vec![rule], 0, 0), "{text}");
        assert!(NO_FINDINGS.iter().any(|known| known.rule == rule));
    }
    // One that says it is of a cloud and not of which is broken.
    let reading = event(2004, json!({"cloud": {}, "metadata": {"profiles": ["cloud"]}}));
    assert!(normalize(&reading).unwrap().faults[0].to_string().contains("`cloud.provider` is missing"));
    for (class, expected) in
        [(2001, FindingClass::Detection), (2006, FindingClass::Detection), (2007, FindingClass::Detection), (2008, FindingClass::Detection)]
    {
        assert_eq!(normalize(&event(class, json!({}))).unwrap().findings[0].class, expected, "{class}");
    }
    let by_type = json!({"type_uid": 200_303, "finding_info": {"uid": "u"}, "cloud": {"provider": "AWS"}}).to_string();
    let f = one(&by_type);
    assert_eq!((f.class, f.activity), (FindingClass::Compliance, Activity::Close));
}

#[test]
fn a_finding_without_resources_takes_what_else_it_names() {
    let event = |more: Value| {
        let mut event =
            json!({"class_uid": 2004, "metadata": {}, "finding_info": {"uid": "u"}, "cloud": {"provider": "AWS", "account": {"uid": "1"}}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string()
    };
    for (more, uid) in [
        (json!({}), None),
        (json!({"resources": []}), None),
        (json!({"resources": [{"type": "x"}]}), None),
        (json!({"resources": [], "device": {"instance_uid": "i-1", "hostname": "h", "region": "eu-west-1"}}), Some("i-1")),
        (json!({"databucket": {"uid": "arn:aws:s3:::b"}}), Some("arn:aws:s3:::b")),
        (json!({"resource": {"uid": "r"}, "device": {"uid": "d"}}), Some("r")),
    ] {
        let text = event(more);
        let f = one(&text);
        assert_eq!(f.resources.first().map(|r| r.uid.as_ref()), uid, "{text}");
        assert_eq!((f.uid.as_ref(), f.account.as_ref().map(|a| a.uid.as_ref())), ("u", Some("1")), "{text}");
    }
}

#[test]
fn a_cloud_that_is_not_named_shows_by_what_is() {
    for (event, cloud) in [
        (json!({"cloud": {"account": {"uid": "1", "type_id": 10}}}), Cloud::Aws),
        (json!({"cloud": {"account": {"uid": "1", "type_id": 13}}}), Cloud::Azure),
        (json!({"cloud": {"account": {"uid": "1", "type_id": 5}}}), Cloud::Gcp),
        (json!({"cloud": {"cloud_partition": "aws-cn"}}), Cloud::Aws),
        (json!({"metadata": {"product": {"uid": "arn:aws:securityhub:eu-west-1::productv2/aws/guardduty"}}}), Cloud::Aws),
        (json!({"resources": [{"uid": "//storage.googleapis.com/b"}]}), Cloud::Gcp),
    ] {
        let mut whole = json!({"class_uid": 2004, "metadata": {}, "finding_info": {"uid": "u"}});
        whole.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
        assert_eq!(one(&whole.to_string()).cloud, cloud, "{event}");
    }
}

#[test]
fn risk_is_read_where_it_is_given() {
    let risk = |more: Value| {
        let mut event =
            json!({"class_uid": 2004, "severity_id": 5, "metadata": {}, "finding_info": {"uid": "u"}, "cloud": {"provider": "AWS"}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one(&event.to_string()).into_owned().risk
    };
    assert_eq!(risk(json!({})), None, "a severity is no risk");
    let exposure = json!({"risk_level_id": 3, "risk_score": 81, "finding_info": {"uid": "u", "attack_graph": {"uid": "g", "nodes": []},
        "traits": [{"name": "Reachable"}, {"category": "Vulnerability"}], "related_events": [{"uid": "r", "traits": [{"name": "Reachable"}, {"name": "Sensitive"}]}]}});
    let expected = Risk {
        level: Some("High".into()),
        score: Some("81".into()),
        factors: vec!["Reachable".into(), "Vulnerability".into(), "Sensitive".into()],
        attack_paths: vec!["g".into()],
    };
    assert_eq!(risk(exposure), Some(expected));
}

#[test]
fn what_another_left_unmapped_is_not_taken_for_our_own() {
    let unmapped =
        json!({"source": "acme", "policy": "p", "risk": {"level": "High"}, "vulnerabilities": [{"cve": "CVE-2026-1"}], "sample": true});
    let mut event =
        json!({"class_uid": 2004, "metadata": {}, "finding_info": {"uid": "u"}, "cloud": {"provider": "AWS"}, "unmapped": unmapped});
    let text = event.to_string();
    let f = one(&text);
    assert_eq!((f.policy, f.risk, f.vulnerabilities, f.sample), (None, None, vec![], false));
    event["unmapped"]["source"] = "defender-assessment".into();
    let text = event.to_string();
    let f = one(&text);
    assert_eq!((f.policy.as_deref(), f.vulnerabilities.len(), f.sample), (Some("p"), 1, true));
}

#[test]
fn a_bundle_is_opened() {
    let event = |uid: &str| json!({"class_uid": 2004, "metadata": {}, "finding_info": {"uid": uid}, "cloud": {"provider": "AWS"}});
    let bundle =
        json!({"start_time": 1, "events": [event("a"), {"class_uid": 5001, "metadata": {}}, event("b"), {"hello": 1}], "count": 4})
            .to_string();
    let reading = normalize(&bundle).unwrap();
    assert_eq!(reading.findings.iter().map(|f| f.uid.as_ref()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((reading.passed_over.len(), reading.faults.len()), (1, 1));
    assert!(matches!(normalize(r#"{"events": [{"hello": 1}]}"#), Err(NormalizeError::Unrecognised { .. })));
}

#[test]
fn tags_come_as_a_list_a_map_or_labels() {
    for tags in [
        json!({"tags": [{"name": "env", "value": "prod"}]}),
        json!({"tags": [{"key": "env", "values": ["prod", "x"]}]}),
        json!({"tags": {"env": "prod"}}),
        json!({"labels": ["env:prod"]}),
        json!({"labels": {"env": "prod"}}),
        json!({"labels": "env=prod"}),
    ] {
        let mut resource = json!({"uid": "arn:aws:s3:::b"});
        resource.as_object_mut().unwrap().extend(tags.as_object().unwrap().clone());
        let text = json!({"class_uid": 2004, "metadata": {}, "finding_info": {"uid": "u"}, "resources": [resource]}).to_string();
        assert_eq!(one(&text).resources[0].tags, [("env".into(), "prod".into())], "{tags}");
    }
}

/// A small generator whose sequence its seed decides.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Drops, retypes, renames, doubles or deepens something somewhere.
fn mangle(value: &mut Value, random: &mut Seeded) {
    let odd = [
        json!(null),
        json!(""),
        json!(0),
        json!(-1.5e300),
        json!(true),
        json!([]),
        json!({}),
        json!([[{}]]),
        json!("\u{0}é\"]}"),
        json!({"uid": {"uid": []}}),
    ];
    match value {
        Value::Object(map) if !map.is_empty() && random.below(4) > 0 => {
            let key = map.keys().nth(random.below(map.len())).unwrap().clone();
            match random.below(6) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(key, odd[random.below(odd.len())].clone())),
                2 => drop(map.remove(&key).map(|inner| map.insert(key.to_uppercase(), inner))),
                _ => mangle(map.get_mut(&key).unwrap(), random),
            }
        }
        Value::Array(list) if !list.is_empty() && random.below(4) > 0 => {
            let at = random.below(list.len());
            match random.below(4) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => mangle(&mut list[at], random),
            }
        }
        other => *other = odd[random.below(odd.len())].clone(),
    }
}

#[test]
fn mangled_events_end_in_a_finding_a_rule_or_a_fault() {
    let whole: Vec<Value> = [COMPLIANCE, DETECTION, VULNERABILITY, PROWLER, SECURITY_HUB_V2]
        .iter()
        .flat_map(|text| events(text).unwrap())
        .map(|event| serde_json::from_str(event).unwrap())
        .chain([requirement("2.1.4", "u-2.1.4")])
        .collect();
    let (mut findings, mut others) = (0, 0);
    for seed in 1..=4_000_u64 {
        let mut random = Seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut event = whole[random.below(whole.len())].clone();
        for _ in 0..=random.below(6) {
            mangle(&mut event, &mut random);
        }
        let text = event.to_string();
        match normalize(&text) {
            Err(_) => others += 1,
            Ok(reading) => {
                assert!(
                    event.as_array().is_some() || reading.findings.len() + reading.passed_over.len() + reading.faults.len() > 0,
                    "{seed}: {text}"
                );
                for f in &reading.findings {
                    let line = to_line(f, RECEIVED).unwrap();
                    assert_eq!(one(&line).uid, f.uid, "{seed}: {text}");
                    findings += 1;
                }
                others += usize::from(reading.findings.is_empty());
            }
        }
    }
    assert!(findings > 1_000 && others > 50, "{findings} findings, {others} others");
}
