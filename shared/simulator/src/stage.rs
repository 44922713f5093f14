//! What all runs share and none changes: the library, its fixes compiled once, and the rules to choose from.

use std::sync::Arc;

use stanch_core::guard::Protected;
use stanch_core::rule::RuleSet;
use stanch_library::Library;

use crate::rng::Rng;

/// What all runs share. Made once per process: compiling the fixes takes longer than many runs.
#[derive(Clone)]
pub struct Stage {
    pub(crate) library: Arc<Library>,
    pub(crate) protected: Arc<Protected>,
    rules: Vec<Arc<RuleSet>>,
}

impl Stage {
    /// Loads the library and compiles every fix.
    pub fn load() -> Result<Self, String> {
        let library = Library::builtin().map_err(|e| e.to_string())?;
        let mut names = Vec::new();
        for fix in library.all() {
            names.push(fix.map_err(|e| e.to_string())?.name.clone());
        }
        let protected = stanch_library::protected().map_err(|e| e.to_string())?;
        let mut rules = Vec::new();
        for mode in ["auto", "auto", "auto", "approve", "plan"] {
            for limits in ["{per_hour: 100}", "{per_hour: 1}", "{per_hour: 2}", "{per_hour: 100, per_account: 1}"] {
                for another in [false, true] {
                    let text = format!(
                        "rule: everything\nmode: {mode}\nscope: ['*']\naccept_unproven: [{}]\nlimits: {limits}\n\
                         approvers: {{another_person: {another}}}\ndo:\n  - fix: recommended\n  - notify: {{channel: ops}}\n",
                        names.join(", ")
                    );
                    let set = RuleSet::load([("rules.yaml", text)]).map_err(|e| format!("{e:?}"))?;
                    rules.push(Arc::new(set));
                }
            }
        }
        Ok(Stage { library: Arc::new(library), protected: Arc::new(protected), rules })
    }

    /// The rules of one run.
    pub(crate) fn rules(&self, rng: &mut Rng) -> Arc<RuleSet> {
        rng.pick(&self.rules).cloned().unwrap_or_default()
    }
}
