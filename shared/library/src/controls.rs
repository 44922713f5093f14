//! The equivalence map: what each source calls a control, and the one id stanch knows it by.
//!
//! `controls/*.tsv` has a row per control, with a column per kind of id and `; ` between the ids of one cell. Two ids stand in one
//! row when the same change of the same resource closes both; settings that are changed one by one are controls of their own.
//! Sources: the vendors' references of recommendations, controls, categories and checks (Security Hub:
//! `asff-changes-consolidation` and `cis-aws-foundations-benchmark`; Defender for Cloud: `recommendations-reference`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use stanch_core::cloud::Cloud;
use stanch_core::control::{Control, MatchedBy};
use stanch_core::finding::{Finding, FindingClass, Source};

const FILES: [(Cloud, &str); 3] = [
    (Cloud::Aws, include_str!("../controls/aws.tsv")),
    (Cloud::Azure, include_str!("../controls/azure.tsv")),
    (Cloud::Gcp, include_str!("../controls/gcp.tsv")),
];

/// Read on first need; every text is a piece of the files.
static CONTROLS: LazyLock<Controls> = LazyLock::new(Controls::read);

/// Which vendor's word an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Security Hub: `S3.8`, and what a standard calls it: `PCI.S3.2`, `cis-aws-foundations-benchmark/v/1.2.0/4.1`.
    SecurityHub,
    /// A standard's own number, as above.
    Standard,
    /// Defender for Cloud: an assessment key.
    Defender,
    /// The name of an Azure Policy definition. Most are GUIDs.
    Policy,
    /// Security Command Center: a category.
    Scc,
    /// Prowler: a check. Two of its providers may have a check of one name.
    Prowler,
    /// What people see.
    Name,
}

impl IdKind {
    /// Every kind, in the order of the columns.
    pub const ALL: [IdKind; 7] =
        [IdKind::SecurityHub, IdKind::Standard, IdKind::Defender, IdKind::Policy, IdKind::Scc, IdKind::Prowler, IdKind::Name];

    /// The name of its column.
    pub fn column(self) -> &'static str {
        match self {
            IdKind::SecurityHub => "securityhub",
            IdKind::Standard => "standard",
            IdKind::Defender => "defender",
            IdKind::Policy => "policy",
            IdKind::Scc => "scc",
            IdKind::Prowler => "prowler",
            IdKind::Name => "name",
        }
    }
}

/// One row: the control and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The cloud of the file it stands in.
    pub cloud: Cloud,
    /// The canonical id.
    pub control: &'static str,
    cells: &'static str,
}

impl Row {
    /// Its ids.
    pub fn ids(self) -> impl Iterator<Item = (IdKind, &'static str)> {
        let cells = IdKind::ALL.into_iter().zip(self.cells.split('\t'));
        cells.flat_map(|(kind, cell)| cell.split("; ").filter(|id| !id.is_empty()).map(move |id| (kind, id)))
    }
}

/// Every row of the map.
pub fn rows() -> impl Iterator<Item = Row> {
    FILES.into_iter().flat_map(|(cloud, text)| {
        text.lines().skip(1).map(move |line| {
            let (control, cells) = line.split_once('\t').unwrap_or((line, ""));
            Row { cloud, control, cells }
        })
    })
}

/// An id in its name space. Vendors vary the case of what they write.
#[derive(Clone, Copy, Debug)]
struct Id<'t> {
    kind: IdKind,
    /// Prowler checks and display names are told apart by cloud, too.
    cloud: Option<Cloud>,
    text: &'t str,
}

impl<'t> Id<'t> {
    fn new(kind: IdKind, cloud: Cloud, text: &'t str) -> Self {
        // A finding's one field may hold either.
        let kind = if kind == IdKind::Standard { IdKind::SecurityHub } else { kind };
        Id { kind, cloud: matches!(kind, IdKind::Prowler | IdKind::Name).then_some(cloud), text }
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.cloud) == (other.kind, other.cloud) && self.text.eq_ignore_ascii_case(other.text)
    }
}

impl Eq for Id<'_> {}

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.cloud).hash(state);
        let mut lower = [0_u8; 64];
        for chunk in self.text.as_bytes().chunks(lower.len()) {
            for (to, from) in lower.iter_mut().zip(chunk) {
                *to = from.to_ascii_lowercase();
            }
            state.write(lower.get(..chunk.len()).unwrap_or_default());
        }
    }
}

struct Controls(HashMap<Id<'static>, &'static str>);

impl Controls {
    fn read() -> Self {
        let all = rows().flat_map(|row| row.ids().map(move |(kind, id)| (Id::new(kind, row.cloud, id), row.control)));
        Controls(all.collect())
    }

    fn get(&self, id: Id<'_>) -> Option<&'static str> {
        // Shortens the lifetime of the keys to that of what is looked up.
        let map: &HashMap<Id<'_>, &'static str> = &self.0;
        map.get(&id).copied()
    }
}

/// The control that an id of a kind stands for.
pub fn of_id(kind: IdKind, cloud: Cloud, id: &str) -> Option<&'static str> {
    CONTROLS.get(Id::new(kind, cloud, id))
}

/// The control of a finding by the source's own id.
pub(crate) fn by_key(finding: &Finding<'_>) -> Option<Control> {
    let told = |id: &str| Some(Control { id: id.to_owned(), by: MatchedBy::Key });
    let kind = kind_of(finding)?;
    let own = ids(finding).find_map(|id| match kind {
        IdKind::SecurityHub => {
            of_id(kind, finding.cloud, &security_hub_id(id)).or_else(|| of_id(IdKind::Prowler, finding.cloud, prowler_check(id)?))
        }
        _ => of_id(kind, finding.cloud, id),
    });
    match own {
        Some(id) => told(id),
        // Security Hub's ids name the control alone, whatever standard the finding is of: each is canonical by itself.
        None if kind == IdKind::SecurityHub && is_security_hub(finding) => {
            let id = ids(finding).map(security_hub_id).find(|id| is_security_control(id))?;
            told(&format!("aws.{}", id.to_ascii_lowercase()))
        }
        None => None,
    }
}

/// The control of a finding by the policy it names.
pub(crate) fn by_policy(finding: &Finding<'_>) -> Option<Control> {
    let named = (finding.source == Source::AzurePolicy).then(|| ids(finding)).into_iter().flatten();
    let mut policies = finding.policy.as_deref().into_iter().chain(named).filter_map(|id| id.trim_end_matches('/').rsplit('/').next());
    let id = policies.find_map(|id| of_id(IdKind::Policy, finding.cloud, id))?;
    (finding.class == FindingClass::Compliance).then(|| Control { id: id.to_owned(), by: MatchedBy::Policy })
}

/// The control of a finding by its title. A scanner's own rules have titles that say nothing about the control they hang on.
pub(crate) fn by_name(finding: &Finding<'_>) -> Option<Control> {
    let named = finding.class == FindingClass::Compliance && finding.source != Source::DefenderSubAssessment;
    let id = of_id(IdKind::Name, finding.cloud, title(&finding.title)).filter(|_| named)?;
    Some(Control { id: id.to_owned(), by: MatchedBy::Name })
}

/// The kind of id a source writes; `None` where it has none that names a control.
fn kind_of(finding: &Finding<'_>) -> Option<IdKind> {
    if finding.class != FindingClass::Compliance {
        return None;
    }
    match finding.source {
        Source::SecurityHub | Source::SecurityHubV2 => Some(IdKind::SecurityHub),
        Source::DefenderAssessment | Source::DefenderCompliance | Source::DefenderSubAssessment => Some(IdKind::Defender),
        Source::Scc => Some(IdKind::Scc),
        Source::Prowler => Some(IdKind::Prowler),
        // Security Hub's findings as others pass them on.
        Source::Ocsf if is_security_hub(finding) => Some(IdKind::SecurityHub),
        Source::Ocsf | Source::AzurePolicy | Source::DefenderAlert | Source::DefenderXdr => None,
    }
}

/// What may name the control, surest first. A sub-assessment's control is its parent assessment, which many rules share.
fn ids<'f>(finding: &'f Finding<'_>) -> impl Iterator<Item = &'f str> {
    let control = finding.compliance.as_ref().and_then(|c| c.control.as_deref());
    let shared = finding.source == Source::DefenderSubAssessment;
    control.filter(|_| !shared).into_iter().chain(finding.rule.as_deref())
}

/// Whether Security Hub itself made the finding, and not a product that sends through it.
fn is_security_hub(finding: &Finding<'_>) -> bool {
    let arns = [finding.product.uid.as_deref(), finding.source_ref.product.as_deref()];
    arns.into_iter().flatten().any(|arn| arn.contains(":securityhub:") && arn.ends_with("/aws/securityhub"))
}

/// The id inside a `GeneratorId`: `S3.8` of `security-control/S3.8` and of `aws-foundational-security-best-practices/v/1.0.0/S3.8`.
/// Numbers of CIS mean different checks in different versions, so standard and version stay:
/// `cis-aws-foundations-benchmark/v/1.2.0/4.1` of `arn:…:ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1`.
fn security_hub_id(id: &str) -> Cow<'_, str> {
    const CIS: &str = "cis-aws-foundations-benchmark/v/";
    match id.find(CIS).and_then(|at| id.get(at..)) {
        Some(number) if number.contains("/rule/") => Cow::Owned(number.replacen("/rule/", "/", 1)),
        Some(number) => Cow::Borrowed(number),
        None => Cow::Borrowed(id.rsplit('/').next().unwrap_or(id)),
    }
}

/// `iam_root_mfa_enabled` of `prowler-iam_root_mfa_enabled`; the connector may have taken the product's name off.
fn prowler_check(id: &str) -> Option<&str> {
    let id = id.rsplit('/').next().unwrap_or(id);
    id.contains('_').then(|| id.strip_prefix("prowler-").unwrap_or(id))
}

/// `S3.8`: a service and a number.
fn is_security_control(id: &str) -> bool {
    id.split_once('.').is_some_and(|(service, number)| {
        let named = service.starts_with(|c: char| c.is_ascii_alphabetic()) && service.bytes().all(|b| b.is_ascii_alphanumeric());
        named && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// A title without the id some begin with (`[S3.8] …`, `S3.8 …`, `4.1 …`) and without its full stop.
fn title(title: &str) -> &str {
    let title = title.trim().trim_end_matches('.');
    let is_id = |word: &str| {
        word.contains('.') && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') && word.ends_with(|c: char| c.is_ascii_digit())
    };
    match title.split_once(' ') {
        Some((word, rest)) if is_id(word.trim_start_matches('[').trim_end_matches(']')) => rest.trim_start(),
        _ => title,
    }
}
