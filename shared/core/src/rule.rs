//! Rules: what to do about which finding, kept as YAML. Parsing and checking; [`crate::decide`] applies them.
//!
//! A file holds one rule, or several divided by `---`. An unknown key, a bad value or a name used twice refuses the whole set;
//! a fault inside a condition is found by [`RuleSet::check`], and until then its rule matches nothing.

mod load;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cloud::{Cloud, Resource};
use crate::diagnostic::Diagnostic;
use crate::digest::sha256_hex;
use crate::expr::{Dialect, Expr, ExprError};
use crate::finding::{Finding, FindingClass, Source};
use crate::guard::glob;

/// One rule.
#[derive(Clone, Debug)]
pub struct AutomationRule {
    /// The name, unique in its set.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A rule that is off matches nothing.
    pub enabled: bool,
    /// The kinds of finding it takes; empty takes all.
    pub on: Vec<Trigger>,
    /// Where it applies; empty is everywhere. Never empty when the mode writes without asking.
    pub scope: Vec<ScopePattern>,
    /// The condition; none is always true.
    pub when: Option<Condition>,
    /// Rules are asked by rising order, then by name.
    pub order: u32,
    /// How far it goes.
    pub mode: Mode,
    /// What it does, in order (`do`).
    pub steps: Vec<Step>,
    /// How much it may do.
    pub limits: Limits,
    /// The last day (UTC) it applies.
    pub expires: Option<Date>,
    /// Fixes that mode `auto` may run although only their schema was proven.
    pub accept_unproven: Vec<String>,
    /// Who may approve.
    pub approvers: Approvers,
    /// Whether it also takes what was there before stanch first looked (`backlog`). Without it, a fault of the backlog that the
    /// rule matches stays recorded: no live read, no notice, no plan.
    pub backlog: bool,
    /// The file it stands in.
    pub file: String,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A detection of any source.
    Alert,
    /// A recommendation of Defender for Cloud.
    Recommendation,
    /// A compliance finding of any other source, and Defender's regulatory compliance.
    Compliance,
    /// A vulnerability of any source.
    Vulnerability,
    /// Any finding.
    Finding,
}

/// How far a rule goes. In YAML and records: `record`, `plan`, `approve`, `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mode {
    /// Keep the finding, do nothing.
    #[default]
    Record,
    /// Show the change that would fix it.
    Plan,
    /// Apply what a person approved.
    Approve,
    /// Apply.
    Auto,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Plan and, as the mode allows, apply a fix.
    Fix(FixRef),
    /// Tell a channel.
    Notify {
        /// The channel's name.
        channel: String,
    },
}

/// Which fix: `recommended`, or a fix by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FixRef {
    /// The one the library recommends for the finding.
    Recommended,
    /// This one.
    Named(String),
}

/// How much a rule may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Remediations applied in one hour.
    pub per_hour: u32,
    /// The same in one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { per_hour: 20, per_account: None }
    }
}

/// Who may approve what a rule planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approvers {
    /// The one who approves is not the one who asked.
    pub another_person: bool,
}

/// Where a rule applies: `*`, `azure/subscriptions/<id>`, `aws/<account>`, `gcp/projects/<id>`; `*` in an id stands for any run of
/// characters. Case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePattern {
    cloud: Option<Cloud>,
    account: String,
}

/// A condition, compiled on first use.
#[derive(Clone)]
pub struct Condition {
    source: String,
    file: Arc<load::File>,
    /// Byte offset of the condition in the file.
    start: usize,
    compiled: OnceLock<Result<Expr, ExprError>>,
}

/// Why a set of rules is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A mistake at one place of a file.
    #[error("{0}")]
    Mistake(Diagnostic),
    /// Two rules of one name.
    #[error("{second}: a rule named `{name}` stands already in {first}\nhint: rename one; records and caps refer to rules by name")]
    Duplicate {
        /// The name.
        name: String,
        /// `file:line` of the first.
        first: String,
        /// `file:line` of the second.
        second: String,
    },
}

/// Every rule, in the order they are asked.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<AutomationRule>,
    digest: String,
}

impl RuleSet {
    /// Reads rules from files (name, text). All mistakes of all files are reported; conditions are compiled on first use.
    pub fn load<N: Into<String>, T: Into<String>>(files: impl IntoIterator<Item = (N, T)>) -> Result<RuleSet, Vec<RuleError>> {
        let files: Vec<load::File> = files.into_iter().map(|(name, text)| load::File { name: name.into(), text: text.into() }).collect();
        let mut texts: Vec<String> = files.iter().map(|file| sha256_hex(file.text.as_bytes())).collect();
        texts.sort();
        let digest = sha256_hex(texts.join("\n").as_bytes());
        load::load(files.into_iter()).map(|mut rules| {
            rules.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
            RuleSet { rules, digest }
        })
    }

    /// SHA-256 (hex) over the texts of its files, whatever their names and order: another one means that rules were changed.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether any rule that is on takes a backlog.
    pub fn takes_backlog(&self) -> bool {
        self.rules.iter().any(|rule| rule.enabled && rule.backlog)
    }

    /// Compiles every condition and gives the faults, in the order the rules are asked.
    pub fn check(&self) -> Vec<RuleError> {
        let conditions = self.rules.iter().filter_map(|rule| rule.when.as_ref());
        conditions.filter_map(|when| when.expr().err().map(|e| RuleError::Mistake(when.diagnostic(e)))).collect()
    }

    /// The rules, in the order they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &AutomationRule> {
        self.rules.iter()
    }

    /// A rule by its name.
    pub fn get(&self, name: &str) -> Option<&AutomationRule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// The rules whose last day has passed. `now_ms` is milliseconds since the Unix epoch.
    pub fn expired(&self, now_ms: i64) -> impl Iterator<Item = &AutomationRule> {
        self.rules.iter().filter(move |rule| rule.is_expired(now_ms))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl AutomationRule {
    /// Whether its last day has passed. A `now_ms` no calendar holds counts as past.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        let today = jiff::Timestamp::from_millisecond(now_ms).map(|now| now.to_zoned(jiff::tz::TimeZone::UTC).date());
        self.expires.is_some_and(|last| today.map_or(true, |today| today > last))
    }

    /// Whether it takes this kind of finding in this place; the condition is not asked.
    pub fn covers(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> bool {
        (self.on.is_empty() || self.on.iter().any(|trigger| trigger.takes(finding)))
            && (self.scope.is_empty() || self.scope.iter().any(|pattern| pattern.holds(finding, resource)))
    }
}

impl Trigger {
    /// Every kind.
    pub const ALL: [Trigger; 5] = [Trigger::Alert, Trigger::Recommendation, Trigger::Compliance, Trigger::Vulnerability, Trigger::Finding];

    /// The name in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Alert => "alert",
            Trigger::Recommendation => "recommendation",
            Trigger::Compliance => "compliance",
            Trigger::Vulnerability => "vulnerability",
            Trigger::Finding => "finding",
        }
    }

    /// The kind of a finding, never [`Trigger::Finding`].
    pub fn of(finding: &Finding<'_>) -> Trigger {
        match (finding.class, finding.source) {
            (FindingClass::Detection, _) => Trigger::Alert,
            (FindingClass::Vulnerability, _) => Trigger::Vulnerability,
            (FindingClass::Compliance, Source::DefenderAssessment | Source::DefenderSubAssessment) => Trigger::Recommendation,
            (FindingClass::Compliance, _) => Trigger::Compliance,
        }
    }

    fn takes(self, finding: &Finding<'_>) -> bool {
        self == Trigger::Finding || self == Trigger::of(finding)
    }
}

impl Mode {
    /// Whether it may write without a person.
    pub fn writes_unasked(self) -> bool {
        matches!(self, Mode::Auto)
    }

    /// Reads the YAML form.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "record" => Some(Mode::Record),
            "plan" => Some(Mode::Plan),
            "approve" => Some(Mode::Approve),
            "auto" => Some(Mode::Auto),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Record => f.write_str("record"),
            Mode::Plan => f.write_str("plan"),
            Mode::Approve => f.write_str("approve"),
            Mode::Auto => f.write_str("auto"),
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Mode::parse(&text).ok_or_else(|| format!("`{text}` is no mode; expected record, plan, approve or auto"))
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        mode.to_string()
    }
}

impl From<String> for FixRef {
    fn from(name: String) -> Self {
        if name == "recommended" { FixRef::Recommended } else { FixRef::Named(name) }
    }
}

impl From<FixRef> for String {
    fn from(fix: FixRef) -> String {
        match fix {
            FixRef::Recommended => "recommended".to_owned(),
            FixRef::Named(name) => name,
        }
    }
}

impl ScopePattern {
    /// Reads the YAML form.
    pub fn parse(text: &str) -> Option<Self> {
        let (cloud, account) = if text == "*" {
            (None, "*")
        } else if let Some(id) = text.strip_prefix("azure/subscriptions/") {
            (Some(Cloud::Azure), id)
        } else if let Some(id) = text.strip_prefix("gcp/projects/") {
            (Some(Cloud::Gcp), id)
        } else {
            (Some(Cloud::Aws), text.strip_prefix("aws/")?)
        };
        (!account.is_empty() && !account.contains('/')).then(|| ScopePattern { cloud, account: account.to_owned() })
    }

    /// Whether the resource's account (else the finding's) lies in it. A resource of an unknown account lies only in `*`.
    pub fn holds(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> bool {
        let Some(cloud) = self.cloud else { return true };
        let account = resource.account.as_ref().or(finding.account.as_ref());
        cloud == resource.cloud && account.is_some_and(|account| glob(&self.account, &account.uid))
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cloud {
            None => f.write_str("*"),
            Some(Cloud::Azure) => write!(f, "azure/subscriptions/{}", self.account),
            Some(Cloud::Aws) => write!(f, "aws/{}", self.account),
            Some(Cloud::Gcp) => write!(f, "gcp/projects/{}", self.account),
        }
    }
}

impl Condition {
    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled condition, or why it does not compile. Compiles on the first call.
    pub fn expr(&self) -> Result<&Expr, &ExprError> {
        self.compiled.get_or_init(|| Expr::compile(&self.source, Dialect::rules())).as_ref()
    }

    /// An error of this condition, shown at its place in the file.
    pub fn diagnostic(&self, error: &ExprError) -> Diagnostic {
        let (line, column) = self.file.position(self.file.locate(self.start, &self.source, error.offset.unwrap_or_default()));
        let at = Diagnostic::at(&self.file.name, &self.file.text, line, column, format!("`when`: {}", error.message));
        match &error.hint {
            Some(hint) => at.hint(hint),
            None => at,
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.source)
    }
}
