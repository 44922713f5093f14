//! moto with its access checks on: the signature is verified and every action must be granted.

use std::fmt::Write as _;

use stanch_core::state::State;
use stanch_sandbox::SandboxSource;

use crate::resources::{Cloudy, SUBJECTS};
use crate::{api_as, engine_over, finding, is_good, now, rest};

/// A fix whose services moto checks action by action.
const FIX: &str = "aws-kms-enable-rotation";
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:DescribeKey","kms:GetKeyRotationStatus","kms:EnableKeyRotation","kms:DisableKeyRotation"],"Resource":"*"}]}"#;

/// With exactly the permissions the fix declares it works; with one less it says which operation was refused; with another secret nothing does.
pub(crate) async fn signatures_and_permissions_are_checked(url: &str, cloud: &Cloudy) {
    let library = stanch_library::Library::builtin().unwrap();
    for permission in &library.fix(FIX).unwrap().permissions {
        assert!(POLICY.contains(permission.as_str()), "the policy of this test lacks `{permission}`");
    }
    let subject = SUBJECTS.iter().find(|s| s.fix == FIX).unwrap();
    let (key, secret) = user(url, "granted", POLICY).await;
    let (reader, reader_secret) = user(url, "reader", &POLICY.replace("\"kms:EnableKeyRotation\",", "")).await;
    let uids = [cloud.prepare(FIX).await, cloud.prepare(FIX).await, cloud.prepare(FIX).await];

    checks(url, "0").await;
    let mut states = Vec::new();
    for ((key, secret), uid) in [(&key, secret.as_str()), (&reader, &reader_secret), (&key, "another secret")].into_iter().zip(&uids) {
        let source = SandboxSource::new(now);
        let engine = engine_over(api_as(url, key, secret), &source);
        let id = engine.ingest(vec![finding(subject, uid)]).await.unwrap()[0].remediation.unwrap();
        let end = rest(&engine, id).await;
        states.push((end.state, end.note));
    }
    checks(url, "inf").await;

    let [granted, reader, stranger] = states.as_slice() else { panic!("{states:?}") };
    assert!(is_good(granted.0), "{granted:?}");
    // moto words a JSON service's refusal in a form that service never uses, so only the operation and the status can be told.
    assert!(reader.0 == State::Failed && reader.1.contains("kms.EnableKeyRotation") && reader.1.contains("403"), "{reader:?}");
    assert!(stranger.0 == State::Stuck && stranger.1.contains("403"), "{stranger:?}");
}

/// Turns moto's access checks on (`0`) or off (`inf`).
async fn checks(url: &str, after: &'static str) {
    let answer = reqwest::Client::new().post(format!("{url}/moto-api/reset-auth")).body(after).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// Makes a user with a policy; gives its access key and secret.
async fn user(url: &str, name: &str, policy: &str) -> (String, String) {
    let name = format!("{name}-{}", uuid::Uuid::now_v7().simple());
    let call = async |form: &[(&str, &str)]| {
        let mut body = String::from("Version=2010-05-08");
        for (member, value) in form {
            write!(body, "&{member}=").unwrap();
            for byte in value.bytes() {
                write!(body, "%{byte:02X}").unwrap();
            }
        }
        let request = reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = request
            .header("authorization", "AWS4-HMAC-SHA256 Credential=A/20260921/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0");
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{form:?}: {}", answer.status());
        answer.text().await.unwrap()
    };
    call(&[("Action", "CreateUser"), ("UserName", &name)]).await;
    call(&[("Action", "PutUserPolicy"), ("UserName", &name), ("PolicyName", "p"), ("PolicyDocument", policy)]).await;
    let made = call(&[("Action", "CreateAccessKey"), ("UserName", &name)]).await;
    let between = |tag: &str| {
        let (_, rest) = made.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    (between("AccessKeyId"), between("SecretAccessKey"))
}
