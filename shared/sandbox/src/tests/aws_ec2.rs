use serde_json::{Value, json};

use super::{aws, outcome, seeded};
use crate::Sandbox;

const GROUP: &str = "sg-0a1b2c3d4e5f60001";
const INSTANCE: &str = "i-0123456789abcdef0";

fn permission(protocol: &str, port: i64, cidr: &str) -> Value {
    let ranges = if cidr.contains(':') { json!({"Ipv6Ranges": [{"CidrIpv6": cidr}]}) } else { json!({"IpRanges": [{"CidrIp": cidr}]}) };
    let mut permission = json!({"IpProtocol": protocol, "FromPort": port, "ToPort": port});
    permission.as_object_mut().unwrap().extend(ranges.as_object().unwrap().clone());
    permission
}

fn change(sandbox: &Sandbox, operation: &str, permission: Value) -> String {
    let input = json!({"GroupId": GROUP, "IpPermissions": [permission]});
    outcome(&aws(sandbox, &format!("ec2.{operation}"), input))
}

fn rules(sandbox: &Sandbox, group: &str) -> Vec<String> {
    let input = json!({"Filters": [{"Name": "group-id", "Values": [group]}]});
    let answer = aws(sandbox, "ec2.DescribeSecurityGroupRules", input).body;
    let show = |r: &Value| {
        let peer = r.get("CidrIpv4").or(r.get("CidrIpv6")).and_then(Value::as_str).unwrap_or("-");
        format!("{}{} {peer}", r["IpProtocol"].as_str().unwrap(), r["FromPort"])
    };
    answer["SecurityGroupRules"].as_array().unwrap().iter().map(show).collect()
}

#[test]
fn a_range_is_revoked_once_and_put_back_once() {
    let sandbox = seeded();
    assert_eq!(rules(&sandbox, GROUP), ["tcp22 0.0.0.0/0", "tcp443 0.0.0.0/0", "tcp22 10.0.0.0/8", "tcp3389 ::/0", "-1-1 0.0.0.0/0"]);
    let ssh = || permission("tcp", 22, "0.0.0.0/0");
    assert_eq!(change(&sandbox, "RevokeSecurityGroupIngress", ssh()), "200 -");
    assert_eq!(change(&sandbox, "RevokeSecurityGroupIngress", ssh()), "400 InvalidPermission.NotFound");
    assert_eq!(rules(&sandbox, GROUP), ["tcp443 0.0.0.0/0", "tcp22 10.0.0.0/8", "tcp3389 ::/0", "-1-1 0.0.0.0/0"]);
    assert_eq!(change(&sandbox, "AuthorizeSecurityGroupIngress", ssh()), "200 -");
    assert_eq!(change(&sandbox, "AuthorizeSecurityGroupIngress", ssh()), "400 InvalidPermission.Duplicate");
    assert_eq!(rules(&sandbox, GROUP).len(), 5);
}

#[test]
fn only_the_exact_rule_is_revoked() {
    let sandbox = seeded();
    for (protocol, port, cidr, expected) in [
        ("tcp", 23, "0.0.0.0/0", "400 InvalidPermission.NotFound"),
        ("udp", 22, "0.0.0.0/0", "400 InvalidPermission.NotFound"),
        ("tcp", 22, "10.0.0.0/16", "400 InvalidPermission.NotFound"),
        ("-1", 22, "0.0.0.0/0", "400 InvalidPermission.NotFound"),
        ("tcp", 22, "10.0.0.0/33", "400 InvalidParameterValue"),
        ("tcp", 70_000, "10.0.0.0/8", "400 InvalidParameterValue"),
        ("6", 3389, "::/0", "200 -"),
    ] {
        assert_eq!(change(&sandbox, "RevokeSecurityGroupIngress", permission(protocol, port, cidr)), expected, "{protocol} {port} {cidr}");
    }
    assert_eq!(change(&sandbox, "RevokeSecurityGroupIngress", permission("-1", -1, "0.0.0.0/0")), "400 InvalidPermission.NotFound");
    assert_eq!(change(&sandbox, "RevokeSecurityGroupEgress", permission("-1", -1, "0.0.0.0/0")), "200 -");
    assert_eq!(rules(&sandbox, GROUP), ["tcp22 0.0.0.0/0", "tcp443 0.0.0.0/0", "tcp22 10.0.0.0/8"]);
}

#[test]
fn a_change_is_all_or_nothing() {
    let sandbox = seeded();
    let before = rules(&sandbox, GROUP);
    let both = json!([permission("tcp", 443, "0.0.0.0/0"), permission("tcp", 9, "0.0.0.0/0")]);
    let input = json!({"GroupId": GROUP, "IpPermissions": both});
    assert_eq!(outcome(&aws(&sandbox, "ec2.RevokeSecurityGroupIngress", input)), "400 InvalidPermission.NotFound");
    let both = json!([permission("tcp", 9, "0.0.0.0/0"), permission("tcp", 443, "0.0.0.0/0")]);
    let input = json!({"GroupId": GROUP, "IpPermissions": both});
    assert_eq!(outcome(&aws(&sandbox, "ec2.AuthorizeSecurityGroupIngress", input)), "400 InvalidPermission.Duplicate");
    assert_eq!(rules(&sandbox, GROUP), before);
}

#[test]
fn rules_go_by_id_too_and_a_new_rule_has_a_new_id() {
    let sandbox = seeded();
    let by_id = |id: &str| json!({"GroupId": GROUP, "SecurityGroupRuleIds": [id]});
    let revoked = aws(&sandbox, "ec2.RevokeSecurityGroupIngress", by_id("sgr-0a1b2c3d4e5f60101"));
    assert_eq!(revoked.body["RevokedSecurityGroupRules"][0]["CidrIpv4"], "0.0.0.0/0");
    let again = aws(&sandbox, "ec2.RevokeSecurityGroupIngress", by_id("sgr-0a1b2c3d4e5f60101"));
    assert_eq!(outcome(&again), "400 InvalidSecurityGroupRuleId.NotFound");
    let input = json!({"GroupId": GROUP, "IpPermissions": [permission("tcp", 22, "0.0.0.0/0")]});
    let back = aws(&sandbox, "ec2.AuthorizeSecurityGroupIngress", input).body;
    assert_ne!(back["SecurityGroupRules"][0]["SecurityGroupRuleId"], "sgr-0a1b2c3d4e5f60101");
}

#[test]
fn unknown_groups_are_refused_by_name_but_not_by_filter() {
    let sandbox = seeded();
    assert!(rules(&sandbox, "sg-00000000000000000").is_empty());
    let named = |id: &str| outcome(&aws(&sandbox, "ec2.DescribeSecurityGroups", json!({"GroupIds": [id]})));
    assert_eq!(named("sg-00000000000000000"), "400 InvalidGroup.NotFound");
    assert_eq!(named("shop-web"), "400 InvalidGroupId.Malformed");
    let filter = json!({"Filters": [{"Name": "group-colour", "Values": ["x"]}]});
    assert_eq!(outcome(&aws(&sandbox, "ec2.DescribeSecurityGroups", filter)), "400 InvalidParameterValue");
    let input = json!({"GroupId": "sg-00000000000000000", "IpPermissions": [permission("tcp", 22, "0.0.0.0/0")]});
    assert_eq!(outcome(&aws(&sandbox, "ec2.RevokeSecurityGroupIngress", input)), "400 InvalidGroup.NotFound");
    let elsewhere = {
        let mut request = super::operation("ec2.DescribeSecurityGroups", json!({"GroupIds": [GROUP]}));
        request.region = Some("us-east-1".to_owned());
        super::send(&sandbox, &request).unwrap()
    };
    assert_eq!(outcome(&elsewhere), "400 InvalidGroup.NotFound");
}

#[test]
fn a_described_group_gathers_its_rules_by_protocol_and_ports() {
    let group = aws(&seeded(), "ec2.DescribeSecurityGroups", json!({"GroupIds": [GROUP]})).body["SecurityGroups"][0].clone();
    let ssh = &group["IpPermissions"][0];
    assert_eq!((&ssh["FromPort"], ssh["IpRanges"].as_array().unwrap().len()), (&json!(22), 2));
    assert_eq!(ssh["IpRanges"][1], json!({"CidrIp": "10.0.0.0/8", "Description": "administrators"}));
    assert_eq!(group["IpPermissionsEgress"][0]["IpProtocol"], "-1");
    assert!(group["IpPermissionsEgress"][0].get("FromPort").is_none());
    assert!(group.get("Rules").is_none());
}

#[test]
fn a_group_is_found_by_a_tag_of_its_own() {
    let sandbox = seeded();
    let tags = json!([{"ResourceType": "security-group", "Tags": [{"Key": "stanch:change", "Value": "t-1"}]}]);
    let make = json!({"GroupName": "q", "Description": "d", "VpcId": "vpc-0a1b2c3d4e5f60000", "TagSpecifications": tags});
    let id = aws(&sandbox, "ec2.CreateSecurityGroup", make).body["GroupId"].clone();
    let find = |name: &str, value: &str| {
        let answer = aws(&sandbox, "ec2.DescribeSecurityGroups", json!({"Filters": [{"Name": name, "Values": [value]}]}));
        answer.body["SecurityGroups"].as_array().unwrap().iter().map(|g| g["GroupId"].clone()).collect::<Vec<_>>()
    };
    let (by_value, by_key) = (find("tag:stanch:change", "t-1"), find("tag-key", "stanch:change"));
    assert_eq!((by_value, by_key), (vec![id.clone()], vec![id]));
    assert!(find("tag:stanch:change", "t-2").is_empty());
}

#[test]
fn a_snapshot_called_for_twice_is_two_and_each_is_found_by_its_tag() {
    let sandbox = seeded();
    let make = |volume: &str, token: &str| {
        let tags = json!([{"ResourceType": "snapshot", "Tags": [{"Key": "stanch:change", "Value": token}]}]);
        aws(&sandbox, "ec2.CreateSnapshot", json!({"VolumeId": volume, "TagSpecifications": tags}))
    };
    let find = |filters: serde_json::Value| {
        let answer = aws(&sandbox, "ec2.DescribeSnapshots", json!({"OwnerIds": ["self"], "Filters": filters}));
        answer.body["Snapshots"].as_array().unwrap().iter().map(|s| (s["SnapshotId"].clone(), s["State"].clone())).collect::<Vec<_>>()
    };
    let volume = "vol-0a1b2c3d4e5f60006";
    let (first, second) = (make(volume, "t-1").body, make(volume, "t-2").body);
    assert_ne!(first["SnapshotId"], second["SnapshotId"]);
    assert_eq!(first["State"], "pending");
    let by_token = |token: &str| find(json!([{"Name": "tag:stanch:change", "Values": [token]}, {"Name": "volume-id", "Values": [volume]}]));
    assert_eq!(by_token("t-1"), [(first["SnapshotId"].clone(), json!("pending"))]);
    assert_eq!(by_token("t-1"), [(first["SnapshotId"].clone(), json!("completed"))]);
    assert!(by_token("t-3").is_empty());
    assert_eq!(outcome(&make("vol-00000000000000000", "t")), "400 InvalidVolume.NotFound");

    let delete = || outcome(&aws(&sandbox, "ec2.DeleteSnapshot", json!({"SnapshotId": first["SnapshotId"]})));
    assert_eq!([delete(), delete()], ["200 -", "400 InvalidSnapshot.NotFound"]);
    assert_eq!(find(json!([])).len(), 1);
}

#[test]
fn a_group_is_made_once_used_and_cannot_go_while_in_use() {
    let sandbox = seeded();
    let make = |vpc: &str| aws(&sandbox, "ec2.CreateSecurityGroup", json!({"GroupName": "quarantine", "Description": "d", "VpcId": vpc}));
    let made = make("vpc-0a1b2c3d4e5f60000");
    let id = made.body["GroupId"].as_str().unwrap().to_owned();
    assert_eq!(rules(&sandbox, &id), ["-1-1 0.0.0.0/0"], "a new group lets everything out");
    assert_eq!(outcome(&make("vpc-0a1b2c3d4e5f60000")), "400 InvalidGroup.Duplicate");
    assert_eq!(outcome(&make("vpc-00000000000000000")), "400 InvalidVpcID.NotFound");

    let set = |group: &str| outcome(&aws(&sandbox, "ec2.ModifyInstanceAttribute", json!({"InstanceId": INSTANCE, "Groups": [group]})));
    assert_eq!(set("sg-00000000000000000"), "400 InvalidGroup.NotFound");
    assert_eq!(set(&id), "200 -");
    let instance =
        aws(&sandbox, "ec2.DescribeInstances", json!({"InstanceIds": [INSTANCE]})).body["Reservations"][0]["Instances"][0].clone();
    assert_eq!(instance["SecurityGroups"], json!([{"GroupId": id, "GroupName": "quarantine"}]));
    assert_eq!(instance["NetworkInterfaces"][0]["Groups"], instance["SecurityGroups"]);

    let delete = |id: &str| outcome(&aws(&sandbox, "ec2.DeleteSecurityGroup", json!({"GroupId": id})));
    assert_eq!(delete(&id), "400 DependencyViolation");
    assert_eq!(set(GROUP), "200 -");
    assert_eq!(delete(&id), "200 -");
    assert_eq!(delete(&id), "400 InvalidGroup.NotFound");
}

#[test]
fn a_group_another_group_refers_to_cannot_go() {
    let sandbox = seeded();
    let input = json!({"GroupName": "peer", "Description": "d", "VpcId": "vpc-0a1b2c3d4e5f60000"});
    let id = aws(&sandbox, "ec2.CreateSecurityGroup", input).body["GroupId"].as_str().unwrap().to_owned();
    let pair = json!({"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": id}]});
    assert_eq!(change(&sandbox, "AuthorizeSecurityGroupIngress", pair.clone()), "200 -");
    assert_eq!(outcome(&aws(&sandbox, "ec2.DeleteSecurityGroup", json!({"GroupId": id}))), "400 DependencyViolation");
    assert_eq!(change(&sandbox, "RevokeSecurityGroupIngress", pair), "200 -");
    assert_eq!(outcome(&aws(&sandbox, "ec2.DeleteSecurityGroup", json!({"GroupId": id}))), "200 -");
}

#[test]
fn metadata_options_are_pending_first() {
    let sandbox = seeded();
    let answer = aws(&sandbox, "ec2.ModifyInstanceMetadataOptions", json!({"InstanceId": INSTANCE, "HttpTokens": "required"}));
    assert_eq!(answer.body["InstanceMetadataOptions"]["State"], "pending");
    let state = || {
        let input = json!({"Filters": [{"Name": "instance-id", "Values": [INSTANCE]}]});
        let options = aws(&sandbox, "ec2.DescribeInstances", input).body["Reservations"][0]["Instances"][0]["MetadataOptions"].clone();
        (options["State"].clone(), options["HttpTokens"].clone(), options["HttpEndpoint"].clone())
    };
    let (required, enabled) = (json!("required"), json!("enabled"));
    assert_eq!(state(), (json!("pending"), required.clone(), enabled.clone()));
    assert_eq!(state(), (json!("applied"), required, enabled));
    let unknown = aws(&sandbox, "ec2.DescribeInstances", json!({"InstanceIds": ["i-00000000000000000"]}));
    assert_eq!(outcome(&unknown), "400 InvalidInstanceID.NotFound");
    let hops = aws(&sandbox, "ec2.ModifyInstanceMetadataOptions", json!({"InstanceId": INSTANCE, "HttpPutResponseHopLimit": 65}));
    assert_eq!(outcome(&hops), "400 InvalidParameterValue");
}

#[test]
fn encryption_by_default_is_a_setting_of_one_region() {
    let sandbox = seeded();
    let get = |region: &str| {
        let mut request = super::operation("ec2.GetEbsEncryptionByDefault", json!({}));
        request.region = Some(region.to_owned());
        super::send(&sandbox, &request).unwrap().body["EbsEncryptionByDefault"].clone()
    };
    assert_eq!(get("eu-west-1"), false);
    assert_eq!(aws(&sandbox, "ec2.EnableEbsEncryptionByDefault", json!({})).body["EbsEncryptionByDefault"], true);
    assert_eq!((get("eu-west-1"), get("us-east-1")), (json!(true), json!(false)));
    aws(&sandbox, "ec2.DisableEbsEncryptionByDefault", json!({}));
    assert_eq!(get("eu-west-1"), false);
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = seeded();
    let input = json!({"GroupId": GROUP, "DryRun": true, "IpPermissions": [permission("tcp", 22, "0.0.0.0/0")]});
    assert_eq!(outcome(&aws(&sandbox, "ec2.RevokeSecurityGroupIngress", input)), "412 DryRunOperation");
    assert_eq!(rules(&sandbox, GROUP).len(), 5);
}

#[test]
fn the_networks_are_those_of_the_groups() {
    let sandbox = seeded();
    let describe = |input: Value| aws(&sandbox, "ec2.DescribeVpcs", input);
    assert_eq!(describe(json!({"VpcIds": ["vpc-0a1b2c3d4e5f60000"]})).body["Vpcs"][0]["CidrBlock"], "10.0.0.0/16");
    assert_eq!(outcome(&describe(json!({"VpcIds": ["vpc-00000000000000000"]}))), "400 InvalidVpcID.NotFound");
    let filter = json!({"Filters": [{"Name": "vpc-id", "Values": ["vpc-00000000000000000"]}]});
    assert_eq!(describe(filter).body["Vpcs"], json!([]));
}
