use super::*;
use crate::loopback::Loopback;

#[test]
fn a_role_pattern_names_one_role_per_account() {
    let role = RolePattern::new("arn:{partition}:iam::{account}:role/fix").unwrap();
    assert_eq!(role.arn("111122223333", "eu-west-1"), "arn:aws:iam::111122223333:role/fix");
    assert_eq!(role.arn("111122223333", "cn-north-1"), "arn:aws-cn:iam::111122223333:role/fix");
    for bad in ["stanch-remediation", "arn:aws:iam::111122223333:role/fix", "arn:aws:iam::{account}:user/fix"] {
        assert!(RolePattern::new(bad).is_err(), "{bad}");
    }
    assert!(role.session_name("has a space").is_err());
}

#[tokio::test]
async fn an_account_or_region_that_could_bend_a_host_name_is_refused() {
    let credentials = AwsCredentials::fixed("AKID", "secret");
    assert!(matches!(credentials.for_account("1111", "eu-west-1").await, Err(AwsError::Account { .. })));
    for region in ["", "eu-west-1.evil.example/", "EU", "1eu", "eu_west"] {
        let result = credentials.for_account("111122223333", region).await;
        assert!(matches!(result, Err(AwsError::Region { .. })), "{region}");
    }
    assert_eq!(credentials.for_account("111122223333", "eu-west-1").await.unwrap().access_key_id(), "AKID");
}

#[test]
fn credentials_near_their_expiry_are_not_handed_out() {
    let credentials = AwsCredentials::fixed("AKID", "secret");
    let until = |seconds| Credentials::new("AKID", "secret", None, Some(wall_clock() + Duration::from_secs(seconds)), "test");
    credentials.keep("111122223333", &until(360));
    assert!(credentials.kept("111122223333").is_some());
    credentials.keep("111122223333", &until(240));
    assert!(credentials.kept("111122223333").is_none());
}

#[test]
fn debug_output_holds_no_secret() {
    let text = format!("{:?}", AwsCredentials::fixed("AKID", "the-secret"));
    assert!(!text.contains("the-secret"), "{text}");
}

#[test]
fn the_account_is_read_from_the_answer_of_sts() {
    let answer = "<GetCallerIdentityResult>\n <Arn>arn:aws:iam::111122223333:user/a</Arn>\n <Account>111122223333</Account>";
    assert_eq!(element(answer, "Account"), Some("111122223333"));
    assert_eq!(element(answer, "Code"), None);
}

const STS: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
    <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// The chain, with what it would have found already kept.
fn ambient(endpoint: &str) -> AwsCredentials {
    let role = RolePattern::new("arn:aws:iam::{account}:role/fix").unwrap().session_name("fix-it").unwrap().external_id("x1");
    let credentials = AwsCredentials::ambient(Some(role), Some(endpoint.to_owned()));
    credentials.keep(OWN, &Credentials::new("AKIDBASE", "secret", None, None, "test"));
    credentials
}

#[tokio::test]
async fn each_account_has_its_role_assumed_once() {
    let sts = Loopback::start(vec![(200, STS.to_owned()), (200, STS.to_owned())]).await;
    let credentials = ambient(&sts.endpoint);
    for account in ["111122223333", "111122223333", "444455556666"] {
        let got = credentials.for_account(account, "eu-west-1").await.unwrap();
        assert_eq!((got.access_key_id(), got.session_token()), ("ASIAROLE", Some("t")));
    }
    let asked = sts.asked();
    assert_eq!(asked.len(), 2);
    for part in ["Action=AssumeRole", "role%2Ffix", "111122223333", "RoleSessionName=fix-it", "ExternalId=x1", "DurationSeconds=3600"] {
        assert!(asked[0].body.contains(part), "{part}: {}", asked[0].body);
    }
    assert!(asked[0].head.contains("AKIDBASE") && asked[1].body.contains("444455556666"));
}

#[tokio::test]
async fn a_role_that_refuses_us_needs_a_person() {
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not trusted</Message></Error></ErrorResponse>";
    let sts = Loopback::start(vec![(403, refusal.to_owned())]).await;
    let error = ambient(&sts.endpoint).for_account("111122223333", "eu-west-1").await.unwrap_err();
    assert_eq!(error.kind(), stanch_core::port::Kind::Broken);
    assert_eq!(error.to_string(), "cannot assume role `arn:aws:iam::111122223333:role/fix`");
    assert!(error.chain().contains("AccessDenied"), "{}", error.chain());
}

#[tokio::test]
async fn an_emulator_elsewhere_is_refused() {
    let error = ambient("http://sts.example.com").for_account("111122223333", "eu-west-1").await.unwrap_err();
    assert!(matches!(error, AwsError::Endpoint { .. }), "{error}");
}

#[tokio::test]
async fn without_a_role_only_the_own_account_is_served() {
    let credentials = AwsCredentials::ambient(None, None);
    let account_id = aws_credential_types::attributes::AccountId::from("111122223333");
    let base = Credentials::builder().access_key_id("AKIDBASE").secret_access_key("s").account_id(account_id).provider_name("test").build();
    credentials.keep(OWN, &base);
    assert_eq!(credentials.for_account("111122223333", "eu-west-1").await.unwrap().access_key_id(), "AKIDBASE");
    let error = credentials.for_account("444455556666", "eu-west-1").await.unwrap_err();
    assert!(error.to_string().contains("belong to account `111122223333`"), "{error}");
}
