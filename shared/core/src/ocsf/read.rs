//! OCSF findings of any producer and version as [`Finding`]s.

use std::borrow::Cow;

use crate::cloud::{Account, Cloud, Resource, Text};
use crate::finding::{
    Activity, Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Guidance, Product, Risk, Severity, Source, SourceRef,
    Vulnerability,
};
use crate::json::Json;
use crate::lenient::{LList, LText};
use crate::normalize::{self, NormalizeError, Normalized, Reading};

use super::payload::{CloudIn, ComplianceIn, Event, Info, RemediationIn, ResourceIn, VulnerabilityIn};

const KIND: &str = "OCSF finding";
const ACCEPTED: &str = "OCSF findings of class 2002, 2003, 2004 (also 2001 and 2006)";

/// Every finding of a delivery: one event, or an array of events as Prowler writes it to a file (JSON Lines are split by the
/// caller).
pub fn normalize(json: &str) -> Normalized<'_> {
    normalize::read(json, &read)
}

/// Reads one event. It is OCSF's where it has `class_uid` and `metadata`.
pub fn read<'a>(event: Json<'_, 'a>, reading: &mut Reading<'a>) -> Result<(), NormalizeError> {
    if !event.get("class_uid").is_present() || !event.get("metadata").is_present() {
        return Err(NormalizeError::Unrecognised { looked_like: event.names(), accepted: ACCEPTED });
    }
    reading.take(finding_from(event.raw()));
    Ok(())
}

/// One OCSF event as a finding. The source is Prowler or plain OCSF; `source_ref` holds `metadata.uid` (else the finding's id),
/// the product's id, account and region, for the connector of a source that can be asked to correct.
pub fn finding_from(json: &str) -> Result<Finding<'_>, NormalizeError> {
    let json = json.trim();
    let event: Event<'_> = serde_json::from_str(json).map_err(|e| NormalizeError::json(&e))?;
    let class = class(&event)?;
    let info = event.finding_info.0.or(event.finding.0).unwrap_or_default();
    let metadata = event.metadata.0.unwrap_or_default();
    let product = metadata.product.0.unwrap_or_default();
    let cloud_in = event.cloud.0.unwrap_or_default();
    let unmapped = event.unmapped.0.unwrap_or_default();

    let event_uid = metadata.uid.0;
    let Some(uid) = info.uid.0.clone().or_else(|| event_uid.clone()) else {
        return Err(missing("finding_info.uid", "the id under which the source keeps the finding (or `metadata.uid`)"));
    };
    let named = |t: &LText<'_>| t.as_deref().is_some_and(|t| t.eq_ignore_ascii_case("prowler"));
    let is_prowler = named(&product.name) || named(&product.vendor_name);
    let source = if is_prowler { Source::Prowler } else { Source::Ocsf };

    let resources_in = if event.resources.0.is_empty() { event.resource.0 } else { event.resources.0 };
    let own_clouds: Vec<Option<Cloud>> = resources_in.iter().map(own_cloud).collect();
    let reporting = cloud_in.provider.as_deref().and_then(Cloud::parse);
    let Some(cloud) = own_clouds.first().copied().flatten().or(reporting).or_else(|| own_clouds.iter().copied().flatten().next()) else {
        return Err(no_cloud(&cloud_in));
    };
    let reporter_region = cloud_in.region.0.clone();
    let reporter_account = account(cloud_in);
    let reporting = reporting.unwrap_or(cloud);
    let resources: Vec<Resource<'_>> = resources_in
        .into_iter()
        .zip(own_clouds)
        .filter_map(|(r, own)| resource(r, own.unwrap_or(reporting), reporting, reporter_account.as_ref()))
        .collect();
    // A reporter in another cloud (Security Hub on an Azure resource) says nothing of the resource's account and region.
    let (account, region) = if reporting == cloud { (reporter_account.clone(), reporter_region.clone()) } else { (None, None) };
    let account = account.or_else(|| resources.first().and_then(|r| r.account.clone()));
    let region = region.or_else(|| resources.first().and_then(|r| r.region.clone()));

    let checked = is_check_result(&event.class_uid, &event.status_code);
    let check = metadata.event_code.0;
    let rule = if is_prowler {
        check.clone().or_else(|| info.rule())
    } else {
        info.rule().or_else(|| check.clone()).or(product.feature.0.unwrap_or_default().uid.0)
    };
    let compliance = if checked {
        let (standards, requirements) = unmapped.compliance.0.unwrap_or_default().split();
        Some(Compliance {
            control: rule.clone(),
            standards,
            requirements,
            status: compliance_status(event.status_code.as_deref()),
            status_detail: event.status_detail.0.or_else(|| event.message.0.clone()),
            status_code: event.status_code.0,
        })
    } else {
        event.compliance.0.map(compliance)
    };
    let class = if checked { FindingClass::Compliance } else { class.resolve(compliance.as_ref(), !event.vulnerabilities.0.is_empty()) };

    let first_guidance = || event.vulnerabilities.0.iter().find_map(|v| v.remediation.0.clone());
    let guidance = event.remediation.0.or(info.remediation.0.clone()).or_else(first_guidance).and_then(guidance);
    let title = info.title.0.or_else(|| event.message.0.clone()).unwrap_or_default();
    let severity_original = event.vendor_attributes.0.unwrap_or_default().severity.or(unmapped.severity_original).0;
    let severity = match number(&event.severity_id) {
        Some(id) if id != 0 && id != OTHER => Severity::from_id(id),
        _ => event.severity.as_deref().map_or(Severity::Unknown, Severity::parse),
    };
    let status_text = event.status.or(event.state);
    let status = status(number(&event.status_id).or(number(&event.state_id)), status_text.as_deref());
    let verdict_is_test = number(&event.verdict_id) == Some(VERDICT_TEST);
    let sample = verdict_is_test || title.starts_with("[SAMPLE]") || unmapped.sample.as_deref() == Some("true");
    let risk = Risk { level: event.risk_level.0, score: event.risk_score.0, ..Risk::default() };
    let product = Product {
        name: product.name.0.clone().or(product.uid.0.clone()).unwrap_or_default(),
        vendor: product.vendor_name.0.unwrap_or_default(),
        uid: product.uid.0,
        version: product.version.0,
    };

    Ok(Finding {
        source,
        class,
        activity: activity(&event.activity_id, &event.activity_name),
        source_ref: SourceRef {
            id: event_uid.unwrap_or_else(|| uid.clone()),
            product: product.uid.clone(),
            location: reporter_region.or_else(|| region.clone()),
            account: reporter_account.or_else(|| account.clone()).map(|a| a.uid),
            resource_group: None,
        },
        uid,
        sample,
        title,
        desc: info.desc.0,
        rule,
        policy: None,
        types: info.types.0,
        severity,
        severity_original: severity_original.or(other_word(event.severity, severity.caption())),
        status,
        status_original: unmapped.status_original.0.or(other_word(status_text, status.caption())),
        time: event.time.or(event.time_dt).0,
        created: info.created_time.or(info.created_time_dt).0,
        modified: info.modified_time.or(info.modified_time_dt).0,
        first_seen: info.first_seen_time.or(info.first_seen_time_dt).0,
        last_seen: info.last_seen_time.or(info.last_seen_time_dt).0,
        cloud,
        account,
        region,
        resources,
        compliance,
        vulnerabilities: event.vulnerabilities.0.into_iter().map(vulnerability).collect(),
        guidance,
        risk: (risk.level.is_some() || risk.score.is_some()).then_some(risk),
        product,
        snapshot: false,
        raw: Cow::Borrowed(json),
    })
}

/// `99`, OCSF's "Other" in every enumeration.
const OTHER: i64 = 99;
/// `verdict_id` of a test finding.
const VERDICT_TEST: i64 = 6;

/// The class an event claims; the old Security Finding says only by its parts what it is.
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

fn class(event: &Event<'_>) -> Result<ClassIn, NormalizeError> {
    match number(&event.class_uid) {
        Some(2001) => Ok(ClassIn::ByParts),
        Some(2002) => Ok(ClassIn::Known(FindingClass::Vulnerability)),
        Some(2003) => Ok(ClassIn::Known(FindingClass::Compliance)),
        // 2006 is Data Security Finding: a detection about data, with the same shape.
        Some(2004 | 2006) => Ok(ClassIn::Known(FindingClass::Detection)),
        Some(other) => {
            let name = event.class_name.as_deref().unwrap_or("no class name");
            Err(NormalizeError::Unrecognised { looked_like: format!("an OCSF event of class {other} ({name})"), accepted: ACCEPTED })
        }
        None => Err(missing("class_uid", "the number of an OCSF finding class: 2002, 2003 or 2004")),
    }
}

fn missing(field: &'static str, expected: &'static str) -> NormalizeError {
    NormalizeError::Field { kind: KIND, field: field.into(), problem: "missing".into(), expected: expected.into() }
}

fn no_cloud(cloud: &CloudIn<'_>) -> NormalizeError {
    let problem = cloud.provider.as_deref().map_or(Cow::Borrowed("missing"), |p| format!("`{p}`").into());
    let expected = "Azure, AWS or GCP, or a resource whose id shows its cloud (`/subscriptions/…`, `arn:…`, `//….googleapis.com/…`)";
    NormalizeError::Field { kind: KIND, field: "cloud.provider".into(), problem, expected: expected.into() }
}

fn number(text: &LText<'_>) -> Option<i64> {
    let text = text.as_deref()?.trim();
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|n| n as i64))
}

/// Prowler, and tools that copy it, send every check result as a Detection Finding whose `status_code` is the result.
fn is_check_result(class_uid: &LText<'_>, status_code: &LText<'_>) -> bool {
    number(class_uid) == Some(2004) && matches!(status_code.as_deref(), Some("PASS" | "FAIL" | "MANUAL"))
}

fn activity(id: &LText<'_>, name: &LText<'_>) -> Activity {
    match (number(id), name.as_deref()) {
        (Some(2), _) => Activity::Update,
        (Some(3), _) => Activity::Close,
        (None, Some(name)) if name.eq_ignore_ascii_case("update") => Activity::Update,
        (None, Some(name)) if name.eq_ignore_ascii_case("close") => Activity::Close,
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
fn other_word<'a>(text: LText<'a>, caption: &str) -> Option<Text<'a>> {
    text.0.filter(|word| word != caption)
}

fn compliance_status(text: Option<&str>) -> ComplianceStatus {
    const WORDS: &[(&str, ComplianceStatus)] = &[
        ("pass", ComplianceStatus::Pass),
        ("passed", ComplianceStatus::Pass),
        ("fail", ComplianceStatus::Fail),
        ("failed", ComplianceStatus::Fail),
        ("warning", ComplianceStatus::Warning),
    ];
    let text = text.unwrap_or_default().trim();
    WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map_or(ComplianceStatus::Unknown, |(_, status)| *status)
}

fn compliance<'a>(c: ComplianceIn<'a>) -> Compliance<'a> {
    let status = match number(&c.status_id) {
        Some(1) => ComplianceStatus::Pass,
        Some(2) => ComplianceStatus::Warning,
        Some(3) => ComplianceStatus::Fail,
        _ => compliance_status(c.status.as_deref().or(c.status_code.as_deref())),
    };
    let unmet = c.assessments.0.into_iter().filter(|a| a.meets_criteria.as_deref() == Some("false"));
    let unmet: Vec<Text<'a>> = unmet.filter_map(|a| a.desc.or(a.name).0).collect();
    let details = if c.status_details.0.is_empty() { unmet } else { c.status_details.0 };
    Compliance {
        control: c.control.0,
        standards: c.standards.0,
        requirements: c.requirements.0,
        status,
        status_code: c.status_code.0.or(other_word(c.status, status.caption())),
        status_detail: c.status_detail.0.or_else(|| joined(details)),
    }
}

fn joined(mut texts: Vec<Text<'_>>) -> Option<Text<'_>> {
    match texts.len() {
        0 | 1 => texts.pop(),
        _ => Some(texts.join("; ").into()),
    }
}

fn vulnerability(v: VulnerabilityIn<'_>) -> Vulnerability<'_> {
    let cve = v.cve.0.unwrap_or_default();
    let weakness = v.cwe.0.unwrap_or_default().uid;
    Vulnerability {
        advisory: v.advisory.0.unwrap_or_default().uid.or(if cve.uid.0.is_none() { weakness } else { LText(None) }).0,
        title: v.title.or(cve.title).0,
        cvss: cve.cvss.0.into_iter().find_map(|c| c.base_score.0),
        cve: cve.uid.0,
    }
}

fn guidance(r: RemediationIn<'_>) -> Option<Guidance<'_>> {
    let mut references = r.references.0;
    references.extend(r.kb_articles.0);
    references.extend(r.kb_article_list.0.into_iter().filter_map(|a| a.src_url.0));
    (r.desc.0.is_some() || !references.is_empty()).then(|| Guidance { desc: r.desc.0.unwrap_or_default(), references })
}

fn account(cloud: CloudIn<'_>) -> Option<Account<'_>> {
    let account = cloud.account.0.unwrap_or_default();
    let uid = account.uid.or(cloud.account_uid).or(cloud.project_uid).0?;
    Some(Account { uid, name: account.name.0 })
}

/// A resource, its account taken from its owner, else (in the same cloud) from the finding. None when it has neither id nor name.
fn resource<'a>(r: ResourceIn<'a>, cloud: Cloud, reporting: Cloud, account: Option<&Account<'a>>) -> Option<Resource<'a>> {
    let kind = r.kind.0;
    let is_arn = r.uid_alt.as_deref().is_some_and(|alt| alt.starts_with("arn:"));
    let uid = if is_arn { r.uid_alt.or(r.uid) } else { r.uid.or(r.uid_alt) };
    let uid = uid.or(r.name.clone()).0?;
    // Security Hub V2 names an account by its bare number; the older format's id says what the number is.
    let is_account = kind.as_deref() == Some("AWS::::Account") && uid.bytes().all(|b| b.is_ascii_digit());
    let uid = if is_account { format!("AWS::::Account:{uid}").into() } else { uid };
    let owner = r.owner.0.unwrap_or_default().account.0.unwrap_or_default();
    let owner = owner.uid.0.map(|uid| Account { uid, name: owner.name.0 });
    let mut tags: Vec<(Text<'a>, Text<'a>)> =
        r.tags.0.into_iter().filter_map(|t| Some((t.name.0?, tag_value(t.value, t.values)))).collect();
    if tags.is_empty() {
        tags.extend(r.labels.0.into_iter().map(label));
    }
    Some(Resource {
        cloud,
        uid,
        kind,
        name: r.name.0,
        account: owner.or_else(|| account.filter(|_| cloud == reporting).cloned()),
        region: r.region.0,
        tags,
    })
}

fn tag_value<'a>(value: LText<'a>, values: LList<'a>) -> Text<'a> {
    value.0.or_else(|| values.0.into_iter().next()).unwrap_or_default()
}

/// `key:value` as Prowler writes labels, `key=value` as Security Lake did.
fn label(label: Text<'_>) -> (Text<'_>, Text<'_>) {
    match label {
        Cow::Borrowed(text) => match text.split_once([':', '=']) {
            Some((key, value)) => (key.into(), value.into()),
            None => (text.into(), Text::default()),
        },
        Cow::Owned(text) => match text.split_once([':', '=']) {
            Some((key, value)) => (key.to_owned().into(), value.to_owned().into()),
            None => (text.into(), Text::default()),
        },
    }
}

/// The cloud a resource itself shows: by `provider`, partition, the form of its id, the form of its type.
fn own_cloud(r: &ResourceIn<'_>) -> Option<Cloud> {
    r.provider
        .as_deref()
        .and_then(Cloud::parse)
        .or_else(|| r.cloud_partition.as_deref().and_then(cloud_of_partition))
        .or_else(|| [&r.uid, &r.uid_alt].into_iter().find_map(|uid| uid.as_deref().and_then(cloud_of_uid)))
        .or_else(|| r.kind.as_deref().and_then(cloud_of_kind))
}

fn cloud_of_partition(partition: &str) -> Option<Cloud> {
    let partition = partition.to_ascii_lowercase();
    let starts = |with: &str| partition.starts_with(with);
    if starts("aws") {
        Some(Cloud::Aws)
    } else if starts("azure") {
        Some(Cloud::Azure)
    } else if starts("gcp") || starts("google") {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

fn cloud_of_uid(uid: &str) -> Option<Cloud> {
    let lower = uid.trim().to_ascii_lowercase();
    let starts = |with: &[&str]| with.iter().any(|w| lower.starts_with(w));
    if starts(&["arn:", "aws::::"]) {
        Some(Cloud::Aws)
    } else if starts(&["/subscriptions/", "subscriptions/", "/providers/microsoft.", "/tenants/"]) {
        Some(Cloud::Azure)
    } else if (starts(&["//", "https://"]) && lower.contains(".googleapis.com/")) || starts(&["projects/"]) {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

fn cloud_of_kind(kind: &str) -> Option<Cloud> {
    let lower = kind.to_ascii_lowercase();
    if kind.starts_with("AWS::") || kind.starts_with("Aws") {
        Some(Cloud::Aws)
    } else if lower.starts_with("microsoft.") {
        Some(Cloud::Azure)
    } else if lower.contains(".googleapis.com/") || lower.starts_with("google.") {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

impl<'a> Info<'a> {
    /// The rule: the analytic's id, else its name.
    fn rule(&self) -> Option<Text<'a>> {
        let analytic = self.analytic.0.as_ref()?;
        analytic.uid.0.clone().or_else(|| analytic.name.0.clone())
    }
}
