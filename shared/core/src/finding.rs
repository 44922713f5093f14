//! The one form every finding takes, in OCSF terms (schema 1.8.0), borrowed from the event's bytes.
//!
//! Times are milliseconds since the Unix epoch. Text that the payload does not hold stays absent: nothing is guessed.

mod source;

use serde::{Deserialize, Serialize};

use crate::cloud::{Account, Cloud, Resource, Text, own};

pub use source::Source;

/// Milliseconds since the Unix epoch, the unit of OCSF's `timestamp_t`.
pub type Millis = i64;

/// The OCSF finding class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingClass {
    /// Vulnerability Finding, class 2002.
    Vulnerability,
    /// Compliance Finding, class 2003.
    Compliance,
    /// Detection Finding, class 2004.
    Detection,
}

impl FindingClass {
    /// `class_uid`.
    pub fn uid(self) -> u32 {
        match self {
            FindingClass::Vulnerability => 2002,
            FindingClass::Compliance => 2003,
            FindingClass::Detection => 2004,
        }
    }

    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingClass::Vulnerability => "vulnerability",
            FindingClass::Compliance => "compliance",
            FindingClass::Detection => "detection",
        }
    }
}

/// What happened to the finding (`activity_id` 1, 2, 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// First seen.
    #[default]
    Create,
    /// Seen again or changed.
    Update,
    /// The source closed it or deleted the row. A deletion proves nothing about the resource.
    Close,
}

/// Severity (`severity_id`). Ordered; `Unknown` is lowest, so that a threshold never matches what was not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The source did not say.
    #[default]
    Unknown,
    /// No action is required.
    Informational,
    /// Action at leisure.
    Low,
    /// Action soon.
    Medium,
    /// Action now.
    High,
    /// Action now, wide scope.
    Critical,
    /// Action would come too late.
    Fatal,
}

impl Severity {
    /// `severity_id` of OCSF.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// From OCSF's `severity_id`; 99 (Other) and anything unlisted is unknown.
    pub fn from_id(id: i64) -> Self {
        match id {
            1 => Severity::Informational,
            2 => Severity::Low,
            3 => Severity::Medium,
            4 => Severity::High,
            5 => Severity::Critical,
            6 => Severity::Fatal,
            _ => Severity::Unknown,
        }
    }

    /// Reads the vendors' labels in any case.
    pub fn parse(text: &str) -> Self {
        const LABELS: &[(&str, Severity)] = &[
            ("informational", Severity::Informational),
            ("information", Severity::Informational),
            ("info", Severity::Informational),
            ("low", Severity::Low),
            ("medium", Severity::Medium),
            ("moderate", Severity::Medium),
            ("high", Severity::High),
            ("critical", Severity::Critical),
            ("fatal", Severity::Fatal),
        ];
        let text = text.trim();
        LABELS.iter().find(|(label, _)| label.eq_ignore_ascii_case(text)).map_or(Severity::Unknown, |(_, s)| *s)
    }

    /// The OCSF caption.
    pub fn caption(self) -> &'static str {
        match self {
            Severity::Unknown => "Unknown",
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
            Severity::Critical => "Critical",
            Severity::Fatal => "Fatal",
        }
    }
}

/// The source's own view of the finding (`status_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingStatus {
    /// The source did not say.
    #[default]
    Unknown,
    /// New or active.
    New,
    /// Somebody works on it.
    InProgress,
    /// Muted, suppressed, dismissed.
    Suppressed,
    /// Closed as fixed.
    Resolved,
    /// Archived.
    Archived,
    /// The row is gone.
    Deleted,
}

impl FindingStatus {
    /// `status_id` of OCSF 1.8.0.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The OCSF caption.
    pub fn caption(self) -> &'static str {
        match self {
            FindingStatus::Unknown => "Unknown",
            FindingStatus::New => "New",
            FindingStatus::InProgress => "In Progress",
            FindingStatus::Suppressed => "Suppressed",
            FindingStatus::Resolved => "Resolved",
            FindingStatus::Archived => "Archived",
            FindingStatus::Deleted => "Deleted",
        }
    }

    /// Whether the source still reports the fault.
    pub fn is_open(self) -> bool {
        matches!(self, FindingStatus::Unknown | FindingStatus::New | FindingStatus::InProgress)
    }
}

/// The outcome of a compliance check (`compliance.status_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComplianceStatus {
    /// Not said, not available, not applicable.
    #[default]
    Unknown,
    /// The resource passes.
    Pass,
    /// Insufficient data or a warning.
    Warning,
    /// The resource fails.
    Fail,
}

impl ComplianceStatus {
    /// `compliance.status_id`.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The OCSF caption.
    pub fn caption(self) -> &'static str {
        match self {
            ComplianceStatus::Unknown => "Unknown",
            ComplianceStatus::Pass => "Pass",
            ComplianceStatus::Warning => "Warning",
            ComplianceStatus::Fail => "Fail",
        }
    }
}

/// `compliance` of a Compliance Finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compliance<'a> {
    /// The source's control id: `S3.1`, an assessment key, an SCC category.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Text<'a>>,
    /// Standards that hold the control.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub standards: Vec<Text<'a>>,
    /// Requirement numbers inside the standards.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Text<'a>>,
    /// The outcome.
    #[serde(default)]
    pub status: ComplianceStatus,
    /// The source's own word for the outcome (`FAILED`, `Unhealthy`, `NotApplicable`).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<Text<'a>>,
    /// Why, in the source's words.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<Text<'a>>,
}

/// One vulnerability of a Vulnerability Finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulnerability<'a> {
    /// `CVE-…`, where there is one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cve: Option<Text<'a>>,
    /// The advisory or the source's own rule id, where there is no CVE.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Text<'a>>,
    /// Title.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
    /// CVSS base score, 0 to 10, as the source wrote it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<Text<'a>>,
}

/// Guidance the source gives (`remediation`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guidance<'a> {
    /// What to do, in the source's words.
    #[serde(borrow)]
    pub desc: Text<'a>,
    /// Links.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Text<'a>>,
}

/// Risk, only where the source gives it; never computed from severity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk<'a> {
    /// The source's level (`Critical`, `High` …).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Text<'a>>,
    /// The source's score.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Text<'a>>,
    /// Risk factors.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<Text<'a>>,
    /// Attack paths the finding lies on, by the source's ids.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attack_paths: Vec<Text<'a>>,
}

/// The product that made the finding (`metadata.product`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product<'a> {
    /// `Microsoft Defender for Cloud`, `Security Hub`, `Security Health Analytics` …
    #[serde(borrow)]
    pub name: Text<'a>,
    /// `Microsoft`, `AWS`, `Google Cloud`, `Prowler` …
    #[serde(borrow)]
    pub vendor: Text<'a>,
    /// The product's id: a product ARN, an SCC source name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text<'a>>,
    /// The product's version.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text<'a>>,
}

/// What the source's API needs to find this finding again, to ask about it and to write its status back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef<'a> {
    /// The id the source's API takes: an alert's ARM id or name, a Security Hub finding `Id` or `metadata.uid`, an SCC finding name.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// Security Hub: `ProductArn`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Text<'a>>,
    /// Defender: the `ascLocation`. Security Hub: the region of the finding.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Text<'a>>,
    /// The account whose API holds the finding: subscription, AWS account, organization or project.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text<'a>>,
    /// Defender: the resource group of an alert's resource.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<Text<'a>>,
}

/// One finding of any cloud. Everything downstream (rules, plans, records) sees this and nothing native.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding<'a> {
    /// Who sent it.
    pub source: Source,
    /// OCSF class.
    pub class: FindingClass,
    /// Created, updated or closed.
    #[serde(default)]
    pub activity: Activity,
    /// `finding_info.uid`: the provider's id, stable across redeliveries.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// Title.
    #[serde(borrow)]
    pub title: Text<'a>,
    /// Description.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub desc: Option<Text<'a>>,
    /// The source's rule: alert type, assessment key, generator id, SCC category, Prowler check id (`finding_info.analytic.uid`).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Text<'a>>,
    /// Related policy definition, where the source names one (Defender).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Text<'a>>,
    /// `finding_info.types`.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Text<'a>>,
    /// Severity.
    #[serde(default)]
    pub severity: Severity,
    /// The vendor's own word for the severity.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub severity_original: Option<Text<'a>>,
    /// The source's status.
    #[serde(default)]
    pub status: FindingStatus,
    /// The vendor's own word for the status.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_original: Option<Text<'a>>,
    /// Event time. Absent when the payload holds none; the record then takes the time of receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Millis>,
    /// When the source created the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Millis>,
    /// When the source last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Millis>,
    /// First observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Millis>,
    /// Last observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Millis>,
    /// The cloud of the first resource, else of the source.
    pub cloud: Cloud,
    /// Subscription, account or project the finding is about.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account<'a>>,
    /// Region of the finding.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Text<'a>>,
    /// The resources it names; each becomes a remediation of its own.
    #[serde(borrow, default)]
    pub resources: Vec<Resource<'a>>,
    /// Compliance part.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance<'a>>,
    /// Vulnerability part.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub vulnerabilities: Vec<Vulnerability<'a>>,
    /// The source's guidance.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance<'a>>,
    /// The source's risk.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk<'a>>,
    /// The product.
    #[serde(borrow)]
    pub product: Product<'a>,
    /// How to find it again at the source.
    #[serde(borrow)]
    pub source_ref: SourceRef<'a>,
    /// A vendor's sample or test alert: never acted on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// It comes from a periodic listing of everything, and tells no change (Defender's `isSnapshot`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub snapshot: bool,
    /// The finding's own bytes inside the event, as received: what is not mapped stays here (`raw_data`).
    #[serde(borrow, default)]
    pub raw: Text<'a>,
}

impl<'a> Finding<'a> {
    /// A finding with its required parts; everything else absent.
    pub fn new(source: Source, class: FindingClass, cloud: Cloud, uid: impl Into<Text<'a>>, product: Product<'a>) -> Self {
        let uid = uid.into();
        Finding {
            source,
            class,
            activity: Activity::default(),
            source_ref: SourceRef { id: uid.clone(), ..SourceRef::default() },
            uid,
            title: Text::default(),
            desc: None,
            rule: None,
            policy: None,
            types: Vec::new(),
            severity: Severity::default(),
            severity_original: None,
            status: FindingStatus::default(),
            status_original: None,
            time: None,
            created: None,
            modified: None,
            first_seen: None,
            last_seen: None,
            cloud,
            account: None,
            region: None,
            resources: Vec::new(),
            compliance: None,
            vulnerabilities: Vec::new(),
            guidance: None,
            risk: None,
            product,
            sample: false,
            snapshot: false,
            raw: Text::default(),
        }
    }

    /// Whether the source says that there is (still) something to fix.
    pub fn is_open(&self) -> bool {
        let failing = self.compliance.as_ref().is_none_or(|c| !matches!(c.status, ComplianceStatus::Pass));
        self.activity != Activity::Close && self.status.is_open() && failing
    }

    /// A copy that owns its text, for the store.
    pub fn into_owned(self) -> Finding<'static> {
        let texts = |v: Vec<Text<'_>>| v.into_iter().map(own).collect::<Vec<_>>();
        Finding {
            source: self.source,
            class: self.class,
            activity: self.activity,
            uid: own(self.uid),
            title: own(self.title),
            desc: self.desc.map(own),
            rule: self.rule.map(own),
            policy: self.policy.map(own),
            types: texts(self.types),
            severity: self.severity,
            severity_original: self.severity_original.map(own),
            status: self.status,
            status_original: self.status_original.map(own),
            time: self.time,
            created: self.created,
            modified: self.modified,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            cloud: self.cloud,
            account: self.account.map(Account::into_owned),
            region: self.region.map(own),
            resources: self.resources.into_iter().map(Resource::into_owned).collect(),
            compliance: self.compliance.map(|c| Compliance {
                control: c.control.map(own),
                standards: texts(c.standards),
                requirements: texts(c.requirements),
                status: c.status,
                status_code: c.status_code.map(own),
                status_detail: c.status_detail.map(own),
            }),
            vulnerabilities: self
                .vulnerabilities
                .into_iter()
                .map(|v| Vulnerability {
                    cve: v.cve.map(own),
                    advisory: v.advisory.map(own),
                    title: v.title.map(own),
                    cvss: v.cvss.map(own),
                })
                .collect(),
            guidance: self.guidance.map(|g| Guidance { desc: own(g.desc), references: texts(g.references) }),
            risk: self.risk.map(|r| Risk {
                level: r.level.map(own),
                score: r.score.map(own),
                factors: texts(r.factors),
                attack_paths: texts(r.attack_paths),
            }),
            product: Product {
                name: own(self.product.name),
                vendor: own(self.product.vendor),
                uid: self.product.uid.map(own),
                version: self.product.version.map(own),
            },
            source_ref: self.source_ref.into_owned(),
            sample: self.sample,
            snapshot: self.snapshot,
            raw: own(self.raw),
        }
    }
}

impl SourceRef<'_> {
    /// A copy that owns its text.
    pub fn into_owned(self) -> SourceRef<'static> {
        SourceRef {
            id: own(self.id),
            product: self.product.map(own),
            location: self.location.map(own),
            account: self.account.map(own),
            resource_group: self.resource_group.map(own),
        }
    }
}

/// Stored rows own their text: these read a borrowed form and let go of the bytes.
pub(crate) mod owned {
    use serde::{Deserialize, Deserializer};

    use super::{Finding, SourceRef};
    use crate::cloud::Resource;

    pub(crate) fn finding<'de, D: Deserializer<'de>>(d: D) -> Result<Finding<'static>, D::Error> {
        Finding::<'de>::deserialize(d).map(Finding::into_owned)
    }

    pub(crate) fn resource<'de, D: Deserializer<'de>>(d: D) -> Result<Resource<'static>, D::Error> {
        Resource::<'de>::deserialize(d).map(Resource::into_owned)
    }

    pub(crate) fn source_ref<'de, D: Deserializer<'de>>(d: D) -> Result<SourceRef<'static>, D::Error> {
        SourceRef::<'de>::deserialize(d).map(SourceRef::into_owned)
    }
}
