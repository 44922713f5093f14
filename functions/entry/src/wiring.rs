//! Puts the engine together from implementations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use stanch_core::finding::Millis;
use stanch_core::guard::Protected;
use stanch_core::port::{BoxFuture, CloudApi, FindingSource, Store, StoreError, Vault, WorkQueue};
use stanch_core::rule::{RuleError, RuleSet};
use stanch_engine::{Engine, Ports};
use stanch_library::{DEFAULT_RULES, Library, LibraryError};
use stanch_notify::{Channel, SignedWebhook};
use stanch_sandbox::{Sandbox, SandboxSource};
use stanch_store::azure::{Account, AzureQueue, AzureStore, AzureVault, CHECKPOINTS, Names, STORAGE_SCOPE, TokenSource, WORK_QUEUE};
use stanch_store::{FileVault, LocalQueue, SqliteStore};
use tokio::sync::Notify;

use crate::clouds::{Clouds, Sources};
use crate::settings::{Secret, Settings, named};
use crate::sweep;

/// What kept the engine from being put together.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// A file cannot be read.
    #[error("cannot read `{file}`: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// Rules have mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Rules(Vec<RuleError>),
    /// The library has mistakes.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting is wrong.
    #[error("setting `{name}`: {reason}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// Why, and what is expected.
        reason: String,
    },
}

/// Milliseconds since the epoch, now.
pub fn now() -> Millis {
    #[expect(clippy::disallowed_methods, reason = "the clock of the programs")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

fn system_time() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the clock of the programs")]
    SystemTime::now()
}

/// The library: what ships, and the folder of the settings.
pub fn library(settings: &Settings) -> Result<Library, WiringError> {
    let mut library = Library::builtin()?;
    if let Some(folder) = &settings.fixes {
        library.add_folder(folder)?;
    }
    Ok(library)
}

/// The rules of a folder (or one file); without one, those that ship.
pub fn rules(folder: Option<&Path>) -> Result<RuleSet, WiringError> {
    let Some(folder) = folder else {
        return RuleSet::load([("default.yaml", DEFAULT_RULES)]).map_err(WiringError::Rules);
    };
    let fail = |path: &Path, e: std::io::Error| WiringError::File { file: path.display().to_string(), reason: e.to_string() };
    let mut files = Vec::new();
    if folder.is_file() {
        files.push(folder.to_owned());
    } else {
        for entry in std::fs::read_dir(folder).map_err(|e| fail(folder, e))? {
            let path = entry.map_err(|e| fail(folder, e))?.path();
            if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                files.push(path);
            }
        }
        files.sort();
    }
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| fail(&file, e))?;
        texts.push((file.display().to_string(), text));
    }
    RuleSet::load(texts).map_err(WiringError::Rules)
}

/// The protected targets: what ships, and the file of the settings.
pub fn protected(settings: &Settings) -> Result<Protected, WiringError> {
    let mut all = stanch_library::protected()?;
    if let Some(file) = &settings.protected {
        let own: Protected = read_yaml(file)?;
        all.addresses.extend(own.addresses);
        all.resources.extend(own.resources);
        all.identities.extend(own.identities);
        all.tags.extend(own.tags);
    }
    Ok(all)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelSetting {
    url: String,
    secret_env: String,
}

fn channels(settings: &Settings) -> Result<BTreeMap<String, Channel>, WiringError> {
    let Some(file) = &settings.channels else { return Ok(BTreeMap::new()) };
    let read: BTreeMap<String, ChannelSetting> = read_yaml(file)?;
    let wrong = |reason: String| WiringError::Setting { name: "STANCH_CHANNELS", reason };
    read.into_iter()
        .map(|(name, channel)| {
            let secret = named(&channel.secret_env)
                .ok_or_else(|| wrong(format!("channel `{name}`: variable `{}` is not set; it must hold the secret", channel.secret_env)))?;
            let channel = Channel::new(&channel.url, secret).map_err(|e| wrong(format!("channel `{name}`: {e}")))?;
            Ok((name, channel))
        })
        .collect()
}

fn read_yaml<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, WiringError> {
    let fail = |reason: String| WiringError::File { file: file.display().to_string(), reason };
    let text = std::fs::read_to_string(file).map_err(|e| fail(e.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|e| fail(e.to_string()))
}

/// What carries calls, and what is asked and told about findings.
pub type CloudPorts = (Arc<dyn CloudApi>, Arc<dyn FindingSource>);

/// The three clouds and the sources behind them, as the settings say. Nothing is connected yet.
pub fn real_clouds(settings: &Settings) -> Result<CloudPorts, WiringError> {
    let azure = azure(settings)?;
    let role = aws_role(settings)?;
    let credentials = Arc::new(match &settings.aws_endpoint {
        // A server on this machine checks no account of ours: any key does.
        Some(_) if role.is_none() => stanch_aws::AwsCredentials::fixed("testing", "testing"),
        endpoint => stanch_aws::AwsCredentials::ambient(role, endpoint.clone()),
    });
    let endpoint = settings.aws_endpoint.clone().map_or(stanch_aws::Endpoint::Aws, stanch_aws::Endpoint::Loopback);
    let aws: Arc<dyn CloudApi> = Arc::new(stanch_aws::AwsApi::new(credentials.clone(), endpoint, system_time));
    let security_hub = Arc::new(stanch_aws::SecurityHubSource::new(credentials, settings.aws_endpoint.clone()));
    let (gcp, scc) = gcp(settings)?;
    let defender = Arc::new(stanch_azure::DefenderSource::new(azure.clone()));
    Ok((Arc::new(Clouds { azure, aws, gcp }), Arc::new(Sources { defender, security_hub, scc })))
}

/// Where state is kept, what carries its nudges, and where checkpoints of it go.
#[derive(Clone)]
pub struct State {
    /// Keeps it.
    pub store: Arc<dyn Store>,
    /// Carries its nudges.
    pub queue: Arc<dyn WorkQueue>,
    /// Rings when this process has sent a nudge to itself; the queue of a storage account rings nowhere.
    pub bell: Arc<Notify>,
    /// Keeps its checkpoints.
    pub vault: Arc<dyn Vault>,
    /// What people call the place.
    pub place: String,
}

/// State as the settings say: in a storage account of Azure, else in the data folder, which is created where there is none.
pub async fn state(settings: &Settings) -> Result<State, WiringError> {
    let account = match (&settings.storage_endpoint, &settings.storage_account) {
        (Some(address), _) => Account::loopback(address)?,
        (None, Some(name)) => Account::cloud(name, Arc::new(StorageTokens(stanch_azure::Tokens::new(azure_identity(settings)))))?,
        (None, None) => {
            let data = settings.data_folder();
            return Ok(folder_state(settings, &data, Arc::new(SqliteStore::open(&data)?)));
        }
    };
    let seal_key = settings.seal_key.as_ref().map(Secret::expose);
    let store = AzureStore::open(account.clone(), Names::default(), seal_key, Arc::new(now)).await?;
    let queue = AzureQueue::open(account.clone(), WORK_QUEUE, Arc::new(now)).await?;
    let vault: Arc<dyn Vault> = match &settings.checkpoints {
        Some(folder) => Arc::new(FileVault::new(folder)),
        None => Arc::new(AzureVault::open(account, CHECKPOINTS, Arc::new(now)).await?),
    };
    let place = format!("storage account `{}`", settings.account().unwrap_or_default());
    Ok(State { store: Arc::new(store), queue: Arc::new(queue), bell: Arc::default(), vault, place })
}

/// State in a data folder whose store is open, with a queue inside this process.
pub fn folder_state(settings: &Settings, data: &Path, store: Arc<SqliteStore>) -> State {
    let (queue, bell) = LocalQueue::new(Arc::new(now));
    let vault = Arc::new(FileVault::new(settings.checkpoint_folder(data)));
    State { store, queue: Arc::new(queue), bell, vault, place: format!("data folder `{}`", data.display()) }
}

/// Tokens for the storage account.
struct StorageTokens(stanch_azure::Tokens);

impl TokenSource for StorageTokens {
    fn token(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move { self.0.token(STORAGE_SCOPE).await.map_err(|e| e.to_string()) })
    }
}

/// Who we are in Azure.
fn azure_identity(settings: &Settings) -> stanch_azure::Credentials {
    use stanch_azure::Credentials;
    if settings.managed_identity || settings.azure_client_id.is_some() {
        Credentials::ManagedIdentity { client_id: settings.azure_client_id.clone() }
    } else {
        Credentials::DeveloperTools
    }
}

fn azure(settings: &Settings) -> Result<Arc<dyn CloudApi>, WiringError> {
    use stanch_azure::{AzureApi, Credentials, Endpoint};
    let (credentials, endpoint) = match &settings.azure_endpoint {
        Some(url) => (Credentials::Fixed("loopback".into()), Endpoint::Loopback(url.clone())),
        None => (azure_identity(settings), Endpoint::Cloud),
    };
    let api =
        AzureApi::new(credentials, endpoint).map_err(|e| WiringError::Setting { name: "STANCH_AZURE_ENDPOINT", reason: e.to_string() })?;
    Ok(Arc::new(api))
}

fn aws_role(settings: &Settings) -> Result<Option<stanch_aws::RolePattern>, WiringError> {
    let Some(pattern) = &settings.aws_role else { return Ok(None) };
    let role = stanch_aws::RolePattern::new(pattern.as_str())
        .map_err(|e| WiringError::Setting { name: "STANCH_AWS_ROLE", reason: e.to_string() })?;
    Ok(Some(match &settings.aws_external_id {
        Some(id) => role.external_id(id.as_str()),
        None => role,
    }))
}

fn gcp(settings: &Settings) -> Result<CloudPorts, WiringError> {
    use stanch_gcp::{Credentials, Endpoint, GcpApi, SccSource};
    let wrong = |e: stanch_gcp::Error| WiringError::Setting { name: "STANCH_GCP_ENDPOINT", reason: e.to_string() };
    let (credentials, endpoint) = match &settings.gcp_endpoint {
        Some(url) => (Credentials::Fixed("loopback".into()), Endpoint::Loopback(url.clone())),
        None => (Credentials::ApplicationDefault, Endpoint::Cloud),
    };
    let api = GcpApi::new(credentials, endpoint.clone()).map_err(wrong)?;
    Ok((Arc::new(api), Arc::new(SccSource::new(endpoint).map_err(wrong)?)))
}

/// The simulated clouds with the demo's estate, and their sources.
pub fn sandbox() -> (Sandbox, SandboxSource) {
    (Sandbox::seeded(now), SandboxSource::new(now))
}

/// An engine over the given clouds and state.
pub fn engine(settings: &Settings, rules: RuleSet, (clouds, sources): CloudPorts, state: &State) -> Result<Engine, WiringError> {
    let ports = Ports {
        clouds,
        sources,
        store: state.store.clone(),
        queue: state.queue.clone(),
        meter: crate::telemetry::metrics(),
        vault: Some(state.vault.clone()),
        notifier: Arc::new(SignedWebhook::new(channels(settings)?)),
        fixes: Arc::new(library(settings)?),
        clock: Arc::new(now),
        new_id: Arc::new(uuid::Uuid::now_v7),
    };
    Ok(Engine::new(ports, Arc::new(rules), Arc::new(protected(settings)?)))
}

/// The engine of a program with a timer: it sweeps what the settings name.
pub fn sweeping_engine(settings: &Settings, rules: RuleSet, clouds: CloudPorts, state: &State) -> Result<Engine, WiringError> {
    let scopes = settings.sweep.as_deref().map(sweep::scopes).transpose();
    let scopes = scopes.map_err(|reason| WiringError::Setting { name: "STANCH_SWEEP", reason })?.unwrap_or_default();
    let every = settings.sweep_every.as_deref().map(sweep::every_ms).transpose();
    let every = every.map_err(|reason| WiringError::Setting { name: "STANCH_SWEEP_EVERY", reason })?.unwrap_or(sweep::EVERY_MS);
    Ok(engine(settings, rules, clouds, state)?.with_sweep(scopes, every))
}
