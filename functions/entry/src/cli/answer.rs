//! `stanch approve`, `reject`, `undo`, `reopen` and `due`: through the server that works on the state where one runs, else here.

use std::path::Path;

use serde_json::{Value, json};
use stanch_core::remediation::{Remediation, RemediationId};
use stanch_engine::Engine;

use super::context::{Context, Kept, find};
use super::drive::{OUTBOX, deadline, drive, next_step, not_put_back, not_reopened, show, unfixed, watch};
use super::failure::{Code, Failure};
use super::output::{print, print_json};
use super::show::Page;
use super::text::time;
use super::{RulesArg, WaitArg};
use crate::local::LocalServer;
use crate::times;

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Approve {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
    /// Approve only the plan with this hash (at least 12 characters)
    #[arg(long, value_name = "PLAN-HASH", value_parser = super::plan_hash)]
    plan: Option<String>,
    #[command(flatten)]
    wait: WaitArg,
}

/// Arguments of `reject`.
#[derive(Debug, clap::Args)]
pub(crate) struct Reject {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: String,
}

/// Arguments of `undo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Undo {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
    /// Only show what would be put back
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    wait: WaitArg,
}

/// Arguments of `reopen`.
#[derive(Debug, clap::Args)]
pub(crate) struct Reopen {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
    #[command(flatten)]
    rules: RulesArg,
    #[command(flatten)]
    wait: WaitArg,
}

/// Arguments of `due`.
#[derive(Debug, clap::Args)]
pub(crate) struct Due {
    /// The remediation: its id, or at least 6 of its first digits
    remediation: String,
    /// `2026-01-31` (until its end, UTC), `2026-01-31T08:00:00Z`, or `none`
    #[arg(value_name = "DATE", value_parser = due_text)]
    due: String,
}

fn due_text(text: &str) -> Result<String, String> {
    times::due(text).map(|_| text.to_owned())
}

/// What does the work: the server that runs on the same state, or an engine in this process.
pub(super) enum Hand {
    Server(LocalServer),
    Here(Box<Engine>),
}

impl Hand {
    pub(super) fn new(context: &Context, kept: &Kept, rules: Option<&Path>) -> Result<Self, Failure> {
        if let Some(server) = context.server(&kept.data) {
            return Ok(Hand::Server(server));
        }
        context.refuse_demo_data(&kept.data)?;
        Ok(Hand::Here(Box::new(context.engine(rules, &kept.state)?)))
    }
}

/// A remediation that is to be answered.
struct Question<'c> {
    context: &'c Context,
    kept: Kept,
    hand: Hand,
    id: RemediationId,
}

impl<'c> Question<'c> {
    async fn new(context: &'c Context, text: &str, rules: Option<&Path>) -> Result<Self, Failure> {
        let kept = context.kept().await?;
        let id = find(kept.store(), text).await?;
        let hand = Hand::new(context, &kept, rules)?;
        Ok(Question { context, kept, hand, id })
    }

    /// Has the server do it.
    async fn post(server: &LocalServer, id: RemediationId, verb: &str, body: Value) -> Result<Value, Failure> {
        Ok(server.post(&format!("/api/remediations/{id}/{verb}"), body).await?)
    }

    async fn load(&self) -> Result<Remediation, Failure> {
        Ok(self.kept.store().load(self.id).await?.ok_or(stanch_engine::EngineError::Unknown(self.id))?)
    }

    /// Follows it until it rests, and tells the outside.
    async fn follow(&self, wait: &WaitArg) -> Result<Remediation, Failure> {
        let (until, out) = (deadline(wait.get()), self.context.out);
        match &self.hand {
            Hand::Server(_) => watch(self.kept.store(), self.id, until, out).await,
            Hand::Here(engine) => {
                let case = drive(engine, self.id, until, out).await?;
                engine.send_outbox(OUTBOX).await?;
                Ok(case)
            }
        }
    }

    /// Shows where it rests; what is not as wished is the failure.
    fn end(&self, case: Remediation, wrong: Option<(Code, String)>) -> Result<(), Failure> {
        let hint = next_step(&case, &self.context.data_again);
        let shown = show(self.context.out, &[case]);
        match (wrong, hint) {
            (None, _) => shown,
            (Some((code, message)), Some(hint)) => Err(Failure::new(code, message).hint(hint)),
            (Some((code, message)), None) => Err(Failure::new(code, message)),
        }
    }
}

/// Approves a waiting plan and follows it.
pub(crate) async fn approve(context: &Context, arguments: &Approve) -> Result<(), Failure> {
    let question = Question::new(context, &arguments.remediation, None).await?;
    let (id, by) = (question.id, context.by());
    match &question.hand {
        Hand::Server(server) => drop(Question::post(server, id, "approve", json!({"hash": arguments.plan})).await?),
        Hand::Here(engine) => drop(engine.approve(id, &by, arguments.plan.as_deref()).await?),
    }
    let case = question.follow(&arguments.wait).await?;
    let wrong = unfixed(&case);
    question.end(case, wrong)
}

/// Declines a waiting plan.
pub(crate) async fn reject(context: &Context, arguments: &Reject) -> Result<(), Failure> {
    let question = Question::new(context, &arguments.remediation, None).await?;
    let (id, by) = (question.id, context.by());
    match &question.hand {
        Hand::Server(server) => drop(Question::post(server, id, "reject", json!({"why": arguments.why})).await?),
        Hand::Here(engine) => drop(engine.reject(id, &by, &arguments.why).await?),
    }
    let case = question.load().await?;
    question.end(case, None)
}

/// Shows the plan that puts a fix back and, unless only that was asked for, puts it back.
pub(crate) async fn undo(context: &Context, arguments: &Undo) -> Result<(), Failure> {
    let question = Question::new(context, &arguments.remediation, None).await?;
    let (id, by, out) = (question.id, context.by(), context.out);
    let (plan, guard) = match &question.hand {
        Hand::Server(server) => {
            let answer = Question::post(server, id, "undo", json!({"plan": true})).await?;
            let read = |name: &str| answer.get(name).cloned().unwrap_or_default();
            let wrong = |e: serde_json::Error| Failure::new(Code::Outside, format!("the server's answer is not an undo plan: {e}"));
            (serde_json::from_value(read("plan")).map_err(wrong)?, serde_json::from_value(read("guard")).map_err(wrong)?)
        }
        Hand::Here(engine) => engine.undo_plan(id).await?,
    };
    let hash = stanch_core::plan::Plan::hash(&plan);
    if out.json && arguments.plan {
        return print_json(&json!({"hash": hash, "plan": plan, "guard": guard}));
    }
    if !out.json {
        let mut page = Page::new(out.colour);
        page.plan(&plan, &hash, Some(&guard));
        page.gap();
        match print(&page.finish()) {
            // That nobody reads on does not call the undo off.
            Err(Failure::Closed) if !arguments.plan => {}
            other => other?,
        }
    }
    if arguments.plan {
        return Ok(());
    }
    match &question.hand {
        Hand::Server(server) => drop(Question::post(server, id, "undo", json!({})).await?),
        Hand::Here(engine) => drop(engine.undo(id, &by).await?),
    }
    let case = question.follow(&arguments.wait).await?;
    let wrong = not_put_back(&case);
    question.end(case, wrong)
}

/// Has a remediation planned again.
pub(crate) async fn reopen(context: &Context, arguments: &Reopen) -> Result<(), Failure> {
    let question = Question::new(context, &arguments.remediation, arguments.rules.folder()).await?;
    let (id, by) = (question.id, context.by());
    match &question.hand {
        Hand::Server(server) => drop(Question::post(server, id, "reopen", json!({})).await?),
        Hand::Here(engine) => drop(engine.reopen(id, &by).await?),
    }
    let case = question.follow(&arguments.wait).await?;
    let wrong = not_reopened(&case);
    question.end(case, wrong)
}

/// Agrees on a due date, or on none.
pub(crate) async fn due(context: &Context, arguments: &Due) -> Result<(), Failure> {
    let question = Question::new(context, &arguments.remediation, None).await?;
    let (id, by) = (question.id, context.by());
    let due = times::due(&arguments.due).map_err(|wrong| Failure::new(Code::Input, wrong))?;
    match &question.hand {
        Hand::Server(server) => drop(Question::post(server, id, "due", json!({"due": arguments.due})).await?),
        Hand::Here(engine) => engine.set_due(id, due, &by).await?,
    }
    if context.out.json {
        return print_json(&question.load().await?);
    }
    match due {
        Some(at) => context.out.note(&format!("{id} is due until {}", time(at))),
        None => context.out.note(&format!("{id} has no due date")),
    }
    Ok(())
}
