//! What a request must be like, and how one differs that is not.

use std::borrow::Cow;

use serde_json::Value;

use super::came::Came;
use super::complaint::Complaint;
use super::items::Item;
use crate::cli::bin::WantedArgs;
use posthaste_events::paths;

/// Where senders say what kind of event it is, when they say it in the body.
const TYPE_FIELDS: [&str; 4] = ["type", "eventType", "event_type", "event"];
/// And in which headers.
const TYPE_HEADERS: [&str; 7] = [
    "x-github-event",
    "x-gitlab-event",
    "x-gitea-event",
    "x-shopify-topic",
    "x-event-key",
    "x-event-type",
    "ce-type",
];
/// Letters of a value that are repeated.
const VALUE_LETTERS_MAX: usize = 60;

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    /// This, as text.
    Text(String),
    /// This, as JSON.
    Json(Value),
    Anything,
}

/// What a request must be like; nothing is wanted of one that nothing is said of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    method: Option<String>,
    path: Option<String>,
    headers: Vec<(String, Expected)>,
    query: Vec<(String, String)>,
    body: Vec<(String, Expected)>,
    event_type: Option<String>,
}

impl Wanted {
    pub(crate) fn of(args: &WantedArgs) -> Result<Self, Complaint> {
        let header = |text: &String| match text.split_once(':') {
            Some((name, value)) => (name.trim().to_owned(), Expected::Text(value.trim().to_owned())),
            None => (text.trim().to_owned(), Expected::Anything),
        };
        let query = |text: &String| {
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
                Complaint::usage(
                    format!("--query {text} cannot be used"),
                    "it has no `=`",
                    "write --query k=v",
                )
            })
        };
        let body = |text: &String| match Item::parse(text) {
            Ok(Item::Field(path, value)) => {
                let is_json = text[path.len()..].starts_with(":=");
                let expected = match value {
                    Value::String(text) if !is_json => Expected::Text(text),
                    value => Expected::Json(value),
                };
                Ok((path, expected))
            }
            Err(complaint) => Err(complaint),
            Ok(_) => Err(Complaint::usage(
                format!("--body-json {text} cannot be used"),
                "it is neither path=text nor path:=JSON",
                "write --body-json data.amount=5",
            )),
        };
        Ok(Self {
            method: args.method.as_ref().map(|method| method.to_ascii_uppercase()),
            path: args.path.clone(),
            headers: args.header.iter().map(header).collect(),
            query: args.query.iter().map(query).collect::<Result<_, _>>()?,
            body: args.body_json.iter().map(body).collect::<Result<_, _>>()?,
            event_type: args.event_type.clone(),
        })
    }

    /// In what a request differs, each as the end of "it had …"; nothing if it matches.
    pub(crate) fn differs(&self, came: &Came) -> Vec<String> {
        let mut differs = vec![];
        if let Some(method) = self.method.as_ref().filter(|method| **method != came.method) {
            differs.push(format!("method {}, not {method}", came.method));
        }
        let plain = |path: &str| path.trim_matches('/').to_owned();
        if let Some(path) = self.path.as_ref().filter(|path| plain(path) != plain(&came.path)) {
            differs.push(format!("path {}, not {path}", named(&came.path)));
        }
        if let Some(wanted) = &self.event_type {
            let types = types(came);
            if !types.contains(wanted) {
                let first = types.first().map_or("no type".to_owned(), |first| format!("type {first}"));
                differs.push(format!("{first}, not {wanted}"));
            }
        }
        differs
            .extend(self.headers.iter().filter_map(|(name, expected)| header_differs(came, name, expected)));
        let query: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            url::form_urlencoded::parse(came.query.as_bytes()).collect();
        for (name, wanted) in &self.query {
            let mut values = query.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
            if !values.clone().any(|value| value == wanted) {
                let had = values.next().map_or(format!("no ?{name}"), |value| format!("?{name}={value}"));
                differs.push(format!("{had}, not {wanted}"));
            }
        }
        if !self.body.is_empty() {
            match serde_json::from_slice::<Value>(&came.body) {
                Ok(json) => {
                    differs.extend(self.body.iter().filter_map(|(path, e)| body_differs(&json, path, e)));
                }
                Err(_) => differs.push("a body that is no JSON".to_owned()),
            }
        }
        differs
    }
}

/// What it may be meant by its sender to be.
fn types(came: &Came) -> Vec<String> {
    let json = serde_json::from_slice::<Value>(&came.body).unwrap_or_default();
    let in_body = TYPE_FIELDS.iter().filter_map(|name| json[name].as_str());
    let in_headers = TYPE_HEADERS.iter().filter_map(|name| came.header(name));
    let known = std::iter::once(came.event_type.as_str()).filter(|known| *known != "webhook");
    in_headers.chain(in_body).chain(known).map(str::to_owned).collect()
}

fn header_differs(came: &Came, name: &str, expected: &Expected) -> Option<String> {
    let mut values = came.values(name);
    let had = match (expected, values.next()) {
        (Expected::Anything, Some(_)) => return None,
        (Expected::Text(wanted), Some(first)) => {
            if first == wanted || values.any(|value| value == wanted) {
                return None;
            }
            return Some(format!("{name}: {}, not {wanted}", short(first)));
        }
        (_, None) if came.hidden().any(|hidden| hidden.eq_ignore_ascii_case(name)) => "a hidden",
        (_, _) => "no",
    };
    Some(format!("{had} header {name}"))
}

fn body_differs(json: &Value, path: &str, expected: &Expected) -> Option<String> {
    let Some(value) = paths::get(json, path) else { return Some(format!("no {path}")) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let wanted = match expected {
        Expected::Anything => return None,
        Expected::Text(wanted) if *wanted == text => return None,
        Expected::Json(wanted) if wanted == value => return None,
        Expected::Text(wanted) => return Some(format!("{path}={}, not {wanted}", short(&text))),
        Expected::Json(wanted) => wanted,
    };
    Some(format!("{path}:={}, not {wanted}", short(&value.to_string())))
}

fn named(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

fn short(text: &str) -> String {
    let mut letters = text.chars();
    let kept: String = letters.by_ref().take(VALUE_LETTERS_MAX).collect();
    if letters.next().is_some() { format!("{kept}…") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laptop::came::example;

    fn wanted(differ: impl FnOnce(&mut WantedArgs)) -> Wanted {
        let mut args = WantedArgs::default();
        differ(&mut args);
        Wanted::of(&args).unwrap()
    }

    fn of_body(text: &str) -> Wanted {
        wanted(|args| args.body_json = vec![text.to_owned()])
    }

    #[test]
    fn a_request_matches_when_nothing_differs() {
        let came = example();
        assert_eq!(Wanted::default().differs(&came), [""; 0]);
        let all = wanted(|args| {
            args.method = Some("put".to_owned());
            args.header = vec!["X-Twice: 2".to_owned(), "x-twice".to_owned()];
            args.query = vec!["a= ".to_owned(), "b=".to_owned()];
            args.body_json = vec!["amount=4".to_owned(), "amount:=4".to_owned()];
        });
        assert_eq!(all.differs(&came), [""; 0]);
    }

    #[test]
    fn what_differs_is_said_with_what_was_there() {
        let came = example();
        for (wanted, said) in [
            (of_body("amount=5"), "amount=4, not 5"),
            (of_body("amount:=\"4\""), "amount:=4, not \"4\""),
            (of_body("data.amount=5"), "no data.amount"),
            (wanted(|args| args.method = Some("POST".to_owned())), "method PUT, not POST"),
            (wanted(|args| args.path = Some("/orders".to_owned())), "path /, not /orders"),
            (wanted(|args| args.header = vec!["X-Twice: 3".to_owned()]), "x-twice: 1, not 3"),
            (wanted(|args| args.header = vec!["X-None".to_owned()]), "no header X-None"),
            (
                wanted(|args| args.header = vec!["Authorization: x".to_owned()]),
                "a hidden header Authorization",
            ),
            (wanted(|args| args.query = vec!["a=1".to_owned()]), "?a= , not 1"),
            (wanted(|args| args.query = vec!["c=1".to_owned()]), "no ?c, not 1"),
            (wanted(|args| args.event_type = Some("a.b".to_owned())), "no type, not a.b"),
        ] {
            let differs = wanted.differs(&came);
            assert_eq!(differs.len(), 1);
            assert_eq!(differs[0].to_ascii_lowercase(), said.to_ascii_lowercase());
        }
        let text = Came { body: b"hello".to_vec(), ..example() };
        assert_eq!(of_body("a=1").differs(&text), ["a body that is no JSON"]);
    }

    #[test]
    fn the_type_of_an_event_is_where_its_sender_says_it() {
        let typed = |text: &str| wanted(|args| args.event_type = Some(text.to_owned()));
        let in_body = Came { body: br#"{"type":"invoice.paid"}"#.to_vec(), ..example() };
        assert!(typed("invoice.paid").differs(&in_body).is_empty());
        let mut in_header = example();
        in_header.headers.push(("X-GitHub-Event".to_owned(), Some(b"push".to_vec())));
        assert!(typed("push").differs(&in_header).is_empty());
        assert_eq!(typed("pull").differs(&in_header), ["type push, not pull"]);
    }

    #[test]
    fn what_cannot_be_wanted_is_refused() {
        for (query, body) in [("a", "b=1"), ("a=1", "b"), ("a=1", "b==1"), ("a=1", "b:={")] {
            let args = WantedArgs {
                query: vec![query.to_owned()],
                body_json: vec![body.to_owned()],
                ..WantedArgs::default()
            };
            assert!(Wanted::of(&args).is_err(), "{query} {body}");
        }
    }
}
