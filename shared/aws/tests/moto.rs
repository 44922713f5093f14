//! The wire against a live counterparty: a moto server on loopback, named by `STANCH_MOTO` (`http://127.0.0.1:PORT`). Each
//! test prepares a resource, reads it, changes it as a fix would, and undoes the change. The account's own public access
//! block (s3control) is not here: plain moto does not route it without the account in the host name.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program; clippy knows only its test functions")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use stanch_aws::{AwsApi, AwsCredentials, Endpoint, SecurityHubSource};
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::finding::Source;
use stanch_core::port::{CloudApi, FindingSource, Scope};

const ACCOUNT: &str = "123456789012";

struct Moto {
    api: AwsApi,
    url: String,
    region: &'static str,
}

impl Moto {
    async fn send(&self, call: &str, input: Value) -> ApiResponse {
        let (service, operation) = call.split_once('.').unwrap();
        let call =
            ApiCall::Operation { service: service.to_owned(), operation: operation.to_owned(), input: input.as_object().cloned().unwrap() };
        let request =
            ApiRequest { cloud: Cloud::Aws, account: ACCOUNT.to_owned(), region: Some(self.region.to_owned()), correlation: None, call };
        self.api.call(&request, 20_000).await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// The body of a call that succeeds.
    async fn ok(&self, call: &str, input: Value) -> Value {
        let response = self.send(call, input).await;
        assert!(response.fault.is_none(), "{call}: {} {:?}", response.status, response.fault);
        response.body
    }

    /// The status and code of a call that is refused.
    async fn refused(&self, call: &str, input: Value) -> (u16, String) {
        let response = self.send(call, input).await;
        let code = response.code().unwrap_or_else(|| panic!("{call} succeeded: {}", response.body)).to_owned();
        (response.status, code)
    }
}

/// The server, or `None` when the environment names none.
fn moto(region: &'static str) -> Option<Moto> {
    #[expect(clippy::disallowed_methods, reason = "the one setting of this test program")]
    let (url, ci) = (std::env::var("STANCH_MOTO").ok(), std::env::var("CI").is_ok());
    let Some(url) = url else {
        assert!(!ci, "STANCH_MOTO is not set, and CI runs this test");
        println!("skipped: STANCH_MOTO is not set");
        return None;
    };
    let credentials = Arc::new(AwsCredentials::fixed("AKIAIOSFODNN7EXAMPLE", "secret"));
    Some(Moto { api: AwsApi::new(credentials, Endpoint::Loopback(url.clone()), now), url, region })
}

#[expect(clippy::disallowed_methods, reason = "signatures carry the real time")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A name that no earlier run against the same server has used.
fn fresh(prefix: &str) -> String {
    let nanos = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    format!("{prefix}-{nanos:x}")
}

fn all_blocked(on: bool) -> Value {
    json!({"BlockPublicAcls": on, "IgnorePublicAcls": on, "BlockPublicPolicy": on, "RestrictPublicBuckets": on})
}

#[tokio::test]
async fn a_bucket_is_blocked_and_given_back() {
    let Some(moto) = moto("eu-west-1") else { return };
    let bucket = json!({"Bucket": fresh("stanch")});
    let with = |name: &str, value: Value| {
        let mut input = bucket.clone();
        input[name] = value;
        input
    };
    assert_eq!(moto.refused("s3.HeadBucket", bucket.clone()).await, (404, "NotFound".to_owned()));
    moto.ok("s3.CreateBucket", with("CreateBucketConfiguration", json!({"LocationConstraint": "eu-west-1"}))).await;
    moto.ok("s3.HeadBucket", bucket.clone()).await;
    assert_eq!(moto.ok("s3.GetBucketLocation", bucket.clone()).await, json!({"LocationConstraint": "eu-west-1"}));

    let absent = (404, "NoSuchPublicAccessBlockConfiguration".to_owned());
    assert_eq!(moto.refused("s3.GetPublicAccessBlock", bucket.clone()).await, absent);
    moto.ok("s3.PutPublicAccessBlock", with("PublicAccessBlockConfiguration", all_blocked(true))).await;
    let body = moto.ok("s3.GetPublicAccessBlock", bucket.clone()).await;
    assert_eq!(body, json!({"PublicAccessBlockConfiguration": all_blocked(true)}));
    moto.ok("s3.DeletePublicAccessBlock", bucket.clone()).await;
    assert_eq!(moto.refused("s3.GetPublicAccessBlock", bucket.clone()).await, absent);

    assert_eq!(moto.refused("s3.GetBucketPolicy", bucket.clone()).await, (404, "NoSuchBucketPolicy".to_owned()));
    moto.ok("s3.DeleteBucket", bucket).await;
}

#[tokio::test]
async fn an_open_rule_is_revoked_and_authorised_again() {
    let Some(moto) = moto("eu-west-1") else { return };
    let vpc = moto.ok("ec2.CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["Vpc"]["VpcId"].clone();
    let named = json!({"GroupName": fresh("web"), "Description": "a & <b>", "VpcId": vpc});
    let group = moto.ok("ec2.CreateSecurityGroup", named).await["GroupId"].clone();
    let open = json!([{
        "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ssh & more"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    }]);
    let change = json!({"GroupId": group, "IpPermissions": open});
    assert_eq!(moto.ok("ec2.AuthorizeSecurityGroupIngress", change.clone()).await["Return"], json!(true));

    let rules = json!({"Filters": [{"Name": "group-id", "Values": [group]}]});
    let ingress = |body: Value| -> Vec<Value> {
        body["SecurityGroupRules"].as_array().unwrap().iter().filter(|rule| rule["IsEgress"] == json!(false)).cloned().collect()
    };
    let before = ingress(moto.ok("ec2.DescribeSecurityGroupRules", rules.clone()).await);
    let ipv4 = before.iter().find(|rule| rule["CidrIpv4"] == "0.0.0.0/0").unwrap();
    assert_eq!((before.len(), &ipv4["FromPort"], &ipv4["Description"]), (2, &json!(22), &json!("ssh & more")));

    assert_eq!(moto.ok("ec2.RevokeSecurityGroupIngress", change.clone()).await["Return"], json!(true));
    assert_eq!(ingress(moto.ok("ec2.DescribeSecurityGroupRules", rules.clone()).await), Vec::<Value>::new());
    assert_eq!(moto.refused("ec2.RevokeSecurityGroupIngress", change.clone()).await, (400, "InvalidPermission.NotFound".to_owned()));

    moto.ok("ec2.AuthorizeSecurityGroupIngress", change).await;
    let groups = moto.ok("ec2.DescribeSecurityGroups", json!({"GroupIds": [group]})).await;
    let permission = &groups["SecurityGroups"][0]["IpPermissions"][0];
    assert_eq!((&permission["ToPort"], &permission["Ipv6Ranges"][0]["CidrIpv6"]), (&json!(22), &json!("::/0")));
    let rehearsed = moto.refused("ec2.DeleteSecurityGroup", json!({"GroupId": group, "DryRun": true})).await;
    assert_eq!(rehearsed.1, "DryRunOperation");
    moto.ok("ec2.DeleteSecurityGroup", json!({"GroupId": group})).await;
}

#[tokio::test]
async fn encryption_by_default_is_switched_on_and_off() {
    // A setting of the whole region: no other test may use this one.
    let Some(moto) = moto("ap-southeast-2") else { return };
    let state = async || moto.ok("ec2.GetEbsEncryptionByDefault", json!({})).await["EbsEncryptionByDefault"].clone();
    moto.ok("ec2.DisableEbsEncryptionByDefault", json!({})).await;
    assert_eq!(state().await, json!(false));
    moto.ok("ec2.EnableEbsEncryptionByDefault", json!({})).await;
    assert_eq!(state().await, json!(true));
    moto.ok("ec2.DisableEbsEncryptionByDefault", json!({})).await;
    assert_eq!(state().await, json!(false));
}

#[tokio::test]
async fn an_instance_demands_session_tokens_and_stops_to() {
    let Some(moto) = moto("us-east-1") else { return };
    let tags = json!([{"ResourceType": "instance", "Tags": [{"Key": "name", "Value": "a b"}]}]);
    let run = json!({"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "TagSpecifications": tags});
    let instance = moto.ok("ec2.RunInstances", run).await["Instances"][0]["InstanceId"].clone();
    let read = async || {
        let body = moto.ok("ec2.DescribeInstances", json!({"InstanceIds": [instance]})).await;
        body["Reservations"][0]["Instances"][0].clone()
    };
    assert_eq!(read().await["Tags"], json!([{"Key": "name", "Value": "a b"}]));
    for tokens in ["required", "optional"] {
        moto.ok("ec2.ModifyInstanceMetadataOptions", json!({"InstanceId": instance, "HttpTokens": tokens})).await;
        assert_eq!(read().await["MetadataOptions"]["HttpTokens"], json!(tokens));
    }
    let gone = json!({"InstanceIds": ["i-0123456789abcdef0"]});
    assert_eq!(moto.refused("ec2.DescribeInstances", gone).await, (400, "InvalidInstanceID.NotFound".to_owned()));
}

#[tokio::test]
async fn a_database_is_made_private_and_public_again() {
    let Some(moto) = moto("eu-west-1") else { return };
    let name = fresh("db");
    let create = json!({"DBInstanceIdentifier": name, "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "PubliclyAccessible": true,
        "AllocatedStorage": 20, "MasterUsername": "admin1", "MasterUserPassword": "not-a-real-1", "Tags": [{"Key": "a", "Value": "b"}]});
    let created = moto.ok("rds.CreateDBInstance", create).await;
    assert_eq!(created["DBInstance"]["PubliclyAccessible"], json!(true));
    assert_eq!(created["DBInstance"]["TagList"], json!([{"Key": "a", "Value": "b"}]));
    for public in [false, true] {
        let change =
            json!({"DBInstanceIdentifier": name, "PubliclyAccessible": public, "ApplyImmediately": true, "DeletionProtection": !public});
        moto.ok("rds.ModifyDBInstance", change).await;
        let body = moto.ok("rds.DescribeDBInstances", json!({"DBInstanceIdentifier": name})).await;
        let instance = &body["DBInstances"][0];
        assert_eq!((&instance["PubliclyAccessible"], &instance["DeletionProtection"]), (&json!(public), &json!(!public)));
        assert_eq!(instance["AllocatedStorage"], json!(20));
    }
    let absent = moto.refused("rds.DescribeDBInstances", json!({"DBInstanceIdentifier": "absent"})).await;
    assert_eq!(absent, (404, "DBInstanceNotFound".to_owned()));
}

#[tokio::test]
async fn a_key_is_rotated_and_left_alone_again() {
    let Some(moto) = moto("eu-west-1") else { return };
    let created = moto.ok("kms.CreateKey", json!({"Description": "ä key", "Tags": [{"TagKey": "a", "TagValue": "b"}]})).await;
    let key = json!({"KeyId": created["KeyMetadata"]["KeyId"]});
    assert_eq!(moto.ok("kms.DescribeKey", key.clone()).await["KeyMetadata"]["Description"], json!("ä key"));
    for (operation, rotates) in [("kms.EnableKeyRotation", true), ("kms.DisableKeyRotation", false)] {
        moto.ok(operation, key.clone()).await;
        assert_eq!(moto.ok("kms.GetKeyRotationStatus", key.clone()).await["KeyRotationEnabled"], json!(rotates));
    }
    let absent = json!({"KeyId": "00000000-0000-0000-0000-000000000000"});
    assert_eq!(moto.refused("kms.DescribeKey", absent).await, (400, "NotFoundException".to_owned()));
}

#[tokio::test]
async fn a_password_policy_is_set_and_removed() {
    // A setting of the whole account: no other test may touch it.
    let Some(moto) = moto("eu-west-1") else { return };
    let absent = (404, "NoSuchEntity".to_owned());
    moto.send("iam.DeleteAccountPasswordPolicy", json!({})).await;
    assert_eq!(moto.refused("iam.GetAccountPasswordPolicy", json!({})).await, absent);
    moto.ok("iam.UpdateAccountPasswordPolicy", json!({"MinimumPasswordLength": 14, "RequireSymbols": true, "PasswordReusePrevention": 24}))
        .await;
    let policy = moto.ok("iam.GetAccountPasswordPolicy", json!({})).await["PasswordPolicy"].clone();
    assert_eq!((&policy["MinimumPasswordLength"], &policy["RequireSymbols"]), (&json!(14), &json!(true)));
    assert_eq!((&policy["RequireNumbers"], &policy["PasswordReusePrevention"]), (&json!(false), &json!(24)));
    moto.ok("iam.DeleteAccountPasswordPolicy", json!({})).await;
    assert_eq!(moto.refused("iam.GetAccountPasswordPolicy", json!({})).await, absent);
}

#[tokio::test]
async fn a_public_function_is_closed_and_opened_again() {
    // An archive without files.
    const EMPTY_ZIP: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";
    let Some(moto) = moto("eu-west-1") else { return };
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let role = moto.ok("iam.CreateRole", json!({"RoleName": fresh("role"), "AssumeRolePolicyDocument": trust})).await;
    let name = fresh("function");
    let created = moto
        .ok(
            "lambda.CreateFunction",
            json!({"FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role["Role"]["Arn"],
                "Code": {"ZipFile": EMPTY_ZIP}, "Timeout": 30}),
        )
        .await;
    // By ARN, as findings name functions: the colons are escaped in the path.
    let function = json!({"FunctionName": created["FunctionArn"]});
    assert_eq!(moto.ok("lambda.GetFunctionConfiguration", function.clone()).await["Timeout"], json!(30));

    let absent = (404, "ResourceNotFoundException".to_owned());
    assert_eq!(moto.refused("lambda.GetPolicy", function.clone()).await, absent);
    let open = json!({"FunctionName": name, "StatementId": "open", "Action": "lambda:InvokeFunction", "Principal": "*"});
    for _ in 0..2 {
        moto.ok("lambda.AddPermission", open.clone()).await;
        let body = moto.ok("lambda.GetPolicy", function.clone()).await;
        let policy: Value = serde_json::from_str(body["Policy"].as_str().unwrap()).unwrap();
        assert_eq!(policy["Statement"][0]["Sid"], json!("open"));
        assert!(body["RevisionId"].is_string());
        // Without the revision: moto compares it with a list and refuses every one.
        moto.ok("lambda.RemovePermission", json!({"FunctionName": name, "StatementId": "open"})).await;
        assert_eq!(moto.refused("lambda.GetPolicy", function.clone()).await, absent);
    }
}

#[tokio::test]
async fn a_trail_validates_its_files_and_stops_to() {
    let Some(moto) = moto("us-east-1") else { return };
    let (bucket, trail) = (fresh("trail"), fresh("trail"));
    moto.ok("s3.CreateBucket", json!({"Bucket": bucket})).await;
    let created = moto.ok("cloudtrail.CreateTrail", json!({"Name": trail, "S3BucketName": bucket})).await;
    assert_eq!(created["LogFileValidationEnabled"], json!(false));
    for on in [true, false] {
        moto.ok("cloudtrail.UpdateTrail", json!({"Name": trail, "EnableLogFileValidation": on})).await;
        assert_eq!(moto.ok("cloudtrail.GetTrail", json!({"Name": trail})).await["Trail"]["LogFileValidationEnabled"], json!(on));
    }
    let absent = moto.refused("cloudtrail.GetTrail", json!({"Name": "absent-trail"})).await;
    assert_eq!(absent.1, "TrailNotFoundException");
}

#[tokio::test]
async fn a_hub_takes_findings_in() {
    let Some(moto) = moto("eu-west-1") else { return };
    moto.ok("securityhub.EnableSecurityHub", json!({"EnableDefaultStandards": false})).await;
    let id = fresh("finding");
    let finding = json!({"SchemaVersion": "2018-10-08", "Id": id, "GeneratorId": "test", "AwsAccountId": ACCOUNT,
        "ProductArn": format!("arn:aws:securityhub:eu-west-1:{ACCOUNT}:product/{ACCOUNT}/default"),
        "CreatedAt": "2026-11-21T07:00:00Z", "UpdatedAt": "2026-11-21T07:00:00Z", "Title": "t", "Description": "d",
        "Types": ["Software and Configuration Checks"], "Severity": {"Label": "HIGH"},
        "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b"}]});
    let imported = moto.ok("securityhub.BatchImportFindings", json!({"Findings": [finding]})).await;
    assert_eq!((&imported["SuccessCount"], &imported["FailedCount"]), (&json!(1), &json!(0)));
    let held = moto.ok("securityhub.GetFindings", json!({"MaxResults": 100})).await;
    assert!(held["Findings"].as_array().unwrap().iter().any(|finding| finding["Id"] == json!(id)));
}

#[tokio::test]
async fn the_findings_of_a_hub_are_listed_page_by_page() {
    const OTHER: &str = "999988887777";
    // No other test may import into this region: the list is counted.
    let Some(moto) = moto("eu-north-1") else { return };
    moto.ok("securityhub.EnableSecurityHub", json!({"EnableDefaultStandards": false})).await;
    let run = fresh("list");
    let finding = |n: usize, account: &str| {
        json!({"SchemaVersion": "2018-10-08", "Id": format!("{run}-{n:03}"), "GeneratorId": "test", "AwsAccountId": account,
            "ProductArn": format!("arn:aws:securityhub:eu-north-1:{ACCOUNT}:product/{ACCOUNT}/default"),
            "CreatedAt": "2026-11-20T07:00:00Z", "UpdatedAt": format!("2026-11-21T{:02}:00:00Z", n % 24), "Title": "t", "Description": "d",
            "Types": ["Software and Configuration Checks"], "Severity": {"Label": "HIGH"},
            "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b"}]})
    };
    let all: Vec<Value> = (0..250).map(|n| finding(n, if n < 240 { ACCOUNT } else { OTHER })).collect();
    for batch in all.chunks(100) {
        moto.ok("securityhub.BatchImportFindings", json!({"Findings": batch})).await;
    }

    let credentials = Arc::new(AwsCredentials::fixed("AKIAIOSFODNN7EXAMPLE", "secret"));
    let source = SecurityHubSource::new(credentials, Some(moto.url.clone()));
    let scope = Scope {
        source: Source::SecurityHub,
        cloud: Cloud::Aws,
        account: ACCOUNT.to_owned(),
        region: Some("eu-north-1".to_owned()),
        having: None,
    };
    let list = async |since: Option<i64>| {
        let (mut ids, mut pages, mut page) = (BTreeSet::new(), 0, None);
        loop {
            let listed = source.list(&scope, since, page.as_deref()).await.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(listed.unread, []);
            let own = listed.findings.iter().filter(|finding| finding.uid.starts_with(&run));
            ids.extend(own.map(|finding| finding.uid.to_string()));
            pages += 1;
            page = listed.next;
            if page.is_none() {
                break (ids, pages);
            }
        }
    };
    let names =
        |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<String> { (0..240).filter(|n| wanted(*n)).map(|n| format!("{run}-{n:03}")).collect() };
    let (ids, pages) = list(None).await;
    assert!(pages >= 3, "{pages} pages");
    assert_eq!(ids, names(&|_| true));
    // Sat, 21 Nov 2026 20:00:00 GMT.
    let (ids, _) = list(Some(1_795_291_200_000)).await;
    assert_eq!(ids, names(&|n| n % 24 >= 20));
}

#[tokio::test]
async fn the_caller_is_known() {
    let Some(moto) = moto("eu-central-1") else { return };
    assert_eq!(moto.ok("sts.GetCallerIdentity", json!({})).await["Account"], json!(ACCOUNT));
}
