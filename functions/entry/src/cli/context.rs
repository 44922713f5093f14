//! What every command works with: settings, output, the data folder and what is put together from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stanch_core::port::{Filter, Store, StoreError};
use stanch_core::remediation::RemediationId;
use stanch_engine::Engine;
use stanch_store::SqliteStore;

use super::failure::{Code, Failure};
use super::output::Output;
use super::show_case::pick;
use crate::local::{LocalServer, SANDBOX_FILE};
use crate::settings::Settings;
use crate::wiring::{self, CloudPorts, State};

/// The store's file in a data folder.
pub(crate) const DATABASE: &str = "stanch.db";
/// Where the demo keeps its data unless told otherwise, below the data folder.
const DEMO: &str = "demo";

/// Settings, output and data folder of one run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) out: Output,
    /// The arguments that name the data folder again, for commands that are suggested: ` --data DIR`, or nothing.
    pub(crate) data_again: String,
}

impl Context {
    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.settings.data_folder()
    }

    /// The data folder of a command about what is kept already: when none was named and there is only the demo's, that one.
    pub(crate) fn kept_data(&self) -> PathBuf {
        let data = self.data();
        let demo = data.join(DEMO);
        if self.settings.data.is_none() && !data.join(DATABASE).exists() && demo.join(SANDBOX_FILE).exists() {
            self.out.note(&format!("note: using the demo's data in `{}`", demo.display()));
            return demo;
        }
        data
    }

    /// The data folder of the demo.
    pub(crate) fn demo_data(&self) -> PathBuf {
        self.settings.data.clone().unwrap_or_else(|| self.data().join(DEMO))
    }

    /// The user, as the record names them.
    pub(crate) fn by(&self) -> String {
        format!("cli:{}", self.settings.user.as_deref().unwrap_or("unknown"))
    }

    /// What is kept, to add to it; it is created where there is none.
    pub(crate) async fn state(&self) -> Result<Kept, Failure> {
        Ok(Kept { data: self.data(), state: wiring::state(&self.settings).await? })
    }

    /// What is kept already; without a store an empty one that is kept nowhere. A folder that is not there is an error when it
    /// was named.
    pub(crate) async fn kept(&self) -> Result<Kept, Failure> {
        self.kept_by(SqliteStore::open).await
    }

    /// The same for what only reads: also a copy of the folder that takes no writes.
    pub(crate) async fn kept_to_read(&self) -> Result<Kept, Failure> {
        self.kept_by(SqliteStore::open_read_only).await
    }

    async fn kept_by(&self, open: impl FnOnce(&Path) -> Result<SqliteStore, StoreError>) -> Result<Kept, Failure> {
        if self.settings.account().is_some() {
            return self.state().await;
        }
        let data = self.kept_data();
        let store = if data.join(DATABASE).exists() { Arc::new(open(&data)?) } else { self.empty_store(&data)? };
        Ok(self.in_folder(data, store))
    }

    /// A data folder whose store is open.
    pub(crate) fn in_folder(&self, data: PathBuf, store: Arc<SqliteStore>) -> Kept {
        let state = wiring::folder_state(&self.settings, &data, store);
        Kept { data, state }
    }

    /// The store of a data folder, for what only reads; see [`Context::kept`].
    pub(crate) fn read_store(&self, data: &Path) -> Result<Arc<SqliteStore>, Failure> {
        if data.join(DATABASE).exists() { Ok(Arc::new(SqliteStore::open_read_only(data)?)) } else { self.empty_store(data) }
    }

    fn empty_store(&self, data: &Path) -> Result<Arc<SqliteStore>, Failure> {
        if self.settings.data.is_some() && !data.is_dir() {
            let hint = "`--data DIR` (or STANCH_DATA) names the folder; `stanch apply` and `stanch up` create it";
            return Err(Failure::new(Code::Input, format!("there is no data folder `{}`", data.display())).hint(hint));
        }
        self.out.note(&format!("note: nothing is kept in `{}` yet", data.display()));
        Ok(Arc::new(SqliteStore::in_memory()?))
    }

    /// Refuses to mix the demo with what is kept about real clouds.
    pub(crate) fn refuse_real_data(data: &Path) -> Result<(), Failure> {
        if data.join(SANDBOX_FILE).exists() || !data.join(DATABASE).exists() {
            return Ok(());
        }
        let message = format!("the data folder `{}` holds remediations of real clouds; the demo needs a folder of its own", data.display());
        Err(Failure::new(Code::Refused, message).hint("name another with `--data DIR`"))
    }

    /// Refuses to mix real clouds with the demo's data.
    pub(crate) fn refuse_demo_data(&self, data: &Path) -> Result<(), Failure> {
        if self.settings.account().is_some() || !data.join(SANDBOX_FILE).exists() {
            return Ok(());
        }
        let message = format!("the data folder `{}` belongs to the demo, whose clouds exist only while it runs", data.display());
        let hint = format!(
            "start it with `stanch up --demo --data {}`, or name another folder with `--data DIR`",
            quoted(&data.display().to_string())
        );
        Err(Failure::new(Code::Refused, message).hint(hint))
    }

    /// The server that works on the same state, where one runs.
    pub(crate) fn server(&self, data: &Path) -> Option<LocalServer> {
        LocalServer::find(data, self.settings.account())
    }

    /// An engine over the real clouds.
    pub(crate) fn engine(&self, rules: Option<&Path>, state: &State) -> Result<Engine, Failure> {
        self.engine_over(rules, wiring::real_clouds(&self.settings)?, state)
    }

    /// An engine over given clouds.
    pub(crate) fn engine_over(&self, rules: Option<&Path>, clouds: CloudPorts, state: &State) -> Result<Engine, Failure> {
        let rules = wiring::rules(rules.or(self.settings.rules.as_deref()))?;
        Ok(wiring::engine(&self.settings, rules, clouds, state)?)
    }
}

/// What a command works on: the state, and the folder of this machine's own files.
pub(crate) struct Kept {
    pub(crate) data: PathBuf,
    pub(crate) state: State,
}

impl Kept {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.state.store
    }
}

/// The remediation a person means by a full id or a prefix.
pub(crate) async fn find(store: &dyn Store, text: &str) -> Result<RemediationId, Failure> {
    let wrong = |message| Failure::new(Code::Input, message);
    if let Some(id) = RemediationId::parse(text) {
        return match store.load(id).await? {
            Some(_) => Ok(id),
            None => Err(wrong(format!("there is no remediation {id}\nhint: `stanch remediations list` shows all"))),
        };
    }
    let ids: Vec<RemediationId> = store.list(&Filter::default()).await?.into_iter().map(|row| row.id).collect();
    pick(&ids, text).map_err(wrong)
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
