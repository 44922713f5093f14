//! What can go wrong on the way to AWS.

use aws_credential_types::provider::error::CredentialsError;
use stanch_core::port::Kind;

/// Why credentials for an account could not be had, or a call could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The account is no AWS account id.
    #[error("`{account}` is not an AWS account id: expected 12 digits")]
    Account {
        /// What was given.
        account: String,
    },
    /// The region is no region name. Checked because it becomes part of a host name.
    #[error("`{region}` is not an AWS region: expected lower-case letters, digits and dashes, such as eu-west-1")]
    Region {
        /// What was given.
        region: String,
    },
    /// An emulator that is not on this machine.
    #[error("endpoint `{endpoint}` is refused: expected a URL on 127.0.0.1, localhost or [::1]")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The role pattern of the settings cannot name a role per account.
    #[error("role pattern `{pattern}` {problem}; expected a role ARN such as arn:aws:iam::{{account}}:role/stanch-remediation")]
    RolePattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The ambient credentials belong to another account, and no role leads into this one.
    #[error("no role pattern is configured to reach account `{account}`: the credentials belong to account `{own}`")]
    OtherAccount {
        /// The account wanted.
        account: String,
        /// The account of the credentials.
        own: String,
    },
    /// Neither environment, profile, container nor instance gave credentials.
    #[error("cannot load AWS credentials")]
    Ambient {
        /// The chain's own error.
        #[source]
        source: CredentialsError,
    },
    /// STS did not give the role.
    #[error("cannot assume role `{role}`")]
    AssumeRole {
        /// The role's ARN.
        role: String,
        /// The provider's own error.
        #[source]
        source: CredentialsError,
    },
    /// STS did not say whose the credentials are.
    #[error("cannot ask STS whose the credentials are: {reason}")]
    CallerIdentity {
        /// Why, without secrets.
        reason: String,
        /// Whether trying again can help.
        retry: bool,
    },
}

impl AwsError {
    /// What the engine does about it.
    pub fn kind(&self) -> Kind {
        match self {
            AwsError::Ambient { source } | AwsError::AssumeRole { source, .. } => credentials_kind(source),
            AwsError::CallerIdentity { retry: true, .. } => Kind::Retry,
            AwsError::Account { .. }
            | AwsError::Region { .. }
            | AwsError::Endpoint { .. }
            | AwsError::RolePattern { .. }
            | AwsError::OtherAccount { .. }
            | AwsError::CallerIdentity { .. } => Kind::Broken,
        }
    }

    /// The error and its causes, joined by `: `.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes, joined by `: `; a cause that its parent's text already ends with is not repeated.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A refusal of STS stays a refusal until a person changes a trust policy; the rest of what a provider says may pass.
fn credentials_kind(error: &CredentialsError) -> Kind {
    match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => Kind::Broken,
        _ if chain(error).contains("AccessDenied") => Kind::Broken,
        _ => Kind::Retry,
    }
}
