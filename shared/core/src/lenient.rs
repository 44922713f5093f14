//! Dates in every form that vendors write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::finding::Millis;

/// Milliseconds since the epoch from every date form seen in findings: RFC 3339 with 0 to 9 fractional digits, a space for
/// the `T`, offsets `Z`, `+00:00`, `+0000`, ` UTC` or none (read as UTC), US style `11/13/2024 11:40:48 PM`, and epoch
/// seconds to nanoseconds as text. .NET's zero date `0001-01-01…` counts as absent.
pub fn parse_time(text: &str) -> Option<Millis> {
    let text = text.trim();
    if text.is_empty() || text.starts_with("0001-01-01") {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().ok().map(epoch_millis);
    }
    if text.contains('/') {
        return us_style(text);
    }
    let zoned = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"));
    if let Some(civil) = zoned {
        return civil_utc(civil);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    if let Some((head, offset)) = text.len().checked_sub(5).and_then(|at| text.split_at_checked(at))
        && (offset.starts_with('+') || offset.starts_with('-'))
        && let Some((hours, minutes)) = offset.split_at_checked(3)
    {
        return format!("{head}{hours}:{minutes}").parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    }
    civil_utc(text)
}

/// Epoch seconds, milliseconds, microseconds or nanoseconds by their size: 10^11 is the year 5138 in seconds and 1973 in
/// milliseconds, and so on by thousands.
pub fn epoch_millis(value: i64) -> Millis {
    match value.unsigned_abs() {
        0..100_000_000_000 => value.saturating_mul(1000),
        100_000_000_000..100_000_000_000_000 => value,
        100_000_000_000_000..100_000_000_000_000_000 => value / 1000,
        _ => value / 1_000_000,
    }
}

/// The same from a number with a fraction.
pub(crate) fn fractional_millis(value: f64) -> Option<Millis> {
    let millis = match value.abs() {
        seconds if seconds < 1e11 => value * 1e3,
        millis if millis < 1e14 => value,
        micros if micros < 1e17 => value / 1e3,
        _ => value / 1e6,
    };
    millis.is_finite().then_some(millis as Millis)
}

/// From whole seconds and nanoseconds beside them, as texts.
pub(crate) fn seconds_and_nanos(seconds: &str, nanos: Option<&str>) -> Option<Millis> {
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: f64 = nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0);
    Some(seconds.saturating_mul(1_000).saturating_add((nanos / 1e6) as Millis))
}

fn civil_utc(text: &str) -> Option<Millis> {
    let civil: DateTime = text.trim().parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_millisecond())
}

fn us_style(text: &str) -> Option<Millis> {
    ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y"]
        .iter()
        .find_map(|format| {
            DateTime::strptime(format, text)
                .ok()
                .or_else(|| jiff::civil::Date::strptime(format, text).ok().map(|d| d.to_datetime(jiff::civil::Time::midnight())))
        })
        .and_then(|civil| civil.to_zoned(TimeZone::UTC).ok())
        .map(|z| z.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_form_seen_gives_the_same_instant() {
        let expected = Some(1_731_541_248_000);
        for form in [
            "2024-11-13T23:40:48Z",
            "2024-11-13T23:40:48.000Z",
            "2024-11-13T23:40:48.0000000Z",
            "2024-11-13T23:40:48.000000000+00:00",
            "2024-11-13T23:40:48+0000",
            "2024-11-13T16:40:48-07:00",
            "2024-11-13T23:40:48",
            "2024-11-13 23:40:48",
            "2024-11-13 23:40:48 UTC",
            "11/13/2024 11:40:48 PM",
            "1731541248",
            "1731541248000",
            "1731541248000000",
            "1731541248000000000",
        ] {
            assert_eq!(parse_time(form), expected, "{form}");
        }
        for absent in ["", "  ", "0001-01-01T00:00:00", "soon"] {
            assert_eq!(parse_time(absent), None, "{absent}");
        }
        assert_eq!(fractional_millis(1_731_541_248_000_123.4), expected);
        assert_eq!(epoch_millis(i64::MIN), i64::MIN / 1_000_000, "nonsense is no trouble");
    }
}
