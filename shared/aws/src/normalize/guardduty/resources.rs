//! What a GuardDuty finding is about, by the ids Security Hub gives to the same resources.

use stanch_core::cloud::{Account, Resource, Text};
use stanch_core::json::Json;

use super::super::native::{Place, tags};

/// A kind of resource with an ARN.
struct Kind {
    /// The member it stands under.
    details: &'static str,
    /// Its type in ASFF.
    asff: &'static str,
    /// The member that is its ARN.
    arn: &'static str,
    /// The member that names it, and what its ARN is made of: service and prefix.
    name: &'static str,
    service: &'static str,
    prefix: &'static str,
}

const fn kind(
    details: &'static str,
    asff: &'static str,
    arn: &'static str,
    name: &'static str,
    service: &'static str,
    prefix: &'static str,
) -> Kind {
    Kind { details, asff, arn, name, service, prefix }
}

const KINDS: &[Kind] = &[
    kind("instanceDetails", "AwsEc2Instance", "instanceArn", "instanceId", "ec2", "instance/"),
    kind("s3BucketDetails", "AwsS3Bucket", "arn", "name", "s3", ""),
    kind("eksClusterDetails", "AwsEksCluster", "arn", "name", "eks", "cluster/"),
    kind("ecsClusterDetails", "AwsEcsCluster", "arn", "name", "ecs", "cluster/"),
    kind("lambdaDetails", "AwsLambdaFunction", "functionArn", "functionName", "lambda", "function:"),
    kind("rdsDbInstanceDetails", "AwsRdsDbInstance", "dbInstanceArn", "dbInstanceIdentifier", "rds", "db:"),
    kind("rdsLimitlessDbDetails", "AwsRdsDbShardGroup", "dbShardGroupArn", "dbShardGroupIdentifier", "rds", "shard-group:"),
    kind("ebsSnapshotDetails", "AwsEc2Snapshot", "snapshotArn", "", "", ""),
    kind("ec2ImageDetails", "AwsEc2Image", "imageArn", "", "", ""),
    kind("recoveryPointDetails", "AwsBackupRecoveryPoint", "recoveryPointArn", "", "", ""),
];

impl Kind {
    fn read<'a>(&self, details: Json<'_, 'a>, place: &Place<'a>) -> Option<Resource<'a>> {
        let name = details.get(self.name).text();
        let built = |name: &Text<'a>| match self.service {
            // The ARN of a bucket has neither region nor account.
            "s3" => Some(format!("arn:{}:s3:::{name}", place.partition).into()),
            service => place.arn(service, &format!("{}{name}", self.prefix)).or_else(|| Some(name.clone())),
        };
        let uid = details.get(self.arn).text().or_else(|| built(name.as_ref()?))?;
        let plain = place.resource(uid, Some(self.asff.into()));
        Some(Resource { name: name.or(plain.name.clone()), tags: tags(details.get("tags")), ..plain })
    }
}

/// The resources of a finding: what was attacked or attacks, then the key that was used.
pub(super) fn read<'a>(resource: Json<'_, 'a>, service: Json<'_, 'a>, place: &Place<'a>) -> Vec<Resource<'a>> {
    let mut found: Vec<_> =
        KINDS.iter().flat_map(|kind| resource.get(kind.details).items().filter_map(|details| kind.read(details, place))).collect();
    found.extend(key(resource.get("accessKeyDetails"), place));
    found.extend(service.path(&["detection", "sequence", "resources"]).items().filter_map(|item| in_sequence(item, place)));
    if found.is_empty() {
        // Older findings name the target only with the call.
        let affected = service.path(&["action", "awsApiCallAction", "affectedResources"]);
        found.extend(affected.members().filter_map(|(kind, uid)| {
            let uid = uid.text().filter(|uid| uid.starts_with("arn:"))?;
            Some(place.resource(uid, Some(kind.clone())))
        }));
    }
    if found.is_empty() {
        let container = resource.get("containerDetails");
        let uid = container.get("id").text();
        found.extend(uid.map(|uid| Resource { name: container.get("name").text(), ..place.resource(uid, Some("Container".into())) }));
    }
    found
}

fn in_sequence<'a>(item: Json<'_, 'a>, place: &Place<'a>) -> Option<Resource<'a>> {
    let plain = place.resource(item.get("uid").text()?, item.get("resourceType").text());
    let account = item.get("accountId").text().map(|uid| Account { uid, name: None });
    Some(Resource {
        name: item.get("name").text().or(plain.name.clone()),
        account: account.or(plain.account.clone()),
        region: item.get("region").text().or(plain.region.clone()),
        tags: tags(item.get("tags")),
        ..plain
    })
}

/// A key goes by its id. Without one, a user of IAM goes by name; it does not lend the key its name.
fn key<'a>(key: Json<'_, 'a>, place: &Place<'a>) -> Option<Resource<'a>> {
    if let Some(id) = key.get("accessKeyId").text() {
        let uid = Text::Owned(format!("AWS::IAM::AccessKey:{id}"));
        return Some(Resource { name: None, ..place.resource(uid, Some("AwsIamAccessKey".into())) });
    }
    let is_user = key.get("userType").str() == Some("IAMUser");
    let (user, account) = (key.get("userName").text().filter(|_| is_user)?, place.account.as_ref()?);
    let uid = Text::Owned(format!("arn:{}:iam::{}:user/{user}", place.partition, account.uid));
    Some(place.resource(uid, Some("AwsIamUser".into())))
}
