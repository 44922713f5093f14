//! Secure scores: the latest of each scope and name, kept beside the findings they sum up.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use stanch_core::normalize::Score;
use stanch_core::port::{Store, StoreError};

use crate::{Engine, EngineError};

/// Which scopes have scores.
const SCOPES: &str = "scores";
/// How often a value that others keep changing is tried; then the event comes again.
const TRIES: usize = 16;

/// The scores of one scope by their name.
type Scores = BTreeMap<String, Score>;

impl Engine {
    /// Keeps a score. One that is older than what is kept changes nothing.
    pub(crate) async fn keep_score(&self, score: Score) -> Result<(), EngineError> {
        let scope = score.scope.clone();
        self.change_value(&of(&scope), |kept: &mut Scores| match kept.get(&score.name) {
            Some(known) if known.time > score.time || *known == score => false,
            _ => {
                kept.insert(score.name.clone(), score.clone());
                true
            }
        })
        .await?;
        self.change_value(SCOPES, |kept: &mut BTreeSet<String>| kept.insert(scope.clone())).await
    }

    /// Changes a named value together with others who do; `change` says whether it did anything.
    async fn change_value<T: Default + Serialize + DeserializeOwned>(
        &self,
        name: &str,
        change: impl Fn(&mut T) -> bool,
    ) -> Result<(), EngineError> {
        let store = &self.ports.store;
        for _ in 0..TRIES {
            let kept = store.value(name).await?;
            let mut value: T = read(kept.as_deref());
            if !change(&mut value) {
                return Ok(());
            }
            let text = serde_json::to_string(&value).unwrap_or_default();
            if store.set_value(name, kept.as_deref(), Some(&text)).await? {
                return Ok(());
            }
        }
        Err(StoreError::Conflict { id: name.to_owned() }.into())
    }
}

/// Every score that is kept, by scope and name.
pub async fn list(store: &dyn Store) -> Result<Vec<Score>, StoreError> {
    let mut all = Vec::new();
    for scope in read::<BTreeSet<String>>(store.value(SCOPES).await?.as_deref()) {
        all.extend(read::<Scores>(store.value(&of(&scope)).await?.as_deref()).into_values());
    }
    Ok(all)
}

fn of(scope: &str) -> String {
    format!("scores{scope}")
}

/// What a newer program wrote differently counts as nothing: the next score replaces it.
fn read<T: Default + DeserializeOwned>(kept: Option<&str>) -> T {
    kept.and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default()
}
