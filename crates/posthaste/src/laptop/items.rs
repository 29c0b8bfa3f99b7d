//! Fields, headers and parameters as people type them: `a=text`, `a:=JSON`, `Header:value`, `query==value`, `@FILE`, `-`.

use serde_json::{Map, Value};

use super::complaint::Complaint;
use posthaste_events::paths;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Field(String, Value),
    Header(String, String),
    Query(String, String),
    /// A file with the body, or `-`.
    File(String),
}

impl Item {
    /// The separator that stands first tells which it is.
    pub(crate) fn parse(text: &str) -> Result<Self, Complaint> {
        if text == "-" {
            return Ok(Self::File(text.to_owned()));
        }
        if let Some(file) = text.strip_prefix('@') {
            return Ok(Self::File(file.to_owned()));
        }
        let at = text.find([':', '=']).filter(|at| *at > 0).ok_or_else(|| {
            Complaint::usage(
                format!("\"{text}\" cannot be used"),
                "it is none of path=text, path:=JSON, Header:value, query==value, @FILE and -",
                "write path=value",
            )
        })?;
        let (name, rest) = text.split_at(at);
        let name = name.to_owned();
        if let Some(json) = rest.strip_prefix(":=") {
            let value = serde_json::from_str(json).map_err(|error| {
                Complaint::usage(
                    format!("\"{text}\" cannot be used"),
                    format!("what stands behind := is not JSON: {error}"),
                    format!("for text, write {name}={json}"),
                )
            })?;
            return Ok(Self::Field(name, value));
        }
        Ok(match (rest.strip_prefix("=="), rest.strip_prefix('=')) {
            (Some(value), _) => Self::Query(name, value.to_owned()),
            (None, Some(value)) => Self::Field(name, Value::from(value)),
            (None, None) => Self::Header(name, rest[1..].trim_start().to_owned()),
        })
    }
}

/// Puts a field into a body; whether there was one before.
pub(crate) fn put(body: &mut Value, name: &str, value: &Value) -> Result<bool, Complaint> {
    if body.is_null() {
        *body = Value::Object(Map::new());
    }
    paths::put(body, name, value.clone()).map_err(|why| {
        Complaint::usage(format!("{name} cannot be set"), why, "look at the body with --print")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_tells_what_an_item_is() {
        for (text, item) in [
            ("a.b=1:2", Item::Field("a.b".to_owned(), "1:2".into())),
            ("a:=[1]", Item::Field("a".to_owned(), serde_json::json!([1]))),
            ("X-A: b=c", Item::Header("X-A".to_owned(), "b=c".to_owned())),
            ("q==a=b", Item::Query("q".to_owned(), "a=b".to_owned())),
            ("a=", Item::Field("a".to_owned(), "".into())),
            ("@x.json", Item::File("x.json".to_owned())),
            ("-", Item::File("-".to_owned())),
        ] {
            assert_eq!(Item::parse(text).unwrap(), item);
        }
        for text in ["a", "=a", "a:={", ""] {
            assert!(Item::parse(text).is_err(), "{text}");
        }
    }
}
