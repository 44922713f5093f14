//! Checkpoints in a container of their own.
//!
//! A blob is written once (`If-None-Match: *`), so this program never replaces one. That nobody else does either is the
//! container's immutability policy (time-based retention, locked), which infrastructure sets: the identity that applies fixes
//! has no right to lift it.

use stanch_core::port::{BoxFuture, StoreError, Vault};

use super::blob::Container;
use super::client::{Account, Client, Clock};

/// The container's name.
pub const CHECKPOINTS: &str = "stanch-checkpoints";

/// A container that takes each checkpoint once.
pub struct AzureVault {
    client: Client,
    container: String,
}

impl AzureVault {
    /// Opens the container, which is created when it is missing. A container that is made here has no policy yet.
    pub async fn open(account: Account, container: &str, clock: Clock) -> Result<Self, StoreError> {
        let vault = AzureVault { client: Client::new(account, clock)?, container: container.to_owned() };
        vault.container().create().await?;
        Ok(vault)
    }

    fn container(&self) -> Container<'_> {
        Container { client: &self.client, name: &self.container }
    }
}

impl Vault for AzureVault {
    fn put<'a>(&'a self, name: &'a str, body: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.container().put_new(name, body).await })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { self.container().get(name).await })
    }

    fn names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let mut names: Vec<String> = self.container().list("").await?.into_iter().map(|blob| blob.name).collect();
            names.sort();
            Ok(names)
        })
    }
}

impl std::fmt::Debug for AzureVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureVault").field("container", &self.container).finish_non_exhaustive()
    }
}
