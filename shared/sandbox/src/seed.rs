//! The seeded estate: a small shop in three clouds, with the faults that the demo's events report and some sound neighbours.

use serde_json::{Value, json};
use stanch_core::cloud::Cloud;

use crate::Sandbox;
use crate::azure::{security_group, security_rule, storage_account};
use crate::world::{merge_members, set};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const VPC: &str = "vpc-0a1b2c3d4e5f60000";
const GROUP: &str = "sg-0a1b2c3d4e5f60001";
const INSTANCE: &str = "i-0123456789abcdef0";
const KEY: &str = "0a1b2c3d-0000-4000-8000-000000000001";

const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
const RESOURCES: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-shop/providers";
const LOCATION: &str = "westeurope";
const TENANT: &str = "00000000-0000-4000-8000-0000000000aa";

const PROJECT: &str = "shop-prod-1";
const PROJECT_NUMBER: &str = "481516234299";
const FIREWALL: &str = "4455667788990011223";

/// When everything was made.
const BORN: &str = "2026-01-15T08:00:00.000Z";
/// The same in seconds since the epoch.
const BORN_SECONDS: i64 = 1_768_464_000;

/// Puts the estate into a sandbox.
pub(crate) fn plant(sandbox: &Sandbox) {
    let put = |cloud: Cloud| move |(id, value): (String, Value)| sandbox.put(cloud, &id, value);
    aws_storage().into_iter().chain(aws_network()).chain(aws_services()).for_each(put(Cloud::Aws));
    azure_data().into_iter().chain(azure_network()).for_each(put(Cloud::Azure));
    gcp().into_iter().for_each(put(Cloud::Gcp));
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

fn aws_storage() -> Vec<(String, Value)> {
    let bucket = |name: &str| json!({"Name": name, "Owner": ACCOUNT, "Region": REGION});
    let mut assets = bucket("shop-web-assets");
    let block = json!({"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": false, "RestrictPublicBuckets": false});
    set(&mut assets, "PublicAccessBlockConfiguration", block);
    let mut regions = json!({});
    set(&mut regions, REGION, false);
    vec![
        (format!("AWS::::Account:{ACCOUNT}"), json!({"AccountId": ACCOUNT, "EbsEncryptionByDefault": regions})),
        ("arn:aws:s3:::shop-invoices-archive".into(), bucket("shop-invoices-archive")),
        ("arn:aws:s3:::shop-web-assets".into(), assets),
    ]
}

fn aws_network() -> Vec<(String, Value)> {
    let rule = |number: u32, egress: bool, protocol: &str, port: i64, range: (&str, &str), description: &str| {
        let id = format!("sgr-0a1b2c3d4e5f6010{number}");
        let mut rule = json!({
            "SecurityGroupRuleId": id,
            "GroupId": GROUP,
            "GroupOwnerId": ACCOUNT,
            "IsEgress": egress,
            "IpProtocol": protocol,
            "FromPort": port,
            "ToPort": port,
            "Tags": [],
            "SecurityGroupRuleArn": arn("ec2", &format!("security-group-rule/{id}")),
        });
        set(&mut rule, range.0, range.1);
        if !description.is_empty() {
            set(&mut rule, "Description", description);
        }
        rule
    };
    let rules = [
        rule(1, false, "tcp", 22, ("CidrIpv4", "0.0.0.0/0"), "temporary, remove after the migration"),
        rule(2, false, "tcp", 443, ("CidrIpv4", "0.0.0.0/0"), "web shop"),
        rule(3, false, "tcp", 22, ("CidrIpv4", "10.0.0.0/8"), "administrators"),
        rule(4, false, "tcp", 3389, ("CidrIpv6", "::/0"), ""),
        rule(5, true, "-1", -1, ("CidrIpv4", "0.0.0.0/0"), ""),
    ];
    let group = json!({
        "GroupId": GROUP,
        "GroupName": "shop-web",
        "Description": "web servers of the shop",
        "OwnerId": ACCOUNT,
        "VpcId": VPC,
        "SecurityGroupArn": arn("ec2", &format!("security-group/{GROUP}")),
        "Tags": [{"Key": "team", "Value": "shop"}],
        "Rules": rules,
    });
    vec![(arn("ec2", &format!("security-group/{GROUP}")), group), (arn("ec2", &format!("instance/{INSTANCE}")), instance())]
}

fn instance() -> Value {
    let groups = json!([{"GroupId": GROUP, "GroupName": "shop-web"}]);
    let volume = |device: &str, id: &str| json!({"DeviceName": device, "Ebs": {"VolumeId": id, "Status": "attached", "AttachTime": BORN, "DeleteOnTermination": true}});
    json!({
        "InstanceId": INSTANCE,
        "ImageId": "ami-0a1b2c3d4e5f60002",
        "InstanceType": "t3.small",
        "LaunchTime": BORN,
        "State": {"Code": 16, "Name": "running"},
        "Placement": {"AvailabilityZone": "eu-west-1a", "Tenancy": "default"},
        "PrivateIpAddress": "10.0.1.10",
        "PublicIpAddress": "203.0.113.10",
        "SubnetId": "subnet-0a1b2c3d4e5f60003",
        "VpcId": VPC,
        "SourceDestCheck": true,
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [volume("/dev/xvda", "vol-0a1b2c3d4e5f60006"), volume("/dev/sdb", "vol-0a1b2c3d4e5f60007")],
        "SecurityGroups": groups,
        "NetworkInterfaces": [{
            "NetworkInterfaceId": "eni-0a1b2c3d4e5f60004",
            "Attachment": {"AttachmentId": "eni-attach-0a1b2c3d4e5f60005", "DeviceIndex": 0, "Status": "attached"},
            "Groups": groups,
            "OwnerId": ACCOUNT,
            "PrivateIpAddress": "10.0.1.10",
            "Status": "in-use",
            "SubnetId": "subnet-0a1b2c3d4e5f60003",
            "VpcId": VPC,
        }],
        "MetadataOptions": {
            "State": "applied",
            "HttpTokens": "optional",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
        "Tags": [{"Key": "Name", "Value": "shop-web-1"}],
    })
}

fn aws_services() -> Vec<(String, Value)> {
    let key_arn = arn("kms", &format!("key/{KEY}"));
    let key = json!({
        "AliasName": "alias/shop",
        "KeyMetadata": {
            "AWSAccountId": ACCOUNT,
            "KeyId": KEY,
            "Arn": key_arn,
            "CreationDate": BORN_SECONDS,
            "Enabled": true,
            "Description": "data of the shop",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": "Enabled",
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        },
        "KeyRotationEnabled": false,
    });
    let trail_arn = arn("cloudtrail", "trail/shop-trail");
    let trail = json!({
        "Name": "shop-trail",
        "S3BucketName": "shop-audit-logs",
        "IncludeGlobalServiceEvents": true,
        "IsMultiRegionTrail": true,
        "HomeRegion": REGION,
        "TrailARN": trail_arn,
        "LogFileValidationEnabled": false,
        "HasCustomEventSelectors": false,
        "HasInsightSelectors": false,
        "IsOrganizationTrail": false,
    });
    let function_arn = arn("lambda", "function:shop-checkout");
    let statement = |sid: &str, principal: Value| json!({"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction", "Resource": function_arn});
    let mut gateway = statement("gateway", json!({"Service": "apigateway.amazonaws.com"}));
    set(&mut gateway, "Condition", json!({"ArnLike": {"AWS:SourceArn": arn("execute-api", "a1b2c3d4e5/*")}}));
    let statements = [statement("open-to-all", json!("*")), statement("open-to-any-account", json!({"AWS": "*"})), gateway];
    let function = json!({
        "FunctionName": "shop-checkout",
        "Configuration": {
            "Runtime": "python3.13",
            "Role": format!("arn:aws:iam::{ACCOUNT}:role/shop-checkout"),
            "Handler": "checkout.handler",
            "CodeSize": 20480,
            "Description": "takes orders",
            "Timeout": 10,
            "MemorySize": 256,
            "LastModified": "2026-01-15T08:00:00.000+0000",
            "Version": "$LATEST",
            "RevisionId": "00000000-0000-4000-8000-00000000c0de",
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
        },
        "RevisionId": "00000000-0000-4000-8000-00000000beef",
        "Statements": statements,
    });
    vec![(key_arn, key), (trail_arn, trail), (function_arn, function), (arn("rds", "db:shop-db"), database())]
}

fn database() -> Value {
    json!({
        "DBInstanceIdentifier": "shop-db",
        "DBInstanceArn": arn("rds", "db:shop-db"),
        "DBInstanceClass": "db.t4g.medium",
        "DBInstanceStatus": "available",
        "Engine": "postgres",
        "EngineVersion": "16.4",
        "MasterUsername": "shop",
        "DBName": "shop",
        "Endpoint": {"Address": "shop-db.abcdefghijkl.eu-west-1.rds.amazonaws.com", "Port": 5432},
        "AllocatedStorage": 100,
        "InstanceCreateTime": BORN,
        "BackupRetentionPeriod": 7,
        "VpcSecurityGroups": [{"VpcSecurityGroupId": GROUP, "Status": "active"}],
        "AvailabilityZone": "eu-west-1a",
        "PendingModifiedValues": {},
        "MultiAZ": false,
        "AutoMinorVersionUpgrade": true,
        "PubliclyAccessible": true,
        "StorageType": "gp3",
        "StorageEncrypted": true,
        "CopyTagsToSnapshot": false,
        "IAMDatabaseAuthenticationEnabled": false,
        "DeletionProtection": false,
        "TagList": [{"Key": "team", "Value": "shop"}],
    })
}

fn azure_data() -> Vec<(String, Value)> {
    let account_id = format!("{RESOURCES}/Microsoft.Storage/storageAccounts/shopinvoices0001");
    let mut account = storage_account(&account_id, "shopinvoices0001", LOCATION, BORN);
    set(&mut account, "tags", json!({"team": "shop"}));
    if let Some(properties) = account.get_mut("properties") {
        let open = json!({"allowBlobPublicAccess": true, "supportsHttpsTrafficOnly": false, "minimumTlsVersion": "TLS1_0"});
        merge_members(properties, &open);
    }

    let server_id = format!("{RESOURCES}/Microsoft.Sql/servers/shop-sql-01");
    let server = json!({
        "id": server_id,
        "name": "shop-sql-01",
        "type": "Microsoft.Sql/servers",
        "kind": "v12.0",
        "location": LOCATION,
        "tags": {"team": "shop"},
        "properties": {
            "administratorLogin": "shopadmin",
            "version": "12.0",
            "state": "Ready",
            "fullyQualifiedDomainName": "shop-sql-01.database.windows.net",
            "privateEndpointConnections": [],
            "minimalTlsVersion": "1.0",
            "publicNetworkAccess": "Enabled",
            "restrictOutboundNetworkAccess": "Disabled",
        },
    });
    let rule = |name: &str, start: &str, end: &str| {
        let id = format!("{server_id}/firewallRules/{name}");
        let range = json!({"startIpAddress": start, "endIpAddress": end});
        (id.clone(), json!({"id": id, "name": name, "type": "Microsoft.Sql/servers/firewallRules", "properties": range}))
    };

    let vault_id = format!("{RESOURCES}/Microsoft.KeyVault/vaults/shop-kv");
    let vault = json!({
        "id": vault_id,
        "name": "shop-kv",
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "tags": {"team": "shop"},
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "standard"},
            "accessPolicies": [],
            "enabledForDeployment": false,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": true,
            "vaultUri": "https://shop-kv.vault.azure.net/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        },
    });
    vec![
        (account_id, account),
        rule("AllowAll", "0.0.0.0", "255.255.255.255"),
        rule("AllowAllWindowsAzureIps", "0.0.0.0", "0.0.0.0"),
        rule("office", "203.0.113.0", "203.0.113.255"),
        (server_id, server),
        (vault_id, vault),
    ]
}

fn azure_network() -> Vec<(String, Value)> {
    let id = format!("{RESOURCES}/Microsoft.Network/networkSecurityGroups/shop-nsg");
    let guid = json!(SUBSCRIPTION.replace("0001", "00d1"));
    let rule = |name: &str, priority: u32, source: &str, port: &str| {
        let rule_id = format!("{id}/securityRules/{name}");
        let properties = json!({
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "destinationPortRange": port,
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": "*",
            "access": "Allow",
            "priority": priority,
            "direction": "Inbound",
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        });
        (rule_id.clone(), security_rule(&rule_id, name, properties))
    };
    vec![
        rule("AllowSSHFromAnywhere", 100, "*", "22"),
        rule("AllowSSHFromOffice", 110, "10.0.0.0/8", "22"),
        (id.clone(), security_group(&id, "shop-nsg", LOCATION, json!({"team": "shop"}), guid)),
    ]
}

fn gcp() -> Vec<(String, Value)> {
    let bucket = json!({
        "kind": "storage#bucket",
        "id": "shop-exports",
        "name": "shop-exports",
        "selfLink": "https://www.googleapis.com/storage/v1/b/shop-exports",
        "projectNumber": PROJECT_NUMBER,
        "metageneration": "3",
        "location": "EUROPE-WEST1",
        "locationType": "region",
        "storageClass": "STANDARD",
        "etag": "BwSEED0=",
        "timeCreated": BORN,
        "updated": BORN,
        "iamConfiguration": {
            "bucketPolicyOnly": {"enabled": true, "lockedTime": "2026-04-15T08:00:00.000Z"},
            "uniformBucketLevelAccess": {"enabled": true, "lockedTime": "2026-04-15T08:00:00.000Z"},
            "publicAccessPrevention": "inherited",
        },
        "labels": {"team": "shop"},
    });
    let policy = json!({
        "kind": "storage#policy",
        "resourceId": "projects/_/buckets/shop-exports",
        "version": 1,
        "etag": "BwSEED1=",
        "bindings": [
            {"role": "roles/storage.objectViewer", "members": ["allUsers", format!("serviceAccount:reports@{PROJECT}.iam.gserviceaccount.com")]},
            {"role": "roles/storage.legacyBucketOwner", "members": [format!("projectOwner:{PROJECT}")]},
        ],
    });
    let project = format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}");
    let firewall = json!({
        "kind": "compute#firewall",
        "id": FIREWALL,
        "name": "allow-ssh-all",
        "creationTimestamp": "2026-01-15T00:00:00.000-08:00",
        "description": "",
        "network": format!("{project}/global/networks/shop"),
        "priority": 1000,
        "sourceRanges": ["0.0.0.0/0", "10.0.0.0/8"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "direction": "INGRESS",
        "disabled": false,
        "logConfig": {"enable": false},
        "selfLink": format!("{project}/global/firewalls/allow-ssh-all"),
    });
    vec![
        ("//storage.googleapis.com/shop-exports".into(), bucket),
        ("//storage.googleapis.com/shop-exports/iam".into(), policy),
        (format!("//compute.googleapis.com/projects/{PROJECT}/global/firewalls/{FIREWALL}"), firewall),
        (format!("//cloudsql.googleapis.com/projects/{PROJECT}/instances/shop-orders"), orders()),
    ]
}

fn orders() -> Value {
    json!({
        "kind": "sql#instance",
        "name": "shop-orders",
        "project": PROJECT,
        "region": "europe-west1",
        "gceZone": "europe-west1-b",
        "state": "RUNNABLE",
        "databaseVersion": "POSTGRES_16",
        "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE",
        "connectionName": format!("{PROJECT}:europe-west1:shop-orders"),
        "createTime": BORN,
        "etag": "BwSEED2=",
        "selfLink": format!("https://sqladmin.googleapis.com/sql/v1beta4/projects/{PROJECT}/instances/shop-orders"),
        "ipAddresses": [{"type": "PRIMARY", "ipAddress": "203.0.113.20"}],
        "settings": {
            "kind": "sql#settings",
            "settingsVersion": "7",
            "tier": "db-custom-2-7680",
            "activationPolicy": "ALWAYS",
            "availabilityType": "ZONAL",
            "edition": "ENTERPRISE",
            "pricingPlan": "PER_USE",
            "dataDiskSizeGb": "100",
            "dataDiskType": "PD_SSD",
            "storageAutoResize": true,
            "backupConfiguration": {"kind": "sql#backupConfiguration", "enabled": true, "startTime": "03:00"},
            "databaseFlags": [],
            "ipConfiguration": {
                "ipv4Enabled": true,
                "requireSsl": false,
                "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
                "authorizedNetworks": [{"kind": "sql#aclEntry", "name": "office", "value": "203.0.113.0/24"}],
            },
        },
    })
}
