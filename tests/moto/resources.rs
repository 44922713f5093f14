//! Makes, in moto, a resource that needs each AWS fix.

use serde_json::{Value, json};
use stanch_aws::AwsApi;
use stanch_core::api::{ApiCall, ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;
use stanch_core::port::CloudApi;

use crate::{ACCOUNT, REGION};

/// A fix, the type of its resource, and the id that triggers it.
pub(crate) struct Subject {
    pub(crate) fix: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) rule: &'static str,
}

const fn subject(fix: &'static str, kind: &'static str, rule: &'static str) -> Subject {
    Subject { fix, kind, rule }
}

pub(crate) const SUBJECTS: &[Subject] = &[
    subject("aws-s3-block-public-access", "AwsS3Bucket", "S3.8"),
    subject("aws-ec2-revoke-world-ingress", "AwsEc2SecurityGroup", "EC2.13"),
    subject("aws-ec2-enable-ebs-default-encryption", "AwsAccount", "EC2.7"),
    subject("aws-rds-disable-public-access", "AwsRdsDbInstance", "RDS.2"),
    subject("aws-kms-enable-rotation", "AwsKmsKey", "KMS.4"),
    subject("aws-iam-strengthen-password-policy", "AwsAccount", "IAM.7"),
    subject("aws-lambda-remove-public-permissions", "AwsLambdaFunction", "Lambda.1"),
    subject("aws-cloudtrail-enable-log-validation", "AwsCloudTrailTrail", "CloudTrail.4"),
    subject("aws-ec2-quarantine-instance", "AwsEc2Instance", "UnauthorizedAccess:EC2/SSHBruteForce"),
    subject("aws-ec2-snapshot-volumes", "AwsEc2Instance", "Execution:EC2/MaliciousFile"),
];

/// An empty zip archive, base64.
const EMPTY_ZIP: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";

/// moto, asked directly.
pub(crate) struct Cloudy {
    pub(crate) api: AwsApi,
}

impl Cloudy {
    async fn send(&self, call: &str, input: Value) -> ApiResponse {
        let (service, operation) = call.split_once('.').unwrap();
        let input = input.as_object().cloned().unwrap();
        let call = ApiCall::Operation { service: service.into(), operation: operation.into(), input };
        let request = ApiRequest { cloud: Cloud::Aws, account: ACCOUNT.into(), region: Some(REGION.into()), correlation: None, call };
        self.api.call(&request, 20_000).await.unwrap()
    }

    /// Sends a call that must succeed; gives its answer.
    pub(crate) async fn ok(&self, call: &str, input: Value) -> Value {
        let response = self.send(call, input).await;
        assert_eq!(response.fault, None, "{call}");
        response.body
    }

    /// Makes the resource and gives its id as a finding names it. Names are new at every run, so that a server may be used again.
    pub(crate) async fn prepare(&self, fix: &str) -> String {
        let fresh = uuid::Uuid::now_v7().simple().to_string();
        let name = format!("shop-{}", fresh.get(12..24).unwrap());
        let arn = |service: &str, resource: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
        match fix {
            "aws-s3-block-public-access" => {
                self.bucket(&name).await;
                format!("arn:aws:s3:::{name}")
            }
            "aws-ec2-revoke-world-ingress" => arn("ec2", &format!("security-group/{}", self.open_group(&name).await)),
            "aws-ec2-enable-ebs-default-encryption" => {
                self.ok("ec2.DisableEbsEncryptionByDefault", json!({})).await;
                format!("AWS::::Account:{ACCOUNT}")
            }
            "aws-iam-strengthen-password-policy" => {
                // Refused when there is none, as on a new server.
                drop(self.send("iam.DeleteAccountPasswordPolicy", json!({})).await);
                format!("AWS::::Account:{ACCOUNT}")
            }
            "aws-rds-disable-public-access" => {
                let input = json!({"DBInstanceIdentifier": name, "DBInstanceClass": "db.t3.micro", "Engine": "postgres",
                    "AllocatedStorage": 20, "MasterUsername": "shop", "MasterUserPassword": "not-a-secret-1", "PubliclyAccessible": true});
                self.ok("rds.CreateDBInstance", input).await;
                arn("rds", &format!("db:{name}"))
            }
            "aws-kms-enable-rotation" => {
                let key = self.ok("kms.CreateKey", json!({"Description": name})).await;
                key["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
            }
            "aws-lambda-remove-public-permissions" => self.open_function(&name).await,
            "aws-cloudtrail-enable-log-validation" => {
                self.bucket(&name).await;
                self.ok("cloudtrail.CreateTrail", json!({"Name": name, "S3BucketName": name})).await;
                arn("cloudtrail", &format!("trail/{name}"))
            }
            "aws-ec2-quarantine-instance" | "aws-ec2-snapshot-volumes" => {
                let input = json!({"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1});
                let run = self.ok("ec2.RunInstances", input).await;
                let id = run["Instances"][0]["InstanceId"].as_str().unwrap().to_owned();
                arn("ec2", &format!("instance/{id}"))
            }
            other => panic!("nothing prepared for `{other}`"),
        }
    }

    async fn bucket(&self, name: &str) {
        self.ok("s3.CreateBucket", json!({"Bucket": name, "CreateBucketConfiguration": {"LocationConstraint": REGION}})).await;
    }

    /// SSH from everywhere and from a private range in one rule, HTTPS from everywhere.
    async fn open_group(&self, name: &str) -> String {
        let vpc = self.ok("ec2.CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["Vpc"]["VpcId"].clone();
        let group = self.ok("ec2.CreateSecurityGroup", json!({"GroupName": name, "Description": name, "VpcId": vpc})).await;
        let id = group["GroupId"].as_str().unwrap().to_owned();
        let permissions = json!([
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
             "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "opened in a hurry"}, {"CidrIp": "10.0.0.0/8", "Description": "office"}]},
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ]);
        self.ok("ec2.AuthorizeSecurityGroupIngress", json!({"GroupId": id, "IpPermissions": permissions})).await;
        id
    }

    async fn open_function(&self, name: &str) -> String {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let role = self.ok("iam.CreateRole", json!({"RoleName": name, "AssumeRolePolicyDocument": trust})).await;
        let input = json!({"FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Role": role["Role"]["Arn"], "Code": {"ZipFile": EMPTY_ZIP}});
        let function = self.ok("lambda.CreateFunction", input).await["FunctionArn"].as_str().unwrap().to_owned();
        for (sid, principal) in [("open-1", "*"), ("open-2", "*"), ("topic", "sns.amazonaws.com")] {
            let permission = json!({"FunctionName": name, "StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": principal});
            self.ok("lambda.AddPermission", permission).await;
        }
        function
    }
}
