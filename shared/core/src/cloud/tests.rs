use super::*;

fn resource(cloud: Cloud, uid: &str, kind: Option<&str>, account: Option<&str>, region: Option<&str>) -> Resource<'static> {
    let text = |t: &str| Cow::Owned::<str>(t.to_owned());
    Resource {
        kind: kind.map(text),
        account: account.map(|uid| Account { uid: text(uid), name: None }),
        region: region.map(text),
        ..Resource::new(cloud, text(uid))
    }
}

fn identity(cloud: Cloud, uid: &str, kind: Option<&str>, account: Option<&str>, region: Option<&str>) -> String {
    resource(cloud, uid, kind, account, region).identity().as_str().to_owned()
}

#[test]
fn every_spelling_of_one_aws_resource_is_one() {
    const ACCOUNT: Option<&str> = Some("111122223333");
    const REGION: Option<&str> = Some("eu-west-1");
    for (uid, kind, account, region, expected) in [
        // The account as a whole: Security Hub, its second generation, Prowler, Defender.
        ("AWS::::Account:111122223333", Some("AwsAccount"), ACCOUNT, REGION, "111122223333"),
        ("111122223333", Some("AWS::::Account"), ACCOUNT, None, "111122223333"),
        ("arn:aws:iam::111122223333:root", Some("AwsIamUser"), ACCOUNT, REGION, "111122223333"),
        ("arn:aws-us-gov:iam::111122223333:root", Some("Other"), None, None, "111122223333"),
        ("arn:aws:iam::111122223333:password-policy", Some("Other"), ACCOUNT, REGION, "111122223333"),
        ("arn:aws:iam::111122223333", None, None, None, "111122223333"),
        // Buckets.
        ("arn:aws:s3:::shop-data", Some("AwsS3Bucket"), None, None, "arn:aws:s3:::shop-data"),
        ("shop-data", Some("AwsS3Bucket"), None, None, "arn:aws:s3:::shop-data"),
        ("shop-data", Some("AWS::S3::Bucket"), ACCOUNT, Some("us-gov-west-1"), "arn:aws-us-gov:s3:::shop-data"),
        ("arn:aws-cn:s3:::shop-data", Some("AwsS3Bucket"), None, Some("cn-north-1"), "arn:aws-cn:s3:::shop-data"),
        // EC2.
        ("sg-0a1b2c3d", Some("AwsEc2SecurityGroup"), ACCOUNT, REGION, "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d"),
        (
            "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d",
            Some("AwsEc2SecurityGroup"),
            None,
            None,
            "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d",
        ),
        (
            "i-0123456789abcdef0",
            Some("AWS::EC2::Instance"),
            ACCOUNT,
            REGION,
            "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
        ),
        ("vpc-0a1b", None, ACCOUNT, Some("cn-north-1"), "arn:aws-cn:ec2:cn-north-1:111122223333:vpc/vpc-0a1b"),
        ("snap-0a1b", None, ACCOUNT, REGION, "arn:aws:ec2:eu-west-1::snapshot/snap-0a1b"),
        ("arn:aws:ec2:eu-west-1:111122223333:snapshot/snap-0a1b", None, None, None, "arn:aws:ec2:eu-west-1::snapshot/snap-0a1b"),
        ("arn:aws:ec2:eu-west-1::snapshot/snap-0a1b", None, None, None, "arn:aws:ec2:eu-west-1::snapshot/snap-0a1b"),
        // Functions and log groups.
        ("arn:aws:lambda:eu-west-1:111122223333:function:f:$LATEST", None, None, None, "arn:aws:lambda:eu-west-1:111122223333:function:f"),
        ("arn:aws:lambda:eu-west-1:111122223333:function:f:7", None, None, None, "arn:aws:lambda:eu-west-1:111122223333:function:f:7"),
        ("arn:aws:logs:eu-west-1:111122223333:log-group:/a/b:*", None, None, None, "arn:aws:logs:eu-west-1:111122223333:log-group:/a/b"),
        // What cannot be completed stays what it is, and names are case-sensitive.
        ("sg-0a1b2c3d", Some("AwsEc2SecurityGroup"), None, REGION, "sg-0a1b2c3d"),
        ("i-am-a-name", Some("AwsEc2Instance"), ACCOUNT, REGION, "i-am-a-name"),
        ("shop-data", None, ACCOUNT, REGION, "shop-data"),
        ("arn:aws:iam::111122223333:user/Ann", None, None, None, "arn:aws:iam::111122223333:user/Ann"),
    ] {
        assert_eq!(identity(Cloud::Aws, uid, kind, account, region), expected, "{uid}");
    }
}

#[test]
fn every_spelling_of_one_azure_resource_is_one() {
    const SUB: &str = "0b06d9ea-afe6-4779-bd59-30e5c2d9d13f";
    let vault = "/subscriptions/0b06d9ea-afe6-4779-bd59-30e5c2d9d13f/resourcegroups/rg/providers/microsoft.keyvault/vaults/kv";
    for (uid, expected) in [
        ("/subscriptions/0b06d9ea-afe6-4779-bd59-30e5c2d9d13f/resourceGroups/RG/providers/Microsoft.KeyVault/vaults/KV", vault),
        ("subscriptions/0B06D9EA-afe6-4779-bd59-30e5c2d9d13f/resourcegroups/rg/providers/microsoft.keyvault/vaults/kv/", vault),
        (
            "https://management.azure.com/subscriptions/0b06d9ea-afe6-4779-bd59-30e5c2d9d13f/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv",
            vault,
        ),
        (SUB, "/subscriptions/0b06d9ea-afe6-4779-bd59-30e5c2d9d13f"),
        ("/Subscriptions/0B06D9EA-AFE6-4779-BD59-30E5C2D9D13F", "/subscriptions/0b06d9ea-afe6-4779-bd59-30e5c2d9d13f"),
    ] {
        assert_eq!(identity(Cloud::Azure, uid, None, Some(SUB), None), expected, "{uid}");
    }
    assert_eq!(identity(Cloud::Azure, SUB, None, None, None), SUB, "a GUID alone may be anything");
}

#[test]
fn every_spelling_of_one_google_resource_is_one() {
    const FIREWALL: &str = "//compute.googleapis.com/projects/shop-prod-1/global/firewalls/4152";
    const DATABASE: &str = "//cloudsql.googleapis.com/projects/shop-prod-1/instances/orders";
    const BUCKET: &str = "//storage.googleapis.com/shop-data";
    const PROJECT: &str = "//cloudresourcemanager.googleapis.com/projects/shop-prod-1";
    for (uid, kind, expected) in [
        (FIREWALL, Some("google.compute.Firewall"), FIREWALL),
        ("https://www.googleapis.com/compute/v1/projects/shop-prod-1/global/firewalls/4152", None, FIREWALL),
        ("https://compute.googleapis.com/compute/beta/projects/shop-prod-1/global/firewalls/4152", None, FIREWALL),
        ("4152", Some("compute.googleapis.com/Firewall"), FIREWALL),
        (DATABASE, None, DATABASE),
        ("orders", Some("sqladmin.googleapis.com/Instance"), DATABASE),
        ("https://sqladmin.googleapis.com/sql/v1beta4/projects/shop-prod-1/instances/orders", None, DATABASE),
        ("//sqladmin.googleapis.com/projects/shop-prod-1/instances/orders", None, DATABASE),
        (BUCKET, Some("google.cloud.storage.Bucket"), BUCKET),
        ("//storage.googleapis.com/projects/_/buckets/shop-data", None, BUCKET),
        ("https://www.googleapis.com/storage/v1/b/shop-data", None, BUCKET),
        ("shop-data", Some("storage.googleapis.com/Bucket"), BUCKET),
        (PROJECT, None, PROJECT),
        ("shop-prod-1", Some("cloudresourcemanager.googleapis.com/Project"), PROJECT),
        ("//cloudresourcemanager.googleapis.com/projects/598897393088", None, PROJECT),
        // What cannot be completed stays what it is.
        ("orders", Some("container.googleapis.com/Cluster"), "orders"),
        (
            "//bigquery.googleapis.com/projects/shop-prod-1/datasets/open",
            None,
            "//bigquery.googleapis.com/projects/shop-prod-1/datasets/open",
        ),
    ] {
        assert_eq!(identity(Cloud::Gcp, uid, kind, Some("shop-prod-1"), None), expected, "{uid}");
    }
    let by_number = identity(Cloud::Gcp, "//cloudresourcemanager.googleapis.com/projects/598897393088", None, Some("598897393088"), None);
    assert_eq!(by_number, "//cloudresourcemanager.googleapis.com/projects/598897393088", "the number is all there is");
}

#[test]
fn only_an_id_that_holds_its_account_names_a_resource_alone() {
    for (cloud, uid, alone) in [
        (Cloud::Aws, "arn:aws:s3:::b", true),
        (Cloud::Aws, "AWS::::Account:111122223333", false),
        (Cloud::Aws, "sg-0a1b", false),
        (Cloud::Azure, "/subscriptions/s", true),
        (Cloud::Azure, "vm-1", false),
        (Cloud::Gcp, "//storage.googleapis.com/b", true),
        (Cloud::Gcp, "orders", false),
    ] {
        assert_eq!(Resource::new(cloud, uid).identity().is_global(), alone, "{uid}");
    }
}
