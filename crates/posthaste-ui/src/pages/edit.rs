//! A message once more, changed: a new one to the same app, made from what the first one said.

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, Tag};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Frame, head};
use crate::Shared;
use crate::api::{ask_with, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Bytes of the longest payload that fits into a form.
const EDITED_BYTES_MAX: usize = 256 * 1024;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/apps/{app}/messages/{message}/edit", get(page).post(send))
}

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
    message: String,
}

/// What is sent; lists have commas in between.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Edited {
    event_type: String,
    payload: String,
    channels: String,
    tags: String,
}

impl Edited {
    fn of(message: &Message) -> Answer<Self> {
        let body = message.body.as_ref().ok_or_else(|| no("its payload is gone"))?;
        let text = std::str::from_utf8(body).map_err(|_| no("its payload is no text"))?;
        if text.len() > EDITED_BYTES_MAX {
            return Err(no("its payload is too long for a form: use the API"));
        }
        let joined = |names: Vec<&str>| names.join(", ");
        Ok(Self {
            event_type: message.event_type.as_str().to_owned(),
            payload: crate::payload::shown(body).text,
            channels: joined(message.channels.iter().map(Channel::as_str).collect()),
            tags: joined(message.tags.iter().map(Tag::as_str).collect()),
        })
    }

    /// As the API takes it: the payload stands in it letter by letter.
    fn as_body(&self) -> Answer<String> {
        let payload: Box<RawValue> = serde_json::from_str(&self.payload)
            .map_err(|error| UiError::Rejected(format!("The payload is not JSON: {error}.")))?;
        let list = |text: &str| -> Option<Vec<String>> {
            let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned);
            Some(names.collect::<Vec<_>>()).filter(|names| !names.is_empty())
        };
        let (channels, tags) = (json!(list(&self.channels)), json!(list(&self.tags)));
        let event_type = json!(self.event_type.trim());
        Ok(format!(r#"{{"eventType":{event_type},"channels":{channels},"tags":{tags},"payload":{payload}}}"#))
    }
}

fn no(why: &str) -> UiError {
    UiError::Rejected(format!("This message cannot be edited: {why}."))
}

async fn page(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Html<String>> {
    // Messages are made by whoever sends them, not by who receives them.
    let environment = visitor.environment()?;
    let app = Reference::new(at.app.as_str());
    let message =
        state.history.message(environment, &app, &Reference::new(at.message.as_str()), true).await?;
    shown(&state, &visitor, &at, (&Edited::of(&message)?, "")).await
}

async fn shown(
    state: &Shared,
    visitor: &Visitor,
    at: &At,
    (edited, problem): (&Edited, &str),
) -> Answer<Html<String>> {
    let head = head(state, visitor.environment()?, &Reference::new(at.app.as_str())).await?;
    let context =
        context! { frame => Frame::of(visitor), app => head, message => at.message, edited, problem };
    Ok(state.templates.render("edit.html", context))
}

async fn send(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(edited): Form<Edited>,
) -> Answer<Response> {
    visitor.environment()?;
    let path = format!("/api/v1/app/{}/msg", part(&at.app));
    let made = match edited.as_body() {
        Ok(body) => ask_with(&state, &visitor, Method::POST, &path, body).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(made) => {
            let id = made["id"].as_str().unwrap_or_default();
            Ok(Redirect::to(&format!("{}/apps/{}/messages/{id}", visitor.base, part(&at.app)))
                .into_response())
        }
        // What was typed stays.
        Err(UiError::Rejected(why)) => {
            let page = shown(&state, &visitor, &at, (&edited, &why)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_sent_letter_by_letter_and_lists_are_taken_apart() {
        let edited = Edited {
            event_type: " a.b ".to_owned(),
            payload: "{\"n\": 1.50, \"n\": 12345678901234567890}".to_owned(),
            channels: "x, y".to_owned(),
            tags: String::new(),
        };
        let expected = r#"{"eventType":"a.b","channels":["x","y"],"tags":null,"payload":{"n": 1.50, "n": 12345678901234567890}}"#;
        assert_eq!(edited.as_body().unwrap(), expected);
        let broken = Edited { payload: "{} {".to_owned(), ..edited };
        assert!(matches!(broken.as_body(), Err(UiError::Rejected(_))));
    }
}
