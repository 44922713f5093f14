//! Times as people write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use stanch_core::finding::Millis;

/// Reads a duration: a time with its unit, or seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; expected one with its unit, as `30s` or `2m`");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let read: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(read).map_err(|_| wrong())
}

/// Reads a date (its beginning, in UTC) or a time with its zone.
pub(crate) fn instant(text: &str) -> Result<Millis, String> {
    let wrong = || format!("`{text}` is no time; expected `2026-01-31` or `2026-01-31T08:00:00Z`");
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.as_millisecond()),
        Err(_) => midnight(date(text).ok_or_else(wrong)?).ok_or_else(wrong),
    }
}

/// Reads a due date: a date (until its end, in UTC), a time with its zone, or `none`.
pub(crate) fn due(text: &str) -> Result<Option<Millis>, String> {
    if text == "none" {
        return Ok(None);
    }
    let wrong = |wrong: String| format!("{wrong}, or `none`");
    match date(text) {
        Some(day) => day.tomorrow().ok().and_then(midnight).map(Some).ok_or_else(|| wrong(format!("`{text}` has no end"))),
        None => instant(text).map(Some).map_err(wrong),
    }
}

/// A time without a zone could be meant in any: it is not taken for its day.
fn date(text: &str) -> Option<Date> {
    Some(text).filter(|text| text.len() == 10)?.parse().ok()
}

fn midnight(date: Date) -> Option<Millis> {
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_strictly() {
        for (text, expected) in [("90", Some(90)), ("2m", Some(120)), ("1h", Some(3600)), ("-5s", None), ("soon", None), ("", None)] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn times_are_dates_or_instants() {
        for (text, expected) in [
            ("2026-01-31", Some(1_769_817_600_000)),
            ("2026-01-31T08:00:00Z", Some(1_769_846_400_000)),
            ("2026-01-31T08:00:00+01:00", Some(1_769_842_800_000)),
            ("2026-01-31T08:00:00", None),
            ("yesterday", None),
            ("2026-02-30", None),
        ] {
            assert_eq!(instant(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_due_date_is_over_when_its_day_is() {
        for (text, expected) in [
            ("2026-01-31", Some(Some(1_769_904_000_000))),
            ("2026-01-31T08:00:00Z", Some(Some(1_769_846_400_000))),
            ("none", Some(None)),
            ("never", None),
            ("9999-12-31", None),
        ] {
            assert_eq!(due(text).ok(), expected, "{text}");
        }
        assert!(due("soon").unwrap_err().ends_with("or `none`"));
    }
}
