//! What a fix calls and what it needs for that, read off the fix itself.

use serde_json::Value;

use super::{CallSpec, Fix, Template};
use crate::api::Method;
use crate::cloud::Cloud;

/// One AWS operation a fix calls, with the input members it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationUse {
    /// Service client name.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Top-level input members.
    pub members: Vec<String>,
}

/// One HTTP call a fix makes: verb, host and the literal shape of its path (`{}` for what is filled in).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUse {
    /// Verb.
    pub method: Method,
    /// Host.
    pub host: String,
    /// Path.
    pub path: String,
}

/// S3's permission names differ from its operation names
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>).
const AWS_PERMISSIONS: &[(&str, &str)] = &[
    ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ("s3:PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("s3:DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("s3:HeadBucket", "s3:ListBucket"),
    ("s3control:GetPublicAccessBlock", "s3:GetAccountPublicAccessBlock"),
    ("s3control:PutPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
    ("s3control:DeletePublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
];

/// Google's permissions do not follow from the path alone: host, verb, end of the path, permission
/// (<https://cloud.google.com/iam/docs/permissions-reference>).
const GCP_PERMISSIONS: &[(&str, Method, &str, &str)] = &[
    ("storage.googleapis.com", Method::Get, "/iam", "storage.buckets.getIamPolicy"),
    ("storage.googleapis.com", Method::Put, "/iam", "storage.buckets.setIamPolicy"),
    ("storage.googleapis.com", Method::Get, "/b/{}", "storage.buckets.get"),
    ("storage.googleapis.com", Method::Patch, "/b/{}", "storage.buckets.update"),
    ("compute.googleapis.com", Method::Get, "/firewalls/{}", "compute.firewalls.get"),
    ("compute.googleapis.com", Method::Patch, "/firewalls/{}", "compute.firewalls.update"),
    ("sqladmin.googleapis.com", Method::Get, "/instances/{}", "cloudsql.instances.get"),
    ("sqladmin.googleapis.com", Method::Patch, "/instances/{}", "cloudsql.instances.update"),
];

impl Fix {
    /// The AWS operations it calls, each use once.
    pub fn operations(&self) -> Vec<OperationUse> {
        let mut all = Vec::new();
        for call in self.calls() {
            if let CallSpec::Operation { service, operation, input } = call {
                let members = match input {
                    Template::Map(members) => members.iter().map(|(name, _)| name.clone()).collect(),
                    _ => Vec::new(),
                };
                all.push(OperationUse { service: service.clone(), operation: operation.clone(), members });
            }
        }
        all.dedup();
        all
    }

    /// The HTTP calls it makes.
    pub fn http_calls(&self) -> Vec<HttpUse> {
        let mut all = Vec::new();
        for call in self.calls() {
            if let CallSpec::Http { method, host, path, .. } = call {
                all.push(HttpUse { method: *method, host: host.clone(), path: shape(path) });
            }
        }
        all.dedup();
        all
    }

    /// Permissions its calls need that it does not declare. `Microsoft.Sql/*` covers what is below it.
    pub fn missing_permissions(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.needed_permissions().into_iter().filter(|p| !self.declares(p)).collect();
        missing.sort();
        missing.dedup();
        missing
    }

    fn needed_permissions(&self) -> Vec<String> {
        match self.cloud {
            Cloud::Aws => self
                .operations()
                .into_iter()
                .map(|o| {
                    let name = format!("{}:{}", o.service, o.operation);
                    AWS_PERMISSIONS.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| (*to).to_owned())
                })
                .collect(),
            Cloud::Azure => self.http_calls().iter().filter_map(|c| self.azure_permission(c)).collect(),
            Cloud::Gcp => self
                .http_calls()
                .iter()
                .map(|c| {
                    GCP_PERMISSIONS
                        .iter()
                        .find(|(host, method, end, _)| c.host == *host && c.method == *method && c.path.ends_with(end))
                        .map_or_else(|| format!("the permission of {} {}{}", c.method.as_str(), c.host, c.path), |(.., p)| (*p).to_owned())
                })
                .collect(),
        }
    }

    /// `Microsoft.Sql/servers/firewallRules/delete` for `DELETE {uid}/firewallRules/{}` on a server. The case of the
    /// declared permission does not matter to Azure.
    fn azure_permission(&self, call: &HttpUse) -> Option<String> {
        let below = call.path.strip_prefix("{}")?;
        let mut kind = self.resource.first()?.clone();
        for word in below.split('/').skip(1).step_by(2).filter(|w| !w.is_empty()) {
            kind.push('/');
            kind.push_str(&word.to_ascii_lowercase());
        }
        let action = match call.method {
            Method::Get | Method::Head => "read",
            Method::Put | Method::Patch => "write",
            Method::Delete => "delete",
            Method::Post => "action",
        };
        Some(format!("{kind}/{action}"))
    }

    fn declares(&self, needed: &str) -> bool {
        self.permissions.iter().any(|p| crate::guard::glob(p, needed))
    }

    fn calls(&self) -> impl Iterator<Item = &CallSpec> {
        let finds = self.changes.iter().filter_map(|c| c.find.as_ref().map(|f| &f.call));
        let undos = self.changes.iter().flat_map(|c| c.undo.iter().map(|u| &u.call));
        self.observe.iter().map(|o| &o.call).chain(self.changes.iter().map(|c| &c.call)).chain(finds).chain(undos)
    }
}

/// A path with `{}` for every expression.
fn shape(path: &Template) -> String {
    match path {
        Template::Literal(Value::String(text)) => text.clone(),
        Template::Text(parts) => parts
            .iter()
            .map(|p| match p {
                super::template::Part::Literal(text) => text.as_str(),
                super::template::Part::Expr(_) => "{}",
            })
            .collect(),
        _ => "{}".to_owned(),
    }
}
