//! Security Hub's second generation: OCSF, and what its exposure findings say beyond it.

use std::collections::BTreeSet;

use stanch_core::cloud::Text;
use stanch_core::finding::{Finding, Source};
use stanch_core::json::Json;
use stanch_core::normalize::NormalizeError;

use super::asff::product_slug;
use super::native::short;
use crate::arn::Arn;

/// The product that makes exposure findings, the last part of its ARN.
const EXPOSURE: &str = "aws/securityhub-risk";

pub(super) fn read<'a>(event: Json<'_, 'a>) -> Result<Finding<'a>, NormalizeError> {
    let mut finding = stanch_core::ocsf::from(event)?;
    // Security Lake keeps findings of the first generation in OCSF; the first generation's API knows them by their id alone.
    let of_first = finding.product.uid.as_deref().and_then(Arn::parse).is_some_and(|arn| arn.resource.starts_with("product/"));
    finding.source = if of_first { Source::SecurityHub } else { Source::SecurityHubV2 };
    if of_first {
        finding.source_ref.id.clone_from(&finding.uid);
    }
    let info = event.get("finding_info");
    let of_exposure = finding.product.uid.as_deref().is_some_and(|uid| product_slug(uid) == EXPOSURE);
    let factors = if of_exposure { factors(info) } else { Vec::new() };
    let attack_paths: Vec<_> = info.get("attack_graph").items().filter_map(|graph| graph.text_of(&["uid", "name"])).collect();
    if !factors.is_empty() || !attack_paths.is_empty() {
        let risk = finding.risk.get_or_insert_default();
        risk.factors = factors;
        risk.attack_paths = attack_paths;
    }
    Ok(finding)
}

/// The traits that make the exposure, each as `Reachability: Publicly Invocable`. The preview wrote them as tags of the findings
/// that contribute to it, OCSF 1.5 and later have traits.
fn factors<'a>(info: Json<'_, 'a>) -> Vec<Text<'a>> {
    let (mut factors, mut seen) = (Vec::new(), BTreeSet::new());
    let mut add = |name: Option<Text<'a>>, values: Vec<Text<'a>>| {
        let named: Vec<Text<'a>> = match (&name, values.is_empty()) {
            (Some(name), false) => values.iter().map(|value| format!("{name}: {value}").into()).collect(),
            (_, true) => name.into_iter().collect(),
            (None, false) => values,
        };
        for factor in named {
            if seen.insert(factor.clone()) {
                factors.push(factor);
            }
        }
    };
    let events = || info.get("related_events").items();
    for tag in events().flat_map(|event| event.get("tags").items()) {
        add(short(tag.get("name").text()), tag.any(&["values", "value"]).texts());
    }
    for item in info.get("traits").items().chain(events().flat_map(|event| event.get("traits").items())) {
        let (category, name) = (short(item.get("category").text()), short(item.get("name").text()));
        match (category, name) {
            (Some(category), Some(name)) => add(Some(category), vec![name]),
            (category, name) => add(name.or(category), item.get("values").texts()),
        }
    }
    factors
}
