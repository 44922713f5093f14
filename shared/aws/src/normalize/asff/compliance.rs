//! `Compliance`, and the control of findings that were made before it had one.

use std::borrow::Cow;

use stanch_core::cloud::{Text, part};
use stanch_core::finding::{Compliance, ComplianceStatus, FindingClass};
use stanch_core::json::Json;

use super::{Named, compliance_status};
use crate::arn::Arn;

pub(super) fn read<'a>(
    compliance: Json<'_, 'a>,
    slug: &str,
    class: FindingClass,
    rule: Option<&Text<'a>>,
    title: Option<&Text<'a>>,
    types: &[Text<'a>],
    fields: Named<'_, 'a>,
) -> Compliance<'a> {
    let mut standards: Vec<_> = compliance.get("AssociatedStandards").items().filter_map(|s| s.get("StandardsId").text()).collect();
    if standards.is_empty() {
        standards.extend(fields.text("StandardsArn").or_else(|| fields.text("StandardsGuideArn")));
    }
    let reasons: Vec<_> = compliance.get("StatusReasons").items().filter_map(|r| r.any(&["Description", "ReasonCode"]).text()).collect();
    let fallback = || if class == FindingClass::Compliance { control(slug, rule, title, types, fields) } else { None };
    let status = compliance.get("Status").text();
    Compliance {
        control: compliance.get("SecurityControlId").text().or_else(fallback),
        standards,
        requirements: compliance.get("RelatedRequirements").texts(),
        status: status.as_deref().map_or(ComplianceStatus::Unknown, compliance_status),
        status_code: status,
        status_detail: match reasons.len() {
            0 => fields.text("aws/securityhub/annotation"),
            1 => reasons.into_iter().next(),
            _ => Some(Cow::Owned(reasons.join("; "))),
        },
    }
}

/// The control of a finding without `SecurityControlId`:
/// - `ProductFields.ControlId` of findings per standard: `EC2.8`, `PCI.IAM.6`;
/// - the Config rule's name, of AWS Config;
/// - CIS numbers mean different checks in different versions, so standard and version stay with them:
///   `cis-aws-foundations-benchmark/v/1.2.0/1.3`;
/// - the check's id before a title, of products that write it there: `[EBS.3] EBS Volumes should be encrypted`;
/// - where `GeneratorId` is only the product's name (IAM Access Analyzer), the last part of the type: `External Access Granted`;
/// - else what follows the last slash of `GeneratorId`, for Prowler without its prefix (`accessanalyzer_enabled`); a resource
///   there is no control.
fn control<'a>(
    slug: &str,
    rule: Option<&Text<'a>>,
    title: Option<&Text<'a>>,
    types: &[Text<'a>],
    fields: Named<'_, 'a>,
) -> Option<Text<'a>> {
    const CIS: &str = "cis-aws-foundations-benchmark/v/";
    if let Some(control) = fields.text("ControlId").or_else(|| fields.text("aws/config/ConfigRuleName")) {
        return Some(control);
    }
    let rule_id = fields.text("RuleId");
    if let Some((generator, at)) = rule.and_then(|g| g.find(CIS).map(|at| (g, at))) {
        return match generator.split_once("/rule/") {
            Some((standard, number)) => standard.get(at..).map(|standard| Cow::Owned(format!("{standard}/{number}"))),
            None => part(generator, |g| g.get(at..)),
        };
    }
    let guide = fields.text("StandardsGuideArn").and_then(|arn| arn.find(CIS).and_then(|at| arn.get(at..)).map(str::to_owned));
    if let (Some(standard), Some(number)) = (guide, rule_id.as_ref()) {
        return Some(Cow::Owned(format!("{standard}/{number}")));
    }
    let is_check = |id: &str| id.contains('.') && !id.contains(char::is_whitespace);
    let before_title = |title: &Text<'a>| part(title, |t| t.strip_prefix('[')?.split_once(']').map(|(id, _)| id).filter(|id| is_check(id)));
    if let Some(control) = title.and_then(before_title) {
        return Some(control);
    }
    if rule.is_some_and(|rule| rule.eq_ignore_ascii_case(slug)) {
        return types.iter().find_map(|kind| part(kind, |kind| kind.rsplit_once('/').map(|(_, last)| last)));
    }
    let prowler = slug == "prowler/prowler" || fields.text("ProviderName").as_deref() == Some("Prowler");
    let of_generator = |generator: &Text<'a>| {
        part(generator, |g| {
            // An ARN of Security Hub or Config names what was checked by, any other names what was checked.
            if Arn::parse(g).is_some_and(|arn| !matches!(arn.service, "securityhub" | "config")) {
                return None;
            }
            let tail = g.rsplit('/').next()?;
            let tail = if prowler { tail.strip_prefix("prowler-").unwrap_or(tail) } else { tail };
            (!tail.is_empty()).then_some(tail)
        })
    };
    rule.and_then(of_generator).or(rule_id)
}
