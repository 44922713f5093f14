//! Amazon EC2: security groups and their rules, instances, snapshots of volumes, and encryption of new volumes.

mod groups;
mod instances;
mod rules;
mod snapshots;
mod vpcs;

use serde_json::{Value, json};

use super::{Call, Operation, refuse, texts};
use crate::shape::Shape::{self, Bool, Int, List, Object, OneOf, Text};
use crate::world::{Stop, set, text};

const FILTERS: Shape = List(&Object(&[("Name*", Text), ("Values*", List(&Text))]));
const TAGS: Shape = List(&Object(&[("ResourceType", Text), ("Tags", List(&Object(&[("Key", Text), ("Value", Text)])))]));
const PEER: Shape = Object(&[("Description", Text), ("GroupId", Text), ("UserId", Text), ("VpcId", Text)]);
const PERMISSION: Shape = Object(&[
    ("IpProtocol*", Text),
    ("FromPort", Int),
    ("ToPort", Int),
    ("IpRanges", List(&Object(&[("CidrIp*", Text), ("Description", Text)]))),
    ("Ipv6Ranges", List(&Object(&[("CidrIpv6*", Text), ("Description", Text)]))),
    ("PrefixListIds", List(&Object(&[("PrefixListId*", Text), ("Description", Text)]))),
    ("UserIdGroupPairs", List(&PEER)),
]);
const CHANGE: Shape = Object(&[
    ("DryRun", Bool),
    ("GroupId", Text),
    ("IpPermissions", List(&PERMISSION)),
    ("CidrIp", Text),
    ("FromPort", Int),
    ("IpProtocol", Text),
    ("ToPort", Int),
    ("TagSpecifications", TAGS),
]);
const REVOKE: Shape = Object(&[
    ("DryRun", Bool),
    ("GroupId", Text),
    ("IpPermissions", List(&PERMISSION)),
    ("SecurityGroupRuleIds", List(&Text)),
    ("CidrIp", Text),
    ("FromPort", Int),
    ("IpProtocol", Text),
    ("ToPort", Int),
]);
const DRY: Shape = Object(&[("DryRun", Bool)]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "ec2.DescribeSecurityGroups",
        input: Object(&[("DryRun", Bool), ("Filters", FILTERS), ("GroupIds", List(&Text)), ("MaxResults", Int), ("NextToken", Text)]),
        run: groups::describe,
    },
    Operation {
        name: "ec2.CreateSecurityGroup",
        input: Object(&[("Description*", Text), ("DryRun", Bool), ("GroupName*", Text), ("TagSpecifications", TAGS), ("VpcId", Text)]),
        run: groups::create,
    },
    Operation { name: "ec2.DeleteSecurityGroup", input: Object(&[("DryRun", Bool), ("GroupId*", Text)]), run: groups::delete },
    Operation {
        name: "ec2.DescribeSecurityGroupRules",
        input: Object(&[
            ("DryRun", Bool),
            ("Filters", FILTERS),
            ("MaxResults", Int),
            ("NextToken", Text),
            ("SecurityGroupRuleIds", List(&Text)),
        ]),
        run: rules::describe,
    },
    Operation { name: "ec2.AuthorizeSecurityGroupIngress", input: CHANGE, run: |call| rules::authorize(call, false) },
    Operation { name: "ec2.AuthorizeSecurityGroupEgress", input: CHANGE, run: |call| rules::authorize(call, true) },
    Operation { name: "ec2.RevokeSecurityGroupIngress", input: REVOKE, run: |call| rules::revoke(call, false) },
    Operation { name: "ec2.RevokeSecurityGroupEgress", input: REVOKE, run: |call| rules::revoke(call, true) },
    Operation {
        name: "ec2.DescribeVpcs",
        input: Object(&[("DryRun", Bool), ("Filters", FILTERS), ("MaxResults", Int), ("NextToken", Text), ("VpcIds", List(&Text))]),
        run: vpcs::describe,
    },
    Operation {
        name: "ec2.DescribeInstances",
        input: Object(&[("DryRun", Bool), ("Filters", FILTERS), ("InstanceIds", List(&Text)), ("MaxResults", Int), ("NextToken", Text)]),
        run: instances::describe,
    },
    Operation {
        name: "ec2.ModifyInstanceAttribute",
        input: Object(&[
            ("DryRun", Bool),
            ("Groups", List(&Text)),
            ("InstanceId*", Text),
            ("SourceDestCheck", Object(&[("Value*", Bool)])),
        ]),
        run: instances::modify_attribute,
    },
    Operation {
        name: "ec2.ModifyInstanceMetadataOptions",
        input: Object(&[
            ("DryRun", Bool),
            ("InstanceId*", Text),
            ("HttpEndpoint", OneOf(&["enabled", "disabled"])),
            ("HttpProtocolIpv6", OneOf(&["enabled", "disabled"])),
            ("HttpPutResponseHopLimit", Int),
            ("HttpTokens", OneOf(&["optional", "required"])),
            ("InstanceMetadataTags", OneOf(&["enabled", "disabled"])),
        ]),
        run: instances::modify_metadata,
    },
    Operation {
        name: "ec2.DescribeSnapshots",
        input: Object(&[
            ("DryRun", Bool),
            ("Filters", FILTERS),
            ("MaxResults", Int),
            ("NextToken", Text),
            ("OwnerIds", List(&Text)),
            ("SnapshotIds", List(&Text)),
        ]),
        run: snapshots::describe,
    },
    Operation {
        name: "ec2.CreateSnapshot",
        input: Object(&[("Description", Text), ("DryRun", Bool), ("TagSpecifications", TAGS), ("VolumeId*", Text)]),
        run: snapshots::create,
    },
    Operation { name: "ec2.DeleteSnapshot", input: Object(&[("DryRun", Bool), ("SnapshotId*", Text)]), run: snapshots::delete },
    Operation { name: "ec2.GetEbsEncryptionByDefault", input: DRY, run: |call| Ok(encryption(call, None)) },
    Operation { name: "ec2.EnableEbsEncryptionByDefault", input: DRY, run: |call| Ok(encryption(call, Some(true))) },
    Operation { name: "ec2.DisableEbsEncryptionByDefault", input: DRY, run: |call| Ok(encryption(call, Some(false))) },
];

/// Encryption by default is a setting of the account in each region.
fn encryption(call: &mut Call<'_>, change: Option<bool>) -> Value {
    let (id, mut settings) = call.account_settings();
    let region = call.region().to_owned();
    let mut regions = settings.get("EbsEncryptionByDefault").cloned().unwrap_or_else(|| json!({}));
    let held = regions.get(&region).and_then(Value::as_bool).unwrap_or_default();
    let Some(on) = change else {
        let kind = if held { json!("sse-ebs") } else { json!("none") };
        return json!({"EbsEncryptionByDefault": held, "SseType": kind});
    };
    set(&mut regions, &region, on);
    set(&mut settings, "EbsEncryptionByDefault", regions);
    call.write(&id, settings);
    json!({"EbsEncryptionByDefault": on})
}

/// A security group of the call's account and region, with its ARN.
fn group(call: &mut Call<'_>, id: &str) -> Result<(String, Value), Stop> {
    if id.is_empty() {
        return Err(refuse(400, "MissingParameter", "The request must contain the parameter GroupId"));
    }
    if !id.starts_with("sg-") {
        return Err(refuse(400, "InvalidGroupId.Malformed", &format!("Invalid id: \"{id}\" (expecting \"sg-...\")")));
    }
    let arn = call.arn("ec2", &format!("security-group/{id}"));
    match call.read(&arn) {
        Some(group) => Ok((arn, group)),
        None => Err(refuse(400, "InvalidGroup.NotFound", &format!("The security group '{id}' does not exist"))),
    }
}

/// Whether a value passes the filters: those on tags, and others by `member`, which gives what a filter of that name looks at,
/// none where there is no such filter.
fn passes(call: &Call<'_>, value: &Value, member: impl Fn(&Value, &str) -> Option<Vec<String>>) -> Result<bool, Stop> {
    for filter in call.input.get("Filters").and_then(Value::as_array).into_iter().flatten() {
        let name = text(filter, "Name");
        let held = tagged(value, name).or_else(|| member(value, name)).ok_or_else(|| {
            refuse(400, "InvalidParameterValue", &format!("The filter '{name}' is invalid (or one the sandbox does not simulate)"))
        })?;
        let wanted = texts(filter.get("Values"));
        if !held.iter().any(|h| wanted.contains(&h.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the filters `tag:<key>` and `tag-key` look at.
fn tagged(value: &Value, filter: &str) -> Option<Vec<String>> {
    let tags = value.get("Tags").and_then(Value::as_array).into_iter().flatten();
    if filter == "tag-key" {
        return Some(tags.map(|t| text(t, "Key").to_owned()).collect());
    }
    let key = filter.strip_prefix("tag:")?;
    Some(tags.filter(|t| text(t, "Key") == key).map(|t| text(t, "Value").to_owned()).collect())
}

/// Tags of a `TagSpecifications` member.
fn given_tags(call: &Call<'_>) -> Vec<Value> {
    let specifications = call.input.get("TagSpecifications").and_then(Value::as_array).into_iter().flatten();
    specifications.filter_map(|s| s.get("Tags")?.as_array()).flatten().cloned().collect()
}
