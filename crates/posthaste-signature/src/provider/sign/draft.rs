//! A request that is being made, and writing into the places that the table names.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Request, SignError};
use crate::provider::place::Place;

/// A request before it leaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// In upper case.
    pub method: String,
    /// In full.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Draft {
    /// As a receiver sees it.
    pub fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    /// Sets a header, in place of others of its name.
    pub(super) fn set_header(&mut self, name: &HeaderName, value: &str) -> Result<(), SignError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| SignError::Unsignable(format!("the value of {name} cannot stand in a header")))?;
        self.headers.insert(name, value);
        Ok(())
    }

    pub(super) fn set_named(&mut self, name: &'static str, value: &str) -> Result<(), SignError> {
        self.set_header(&HeaderName::from_static(name), value)
    }

    /// Writes a text where the table says.
    pub(super) fn write(&mut self, place: &Place, value: &str) -> Result<(), SignError> {
        match place {
            Place::Header(name) => self.set_header(name, value),
            Place::Headers(prefix) => {
                let name =
                    format!("{prefix}1").parse().map_err(|_| SignError::Body("a header".to_owned()))?;
                self.set_header(&name, value)
            }
            Place::Json(path, _) => self.set_json(path, Value::from(value)),
            Place::Form(name) => self.set_form(name, value),
            Place::FormJson(field, _) => Err(SignError::Body(format!("a form with JSON in {field}"))),
            Place::Query(name) => {
                self.set_query(name, value);
                Ok(())
            }
            Place::Body => {
                self.body = value.as_bytes().to_vec();
                Ok(())
            }
            Place::Claim(..) => Ok(()),
        }
    }

    /// Sets a member of the JSON body by its path, `a.0.b`; `*` is every item.
    pub(super) fn set_json(&mut self, path: &str, value: Value) -> Result<(), SignError> {
        let mut json: Value =
            serde_json::from_slice(&self.body).map_err(|_| SignError::Body("JSON".to_owned()))?;
        let steps: Vec<&str> = path.split('.').collect();
        if !put(&mut json, &steps, &value) {
            return Err(SignError::Body(format!("JSON with room for {path}")));
        }
        self.body = json.to_string().into_bytes();
        Ok(())
    }

    /// Sets a field of the form in the body, at its end.
    pub(super) fn set_form(&mut self, name: &str, value: &str) -> Result<(), SignError> {
        if self.body.starts_with(b"{") || self.body.starts_with(b"[") {
            return Err(SignError::Body("a form".to_owned()));
        }
        self.body = replaced(&self.body, name, value).into_bytes();
        Ok(())
    }

    /// Sets a parameter of the query, at its end.
    pub(super) fn set_query(&mut self, name: &str, value: &str) {
        let (base, query) = match self.url.split_once('?') {
            Some((base, query)) => (base.to_owned(), query.to_owned()),
            None => (self.url.clone(), String::new()),
        };
        self.url = format!("{base}?{}", replaced(query.as_bytes(), name, value));
    }
}

fn replaced(form: &[u8], name: &str, value: &str) -> String {
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (known, value) in form_urlencoded::parse(form).filter(|(known, _)| known != name) {
        written.append_pair(&known, &value);
    }
    written.append_pair(name, value).finish()
}

/// Whether the path could be followed; objects are made where nothing is.
fn put(json: &mut Value, steps: &[&str], value: &Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        // A time that is written as text stays text.
        *json = match (json.is_string(), value) {
            (true, Value::Number(number)) => Value::from(number.to_string()),
            _ => value.clone(),
        };
        return true;
    };
    if json.is_null() {
        *json = Value::Object(serde_json::Map::new());
    }
    match json {
        Value::Object(members) => put(members.entry((*step).to_owned()).or_insert(Value::Null), rest, value),
        Value::Array(items) if *step == "*" => items.iter_mut().all(|item| put(item, rest, value)),
        Value::Array(items) => {
            let item = step.parse::<usize>().ok().and_then(|at| items.get_mut(at));
            item.is_some_and(|item| put(item, rest, value))
        }
        _ => false,
    }
}
