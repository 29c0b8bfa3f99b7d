//! What files of TOML say that the server should have: tables of its kinds of thing, read with the line of every key.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A kind of thing, and the fields that a file may name. Names are the API's own.
#[derive(Debug)]
pub(crate) struct Kind {
    /// `[[app]]`.
    pub(crate) name: &'static str,
    /// The field by which it is known in the file and on the server.
    pub(crate) key: &'static str,
    pub(crate) needed: &'static [&'static str],
    pub(crate) fields: &'static [Field],
    /// Whether it has endpoints of its own.
    pub(crate) has_endpoints: bool,
    /// Fields of a secret, and in which of the server's fields it goes.
    pub(crate) secret: Option<&'static str>,
    /// Whether it can carry the mark of who made it.
    pub(crate) has_metadata: bool,
}

/// A field, and what it is where a file does not name it; `None`: whatever it is.
pub(crate) type Field = (&'static str, Option<Empty>);

/// What a field is that nobody set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Empty {
    Null,
    Text,
    False,
    Object,
}

impl Empty {
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text => json!(""),
            Self::False => json!(false),
            Self::Object => json!({}),
        }
    }
}

/// Marks what an apply has made.
pub(crate) const MARK: (&str, &str) = ("made-by", "posthaste apply");

pub(crate) const EVENT_TYPE: Kind = Kind {
    name: "event-type",
    key: "name",
    needed: &["name"],
    fields: &[
        ("description", Some(Empty::Text)),
        ("archived", Some(Empty::False)),
        ("deprecated", Some(Empty::False)),
        ("groupName", Some(Empty::Null)),
        ("featureFlags", Some(Empty::Null)),
        ("schemas", Some(Empty::Null)),
    ],
    has_endpoints: false,
    secret: None,
    has_metadata: false,
};

pub(crate) const APP: Kind = Kind {
    name: "app",
    key: "uid",
    needed: &["uid", "name"],
    fields: &[("name", None), ("rateLimit", Some(Empty::Null)), ("metadata", Some(Empty::Object))],
    has_endpoints: true,
    secret: None,
    has_metadata: true,
};

pub(crate) const SOURCE: Kind = Kind {
    name: "source",
    key: "uid",
    needed: &["uid", "name", "type"],
    fields: &[
        ("name", None),
        ("type", None),
        ("config", Some(Empty::Object)),
        ("paused", Some(Empty::False)),
        ("dedupe", None),
        ("allowedNetworks", None),
        ("rateLimit", None),
        ("bodyBytesMax", None),
        ("methods", None),
        ("schema", None),
        ("schemaMismatch", None),
        ("answer", None),
        ("metadata", Some(Empty::Object)),
    ],
    has_endpoints: true,
    secret: Some("config.secret"),
    has_metadata: true,
};

pub(crate) const ENDPOINT: Kind = Kind {
    name: "endpoint",
    key: "uid",
    needed: &["uid", "url"],
    fields: &[
        ("url", None),
        ("description", Some(Empty::Text)),
        ("eventTypes", Some(Empty::Null)),
        ("channels", Some(Empty::Null)),
        ("rateLimit", Some(Empty::Null)),
        ("disabled", Some(Empty::False)),
        ("metadata", Some(Empty::Object)),
    ],
    has_endpoints: false,
    secret: Some("secret"),
    has_metadata: true,
};

/// Kinds that stand by themselves, in the order in which they are made.
pub(crate) const TOP: [&Kind; 3] = [&EVENT_TYPE, &APP, &SOURCE];

/// The name of an environment variable that holds a secret.
pub(crate) const SECRET_ENV: &str = "secret_env";

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
}

/// One thing.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: &'static Kind,
    pub(crate) key: String,
    pub(crate) fields: Map<String, Value>,
    pub(crate) secret_env: Option<String>,
    pub(crate) endpoints: Vec<Entry>,
    pub(crate) place: Place,
}

/// A file that cannot be used: where, and why.
pub(crate) struct Bad {
    pub(crate) place: Place,
    pub(crate) why: String,
}

/// Reads a file.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<Entry>, Bad> {
    let reader = Reader { file, text };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.bad(at, error.message().to_owned())
    })?;
    let mut entries = vec![];
    for (name, value) in table.get_ref() {
        let kind = TOP.iter().find(|kind| kind.name == name.get_ref().as_ref()).ok_or_else(|| {
            let known = TOP.map(|kind| kind.name).join(", ");
            reader.bad(
                name.span().start,
                format!("\"{}\" is nothing that can be applied; there are {known}", name.get_ref()),
            )
        })?;
        entries.extend(reader.entries(kind, name, value)?);
    }
    Ok(entries)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        Place { file: self.file.to_owned(), line: before.matches('\n').count() + 1 }
    }

    fn bad(&self, at: usize, why: String) -> Bad {
        Bad { place: self.place(at), why }
    }

    fn entries(
        &self,
        kind: &'static Kind,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Entry>, Bad> {
        let not_tables =
            || self.bad(name.span().start, format!("{0} must be tables: [[{0}]]", name.get_ref()));
        let all = value.get_ref().as_array().ok_or_else(not_tables)?;
        let one = |one: &Spanned<DeValue<'_>>| {
            let table = one.get_ref().as_table().ok_or_else(not_tables)?;
            self.entry(kind, table, one.span().start)
        };
        all.iter().map(one).collect()
    }

    fn entry(&self, kind: &'static Kind, table: &DeTable<'_>, at: usize) -> Result<Entry, Bad> {
        let mut entry = Entry {
            kind,
            key: String::new(),
            fields: Map::new(),
            secret_env: None,
            endpoints: vec![],
            place: self.place(at),
        };
        for (name, value) in table {
            let word = name.get_ref().as_ref();
            let text = || {
                let text = value.get_ref().as_str().map(str::to_owned);
                text.ok_or_else(|| self.bad(name.span().start, format!("{word} must be text in quotes")))
            };
            if word == kind.key {
                entry.key = text()?;
            } else if word == SECRET_ENV && kind.secret.is_some() {
                entry.secret_env = Some(text()?);
            } else if word == ENDPOINT.name && kind.has_endpoints {
                entry.endpoints = self.entries(&ENDPOINT, name, value)?;
            } else if kind.fields.iter().any(|(field, _)| *field == word) {
                let json = self.json(value)?;
                entry.fields.insert(word.to_owned(), json);
            } else {
                return Err(self.bad(name.span().start, unknown(kind, word)));
            }
        }
        for needed in kind.needed {
            let is_there =
                if *needed == kind.key { !entry.key.is_empty() } else { entry.fields.contains_key(*needed) };
            if !is_there {
                return Err(self.bad(at, format!("this {} has no {needed}", kind.name)));
            }
        }
        Ok(entry)
    }

    fn json(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, Bad> {
        Ok(match value.get_ref() {
            DeValue::String(text) => json!(text),
            DeValue::Boolean(flag) => json!(flag),
            DeValue::Datetime(at) => json!(at.to_string()),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                json!(parsed.map_err(|error| self.bad(value.span().start, error.to_string()))?)
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse::<f64>();
                json!(parsed.map_err(|error| self.bad(value.span().start, error.to_string()))?)
            }
            DeValue::Array(all) => all.iter().map(|one| self.json(one)).collect::<Result<_, _>>()?,
            DeValue::Table(table) => {
                let members =
                    table.iter().map(|(name, one)| Ok((name.get_ref().to_string(), self.json(one)?)));
                Value::Object(members.collect::<Result<_, Bad>>()?)
            }
        })
    }
}

/// A key that is not known, with what may have been meant.
fn unknown(kind: &Kind, word: &str) -> String {
    let folded = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    let mut known: Vec<&str> = vec![kind.key];
    known.extend(kind.fields.iter().map(|(name, _)| *name));
    known.extend(kind.secret.map(|_| SECRET_ENV));
    known.extend(kind.has_endpoints.then_some(ENDPOINT.name));
    let meant = known.iter().find(|name| folded(name) == folded(word));
    if word == "secret" {
        return format!(
            "secrets do not stand in files: name an environment variable, {SECRET_ENV} = \"NAME\""
        );
    }
    match meant {
        Some(meant) => format!("{} has no \"{word}\": write {meant}", kind.name),
        None => format!("{} has no \"{word}\"; there are {}", kind.name, known.join(", ")),
    }
}

/// What is there twice: the second one, and where the first is.
pub(crate) fn twice(entries: &[Entry]) -> Option<(&Entry, &Place)> {
    let mut seen: BTreeMap<(&str, &str), &Place> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = seen.insert((entry.kind.name, entry.key.as_str()), &entry.place) {
            return Some((entry, first));
        }
        if let Some(found) = twice(&entry.endpoints) {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[[event-type]]\nname = \"a.b\"\n\n[[app]]\nuid = \"acme\"\nname = \"Acme\"\n\
        metadata = { plan = \"gold\" }\n\n[[app.endpoint]]\nuid = \"main\"\nurl = \"https://a.example/\"\n\
        eventTypes = [\"a.b\"]\nsecret_env = \"ACME\"\n";

    #[test]
    fn a_file_is_read_with_its_places() {
        let Ok(entries) = read("a.toml", FILE) else { panic!("it is good") };
        let names: Vec<_> = entries.iter().map(|entry| (entry.kind.name, entry.key.as_str())).collect();
        assert!(names.contains(&("event-type", "a.b")) && names.contains(&("app", "acme")));
        let app = entries.iter().find(|entry| entry.key == "acme").unwrap();
        assert_eq!(app.fields["metadata"], json!({ "plan": "gold" }));
        let endpoint = &app.endpoints[0];
        assert_eq!((endpoint.key.as_str(), endpoint.secret_env.as_deref()), ("main", Some("ACME")));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, said) in [
            ("[[app]]\nuid = \"a\"\nname = \"A\"\ncolour = 1\n", 4, "app has no \"colour\""),
            ("[[app]]\nuid = \"a\"\nname = \"A\"\nrate_limit = 1\n", 4, "write rateLimit"),
            ("\n[[app]]\nuid = \"a\"\n", 2, "this app has no name"),
            ("[[apps]]\n", 1, "there are event-type, app, source"),
            ("app = 1\n", 1, "[[app]]"),
            ("[[app]]\nuid = 7\nname = \"A\"\n", 2, "uid must be text"),
            (
                "[[source]]\nuid = \"a\"\nname = \"A\"\ntype = \"x\"\n[[source.endpoint]]\nuid = \"e\"\nurl = \"u\"\nsecret = \"s\"\n",
                8,
                "secret_env",
            ),
            ("[[app]\n", 1, ""),
        ] {
            let Err(bad) = read("a.toml", text) else { panic!("{text} is bad") };
            assert_eq!(bad.place.line, line, "{text}: {}", bad.why);
            assert!(bad.why.contains(said), "{text}: {}", bad.why);
        }
    }

    #[test]
    fn what_is_there_twice_is_found() {
        let text = "[[app]]\nuid = \"a\"\nname = \"A\"\n\n[[app]]\nuid = \"a\"\nname = \"B\"\n";
        let Ok(entries) = read("a.toml", text) else { panic!("it can be read") };
        let (entry, first) = twice(&entries).unwrap();
        assert_eq!((entry.key.as_str(), first.line), ("a", 1));
    }
}
