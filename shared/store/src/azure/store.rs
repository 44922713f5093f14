//! The store in Table Storage.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use stanch_core::chain::ChainEntry;
use stanch_core::cloud::ResourceUid;
use stanch_core::finding::Millis;
use stanch_core::port::{BoxFuture, Cap, Commit, Filter, Head, Hold, OutboxItem, Parked, Store, StoreError, Summary};
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};
use uuid::Uuid;

use super::blob::Container;
use super::client::{Account, Client, Clock};
use super::entity::{Entity, is_too_long};
use super::names;
use super::table::Table;
use super::{cap, case, commit, due, kept, list, outbox, parked, prune};
use crate::row;
use crate::seal::Seal;

/// Table and container of a store.
#[derive(Clone, Debug)]
pub struct Names {
    /// The table: 3 to 63 letters and digits, a letter first.
    pub table: String,
    /// The container of large texts: 3 to 63 lower-case letters, digits and dashes.
    pub container: String,
}

impl Default for Names {
    fn default() -> Self {
        Names { table: "stanch".to_owned(), container: "stanch".to_owned() }
    }
}

/// Keeps everything in one table of a storage account, and what is too large for it in blobs. Any number of programs may use
/// one table at once.
pub struct AzureStore {
    pub(crate) client: Client,
    pub(crate) seal: Seal,
    names: Names,
    /// Where unsent messages were seen, so that marking one needs no search.
    pub(crate) seen: Mutex<HashMap<Uuid, RemediationId>>,
}

impl AzureStore {
    /// Opens the store; table and container are created when they are missing. `seal_key` (32 bytes, base64) is the value of
    /// `STANCH_SEAL_KEY`: without it nothing can be sealed or opened.
    pub async fn open(account: Account, names: Names, seal_key: Option<&str>, clock: Clock) -> Result<Self, StoreError> {
        let store = AzureStore {
            client: Client::new(account, clock)?,
            seal: Seal::from_setting("STANCH_SEAL_KEY", seal_key)?,
            names,
            seen: Mutex::default(),
        };
        store.table().create().await?;
        store.container().create().await?;
        Ok(store)
    }

    pub(crate) fn table(&self) -> Table<'_> {
        Table { client: &self.client, name: &self.names.table }
    }

    pub(crate) fn container(&self) -> Container<'_> {
        Container { client: &self.client, name: &self.names.container }
    }

    /// Puts a text into a row; one that is too long goes into the blob of that name first.
    pub(crate) async fn with_text(&self, entity: Entity, text: &str, blob: impl FnOnce() -> String) -> Result<Entity, StoreError> {
        if !is_too_long(text) {
            return Ok(entity.long("b", text));
        }
        let name = blob();
        self.container().put(&name, text).await?;
        Ok(entity.text("blob", &name))
    }

    /// The text of a row.
    pub(crate) async fn text_of(&self, entity: &Entity) -> Result<String, StoreError> {
        let Some(name) = entity.get("blob") else {
            return entity.get_long("b").ok_or_else(|| entity.unreadable("it has no text"));
        };
        self.container().get(name).await?.ok_or_else(|| entity.unreadable(format_args!("its blob `{name}` is gone")))
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, RemediationId>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for AzureStore {
    fn find<'a>(&'a self, key: &'a RemediationKey) -> BoxFuture<'a, Result<Option<RemediationId>, StoreError>> {
        Box::pin(case::find(self, key))
    }

    fn load(&self, id: RemediationId) -> BoxFuture<'_, Result<Option<Remediation>, StoreError>> {
        Box::pin(case::load(self, id))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(commit::commit(self, commit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Summary>, StoreError>> {
        Box::pin(list::list(self, filter))
    }

    fn due(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<RemediationId>, StoreError>> {
        Box::pin(due::due(self, now, limit))
    }

    fn record(&self, id: RemediationId) -> BoxFuture<'_, Result<Vec<ChainEntry>, StoreError>> {
        Box::pin(case::record(self, id))
    }

    fn reserve<'a>(&'a self, caps: &'a [Cap]) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(cap::reserve(self, caps))
    }

    fn reserved<'a>(&'a self, cap: &'a Cap) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(cap::reserved(self, cap))
    }

    fn writes_allowed(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let found = self.table().get(names::SETTING, names::WRITES, &["value"]).await?;
            match found.as_ref().map(|(row, _)| row.get("value")) {
                None | Some(Some("on")) => Ok(true),
                Some(Some("off")) => Ok(false),
                Some(other) => {
                    let found = other.unwrap_or("nothing");
                    Err(row::unreadable("setting `writes`".to_owned(), format_args!("expected on or off, found `{found}`")))
                }
            }
        })
    }

    fn allow_writes(&self, allowed: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let value = if allowed { "on" } else { "off" };
            self.table().put(&Entity::new(names::SETTING, names::WRITES).text("value", value)).await
        })
    }

    fn unseal<'a>(&'a self, id: RemediationId, reference: &'a str) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        Box::pin(case::unseal(self, id, reference))
    }

    fn body<'a>(&'a self, id: RemediationId, digest: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(kept::body(self, id, digest))
    }

    fn outbox(&self, now: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<(RemediationId, OutboxItem)>, StoreError>> {
        Box::pin(outbox::due(self, now, limit))
    }

    fn sent(&self, item: Uuid) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(outbox::sent(self, item))
    }

    fn claim(&self, item: Uuid, now: Millis, until: Millis) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(outbox::claim(self, item, now, until))
    }

    fn unsent<'a>(&'a self, item: Uuid, at: Millis, reason: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(outbox::unsent(self, item, at, reason))
    }

    fn hold(&self, hold: Hold) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(kept::hold(self, hold))
    }

    fn held<'a>(&'a self, fix: &'a str, resource: &'a ResourceUid) -> BoxFuture<'a, Result<Option<Hold>, StoreError>> {
        Box::pin(kept::held(self, fix, resource))
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(kept::value(self, name))
    }

    fn set_value<'a>(&'a self, name: &'a str, expected: Option<&'a str>, new: Option<&'a str>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(kept::set_value(self, name, expected, new))
    }

    fn park(&self, parked: Parked) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(parked::park(self, parked))
    }

    fn parked(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, StoreError>> {
        Box::pin(parked::parked(self, limit))
    }

    fn unpark<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(parked::unpark(self, id))
    }

    fn heads(&self, after: Option<RemediationId>, limit: usize) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        Box::pin(list::heads(self, after, limit))
    }

    fn prune(&self, before: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(prune::prune(self, before))
    }
}

impl fmt::Debug for AzureStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureStore").field("account", &self.client.account).field("names", &self.names).finish_non_exhaustive()
    }
}
