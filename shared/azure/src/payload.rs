//! Reading Defender's payloads: one lookup for three casings, and JSON that sits inside strings.
//!
//! Defender spells one field `SystemAlertId`, `systemAlertId` and so on, sometimes both ways in one object, so fields are
//! looked up by name without case instead of being bound to structs.

use std::borrow::Cow;

use stanch_core::cloud::Text;
use stanch_core::json::{Doc, Json};

/// A list of texts: an array, one text, or an array written into a string.
pub(crate) fn list<'a>(fields: Json<'_, 'a>, name: &str) -> Vec<Text<'a>> {
    let items = fields.get(name).texts();
    match items.as_slice() {
        [only] if only.trim_start().starts_with('[') => match Doc::read(only) {
            Ok(inner) => owned(inner.root().texts()),
            Err(_) => items,
        },
        _ => items,
    }
}

/// One text from each element of an array (or of an array written into a string): `read` for objects, the text itself for texts.
pub(crate) fn each<'a>(fields: Json<'_, 'a>, name: &str, read: impl for<'d, 'b> Fn(Json<'d, 'b>) -> Option<Text<'b>>) -> Vec<Text<'a>> {
    let value = fields.get(name);
    if value.is_object() || value.is_list() {
        return elements(value, &read);
    }
    match value.text() {
        Some(Cow::Borrowed(inner)) => Doc::read(inner).map(|inner| elements(inner.root(), &read)).unwrap_or_default(),
        Some(Cow::Owned(inner)) => Doc::read(&inner).map(|inner| owned(elements(inner.root(), &read))).unwrap_or_default(),
        None => Vec::new(),
    }
}

/// The texts of several members, each under the first of its names, of an object or of an object written into a string.
pub(crate) fn inside<'a, const N: usize>(value: Json<'_, 'a>, names: [&[&str]; N]) -> [Option<Text<'a>>; N] {
    fn read<'b, const N: usize>(object: Json<'_, 'b>, names: [&[&str]; N]) -> [Option<Text<'b>>; N] {
        names.map(|names| object.text_of(names))
    }
    match value.text() {
        Some(Cow::Borrowed(text)) => Doc::read(text).map_or_else(|_| [const { None }; N], |doc| read(doc.root(), names)),
        Some(Cow::Owned(text)) => Doc::read(&text)
            .map_or_else(|_| [const { None }; N], |doc| read(doc.root(), names).map(|text| text.map(|text| Cow::Owned(text.into_owned())))),
        None => read(value, names),
    }
}

/// The items of a list in JSON, else those of a comma list: how one text holds several.
pub(crate) fn items<'a>(text: &Text<'a>) -> Vec<Text<'a>> {
    if text.trim_start().starts_with('[')
        && let Ok(doc) = Doc::read(text)
    {
        return owned(doc.root().texts());
    }
    commas(text)
}

fn owned<'a>(texts: Vec<Text<'_>>) -> Vec<Text<'a>> {
    texts.into_iter().map(|text| Cow::Owned(text.into_owned())).collect()
}

fn elements<'a>(value: Json<'_, 'a>, read: &impl for<'d, 'b> Fn(Json<'d, 'b>) -> Option<Text<'b>>) -> Vec<Text<'a>> {
    value.items().filter_map(|item| if item.is_object() { read(item) } else { item.text() }).collect()
}

/// The items of a comma list such as `Persistence, CredentialAccess`.
pub(crate) fn commas<'a>(text: &Text<'a>) -> Vec<Text<'a>> {
    let items = |text: &'a str| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Cow::Borrowed).collect();
    match text {
        Cow::Borrowed(text) => items(text),
        Cow::Owned(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| Cow::Owned(item.to_owned())).collect()
        }
    }
}

/// A link with a scheme: Defender writes `portal.azure.com/#blade/…`.
pub(crate) fn link(text: Text<'_>) -> Text<'_> {
    if text.contains("://") || text.starts_with("mailto:") { text } else { Cow::Owned(format!("https://{}", text.trim_start_matches('/'))) }
}

/// HTML as plain lines: tags go, block tags break the line, the five common entities are resolved.
pub(crate) fn plain(html: Text<'_>) -> Text<'_> {
    if !html.contains(['<', '&']) {
        return html;
    }
    let mut out = String::with_capacity(html.len());
    let mut rest: &str = &html;
    // Without a closing sign ahead there is no tag to look for; searching for it each time would be quadratic.
    let last_close = html.rfind('>').unwrap_or_default();
    while let Some((before, tail)) = rest.find(['<', '&']).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        let tag = if html.len() - tail.len() < last_close { tag(tail) } else { None };
        rest = if let Some((text, after)) = tag.or_else(|| entity(tail)) {
            out.push_str(text);
            after
        } else {
            let mut chars = tail.chars();
            out.extend(chars.next());
            chars.as_str()
        };
    }
    out.push_str(rest);
    let lines: Vec<&str> = out.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Cow::Owned(lines.join("\n"))
}

/// What stands for the tag that `tail` starts with, and what follows it.
fn tag(tail: &str) -> Option<(&'static str, &str)> {
    const BLOCKS: &[&str] = &["br", "p", "li", "ol", "ul", "div", "tr", "h1", "h2", "h3", "h4"];
    let inner = tail.strip_prefix('<')?;
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!') {
        return None;
    }
    let (name, after) = inner.split_once('>')?;
    let name = name.trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let block = BLOCKS.iter().any(|block| block.eq_ignore_ascii_case(name));
    Some((if block { "\n" } else { "" }, after))
}

fn entity(tail: &str) -> Option<(&'static str, &str)> {
    const ENTITIES: &[(&str, &str)] = &[("&nbsp;", " "), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'")];
    ENTITIES.iter().find_map(|(entity, text)| Some((*text, tail.strip_prefix(entity)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_lines_and_a_lone_sign_stays() {
        let read = |html: &'static str| plain(Cow::Borrowed(html)).into_owned();
        assert_eq!(
            read("To fix:<br>1. Open <b>Networking</b>&nbsp;&amp; save.<ol><li>Done</li></ol>"),
            "To fix:\n1. Open Networking & save.\nDone"
        );
        assert_eq!(read("if a < 5 & b > 3"), "if a < 5 & b > 3");
        assert_eq!(read("unclosed <a href"), "unclosed <a href");
        assert!(matches!(plain(Cow::Borrowed("no tags")), Cow::Borrowed(_)));
    }

    #[test]
    fn lists_hide_in_strings() {
        let doc = Doc::read(r#"{"a":"[\"one\",\"two\"]","b":["x"],"c":"lone","d":"[broken","e":{"k":"v"}}"#).unwrap();
        let fields = doc.root();
        assert_eq!(list(fields, "A"), ["one", "two"]);
        assert_eq!(list(fields, "b"), ["x"]);
        assert_eq!(list(fields, "c"), ["lone"]);
        assert_eq!(list(fields, "d"), ["[broken"]);
        assert_eq!(each(fields, "e", |f| f.get("k").text()), ["v"]);
    }
}
