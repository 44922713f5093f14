//! Decide: the first rule that matches a finding says what happens to it. Pure, and closed on every doubt.

use serde::{Deserialize, Serialize};

use crate::cloud::Resource;
use crate::expr::Scope;
use crate::finding::{Activity, Finding};
use crate::rule::{Approvers, AutomationRule, Limits, Mode, RuleSet, Step};

/// What the rules say about one finding on one resource, kept with the remediation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The rule that decided; none when no rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How far it goes.
    pub mode: Mode,
    /// What is to be done, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How much the rule may do.
    #[serde(default)]
    pub limits: Limits,
    /// Who may approve.
    #[serde(default)]
    pub approvers: Approvers,
    /// Fixes that may run on schema evidence only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept_unproven: Vec<String>,
    /// Why, in the order it was found out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Rules that might have decided and could not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// A rule that covers the finding and was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub rule: String,
    /// Why: its condition failed, or it has expired.
    pub why: String,
}

impl Decision {
    /// Only keep the finding, for this reason.
    pub fn record(reason: impl Into<String>) -> Self {
        Decision { reasons: vec![reason.into()], ..Decision::default() }
    }
}

/// Asks the rules about a finding on one of its resources. `now_ms` is milliseconds since the Unix epoch.
///
/// A rule whose condition cannot be evaluated is passed over and recorded. It might have been the one that forbids, so a rule
/// after it no longer writes unasked: `auto` becomes `approve`.
pub fn decide(rules: &RuleSet, finding: &Finding<'_>, resource: &Resource<'_>, now_ms: i64) -> Decision {
    if finding.sample {
        return Decision::record("a sample or test finding is never acted on");
    }
    if !finding.is_open() {
        return Decision::record(closed(finding));
    }
    let scope = Scope::new().finding(finding).resource(resource).now(now_ms);
    let mut skipped = Vec::new();
    let mut failed: Option<&str> = None;
    for rule in rules.iter().filter(|rule| rule.enabled && rule.covers(finding, resource)) {
        if rule.is_expired(now_ms) {
            let why = rule.expires.map_or_else(String::new, |last| format!("expired: its last day was {last}"));
            skipped.push(Skipped { rule: rule.name.clone(), why });
            continue;
        }
        match holds(rule, &scope) {
            Ok(true) => return decided(rule, failed, skipped),
            Ok(false) => {}
            Err(why) => {
                failed.get_or_insert(&rule.name);
                skipped.push(Skipped { rule: rule.name.clone(), why });
            }
        }
    }
    Decision { skipped, ..Decision::record("no rule matches") }
}

fn decided(rule: &AutomationRule, failed: Option<&str>, skipped: Vec<Skipped>) -> Decision {
    let condition = rule.when.as_ref().map(|when| when.source().split_whitespace().collect::<Vec<_>>().join(" "));
    let mut reasons = vec![match condition {
        Some(condition) => format!("rule `{}` matches: {condition}", rule.name),
        None => format!("rule `{}` matches: it has no condition", rule.name),
    }];
    let mut mode = rule.mode;
    if let Some(failed) = failed.filter(|_| mode.writes_unasked()) {
        reasons.push(format!("rule `{failed}` comes first and could not be evaluated, so `{mode}` becomes `approve`"));
        mode = Mode::Approve;
    }
    Decision {
        rule: Some(rule.name.clone()),
        mode,
        steps: rule.steps.clone(),
        limits: rule.limits,
        approvers: rule.approvers,
        accept_unproven: rule.accept_unproven.clone(),
        reasons,
        skipped,
    }
}

fn holds(rule: &AutomationRule, scope: &Scope<'_>) -> Result<bool, String> {
    let Some(when) = &rule.when else { return Ok(true) };
    let expr = when.expr().map_err(ToString::to_string)?;
    expr.test(scope).map_err(|e| e.to_string())
}

fn closed(finding: &Finding<'_>) -> String {
    if finding.activity == Activity::Close {
        "the source closed the finding".to_owned()
    } else if finding.status.is_open() {
        "the check passes".to_owned()
    } else {
        format!("the source says {}", finding.status.caption().to_lowercase())
    }
}

#[cfg(test)]
mod tests;
