//! What an OCSF event says about a check: its outcome, control, standards and requirements.

use crate::cloud::{Text, part};
use crate::finding::{Compliance, ComplianceStatus};
use crate::json::Json;

use super::read::{Parts, number};

/// The compliance part of a check result that came as a detection.
pub(super) fn verdict<'a>(
    parts: Parts<'_, 'a>,
    code: Option<Text<'a>>,
    rule: Option<Text<'a>>,
    message: Option<Text<'a>>,
) -> Compliance<'a> {
    let (standards, requirements) = frameworks(parts.unmapped.get("compliance"));
    Compliance {
        control: rule,
        standards,
        requirements,
        status: compliance_status(code.as_deref()),
        status_detail: parts.event.get("status_detail").text().or(message),
        status_code: code,
    }
}

/// The compliance part of any other finding.
pub(super) fn compliance<'a>(parts: Parts<'_, 'a>, code: Option<Text<'a>>, rule: Option<&Text<'a>>) -> Option<Compliance<'a>> {
    let of = parts.event.get("compliance");
    if !of.is_object() {
        let held = parts.held.get("compliance");
        return held.is_object().then(|| read_compliance(held));
    }
    let mut compliance = read_compliance(of);
    if parts.check.is_present() {
        // The control is the check, and the outcome its own: what stands in their place is the requirement's.
        compliance.control = rule.cloned();
        compliance.status_code = parts.check.get("status").text().or(code);
        compliance.status = compliance_status(compliance.status_code.as_deref());
        with_standard(&mut compliance);
    } else if compliance.status == ComplianceStatus::Unknown && compliance.status_code.is_none() && is_verdict(code.as_deref()) {
        compliance.status = compliance_status(code.as_deref());
        compliance.status_code = code;
    }
    if compliance.control.is_none() {
        compliance.control =
            pair(parts.unmapped, "Compliance.SecurityControlId").or_else(|| pair(parts.unmapped, "ProductFields.ControlId"));
    }
    compliance.status_detail = compliance.status_detail.or_else(|| parts.event.get("status_detail").text());
    Some(compliance)
}

/// The result of a check. Prowler, and tools that copy it, send every one as a Detection Finding with this `status_code`.
pub(super) fn is_verdict(status_code: Option<&str>) -> bool {
    matches!(status_code, Some("PASS" | "FAIL" | "MANUAL"))
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

fn read_compliance<'a>(c: Json<'_, 'a>) -> Compliance<'a> {
    let status_word = c.get("status").text();
    let status_code = c.get("status_code").text();
    let status = match number(c.get("status_id")) {
        Some(1) => ComplianceStatus::Pass,
        Some(2) => ComplianceStatus::Warning,
        Some(3) => ComplianceStatus::Fail,
        _ => compliance_status(status_word.as_deref().or(status_code.as_deref())),
    };
    let mut details = c.get("status_details").texts();
    if details.is_empty() {
        let unmet = c.get("assessments").items().filter(|a| a.get("meets_criteria").str() == Some("false"));
        details.extend(unmet.filter_map(|a| a.text_of(&["desc", "name"])));
    }
    let mut standards = c.get("standards").texts();
    if standards.is_empty() {
        standards.extend(c.get("compliance_standards").items().filter_map(|s| s.text_of(&["title", "uid"])));
        standards.extend(c.get("checks").items().flat_map(|check| check.get("standards").texts()));
    }
    let checks = || c.get("checks").items().find_map(|check| check.text_of(&["uid", "name"]));
    Compliance {
        control: c.get("control").text().or_else(checks),
        standards,
        requirements: c.get("requirements").texts(),
        status,
        status_code: status_code.or(status_word.filter(|word| !word.eq_ignore_ascii_case(status.caption()))),
        status_detail: c.get("status_detail").text().or_else(|| joined(details)),
    }
}

/// The id of a finding in Prowler's other file: this one puts a requirement behind it.
pub(super) fn without_requirement<'a>(uid: Text<'a>, requirements: Json<'_, '_>) -> Text<'a> {
    let strip =
        |requirement: Text<'_>| part(&uid, |uid| uid.strip_suffix(requirement.as_ref())?.strip_suffix('-').filter(|uid| !uid.is_empty()));
    requirements.texts().into_iter().find_map(strip).unwrap_or(uid)
}

/// Requirements as they are in Prowler's other file: `framework id`.
fn with_standard(compliance: &mut Compliance<'_>) {
    if let [standard] = compliance.standards.as_slice() {
        compliance.requirements.iter_mut().for_each(|id| *id = format!("{standard} {id}").into());
    }
}

/// Prowler's requirement ids by framework: standards, and requirements as `framework id`.
fn frameworks<'a>(by_framework: Json<'_, 'a>) -> (Vec<Text<'a>>, Vec<Text<'a>>) {
    let mut found = (Vec::new(), Vec::new());
    for (name, ids) in by_framework.members() {
        found.0.push(name.clone());
        found.1.extend(ids.texts().into_iter().map(|id| Text::from(format!("{name} {id}"))));
    }
    found
}

fn joined(mut texts: Vec<Text<'_>>) -> Option<Text<'_>> {
    match texts.len() {
        0 | 1 => texts.pop(),
        _ => Some(texts.join("; ").into()),
    }
}

/// A value of Security Lake's `unmapped`: pairs of a path and a value, or an object with such paths for names.
pub(super) fn pair<'a>(unmapped: Json<'_, 'a>, path: &str) -> Option<Text<'a>> {
    let is_path = |name: &str| name.strip_suffix("[]").unwrap_or(name).eq_ignore_ascii_case(path);
    if unmapped.is_object() {
        return unmapped.members().find(|(name, _)| is_path(name)).and_then(|(_, value)| value.texts().into_iter().next());
    }
    let mut pairs = unmapped.items().filter(|pair| pair.is_list());
    pairs.find(|pair| pair.items().next().and_then(Json::str).is_some_and(is_path))?.items().nth(1)?.text()
}
