//! Rows of a table: typed properties, and text that is too long for one of them.
//!
//! A string property holds 64 KiB of UTF-16, a row 1 MiB and 252 properties, a transaction 4 MiB
//! (<https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model>).

use serde_json::{Map, Value};
use stanch_core::port::StoreError;

use crate::row::unreadable;

/// UTF-16 units of one property, a little below what it holds.
const PIECE: usize = 32_000;
/// UTF-16 units of text that one row takes: a transaction has at most four rows of ours, each unit has at most three bytes.
pub(crate) const INLINE: usize = 200_000;

/// A row, without its ETag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entity(pub(crate) Map<String, Value>);

impl Entity {
    pub(crate) fn new(partition: &str, row: &str) -> Self {
        Entity(Map::new()).text("PartitionKey", partition).text("RowKey", row)
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), Value::String(value.to_owned()));
        self
    }

    pub(crate) fn int(mut self, name: &str, value: i64) -> Self {
        self.0.insert(name.to_owned(), Value::String(value.to_string()));
        self.0.insert(format!("{name}@odata.type"), Value::String("Edm.Int64".to_owned()));
        self
    }

    pub(crate) fn flag(mut self, name: &str, value: bool) -> Self {
        self.0.insert(name.to_owned(), Value::Bool(value));
        self
    }

    /// Text of any length up to [`INLINE`], cut into `name0`, `name1`, … Earlier pieces go.
    pub(crate) fn long(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|key, _| !is_piece(key, name));
        let mut piece = String::new();
        let (mut units, mut number) = (0, 0);
        for character in value.chars() {
            if units + character.len_utf16() > PIECE {
                self.0.insert(format!("{name}{number}"), Value::String(std::mem::take(&mut piece)));
                (units, number) = (0, number + 1);
            }
            units += character.len_utf16();
            piece.push(character);
        }
        self.0.insert(format!("{name}{number}"), Value::String(piece));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A text that must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, StoreError> {
        self.get(name).ok_or_else(|| self.unreadable(format!("it has no text `{name}`")))
    }

    pub(crate) fn get_int(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A number that must be there.
    pub(crate) fn needed_int(&self, name: &str) -> Result<i64, StoreError> {
        self.get_int(name).ok_or_else(|| self.unreadable(format!("it has no number `{name}`")))
    }

    pub(crate) fn get_long(&self, name: &str) -> Option<String> {
        let mut text = self.get(&format!("{name}0"))?.to_owned();
        for number in 1.. {
            let Some(piece) = self.get(&format!("{name}{number}")) else { break };
            text.push_str(piece);
        }
        Some(text)
    }

    pub(crate) fn partition(&self) -> &str {
        self.get("PartitionKey").unwrap_or_default()
    }

    pub(crate) fn row(&self) -> &str {
        self.get("RowKey").unwrap_or_default()
    }

    /// This row is not as this version writes it.
    pub(crate) fn unreadable(&self, reason: impl std::fmt::Display) -> StoreError {
        unreadable(format!("row `{}` of partition `{}`", self.row(), self.partition()), reason)
    }
}

/// Whether the text needs more room than a row has.
pub(crate) fn is_too_long(text: &str) -> bool {
    // No character has more UTF-16 units than bytes.
    text.len() > INLINE && text.chars().map(char::len_utf16).sum::<usize>() > INLINE
}

fn is_piece(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters_and_joined_again() {
        for text in ["", "a", &"é\u{1F512}x".repeat(50_000), &"\u{1F512}".repeat(PIECE)] {
            let row = Entity::new("p", "r").long("b", &"z".repeat(INLINE)).long("b", text);
            assert_eq!(row.get_long("b").as_deref(), Some(text));
            let widest = row.0.values().filter_map(Value::as_str).map(|piece| piece.encode_utf16().count()).max();
            assert!(widest <= Some(PIECE));
        }
        assert_eq!(Entity::new("p", "r").get_long("b"), None);
    }

    #[test]
    fn numbers_are_read_as_the_service_writes_them() {
        let row = Entity::new("p", "r").int("n", -5);
        assert_eq!(row.get_int("n"), Some(-5));
        assert_eq!(Entity(serde_json::from_str(r#"{"n": 7}"#).unwrap()).get_int("n"), Some(7));
        assert!(row.needed_int("m").unwrap_err().to_string().contains("no number `m`"));
    }
}
