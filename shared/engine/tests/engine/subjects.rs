//! The resources of the seeded estate that need each fix.

use stanch_core::cloud::Cloud::{Aws, Azure, Gcp};
use stanch_core::finding::FindingClass::{Compliance, Detection};
use stanch_core::finding::Source::{DefenderAssessment, Prowler, Scc, SecurityHub};

use crate::world::Subject;

macro_rules! subjects {
    ($($fix:literal, $cloud:expr, $uid:literal, $kind:literal, $source:expr, $class:expr, $rule:literal;)*) => {
        &[$(Subject { fix: $fix, cloud: $cloud, uid: $uid, kind: $kind, source: $source, class: $class, rule: $rule },)*]
    };
}

pub(crate) const SUBJECTS: &[Subject] = subjects! {
    "aws-s3-block-public-access", Aws, "arn:aws:s3:::shop-invoices-archive", "AwsS3Bucket", SecurityHub, Compliance, "S3.8";
    "aws-ec2-revoke-world-ingress", Aws, "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60001", "AwsEc2SecurityGroup", SecurityHub, Compliance, "EC2.13";
    "aws-ec2-enable-ebs-default-encryption", Aws, "AWS::::Account:111122223333", "AwsAccount", SecurityHub, Compliance, "EC2.7";
    "aws-rds-disable-public-access", Aws, "arn:aws:rds:eu-west-1:111122223333:db:shop-db", "AwsRdsDbInstance", SecurityHub, Compliance, "RDS.2";
    "aws-kms-enable-rotation", Aws, "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001", "AwsKmsKey", SecurityHub, Compliance, "KMS.4";
    "aws-iam-strengthen-password-policy", Aws, "AWS::::Account:111122223333", "AwsAccount", SecurityHub, Compliance, "IAM.7";
    "aws-lambda-remove-public-permissions", Aws, "arn:aws:lambda:eu-west-1:111122223333:function:shop-checkout", "AwsLambdaFunction", SecurityHub, Compliance, "Lambda.1";
    "aws-cloudtrail-enable-log-validation", Aws, "arn:aws:cloudtrail:eu-west-1:111122223333:trail/shop-trail", "AwsCloudTrailTrail", SecurityHub, Compliance, "CloudTrail.4";
    "aws-ec2-quarantine-instance", Aws, "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0", "AwsEc2Instance", SecurityHub, Detection, "UnauthorizedAccess:EC2/SSHBruteForce";
    "aws-ec2-snapshot-volumes", Aws, "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0", "AwsEc2Instance", SecurityHub, Detection, "Execution:EC2/MaliciousFile";
    "azure-storage-disallow-public-blob", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Storage/storageAccounts/shopinvoices0001", "Microsoft.Storage/storageAccounts", DefenderAssessment, Compliance, "51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a6";
    "azure-storage-require-secure-transfer", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Storage/storageAccounts/shopinvoices0001", "Microsoft.Storage/storageAccounts", DefenderAssessment, Compliance, "1c5de8e1-f68d-6a17-e0d2-ec259c42768c";
    "azure-sql-remove-any-address-rules", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Sql/servers/shop-sql-01", "Microsoft.Sql/servers", Prowler, Compliance, "sqlserver_unrestricted_inbound_access";
    "azure-sql-require-tls12", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Sql/servers/shop-sql-01", "Microsoft.Sql/servers", DefenderAssessment, Compliance, "8e9a37b9-2828-4c8f-a24e-7b0ab0e89c78";
    "azure-network-restrict-world-rules", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.Network/networkSecurityGroups/shop-nsg", "Microsoft.Network/networkSecurityGroups", DefenderAssessment, Compliance, "bc303248-3d14-44c2-96a0-55f5c326b5fe";
    "azure-keyvault-enable-purge-protection", Azure, "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/shop-kv", "Microsoft.KeyVault/vaults", DefenderAssessment, Compliance, "4ed62ae4-5072-f9e7-8d94-51c76c48159a";
    "gcp-storage-remove-public-iam", Gcp, "//storage.googleapis.com/shop-exports", "google.cloud.storage.Bucket", Scc, Compliance, "PUBLIC_BUCKET_ACL";
    "gcp-compute-close-open-ssh", Gcp, "//compute.googleapis.com/projects/shop-prod-1/global/firewalls/4455667788990011223", "google.compute.Firewall", Scc, Compliance, "OPEN_SSH_PORT";
    "gcp-sql-require-tls", Gcp, "//cloudsql.googleapis.com/projects/shop-prod-1/instances/shop-orders", "google.cloud.sql.Instance", Scc, Compliance, "SSL_NOT_ENFORCED";
};

pub(crate) fn subject(fix: &str) -> &'static Subject {
    SUBJECTS.iter().find(|s| s.fix == fix).unwrap_or_else(|| panic!("no subject for `{fix}`"))
}
