//! What can go wrong in a task.

use std::error::Error;
use std::path::Path;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// A file or a process.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it did not work.
        #[source]
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("`{command}` failed: {how}")]
    Command {
        /// As one would type it.
        command: String,
        /// Exit status and, where it was not shown, the end of its output.
        how: String,
    },
    /// A file does not hold what it should.
    #[error("cannot read `{file}`: {reason}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something needed is not there.
    #[error("{0}")]
    Missing(String),
    /// A check found something; the findings were printed.
    #[error("{0}")]
    Found(String),
}

impl Fault {
    /// For `map_err` on file and process errors.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Fault::Io { doing, source }
    }

    /// For `map_err` on the content of a file.
    pub(crate) fn content<E: std::fmt::Display>(file: &Path) -> impl FnOnce(E) -> Self {
        let file = file.display().to_string();
        move |reason| Fault::Content { file, reason: reason.to_string() }
    }

    /// The fault and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}
