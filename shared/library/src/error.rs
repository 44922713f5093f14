//! What can be wrong with the library.

use stanch_core::diagnostic::Diagnostic;

/// Why a fix cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A file cannot be read.
    #[error("cannot read `{file}`: {reason}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A fix file has mistakes.
    #[error("{}", join(mistakes))]
    Fix {
        /// Each with its place.
        mistakes: Vec<Diagnostic>,
    },
    /// Two files carry one name.
    #[error("fix `{name}` stands twice, in {first} and in {second}\nhint: rename one of them")]
    Duplicate {
        /// The name.
        name: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// No such fix.
    #[error("there is no fix `{name}`{}\nhint: `stanch fixes list` shows all", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest known one.
        near: Option<String>,
    },
}

fn join(mistakes: &[Diagnostic]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
