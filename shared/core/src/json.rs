//! A JSON text read once: every value with its place in the text, nothing copied that need not be.
//!
//! Vendors' events are read by name, in whatever letter case and nesting they come, and what is not mapped is kept byte for byte.
//! Reading a part at a time would go over the same bytes again and again; a tree of owned values costs seven times the pass itself.
//! So one pass of serde_json lays all values into one list, in the order of the text; looking something up only walks the list.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::cloud::Text;
use crate::finding::Millis;
use crate::lenient::{epoch_millis, fractional_millis, parse_time, seconds_and_nanos};
use crate::normalize::NormalizeError;

/// A JSON text that was read.
#[derive(Clone, Debug)]
pub struct Doc<'a> {
    text: &'a str,
    nodes: Vec<Node<'a>>,
}

#[derive(Clone, Debug)]
struct Node<'a> {
    /// The member's name; empty for items and for the whole.
    name: Text<'a>,
    kind: Kind<'a>,
    /// Where the value begins and ends in the text, bytes.
    start: u32,
    end: u32,
    /// The node after this one and everything in it.
    next: u32,
}

#[derive(Clone, Debug)]
enum Kind<'a> {
    Null,
    Bool,
    Number,
    Text(Text<'a>),
    Array,
    Object,
}

impl<'a> Doc<'a> {
    /// Reads a text of at most 4 GiB. Errors name line and column.
    pub fn read(text: &'a str) -> Result<Self, NormalizeError> {
        if u32::try_from(text.len()).is_err() {
            return Err(NormalizeError::TooLarge { bytes: text.len() });
        }
        // Events have a value every 40 to 60 bytes.
        let mut nodes = Vec::with_capacity(text.len() / 40 + 8);
        let mut place = Place { text, at: 0 };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Build { nodes: &mut nodes, place: &mut place, name: Cow::Borrowed("") }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|e| NormalizeError::json(&e))?;
        Ok(Doc { text, nodes })
    }

    /// The whole value.
    pub fn root(&self) -> Json<'_, 'a> {
        Json { doc: self, at: 0 }
    }
}

/// A value of a [`Doc`], or none: what is looked up in none is none again.
#[derive(Clone, Copy, Debug)]
pub struct Json<'d, 'a> {
    doc: &'d Doc<'a>,
    at: usize,
}

/// Stands for a value that is not there.
const ABSENT: usize = usize::MAX;

impl<'d, 'a> Json<'d, 'a> {
    fn node(self) -> Option<&'d Node<'a>> {
        self.doc.nodes.get(self.at)
    }

    fn to(self, at: usize) -> Self {
        Json { at, ..self }
    }

    /// No value.
    #[must_use]
    pub fn absent(self) -> Self {
        self.to(ABSENT)
    }

    /// Whether there is a value that says something: not none, `null` or empty text.
    pub fn is_present(self) -> bool {
        match self.node().map(|node| &node.kind) {
            None | Some(Kind::Null) => false,
            Some(Kind::Text(text)) => !text.trim().is_empty(),
            Some(_) => true,
        }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        matches!(self.node(), Some(Node { kind: Kind::Object, .. }))
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(self.node(), Some(Node { kind: Kind::Array, .. }))
    }

    /// The value as it stands in the text; empty for none.
    pub fn raw(self) -> &'a str {
        let text = self.doc.text;
        self.node().and_then(|node| text.get(node.start as usize..node.end as usize)).unwrap_or_default()
    }

    /// An object's member, its name compared without case. Vendors write a name twice at times, in another case: then the first
    /// that says something counts.
    #[must_use]
    pub fn get(self, name: &str) -> Self {
        let mut first = ABSENT;
        for (member, value) in self.members() {
            if member.eq_ignore_ascii_case(name) {
                if value.is_present() {
                    return value;
                }
                first = first.min(value.at);
            }
        }
        self.to(first)
    }

    /// The first of several names that says something.
    #[must_use]
    pub fn any(self, names: &[&str]) -> Self {
        names.iter().map(|name| self.get(name)).find(|value| value.is_present()).unwrap_or(self.absent())
    }

    /// A member of a member, and so on.
    #[must_use]
    pub fn path(self, names: &[&str]) -> Self {
        names.iter().fold(self, |value, name| value.get(name))
    }

    /// The members of an object in the order of the text; none of anything else.
    pub fn members(self) -> impl Iterator<Item = (&'d Text<'a>, Json<'d, 'a>)> {
        self.children(self.is_object()).map(|(node, value)| (&node.name, value))
    }

    /// The items of a list; an object alone counts as a list of one, anything else as an empty one.
    pub fn items(self) -> impl Iterator<Item = Json<'d, 'a>> {
        let alone = self.is_object().then_some(self);
        alone.into_iter().chain(self.children(self.is_list()).map(|(_, value)| value))
    }

    fn children(self, any: bool) -> impl Iterator<Item = (&'d Node<'a>, Json<'d, 'a>)> {
        let end = self.node().filter(|_| any).map_or(0, |node| node.next as usize);
        let mut at = self.at.saturating_add(1);
        std::iter::from_fn(move || {
            let node = self.doc.nodes.get(at).filter(|_| at < end)?;
            let value = self.to(at);
            at = node.next as usize;
            Some((node, value))
        })
    }

    /// Text from a string, a number or a boolean; none where that is empty, or of another kind.
    pub fn text(self) -> Option<Text<'a>> {
        match &self.node()?.kind {
            Kind::Text(text) => self.is_present().then(|| text.clone()),
            _ => self.word().map(Cow::Borrowed),
        }
    }

    /// A number or a boolean as the text has it.
    fn word(self) -> Option<&'a str> {
        matches!(self.node()?.kind, Kind::Number | Kind::Bool).then(|| self.raw())
    }

    /// The text of the first of several names that has one.
    pub fn text_of(self, names: &[&str]) -> Option<Text<'a>> {
        names.iter().find_map(|name| self.get(name).text())
    }

    /// The time of the first of several names that has one.
    pub fn time_of(self, names: &[&str]) -> Option<Millis> {
        names.iter().find_map(|name| self.get(name).time())
    }

    /// [`Json::text`] for comparing.
    pub fn str(self) -> Option<&'d str> {
        match &self.node()?.kind {
            Kind::Text(text) => self.is_present().then_some(text.as_ref()),
            _ => self.word(),
        }
    }

    /// The texts of a list, or one text alone.
    pub fn texts(self) -> Vec<Text<'a>> {
        if self.is_list() { self.items().filter_map(Json::text).collect() } else { self.text().into_iter().collect() }
    }

    /// Milliseconds since the epoch from any date form seen (see [`parse_time`]), from a number, or from `{"seconds", "nanos"}`.
    pub fn time(self) -> Option<Millis> {
        match &self.node()?.kind {
            Kind::Text(text) => parse_time(text),
            Kind::Number => self.raw().parse().ok().map(epoch_millis).or_else(|| fractional_millis(self.raw().parse().ok()?)),
            Kind::Object => seconds_and_nanos(self.get("seconds").str()?, self.get("nanos").str()),
            Kind::Null | Kind::Bool | Kind::Array => None,
        }
    }

    /// The names of an object's members, for messages: the first twelve.
    pub fn names(self) -> String {
        let names: Vec<&str> = self.members().take(12).map(|(name, _)| name.as_ref()).collect();
        if names.is_empty() { "JSON without top-level fields".to_owned() } else { format!("an object with {}", names.join(", ")) }
    }
}

/// Follows the parser through the text. serde_json does not say where a value stands; since it has checked what it hands over,
/// stepping over the same bytes is all it takes.
struct Place<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Place<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// To the next byte that is neither white space nor a comma or colon.
    #[inline]
    fn skip(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') = bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Behind a string that was handed over borrowed, or as a copy because of its escapes. Gives where it begins.
    #[inline]
    fn string(&mut self, value: &str) -> usize {
        let begin = value.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if begin > self.at && begin <= self.text.len() {
            self.at = begin + value.len() + 1;
            return begin - 1;
        }
        self.escaped()
    }

    #[cold]
    fn escaped(&mut self) -> usize {
        self.skip();
        let start = self.at;
        let mut escaped = false;
        let end = self.rest().iter().skip(1).position(|b| match b {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' => {
                escaped = true;
                false
            }
            b => *b == b'"',
        });
        self.at += end.map_or(self.rest().len(), |end| end + 2);
        start
    }

    /// Behind a number or a word. Gives where it begins.
    fn word(&mut self) -> usize {
        self.skip();
        let start = self.at;
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| !matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        start
    }
}

struct Build<'b, 'a> {
    nodes: &'b mut Vec<Node<'a>>,
    place: &'b mut Place<'a>,
    name: Text<'a>,
}

impl<'a> Build<'_, 'a> {
    #[inline]
    fn leaf(self, kind: Kind<'a>, start: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { name: self.name, kind, start: start as u32, end: self.place.at as u32, next });
    }

    fn word(self, kind: Kind<'a>) {
        let start = self.place.word();
        self.leaf(kind, start);
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<(), E> {
        let start = self.place.string(v);
        self.leaf(Kind::Text(Cow::Borrowed(v)), start);
        Ok(())
    }
    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        let start = self.place.string(v);
        self.leaf(Kind::Text(Cow::Owned(v.to_owned())), start);
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.word(Kind::Bool);
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.word(Kind::Number);
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.word(Kind::Number);
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.word(Kind::Number);
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.word(Kind::Null);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (nodes, place) = (self.nodes, self.place);
        let at = open(nodes, place, self.name, Kind::Array);
        while seq.next_element_seed(Build { nodes, place, name: Cow::Borrowed("") })?.is_some() {}
        close(nodes, place, at).ok_or_else(|| A::Error::custom("out of step"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (nodes, place) = (self.nodes, self.place);
        let at = open(nodes, place, self.name, Kind::Object);
        while let Some(Name(name)) = map.next_key()? {
            place.string(&name);
            map.next_value_seed(Build { nodes, place, name })?;
        }
        close(nodes, place, at).ok_or_else(|| A::Error::custom("out of step"))
    }
}

/// A name, borrowed where it has no escapes; serde sees that only where the type is spelt out.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn open<'a>(nodes: &mut Vec<Node<'a>>, place: &mut Place<'a>, name: Text<'a>, kind: Kind<'a>) -> usize {
    place.skip();
    let (at, start) = (nodes.len(), place.at as u32);
    nodes.push(Node { name, kind, start, end: start, next: 0 });
    place.at += 1;
    at
}

fn close(nodes: &mut [Node<'_>], place: &mut Place<'_>, at: usize) -> Option<()> {
    place.skip();
    place.at += 1;
    let next = nodes.len() as u32;
    let node = nodes.get_mut(at)?;
    (node.end, node.next) = (place.at as u32, next);
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every value as the text has it, by walking.
    fn walk(json: Json<'_, '_>, seen: &mut Vec<String>) {
        seen.push(json.raw().to_owned());
        json.members().for_each(|(_, value)| walk(value, seen));
        if json.is_list() {
            json.items().for_each(|value| walk(value, seen));
        }
    }

    fn values(value: &Value, seen: &mut Vec<Value>) {
        seen.push(value.clone());
        match value {
            Value::Object(map) => map.values().for_each(|v| values(v, seen)),
            Value::Array(list) => list.iter().for_each(|v| values(v, seen)),
            _ => {}
        }
    }

    #[test]
    fn every_value_is_found_where_it_stands() {
        let text = r#" {"a" : [ 1 , -2.5e3,"x\"\\y", {"b":null , "c\n":true}, [] , {} ] ,"d":"é,]}","e":false, "f":{"g":"\u0041"}} "#;
        let doc = Doc::read(text).unwrap();
        let mut raw = Vec::new();
        walk(doc.root(), &mut raw);
        let (mut expected, got) = (Vec::new(), raw.iter().map(|raw| serde_json::from_str::<Value>(raw).unwrap()).collect::<Vec<_>>());
        values(&serde_json::from_str(text).unwrap(), &mut expected);
        assert_eq!(got, expected, "{raw:?}");
        assert!(raw.iter().all(|raw| raw.trim() == raw), "{raw:?}");
    }

    #[test]
    fn names_are_found_in_any_case_and_the_first_that_says_something_counts() {
        let doc = Doc::read(r#"{"Id":"","ID":null,"id":"x","n":7,"b":true,"list":["a","",1,{}],"one":{"k":"v"}}"#).unwrap();
        let root = doc.root();
        assert_eq!(root.get("iD").str(), Some("x"));
        assert_eq!(root.any(&["missing", "N"]).text().as_deref(), Some("7"));
        assert_eq!(root.get("b").str(), Some("true"));
        assert_eq!(root.get("list").texts(), ["a", "1"]);
        assert_eq!(root.get("one").items().map(|one| one.get("k").str()).collect::<Vec<_>>(), [Some("v")]);
        assert!(!root.path(&["one", "k", "deeper"]).is_present());
        assert_eq!(root.get("missing").raw(), "");
    }

    #[test]
    fn times_come_in_every_form() {
        let read = |json: &str| Doc::read(json).unwrap().root().time();
        assert_eq!(read("\"2024-11-13T23:40:48.000Z\""), Some(1_731_541_248_000));
        assert_eq!(read("1731541248"), Some(1_731_541_248_000));
        assert_eq!(read("1731541248.5"), Some(1_731_541_248_500));
        assert_eq!(read(r#"{"seconds":"1731541248","nanos":2.9E8}"#), Some(1_731_541_248_290));
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (text, column) in [("{\"a\":}", 6), ("{\"a\":1} x", 9), ("[1,", 3)] {
            assert!(matches!(Doc::read(text), Err(NormalizeError::Json { column: c, .. }) if c == column), "{text}: {:?}", Doc::read(text));
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(matches!(Doc::read(&deep), Err(NormalizeError::Json { .. })));
    }
}
