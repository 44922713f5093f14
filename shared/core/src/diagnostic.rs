//! A mistake in a file people write (fix, rule), shown with its place and the next step.

use std::fmt;

/// An error with its causes, joined by `: `.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// One mistake: where it is, what it is, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the user named it.
    pub file: String,
    /// 1-based line; 0 when the mistake has no place.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The line itself, for the reader.
    pub snippet: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place of `source`.
    pub fn at(file: &str, source: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let snippet = line.checked_sub(1).and_then(|n| source.lines().nth(n)).map(str::to_owned);
        Diagnostic { file: file.to_owned(), line, column, message: message.into(), hint: None, snippet }
    }

    /// A mistake without a place in the file.
    pub fn of(file: &str, message: impl Into<String>) -> Self {
        Diagnostic { file: file.to_owned(), line: 0, column: 0, message: message.into(), hint: None, snippet: None }
    }

    /// The same with a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// From a YAML error: keeps its own position; the parser's snippet is replaced by ours.
    pub fn yaml(file: &str, source: &str, error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((0, 0), |l| (l.line() as usize, l.column() as usize));
        let text = error.to_string();
        let message = text.lines().next().unwrap_or("not readable YAML");
        let message = message.rsplit_once(" at line ").map_or(message, |(head, _)| head);
        Diagnostic::at(file, source, line, column, message.trim_start_matches("error: "))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
        } else {
            write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        }
        if let Some(snippet) = &self.snippet {
            let gutter = self.line.to_string();
            let pad = " ".repeat(gutter.len());
            write!(f, "\n{pad} |\n{gutter} | {snippet}\n{pad} | {}^", " ".repeat(self.column.saturating_sub(1)))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_shows_its_line() {
        let shown = Diagnostic::at("a.yaml", "x: 1\nwhen: fo\n", 2, 7, "unknown variable `fo`").hint("did you mean `foo`?").to_string();
        assert_eq!(shown, "a.yaml:2:7: unknown variable `fo`\n  |\n2 | when: fo\n  |       ^\nhint: did you mean `foo`?");
    }
}
