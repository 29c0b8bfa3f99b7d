//! Events of providers, made up from what their documentation calls the fields: data under `fixtures/trigger`.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};
use posthaste_core::dice::Dice;
use posthaste_signature::provider::sign::Draft;
use posthaste_signature::provider::{self, Provider};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::paths;
use crate::placeholders::Placeholders;
use fixtures::FIXTURES;

mod fixtures;

/// What an event is called if its provider has no fixture.
const PLAIN_EVENT: &str = "test.event";

/// One provider's file.
#[derive(Debug, Default, Deserialize)]
struct Fixture {
    /// What all its events share.
    #[serde(flatten)]
    shared: Shape,
    /// By name, the most usual first.
    #[serde(default)]
    events: Map<String, Value>,
    /// Requests that only ask whether a receiver is there.
    #[serde(default)]
    handshakes: Map<String, Value>,
}

/// What a request looks like; an event's own goes over what all share.
#[derive(Debug, Clone, Default, Deserialize)]
struct Shape {
    method: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    query: Map<String, Value>,
    /// The body is a form of these fields; what is no text in it is written as JSON.
    #[serde(default)]
    form: bool,
    #[serde(default)]
    body: Value,
    /// The provider does not sign it.
    #[serde(default)]
    unsigned: bool,
}

/// One event, before it is filled in.
pub struct Event {
    /// Whose.
    pub provider: &'static Provider,
    /// What the provider calls it.
    pub name: String,
    /// It only asks whether a receiver is there.
    pub is_handshake: bool,
    shape: Shape,
}

/// A request that is filled in and not signed, with its body still as fields.
pub struct Filled {
    /// The request.
    pub draft: Draft,
    /// Its body's fields; [`write`](Self::write) makes them the request's.
    pub body: Value,
    is_form: bool,
}

static READ: LazyLock<Vec<(&'static str, Fixture)>> = LazyLock::new(|| {
    // One that cannot be read is found by the test that reads them all.
    let read = |text| serde_json::from_str(text).expect("fixtures are read by a test");
    FIXTURES.iter().map(|(slug, text)| (*slug, read(text))).collect()
});

fn of(slug: &str) -> Option<&'static Fixture> {
    READ.iter().find(|(known, _)| *known == slug).map(|(_, fixture)| fixture)
}

/// The names of a provider's events and of its handshakes.
pub fn names(slug: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    let keys = |map: &'static Map<String, Value>| map.keys().map(String::as_str).collect();
    match of(slug) {
        Some(fixture) => (keys(&fixture.events), keys(&fixture.handshakes)),
        None => (vec![PLAIN_EVENT], vec![]),
    }
}

/// An event by its name; the first without one. A provider without a file has any event.
pub fn event(provider: &'static Provider, name: Option<&str>) -> Option<Event> {
    let Some(fixture) = of(&provider.slug) else { return Some(plain(provider, name.unwrap_or(PLAIN_EVENT))) };
    let name = name.or_else(|| fixture.events.keys().next().map(String::as_str))?;
    let (own, is_handshake) = match fixture.events.get(name) {
        Some(own) => (own, false),
        None => (fixture.handshakes.get(name)?, true),
    };
    let own: Shape = serde_json::from_value(own.clone()).unwrap_or_default();
    let shape = if is_handshake { own } else { fixture.shared.with(&own) };
    Some(Event { provider, name: name.to_owned(), is_handshake, shape })
}

impl Shape {
    fn with(&self, own: &Self) -> Self {
        let mut shape = self.clone();
        shape.method = own.method.clone().or(shape.method);
        shape.headers.extend(own.headers.clone());
        shape.query.extend(own.query.clone());
        shape.form |= own.form;
        if !own.body.is_null() {
            paths::merge(&mut shape.body, &own.body);
        }
        shape
    }
}

/// An event that says its type and id where the table says they stand.
fn plain(provider: &'static Provider, name: &str) -> Event {
    let mut shape = Shape::default();
    let mut body = json!({ "id": "{id}", "type": name, "created_at": "{iso}", "data": { "test": true } });
    let places = [(&provider.event_type, name), (&provider.delivery_id, "{id}")];
    for (places, value) in places {
        let first = places.as_deref().unwrap_or_default().split(" | ").next().unwrap_or_default();
        for place in first.split(" + ").filter(|place| !place.is_empty()) {
            match place.split_once(':') {
                Some(("header", header)) => drop(shape.headers.insert(header.to_owned(), value.into())),
                Some(("form", field)) => {
                    shape.form = true;
                    body[field] = value.into();
                }
                Some(("json", path)) => put_plain(&mut body, path, value),
                _ => {}
            }
        }
    }
    shape.body = body;
    Event { provider, name: name.to_owned(), is_handshake: false, shape }
}

fn put_plain(body: &mut Value, path: &str, value: &str) {
    if path.starts_with(|letter: char| letter.is_ascii_digit()) && !body.is_array() {
        *body = Value::Array(vec![body.take()]);
    }
    let top = path.split('.').next().unwrap_or_default();
    let wants_list = path.split('.').skip(1).any(|step| step.parse::<usize>().is_ok());
    // What we put there to make it look like an event gives way to the provider's own shape.
    match body.get_mut(top) {
        Some(member) if member.is_string() && path.contains('.') => *member = Value::Null,
        Some(member) if member.is_object() && wants_list => *member = Value::Null,
        _ => {}
    }
    let _ = paths::put(body, path, value.into());
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("provider", &self.provider.slug)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Event {
    /// Whether its provider signs it.
    pub fn is_signed(&self) -> bool {
        !self.shape.unsigned
    }

    /// Fresh ids and times; `url` is where it goes.
    pub fn fill(&self, id: &str, at_ms: i64, url: &str, dice: &dyn Dice) -> Filled {
        let mut fresh = Placeholders::new(&self.name, id, at_ms, url, dice);
        let mut draft = Draft {
            method: self.shape.method.clone().unwrap_or_else(|| "POST".to_owned()),
            url: url.to_owned(),
            ..Draft::default()
        };
        for (name, value) in &self.shape.headers {
            let text = fresh.text(value.as_str().unwrap_or_default());
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&text)) {
                draft.headers.insert(name, value);
            }
        }
        if !self.shape.query.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in &self.shape.query {
                query.append_pair(name, &fresh.text(value.as_str().unwrap_or_default()));
            }
            draft.url.push(if url.contains('?') { '&' } else { '?' });
            draft.url.push_str(&query.finish());
        }
        let body = fresh.fill(&self.shape.body);
        let mut filled = Filled { draft, body, is_form: self.shape.form };
        filled.write();
        filled
    }
}

impl Filled {
    /// Writes the fields as the body.
    pub fn write(&mut self) {
        let (kind, body) = match &self.body {
            Value::Null => return,
            Value::Object(fields) if self.is_form => ("application/x-www-form-urlencoded", as_form(fields)),
            json => ("application/json", json.to_string()),
        };
        self.draft.body = body.into_bytes();
        let headers = &mut self.draft.headers;
        headers.entry("content-type").or_insert(HeaderValue::from_static(kind));
    }

    /// The fields as people edit them, and as they were edited.
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.body).unwrap_or_default()
    }
}

fn as_form(fields: &Map<String, Value>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::String(text) => form.append_pair(name, text),
            other => form.append_pair(name, &other.to_string()),
        };
    }
    form.finish()
}

/// How many providers have a file, and how many events there are in them.
#[cfg(test)]
fn counts() -> (usize, usize) {
    (READ.len(), READ.iter().map(|(_, fixture)| fixture.events.len()).sum())
}

/// Every provider with what it can be asked for, for lists.
pub fn all() -> impl Iterator<Item = (&'static Provider, usize)> {
    provider::all().map(|provider| (provider, of(&provider.slug).map_or(0, |fixture| fixture.events.len())))
}

#[cfg(test)]
#[path = "fixture_events.rs"]
mod events;
