//! Guards: everything that may stop a plan, pure over recorded facts. Unsure means no.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cloud::Text;
use crate::decide::Decision;
use crate::finding::Millis;
use crate::fix::UndoClass;
use crate::plan::{Plan, PlanKind};
use crate::port::Hold;
use crate::rule::Mode;

/// What a guard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// Only with a person's approval.
    Ask,
    /// Not at all.
    Refuse,
}

/// One guard's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The guard: `kill-switch`, `cap`, `hold`, `protected`, `evidence`, `undo`, `containment`, `mode`.
    pub guard: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, for people.
    pub why: String,
}

/// Every guard's word on one plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReport {
    /// In the order they were asked.
    pub checks: Vec<Check>,
}

impl GuardReport {
    /// The strictest word. A report without checks refuses.
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|c| c.verdict).max().unwrap_or(Verdict::Refuse)
    }

    /// The reasons of the strictest word, joined.
    pub fn why(&self) -> String {
        let verdict = self.verdict();
        let reasons: Vec<&str> = self.checks.iter().filter(|c| c.verdict == verdict).map(|c| c.why.as_str()).collect();
        reasons.join("; ")
    }

    fn add(&mut self, guard: &str, verdict: Verdict, why: impl Into<String>) {
        self.checks.push(Check { guard: guard.to_owned(), verdict, why: why.into() });
    }
}

/// What the engine found out before it asks the guards. `None` is "could not be found out", and refuses.
#[derive(Clone, Debug)]
pub struct Facts<'f> {
    /// The kill switch.
    pub writes_allowed: Option<bool>,
    /// Slots left in the tightest cap.
    pub cap_left: Option<u32>,
    /// A hold on this fix and resource.
    pub hold: Option<&'f Hold>,
    /// For a containment: what the source itself said when asked with our own credentials. `Err` says why it does not confirm.
    pub confirmed: Option<Result<(), String>>,
    /// Tags of the resource, as the finding gives them.
    pub tags: &'f [(Text<'static>, Text<'static>)],
    /// What may never be touched.
    pub protected: &'f Protected,
    /// Now.
    pub now: Millis,
}

/// Targets that are never touched: platform and metadata addresses, our own identities and egress, break-glass accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Protected {
    /// Addresses and ranges, compared as text and with `/32` or `/128` left out.
    pub addresses: Vec<String>,
    /// Resource ids or patterns with `*`, compared without case.
    pub resources: Vec<String>,
    /// Users, roles, principals: names or patterns with `*`, compared without case.
    pub identities: Vec<String>,
    /// A resource with one of these tag keys is never touched, whatever the value.
    pub tags: Vec<String>,
}

impl Protected {
    /// Why a plan touches something protected, if it does.
    pub fn objection(&self, plan: &Plan, tags: &[(Text<'_>, Text<'_>)]) -> Option<String> {
        let uid = plan.resource.as_str();
        if let Some(pattern) = self.resources.iter().find(|p| glob(p, uid)) {
            return Some(format!("resource `{uid}` is protected by `{pattern}`"));
        }
        if let Some((tag, _)) = tags.iter().find(|(key, _)| self.tags.iter().any(|t| t.eq_ignore_ascii_case(key))) {
            return Some(format!("resource `{uid}` is protected by its tag `{tag}`"));
        }
        let mut texts = Vec::new();
        for change in &plan.changes {
            if let Ok(call) = serde_json::to_value(&change.request.call) {
                collect(call, &mut texts);
            }
        }
        for text in &texts {
            let bare = text.trim_end_matches("/32").trim_end_matches("/128");
            if self.addresses.iter().any(|a| a.eq_ignore_ascii_case(bare)) {
                return Some(format!("address `{text}` is protected"));
            }
            if let Some(pattern) = self.identities.iter().find(|p| glob(p, text)) {
                return Some(format!("identity `{text}` is protected by `{pattern}`"));
            }
        }
        None
    }
}

/// Asks every guard about a plan.
pub fn guard(plan: &Plan, decision: &Decision, facts: &Facts<'_>) -> GuardReport {
    let mut report = GuardReport::default();
    let undoing = matches!(plan.kind, PlanKind::Undo(_));
    match facts.writes_allowed {
        Some(true) => report.add("kill-switch", Verdict::Pass, "writes are on"),
        Some(false) => report.add("kill-switch", Verdict::Refuse, "the kill switch is on: no writes"),
        None => report.add("kill-switch", Verdict::Refuse, "the kill switch cannot be read: no writes"),
    }
    if let Some(objection) = facts.protected.objection(plan, facts.tags) {
        report.add("protected", Verdict::Refuse, objection);
    } else {
        report.add("protected", Verdict::Pass, "no protected target");
    }
    if undoing {
        // Putting back is not held by caps, holds or evidence: it must stay possible when everything else is stopped down.
        report.add("undo", Verdict::Pass, "puts back what stanch changed");
        return report;
    }
    match facts.cap_left {
        Some(0) => report.add("cap", Verdict::Refuse, "the rule's cap for this hour is used up"),
        Some(left) => report.add("cap", Verdict::Pass, format!("{left} of the rule's writes left this hour")),
        None => report.add("cap", Verdict::Refuse, "the caps cannot be read: no writes"),
    }
    match facts.hold {
        Some(hold) if hold.until > facts.now => {
            // A rule may not pass it by; a person who knows may.
            report.add("hold", Verdict::Ask, format!("{} put this fix back and holds it off: {}", hold.by, hold.reason));
        }
        _ => report.add("hold", Verdict::Pass, "nobody holds it off"),
    }
    match (&plan.undo, &plan.activity) {
        (UndoClass::Impossible(why), _) => report.add("undo", Verdict::Ask, format!("cannot be undone: {why}")),
        (UndoClass::Lossy(what), _) => report.add("undo", Verdict::Pass, format!("undo loses: {what}")),
        (UndoClass::Exact, _) => report.add("undo", Verdict::Pass, "can be undone exactly"),
    }
    if plan.activity.is_containment() {
        match &facts.confirmed {
            Some(Ok(())) => report.add("containment", Verdict::Pass, "the source confirms the alert"),
            Some(Err(why)) => report.add("containment", Verdict::Refuse, why.clone()),
            None => report.add("containment", Verdict::Refuse, "the source was not asked: an event alone never contains"),
        }
    }
    match decision.mode {
        Mode::Record => report.add("mode", Verdict::Refuse, "the rules only record this finding"),
        Mode::Plan => report.add("mode", Verdict::Ask, "the rule's mode is `plan`"),
        Mode::Approve => report.add("mode", Verdict::Ask, "the rule wants a person's approval"),
        Mode::Auto if plan.evidence.is_run() || decision.accept_unproven.contains(&plan.fix) => {
            report.add("mode", Verdict::Pass, "the rule's mode is `auto`");
        }
        Mode::Auto => report.add(
            "evidence",
            Verdict::Ask,
            format!(
                "fix `{}` is proven by {} only; `auto` wants a run, or `accept_unproven: [{}]` in the rule",
                plan.fix, plan.evidence, plan.fix
            ),
        ),
    }
    report
}

fn collect(value: Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.into_iter().for_each(|v| collect(v, texts)),
        Value::Object(map) => map.into_iter().for_each(|(_, v)| collect(v, texts)),
        _ => {}
    }
}

/// `*` matches any run of characters; case is ignored. Linear in the product of the lengths, never exponential.
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if wanted == letter => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, swallowed)) = star else { return false };
                star = Some((place, swallowed + 1));
                at = place + 1;
                read = swallowed + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_whole_texts_without_case() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "ABBC", true),
            ("a*c", "abcd", false),
            ("*break-glass*", "user/Break-Glass-1", true),
            ("a", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
