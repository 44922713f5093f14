//! What an insight of Security Hub names: no findings, but what some have in common, by which they can be asked for.

use stanch_core::cloud::{Cloud, Text, part};
use stanch_core::finding::Source;
use stanch_core::json::Json;
use stanch_core::port::{Having, Scope};

use crate::arn::{account_in, region_in};

/// One scope for each value that an event `Security Hub Insight Results` names
/// (<https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html>), or the answer of
/// `GetInsightResults`: resource ids, user names, account ids, those with most findings first. None without the account and the
/// region in which the insight was taken.
pub(super) fn scopes(event: Json<'_, '_>) -> Vec<Scope> {
    let (detail, answer) = (event.get("detail"), event.get("InsightResults"));
    let (of, results) = if answer.is_object() { (answer, answer.get("ResultValues")) } else { (detail, detail.get("insightResults")) };
    let arn = of.get("insightArn").text();
    let account = event.get("account").text().or_else(|| part(arn.as_ref()?, account_in));
    let region = event.get("region").text().or_else(|| part(arn.as_ref()?, region_in));
    let attribute = of.text_of(&["GroupByAttribute", "resultType"]);
    let (Some(account), Some(region), Some(attribute)) = (account, region, attribute) else { return Vec::new() };
    let scope = |value: Text<'_>| Scope {
        source: Source::SecurityHub,
        cloud: Cloud::Aws,
        account: account.to_string(),
        region: Some(region.to_string()),
        having: Some(Having { attribute: attribute.to_string(), value: value.into_owned() }),
    };
    results.items().filter_map(named).map(scope).collect()
}

/// `{"GroupByAttributeValue": id, "Count": n}` of the API, `{id: n}` of an event.
fn named<'a>(result: Json<'_, 'a>) -> Option<Text<'a>> {
    let value = result.get("GroupByAttributeValue");
    let named = || result.members().next().map(|(id, _)| id.clone()).filter(|id| !id.is_empty() && id != "Count");
    value.text().or_else(named)
}
