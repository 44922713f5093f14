//! OCSF findings of any producer and version as [`Finding`]s.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::cloud::{Account, Cloud, Resource, Text};
use crate::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, SourceRef,
    Vulnerability,
};
use crate::json::{Doc, Json};
use crate::normalize::{self, NoFinding, NormalizeError, Normalized, Reading};

use super::compliance::{compliance, is_verdict, pair, verdict, without_requirement};
use super::resource::{account, cloud_by_signs, own_cloud, read_resource, resources_of};

const KIND: &str = "OCSF finding";
const ACCEPTED: &str = "OCSF findings of class 2002, 2003, 2004 (also 2001, 2006, 2007 and 2008)";

const OTHER_CLASS: NoFinding = NoFinding {
    rule: "ocsf-other-class",
    what: "an OCSF event of another class",
    shape: "`class_uid` and `metadata`, the class being none of 2001 to 2004 and 2006 to 2008",
    why: "it tells of an activity, an inventory or a remediation; a fault comes as an event of a finding class",
};
const INCIDENT: NoFinding = NoFinding {
    rule: "ocsf-incident",
    what: "an OCSF Incident Finding",
    shape: "`class_uid` 2005",
    why: "it only groups findings, which come as events of their own",
};
const ELSEWHERE: NoFinding = NoFinding {
    rule: "ocsf-elsewhere",
    what: "a finding outside Azure, AWS and Google Cloud",
    shape: "an OCSF finding whose `cloud.provider` is another, or that has neither profile `cloud` nor any sign of a cloud",
    why: "its resource (Kubernetes, GitHub, a laptop …) lies where stanch changes nothing",
};
const MANUAL: NoFinding = NoFinding {
    rule: "prowler-manual-requirement",
    what: "a requirement that Prowler cannot check",
    shape: "a Compliance Finding of Prowler with `status_code` `MANUAL` and no resource",
    why: "no resource was looked at; it asks a person to look",
};

/// The rules for what is OCSF and is no finding.
pub const NO_FINDINGS: &[&NoFinding] = &[&OTHER_CLASS, &INCIDENT, &ELSEWHERE, &MANUAL];

/// Every finding of a delivery: one event, or an array of events as Prowler writes it to a file (JSON Lines are split by the
/// caller).
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event, or a bundle of them (`{"events": […]}`). It is OCSF's where it has `class_uid` or `type_uid`, and `metadata` or
/// `finding_info`.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    let bundled = event.get("events");
    if bundled.is_list() && bundled.items().next().is_some_and(is_event) {
        for event in bundled.items() {
            if let Err(error) = read_event(event, reading) {
                reading.faults.push(error);
            }
        }
        return Ok(());
    }
    read_event(event, reading)
}

fn is_event(event: Json<'_, '_>) -> bool {
    let has = |names: &[&str]| event.any(names).is_present();
    has(&["class_uid", "type_uid"]) && has(&["metadata", "finding_info", "finding"])
}

fn read_event<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    if !is_event(event) {
        return Err(NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED });
    }
    match finding(event) {
        Err(Refusal { rule: Some(rule), .. }) => reading.passed_over.push(rule),
        read => reading.take(read.map_err(|refusal| refusal.error)),
    }
    Ok(())
}

/// One OCSF event as a finding; see [`from`].
pub fn finding_from(json: &str) -> Result<Finding<'_>, NormalizeError> {
    let doc = Doc::read(json.trim())?;
    from(doc.root())
}

/// One OCSF event, already parsed, as a finding. The source is Prowler or plain OCSF; `source_ref` holds `metadata.uid` (else the
/// finding's id), the product's id, account and region, for the connector of a source that can be asked to correct.
pub fn from<'a>(event: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    finding(event).map_err(|refusal| refusal.error)
}

/// Why an event gives no finding.
struct Refusal {
    /// The rule by which it is none at all.
    rule: Option<&'static NoFinding>,
    error: NormalizeError,
}

impl From<NormalizeError> for Refusal {
    fn from(error: NormalizeError) -> Self {
        Refusal { rule: None, error }
    }
}

/// The parts of an event that are looked into more than once.
#[derive(Clone, Copy)]
pub(super) struct Parts<'d, 'a> {
    pub(super) event: Json<'d, 'a>,
    /// `finding_info`, or `finding` of the old class.
    pub(super) info: Json<'d, 'a>,
    pub(super) metadata: Json<'d, 'a>,
    pub(super) product: Json<'d, 'a>,
    pub(super) unmapped: Json<'d, 'a>,
    /// `unmapped` of an event that stanch itself wrote.
    pub(super) held: Json<'d, 'a>,
    pub(super) prowler: bool,
    /// The check of Prowler's compliance files, which repeat each finding of a scan once per requirement.
    pub(super) check: Json<'d, 'a>,
}

impl<'d, 'a> Parts<'d, 'a> {
    fn of(event: Json<'d, 'a>) -> Self {
        let metadata = event.get("metadata");
        let product = metadata.get("product");
        let unmapped = event.get("unmapped");
        let by_stanch = unmapped.get("source").str().is_some_and(|name| {
            let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
            Source::deserialize(name).is_ok()
        });
        let named = |field: &str| product.get(field).str().is_some_and(|text| text.eq_ignore_ascii_case("prowler"));
        let prowler = named("name") || named("vendor_name");
        let check = event.get("compliance").get("checks").items().find(|check| prowler && check.get("uid").is_present());
        Parts {
            event,
            info: event.any(&["finding_info", "finding"]),
            metadata,
            product,
            unmapped,
            held: if by_stanch { unmapped } else { event.absent() },
            prowler,
            check: check.unwrap_or(event.absent()),
        }
    }
}

fn finding<'a>(event: Json<'_, 'a>) -> Result<Finding<'a>, Refusal> {
    let class = class(event)?;
    let parts @ Parts { info, metadata, product, unmapped, held, check, .. } = Parts::of(event);
    let status_code = event.get("status_code").text();
    let checked = matches!(class, ClassIn::Known(FindingClass::Detection)) && is_verdict(status_code.as_deref());
    let resources = resources_of(event);
    let of_requirement = parts.prowler && event.get("compliance").is_object();
    if of_requirement && resources.items().next().is_none() && status_code.as_deref() == Some("MANUAL") {
        return Err(Refusal { rule: Some(&MANUAL), error: missing("resources", "the resource that was checked") });
    }

    let event_uid = metadata.get("uid").text().or_else(|| metadata.get("original_event_uid").text());
    let Some(uid) = info.get("uid").text().or_else(|| event_uid.clone()) else {
        return Err(missing("finding_info.uid", "the id under which the source keeps the finding (or `metadata.uid`)").into());
    };
    let uid = if check.is_present() { without_requirement(uid, event.path(&["compliance", "requirements"])) } else { uid };
    let place = Place::read(parts, resources, &uid)?;

    let analytic = || info.get("analytic").text_of(&["uid", "name"]);
    let code = metadata.get("event_code").text();
    let rule = if parts.prowler {
        code.or_else(|| check.get("uid").text()).or_else(analytic)
    } else {
        analytic().or(code).or_else(|| product.get("feature").get("uid").text())
    };
    let message = event.get("message").text();
    let compliance = if checked {
        Some(verdict(parts, status_code, rule.clone(), message.clone()))
    } else {
        compliance(parts, status_code, rule.as_ref())
    };
    let vulnerabilities = vulnerabilities(event, held);
    let class = if checked { FindingClass::Compliance } else { class.resolve(compliance.as_ref(), !vulnerabilities.is_empty()) };

    let severity_word = event.get("severity").text();
    let severity = match number(event.get("severity_id")) {
        Some(id) if id != 0 && id != OTHER => Severity::from_id(id),
        _ => severity_word.as_deref().map_or(Severity::Unknown, Severity::parse),
    };
    let severity_original = event.get("vendor_attributes").get("severity").text().or_else(|| held.get("severity_original").text());
    let status_word = event.any(&["status", "state"]).text();
    let status = status(number(event.get("status_id")).or_else(|| number(event.get("state_id"))), status_word.as_deref());
    let title = check.get("name").text().or_else(|| info.get("title").text()).or(message).or_else(|| rule.clone()).unwrap_or_default();
    let test = number(event.get("verdict_id")) == Some(VERDICT_TEST);
    let product = Product {
        name: product.text_of(&["name", "uid"]).unwrap_or_default(),
        vendor: product.get("vendor_name").text().unwrap_or_default(),
        uid: product.get("uid").text(),
        version: product.get("version").text(),
    };
    let time = |name: &'static str, date: &'static str| info.time_of(&[name, date]);

    Ok(Finding {
        source: if parts.prowler { Source::Prowler } else { Source::Ocsf },
        class,
        activity: activity(event),
        source_ref: SourceRef {
            id: event_uid.unwrap_or_else(|| uid.clone()),
            product: product.uid.clone(),
            location: place.reporter_region.or_else(|| place.region.clone()),
            account: place.reporter.or_else(|| place.account.clone()).map(|a| a.uid),
            resource_group: None,
        },
        uid,
        sample: test || title.starts_with("[SAMPLE]") || held.get("sample").str() == Some("true"),
        title,
        desc: check.get("desc").text().or_else(|| info.get("desc").text()),
        rule,
        policy: held.get("policy").text(),
        types: info.get("types").texts(),
        severity,
        severity_original: severity_original
            .or_else(|| pair(unmapped, "Severity.Original"))
            .or(other_word(severity_word, severity.caption())),
        status,
        status_original: held.get("status_original").text().or(other_word(status_word, status.caption())),
        time: event.time_of(&["time", "time_dt"]),
        created: time("created_time", "created_time_dt"),
        modified: time("modified_time", "modified_time_dt"),
        first_seen: time("first_seen_time", "first_seen_time_dt"),
        last_seen: time("last_seen_time", "last_seen_time_dt"),
        cloud: place.cloud,
        account: place.account,
        region: place.region,
        resources: place.resources,
        compliance,
        vulnerabilities,
        guidance: guidance(event, info, unmapped),
        risk: risk(event, info, held),
        product,
        snapshot: held.get("snapshot").str() == Some("true"),
        raw: Cow::Borrowed(event.raw()),
    })
}

/// Where a finding lies, and where it comes from.
struct Place<'a> {
    cloud: Cloud,
    account: Option<Account<'a>>,
    region: Option<Text<'a>>,
    resources: Vec<Resource<'a>>,
    reporter: Option<Account<'a>>,
    reporter_region: Option<Text<'a>>,
}

impl<'a> Place<'a> {
    fn read(parts: Parts<'_, 'a>, resources: Json<'_, 'a>, uid: &str) -> Result<Self, Refusal> {
        let beside = parts.event.get("cloud");
        // Prowler's compliance files keep it there.
        let cloud_in = if beside.is_object() { beside } else { parts.unmapped.get("cloud") };
        let own_clouds: Vec<Option<Cloud>> = resources.items().map(own_cloud).collect();
        let provider = cloud_in.get("provider").str();
        let reporting = provider.and_then(Cloud::parse).or_else(|| cloud_by_signs(cloud_in, uid, parts.product));
        let cloud = own_clouds.first().copied().flatten().or(reporting).or_else(|| own_clouds.iter().copied().flatten().next());
        let cloud = cloud.ok_or_else(|| no_cloud(provider, parts.metadata))?;
        let reporter = account(cloud_in);
        let reporter_region = cloud_in.get("region").text();
        let reporting = reporting.unwrap_or(cloud);
        let resources: Vec<_> = resources
            .items()
            .zip(own_clouds)
            .filter_map(|(r, own)| read_resource(r, own.unwrap_or(reporting), reporting, reporter.as_ref()))
            .collect();
        // A reporter in another cloud (Security Hub on an Azure resource) says nothing of the resource's account and region.
        let (account, region) = if reporting == cloud { (reporter.clone(), reporter_region.clone()) } else { (None, None) };
        let account = account.or_else(|| resources.first()?.account.clone());
        let region = region.or_else(|| resources.first()?.region.clone());
        Ok(Place { cloud, account, region, resources, reporter, reporter_region })
    }
}

/// `99`, OCSF's "Other" in every enumeration.
const OTHER: i64 = 99;
/// `verdict_id` of a test finding.
const VERDICT_TEST: i64 = 6;

/// The class an event claims; some classes say only by their parts what they are.
enum ClassIn {
    Known(FindingClass),
    ByParts,
}

impl ClassIn {
    fn resolve(self, compliance: Option<&Compliance<'_>>, has_vulnerabilities: bool) -> FindingClass {
        match self {
            ClassIn::Known(class) => class,
            ClassIn::ByParts
                if compliance.is_some_and(|c| c.control.is_some() || c.status_code.is_some() || c.status != ComplianceStatus::Unknown) =>
            {
                FindingClass::Compliance
            }
            ClassIn::ByParts if has_vulnerabilities => FindingClass::Vulnerability,
            ClassIn::ByParts => FindingClass::Detection,
        }
    }
}

fn class(event: Json<'_, '_>) -> Result<ClassIn, Refusal> {
    let uid = number(event.get("class_uid")).or_else(|| Some(number(event.get("type_uid"))? / 100));
    let rule = match uid {
        // The old Security Finding, and Application Security Posture Finding.
        Some(2001 | 2007) => return Ok(ClassIn::ByParts),
        Some(2002) => return Ok(ClassIn::Known(FindingClass::Vulnerability)),
        Some(2003) => return Ok(ClassIn::Known(FindingClass::Compliance)),
        // Data Security Finding and IAM Analysis Finding are detections about data and identities, with the same shape.
        Some(2004 | 2006 | 2008) => return Ok(ClassIn::Known(FindingClass::Detection)),
        Some(2005) => &INCIDENT,
        Some(_) => &OTHER_CLASS,
        None => return Err(missing("class_uid", "the number of an OCSF finding class: 2002, 2003 or 2004").into()),
    };
    let name = event.get("class_name").str().unwrap_or("no class name");
    let looked_like = format!("an OCSF event of class {} ({name})", uid.unwrap_or_default());
    Err(Refusal { rule: Some(rule), error: NormalizeError::Unrecognised { looked_like, accepted: ACCEPTED } })
}

fn missing(field: &'static str, expected: &'static str) -> NormalizeError {
    NormalizeError::Field { kind: KIND, field: field.into(), problem: "missing".into(), expected: expected.into() }
}

/// A finding that claims to be of a cloud and does not say of which is broken; any other lies elsewhere.
fn no_cloud(provider: Option<&str>, metadata: Json<'_, '_>) -> Refusal {
    let problem = provider.map_or(Cow::Borrowed("missing"), |provider| format!("`{provider}`").into());
    let expected = "Azure, AWS or GCP, or a resource whose id shows its cloud (`/subscriptions/…`, `arn:…`, `//….googleapis.com/…`)";
    let claims = metadata.get("profiles").texts().iter().any(|profile| profile.eq_ignore_ascii_case("cloud"));
    Refusal {
        rule: (provider.is_some() || !claims).then_some(&ELSEWHERE),
        error: NormalizeError::Field { kind: KIND, field: "cloud.provider".into(), problem, expected: expected.into() },
    }
}

pub(super) fn number(value: Json<'_, '_>) -> Option<i64> {
    let text = value.str()?.trim();
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|n| n as i64))
}

fn activity(event: Json<'_, '_>) -> Activity {
    let id = number(event.get("activity_id")).or_else(|| Some(number(event.get("type_uid"))? % 100));
    let named = |name: &str| id.is_none() && event.any(&["activity_name", "activity"]).str().is_some_and(|n| n.eq_ignore_ascii_case(name));
    match id {
        Some(2) => Activity::Update,
        Some(3) => Activity::Close,
        _ if named("update") => Activity::Update,
        _ if named("close") => Activity::Close,
        _ => Activity::Create,
    }
}

fn status(id: Option<i64>, text: Option<&str>) -> FindingStatus {
    const STATUSES: [FindingStatus; 6] = [
        FindingStatus::New,
        FindingStatus::InProgress,
        FindingStatus::Suppressed,
        FindingStatus::Resolved,
        FindingStatus::Archived,
        FindingStatus::Deleted,
    ];
    let by_id = STATUSES.into_iter().find(|s| id == Some(i64::from(s.id())));
    let by_text = || STATUSES.into_iter().find(|s| text.is_some_and(|t| t.trim().eq_ignore_ascii_case(s.caption())));
    by_id.or_else(by_text).unwrap_or_default()
}

/// A word that is not just OCSF's caption of the value, and so is the source's own.
fn other_word<'a>(text: Option<Text<'a>>, caption: &str) -> Option<Text<'a>> {
    text.filter(|word| word != caption)
}

/// The vulnerabilities; those of an event that stanch wrote as it held them.
fn vulnerabilities<'a>(event: Json<'_, 'a>, held: Json<'_, 'a>) -> Vec<Vulnerability<'a>> {
    let held = held.get("vulnerabilities");
    if held.is_list() {
        let field = |v: Json<'_, 'a>, name| v.get(name).text();
        let read =
            |v| Vulnerability { cve: field(v, "cve"), advisory: field(v, "advisory"), title: field(v, "title"), cvss: field(v, "cvss") };
        return held.items().map(read).collect();
    }
    event.get("vulnerabilities").items().map(vulnerability).collect()
}

fn vulnerability<'a>(v: Json<'_, 'a>) -> Vulnerability<'a> {
    let cve = v.get("cve");
    let id = cve.get("uid").text().or_else(|| cve.text());
    let weakness = || if id.is_none() { v.get("cwe").get("uid").text() } else { None };
    Vulnerability {
        advisory: v.get("advisory").get("uid").text().or_else(weakness),
        title: v.get("title").text().or_else(|| cve.get("title").text()),
        cvss: cve.get("cvss").items().find_map(|c| c.get("base_score").text()),
        cve: id,
    }
}

fn guidance<'a>(event: Json<'_, 'a>, info: Json<'_, 'a>, unmapped: Json<'_, 'a>) -> Option<Guidance<'a>> {
    let own = [event, info].into_iter().chain(event.get("vulnerabilities").items()).map(|of| of.get("remediation"));
    let own = own.into_iter().find(|remediation| remediation.is_object()).unwrap_or(event.absent());
    let mut references = own.get("references").texts();
    references.extend(own.get("kb_articles").texts());
    references.extend(own.get("kb_article_list").items().filter_map(|article| article.get("src_url").text()));
    // Prowler keeps most of its links there.
    for link in ["related_url", "additional_urls"].iter().flat_map(|name| unmapped.get(name).texts()) {
        if !references.contains(&link) {
            references.push(link);
        }
    }
    let desc = own.get("desc").text();
    (desc.is_some() || !references.is_empty()).then(|| Guidance { desc: desc.unwrap_or_default(), references })
}

/// The risk; that of an event that stanch wrote as it held it.
fn risk<'a>(event: Json<'_, 'a>, info: Json<'_, 'a>, held: Json<'_, 'a>) -> Option<Risk<'a>> {
    const LEVELS: &[&str] = &["Info", "Low", "Medium", "High", "Critical"];
    let held = held.get("risk");
    let risk = if held.is_object() {
        let list = |name| held.get(name).texts();
        Risk {
            level: held.get("level").text(),
            score: held.get("score").text(),
            factors: list("factors"),
            attack_paths: list("attack_paths"),
        }
    } else {
        let by_id = || number(event.get("risk_level_id")).and_then(|id| LEVELS.get(usize::try_from(id).ok()?));
        let mut factors: Vec<Text<'a>> = event.get("risk_details").text().into_iter().collect();
        // What makes up an exposure finding of Security Hub.
        for traits in [info].into_iter().chain(info.get("related_events").items()).map(|of| of.get("traits")) {
            for factor in traits.items().filter_map(|t| t.text_of(&["name", "type", "category"])) {
                if !factors.contains(&factor) {
                    factors.push(factor);
                }
            }
        }
        Risk {
            level: event.get("risk_level").text().or_else(|| by_id().map(|level| Cow::Borrowed(*level))),
            score: event.get("risk_score").text(),
            factors,
            attack_paths: info.get("attack_graph").get("uid").text().into_iter().collect(),
        }
    };
    (risk != Risk::default()).then_some(risk)
}
