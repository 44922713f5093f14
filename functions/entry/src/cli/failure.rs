//! Why a command ended without what was asked, as people and scripts see it.

use std::error::Error;

use stanch_core::plan::PlanError;
use stanch_core::port::StoreError;
use stanch_engine::EngineError;
use stanch_library::LibraryError;

use crate::local::LocalError;
use crate::server::UpError;
use crate::wiring::WiringError;

/// The exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// Refused by a gate, or something wrong was found.
    Refused = 1,
    /// The input is wrong.
    Input = 2,
    /// A cloud or the store failed.
    Outside = 3,
}

/// One error message and the next step, where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// How a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// These messages are to be shown.
    Said(Code, Vec<Said>),
    /// Everything was said already.
    Told(Code),
    /// Nobody reads our output any more: a quiet end.
    Closed,
}

impl Said {
    /// A message whose last line may be a hint, as errors below this crate carry it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        match text.rsplit_once("\nhint: ") {
            Some((message, hint)) if !hint.contains('\n') => Said { message: message.to_owned(), hint: Some(hint.to_owned()) },
            _ => Said { message: text, hint: None },
        }
    }

    /// The same with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Failure {
    /// One message.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure::Said(code, vec![Said::new(message)])
    }

    /// An error with its causes.
    pub(crate) fn of(code: Code, error: &dyn Error) -> Self {
        Failure::new(code, chain(error))
    }

    /// The same with a next step after the last message.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Failure::Said(_, messages) = &mut self
            && let Some(last) = messages.last_mut()
        {
            last.hint = Some(hint.into());
        }
        self
    }
}

/// An error and its causes, joined by `: `. A cause that repeats what was said already is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// Which exit code an error of the engine means.
pub(crate) fn code_of(error: &EngineError) -> Code {
    match error {
        EngineError::Store(_)
        | EngineError::Api(_)
        | EngineError::Throttled { .. }
        | EngineError::Source(_)
        | EngineError::Panicked(_)
        | EngineError::Plan { error: PlanError::Read { .. } } => Code::Outside,
        EngineError::Normalize(_) | EngineError::Unknown(_) | EngineError::Fixes(_) | EngineError::Invocation(_) => Code::Input,
        EngineError::Plan { .. } | EngineError::Target(_) | EngineError::Illegal(_) | EngineError::Refused(_) => Code::Refused,
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let failure = Failure::of(code_of(&error), &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::of(Code::Outside, &error)
    }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Fix { mistakes } => Failure::Said(Code::Input, mistakes.iter().map(|m| Said::new(m.to_string())).collect()),
            other => Failure::of(Code::Input, &other),
        }
    }
}

impl From<WiringError> for Failure {
    fn from(error: WiringError) -> Self {
        match error {
            WiringError::Rules(mistakes) => Failure::Said(Code::Input, mistakes.iter().map(|m| Said::new(m.to_string())).collect()),
            WiringError::Library(error) => error.into(),
            WiringError::Store(error) => error.into(),
            other => Failure::of(Code::Input, &other),
        }
    }
}

/// Who failed when the local server did not do what it was asked.
pub(crate) fn local_code(error: &LocalError) -> Code {
    match error {
        LocalError::Unreachable { .. } | LocalError::Refused { status: 500.., .. } => Code::Outside,
        LocalError::Refused { .. } => Code::Refused,
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        Failure::of(local_code(&error), &error)
    }
}

impl From<UpError> for Failure {
    fn from(error: UpError) -> Self {
        match error {
            UpError::Wiring(error) => error.into(),
            UpError::NotLoopback(_) => Failure::of(Code::Input, &error),
            other => Failure::of(Code::Outside, &other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_message_becomes_its_hint() {
        let said = Said::new("no fix `a`\nhint: `stanch fixes list` shows all");
        assert_eq!(said, Said { message: "no fix `a`".into(), hint: Some("`stanch fixes list` shows all".into()) });
        assert_eq!(Said::new("plain").hint, None);
        let middle = "a\nhint: b\nc";
        assert_eq!(Said::new(middle), Said { message: middle.into(), hint: None });
    }

    #[test]
    fn errors_of_the_engine_have_the_exit_code_of_who_failed() {
        for (error, expected) in [
            (EngineError::Refused("no".into()), Code::Refused),
            (EngineError::Store(StoreError::Unavailable { reason: "locked".into() }), Code::Outside),
            (EngineError::Invocation("bad".into()), Code::Input),
        ] {
            assert_eq!(code_of(&error), expected, "{error}");
        }
    }
}
