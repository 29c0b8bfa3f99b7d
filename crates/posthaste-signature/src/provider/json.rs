//! One value out of a JSON text, by path, as it was written: numbers keep their digits, nothing else is built.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members by name and items by number: `data.0.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    /// The raw text of the value, if it is there and the text is JSON that far.
    pub(crate) fn find<'a>(&self, json: &'a [u8]) -> Option<&'a str> {
        let mut at = std::str::from_utf8(json).ok()?.trim_start_matches('\u{feff}');
        for step in &self.0 {
            at = member(at, step)?;
        }
        Some(at)
    }

    /// The value as text, unless it is a list or an object: those name nothing.
    pub(crate) fn scalar<'a>(&self, json: &'a [u8]) -> Option<Cow<'a, str>> {
        self.find(json).filter(|raw| !raw.starts_with(['{', '['])).and_then(unquoted)
    }

    /// The value as text: a string without its quotes and escapes, anything else as written; `null` is none.
    pub(crate) fn text<'a>(&self, json: &'a [u8]) -> Option<Cow<'a, str>> {
        unquoted(self.find(json)?)
    }

    /// As [`Self::text`], looking also into JSON that stands in a string, as Wix nests its events.
    pub(crate) fn text_within(&self, json: &[u8]) -> Option<String> {
        let mut at = std::str::from_utf8(json).ok()?.to_owned();
        for step in &self.0 {
            if at.trim_start().starts_with('"') {
                at = unquoted(&at)?.into_owned();
            }
            at = member(&at, step)?.to_owned();
        }
        unquoted(&at).map(Cow::into_owned)
    }

    /// The values of a path with `*` in it, one for each item; `None` where an item lacks it.
    pub(crate) fn texts<'a>(&self, json: &'a [u8]) -> Option<Vec<Option<Cow<'a, str>>>> {
        let Some(star) = self.0.iter().position(|step| step == "*") else {
            return Some(vec![self.text(json)]);
        };
        let list = Self(self.0[..star].to_vec()).find(json)?;
        let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
        let rest = Self(self.0[star + 1..].to_vec());
        Some(items.into_iter().map(|item| rest.text(item.get().as_bytes())).collect())
    }
}

/// A JSON string without quotes and escapes, anything else as written; `null` is none.
pub(crate) fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    let raw = raw.trim();
    match raw.as_bytes().first()? {
        b'"' => {
            let inner = raw.get(1..raw.len() - 1)?;
            if inner.contains('\\') {
                serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
            } else {
                Some(Cow::Borrowed(inner))
            }
        }
        b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut reader = serde_json::Deserializer::from_str(json);
    // Whatever is wrong behind the member we look for is not our business.
    Member(name).deserialize(&mut reader).ok().flatten().map(RawValue::get)
}

struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Name<'de>>()? {
            if key.0 == self.0 {
                // The last one counts, as it does for JSON.parse.
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let wanted = self.0.parse::<usize>().ok();
        let mut at = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            if Some(at) == wanted {
                found = Some(item);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, json: &str) -> Option<String> {
        Path::parse(path).text(json.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn values_come_out_as_they_were_written() {
        let json = r#"{"a": {"b": [1.50, "x\u00e9\n", null, true]}, "a.c": 1}"#;
        assert_eq!(text("a.b.0", json).as_deref(), Some("1.50"));
        assert_eq!(text("a.b.1", json).as_deref(), Some("x\u{e9}\n"));
        assert_eq!(text("a.b.2", json), None);
        assert_eq!(text("a.b.3", json).as_deref(), Some("true"));
        assert_eq!(text("a.b.4", json), None);
        assert_eq!(text("a.x", json), None);
    }

    #[test]
    fn what_is_not_json_has_no_members() {
        assert_eq!(text("a", "hello"), None);
        assert_eq!(text("a", ""), None);
        assert_eq!(text("a.b", r#"{"a": 1}"#), None);
    }

    #[test]
    fn json_in_a_string_is_looked_into_when_asked() {
        let json = r#"{"a": "{\"b\": \"{\\\"c\\\": 1}\"}"}"#;
        assert_eq!(Path::parse("a.b.c").text_within(json.as_bytes()).as_deref(), Some("1"));
        assert_eq!(Path::parse("a.b.c").text(json.as_bytes()), None);
        assert_eq!(Path::parse("a.x").text_within(json.as_bytes()), None);
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        assert_eq!(text("a", r#"{"a": 1, "a": 2}"#).as_deref(), Some("2"));
    }
}
