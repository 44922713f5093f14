//! What a change gave: read off its answer, or off the read that looks for what it made.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::FindCall;
use crate::api::ApiResponse;
use crate::expr::{Dialect, Expr, ExprError, Scope};
use crate::fix::{is_listed, more_pages};

/// Why the answer to a [`FindCall`] does not tell what a change made. None of them means "nothing".
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The read was refused.
    #[error("the read that looks for it answered {status} {code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The vendor's code.
        code: String,
        /// The message.
        message: String,
    },
    /// The answer goes on elsewhere.
    #[error("the read that looks for it has more pages (`{member}`)")]
    MorePages {
        /// The member that says so.
        member: String,
    },
    /// Some of the results are there and some are not.
    #[error("the read that looks for it gives {} and not {}", .there.join(", "), .missing.join(", "))]
    Partial {
        /// Names of results that are there.
        there: Vec<String>,
        /// Names of results that are not.
        missing: Vec<String>,
    },
    /// An expression failed on the answer.
    #[error("the read that looks for it answered something else than expected")]
    Expression(#[from] Box<ExprError>),
}

/// What the change made, by the answer to its find: its results, or `None` when it made nothing. An answer that says
/// "later" ([`ApiResponse::is_retryable`]) is an error here: ask again.
pub fn found(find: &FindCall, response: &ApiResponse) -> Result<Option<BTreeMap<String, Value>>, FindError> {
    if let Some(fault) = &response.fault {
        if is_listed(&find.absent, fault, response.status) {
            return Ok(None);
        }
        return Err(FindError::Refused { status: response.status, code: fault.code.clone(), message: fault.message.clone() });
    }
    if let Some(member) = more_pages(&response.body) {
        return Err(FindError::MorePages { member: member.to_owned() });
    }
    let given = results(&find.gives, response).map_err(Box::new)?;
    let names = |null: bool| given.iter().filter(|(_, v)| v.is_null() == null).map(|(name, _)| name.clone()).collect::<Vec<_>>();
    match (names(false), names(true)) {
        (there, _) if there.is_empty() => Ok(None),
        (_, missing) if missing.is_empty() => Ok(Some(given)),
        (there, missing) => Err(FindError::Partial { there, missing }),
    }
}

/// The values of these expressions over an answer (`response`, `header`), by name; `null` is absent.
pub fn results(gives: &[(String, String)], response: &ApiResponse) -> Result<BTreeMap<String, Value>, ExprError> {
    let dialect = Dialect::fix(["response".to_owned(), "header".to_owned()]);
    let headers: Value = response.headers.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<Map<_, _>>().into();
    let scope = Scope::new().json("response", &response.body).json("header", &headers);
    let value = |source: &str| Expr::compile(source, &dialect)?.eval(&scope);
    gives.iter().map(|(name, source)| Ok((name.clone(), value(source)?))).collect()
}
