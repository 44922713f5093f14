use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{WireRequest, check_input, decode, encode, is_read, operation_exists};

const ACCOUNT: &str = "123456789012";

fn input(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn wire(service: &str, operation: &str, value: Value) -> WireRequest {
    encode(service, operation, &input(value), ACCOUNT).unwrap()
}

fn body(request: &WireRequest) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

fn header<'a>(request: &'a WireRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn read(service: &str, operation: &str, status: u16, body: &str) -> stanch_core::api::ApiResponse {
    decode(service, operation, status, &BTreeMap::new(), body.as_bytes()).unwrap()
}

fn faults(service: &str, operation: &str, value: Value) -> Vec<String> {
    check_input(service, operation, &input(value)).unwrap_err()
}

#[test]
fn ec2_lists_are_flat_and_names_are_the_query_names() {
    let request = wire(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        json!({"GroupId": "sg-1", "DryRun": true, "IpPermissions": [{
            "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22.0,
            "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "a & b"}],
            "UserIdGroupPairs": [{"GroupId": "sg-2"}],
        }], "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": [{"Key": "k", "Value": "v"}]}]}),
    );
    assert_eq!((request.method, request.path.as_str(), request.query.as_str()), ("POST", "/", ""));
    assert_eq!(header(&request, "content-type"), Some("application/x-www-form-urlencoded; charset=utf-8"));
    assert_eq!(
        body(&request),
        "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&DryRun=true&GroupId=sg-1&IpPermissions.1.FromPort=22\
         &IpPermissions.1.IpProtocol=tcp&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0%2F8\
         &IpPermissions.1.IpRanges.1.Description=a%20%26%20b&IpPermissions.1.ToPort=22&IpPermissions.1.Groups.1.GroupId=sg-2\
         &TagSpecification.1.ResourceType=security-group-rule&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v"
    );
    let request = wire("ec2", "DescribeSecurityGroupRules", json!({"Filters": [{"Name": "group-id", "Values": ["sg-1", "sg-2"]}]}));
    assert_eq!(
        body(&request),
        "Action=DescribeSecurityGroupRules&Version=2016-11-15&Filter.1.Name=group-id&Filter.1.Value.1=sg-1&Filter.1.Value.2=sg-2"
    );
}

#[test]
fn query_lists_carry_their_members_name() {
    let request = wire(
        "rds",
        "ModifyDBInstance",
        json!({"DBInstanceIdentifier": "db", "ApplyImmediately": true, "BackupRetentionPeriod": 7,
            "VpcSecurityGroupIds": ["sg-1", "sg-2"], "DBSecurityGroups": [],
            "CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["audit"]}}),
    );
    assert_eq!(
        body(&request),
        "Action=ModifyDBInstance&Version=2014-10-31&ApplyImmediately=true&BackupRetentionPeriod=7\
         &CloudwatchLogsExportConfiguration.EnableLogTypes.member.1=audit&DBInstanceIdentifier=db&DBSecurityGroups=\
         &VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1&VpcSecurityGroupIds.VpcSecurityGroupId.2=sg-2"
    );
    assert_eq!(body(&wire("iam", "GetAccountPasswordPolicy", json!({}))), "Action=GetAccountPasswordPolicy&Version=2010-05-08");
}

#[test]
fn json_names_its_target_in_a_header() {
    let request = wire("kms", "EnableKeyRotation", json!({"KeyId": "k", "RotationPeriodInDays": 365}));
    assert_eq!(request.path, "/");
    assert_eq!(header(&request, "x-amz-target"), Some("TrentService.EnableKeyRotation"));
    assert_eq!(header(&request, "content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(body(&request), r#"{"KeyId":"k","RotationPeriodInDays":365}"#);
}

#[test]
fn rest_json_spreads_members_over_path_query_and_body() {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f";
    let request = wire("lambda", "RemovePermission", json!({"FunctionName": arn, "StatementId": "open", "RevisionId": "a/b c"}));
    assert_eq!(request.method, "DELETE");
    assert_eq!(request.path, "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af/policy/open");
    assert_eq!(request.query, "RevisionId=a%2Fb%20c");
    assert!(request.body.is_empty() && header(&request, "content-type").is_none());
    let request = wire(
        "lambda",
        "AddPermission",
        json!({"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"}),
    );
    assert_eq!(body(&request), r#"{"Action":"lambda:InvokeFunction","Principal":"*","StatementId":"s"}"#);
    assert_eq!(header(&request, "content-type"), Some("application/json"));
}

#[test]
fn rest_xml_writes_the_payload_with_namespace_checksum_and_owner() {
    let request = wire(
        "s3",
        "PutPublicAccessBlock",
        json!({"Bucket": "b", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "RestrictPublicBuckets": false}}),
    );
    assert_eq!((request.method, request.path.as_str(), request.query.as_str()), ("PUT", "/b", "publicAccessBlock"));
    assert_eq!(
        body(&request),
        "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true</BlockPublicAcls>\
         <RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
    );
    assert_eq!(header(&request, "content-md5"), Some("XCPPTyz6Trz+g4pxwmffMA=="));
    assert_eq!(header(&request, "x-amz-expected-bucket-owner"), Some(ACCOUNT));
    assert_eq!(request.bucket.as_deref(), Some("b"));

    let request = wire("s3control", "GetPublicAccessBlock", json!({}));
    assert_eq!(request.path, "/v20180820/configuration/publicAccessBlock");
    assert_eq!(request.host_prefix, "123456789012.");
    assert_eq!(header(&request, "x-amz-account-id"), Some(ACCOUNT));

    let request = wire(
        "s3",
        "CreateBucket",
        json!({"Bucket": "b", "CreateBucketConfiguration": {"LocationConstraint": "<eu>", "Tags": [{"Key": "a", "Value": "1"}]}}),
    );
    assert_eq!(
        body(&request),
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>&lt;eu&gt;</LocationConstraint>\
         <Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>"
    );
}

#[test]
fn another_account_in_the_input_is_refused() {
    let refused = encode("s3control", "GetPublicAccessBlock", &input(json!({"AccountId": "999999999999"})), ACCOUNT).unwrap_err();
    assert_eq!(refused, ["member `AccountId` names account \"999999999999\", the call is for `123456789012`"]);
}

#[test]
fn mistakes_in_the_input_are_named_with_what_was_meant() {
    assert_eq!(
        faults("ec2", "ModifyInstanceMetadataOptions", json!({"HttpToken": "required"})),
        ["unknown member `HttpToken`, did you mean `HttpTokens`?", "required member `InstanceId` is missing"]
    );
    assert_eq!(
        faults("ec2", "RevokeSecurityGroupIngress", json!({"IpPermissions": [{"FromPort": "22", "IpRange": []}], "GroupId": null})),
        [
            "member `GroupId` must be text, not null (leave the member out)",
            "member `IpPermissions[0].FromPort` must be a whole number, not this text",
            "unknown member `IpPermissions[0].IpRange`, did you mean `IpRanges`?",
        ]
    );
    assert_eq!(faults("kms", "EnableKeyRotation", json!({"KeyId": "k", "RotationPeriodInDays": 90.5})).len(), 1);
    assert_eq!(faults("s3", "HeadBucket", json!({"Bucket": ".."})), ["member `Bucket` is part of the path and cannot be \"..\""]);
    assert_eq!(faults("iam", "GetAccountPasswordPolicy", json!({"X": 1})), ["unknown member `X`: the operation takes no input"]);
    assert_eq!(
        faults("ec2", "DescribeInstance", json!({})),
        ["unknown operation `ec2.DescribeInstance`, did you mean `DescribeInstances`?"]
    );
    assert_eq!(faults("ec3", "X", json!({})), ["unknown service `ec3`"]);
    assert!(check_input("s3control", "GetPublicAccessBlock", &Map::new()).is_ok(), "the signer states the account");
    let injected = encode("s3", "HeadBucket", &input(json!({"Bucket": "b", "ExpectedBucketOwner": "1\r\nx: y"})), "1\r\nx: y").unwrap_err();
    assert_eq!(injected, ["the value of header `x-amz-expected-bucket-owner` has a control character"]);
}

#[test]
fn reads_are_told_from_changes() {
    assert!(is_read("ec2", "DescribeInstances") && is_read("s3", "HeadBucket") && is_read("kms", "GetKeyRotationStatus"));
    assert!(!is_read("ec2", "ModifyInstanceAttribute") && !is_read("ec2", "GetNothing") && !is_read("ec2", "Getaway"));
    assert!(operation_exists("sts", "GetCallerIdentity") && !operation_exists("sts", "getcalleridentity"));
}

#[test]
fn an_ec2_answer_becomes_typed_json() {
    let response = read(
        "ec2",
        "DescribeSecurityGroups",
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeSecurityGroupsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>r-1</requestId>
  <securityGroupInfo>
    <item>
      <ownerId>123456789012</ownerId>
      <groupId>sg-1</groupId>
      <groupName>web</groupName>
      <groupDescription>a &amp; b &#x41; <![CDATA[<c>]]></groupDescription>
      <ipPermissions>
        <item>
          <ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>
          <groups/>
          <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>
        </item>
      </ipPermissions>
    </item>
  </securityGroupInfo>
</DescribeSecurityGroupsResponse>"#,
    );
    assert_eq!(response.request_id.as_deref(), Some("r-1"));
    assert_eq!(
        response.body,
        json!({"SecurityGroups": [{
            "OwnerId": "123456789012", "GroupId": "sg-1", "GroupName": "web", "Description": "a & b A <c>",
            "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [], "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        }]})
    );
}

#[test]
fn a_query_answer_is_unwrapped() {
    let response = read(
        "iam",
        "GetAccountPasswordPolicy",
        200,
        "<GetAccountPasswordPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetAccountPasswordPolicyResult>\
         <PasswordPolicy><MinimumPasswordLength>14</MinimumPasswordLength><RequireSymbols>true</RequireSymbols></PasswordPolicy>\
         </GetAccountPasswordPolicyResult><ResponseMetadata><RequestId>r-2</RequestId></ResponseMetadata></GetAccountPasswordPolicyResponse>",
    );
    assert_eq!(response.body, json!({"PasswordPolicy": {"MinimumPasswordLength": 14, "RequireSymbols": true}}));
    assert_eq!(response.request_id.as_deref(), Some("r-2"));
    let response = read(
        "rds",
        "DescribeDBInstances",
        200,
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier>\
         <PubliclyAccessible>false</PubliclyAccessible><PendingModifiedValues/><VpcSecurityGroups><VpcSecurityGroupMembership>\
         <VpcSecurityGroupId>sg-1</VpcSecurityGroupId></VpcSecurityGroupMembership></VpcSecurityGroups>\
         <InstanceCreateTime>2026-11-21T07:00:00Z</InstanceCreateTime></DBInstance></DBInstances></DescribeDBInstancesResult>\
         </DescribeDBInstancesResponse>",
    );
    assert_eq!(
        response.body,
        json!({"DBInstances": [{"DBInstanceIdentifier": "db", "PubliclyAccessible": false, "PendingModifiedValues": {},
            "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}], "InstanceCreateTime": "2026-11-21T07:00:00Z"}]})
    );
}

#[test]
fn s3_answers_have_payloads_headers_and_a_bare_root() {
    let response = read(
        "s3",
        "GetPublicAccessBlock",
        200,
        "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>TRUE</BlockPublicAcls>\
         <IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>",
    );
    assert_eq!(response.body, json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "IgnorePublicAcls": true}}));
    let location = |body: &str| read("s3", "GetBucketLocation", 200, body).body;
    let ns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    assert_eq!(location(&format!("<LocationConstraint {ns}>eu-west-1</LocationConstraint>")), json!({"LocationConstraint": "eu-west-1"}));
    assert_eq!(location(&format!("<LocationConstraint {ns}/>")), json!({}));
    assert_eq!(read("s3", "GetBucketPolicy", 200, "{\"Version\":\"2012-10-17\"}").body, json!({"Policy": "{\"Version\":\"2012-10-17\"}"}));
    let headers =
        BTreeMap::from([("x-amz-bucket-region".to_owned(), "eu-west-1".to_owned()), ("x-amz-request-id".to_owned(), "R".to_owned())]);
    let head = decode("s3", "HeadBucket", 200, &headers, b"").unwrap();
    assert_eq!(head.body, json!({"BucketRegion": "eu-west-1"}));
    assert_eq!(head.request_id.as_deref(), Some("R"));
    assert_eq!(read("s3", "DeletePublicAccessBlock", 204, "").body, Value::Null);
}

#[test]
fn a_json_answer_keeps_what_the_model_knows() {
    let response = read(
        "kms",
        "DescribeKey",
        200,
        r#"{"KeyMetadata":{"KeyId":"k","Enabled":true,"CreationDate":1.7E9,"Newer":1,"Description":null}}"#,
    );
    assert_eq!(response.body, json!({"KeyMetadata": {"KeyId": "k", "Enabled": true, "CreationDate": 1.7e9}}));
}

#[test]
fn faults_carry_the_vendors_code_in_every_protocol() {
    let fault = |service: &str, operation: &str, status: u16, body: &str| {
        let response = read(service, operation, status, body);
        let fault = response.fault.unwrap();
        (fault.code, fault.message, response.request_id)
    };
    let expect = |code: &str, message: &str, id: Option<&str>| (code.to_owned(), message.to_owned(), id.map(str::to_owned));
    assert_eq!(
        fault(
            "ec2",
            "DeleteSecurityGroup",
            400,
            "<Response><Errors><Error><Code>DependencyViolation</Code><Message>in use</Message></Error></Errors><RequestID>r</RequestID></Response>"
        ),
        expect("DependencyViolation", "in use", Some("r"))
    );
    assert_eq!(
        fault(
            "iam",
            "GetAccountPasswordPolicy",
            404,
            "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>none</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
        expect("NoSuchEntity", "none", Some("r"))
    );
    let s3 = "<Error><Code>NoSuchPublicAccessBlockConfiguration</Code><Message>not found</Message><RequestId>r</RequestId></Error>";
    for status in [404, 200] {
        assert_eq!(fault("s3", "GetPublicAccessBlock", status, s3), expect("NoSuchPublicAccessBlockConfiguration", "not found", Some("r")));
    }
    assert_eq!(fault("s3", "HeadBucket", 404, ""), expect("NotFound", "status 404 without an error document", None));
    assert_eq!(
        fault("kms", "DescribeKey", 400, r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"no key"}"#),
        expect("NotFoundException", "no key", None)
    );
    assert_eq!(
        fault("securityhub", "BatchUpdateFindings", 401, r#"{"Code":"InvalidAccessException","Message":"not subscribed"}"#),
        expect("InvalidAccessException", "not subscribed", None)
    );
    let headers = BTreeMap::from([("x-amzn-errortype".to_owned(), "ResourceNotFoundException:http://internal/".to_owned())]);
    let response = decode("lambda", "GetPolicy", 404, &headers, br#"{"Type":"User","Message":"no policy"}"#).unwrap();
    assert_eq!((response.code(), response.fault.as_ref().unwrap().message.as_str()), (Some("ResourceNotFoundException"), "no policy"));
    assert_eq!(fault("ec2", "CreateVpc", 404, "<html><p>Not Found<br></html>").0, "NotFound");
}

#[test]
fn a_success_nobody_can_read_is_no_success() {
    let unreadable =
        |service: &str, operation: &str, body: &str| decode(service, operation, 200, &BTreeMap::new(), body.as_bytes()).unwrap_err();
    assert!(unreadable("ec2", "DescribeVpcs", "<DescribeVpcsResponse><vpcSet>").contains("ends early"));
    assert!(unreadable("kms", "DescribeKey", "<html>").contains("unreadable answer"));
    assert!(unreadable("ec2", "DescribeVpcs", &"<a>".repeat(100)).contains("deeper than"));
    assert!(unreadable("ec2", "DescribeVpcs", "<a>&nbsp;</a>").contains("unknown entity"));
}

#[test]
fn times_take_the_form_the_service_wants() {
    use super::table::TimeFormat;
    let at = json!("2026-11-21T07:00:00Z");
    assert_eq!(super::timestamp(TimeFormat::Unix, &at), json!(1_795_244_400));
    assert_eq!(super::timestamp(TimeFormat::Rfc822, &at), json!("Sat, 21 Nov 2026 07:00:00 GMT"));
    assert_eq!(super::timestamp(TimeFormat::Iso8601, &json!(1_795_244_400)), at);
}
