//! A [`Finding`] as an OCSF 1.8.0 event, streamed straight into the serializer.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{AccountOut, CloudOut, Each, PROFILES, ResourceObservable, VERSION, entry, non_empty};
use crate::cloud::{Account, Cloud, Resource, Text};
use crate::digest::sha256_hex;
use crate::finding::{Activity, Compliance, Finding, FindingClass, Guidance, Millis, Product, Risk, Vulnerability};

/// The profiles of a Vulnerability or Compliance Finding with a risk.
const RISK_PROFILES: &[&str] = &["cloud", "security_control"];

/// A finding that serialises as an OCSF 1.8.0 event of class 2002, 2003 or 2004 with profile `cloud`; 2002 and 2003 with a risk
/// also with profile `security_control`, which is where these classes have the risk's attributes from. What the finding does not
/// hold is not written; what OCSF has no place for goes under `unmapped`.
#[derive(Clone, Copy, Debug)]
pub struct Ocsf<'f, 'a> {
    finding: &'f Finding<'a>,
    received_ms: Millis,
}

impl<'f, 'a> Ocsf<'f, 'a> {
    /// `received_ms`, milliseconds since the epoch, becomes `time` when the finding holds no time of its own.
    pub fn new(finding: &'f Finding<'a>, received_ms: Millis) -> Self {
        Ocsf { finding, received_ms }
    }
}

/// The event as one line of JSON without a line feed, for JSON Lines files and logs.
pub fn to_line(finding: &Finding<'_>, received_ms: Millis) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Ocsf::new(finding, received_ms))
}

impl Serialize for Ocsf<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let f = self.finding;
        let (activity_id, activity) = activity(f.activity);
        let class = class_name(f.class);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("class_uid", &f.class.uid())?;
        map.serialize_entry("class_name", class)?;
        map.serialize_entry("category_uid", &2)?;
        map.serialize_entry("category_name", "Findings")?;
        map.serialize_entry("activity_id", &activity_id)?;
        map.serialize_entry("activity_name", activity)?;
        map.serialize_entry("type_uid", &(f.class.uid() * 100 + activity_id))?;
        map.serialize_entry("type_name", &format_args!("{class}: {activity}"))?;
        map.serialize_entry("metadata", &Metadata::of(f))?;
        map.serialize_entry("time", &f.time.or(f.modified).or(f.created).or(f.last_seen).unwrap_or(self.received_ms))?;
        map.serialize_entry("severity_id", &f.severity.id())?;
        map.serialize_entry("severity", f.severity.caption())?;
        map.serialize_entry("status_id", &f.status.id())?;
        map.serialize_entry("status", f.status.caption())?;
        entry(&mut map, "message", f.compliance.as_ref().and_then(|c| c.status_detail.as_deref()).or(non_empty(&f.title)))?;
        map.serialize_entry("cloud", &CloudOut::new(f.cloud, f.region.as_deref(), f.account.as_ref()))?;
        map.serialize_entry("finding_info", &Info::of(f))?;
        match f.class {
            FindingClass::Vulnerability => map.serialize_entry("vulnerabilities", &required_vulnerabilities(f))?,
            FindingClass::Compliance => {
                map.serialize_entry("compliance", &f.compliance.as_ref().map_or_else(ComplianceOut::unknown, ComplianceOut::of))?;
                entry(&mut map, "remediation", f.guidance.as_ref().map(GuidanceOut::of))?;
            }
            FindingClass::Detection => {
                let list = Each(|| listed_vulnerabilities(f));
                entry(&mut map, "vulnerabilities", (!f.vulnerabilities.is_empty()).then_some(list))?;
                entry(&mut map, "remediation", f.guidance.as_ref().map(GuidanceOut::of))?;
            }
        }
        risk(&mut map, f.risk.as_ref())?;
        if !f.resources.is_empty() {
            map.serialize_entry("resources", &Each(|| f.resources.iter().map(ResourceOut::of)))?;
            let uids = Each(|| f.resources.iter().map(|r| ResourceObservable::new("resources[].uid", &r.uid)));
            map.serialize_entry("observables", &uids)?;
        }
        if !f.raw.is_empty() {
            map.serialize_entry("raw_data", &f.raw)?;
            map.serialize_entry("raw_data_hash", &Fingerprint::of(&f.raw))?;
            map.serialize_entry("raw_data_size", &f.raw.len())?;
        }
        map.serialize_entry("unmapped", &Unmapped::of(f))?;
        map.end()
    }
}

fn class_name(class: FindingClass) -> &'static str {
    match class {
        FindingClass::Vulnerability => "Vulnerability Finding",
        FindingClass::Compliance => "Compliance Finding",
        FindingClass::Detection => "Detection Finding",
    }
}

fn activity(activity: Activity) -> (u32, &'static str) {
    match activity {
        Activity::Create => (1, "Create"),
        Activity::Update => (2, "Update"),
        Activity::Close => (3, "Close"),
    }
}

#[derive(Serialize)]
struct Metadata<'e> {
    version: &'static str,
    profiles: &'static [&'static str],
    product: ProductOut<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_event_uid: Option<&'e str>,
}

impl<'e> Metadata<'e> {
    fn of(f: &'e Finding<'_>) -> Self {
        Metadata {
            version: VERSION,
            profiles: if f.risk.is_some() && f.class != FindingClass::Detection { RISK_PROFILES } else { PROFILES },
            product: ProductOut::of(&f.product, f.source.as_str()),
            original_event_uid: non_empty(&f.source_ref.id),
        }
    }
}

#[derive(Serialize)]
struct ProductOut<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_name: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'e str>,
}

impl<'e> ProductOut<'e> {
    /// The schema wants a name or an id, so a product without both goes by its source.
    fn of(product: &'e Product<'_>, source: &'static str) -> Self {
        let uid = product.uid.as_deref().and_then(non_empty);
        ProductOut {
            name: non_empty(&product.name).or(if uid.is_none() { Some(source) } else { None }),
            vendor_name: non_empty(&product.vendor),
            uid,
            version: product.version.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Info<'e> {
    uid: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<&'e str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    types: &'e [Text<'e>],
    #[serde(skip_serializing_if = "Option::is_none")]
    analytic: Option<Analytic<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attack_graph: Option<AttackGraph<'e>>,
}

/// The attack path a finding lies on: of its nodes a finding knows its own resources.
#[derive(Serialize)]
struct AttackGraph<'e> {
    uid: &'e str,
    nodes: Vec<Uid<'e>>,
}

impl<'e> AttackGraph<'e> {
    /// OCSF has room for one, and wants a node.
    fn of(f: &'e Finding<'_>) -> Option<Self> {
        let uid = f.risk.as_ref()?.attack_paths.first()?;
        let nodes: Vec<_> = f.resources.iter().map(|r| Uid { uid: &r.uid }).collect();
        (!nodes.is_empty()).then_some(AttackGraph { uid, nodes })
    }
}

#[derive(Serialize)]
struct Analytic<'e> {
    uid: &'e str,
    type_id: u8,
    r#type: &'static str,
}

impl<'e> Info<'e> {
    fn of(f: &'e Finding<'_>) -> Self {
        Info {
            uid: &f.uid,
            title: non_empty(&f.title),
            desc: f.desc.as_deref(),
            types: &f.types,
            analytic: f.rule.as_deref().map(|uid| Analytic { uid, type_id: 1, r#type: "Rule" }),
            created_time: f.created,
            modified_time: f.modified,
            first_seen_time: f.first_seen,
            last_seen_time: f.last_seen,
            attack_graph: AttackGraph::of(f),
        }
    }
}

#[derive(Serialize)]
struct ComplianceOut<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<&'e str>,
    /// Written even when empty: schemas up to 1.4 require it.
    standards: &'e [Text<'e>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    requirements: &'e [Text<'e>],
    status_id: u8,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_details: Option<[&'e str; 1]>,
}

impl<'e> ComplianceOut<'e> {
    fn of(c: &'e Compliance<'_>) -> Self {
        ComplianceOut {
            control: c.control.as_deref(),
            standards: &c.standards,
            requirements: &c.requirements,
            status_id: c.status.id(),
            status: c.status.caption(),
            status_code: c.status_code.as_deref(),
            status_details: c.status_detail.as_deref().map(|d| [d]),
        }
    }

    fn unknown() -> Self {
        ComplianceOut {
            control: None,
            standards: &[],
            requirements: &[],
            status_id: 0,
            status: "Unknown",
            status_code: None,
            status_details: None,
        }
    }
}

#[derive(Serialize)]
struct GuidanceOut<'e> {
    desc: &'e str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'e [Text<'e>],
}

impl<'e> GuidanceOut<'e> {
    fn of(g: &'e Guidance<'_>) -> Self {
        GuidanceOut { desc: &g.desc, references: &g.references }
    }
}

#[derive(Serialize)]
struct Uid<'e> {
    uid: &'e str,
}

/// The schema wants exactly one of `cve` and `advisory`.
#[derive(Serialize)]
struct VulnerabilityOut<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cve: Option<Uid<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advisory: Option<Uid<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related_vulnerabilities: Option<[&'e str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'e str>,
    /// Class 2002 has no remediation of its own, so the first vulnerability carries the guidance.
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<GuidanceOut<'e>>,
}

impl<'e> VulnerabilityOut<'e> {
    fn of(f: &'e Finding<'_>, at: usize, v: &'e Vulnerability<'_>) -> Self {
        let rule = f.rule.as_deref().unwrap_or(&f.uid);
        let guidance = f.guidance.as_ref().filter(|_| f.class == FindingClass::Vulnerability && at == 0);
        VulnerabilityOut {
            cve: v.cve.as_deref().map(|uid| Uid { uid }),
            advisory: v.cve.is_none().then(|| Uid { uid: v.advisory.as_deref().unwrap_or(rule) }),
            related_vulnerabilities: v.cve.as_ref().and(v.advisory.as_deref()).map(|a| [a]),
            title: v.title.as_deref(),
            severity: f.severity_original.as_deref(),
            remediation: guidance.map(GuidanceOut::of),
        }
    }

    /// The one vulnerability of a finding that lists none: the source's own rule stands for it.
    fn of_rule(f: &'e Finding<'_>) -> Self {
        VulnerabilityOut {
            cve: None,
            advisory: Some(Uid { uid: f.rule.as_deref().unwrap_or(&f.uid) }),
            related_vulnerabilities: None,
            title: non_empty(&f.title),
            severity: f.severity_original.as_deref(),
            remediation: f.guidance.as_ref().map(GuidanceOut::of),
        }
    }
}

fn listed_vulnerabilities<'e>(f: &'e Finding<'_>) -> impl Iterator<Item = VulnerabilityOut<'e>> {
    f.vulnerabilities.iter().enumerate().map(|(at, v)| VulnerabilityOut::of(f, at, v))
}

fn required_vulnerabilities<'e>(f: &'e Finding<'_>) -> impl Serialize + use<'e> {
    let stand_in = f.vulnerabilities.is_empty().then_some(());
    Each(move || stand_in.map(|()| VulnerabilityOut::of_rule(f)).into_iter().chain(listed_vulnerabilities(f)))
}

/// The risk; its level has an id and OCSF's word only when it is one of OCSF's, its score only when it is a whole number.
fn risk<M: SerializeMap>(map: &mut M, risk: Option<&Risk<'_>>) -> Result<(), M::Error> {
    let Some(risk) = risk else { return Ok(()) };
    let level = risk.level.as_deref().map(risk_level);
    entry(map, "risk_level", level.map(|(_, word)| word))?;
    entry(map, "risk_level_id", level.map(|(id, _)| id))?;
    entry(map, "risk_score", risk_score(risk))?;
    entry(map, "risk_details", (!risk.factors.is_empty()).then(|| risk.factors.join("; ")))
}

/// Whether the attributes of the class say all of a risk.
fn has_home(f: &Finding<'_>, risk: &Risk<'_>) -> bool {
    let paths = usize::from(!f.resources.is_empty());
    let level = risk.level.as_deref().is_none_or(|level| risk_level(level).1 == level);
    level && (risk.score.is_none() || risk_score(risk).is_some()) && risk.factors.len() <= 1 && risk.attack_paths.len() <= paths
}

fn risk_level(level: &str) -> (u8, &str) {
    const LEVELS: &[(&str, u8, &str)] = &[
        ("info", 0, "Info"),
        ("informational", 0, "Info"),
        ("low", 1, "Low"),
        ("medium", 2, "Medium"),
        ("high", 3, "High"),
        ("critical", 4, "Critical"),
    ];
    let known = LEVELS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(level.trim()));
    known.map_or((99, level), |(_, id, caption)| (*id, *caption))
}

fn risk_score(risk: &Risk<'_>) -> Option<i32> {
    risk.score.as_deref()?.trim().parse().ok()
}

#[derive(Serialize)]
struct ResourceOut<'e> {
    uid: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'e str>,
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_partition: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner<'e>>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'e>,
}

/// `owner` is where a resource of OCSF names its account.
#[derive(Serialize)]
struct Owner<'e> {
    account: AccountOut<'e>,
}

impl<'e> ResourceOut<'e> {
    fn of(r: &'e Resource<'_>) -> Self {
        let owner = |a: &'e Account<'_>| Owner { account: AccountOut::new(r.cloud, a) };
        ResourceOut {
            uid: &r.uid,
            name: r.name.as_deref(),
            r#type: r.kind.as_deref(),
            provider: r.cloud.provider(),
            cloud_partition: partition(r),
            region: r.region.as_deref(),
            owner: r.account.as_ref().map(owner),
            tags: Tags(&r.tags),
        }
    }
}

/// The partition an ARN names.
fn partition<'e>(r: &'e Resource<'_>) -> Option<&'e str> {
    let rest = r.uid.strip_prefix("arn:").filter(|_| r.cloud == Cloud::Aws)?;
    rest.split(':').next().and_then(non_empty)
}

struct Tags<'e>(&'e [(Text<'e>, Text<'e>)]);

impl Tags<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tag<'e> {
            name: &'e str,
            value: &'e str,
        }
        serializer.collect_seq(self.0.iter().map(|(name, value)| Tag { name, value }))
    }
}

#[derive(Serialize)]
struct Fingerprint {
    algorithm_id: u8,
    algorithm: &'static str,
    value: String,
}

impl Fingerprint {
    fn of(raw: &str) -> Self {
        Fingerprint { algorithm_id: 3, algorithm: "SHA-256", value: sha256_hex(raw.as_bytes()) }
    }
}

/// What a finding says and its class has no attribute for.
#[derive(Serialize)]
struct Unmapped<'e> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_original: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_original: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'e str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sample: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<&'e Risk<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<&'e Compliance<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vulnerabilities: Option<&'e [Vulnerability<'e>]>,
}

impl<'e> Unmapped<'e> {
    fn of(f: &'e Finding<'_>) -> Self {
        // A CVSS score has no home, for OCSF wants its version beside it; nor has a second name, or none.
        let at_home = |v: &Vulnerability<'_>| v.cvss.is_none() && v.cve.is_some() != v.advisory.is_some();
        let vulnerabilities_have_home = f.class != FindingClass::Compliance && f.vulnerabilities.iter().all(at_home);
        Unmapped {
            source: f.source.as_str(),
            severity_original: f.severity_original.as_deref(),
            status_original: f.status_original.as_deref(),
            policy: f.policy.as_deref(),
            sample: f.sample,
            risk: f.risk.as_ref().filter(|r| !has_home(f, r)),
            compliance: f.compliance.as_ref().filter(|_| f.class != FindingClass::Compliance),
            vulnerabilities: (!vulnerabilities_have_home && !f.vulnerabilities.is_empty()).then_some(&*f.vulnerabilities),
        }
    }
}
