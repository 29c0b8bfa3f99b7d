//! What somebody looks for among messages: names, which may end in a star, and what a payload says at some place.

use serde_json::Value;

use crate::message::Message;
use crate::name::{Channel, EventTypeName, NameError, Tag};

/// An event type, or with `.*` behind it all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypePattern {
    /// This one.
    Exactly(EventTypeName),
    /// What begins so; the full stop is a part of it.
    Below(String),
}

impl TypePattern {
    /// `order.paid`, `order.*`, or `*` for all.
    pub fn parse(text: &str) -> Result<Option<Self>, NameError> {
        match text.strip_suffix('*') {
            Some("") => Ok(None),
            Some(prefix) => {
                EventTypeName::parse(prefix.trim_end_matches('.'))?;
                Ok(Some(Self::Below(prefix.to_owned())))
            }
            None => EventTypeName::parse(text).map(|name| Some(Self::Exactly(name))),
        }
    }

    /// Whether an event type is meant.
    pub fn fits(&self, name: &EventTypeName) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == name,
            Self::Below(prefix) => name.as_str().starts_with(prefix),
        }
    }
}

/// What a payload has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadTest {
    /// At this place stands this value.
    Is(Vec<String>, String),
    /// At this place stands text that contains this, without regard to case.
    Contains(Vec<String>, String),
    /// Somewhere in it, letter by letter.
    Anywhere(String),
}

impl PayloadTest {
    /// `data.customer.id=42`, `data.name~smith`, or any text that stands somewhere in it.
    pub fn parse(text: &str) -> Self {
        let place = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let is_path = |path: &&str| {
            !path.is_empty()
                && path.chars().all(|letter| letter.is_alphanumeric() || "._-[]".contains(letter))
        };
        if let Some((path, value)) = text.split_once(['=', '~']).filter(|(path, _)| is_path(path)) {
            let value = value.trim();
            return match text.as_bytes().get(path.len()) {
                Some(b'=') => Self::Is(place(path), value.trim_matches('"').to_owned()),
                _ => Self::Contains(place(path), value.to_lowercase()),
            };
        }
        Self::Anywhere(text.to_owned())
    }

    /// Whether a payload says so.
    pub fn fits(&self, body: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(body) else { return false };
        match self {
            Self::Anywhere(wanted) => text.contains(wanted.as_str()),
            Self::Is(path, wanted) => {
                // What is not even in the letters is not worth reading as JSON.
                let may =
                    text.contains(wanted.as_str()) || wanted.contains(['"', '\\', '/']) || !wanted.is_ascii();
                may && at(text, path, &|value| written(value) == *wanted)
            }
            Self::Contains(path, wanted) => {
                at(text, path, &|value| written(value).to_lowercase().contains(wanted))
            }
        }
    }
}

/// A value as one types it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a test is passed at a place. A list on the way stands for each of its items, or for the one that is numbered.
fn at(json: &str, path: &[String], test: &dyn Fn(&Value) -> bool) -> bool {
    serde_json::from_str::<Value>(json).is_ok_and(|value| below(&value, path, test))
}

fn below(value: &Value, path: &[String], test: &dyn Fn(&Value) -> bool) -> bool {
    match (value, path.split_first()) {
        (Value::Array(items), Some((first, rest))) if first.parse::<usize>().is_ok() => {
            let found = first.parse::<usize>().ok().and_then(|index| items.get(index));
            found.is_some_and(|item| below(item, rest, test))
        }
        (Value::Array(items), _) => items.iter().any(|item| below(item, path, test)),
        (Value::Object(members), Some((first, rest))) => {
            members.get(first).is_some_and(|member| below(member, rest, test))
        }
        (_, Some(_)) => false,
        (value, None) => test(value),
    }
}

/// All of it; what is not asked for is any.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Of this event type.
    pub event_type: Option<TypePattern>,
    /// On this channel.
    pub channel: Option<Channel>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// That says this.
    pub payload: Option<PayloadTest>,
}

impl Search {
    /// Whether messages have to be looked at one by one.
    pub fn is_any(&self) -> bool {
        self.event_type.is_none() && self.channel.is_none() && self.tag.is_none() && self.payload.is_none()
    }

    /// Whether a message is meant. Its body has to be there if the payload is asked for.
    pub fn fits(&self, message: &Message) -> bool {
        self.event_type.as_ref().is_none_or(|pattern| pattern.fits(&message.event_type))
            && self.channel.as_ref().is_none_or(|channel| message.channels.contains(channel))
            && self.tag.as_ref().is_none_or(|tag| message.tags.contains(tag))
            && self
                .payload
                .as_ref()
                .is_none_or(|test| message.body.as_ref().is_some_and(|body| test.fits(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_of_an_event_type_stands_for_all_that_begin_so() {
        let fits = |pattern: &str, name: &str| {
            let pattern = TypePattern::parse(pattern).unwrap();
            pattern.is_none_or(|pattern| pattern.fits(&EventTypeName::parse(name).unwrap()))
        };
        assert!(fits("order.paid", "order.paid") && !fits("order.paid", "order.paid.late"));
        assert!(
            fits("order.*", "order.paid.late")
                && !fits("order.*", "orders.paid")
                && !fits("order.*", "order")
        );
        assert!(fits("ord*", "order.paid") && fits("*", "anything"));
        assert!(!fits("order.*", "pre.order.paid"), "it begins so, and does not hold it somewhere");
        for bad in ["", "a b", "a b.*", ".*"] {
            assert!(TypePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_payload_is_asked_by_place_or_for_any_text() {
        let body = br#"{"data":{"customer":{"id":42,"name":"Ann Smith","paid":true,"url":"a\/b"},"items":[{"sku":"x1"},{"sku":"x2"}]}}"#;
        for (text, expected) in [
            ("data.customer.id=42", true),
            ("data.customer.id = 42", false),
            ("data.customer.id=4", false),
            ("data.customer.name=\"Ann Smith\"", true),
            ("data.customer.name~SMITH", true),
            ("data.customer.name~jones", false),
            ("data.customer.paid=true", true),
            ("data.customer.url=a/b", true),
            ("data.items.sku=x2", true),
            ("data.items.1.sku=x2", true),
            ("data.items.0.sku=x2", false),
            ("data.customer=42", false),
            ("nothing.here=1", false),
            ("Ann Smith", true),
            ("Bob", false),
            ("\"id\":42", true),
        ] {
            assert_eq!(PayloadTest::parse(text).fits(body), expected, "{text}");
        }
        assert!(!PayloadTest::parse("a=1").fits(b"a=1"), "a form has no places");
        assert!(PayloadTest::parse("?a=1").fits(b"x?a=1"));
        assert!(!PayloadTest::parse("a").fits(b"a\xff"));
    }
}
