//! Remediations as people read them.

use serde_json::Value;
use stanch_core::chain::ChainEntry;
use stanch_core::finding::Millis;
use stanch_core::port::Summary;
use stanch_core::remediation::{ApprovalKind, Attempt, Outcome, Remediation, RemediationId, Reporter, Run};
use stanch_core::state::State;

use super::show::Page;
use super::text::{WIDTH, clean, plural, tail, time};
use crate::wiring;

/// The characters of an id that hold its milliseconds and a first part of chance.
const SHORT_ID: usize = 18;

/// A listing: one line each, ids as short as they are told apart.
pub(crate) fn list(rows: &[Summary]) -> String {
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let length = id_length(&ids);
    let (mut states, mut severities) = (Vec::new(), Vec::new());
    for row in rows {
        states.push(row.state.to_string());
        severities.push(row.severity.caption());
    }
    let state_width = states.iter().map(String::len).max().unwrap_or_default();
    let severity_width = severities.iter().map(|s| s.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (((row, id), state), severity) in rows.iter().zip(&ids).zip(&states).zip(&severities) {
        let id = id.get(..length).unwrap_or(id);
        let lead = format!("{id}  {state:<state_width$}  {severity:<severity_width$}  {:<5}  ", row.cloud.as_str());
        let room = WIDTH.saturating_sub(lead.chars().count()).max(20);
        text.push_str(&lead);
        text.push_str(&tail(&clean(&row.resource), room));
        text.push('\n');
    }
    text
}

/// How many characters of each id tell them apart.
fn id_length(ids: &[String]) -> usize {
    let apart = |length: usize| {
        let mut heads: Vec<&str> = ids.iter().filter_map(|id| id.get(..length)).collect();
        heads.sort_unstable();
        heads.windows(2).all(|pair| pair.first() != pair.last())
    };
    (SHORT_ID..36).find(|length| apart(*length)).unwrap_or(36)
}

/// Which id a person means: a full one, or a prefix of at least six hexadecimal digits that only one id has.
pub(crate) fn pick(ids: &[RemediationId], text: &str) -> Result<RemediationId, String> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(id) = RemediationId::parse(&text) {
        return Ok(id);
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() < 6 || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("`{text}` is no remediation id; expected a UUID, or at least 6 of its first hexadecimal digits"));
    }
    let found: Vec<&RemediationId> = ids.iter().filter(|id| id.0.simple().to_string().starts_with(&digits)).collect();
    match found.as_slice() {
        [id] => Ok(**id),
        [] => Err(format!("there is no remediation `{text}`\nhint: `stanch remediations list` shows all")),
        many => {
            let shown: Vec<String> = many.iter().take(10).map(ToString::to_string).collect();
            let more = if many.len() > shown.len() { ", …" } else { "" };
            Err(format!("{} remediations start with `{text}`: {}{more}\nhint: give more digits", many.len(), shown.join(", ")))
        }
    }
}

/// Whether a due date has passed and the case has not ended.
fn is_overdue(case: &Remediation, due: Millis) -> bool {
    let over = matches!(case.state, State::Resolved { .. } | State::RolledBack | State::Exempt | State::Rejected);
    !over && due <= wiring::now()
}

impl Page {
    /// One remediation in a few lines: what it is about and where it stands.
    pub(crate) fn case_head(&mut self, case: &Remediation) {
        self.title(&format!("{}  {}", case.id, case.state));
        if !case.note.is_empty() {
            self.line(1, &case.note);
        }
        self.field(1, "finding", &format!("{} ({})", case.finding.title, case.finding.severity.caption()));
        self.field(1, "resource", &case.resource.uid);
        let region = case.resource.region.as_ref().map(|r| format!(", {r}")).unwrap_or_default();
        self.field(1, "account", &format!("{} {}{region}", case.resource.cloud, case.account().unwrap_or("-")));
    }

    /// Everything about a remediation.
    pub(crate) fn case(&mut self, case: &Remediation, record: &[ChainEntry]) {
        self.case_head(case);
        self.decision(case);
        self.times(case);
        self.gap();
        self.line(1, "reported by");
        for reporter in &case.reporters {
            self.reporter(reporter);
        }
        for (name, run) in [("fix", &case.fix), ("undo", &case.undo)] {
            if let Some(run) = run {
                self.gap();
                self.run(name, run);
            }
        }
        self.gap();
        self.line(0, &format!("record, {} entr{}", record.len(), if record.len() == 1 { "y" } else { "ies" }));
        for entry in record {
            self.entry(entry);
        }
    }

    fn decision(&mut self, case: &Remediation) {
        if let Some(control) = case.control_told() {
            self.field(1, "control", &control);
        }
        if let Some(decision) = &case.decision {
            self.field(1, "rule", &format!("{} (mode {})", decision.rule.as_deref().unwrap_or("none"), decision.mode));
            for reason in &decision.reasons {
                self.field(1, "because", reason);
            }
            for skipped in &decision.skipped {
                self.field(1, "skipped", &format!("rule `{}`: {}", skipped.rule, skipped.why));
            }
        }
        if let Some(by) = &case.asked_by {
            self.field(1, "asked by", by);
        }
        if let Some(owner) = &case.request.owner {
            self.field(1, "owner", owner);
        }
        if let Some(due) = case.request.due {
            let late = if is_overdue(case, due) { ", overdue" } else { "" };
            self.field(1, "due", &format!("{}{late}", time(due)));
        }
        for note in &case.request.notes {
            self.field(1, "note", note);
        }
        if case.recurrences > 0 {
            self.field(1, "came back", &format!("{} time{}", case.recurrences, plural(case.recurrences as usize)));
        }
    }

    fn times(&mut self, case: &Remediation) {
        let times = &case.times;
        self.gap();
        for (name, at) in [
            ("detected", times.detected),
            ("received", times.received),
            ("planned", times.planned),
            ("approved", times.approved),
            ("applied", times.applied),
            ("verified", times.verified),
            ("closed", times.closed),
        ] {
            if let Some(at) = at {
                self.field(1, name, &time(at));
            }
        }
    }

    fn reporter(&mut self, reporter: &Reporter) {
        let stands = if reporter.open { "open" } else { "closed" };
        self.line(2, &format!("{}, {stands}, last heard {}", reporter.source, time(reporter.last_received)));
        self.line(3, &reporter.uid);
        if let Some(by) = reporter.matched {
            self.line(3, &format!("matched by {}", by.word(reporter.source)));
        }
        if !reporter.others.is_empty() {
            let count = reporter.others.len();
            self.line(3, &format!("names {count} other resource{}; told fixed when all are", if count == 1 { "" } else { "s" }));
        }
    }

    fn run(&mut self, name: &str, run: &Run) {
        self.line(0, &format!("{name}, planned {}", time(run.planned_at)));
        self.plan(&run.plan, &run.hash, run.guard.as_ref());
        if let Some(approval) = &run.approval {
            let how = match approval.how {
                ApprovalKind::ByRule => "by its rule",
                ApprovalKind::ByPerson => "by a person",
                ApprovalKind::SelfApproved => "by the one who asked for it",
            };
            self.field(1, "approved", &format!("{} {}, {how}", time(approval.at), approval.by));
        }
        for attempt in &run.attempts {
            self.attempt(attempt);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let sent = if attempt.number == 0 { "not sent".to_owned() } else { format!("send {}", attempt.number) };
        let outcome = match &attempt.result {
            None => format!("outcome unknown; nobody resumes it before {}", time(attempt.lease_until)),
            Some(result) => {
                let word = match result.outcome {
                    Outcome::Applied => "applied",
                    Outcome::AppliedByObservation => "applied, as a fresh read shows",
                    Outcome::Refused => "refused",
                    Outcome::NotApplied => "not applied",
                    Outcome::NotSeen => "no effect seen by a fresh read",
                };
                let status = result.status.map(|s| format!(", status {s}")).unwrap_or_default();
                let request = result.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
                let fault = result.fault.as_ref().map(|f| format!(", {}: {}", f.code, f.message)).unwrap_or_default();
                format!("{word} {}{status}{request}{fault}", time(result.at))
            }
        };
        self.field(1, &format!("change {}", attempt.change + 1), &format!("{sent}: {outcome}"));
    }

    /// One line of the record; a body that is no JSON is shown as it stands.
    fn entry(&mut self, entry: &ChainEntry) {
        let event: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let Some(at) = event.get("time").and_then(Value::as_i64) else { return self.line(1, &entry.body) };
        let status = text("/status_detail").or(text("/status")).unwrap_or("-");
        let actor = text("/unmapped/actor").map(|a| format!(" ({a})")).unwrap_or_default();
        let message = text("/message").unwrap_or_default();
        self.lead(&format!("  {}  {status:<13}  ", time(at)), &format!("{message}{actor}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(text: &str) -> RemediationId {
        RemediationId(Uuid::parse_str(text).unwrap())
    }

    #[test]
    fn a_prefix_of_six_digits_names_one_remediation_or_none() {
        let ids = [
            id("0198c0de-1111-7000-8000-000000000001"),
            id("0198c0de-1111-7000-8000-000000000002"),
            id("0298c0de-1111-7000-8000-000000000003"),
        ];
        assert_eq!(pick(&ids, "0298c0"), Ok(ids[2]));
        assert_eq!(pick(&ids, "0298C0DE-11"), Ok(ids[2]));
        assert_eq!(pick(&ids, "0198c0de-1111-7000-8000-000000000002"), Ok(ids[1]));
        for (text, expected) in [
            (
                "0198c0de",
                "2 remediations start with `0198c0de`: 0198c0de-1111-7000-8000-000000000001, 0198c0de-1111-7000-8000-000000000002",
            ),
            ("0298c", "`0298c` is no remediation id"),
            ("hello!", "`hello!` is no remediation id"),
            ("ffffff", "there is no remediation `ffffff`"),
        ] {
            let said = pick(&ids, text).unwrap_err();
            assert!(said.starts_with(expected), "{text}: {said}");
        }
    }

    #[test]
    fn ids_of_one_listing_are_long_enough_to_tell_them_apart() {
        let ids = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(id_length(&ids(&["0198c0de-1111-7000-8000-000000000001"])), 18);
        assert_eq!(id_length(&ids(&["0198c0de-1111-7000-8000-000000000001", "0198c0de-1111-7000-8100-000000000001"])), 21);
    }
}
