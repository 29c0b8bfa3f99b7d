//! The fields of a JSON object, read one by one; everything that is wrong is collected, so that one answer names it all.

use std::num::NonZeroU16;

use posthaste_core::app::Metadata;
use posthaste_core::limits::METADATA_BYTES_MAX;
use posthaste_core::name::NameError;
use posthaste_core::time::Timestamp;
use serde_json::{Map, Value};

use super::body::{JsonBody, not_json};
use crate::error::{Answer, ApiError, Invalid};

/// A field of a request: left out, `null`, or a value. In a PATCH these differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    /// Absent and null alike.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// As a change: absent leaves, null clears.
    pub(crate) fn change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

/// The fields of one object.
pub(crate) struct Fields {
    map: Map<String, Value>,
    prefix: String,
    invalid: Vec<Invalid>,
}

impl Fields {
    /// Parses a body that must be an object.
    pub(crate) fn of(body: &JsonBody) -> Answer<Self> {
        match serde_json::from_str(body.text()?).map_err(|e| not_json(&e))? {
            Value::Object(map) => Ok(Self::over(map)),
            _ => Err(ApiError::bad_request("the body must be a JSON object")),
        }
    }

    /// Over an object that is there already.
    pub(crate) fn over(map: Map<String, Value>) -> Self {
        Self { map, prefix: String::new(), invalid: Vec::new() }
    }

    /// Answers with everything that was wrong.
    pub(crate) fn done(self) -> Answer<()> {
        if self.invalid.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.invalid)) }
    }

    /// Notes that a field is wrong.
    pub(crate) fn wrong(&mut self, field: &str, msg: impl std::fmt::Display) {
        let name = format!("{}{field}", self.prefix);
        self.invalid.push(Invalid::new("body", &name, format!("{name} {msg}")));
    }

    fn missing(&mut self, field: &str) {
        self.invalid.push(Invalid::missing("body", &format!("{}{field}", self.prefix)));
    }

    /// Reads a field with `read`, whose error is the rest of a sentence: "url must be …".
    pub(crate) fn get<T>(&mut self, field: &str, read: impl FnOnce(Value) -> Result<T, String>) -> Given<T> {
        match self.map.remove(field) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value) => match read(value) {
                Ok(value) => Given::Value(value),
                Err(msg) => {
                    self.wrong(field, msg);
                    Given::Absent
                }
            },
        }
    }

    /// A field that must be there, and not null.
    pub(crate) fn required<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        let wrong_before = self.invalid.len();
        match self.get(field, read) {
            Given::Value(value) => Some(value),
            Given::Null => {
                self.wrong(field, "must not be null");
                None
            }
            Given::Absent => {
                if self.invalid.len() == wrong_before {
                    self.missing(field);
                }
                None
            }
        }
    }

    /// A field that may be left out, but not be null.
    pub(crate) fn not_null<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        match self.get(field, read) {
            Given::Value(value) => Some(value),
            Given::Absent => None,
            Given::Null => {
                self.wrong(field, "must not be null");
                None
            }
        }
    }

    /// The first of several spellings that is there.
    pub(crate) fn either<T>(
        &mut self,
        fields: [&str; 2],
        read: impl Fn(Value) -> Result<T, String>,
    ) -> Given<T> {
        // Both are read: what is wrong is refused, whether or not it would have counted.
        match (self.get(fields[0], &read), self.get(fields[1], &read)) {
            (Given::Absent, second) => second,
            (first, _) => first,
        }
    }

    /// Refuses what nobody read, after all that could be was: one name is enough to see why.
    pub(crate) fn nothing_else(&mut self) {
        if let Some(name) = self.map.keys().next() {
            let name = shown(name);
            self.wrong(&name, "is no setting that there is");
        }
    }

    /// Reads an object within; its fields are named `field.name`.
    pub(crate) fn nested<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let map = self.get(field, object).value()?;
        let mut inner = Self { map, prefix: format!("{}{field}.", self.prefix), invalid: Vec::new() };
        let value = read(&mut inner);
        self.invalid.append(&mut inner.invalid);
        Some(value)
    }
}

/// Characters of a caller's text that an error repeats: enough to know it again.
const SHOWN_LENGTH_MAX: usize = 60;

/// The beginning of a text, for an error.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_LENGTH_MAX).collect()
}

pub(crate) fn string(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("must be a string".to_owned()),
    }
}

pub(crate) fn boolean(value: Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

pub(crate) fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("must be an object".to_owned()),
    }
}

/// Text for people: bounded, and without characters that steer a terminal.
pub(crate) fn prose(length_max: usize) -> impl Fn(Value) -> Result<String, String> {
    move |value| {
        let text = string(value)?;
        if text.chars().count() > length_max {
            return Err(format!("must be at most {length_max} characters long"));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err("must not hold control characters".to_owned());
        }
        Ok(text)
    }
}

/// The same, and not empty.
pub(crate) fn title(length_max: usize) -> impl Fn(Value) -> Result<String, String> {
    move |value| {
        let text = prose(length_max)(value)?;
        if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
    }
}

/// A name of ours, by its own rule.
pub(crate) fn named<T>(parse: impl Fn(&str) -> Result<T, NameError>) -> impl Fn(Value) -> Result<T, String> {
    move |value| parse(&string(value)?).map_err(|error| error.to_string())
}

/// A caller's own id: a name that cannot be mistaken for an id of ours, nor for a step in a path.
pub(crate) fn uid<T>(
    prefix: &'static str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> impl Fn(Value) -> Result<T, String> {
    move |value| {
        let text = string(value)?;
        if text.starts_with(prefix) {
            return Err(format!("must not begin with {prefix}, as our own ids do"));
        }
        if text.bytes().all(|b| b == b'.') && !text.is_empty() {
            return Err("must not consist of dots".to_owned());
        }
        parse(&text).map_err(|error| error.to_string())
    }
}

/// The uid under which a PUT makes what its path names; `None` for what looks like an id of ours, which nobody chooses.
pub(crate) fn uid_in_path(prefix: &str, text: &str) -> Option<posthaste_core::name::Uid> {
    posthaste_core::name::Uid::parse(text).ok().filter(|_| !text.starts_with(prefix))
}

/// A list of names: no duplicates, `1..=count_max` of them, or also none.
pub(crate) fn names<T: PartialEq>(
    parse: impl Fn(&str) -> Result<T, NameError>,
    count_max: usize,
    may_be_empty: bool,
) -> impl Fn(Value) -> Result<Vec<T>, String> {
    move |value| {
        let Value::Array(items) = value else { return Err("must be a list of strings".to_owned()) };
        if items.is_empty() && !may_be_empty {
            return Err("must not be an empty list: leave it out to mean all".to_owned());
        }
        if items.len() > count_max {
            return Err(format!("must hold at most {count_max} items"));
        }
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let name = string(item)
                .and_then(|text| parse(&text).map_err(|error| error.to_string()))
                .map_err(|error| format!("item {index} {error}"))?;
            if names.contains(&name) {
                return Err(format!("item {index} is there twice"));
            }
            names.push(name);
        }
        Ok(names)
    }
}

/// A whole number within a range; `5.0` is one too, which some languages write.
pub(crate) fn integer(range: std::ops::RangeInclusive<i64>) -> impl Fn(Value) -> Result<i64, String> {
    move |value| {
        let number =
            value.as_i64().or_else(|| whole(value.as_f64()?)).filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A number without a fraction, written with one.
fn whole(number: f64) -> Option<i64> {
    let text = (number.fract() == 0.0).then(|| format!("{number:.0}"))?;
    text.parse().ok()
}

/// Messages per second.
pub(crate) fn rate(value: Value) -> Result<NonZeroU16, String> {
    let number = integer(1..=i64::from(u16::MAX))(value)?;
    u16::try_from(number).ok().and_then(NonZeroU16::new).ok_or_else(|| "must be at least 1".to_owned())
}

pub(crate) fn metadata(value: Value) -> Result<Metadata, String> {
    let mut metadata = Metadata::new();
    let mut size = 0;
    for (key, value) in object(value)? {
        let Value::String(value) = value else { return Err("must hold strings only".to_owned()) };
        size += key.len() + value.len();
        metadata.insert(key, value);
    }
    if size > METADATA_BYTES_MAX {
        return Err(format!("must be at most {METADATA_BYTES_MAX} bytes, keys and values together"));
    }
    Ok(metadata)
}

/// An RFC 3339 instant.
pub(crate) fn instant(value: Value) -> Result<Timestamp, String> {
    let text = string(value)?;
    Timestamp::parse(&text).ok_or_else(|| "must be an RFC 3339 instant like 2026-01-31T12:00:00Z".to_owned())
}
