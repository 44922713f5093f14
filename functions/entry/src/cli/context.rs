//! What every command works with: settings, output, the data folder and what is put together from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stanch_core::port::{CloudApi, Filter, FindingSource, Store};
use stanch_core::remediation::RemediationId;
use stanch_engine::Engine;
use stanch_store::{LocalQueue, SqliteStore};

use super::failure::{Code, Failure};
use super::output::Output;
use super::show_case::pick;
use crate::local::SANDBOX_FILE;
use crate::settings::Settings;
use crate::wiring;

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

    /// Opens the store, which is created where there is none.
    pub(crate) fn store(data: &Path) -> Result<Arc<SqliteStore>, Failure> {
        Ok(Arc::new(SqliteStore::open(data)?))
    }

    /// Opens a store that is there; without one an empty one that is kept nowhere. A folder that is not there is an error when
    /// it was named.
    pub(crate) fn kept_store(&self, data: &Path) -> Result<Arc<SqliteStore>, Failure> {
        if data.join(DATABASE).exists() { Self::store(data) } else { self.empty_store(data) }
    }

    /// The same for what only reads: also a copy of the folder that takes no writes.
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
    pub(crate) fn refuse_demo_data(data: &Path) -> Result<(), Failure> {
        if !data.join(SANDBOX_FILE).exists() {
            return Ok(());
        }
        let message = format!("the data folder `{}` belongs to the demo, whose clouds exist only while it runs", data.display());
        let hint = format!(
            "start it with `stanch up --demo --data {}`, or name another folder with `--data DIR`",
            quoted(&data.display().to_string())
        );
        Err(Failure::new(Code::Refused, message).hint(hint))
    }

    /// An engine over the real clouds.
    pub(crate) fn engine(&self, rules: Option<&Path>, store: Arc<dyn Store>) -> Result<Engine, Failure> {
        let (clouds, sources) = wiring::real_clouds(&self.settings)?;
        self.engine_over(rules, clouds, sources, store)
    }

    /// An engine over given clouds.
    pub(crate) fn engine_over(
        &self,
        rules: Option<&Path>,
        clouds: Arc<dyn CloudApi>,
        sources: Arc<dyn FindingSource>,
        store: Arc<dyn Store>,
    ) -> Result<Engine, Failure> {
        let rules = wiring::rules(rules.or(self.settings.rules.as_deref()))?;
        let (queue, _bell) = LocalQueue::new(Arc::new(wiring::now));
        Ok(wiring::engine(&self.settings, rules, clouds, sources, store, Arc::new(queue))?)
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
