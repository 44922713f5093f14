//! Expressions: CEL over findings and observed state. The only module that names the `cel` crate.
//!
//! What stanch adds to CEL: only names of a [`Dialect`] may be used (a misspelt one is a compile error); a known but absent
//! attribute, map key or list index is `null`, and so is every member of `null`; `has(x.y)` means `x.y != null`. Values are
//! borrowed: nothing is converted before an expression asks for it.

mod compile;
mod dialect;
mod function;
mod limit;
mod stack;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;

use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, IdedExpr};
use serde_json::Value;

use crate::cloud::Resource;
use crate::finding::Finding;

pub use dialect::{Dialect, nearest};

/// A compiled condition or value expression. Cheap to clone.
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    source: String,
    roots: Vec<String>,
    tree: IdedExpr,
    /// Levels of the tree: how deep the evaluation recurses.
    depth: usize,
}

/// Trees up to this depth run on the caller's stack: at most 0.5 MB of it in a debug build.
const SHALLOW: usize = 12;

/// Why an expression cannot be compiled or evaluated. Evaluation errors name types, never values: a value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {message}{}", one_line(expression), hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
pub struct ExprError {
    /// The expression's source.
    pub expression: String,
    /// Byte offset of the fault in the source, where it is known.
    pub offset: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it: `did you mean ...?`.
    pub hint: Option<String>,
}

/// The variables of one evaluation, borrowed.
#[derive(Clone, Debug, Default)]
pub struct Scope<'v> {
    bound: Vec<(&'v str, Bound<'v>)>,
    now: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Bound<'v> {
    Json(&'v Value),
    Finding(&'v Finding<'v>),
    Resource(&'v Resource<'v>),
}

impl Expr {
    /// Compiles `source`. Refused are: over 4 KB or nested deeper than 32, bad syntax, names and functions outside `dialect`, a
    /// literal regular expression that does not compile.
    pub fn compile(source: &str, dialect: &Dialect) -> Result<Expr, ExprError> {
        compile::compile(source, dialect).map(|compiled| Expr(Arc::new(compiled)))
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The variables it names, sorted; no constants, no loop variables.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.0.roots.iter().map(String::as_str)
    }

    /// The value under `scope`. Whole numbers stay whole; a map's keys are sorted.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Value, ExprError> {
        self.run(scope, value::to_json)
    }

    /// The truth under `scope`; anything but a boolean is an error.
    pub fn test(&self, scope: &Scope<'_>) -> Result<bool, ExprError> {
        self.run(scope, |value| {
            value::boolean(value).ok_or_else(|| format!("a condition must be true or false, and this is {}", value::kind_of(value)))
        })
    }

    fn run<T: Send>(&self, scope: &Scope<'_>, finish: fn(&dyn Val) -> Result<T, String>) -> Result<T, ExprError> {
        let work = || {
            let mut context = Context::with_env(function::env());
            context.set_variable_resolver(scope);
            let value = cel::Value::resolve_val(&self.0.tree, &context).map_err(|e| function::describe(&e))?;
            finish(value.as_ref())
        };
        let result = if self.0.depth <= SHALLOW {
            work()
        } else {
            stack::deep(work).unwrap_or_else(|| Err("could not be evaluated: no thread to run it on".to_owned()))
        };
        result.map_err(|message| self.error(message))
    }

    fn error(&self, message: String) -> ExprError {
        ExprError { expression: self.0.source.clone(), offset: None, message, hint: None }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({:?})", self.0.source)
    }
}

/// Equal when compiled from the same text.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Expr {}

impl ExprError {
    /// Line and column (1-based, the column in characters) of the fault inside the expression.
    pub fn position(&self) -> Option<(usize, usize)> {
        let before = self.expression.get(..self.offset?)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }
}

impl<'v> Scope<'v> {
    /// No variables.
    pub fn new() -> Self {
        Scope::default()
    }

    /// Binds `name` to JSON. A later binding of one name hides the earlier.
    #[must_use]
    pub fn json(self, name: &'v str, value: &'v Value) -> Self {
        self.bind(name, Bound::Json(value))
    }

    /// Binds `finding`.
    #[must_use]
    pub fn finding(self, finding: &'v Finding<'v>) -> Self {
        self.bind("finding", Bound::Finding(finding))
    }

    /// Binds `resource`.
    #[must_use]
    pub fn resource(self, resource: &'v Resource<'v>) -> Self {
        self.bind("resource", Bound::Resource(resource))
    }

    /// The time `finding.age_days` counts to, in milliseconds since the Unix epoch. Without it the age is `null`.
    #[must_use]
    pub fn now(mut self, now_ms: i64) -> Self {
        self.now = Some(now_ms);
        self
    }

    fn bind(mut self, name: &'v str, value: Bound<'v>) -> Self {
        self.bound.push((name, value));
        self
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let bound = self.bound.iter().rev().find(|(name, _)| *name == variable).map(|(_, bound)| *bound);
        match bound {
            Some(Bound::Json(json)) => Some(CowVal::Owned(value::json(json))),
            Some(Bound::Finding(finding)) => Some(CowVal::Owned(value::finding(finding, self.now))),
            Some(Bound::Resource(resource)) => Some(CowVal::Owned(value::resource(resource))),
            None => dialect::constant(variable).map(|id| CowVal::Borrowed(id)),
        }
    }
}

/// The source on one line, cut after 120 characters.
fn one_line(source: &str) -> String {
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(120).and_then(|(at, _)| line.get(..at)) {
        Some(head) => format!("{head}..."),
        None => line,
    }
}
