//! A form that was refused, given back: the sentence that says why, and all that was typed, to be mended and sent again.
//!
//! It is made of what was sent, whichever page it came from, so no page has to remember it; and it needs no script.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use minijinja::{Value, context};
use serde::Serialize;

/// Bytes of a form that is given back; whoever sends a longer one has its text elsewhere.
const FORM_BYTES_MAX: usize = 2 << 20;
/// Fields of a form that is given back.
const FIELDS_MAX: usize = 40;
/// A longer value gets more than one line.
const LINE_LETTERS_MAX: usize = 80;
/// What forms say for themselves, and nobody typed.
const UNTYPED: &[&str] = &["what", "endpoint", "look", "public"];
/// What is never shown again.
const SECRET: &[&str] = &["token", "code", "password", "again"];

/// One field, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Field {
    name: String,
    label: String,
    value: String,
    is_typed: bool,
    is_long: bool,
}

/// A form that may have to be given back.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    path: String,
    fields: Bytes,
}

impl Sent {
    /// Reads a form along, and hands the request on as it was. `None`: it is none, or is too long.
    pub(crate) async fn read(request: Request) -> (Option<Self>, Request) {
        let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
        let is_form = kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"));
        if request.method() != Method::POST || !is_form {
            return (None, request);
        }
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        match to_bytes(body, FORM_BYTES_MAX).await {
            Ok(fields) => {
                let request = Request::from_parts(parts, Body::from(fields.clone()));
                (Some(Self { path, fields }), request)
            }
            // Its reader finds it too short, and says so.
            Err(_) => (None, Request::from_parts(parts, Body::empty())),
        }
    }

    /// What its page is given, if there is something to give back.
    pub(crate) fn context(&self, title: &str, detail: &str) -> Option<Value> {
        let pairs = form_urlencoded::parse(&self.fields).take(FIELDS_MAX);
        let known = pairs.filter(|(name, _)| !SECRET.contains(&&**name));
        let fields: Vec<_> = known.map(|(name, value)| field(&name, &value)).collect();
        let has_typed = fields.iter().any(|field| field.is_typed);
        has_typed
            .then(|| context! { title, detail, action => &self.path, back => page_of(&self.path), fields })
    }
}

fn field(name: &str, value: &str) -> Field {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let label =
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    let is_long =
        value.contains('\n') || value.chars().count() > LINE_LETTERS_MAX || value.starts_with(['{', '[']);
    let is_typed = !UNTYPED.contains(&name);
    Field { name: name.to_owned(), label, value: value.to_owned(), is_typed, is_long }
}

/// The page on which a form stands: what it does is the last part of its path, if that is more than the page's own.
fn page_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((
            page,
            "endpoints" | "send" | "change" | "test" | "recover" | "logo" | "catalogue" | "resend",
        )) => page,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_comes_back_with_what_was_typed_and_without_what_is_secret() {
        let body = "event_type=order.paid&payload=%7B%22a%22%3A1&what=settings&token=phk_1";
        let request = Request::post("/ui/apps/a/messages/send")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Body::from(body))
            .unwrap();
        let (sent, request) = Sent::read(request).await;
        assert_eq!(to_bytes(request.into_body(), 1_000).await.unwrap(), body, "its reader finds it whole");
        let shown = sent.unwrap().context("No", "Because.").unwrap().to_string();
        for there in ["order.paid", "Event type", "/ui/apps/a/messages", "settings"] {
            assert!(shown.contains(there), "{there} is not in {shown}");
        }
        assert!(!shown.contains("phk_1"), "{shown}");
    }

    #[tokio::test]
    async fn what_is_no_form_or_has_nothing_typed_is_not_given_back() {
        let (none, _) = Sent::read(Request::get("/ui/apps").body(Body::empty()).unwrap()).await;
        assert!(none.is_none());
        for fields in ["", "what=disable", "token=phk_1"] {
            let sent = Sent { path: "/ui/apps".to_owned(), fields: Bytes::from(fields) };
            assert!(sent.context("No", "Because.").is_none(), "{fields}");
        }
    }

    #[test]
    fn a_long_value_gets_lines_and_a_name_becomes_a_label() {
        let typed = field("event_types", "a, b");
        assert_eq!((typed.label.as_str(), typed.is_long, typed.is_typed), ("Event types", false, true));
        assert!(field("payload", "{}").is_long && field("x", &"y".repeat(81)).is_long);
        assert!(!field("what", "settings").is_typed);
    }
}
