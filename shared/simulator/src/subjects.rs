//! Resources of the seeded estate, the findings about them, and what people do to them by hand.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud::{self, Aws, Azure, Gcp};
use stanch_core::cloud::{Account, Resource};
use stanch_core::finding::FindingClass::{self, Compliance, Detection};
use stanch_core::finding::Source::{self, DefenderAssessment, Prowler, Scc, SecurityHub};
use stanch_core::finding::{Compliance as Status, ComplianceStatus, Finding, FindingStatus, Product, Severity};

use stanch_core::port::Scope;

use crate::clock::now;

/// One fault of the estate.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) cloud: Cloud,
    pub(crate) uid: &'static str,
    kind: &'static str,
    source: Source,
    class: FindingClass,
    /// What the fix's trigger names.
    rule: &'static str,
    /// What a person may set by hand: the resource or a part of it, where in it, and to what.
    pub(crate) edits: &'static [(&'static str, &'static str, &'static str)],
}

macro_rules! subjects {
    ($($cloud:expr, $uid:expr, $kind:literal, $source:expr, $class:expr, $rule:literal, $edits:expr;)*) => {
        &[$(Subject { cloud: $cloud, uid: $uid, kind: $kind, source: $source, class: $class, rule: $rule, edits: $edits },)*]
    };
}

macro_rules! azure {
    ($rest:literal) => {
        concat!("/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers/", $rest)
    };
}

const AWS: &str = "111122223333";
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
const PROJECT: &str = "shop-prod-1";

const BUCKET: &str = "arn:aws:s3:::shop-web-assets";
const PLAIN_BUCKET: &str = "arn:aws:s3:::shop-invoices-archive";
const GROUP: &str = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f60001";
const DATABASE: &str = "arn:aws:rds:eu-west-1:111122223333:db:shop-db";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:shop-checkout";
const TRAIL: &str = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/shop-trail";
const INSTANCE: &str = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0";
const ACCOUNT: &str = "AWS::::Account:111122223333";
const STORAGE: &str = azure!("Microsoft.Storage/storageAccounts/shopinvoices0001");
const SQL: &str = azure!("Microsoft.Sql/servers/shop-sql-01");
const NSG: &str = azure!("Microsoft.Network/networkSecurityGroups/shop-nsg");
const VAULT: &str = azure!("Microsoft.KeyVault/vaults/shop-kv");
const EXPORTS: &str = "//storage.googleapis.com/shop-exports";
const FIREWALL: &str = "//compute.googleapis.com/projects/shop-prod-1/global/firewalls/4455667788990011223";
const ORDERS: &str = "//cloudsql.googleapis.com/projects/shop-prod-1/instances/shop-orders";

/// Every fault a run may be about.
pub(crate) const SUBJECTS: &[Subject] = subjects! {
    Aws, PLAIN_BUCKET, "AwsS3Bucket", SecurityHub, Compliance, "S3.8", &[(PLAIN_BUCKET, "/PublicAccessBlockConfiguration", "{\"BlockPublicAcls\":true,\"IgnorePublicAcls\":true,\"BlockPublicPolicy\":true,\"RestrictPublicBuckets\":false}")];
    Aws, BUCKET, "AwsS3Bucket", SecurityHub, Compliance, "S3.8", &[(BUCKET, "/PublicAccessBlockConfiguration/BlockPublicPolicy", "true"), (BUCKET, "/PublicAccessBlockConfiguration/BlockPublicAcls", "false")];
    Aws, GROUP, "AwsEc2SecurityGroup", SecurityHub, Compliance, "EC2.13", &[(GROUP, "/Rules/0/CidrIpv4", "\"192.0.2.0/24\""), (GROUP, "/Rules/0/Description", "\"changed\"")];
    Aws, ACCOUNT, "AwsAccount", SecurityHub, Compliance, "EC2.7", &[(ACCOUNT, "/EbsEncryptionByDefault/eu-west-1", "true"), (ACCOUNT, "/EbsEncryptionByDefault/eu-west-1", "false")];
    Aws, DATABASE, "AwsRdsDbInstance", SecurityHub, Compliance, "RDS.2", &[(DATABASE, "/PubliclyAccessible", "false"), (DATABASE, "/PubliclyAccessible", "true")];
    Aws, KEY, "AwsKmsKey", SecurityHub, Compliance, "KMS.4", &[(KEY, "/KeyRotationEnabled", "true"), (KEY, "/KeyRotationEnabled", "false")];
    Aws, ACCOUNT, "AwsAccount", SecurityHub, Compliance, "IAM.7", &[];
    Aws, FUNCTION, "AwsLambdaFunction", SecurityHub, Compliance, "Lambda.1", &[(FUNCTION, "/Statements", "[]")];
    Aws, TRAIL, "AwsCloudTrailTrail", SecurityHub, Compliance, "CloudTrail.4", &[(TRAIL, "/LogFileValidationEnabled", "true"), (TRAIL, "/LogFileValidationEnabled", "false")];
    Aws, INSTANCE, "AwsEc2Instance", SecurityHub, Detection, "UnauthorizedAccess:EC2/SSHBruteForce", &[(INSTANCE, "/SecurityGroups/0/GroupName", "\"shop-web\"")];
    Aws, INSTANCE, "AwsEc2Instance", SecurityHub, Detection, "Execution:EC2/MaliciousFile", &[];
    Aws, INSTANCE, "AwsEc2Instance", SecurityHub, Detection, "UnauthorizedAccess:EC2/SSHBruteForce", &[];
    Azure, STORAGE, "Microsoft.Storage/storageAccounts", DefenderAssessment, Compliance, "51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a6", &[(STORAGE, "/properties/allowBlobPublicAccess", "false"), (STORAGE, "/properties/minimumTlsVersion", "\"TLS1_2\"")];
    Azure, STORAGE, "Microsoft.Storage/storageAccounts", DefenderAssessment, Compliance, "1c5de8e1-f68d-6a17-e0d2-ec259c42768c", &[(STORAGE, "/properties/supportsHttpsTrafficOnly", "true"), (STORAGE, "/properties/supportsHttpsTrafficOnly", "false")];
    Azure, SQL, "Microsoft.Sql/servers", Prowler, Compliance, "sqlserver_unrestricted_inbound_access", &[(concat!(azure!("Microsoft.Sql/servers/shop-sql-01"), "/firewallRules/AllowAll"), "/properties/endIpAddress", "\"0.0.0.255\"")];
    Azure, SQL, "Microsoft.Sql/servers", DefenderAssessment, Compliance, "8e9a37b9-2828-4c8f-a24e-7b0ab0e89c78", &[(SQL, "/properties/minimalTlsVersion", "\"1.1\""), (SQL, "/properties/minimalTlsVersion", "\"1.2\"")];
    Azure, NSG, "Microsoft.Network/networkSecurityGroups", DefenderAssessment, Compliance, "bc303248-3d14-44c2-96a0-55f5c326b5fe", &[(concat!(azure!("Microsoft.Network/networkSecurityGroups/shop-nsg"), "/securityRules/AllowSSHFromAnywhere"), "/properties/destinationPortRange", "\"22-23\"")];
    Azure, VAULT, "Microsoft.KeyVault/vaults", DefenderAssessment, Compliance, "4ed62ae4-5072-f9e7-8d94-51c76c48159a", &[];
    Gcp, EXPORTS, "google.cloud.storage.Bucket", Scc, Compliance, "PUBLIC_BUCKET_ACL", &[("//storage.googleapis.com/shop-exports/iam", "/bindings/0/members", "[\"allUsers\"]"), ("//storage.googleapis.com/shop-exports/iam", "/bindings/0/role", "\"roles/storage.objectAdmin\"")];
    Gcp, FIREWALL, "google.compute.Firewall", Scc, Compliance, "OPEN_SSH_PORT", &[(FIREWALL, "/sourceRanges", "[\"10.0.0.0/8\"]"), (FIREWALL, "/sourceRanges", "[\"0.0.0.0/0\"]"), (FIREWALL, "/priority", "900")];
    Gcp, ORDERS, "google.cloud.sql.Instance", Scc, Compliance, "SSL_NOT_ENFORCED", &[(ORDERS, "/settings/ipConfiguration/sslMode", "\"ENCRYPTED_ONLY\""), (ORDERS, "/settings/tier", "\"db-custom-4-15360\"")];
};

impl Subject {
    /// Finding number `n` of a run.
    pub(crate) fn finding(&self, n: usize) -> Finding<'static> {
        let product = Product { name: "simulated".into(), vendor: "stanch".into(), uid: None, version: None };
        let mut finding = Finding::new(self.source, self.class, self.cloud, format!("finding-{n}"), product);
        let account = match self.cloud {
            Aws => AWS,
            Azure => SUBSCRIPTION,
            Gcp => PROJECT,
        };
        finding.title = format!("{} on {}", self.rule, self.kind).into();
        finding.severity = Severity::High;
        finding.status = FindingStatus::New;
        finding.rule = Some(self.rule.into());
        finding.account = Some(Account { uid: account.into(), name: None });
        finding.region = (self.cloud == Aws).then(|| "eu-west-1".into());
        finding.modified = Some(now() - 1_000);
        if self.class == Compliance {
            finding.compliance = Some(Status { control: Some(self.rule.into()), status: ComplianceStatus::Fail, ..Status::default() });
        }
        let mut resource = Resource::new(self.cloud, self.uid);
        resource.kind = Some(self.kind.into());
        resource.account.clone_from(&finding.account);
        resource.region.clone_from(&finding.region);
        finding.resources.push(resource);
        finding.raw = json!({"id": finding.uid, "rule": self.rule, "resource": self.uid}).to_string().into();
        finding
    }

    /// What a sweep that lists this finding looks at.
    pub(crate) fn scope(&self) -> Scope {
        let finding = self.finding(0);
        let account = finding.account.map(|a| a.uid.to_string()).unwrap_or_default();
        Scope { source: self.source, cloud: self.cloud, account, region: finding.region.map(|r| r.to_string()), having: None }
    }

    /// Whether the finding is an alert: no look at the resource tells whether it is over.
    pub(crate) fn is_alert(&self) -> bool {
        self.class == Detection
    }
}

/// Sets a member by its pointer; a missing last member is added.
pub(crate) fn set_at(value: &mut Value, pointer: &str, new: &str) {
    let Ok(new) = serde_json::from_str::<Value>(new) else { return };
    if let Some(slot) = value.pointer_mut(pointer) {
        *slot = new;
    } else if let Some((parent, member)) = pointer.rsplit_once('/')
        && let Some(Value::Object(parent)) = value.pointer_mut(parent)
    {
        parent.insert(member.to_owned(), new);
    }
}
