//! Which scopes are swept, as the settings say it.

use stanch_core::cloud::Cloud;
use stanch_core::finding::Source;
use stanch_core::port::Scope;

use crate::times::duration;

/// How often a scope is swept unless the settings say otherwise, milliseconds: 6 hours.
pub(crate) const EVERY_MS: u64 = 6 * 3_600_000;
/// The least, milliseconds: a sweep reads everything a source holds.
const LEAST_MS: u64 = 60_000;
/// The word for all of Defender's sources.
const DEFENDER: &str = "defender";
const DEFENDERS: [Source; 4] =
    [Source::DefenderAlert, Source::DefenderAssessment, Source::DefenderSubAssessment, Source::DefenderCompliance];
const LISTED: [Source; 3] = [Source::SecurityHub, Source::SecurityHubV2, Source::Scc];

/// Reads scopes with commas between.
pub(crate) fn scopes(text: &str) -> Result<Vec<Scope>, String> {
    let mut all = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        for scope in scope(entry).map_err(|wrong| format!("`{entry}` {wrong}"))? {
            if !all.contains(&scope) {
                all.push(scope);
            }
        }
    }
    Ok(all)
}

fn scope(entry: &str) -> Result<Vec<Scope>, String> {
    let (source, place) = entry.split_once('/').unwrap_or((entry, ""));
    let place: Vec<&str> = place.split('/').filter(|part| !part.is_empty()).collect();
    let of = |sources: &[Source], cloud, account: &str, region: Option<&str>| {
        let one = |source| Scope { source, cloud, account: account.to_owned(), region: region.map(str::to_owned), having: None };
        Ok(sources.iter().copied().map(one).collect())
    };
    let found = DEFENDERS.iter().chain(&LISTED).copied().find(|known| known.as_str() == source);
    match (found, place.as_slice()) {
        (None, [subscription]) if source == DEFENDER && is_subscription(subscription) => of(&DEFENDERS, Cloud::Azure, subscription, None),
        (Some(one), [subscription]) if DEFENDERS.contains(&one) && is_subscription(subscription) => {
            of(&[one], Cloud::Azure, subscription, None)
        }
        (Some(one @ (Source::SecurityHub | Source::SecurityHubV2)), [account, region]) if is_account(account) && is_plain(region) => {
            of(&[one], Cloud::Aws, account, Some(region))
        }
        (Some(Source::Scc), [kind, owner, location @ ..]) if is_owner(kind, owner) && location.len() < 2 => {
            of(&[Source::Scc], Cloud::Gcp, &format!("{kind}/{owner}"), location.first().copied())
        }
        (Some(Source::Scc), _) => {
            Err("names no organization, folder or project; expected it as `scc/organizations/123456789012`".to_owned())
        }
        (Some(Source::SecurityHub | Source::SecurityHubV2), _) => {
            Err(format!("names no account (12 digits) and region; expected them as `{source}/111122223333/eu-west-1`"))
        }
        (None, _) if source != DEFENDER => Err(format!(
            "is of no source that can be listed; expected {DEFENDER}, {}, as `{DEFENDER}/<subscription>`",
            DEFENDERS.iter().chain(&LISTED).map(|known| known.as_str()).collect::<Vec<_>>().join(", ")
        )),
        _ => Err(format!("names no subscription (a UUID); expected it as `{source}/00000000-0000-0000-0000-000000000000`")),
    }
}

fn is_subscription(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_owner(kind: &str, owner: &str) -> bool {
    match kind {
        "organizations" | "folders" => owner.bytes().all(|b| b.is_ascii_digit()),
        "projects" => is_plain(owner),
        _ => false,
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads how often, in milliseconds.
pub(crate) fn every_ms(text: &str) -> Result<u64, String> {
    let ms = u64::try_from(duration(text)?.as_millis()).unwrap_or(u64::MAX);
    if ms < LEAST_MS { Err(format!("`{text}` is too often; expected a minute or more, as `6h`")) } else { Ok(ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

    fn read(text: &str) -> Vec<String> {
        scopes(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scopes_of_every_source_are_read() {
        let text = format!(
            " defender-assessment/{SUBSCRIPTION}, security-hub/111122223333/eu-west-1,\n security-hub-v2/111122223333/eu-west-1,\
             scc/organizations/123,scc/projects/shop-1/eu,scc/organizations/123,"
        );
        let expected = [
            &format!("defender-assessment/azure/{SUBSCRIPTION}"),
            "security-hub/aws/111122223333/eu-west-1",
            "security-hub-v2/aws/111122223333/eu-west-1",
            "scc/gcp/organizations/123",
            "scc/gcp/projects/shop-1/eu",
        ];
        assert_eq!(read(&text), expected);
        assert_eq!(read(&format!("defender/{SUBSCRIPTION}")).len(), 4);
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn an_entry_that_is_none_is_named_with_what_was_expected() {
        for (entry, expected) in [
            ("defender", "`defender` names no subscription (a UUID); expected it as `defender/0000"),
            ("defender-alert/shop", "names no subscription"),
            ("security-hub/111122223333", "expected them as `security-hub/111122223333/eu-west-1`"),
            ("security-hub/1111/eu-west-1", "12 digits"),
            ("security-hub/111122223333/eu-west-1/x", "12 digits"),
            ("scc/123", "expected it as `scc/organizations/"),
            ("scc/organizations/shop", "expected it as `scc/organizations/"),
            ("scc/organizations/1/eu/x", "expected it as `scc/organizations/"),
            ("prowler/111122223333", "is of no source that can be listed; expected defender, defender-alert, "),
            ("/", "is of no source that can be listed"),
        ] {
            let said = scopes(&format!("scc/folders/1,{entry}")).unwrap_err();
            assert!(said.starts_with(&format!("`{entry}` ")) && said.contains(expected), "{entry}: {said}");
        }
    }

    #[test]
    fn how_often_is_a_minute_or_more() {
        for (text, expected) in [("6h", Some(EVERY_MS)), ("1m", Some(60_000)), ("90", Some(90_000)), ("59s", None), ("often", None)] {
            assert_eq!(every_ms(text).ok(), expected, "{text}");
        }
    }
}
