//! The functions, in one list: the Functions host, the local server and the Lambda program all call through it.

use serde_json::{Map, Value};
use stanch_core::port::BoxFuture;
use stanch_engine::trigger::{Invocation, Receipt};
use stanch_engine::{Engine, EngineError};
use tracing::Instrument;

use crate::recognize::recognize;

/// One function.
pub struct Function {
    /// Its folder's name, and the last part of its URL.
    pub name: &'static str,
    /// The trigger's binding.
    pub binding: &'static str,
    /// Whether its trigger is an HTTP request that wants an answer.
    pub http: bool,
    run: for<'a> fn(&'a Engine, &'a Invocation) -> BoxFuture<'a, Result<Answer, EngineError>>,
}

/// What a function answers.
#[derive(Debug)]
pub struct Answer {
    /// The answer's JSON.
    pub body: Value,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a function's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was sent is kept; the work follows.
    Accepted,
    /// What was asked is answered, and nothing follows (a sender's handshake).
    Answered,
    /// Nothing of what was sent could be used.
    Refused,
}

impl Function {
    /// Runs it.
    pub async fn run(&self, engine: &Engine, invocation: &Invocation) -> Result<Answer, EngineError> {
        (self.run)(engine, invocation).instrument(tracing::error_span!("invocation", function = self.name)).await
    }

    /// Runs it on a raw body, as the local server gets it.
    pub async fn run_raw(&self, engine: &Engine, body: String) -> Result<Answer, EngineError> {
        let data = Map::from_iter([(self.binding.to_owned(), Value::String(body))]);
        self.run(engine, &Invocation { data, metadata: Map::new() }).await
    }
}

macro_rules! intake {
    ($module:ident, $http:expr) => {
        Function {
            name: $module::NAME,
            binding: $module::BINDING,
            http: $http,
            run: |engine, invocation| Box::pin(async move { Ok(receipt($module::handle(engine, invocation).await?)) }),
        }
    };
}

/// All of them.
pub const FUNCTIONS: &[Function] = &[
    intake!(stanch_defender_alert, false),
    intake!(stanch_defender_recommendation, false),
    intake!(stanch_defender_compliance, false),
    intake!(stanch_securityhub_finding, true),
    intake!(stanch_scc_finding, true),
    intake!(stanch_ocsf_finding, true),
    Function {
        name: stanch_manual_run::NAME,
        binding: stanch_manual_run::BINDING,
        http: true,
        run: |engine, invocation| Box::pin(async move { Ok(done(stanch_manual_run::handle(engine, invocation, recognize).await?)) }),
    },
    Function {
        name: stanch_remediate::NAME,
        binding: stanch_remediate::BINDING,
        http: false,
        run: |engine, invocation| Box::pin(async move { Ok(done(stanch_remediate::handle(engine, invocation).await?)) }),
    },
    Function {
        name: stanch_reconcile::NAME,
        binding: "timer",
        http: false,
        run: |engine, _| Box::pin(async move { Ok(done(stanch_reconcile::handle(engine).await?)) }),
    },
];

/// A function by its folder's name, exact case.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

/// The names, for messages.
pub fn names() -> String {
    FUNCTIONS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
}

fn receipt(receipt: Receipt) -> Answer {
    if let Some(reply) = receipt.reply.as_deref().and_then(|reply| serde_json::from_str(reply).ok()) {
        return Answer { body: reply, verdict: Verdict::Answered };
    }
    let verdict = if receipt.is_refused() { Verdict::Refused } else { Verdict::Accepted };
    Answer { verdict, body: serde_json::to_value(receipt).unwrap_or_default() }
}

fn done(body: Value) -> Answer {
    Answer { body, verdict: Verdict::Accepted }
}
