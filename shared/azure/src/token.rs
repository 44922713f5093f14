//! Bearer tokens from Microsoft Entra ID: whose, and for what.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_identity::{DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use stanch_core::diagnostic::chain;
use tokio::sync::OnceCell;

/// Where bearer tokens come from.
#[derive(Clone)]
pub enum Credentials {
    /// The managed identity of the Functions app or virtual machine.
    ManagedIdentity {
        /// Client id of a user-assigned identity; the system-assigned one when absent.
        client_id: Option<String>,
    },
    /// A person's `az login` or `azd auth login`.
    DeveloperTools,
    /// A fixed token, for tests: accepted only together with [`crate::Endpoint::Loopback`].
    Fixed(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::ManagedIdentity { client_id } => f.debug_struct("ManagedIdentity").field("client_id", client_id).finish(),
            Credentials::DeveloperTools => f.write_str("DeveloperTools"),
            Credentials::Fixed(_) => f.write_str("Fixed(..)"),
        }
    }
}

/// Tokens of one identity. It is built on first use, and keeps tokens until they are about to expire.
#[derive(Debug)]
pub struct Tokens {
    credentials: Credentials,
    identity: OnceCell<Arc<dyn TokenCredential>>,
}

impl Tokens {
    /// Tokens of these credentials; nothing is asked yet.
    pub fn new(credentials: Credentials) -> Self {
        Tokens { credentials, identity: OnceCell::new() }
    }

    /// A token for a scope, such as `https://management.azure.com/.default`.
    pub async fn token(&self, scope: &str) -> Result<String, NoToken> {
        if let Credentials::Fixed(token) = &self.credentials {
            return Ok(token.clone());
        }
        let identity = self.identity.get_or_try_init(|| async { identity(&self.credentials) }).await?;
        let token = identity.get_token(&[scope], None).await.map_err(|error| NoToken::from(&error))?;
        Ok(token.token.secret().to_owned())
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NoToken {
    /// Why, on one line.
    pub reason: String,
    /// Whether trying again can help.
    pub retry: bool,
}

impl NoToken {
    fn from(error: &azure_core::Error) -> Self {
        let first_line = chain(error).lines().next().unwrap_or_default().chars().take(300).collect::<String>();
        NoToken { reason: format!("no token: {first_line}"), retry: passes(error) }
    }
}

/// Whether the token endpoint may answer later: unreachable, throttled or broken, anywhere in the chain of causes.
fn passes(error: &azure_core::Error) -> bool {
    use azure_core::error::ErrorKind;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind) {
            Some(ErrorKind::Connection | ErrorKind::Io) => return true,
            Some(ErrorKind::HttpResponse { status, .. }) => {
                let status = u16::from(*status);
                return status == 429 || status >= 500;
            }
            _ => cause = error.source(),
        }
    }
    false
}

fn identity(credentials: &Credentials) -> Result<Arc<dyn TokenCredential>, NoToken> {
    let failed = |error| NoToken::from(&error);
    match credentials {
        Credentials::ManagedIdentity { client_id } => {
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let options = ManagedIdentityCredentialOptions { user_assigned_id, ..ManagedIdentityCredentialOptions::default() };
            Ok(ManagedIdentityCredential::new(Some(options)).map_err(failed)?)
        }
        Credentials::DeveloperTools => Ok(DeveloperToolsCredential::new(None).map_err(failed)?),
        Credentials::Fixed(_) => Err(NoToken { reason: "a fixed token needs no identity".to_owned(), retry: false }),
    }
}
