//! Where a call goes: the host of service, region and partition, and the region its signature names.

use reqwest::Url;

use crate::credentials::partition;
use crate::wire::WireRequest;
use crate::wire::table::Service;

/// Where calls are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS itself, partition and host by region.
    Aws,
    /// An emulator on this machine: `http://127.0.0.1:11100`. Only `127.0.0.1`, `localhost` and `[::1]` are accepted, and
    /// every call is refused otherwise.
    Loopback(String),
}

/// A host with the region and path that go with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Scheme, host and port: `https://ec2.eu-west-1.amazonaws.com`.
    pub(crate) origin: String,
    /// The region of the signature.
    pub(crate) region: String,
    /// Percent-encoded path.
    pub(crate) path: String,
}

/// Chooses the target of a request. `region` has been checked to be one. The error says what cannot be addressed.
pub(crate) fn target(endpoint: &Endpoint, service: &Service, request: &WireRequest, region: &str) -> Result<Target, String> {
    let partition = partition(region);
    let global = service.global.get(partition);
    let signing = global.map_or(region, |global| global.region).to_owned();
    if let Endpoint::Loopback(url) = endpoint {
        // An emulator serves no names in front of its host: bucket and account stay in path and header.
        return Ok(Target { origin: loopback(url)?, region: signing, path: request.path.clone() });
    }
    let suffix = suffix(partition);
    let (host, path) = match (global, &request.bucket) {
        (Some(global), _) => (global.host.to_owned(), request.path.clone()),
        (None, Some(bucket)) if is_host_label(bucket) => {
            let rest = request.path.strip_prefix('/').and_then(|path| path.strip_prefix(bucket.as_str())).unwrap_or_default();
            let path = if rest.starts_with('/') { rest } else { "/" };
            (format!("{bucket}.{}.{region}.{suffix}", service.endpoint), path.to_owned())
        }
        (None, _) => (format!("{}{}.{region}.{suffix}", request.host_prefix, service.endpoint), request.path.clone()),
    };
    Ok(Target { origin: format!("https://{host}"), region: signing, path })
}

pub(crate) fn loopback(text: &str) -> Result<String, String> {
    let refused = || format!("endpoint `{text}` is refused: expected http://127.0.0.1:PORT, http://localhost:PORT or http://[::1]:PORT");
    let url = Url::parse(text).map_err(|_| refused())?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let bare = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    if !local || !bare || !matches!(url.scheme(), "http" | "https") {
        return Err(refused());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

pub(crate) fn suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

/// Whether a bucket can stand in a host name under AWS's certificate: no dots, no capitals.
fn is_host_label(bucket: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (3..=63).contains(&bucket.len()) && bucket.bytes().all(known) && !bucket.starts_with('-') && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire;

    fn at(endpoint: &Endpoint, call: &str, input: Value, region: &str) -> Result<String, String> {
        let (service, operation) = call.split_once('.').unwrap();
        let request = wire::encode(service, operation, input.as_object().unwrap(), "123456789012").unwrap();
        let target = target(endpoint, wire::find(service, operation).unwrap().0, &request, region)?;
        Ok(format!("{}{} {}", target.origin, target.path, target.region))
    }

    #[test]
    fn every_partition_and_style_has_its_host() {
        let bucket = |name: &str| json!({"Bucket": name});
        for (call, input, region, expected) in [
            ("ec2.DescribeVpcs", json!({}), "eu-west-1", "https://ec2.eu-west-1.amazonaws.com/ eu-west-1"),
            ("ec2.DescribeVpcs", json!({}), "cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn/ cn-north-1"),
            ("kms.CreateKey", json!({}), "us-gov-west-1", "https://kms.us-gov-west-1.amazonaws.com/ us-gov-west-1"),
            ("iam.GetAccountPasswordPolicy", json!({}), "eu-west-1", "https://iam.amazonaws.com/ us-east-1"),
            ("iam.GetAccountPasswordPolicy", json!({}), "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn/ cn-north-1"),
            ("iam.GetAccountPasswordPolicy", json!({}), "us-gov-east-1", "https://iam.us-gov.amazonaws.com/ us-gov-west-1"),
            ("sts.GetCallerIdentity", json!({}), "eu-west-1", "https://sts.eu-west-1.amazonaws.com/ eu-west-1"),
            ("s3.HeadBucket", bucket("my-bucket"), "eu-west-1", "https://my-bucket.s3.eu-west-1.amazonaws.com/ eu-west-1"),
            ("s3.HeadBucket", bucket("my.bucket"), "eu-west-1", "https://s3.eu-west-1.amazonaws.com/my.bucket eu-west-1"),
            ("s3.HeadBucket", bucket("a/../evil"), "eu-west-1", "https://s3.eu-west-1.amazonaws.com/a%2F..%2Fevil eu-west-1"),
            (
                "s3control.GetPublicAccessBlock",
                json!({}),
                "eu-west-1",
                "https://123456789012.s3-control.eu-west-1.amazonaws.com/v20180820/configuration/publicAccessBlock eu-west-1",
            ),
        ] {
            assert_eq!(at(&Endpoint::Aws, call, input, region).as_deref(), Ok(expected), "{call} {region}");
        }
    }

    #[test]
    fn an_override_must_be_on_this_machine_and_keeps_names_out_of_the_host() {
        let local = |url: &str| at(&Endpoint::Loopback(url.to_owned()), "s3.HeadBucket", json!({"Bucket": "my-bucket"}), "eu-west-1");
        for url in ["http://127.0.0.1:11100", "http://localhost:11100/", "http://[::1]:11100"] {
            assert_eq!(local(url), Ok(format!("{}/my-bucket eu-west-1", url.trim_end_matches('/'))));
        }
        for url in [
            "http://10.0.0.1",
            "https://evil.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "ftp://localhost",
            "",
        ] {
            assert!(local(url).unwrap_err().contains("is refused"), "{url}");
        }
    }
}
