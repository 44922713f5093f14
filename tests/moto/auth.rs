//! moto with its access checks on: the signature is verified and every action must be granted.

use std::fmt::Write as _;

use stanch_core::state::State;
use stanch_sandbox::SandboxSource;

use crate::resources::{Cloudy, SUBJECTS};
use crate::{api_as, engine_over, finding, is_good, now, rest};

/// The fix that is also run with a permission missing and with another secret.
const FIX: &str = "aws-kms-enable-rotation";

/// Fixes that moto 5.2.5 cannot judge. It writes an EC2 form anew with `+` for a space before it checks the signature, and so refuses
/// `%20` (from AWS's own SDK too); it refuses Lambda's calls to AWS's own SDK; and it asks for `s3:GetPublicAccessBlock`, where
/// AWS's action is `s3:GetBucketPublicAccessBlock`.
const UNCHECKED: &[&str] = &[
    "aws-s3-block-public-access",
    "aws-ec2-revoke-world-ingress",
    "aws-ec2-quarantine-instance",
    "aws-ec2-snapshot-volumes",
    "aws-lambda-remove-public-permissions",
];

/// With exactly the permissions a fix declares it works; with one less it says which operation was refused; with another secret nothing does.
pub(crate) async fn signatures_and_permissions_are_checked(url: &str, cloud: &Cloudy) {
    let library = stanch_library::Library::builtin().unwrap();
    let mut runs = Vec::new();
    for subject in SUBJECTS.iter().filter(|s| !UNCHECKED.contains(&s.fix)) {
        let permissions: Vec<&str> = library.fix(subject.fix).unwrap().permissions.iter().map(String::as_str).collect();
        let (key, secret) = user(url, "granted", &policy(&permissions)).await;
        if subject.fix == FIX {
            let fewer: Vec<&str> = permissions.into_iter().filter(|p| *p != "kms:EnableKeyRotation").collect();
            let (reader, reader_secret) = user(url, "reader", &policy(&fewer)).await;
            runs.push((Expect::Refused, subject, cloud.prepare(FIX).await, reader, reader_secret));
            runs.push((Expect::Unread, subject, cloud.prepare(FIX).await, key.clone(), "another secret".into()));
        }
        runs.push((Expect::Good, subject, cloud.prepare(subject.fix).await, key, secret));
    }

    checks(url, "0").await;
    let mut ends = Vec::new();
    for (expect, subject, uid, key, secret) in &runs {
        let source = SandboxSource::new(now);
        let engine = engine_over(api_as(url, key, secret), &source);
        let finding = finding(subject, uid);
        source.put(finding.clone());
        let id = engine.ingest(vec![finding]).await.unwrap()[0].remediation.unwrap();
        ends.push((expect, subject.fix, rest(&engine, id).await));
    }
    checks(url, "inf").await;

    for (expect, fix, end) in ends {
        let as_expected = match expect {
            Expect::Good => is_good(end.state),
            // moto words a JSON service's refusal in a form that service never uses: operation and status are all that can be told.
            Expect::Refused => end.state == State::Failed && end.note.contains("kms.EnableKeyRotation") && end.note.contains("403"),
            Expect::Unread => end.state == State::Stuck && end.note.contains("403"),
        };
        assert!(as_expected, "{fix}: {expect:?}, and it is {}: {}", end.state, end.note);
    }
}

#[derive(Debug)]
enum Expect {
    Good,
    /// The change is refused.
    Refused,
    /// Even the reading is refused.
    Unread,
}

fn policy(actions: &[&str]) -> String {
    let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
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
