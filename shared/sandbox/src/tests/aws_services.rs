use serde_json::{Value, json};

use super::{aws, operation, outcome, seeded, send};
use crate::Sandbox;

const BLOCK: &str = "PublicAccessBlockConfiguration";
const KEY: &str = "0a1b2c3d-0000-4000-8000-000000000001";

#[test]
fn members_are_those_of_the_model() {
    let sandbox = seeded();
    for (name, input, part) in [
        ("s3.GetPublicAccessBlock", json!({"BucketName": "x"}), "`BucketName`"),
        ("s3.GetPublicAccessBlock", json!({}), "`Bucket` is required"),
        ("s3.PutPublicAccessBlock", json!({"Bucket": "x", "PublicAccessBlockConfiguration": {"BlockPublicAcl": true}}), "BlockPublicAcl`"),
        ("s3.PutPublicAccessBlock", json!({"Bucket": "x", "PublicAccessBlockConfiguration": {"BlockPublicAcls": "true"}}), "true or false"),
        ("ec2.DescribeInstances", json!({"InstanceIds": "i-1"}), "a list"),
        ("ec2.ModifyInstanceMetadataOptions", json!({"InstanceId": "i-1", "HttpTokens": "Required"}), "optional, required"),
        ("kms.EnableKeyRotation", json!({"KeyId": KEY, "RotationPeriodInDays": null}), "a whole number"),
        ("rds.ModifyDBInstance", json!({"DBInstanceIdentifier": "shop-db", "PubliclyAccessable": false}), "`PubliclyAccessable`"),
        ("sts.GetCallerIdentity", json!({"x": 1}), "`x`"),
    ] {
        let answer = aws(&sandbox, name, input.clone());
        assert_eq!(outcome(&answer), "400 ValidationException", "{name} {input}");
        let message = answer.fault.unwrap().message;
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn a_bucket_block_is_absent_then_there_then_absent_again() {
    let sandbox = seeded();
    let bucket = json!({"Bucket": "shop-invoices-archive"});
    let get = || aws(&sandbox, "s3.GetPublicAccessBlock", bucket.clone());
    assert_eq!(outcome(&get()), "404 NoSuchPublicAccessBlockConfiguration");
    let put = json!({"Bucket": "shop-invoices-archive", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true}});
    assert_eq!(outcome(&aws(&sandbox, "s3.PutPublicAccessBlock", put)), "200 -");
    let block = json!({"BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": false, "RestrictPublicBuckets": false});
    assert_eq!(get().body[BLOCK], block, "what was left out is off");
    assert_eq!(outcome(&aws(&sandbox, "s3.DeletePublicAccessBlock", bucket.clone())), "200 -");
    assert_eq!(outcome(&get()), "404 NoSuchPublicAccessBlockConfiguration");
}

#[test]
fn a_bucket_answers_its_owner_in_its_region() {
    let sandbox = seeded();
    let get = |input: Value, account: &str, region: Option<&str>, name: &str| {
        let mut request = operation(name, input);
        request.account = account.to_owned();
        request.region = region.map(str::to_owned);
        outcome(&send(&sandbox, &request).unwrap())
    };
    let assets = || json!({"Bucket": "shop-web-assets"});
    let owned = |owner: &str| json!({"Bucket": "shop-web-assets", "ExpectedBucketOwner": owner});
    let (block, head) = ("s3.GetPublicAccessBlock", "s3.HeadBucket");
    assert_eq!(get(assets(), super::AWS, Some("eu-west-1"), block), "200 -");
    assert_eq!(get(assets(), super::AWS, None, block), "200 -");
    assert_eq!(get(assets(), super::AWS, Some("us-east-1"), block), "301 PermanentRedirect");
    assert_eq!(get(assets(), "999999999999", Some("eu-west-1"), block), "403 AccessDenied");
    assert_eq!(get(owned("999999999999"), super::AWS, None, block), "403 AccessDenied");
    assert_eq!(get(owned(super::AWS), super::AWS, None, block), "200 -");
    assert_eq!(get(json!({"Bucket": "nobody"}), super::AWS, None, block), "404 NoSuchBucket");
    assert_eq!(get(json!({"Bucket": "nobody"}), super::AWS, None, head), "404 NotFound");
    assert_eq!(get(assets(), "999999999999", None, head), "403 Forbidden");
}

#[test]
fn the_account_has_a_block_of_its_own() {
    let sandbox = seeded();
    let get = || aws(&sandbox, "s3control.GetPublicAccessBlock", json!({"AccountId": super::AWS}));
    assert_eq!(outcome(&get()), "404 NoSuchPublicAccessBlockConfiguration");
    aws(&sandbox, "s3control.PutPublicAccessBlock", json!({"PublicAccessBlockConfiguration": {"BlockPublicPolicy": true}}));
    assert_eq!((&get().body[BLOCK]["BlockPublicPolicy"], &get().body[BLOCK]["BlockPublicAcls"]), (&json!(true), &json!(false)));
    aws(&sandbox, "s3control.DeletePublicAccessBlock", json!({}));
    assert_eq!(outcome(&get()), "404 NoSuchPublicAccessBlockConfiguration");
    let other = aws(&sandbox, "s3control.GetPublicAccessBlock", json!({"AccountId": "999999999999"}));
    assert_eq!(outcome(&other), "403 AccessDenied");
}

fn database(sandbox: &Sandbox) -> (String, bool) {
    let instance = aws(sandbox, "rds.DescribeDBInstances", json!({"DBInstanceIdentifier": "shop-db"})).body["DBInstances"][0].clone();
    (instance["DBInstanceStatus"].as_str().unwrap().to_owned(), instance["PubliclyAccessible"].as_bool().unwrap())
}

#[test]
fn a_database_is_modifying_for_two_reads() {
    let sandbox = seeded();
    let modify = || json!({"DBInstanceIdentifier": "Shop-DB", "PubliclyAccessible": false, "ApplyImmediately": true});
    assert_eq!(outcome(&aws(&sandbox, "rds.ModifyDBInstance", modify())), "200 -");
    let seen: Vec<_> = (0..3).map(|_| database(&sandbox)).collect();
    assert_eq!(seen, [("modifying".to_owned(), true), ("modifying".to_owned(), true), ("available".to_owned(), false)]);
    assert_eq!(outcome(&aws(&sandbox, "rds.ModifyDBInstance", modify())), "200 -", "the same again changes nothing");
    assert_eq!(database(&sandbox), ("available".to_owned(), false));
}

#[test]
fn a_modifying_database_takes_no_other_change_and_some_wait_for_the_window() {
    let sandbox = seeded();
    let modify = |input: Value| aws(&sandbox, "rds.ModifyDBInstance", input);
    modify(json!({"DBInstanceIdentifier": "shop-db", "DeletionProtection": true}));
    let busy = json!({"DBInstanceIdentifier": "shop-db", "CopyTagsToSnapshot": true});
    let seen: Vec<String> = (0..2).map(|_| outcome(&modify(busy.clone()))).collect();
    assert_eq!(seen, ["400 InvalidDBInstanceState", "400 InvalidDBInstanceState"]);
    assert_eq!(outcome(&modify(busy)), "200 -");
    for _ in 0..3 {
        database(&sandbox);
    }
    modify(json!({"DBInstanceIdentifier": "shop-db", "MultiAZ": true}));
    let later = sandbox.state(stanch_core::cloud::Cloud::Aws, "arn:aws:rds:eu-west-1:111122223333:db:shop-db").unwrap();
    assert_eq!((&later["MultiAZ"], &later["PendingModifiedValues"]["MultiAZ"]), (&json!(false), &json!(true)));
    let missing = aws(&sandbox, "rds.DescribeDBInstances", json!({"DBInstanceIdentifier": "nobody"}));
    assert_eq!(outcome(&missing), "404 DBInstanceNotFound");
    assert_eq!(aws(&sandbox, "rds.DescribeDBInstances", json!({})).body["DBInstances"].as_array().unwrap().len(), 1);
}

#[test]
fn a_key_rotates_or_says_why_not() {
    let sandbox = seeded();
    let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{KEY}");
    let status = |id: &str| aws(&sandbox, "kms.GetKeyRotationStatus", json!({"KeyId": id})).body;
    assert_eq!(status(KEY), json!({"KeyRotationEnabled": false, "KeyId": arn}));
    assert_eq!(outcome(&aws(&sandbox, "kms.EnableKeyRotation", json!({"KeyId": KEY, "RotationPeriodInDays": 180}))), "200 -");
    for id in [KEY, arn.as_str(), "alias/shop"] {
        assert_eq!((&status(id)["KeyRotationEnabled"], &status(id)["RotationPeriodInDays"]), (&json!(true), &json!(180)), "{id}");
    }
    assert_eq!(outcome(&aws(&sandbox, "kms.DisableKeyRotation", json!({"KeyId": arn}))), "200 -");
    assert_eq!(status(KEY)["KeyRotationEnabled"], false);

    let period = json!({"KeyId": KEY, "RotationPeriodInDays": 30});
    assert_eq!(outcome(&aws(&sandbox, "kms.EnableKeyRotation", period)), "400 ValidationException");
    for (member, value, expected) in [
        ("KeyState", "PendingDeletion", "400 KMSInvalidStateException"),
        ("KeyState", "Disabled", "400 DisabledException"),
        ("KeySpec", "RSA_2048", "400 UnsupportedOperationException"),
    ] {
        let sandbox = seeded();
        sandbox.edit(stanch_core::cloud::Cloud::Aws, &arn, |key| key["KeyMetadata"][member] = json!(value)).unwrap();
        assert_eq!(outcome(&aws(&sandbox, "kms.EnableKeyRotation", json!({"KeyId": KEY}))), expected);
    }
    for id in ["nobody", "alias/nobody", "arn:aws:kms:us-east-1:111122223333:key/x"] {
        assert_eq!(outcome(&aws(&sandbox, "kms.DescribeKey", json!({"KeyId": id}))), "400 NotFoundException", "{id}");
    }
}

#[test]
fn a_password_policy_is_replaced_whole() {
    let sandbox = seeded();
    let get = || aws(&sandbox, "iam.GetAccountPasswordPolicy", json!({}));
    assert_eq!(outcome(&get()), "404 NoSuchEntity");
    assert_eq!(outcome(&aws(&sandbox, "iam.DeleteAccountPasswordPolicy", json!({}))), "404 NoSuchEntity");
    aws(&sandbox, "iam.UpdateAccountPasswordPolicy", json!({"MinimumPasswordLength": 14, "RequireSymbols": true, "MaxPasswordAge": 90}));
    let policy = get().body["PasswordPolicy"].clone();
    assert_eq!(
        (&policy["MinimumPasswordLength"], &policy["ExpirePasswords"], &policy["RequireNumbers"]),
        (&json!(14), &json!(true), &json!(false))
    );
    aws(&sandbox, "iam.UpdateAccountPasswordPolicy", json!({"RequireNumbers": true}));
    let policy = get().body["PasswordPolicy"].clone();
    let reset = (&policy["MinimumPasswordLength"], &policy["RequireSymbols"], policy.get("MaxPasswordAge"));
    assert_eq!(reset, (&json!(6), &json!(false), None), "what was left out went back to its default");
    let short = aws(&sandbox, "iam.UpdateAccountPasswordPolicy", json!({"MinimumPasswordLength": 5}));
    assert_eq!(outcome(&short), "400 ValidationError");
    assert_eq!(outcome(&aws(&sandbox, "iam.DeleteAccountPasswordPolicy", json!({}))), "200 -");
    assert_eq!(outcome(&get()), "404 NoSuchEntity");
}

#[test]
fn a_function_loses_its_public_statements_one_by_one() {
    let sandbox = seeded();
    let get = || aws(&sandbox, "lambda.GetPolicy", json!({"FunctionName": "shop-checkout"}));
    let sids = || {
        let policy: Value = serde_json::from_str(get().body["Policy"].as_str().unwrap()).unwrap();
        policy["Statement"].as_array().unwrap().iter().map(|s| s["Sid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sids(), ["open-to-all", "open-to-any-account", "gateway"]);
    let revision = get().body["RevisionId"].clone();
    let remove = |sid: &str, revision: &Value| {
        let input = json!({"FunctionName": "shop-checkout", "StatementId": sid, "RevisionId": revision});
        outcome(&aws(&sandbox, "lambda.RemovePermission", input))
    };
    assert_eq!(remove("open-to-all", &revision), "200 -");
    assert_eq!(remove("open-to-any-account", &revision), "412 PreconditionFailedException");
    let revision = get().body["RevisionId"].clone();
    assert_eq!(remove("open-to-any-account", &revision), "200 -");
    assert_eq!(sids(), ["gateway"]);
    let revision = get().body["RevisionId"].clone();
    assert_eq!(remove("open-to-all", &revision), "404 ResourceNotFoundException");
    assert_eq!(remove("gateway", &revision), "200 -");
    assert_eq!(outcome(&get()), "404 ResourceNotFoundException", "no statements, no policy");
    assert_eq!(aws(&sandbox, "lambda.GetFunctionConfiguration", json!({"FunctionName": "shop-checkout"})).body["State"], "Active");
    for name in ["lambda.GetPolicy", "lambda.GetFunctionConfiguration"] {
        let missing = aws(&sandbox, name, json!({"FunctionName": "nobody"}));
        assert_eq!(outcome(&missing), "404 ResourceNotFoundException");
    }
}

#[test]
fn a_permission_becomes_a_statement_once() {
    let sandbox = seeded();
    let add = |sid: &str, principal: &str, extra: Value| {
        let mut input =
            json!({"FunctionName": "shop-checkout", "StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": principal});
        input.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        aws(&sandbox, "lambda.AddPermission", input)
    };
    assert_eq!(outcome(&add("gateway", "*", json!({}))), "409 ResourceConflictException");
    for (principal, extra, expected, condition) in [
        ("*", json!({}), json!("*"), Value::Null),
        ("222233334444", json!({}), json!({"AWS": "arn:aws:iam::222233334444:root"}), Value::Null),
        (
            "events.amazonaws.com",
            json!({"SourceArn": "arn:aws:events:eu-west-1:111122223333:rule/r", "SourceAccount": "111122223333"}),
            json!({"Service": "events.amazonaws.com"}),
            json!({
                "ArnLike": {"AWS:SourceArn": "arn:aws:events:eu-west-1:111122223333:rule/r"},
                "StringEquals": {"AWS:SourceAccount": "111122223333"},
            }),
        ),
    ] {
        let answer = add(&format!("new-{}", principal.len()), principal, extra);
        let statement: Value = serde_json::from_str(answer.body["Statement"].as_str().unwrap()).unwrap();
        assert_eq!((&statement["Principal"], statement.get("Condition").unwrap_or(&Value::Null)), (&expected, &condition));
    }
}

#[test]
fn a_trail_changes_at_home_only() {
    let sandbox = seeded();
    let arn = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/shop-trail";
    let get = |name: &str| aws(&sandbox, "cloudtrail.GetTrail", json!({"Name": name}));
    assert_eq!(get("shop-trail").body["Trail"]["LogFileValidationEnabled"], false);
    let update = || json!({"Name": arn, "EnableLogFileValidation": true, "KmsKeyId": "alias/shop"});
    let mut elsewhere = operation("cloudtrail.UpdateTrail", update());
    elsewhere.region = Some("us-east-1".to_owned());
    assert_eq!(outcome(&send(&sandbox, &elsewhere).unwrap()), "400 InvalidHomeRegionException");
    assert_eq!(aws(&sandbox, "cloudtrail.UpdateTrail", update()).body["LogFileValidationEnabled"], true);
    let trail = get(arn).body["Trail"].clone();
    assert_eq!((&trail["LogFileValidationEnabled"], &trail["KmsKeyId"]), (&json!(true), &json!("alias/shop")));
    aws(&sandbox, "cloudtrail.UpdateTrail", json!({"Name": "shop-trail", "KmsKeyId": ""}));
    assert!(get(arn).body["Trail"].get("KmsKeyId").is_none(), "empty text takes the key away");
    assert_eq!(outcome(&get("nobody")), "400 TrailNotFoundException");

    let listed = |region: &str, input: Value| {
        let mut request = operation("cloudtrail.DescribeTrails", input);
        request.region = Some(region.to_owned());
        send(&sandbox, &request).unwrap().body["trailList"].as_array().unwrap().len()
    };
    assert_eq!((listed("eu-west-1", json!({})), listed("us-east-1", json!({}))), (1, 1));
    assert_eq!(listed("us-east-1", json!({"includeShadowTrails": false})), 0);
    assert_eq!(listed("eu-west-1", json!({"trailNameList": ["nobody"]})), 0);
}
