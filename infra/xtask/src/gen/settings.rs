//! The list of settings, read from its source: depending on that crate would build every cloud SDK.

use std::path::Path;

use crate::fault::Fault;
use crate::repo::read;

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its name.
    pub(super) name: String,
    /// What it does.
    pub(super) about: String,
}

/// Reads the entries of `SETTINGS`.
pub(super) fn read_list(path: &Path) -> Result<Vec<Setting>, Fault> {
    parse(&read(path)?).map_err(Fault::content(path))
}

fn parse(source: &str) -> Result<Vec<Setting>, String> {
    let (_, list) = source.split_once("SETTINGS: &[Setting] = &[").ok_or("there is no list `SETTINGS: &[Setting]`")?;
    let (list, _) = list.split_once("\n];").ok_or("the list `SETTINGS` has no end")?;
    let mut settings = Vec::new();
    for entry in list.split("Setting {").skip(1) {
        let name = literal(entry, "name:").ok_or_else(|| format!("an entry has no `name`: {}", entry.trim()))?;
        let about = literal(entry, "about:").ok_or_else(|| format!("setting `{name}` has no `about`"))?;
        settings.push(Setting { name, about });
    }
    if settings.is_empty() { Err("the list `SETTINGS` is empty".to_owned()) } else { Ok(settings) }
}

/// The string literal behind a field's name.
fn literal(entry: &str, field: &str) -> Option<String> {
    let (_, rest) = entry.split_once(field)?;
    let mut chars = rest.trim_start().strip_prefix('"')?.chars().peekable();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                // A line break after a backslash joins the lines.
                '\n' => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                'n' => text.push(' '),
                other => text.push(other),
            },
            '\n' => return None,
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_however_they_are_broken_into_lines() {
        let source = r#"
pub const SETTINGS: &[Setting] = &[
    Setting { name: "A", about: "Says \"hello\"." },
    Setting {
        name: "B",
        about: "One \
                line.",
    },
];
"#;
        let settings = parse(source).unwrap();
        let shown: Vec<(&str, &str)> = settings.iter().map(|s| (s.name.as_str(), s.about.as_str())).collect();
        assert_eq!(shown, [("A", "Says \"hello\"."), ("B", "One line.")]);
    }

    #[test]
    fn an_entry_without_text_is_an_error_not_a_gap() {
        assert!(parse("SETTINGS: &[Setting] = &[\n Setting { name: \"A\" },\n];").unwrap_err().contains("`A` has no `about`"));
        assert!(parse("nothing").is_err());
    }
}
