//! What an insight of Security Hub names: no findings, but what some have in common, by which they can be asked for.

use stanch_core::cloud::{Text, part};
use stanch_core::json::Json;

use crate::arn::{account_in, region_in};

/// The result of an insight. [`crate::SecurityHubSource::of_insight`] fetches the findings of each of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Insight<'a> {
    /// The insight's ARN.
    pub arn: Option<Text<'a>>,
    /// What the findings are grouped by: an attribute of Security Hub's filters, `ResourceId` or `ResourceAwsIamAccessKeyUserName`.
    pub attribute: Text<'a>,
    /// The values it names, most findings first: resource ids, user names, account ids.
    pub ids: Vec<Text<'a>>,
    /// The account in which the insight was taken.
    pub account: Option<Text<'a>>,
    /// The region in which it was taken.
    pub region: Option<Text<'a>>,
}

/// Reads an event `Security Hub Insight Results`
/// (<https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html>) or the answer of
/// `GetInsightResults`. Anything else is none.
pub fn insight<'a>(event: Json<'_, 'a>) -> Option<Insight<'a>> {
    let (detail, answer) = (event.get("detail"), event.get("InsightResults"));
    let (of, results) = if answer.is_object() { (answer, answer.get("ResultValues")) } else { (detail, detail.get("insightResults")) };
    let arn = of.get("insightArn").text();
    Some(Insight {
        attribute: of.text_of(&["GroupByAttribute", "resultType"])?,
        ids: results.items().filter_map(named).collect(),
        account: event.get("account").text().or_else(|| part(arn.as_ref()?, account_in)),
        region: event.get("region").text().or_else(|| part(arn.as_ref()?, region_in)),
        arn,
    })
}

/// `{"GroupByAttributeValue": id, "Count": n}` of the API, `{id: n}` of an event.
fn named<'a>(result: Json<'_, 'a>) -> Option<Text<'a>> {
    let value = result.get("GroupByAttributeValue");
    let named = || result.members().next().map(|(id, _)| id.clone()).filter(|id| !id.is_empty() && id != "Count");
    value.text().or_else(named)
}
