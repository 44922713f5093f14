//! Text for a terminal 100 columns wide, safe to print whatever the payload held.

use serde_json::Value;
use stanch_core::finding::Millis;
use stanch_core::plan::SEALED;

/// Columns that must suffice.
pub(crate) const WIDTH: usize = 100;

/// One line without anything that could move the cursor or turn the reading direction: such characters are written out.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for a text of several lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Breaks a text at blanks, else after `/`, `,` and the like, so that each line with its lead fits into [`WIDTH`].
pub(crate) fn wrap(text: &str, first: &str, rest: &str) -> String {
    let mut lines = Vec::new();
    let mut lead = first;
    for part in text.split('\n') {
        let mut left = part;
        loop {
            let room = WIDTH.saturating_sub(lead.chars().count()).max(20);
            let (head, tail) = left.split_at_checked(cut(left, room)).unwrap_or((left, ""));
            lines.push(format!("{lead}{}", head.trim_end()));
            lead = rest;
            left = tail.trim_start();
            if left.is_empty() {
                break;
            }
        }
    }
    lines.join("\n")
}

/// The byte at which a line of at most `room` characters ends.
fn cut(text: &str, room: usize) -> usize {
    let Some((limit, _)) = text.char_indices().nth(room) else { return text.len() };
    let near = text.char_indices().take_while(|(at, _)| *at <= limit);
    let (mut blank, mut soft) = (0, 0);
    for (at, c) in near {
        if c == ' ' {
            blank = at;
        } else if matches!(c, '/' | ',' | '?' | '&' | ';') && at < limit {
            soft = at + c.len_utf8();
        }
    }
    match (blank, soft) {
        (blank, soft) if blank * 2 >= limit || blank > soft => blank,
        (_, soft) if soft > 0 => soft,
        _ => limit,
    }
}

/// A text cut in front to at most `most` characters: the end of an id tells most.
pub(crate) fn tail(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(count + 1 - most).collect();
    format!("…{kept}")
}

/// A time in UTC, to the second.
pub(crate) fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| format!("{at} ms"), |t| t.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A duration in the largest unit that holds it whole.
pub(crate) fn duration(ms: u64) -> String {
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{} {unit}", ms / size);
        }
    }
    format!("{ms} ms")
}

/// Puts a plain mark in the place of every sealed value.
pub(crate) fn veil(value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get(SEALED).and_then(Value::as_str) {
            Some(reference) => Value::String(format!("<sealed {reference}>")),
            None => Value::Object(members.iter().map(|(k, v)| (k.clone(), veil(v))).collect()),
        },
        Value::Array(items) => Value::Array(items.iter().map(veil).collect()),
        other => other.clone(),
    }
}

/// `s` for anything but one.
pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_cannot_move_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\nd"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}d");
        assert_eq!(clean("bücket ✓"), "bücket ✓");
    }

    #[test]
    fn long_lines_break_at_blanks_else_after_slashes() {
        let words = "word ".repeat(40);
        for line in wrap(&words, "  x  ", "     ").lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(line.ends_with("word"), "{line}");
        }
        let path = "/segment".repeat(30);
        let wrapped = wrap(&path, "", "  ");
        assert!(wrapped.lines().all(|l| l.chars().count() <= WIDTH), "{wrapped}");
        assert_eq!(wrapped.replace("\n  ", ""), path);
        let solid = "x".repeat(250);
        assert_eq!(wrap(&solid, "", "").replace('\n', ""), solid);
        assert_eq!(wrap("", "a", "b"), "a");
    }

    #[test]
    fn times_durations_and_tails_are_short() {
        assert_eq!(time(1_731_541_248_123), "2024-11-13 23:40:48Z");
        assert_eq!(duration(7_200_000), "2 h");
        assert_eq!(duration(1_500), "1500 ms");
        assert_eq!(tail("storageAccounts/shop", 8), "…ts/shop");
        assert_eq!(tail("shop", 8), "shop");
    }

    #[test]
    fn sealed_values_are_named_not_shown() {
        let value = json!({"a": {"$sealed": "key.value", "sha256": "00"}, "b": [1]});
        assert_eq!(veil(&value), json!({"a": "<sealed key.value>", "b": [1]}));
    }
}
