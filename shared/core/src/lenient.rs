//! Tolerant reading of vendors' payloads: any scalar as text, one or many, every date form seen in the wild.
//!
//! Each type deserialises from whatever stands in its place and is simply empty when that makes no sense, so that one odd
//! field never costs a finding. Empty text and `null` both mean absent.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::cloud::Text;
use crate::finding::Millis;

/// Text from a string, number or boolean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LText<'a>(pub Option<Text<'a>>);

impl<'a> LText<'a> {
    /// The text, borrowed.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text, or `other` when absent.
    #[must_use]
    pub fn or(self, other: LText<'a>) -> LText<'a> {
        LText(self.0.or(other.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = LText<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number or a boolean")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(LText(present(v).then_some(Cow::Borrowed(v))))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(LText(present(v).then(|| Cow::Owned(v.to_owned()))))
            }
            fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
                Ok(LText(present(&v).then_some(Cow::Owned(v))))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
                Ok(LText(Some(Cow::Borrowed(if v { "true" } else { "false" }))))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
                Ok(LText(Some(Cow::Owned(v.to_string()))))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(LText(Some(Cow::Owned(v.to_string()))))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
                Ok(LText(Some(Cow::Owned(v.to_string()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LText(None))
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(LText(None))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
                d.deserialize_any(V)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LText(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(LText(None))
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A list of texts from an array of scalars, or from one scalar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LList<'a>(pub Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for LList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = LList<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts, or one text")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(LList(present(v).then_some(Cow::Borrowed(v)).into_iter().collect()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(LList(present(v).then(|| Cow::Owned(v.to_owned())).into_iter().collect()))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
                Ok(LList(vec![Cow::Borrowed(if v { "true" } else { "false" })]))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
                Ok(LList(vec![Cow::Owned(v.to_string())]))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(LList(vec![Cow::Owned(v.to_string())]))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
                Ok(LList(vec![Cow::Owned(v.to_string())]))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LList(Vec::new()))
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(LList(Vec::new()))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
                d.deserialize_any(V)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element::<LText<'de>>()? {
                    list.extend(item.0);
                }
                Ok(LList(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(LList(Vec::new()))
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A list whose elements are objects of one type: an array, one lone object, or (anything else) empty.
#[derive(Clone, Debug)]
pub struct LMany<T>(pub Vec<T>);

impl<T> Default for LMany<T> {
    fn default() -> Self {
        LMany(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = LMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects, or one object")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element::<LOne<T>>()? {
                    list.extend(item.0);
                }
                Ok(LMany(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|t| LMany(vec![t]))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(LMany(Vec::new()))
            }
        }
        deserializer.deserialize_any(V(std::marker::PhantomData))
    }
}

/// An object of one type, or (anything else) nothing.
#[derive(Clone, Debug)]
pub struct LOne<T>(pub Option<T>);

impl<T> Default for LOne<T> {
    fn default() -> Self {
        LOne(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LOne<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = LOne<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|t| LOne(Some(t)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LOne(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(LOne(None))
            }
        }
        deserializer.deserialize_any(V(std::marker::PhantomData))
    }
}

fn present(text: &str) -> bool {
    !text.trim().is_empty()
}

/// Milliseconds since the epoch from every date form seen in findings: RFC 3339 with 0 to 9 fractional digits, a space for
/// the `T`, offsets `Z`, `+00:00`, `+0000`, ` UTC` or none (read as UTC), US style `11/13/2024 11:40:48 PM`, and epoch
/// seconds or milliseconds as text. .NET's zero date `0001-01-01…` counts as absent.
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

/// Epoch seconds or milliseconds: values under 10^11 are seconds (that is the year 5138 in seconds, 1973 in milliseconds).
pub fn epoch_millis(value: i64) -> Millis {
    if value.abs() < 100_000_000_000 { value.saturating_mul(1000) } else { value }
}

/// The same from a number with a fraction.
pub(crate) fn fractional_millis(value: f64) -> Option<Millis> {
    let millis = if value.abs() < 1e11 { value * 1_000.0 } else { value };
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

/// A time in any form [`parse_time`] reads, a number, or `{"seconds": "…", "nanos": 2.9E8}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LTime(pub Option<Millis>);

impl LTime {
    /// This time, or `other` when absent.
    #[must_use]
    pub fn or(self, other: LTime) -> LTime {
        LTime(self.0.or(other.0))
    }
}

impl<'de> Deserialize<'de> for LTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = LTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date or a number")
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(LTime(parse_time(v)))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(LTime(None))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
                Ok(LTime(Some(epoch_millis(v))))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(LTime(i64::try_from(v).ok().map(epoch_millis)))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
                Ok(LTime(fractional_millis(v)))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(LTime(None))
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(LTime(None))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
                d.deserialize_any(V)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LTime(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut seconds, mut nanos) = (LText::default(), LText::default());
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let value = map.next_value::<LText<'de>>()?;
                    match key.as_ref() {
                        "seconds" => seconds = value,
                        "nanos" => nanos = value,
                        _ => {}
                    }
                }
                Ok(LTime(seconds.as_deref().and_then(|seconds| seconds_and_nanos(seconds, nanos.as_deref()))))
            }
        }
        deserializer.deserialize_any(V)
    }
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
        ] {
            assert_eq!(parse_time(form), expected, "{form}");
        }
        for absent in ["", "  ", "0001-01-01T00:00:00", "soon"] {
            assert_eq!(parse_time(absent), None, "{absent}");
        }
    }

    #[test]
    fn times_come_as_numbers_and_as_seconds_with_nanos() {
        let read = |json: &str| serde_json::from_str::<LTime>(json).map(|t| t.0).ok().flatten();
        assert_eq!(read("1731541248"), Some(1_731_541_248_000));
        assert_eq!(read("1731541248000"), Some(1_731_541_248_000));
        assert_eq!(read(r#"{"seconds":"1731541248","nanos":2.9E8}"#), Some(1_731_541_248_290));
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn any_scalar_is_text_and_nothing_else_is() {
        let read = |json: &'static str| serde_json::from_str::<LText<'_>>(json).ok().and_then(|t| t.0);
        assert_eq!(read("\"a\"").as_deref(), Some("a"));
        assert_eq!(read("\"\"").as_deref(), None);
        assert_eq!(read("7").as_deref(), Some("7"));
        assert_eq!(read("{\"a\":1}").as_deref(), None);
        assert_eq!(read("null").as_deref(), None);
    }
}
